//! An authenticator: it makes a passkey and signs with it, as a browser would tell the gateway. What a test wants wrong, it
//! sets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgeward::platform::algorithm::{Algorithm, KeyType};
use edgeward::platform::digest::sha256;
use serde_json::{Value, json};

use super::{GATEWAY, Jar};
use crate::harness::crypto::Private;
use crate::harness::request::Seen;

pub type Fields = Vec<(&'static str, String)>;

pub const ALL: u8 = 1 | 4 | 8 | 16;

pub struct Phone {
    key: Private,
    pub id: Vec<u8>,
    pub counter: u32,
    /// User present, user verified, eligible for backup, backed up.
    pub flags: u8,
    pub rp_id: String,
    pub origin: String,
    pub handle: String,
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Phone {
    pub fn new(name: &str) -> Self {
        Self {
            key: Private::new(KeyType::P256, name),
            id: sha256(name.as_bytes()).to_vec(),
            counter: 0,
            flags: ALL,
            rp_id: GATEWAY.into(),
            origin: format!("https://{GATEWAY}"),
            handle: String::new(),
        }
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let challenge = &options["publicKey"]["challenge"];
        let client_data = json!({
            "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false,
        });
        client_data.to_string().into_bytes()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = sha256(self.rp_id.as_bytes()).to_vec();
        data.push(self.flags | flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// Makes the passkey that `options` ask for.
    pub fn creates(&mut self, options: &Value) -> Fields {
        self.handle = options["publicKey"]["user"]["id"].as_str().unwrap().into();
        let mut data = self.data(64);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        let spki = self.key.spki();
        let (x, y) = spki[spki.len() - 64..].split_at(32);
        data.extend(
            [
                b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20",
                x,
                b"\x22\x58\x20",
                y,
            ]
            .concat(),
        );
        let head = b"\xa3cfmtdnonegattStmt\xa0hauthData\x58";
        let length = [u8::try_from(data.len()).unwrap()];
        let attestation = [&head[..], &length, &data].concat();
        vec![
            ("challenge", options["challenge"].as_str().unwrap().into()),
            ("id", text(&self.id)),
            (
                "client_data",
                text(&self.client_data("webauthn.create", options)),
            ),
            ("attestation", text(&attestation)),
        ]
    }

    /// Signs what `options` ask for.
    pub fn asserts(&self, options: &Value) -> Fields {
        let client_data = self.client_data("webauthn.get", options);
        let data = self.data(0);
        let message = [data.as_slice(), &sha256(&client_data)].concat();
        let signature = self.key.sign(Algorithm::Es256, &message);
        let (r, s) = signature.split_at(32);
        let numbers = [integer(r), integer(s)].concat();
        let mut der = vec![0x30, u8::try_from(numbers.len()).unwrap()];
        der.extend(numbers);
        vec![
            ("challenge", options["challenge"].as_str().unwrap().into()),
            ("id", text(&self.id)),
            ("client_data", text(&client_data)),
            ("data", text(&data)),
            ("signature", text(&der)),
            ("handle", self.handle.clone()),
        ]
    }
}

fn integer(digits: &[u8]) -> Vec<u8> {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let mut number = digits[zeros..].to_vec();
    if number[0] >= 0x80 {
        number.insert(0, 0);
    }
    let mut all = vec![2, u8::try_from(number.len()).unwrap()];
    all.extend(number);
    all
}

/// The token of the forms of the page that is open.
pub fn csrf(jar: &Jar<'_>) -> String {
    let found = jar.fields.iter().find(|(name, _)| name == "csrf");
    found.expect("a page with a form").1.clone()
}

/// Posts fields with the browser's form token.
pub fn post(jar: &mut Jar<'_>, path: &str, csrf: &str, fields: &[(&'static str, String)]) -> Seen {
    let mut all = vec![("csrf", csrf)];
    all.extend(fields.iter().map(|(name, value)| (*name, value.as_str())));
    jar.post(GATEWAY, path, &all, "same-origin")
}

/// Signs in at the page that the browser has open, and takes these of its fields along.
pub fn sign_in_on_page(jar: &mut Jar<'_>, phone: &Phone, names: &[&'static str]) -> Seen {
    let hidden = jar.fields.clone();
    let csrf = csrf(jar);
    let asked = post(jar, "/passkey/", &csrf, &[("for", "sign_in".into())]).json();
    let mut all = phone.asserts(&asked);
    for name in names {
        let (_, value) = hidden.iter().find(|(known, _)| known == name).unwrap();
        all.push((*name, value.clone()));
    }
    post(jar, "/login/", &csrf, &all)
}

/// What the gateway asks for, with a new challenge, and the token of the browser's forms.
pub fn options(jar: &mut Jar<'_>, ceremony: &str) -> (Value, String) {
    let page = if ceremony == "register" {
        "/account/"
    } else {
        "/login/?again=1"
    };
    let seen = jar.open(GATEWAY, page);
    assert_eq!(seen.status(), 200, "{}", seen.body());
    let csrf = csrf(jar);
    let seen = post(jar, "/passkey/", &csrf, &[("for", ceremony.into())]);
    assert_eq!(seen.status(), 200, "{}", seen.body());
    (seen.json(), csrf)
}

/// Adds a passkey for whoever is signed in.
pub fn add(jar: &mut Jar<'_>, phone: &mut Phone) -> Seen {
    let (options, csrf) = options(jar, "register");
    let mut fields = phone.creates(&options);
    fields.push(("action", "add_passkey".into()));
    post(jar, "/account/", &csrf, &fields)
}

/// Signs in with a passkey.
pub fn sign_in(jar: &mut Jar<'_>, phone: &Phone) -> Seen {
    let (options, csrf) = options(jar, "sign_in");
    post(jar, "/login/", &csrf, &phone.asserts(&options))
}

/// The reason in the log of a refusal, which outside is the same for all.
pub fn refusal(seen: &Seen) -> String {
    assert_eq!(seen.status(), 400, "{}", seen.body());
    assert!(seen.body().contains("passkey_invalid"), "{}", seen.body());
    assert_eq!(seen.session(), None);
    let event = seen.outcome.event.as_ref().unwrap();
    let reason = event.reason.as_ref().unwrap();
    reason.strip_prefix("passkey: ").unwrap().to_owned()
}
