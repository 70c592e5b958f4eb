//! Passkeys at the gateway: adding, naming and removing them on the account page, and signing in with one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::gateway_page::{PasskeyRow, PasskeyRows};
use crate::answer::reply::Reply;
use crate::ask::audited;
use crate::ask::form::Form;
use crate::gateway::visit::Visit;
use crate::http::client::Client;
use crate::model::audit::Action;
use crate::model::user::User;
use crate::passkey::PasskeyError;
use crate::passkey::ceremony::{self, Asserted, Assertion, Ceremony, Expected, Known};
use crate::people;
use crate::platform::digest::random_secret;
use crate::platform::port::{Counter, Fault};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::passkeys::{self, CHALLENGE_LIFETIME, Passkey, PasskeySet, Passkeys};
use crate::store::passwords::Passwords;

/// How old the sign-in may be with which passkeys are changed.
const FRESH: Seconds = Seconds(300);
/// The most passkeys of one user.
const MAX_PASSKEYS: usize = 20;
/// The longest name, in characters.
const MAX_NAME: usize = 60;
/// The longest field of a form, in bytes.
const MAX_FIELD: usize = 12 * 1024;

/// The script of the pages.
const SCRIPT: &str = include_str!("../../www/passkey.js");

/// Who makes the passkeys of these AAGUIDs, for their names: the first 16 digits.
const MAKERS: [(u64, &str); 12] = [
    (0xfbfc_3007_154e_4ecc, "iCloud Keychain"),
    (0xea9b_8d66_4d01_1d21, "Google Password Manager"),
    (0x0898_7058_cadc_4b81, "Windows Hello"),
    (0x9ddd_1817_af5a_4672, "Windows Hello"),
    (0x6028_b017_b1d4_4c02, "Windows Hello"),
    (0xadce_0002_35bc_c60a, "Chrome on Mac"),
    (0xbada_5566_a7aa_401f, "1Password"),
    (0xd548_826e_79b4_db40, "Bitwarden"),
    (0x5311_26d6_e717_415c, "Dashlane"),
    (0x5341_4d53_554e_4700, "Samsung Pass"),
    (0xfdb1_41b2_5d84_443e, "KeePassXC"),
    (0x5072_6f74_6f6e_5061, "Proton Pass"),
];

/// The rp id, if passkeys can be used at the host of this request.
pub(super) fn rp_id<'a>(visit: &Visit<'a>) -> Option<&'a str> {
    let rp_id = visit.gateway.passkeys.as_deref()?;
    let authority = visit.ctx.parts.authority();
    let host = authority.split(':').next()?;
    let is_below = host
        .strip_suffix(rp_id)
        .is_some_and(|sub| sub.ends_with('.'));
    (host == rp_id || is_below).then_some(rp_id)
}

/// `GET /passkey.js`
pub(super) fn script() -> Answer {
    let mut answer = Answer::empty(200)
        .replacing("cache-control", "private, max-age=300")
        .with("content-type", "text/javascript; charset=utf-8");
    answer.body.push_str(SCRIPT);
    answer
}

/// `POST /passkey/`: what the browser is to ask an authenticator, with a new challenge.
///
/// # Errors
/// [`Denial::CrossOrigin`], [`Denial::FormExpired`], why the form cannot be read, [`Denial::Passkey`], or a fault.
pub(super) async fn options(visit: &Visit<'_>) -> Result<Reply, Denial> {
    let rp_id = rp_id(visit).ok_or(Denial::UnknownEndpoint)?;
    let (form, is_own) = visit.read_form().await?;
    if !is_own {
        return Err(Denial::FormExpired);
    }
    let ceremony = match form.text("for").as_str() {
        "register" => Ceremony::Register,
        "sign_in" => Ceremony::SignIn,
        _ => return Err(PasskeyError::Form.into()),
    };
    let (user, set) = match ceremony {
        Ceremony::Register => {
            let user = fresh(visit).await?;
            // Called something before the first passkey is there.
            let platform = &visit.ctx.world.platform;
            let handle = random_secret(&*platform.entropy);
            let mut known = PasskeySet::default();
            let name_it = &mut |set: &mut PasskeySet| {
                if set.handle.is_empty() {
                    set.handle.clone_from(&handle);
                }
                known.clone_from(set);
                Ok(())
            };
            let passkeys = Passkeys(&*platform.records);
            passkeys.change(&user.id, name_it).await??;
            (Some(user), known)
        }
        Ceremony::SignIn => (None, PasskeySet::default()),
    };
    let name = user.as_ref().map(|user| visit.name_of(user));
    let mut answer = Answer::json(200, &Value::Null);
    answer.body = options_for(visit, rp_id, name, &set);
    Ok(answer.into())
}

/// The algorithms of [`crate::passkey::cose::ALGORITHMS`], as they are offered.
const OFFERED: &str = r#"[{"type":"public-key","alg":-8},{"type":"public-key","alg":-7},{"type":"public-key","alg":-257},{"type":"public-key","alg":-35},{"type":"public-key","alg":-36}]"#;

/// The options of a registration for `name`, or of a sign-in, as JSON.
fn options_for(visit: &Visit<'_>, rp_id: &str, name: Option<&str>, set: &PasskeySet) -> String {
    let challenge = random_secret(&*visit.ctx.world.platform.entropy);
    let expires = (visit.ctx.now + CHALLENGE_LIFETIME).millis();
    let (ceremony, session) = match name {
        Some(_) => (Ceremony::Register, visit.session_id()),
        None => (Ceremony::SignIn, ""),
    };
    let proof = visit.bind(&bound(ceremony, session, &challenge, expires));
    let head = format!(
        r#"{{"challenge":"{challenge}.{expires}.{proof}","publicKey":{{"challenge":"{challenge}","timeout":300000,"#
    );
    let Some(name) = name else {
        return format!(r#"{head}"rpId":"{rp_id}","userVerification":"required"}}}}"#);
    };
    let name = Value::from(name).to_string();
    let brand = Value::from(visit.name()).to_string();
    let mut known = String::new();
    for key in &set.keys {
        let comma = if known.is_empty() { "" } else { "," };
        known = format!(r#"{known}{comma}{{"type":"public-key","id":"{}"}}"#, key.id);
    }
    let handle = &set.handle;
    format!(
        r#"{head}"rp":{{"id":"{rp_id}","name":{brand}}},"user":{{"id":"{handle}","name":{name},"displayName":{name}}},"pubKeyCredParams":{OFFERED},"excludeCredentials":[{known}],"authenticatorSelection":{{"residentKey":"required","requireResidentKey":true,"userVerification":"required"}},"attestation":"none"}}}}"#
    )
}

/// The user whose credential a form asserts.
///
/// # Errors
/// [`Denial::Passkey`], [`Denial::SignInDelayed`], or a fault.
pub(super) async fn sign_in(visit: &Visit<'_>, form: &Form) -> Result<User, Denial> {
    let ctx = visit.ctx;
    let platform = &ctx.world.platform;
    let rp_id = rp_id(visit).ok_or(PasskeyError::Form)?;
    let client = Client::of(ctx.parts).to_string();
    if !platform.limit.allow(Counter::SignIns, &client).await? {
        return Err(Denial::SignInDelayed(Seconds(60)));
    }
    let response = Response::read(visit, form)?;
    let passkeys = Passkeys(&*platform.records);
    let owner = passkeys.owner(&response.id).await?;
    let owner = owner.ok_or(PasskeyError::Unknown)?;
    let set = passkeys.read(&owner).await?;
    let asserted = response.check(visit, rp_id, &set).await??;
    let newest = people::newest(ctx.world, &owner).await?;
    let user = newest.filter(|user| user.active && user.tenant.is_none());
    let user = user.ok_or(PasskeyError::UserDisabled)?;
    response.challenge.claim(visit).await?;
    let use_it = &mut |set: &mut PasskeySet| response.note(set, asserted, ctx.now);
    passkeys.change(&owner, use_it).await??;
    Ok(user)
}

/// What a browser answers to a challenge at a sign-in.
struct Response {
    challenge: Challenge,
    id: String,
    handle: String,
    client_data: Vec<u8>,
    data: Vec<u8>,
    signature: Vec<u8>,
}

impl Response {
    fn read(visit: &Visit<'_>, form: &Form) -> Result<Self, PasskeyError> {
        Ok(Self {
            challenge: Challenge::read(visit, form, Ceremony::SignIn, "")?,
            id: form.text("id"),
            handle: form.text("handle"),
            client_data: field(form, "client_data")?,
            data: field(form, "data")?,
            signature: field(form, "signature")?,
        })
    }

    /// What has to be written once the passkey was used.
    fn note(
        &self,
        set: &mut PasskeySet,
        asserted: Asserted,
        now: Timestamp,
    ) -> Result<(), PasskeyError> {
        let key = find(set, &self.id)?;
        // Another assertion may have come first.
        if !ceremony::has_grown(key.counter, asserted.counter) {
            return Err(PasskeyError::Cloned);
        }
        key.counter = asserted.counter;
        key.backed_up = asserted.backed_up;
        key.used_at = Some(now);
        Ok(())
    }

    async fn check(
        &self,
        visit: &Visit<'_>,
        rp_id: &str,
        set: &PasskeySet,
    ) -> Result<Result<Asserted, PasskeyError>, Fault> {
        let Some(key) = set.keys.iter().find(|key| key.id == self.id) else {
            return Ok(Err(PasskeyError::Unknown));
        };
        if self.handle != set.handle {
            return Ok(Err(PasskeyError::UserHandle));
        }
        let spki = URL_SAFE_NO_PAD.decode(&key.key);
        let assertion = Assertion {
            client_data: &self.client_data,
            authenticator_data: &self.data,
            signature: &self.signature,
        };
        let known = Known {
            number: key.algorithm,
            spki: &spki.map_err(|_| Fault::Record)?,
            counter: key.counter,
            backup_eligible: key.backup_eligible,
        };
        let origin = origin(visit);
        let expected = expected(visit, rp_id, &origin, &self.challenge.bytes);
        let crypto = &*visit.ctx.world.platform.crypto;
        ceremony::assert(crypto, assertion, known, &expected).await
    }
}

/// Adds, renames or removes a passkey of whoever is signed in, as the form says.
///
/// # Errors
/// [`Denial::Passkey`], or a fault.
pub(super) async fn change(visit: &Visit<'_>, form: &Form, action: &str) -> Result<(), Denial> {
    let user = fresh(visit).await?;
    let records = &*visit.ctx.world.platform.records;
    let has_password = Passwords(records).find(&user.id).await?.is_some();
    let providers = visit.ctx.site.providers.iter();
    let mut isses = providers.flat_map(|provider| provider.issuer.isses());
    let subject = user.subject.as_ref();
    let has_provider =
        subject.is_some_and(|subject| isses.any(|iss| iss == subject.issuer.as_str()));
    let has_other_way = visit.gateway.passwords && has_password || has_provider;
    let mut new = None;
    if action == "add_passkey" {
        let (challenge, passkey) = registration(visit, form)?;
        challenge.claim(visit).await?;
        new = Some(passkey);
    }
    let change = &mut |set: &mut PasskeySet| match &new {
        Some(new) => {
            // The handle was made with the challenge.
            if set.handle.is_empty() {
                return Err(PasskeyError::UserHandle);
            }
            if set.keys.len() >= MAX_PASSKEYS {
                return Err(PasskeyError::TooMany);
            }
            if set.keys.iter().any(|known| known.id == new.id) {
                return Err(PasskeyError::Registered);
            }
            set.keys.push(new.clone());
            Ok(())
        }
        None => edit(visit, form, action, has_other_way, set),
    };
    let audited_as = match action {
        "add_passkey" => Action::PasskeyAdded,
        "remove_passkey" => Action::PasskeyRemoved,
        _ => Action::PasskeyChanged,
    };
    let row = audited::of_person(visit.ctx, audited_as, &user);
    let act = audited::begin(visit.ctx, row).await?;
    let changed = match Passkeys(records).change(&user.id, change).await {
        Ok(changed) => changed.map_err(Denial::from),
        Err(fault) => Err(fault.into()),
    };
    act.end(visit.ctx, changed.as_ref().err()).await;
    changed
}

/// Renames or removes a passkey.
fn edit(
    visit: &Visit<'_>,
    form: &Form,
    action: &str,
    has_other_way: bool,
    set: &mut PasskeySet,
) -> Result<(), PasskeyError> {
    let id = form.text("id");
    let key = find(set, &id)?;
    match action {
        "name_passkey" => {
            key.name = name(form).ok_or(PasskeyError::Form)?;
            return Ok(());
        }
        "remove_passkey" => {}
        _ => return Err(PasskeyError::Form),
    }
    set.keys.retain(|key| key.id != id);
    // One that is for another rp id opens nothing here.
    let opens = |key: &Passkey| Some(&key.rp_id) == visit.gateway.passkeys.as_ref();
    if has_other_way || set.keys.iter().any(opens) {
        Ok(())
    } else {
        Err(PasskeyError::LastWay)
    }
}

/// The new passkey that a form attests, and the challenge that it answers.
fn registration(visit: &Visit<'_>, form: &Form) -> Result<(Challenge, Passkey), PasskeyError> {
    let rp_id = rp_id(visit).ok_or(PasskeyError::Form)?;
    let challenge = Challenge::read(visit, form, Ceremony::Register, visit.session_id())?;
    let origin = origin(visit);
    let expected = expected(visit, rp_id, &origin, &challenge.bytes);
    let (client_data, attestation) = (field(form, "client_data")?, field(form, "attestation")?);
    let registered = ceremony::register(&client_data, &attestation, &expected)?;
    let id = URL_SAFE_NO_PAD.encode(&registered.credential_id);
    if form.text("id") != id {
        return Err(PasskeyError::CredentialId);
    }
    let maker = u128::from_be_bytes(registered.aaguid) >> 64;
    let maker = MAKERS.iter().find(|(id, _)| u128::from(*id) == maker);
    let passkey = Passkey {
        id,
        name: name(form).unwrap_or_else(|| maker.map_or("Passkey", |(_, name)| name).to_owned()),
        rp_id: rp_id.to_owned(),
        algorithm: registered.key.number,
        key: URL_SAFE_NO_PAD.encode(&registered.key.spki),
        counter: registered.counter,
        backup_eligible: registered.backup_eligible,
        backed_up: registered.backed_up,
        created_at: visit.ctx.now,
        used_at: None,
    };
    Ok((challenge, passkey))
}

/// The passkeys of `user`, for the account page; `None` where the gateway has no passkeys at this host.
///
/// # Errors
/// A fault.
pub(super) async fn rows(visit: &Visit<'_>, user: &User) -> Result<Option<PasskeyRows>, Denial> {
    let Some(rp_id) = rp_id(visit) else {
        return Ok(None);
    };
    let records = &*visit.ctx.world.platform.records;
    let PasskeySet { handle, keys } = Passkeys(records).read(&user.id).await?;
    let here = keys.iter().filter(|key| key.rp_id == rp_id);
    let accepted: Vec<&str> = here.map(|key| key.id.as_str()).collect();
    Ok(Some(PasskeyRows {
        rp_id: rp_id.to_owned(),
        accepted: accepted.join(" "),
        handle,
        is_fresh: is_fresh(visit),
        rows: keys
            .into_iter()
            .map(|key| PasskeyRow {
                facts: facts(visit, &key),
                id: key.id,
                name: key.name,
            })
            .collect(),
    }))
}

/// What the account page says of a passkey.
fn facts(visit: &Visit<'_>, key: &Passkey) -> String {
    let kind = if key.backup_eligible {
        "passkey_synced"
    } else {
        "passkey_on_device"
    };
    let used = key.used_at.map_or_else(String::new, |at| {
        format!(" · {} {}", visit.text("passkey_used"), at.to_the_minute())
    });
    let (kind, since) = (visit.text(kind), visit.text("since"));
    format!("{kind} · {since} {}{used}", key.created_at.to_the_minute())
}

/// Whoever is signed in, if that was a moment ago.
async fn fresh(visit: &Visit<'_>) -> Result<User, Denial> {
    let user = visit.current().await?.filter(|_| is_fresh(visit));
    Ok(user.ok_or(PasskeyError::NotFresh)?)
}

/// Whether the person was asked to sign in at most [`FRESH`] ago. A provider may let a browser pass that it still knows.
fn is_fresh(visit: &Visit<'_>) -> bool {
    let proof = visit.session().and_then(|session| session.proof.as_ref());
    let asked_at = proof.and_then(|proof| proof.at);
    asked_at.is_some_and(|at| visit.ctx.now < at + FRESH)
}

/// The passkey with this credential id.
fn find<'a>(set: &'a mut PasskeySet, id: &str) -> Result<&'a mut Passkey, PasskeyError> {
    let found = set.keys.iter_mut().find(|key| key.id == id);
    found.ok_or(PasskeyError::Unknown)
}

/// A challenge of ours that is answered.
struct Challenge {
    text: String,
    bytes: Vec<u8>,
}

impl Challenge {
    /// Reads the challenge of a form, which must be for this browser, this session and this ceremony, and not be over.
    fn read(
        visit: &Visit<'_>,
        form: &Form,
        ceremony: Ceremony,
        session: &str,
    ) -> Result<Self, PasskeyError> {
        let state = form.text("challenge");
        let mut parts = state.splitn(3, '.');
        let (Some(text), Some(expires), Some(proof)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(PasskeyError::Form);
        };
        let expires: u64 = expires.parse().map_err(|_| PasskeyError::Form)?;
        if !visit.is_bound(&bound(ceremony, session, text, expires), proof) {
            return Err(PasskeyError::ForeignChallenge);
        }
        if visit.ctx.now >= Timestamp::from_millis(expires) {
            return Err(PasskeyError::ExpiredChallenge);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text);
        Ok(Self {
            bytes: bytes.map_err(|_| PasskeyError::Form)?,
            text: text.to_owned(),
        })
    }

    /// Uses it up.
    async fn claim(&self, visit: &Visit<'_>) -> Result<(), Denial> {
        let platform = &visit.ctx.world.platform;
        if passkeys::claim(platform, &self.text, visit.ctx.now).await? {
            Ok(())
        } else {
            Err(PasskeyError::UsedChallenge.into())
        }
    }
}

fn bound(ceremony: Ceremony, session: &str, challenge: &str, expires: u64) -> String {
    let ceremony = ceremony.client_data_type();
    format!("{ceremony}\n{session}\n{challenge}\n{expires}")
}

fn expected<'a>(
    visit: &Visit<'a>,
    rp_id: &'a str,
    origin: &'a str,
    challenge: &'a [u8],
) -> Expected<'a> {
    Expected {
        rp_id,
        origin,
        top_origins: &visit.ctx.site.frame_ancestors,
        challenge,
        user_verification: true,
    }
}

/// The origin of the page, which sends its forms to where it came from.
fn origin(visit: &Visit<'_>) -> String {
    let parts = visit.ctx.parts;
    format!("{}://{}", parts.scheme(), parts.authority())
}

/// The bytes of a field.
fn field(form: &Form, name: &str) -> Result<Vec<u8>, PasskeyError> {
    let text = form.text(name);
    let bytes = URL_SAFE_NO_PAD.decode(&text).ok();
    let fits = |bytes: &Vec<u8>| !bytes.is_empty() && bytes.len() <= MAX_FIELD;
    bytes.filter(fits).ok_or(PasskeyError::Form)
}

/// The name that somebody gives to a passkey.
fn name(form: &Form) -> Option<String> {
    let text = form.text("passkey_name");
    let plain = text.chars().filter(|c| !c.is_control());
    let name: String = plain.take(MAX_NAME).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passkey::cose::ALGORITHMS;

    #[test]
    fn what_is_offered_is_what_is_accepted() {
        let offered: Vec<Value> = serde_json::from_str(OFFERED).unwrap();
        let offered = offered.iter().map(|one| one["alg"].as_i64().unwrap());
        let accepted = ALGORITHMS.iter().map(|(number, _)| *number);
        assert_eq!(offered.collect::<Vec<_>>(), accepted.collect::<Vec<_>>());
        assert_eq!(
            CHALLENGE_LIFETIME,
            Seconds(300),
            "as the timeout in the options"
        );
    }
}
