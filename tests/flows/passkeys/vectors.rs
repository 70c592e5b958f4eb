//! The test vectors of Web Authentication Level 3 (`tests/data/webauthn-l3.json`), by their names: 14 pass, the one with
//! Ed448 is refused. They are all good, so from each is made what is bad: every checked field changed alone, which is
//! refused for that field's own reason.

use edgeward::passkey::PasskeyError::{self, *};
use edgeward::passkey::authenticator_data::AuthenticatorData;
use edgeward::passkey::ceremony::{
    Asserted, Assertion, Ceremony, Expected, Known, Registered, assert, register,
};
use edgeward::passkey::client_data;
use serde_json::{Value, json};

use crate::harness::{Edge, Isolate, run};

const ED448: &str = "Packed Attestation with Ed448 Credential";

struct Vector {
    name: String,
    challenge: Vec<u8>,
    credential_id: Vec<u8>,
    client_data: Vec<u8>,
    attestation: Vec<u8>,
    asserted_challenge: Vec<u8>,
    asserted_client_data: Vec<u8>,
    data: Vec<u8>,
    signature: Vec<u8>,
}

fn document() -> Value {
    serde_json::from_str(include_str!("../../data/webauthn-l3.json")).unwrap()
}

fn vectors() -> Vec<Vector> {
    let bytes = |value: &Value| {
        let text = value.as_str().unwrap();
        let pairs = (0..text.len()).step_by(2);
        pairs
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect::<Vec<u8>>()
    };
    let document = document();
    let all = document["vectors"].as_array().unwrap();
    all.iter()
        .map(|vector| {
            let (made, used) = (&vector["registration"], &vector["authentication"]);
            Vector {
                name: vector["name"].as_str().unwrap().to_owned(),
                challenge: bytes(&made["challenge"]),
                credential_id: bytes(&made["credential_id"]),
                client_data: bytes(&made["clientDataJSON"]),
                attestation: bytes(&made["attestationObject"]),
                asserted_challenge: bytes(&used["challenge"]),
                asserted_client_data: bytes(&used["clientDataJSON"]),
                data: bytes(&used["authenticatorData"]),
                signature: bytes(&used["signature"]),
            }
        })
        .collect()
}

fn accepted() -> Vec<Vector> {
    let mut all = vectors();
    all.retain(|vector| vector.name != ED448);
    assert_eq!(all.len(), 14);
    all
}

/// What the vectors expect; user verification is not in all of them.
struct Wanted {
    rp_id: String,
    origin: String,
    tops: Vec<String>,
    challenge: Vec<u8>,
    verified: bool,
}

impl Wanted {
    fn new(challenge: &[u8]) -> Self {
        let document = document();
        let text = |name: &str| document[name].as_str().unwrap().to_owned();
        Self {
            rp_id: text("rp_id"),
            origin: text("origin"),
            tops: vec![text("top_origin")],
            challenge: challenge.to_vec(),
            verified: false,
        }
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            rp_id: &self.rp_id,
            origin: &self.origin,
            top_origins: &self.tops,
            challenge: &self.challenge,
            user_verification: self.verified,
        }
    }
}

impl Vector {
    fn registered(&self) -> Result<Registered, PasskeyError> {
        let wanted = Wanted::new(&self.challenge);
        register(&self.client_data, &self.attestation, &wanted.expected())
    }

    /// The position of the authenticator data in the attestation object: they are its last item.
    fn data_at(&self) -> usize {
        let marker = b"hauthData";
        let windows = self.attestation.windows(marker.len());
        let at = windows.enumerate().find(|(_, it)| it == marker).unwrap().0 + marker.len();
        match self.attestation[at] {
            0x58 => at + 2,
            0x59 => at + 3,
            other => panic!("{other:x}"),
        }
    }
}

fn world() -> Isolate {
    Edge::new(&json!({})).isolate()
}

fn asserts(
    isolate: &Isolate,
    vector: &Vector,
    wanted: &Wanted,
    known: Known<'_>,
) -> Result<Asserted, PasskeyError> {
    let assertion = Assertion {
        client_data: &vector.asserted_client_data,
        authenticator_data: &vector.data,
        signature: &vector.signature,
    };
    let crypto = &*isolate.world.platform.crypto;
    run(assert(crypto, assertion, known, &wanted.expected()))
        .0
        .unwrap()
}

fn known(registered: &Registered) -> Known<'_> {
    Known {
        number: registered.key.number,
        spki: &registered.key.spki,
        counter: registered.counter,
        backup_eligible: registered.backup_eligible,
    }
}

#[test]
fn the_published_vectors_pass_and_ed448_is_refused() {
    let isolate = world();
    let mut passed = Vec::new();
    for vector in vectors() {
        let registered = match vector.registered() {
            Ok(registered) => registered,
            Err(error) => {
                assert_eq!((vector.name.as_str(), error), (ED448, Algorithm));
                continue;
            }
        };
        assert_eq!(
            registered.credential_id, vector.credential_id,
            "{}",
            vector.name
        );
        let wanted = Wanted::new(&vector.asserted_challenge);
        let asserted = asserts(&isolate, &vector, &wanted, known(&registered));
        assert!(asserted.is_ok(), "{}: {asserted:?}", vector.name);
        passed.push(vector.name);
    }
    assert_eq!(
        passed,
        [
            "ES256 Credential with No Attestation",
            "ES256 Credential with Self Attestation",
            "ES256 Credential with \"crossOrigin\": true in clientDataJSON",
            "ES256 Credential with \"topOrigin\" in clientDataJSON",
            "ES256 Credential with very long credential ID",
            "Packed Attestation with ES256 Credential",
            "Packed Attestation with ES384 Credential",
            "Packed Attestation with ES512 Credential",
            "Packed Attestation with RS256 Credential",
            "Packed Attestation with Ed25519 Credential",
            "TPM Attestation with ES256 Credential",
            "Android Key Attestation with ES256 Credential",
            "Apple Anonymous Attestation with ES256 Credential",
            "FIDO U2F Attestation with ES256 Credential",
        ]
    );
}

/// `bytes` with `old` replaced, which must be there once.
fn replaced(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    let text = str::from_utf8(bytes).unwrap();
    assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
    text.replace(old, new).into_bytes()
}

/// What is changed of client data, and the reason that follows.
fn bad_client_data(vector: &Vector, good: &[u8], ceremony: Ceremony) {
    let challenge = match ceremony {
        Ceremony::Register => &vector.challenge,
        Ceremony::SignIn => &vector.asserted_challenge,
    };
    let reason = |bytes: &[u8], change: &dyn Fn(&mut Wanted)| {
        let mut wanted = Wanted::new(challenge);
        change(&mut wanted);
        client_data::check(bytes, ceremony, &wanted.expected()).err()
    };
    let same = |bytes: &[u8]| reason(bytes, &|_| {});
    let (name, kind) = (&vector.name, ceremony.client_data_type());
    assert_eq!(same(good), None, "{name}");
    for other in [
        "webauthn.get",
        "webauthn.create",
        "payment.get",
        "",
        "Webauthn.get",
    ] {
        if other != kind {
            let bad = replaced(good, &format!("\"{kind}\""), &format!("\"{other}\""));
            assert_eq!(same(&bad), Some(Type), "{name}: {other}");
        }
    }
    for at in 0..challenge.len() {
        let other = |wanted: &mut Wanted| wanted.challenge[at] ^= 1;
        assert_eq!(reason(good, &other), Some(Challenge), "{name}");
    }
    let cut = |wanted: &mut Wanted| wanted.challenge.truncate(31);
    assert_eq!(reason(good, &cut), Some(Challenge), "{name}");
    for other in [
        "http://example.org",
        "https://example.org:8443",
        "https://example.org/",
        "https://www.example.org",
        "https://EXAMPLE.org",
        "https://example.org.evil.example",
        "https://example.com",
        "null",
        "",
    ] {
        let bad = replaced(good, "\"https://example.org\"", &format!("\"{other}\""));
        assert_eq!(same(&bad), Some(Origin), "{name}: {other}");
    }
    let text = str::from_utf8(good).unwrap();
    if text.contains("topOrigin") {
        let others = |wanted: &mut Wanted| wanted.tops = vec!["https://example.net".into()];
        assert_eq!(reason(good, &others), Some(TopOrigin), "{name}");
        let nobody = |wanted: &mut Wanted| wanted.tops.clear();
        assert_eq!(reason(good, &nobody), Some(TopOrigin), "{name}");
        let bad = replaced(good, "\"crossOrigin\":true", "\"crossOrigin\":false");
        assert_eq!(same(&bad), Some(CrossOrigin), "{name}");
        let bad = replaced(good, "\"https://example.com\"", "1");
        assert_eq!(same(&bad), Some(ClientData), "{name}");
    } else {
        let framed = text.replace("\"crossOrigin\":false", "\"crossOrigin\":true");
        assert!(framed.contains("\"crossOrigin\":true"), "{name}");
        let nobody = |wanted: &mut Wanted| wanted.tops.clear();
        assert_eq!(
            reason(framed.as_bytes(), &nobody),
            Some(CrossOrigin),
            "{name}"
        );
        let bad = framed.replace("\"crossOrigin\":true", "\"crossOrigin\":1");
        assert_eq!(same(bad.as_bytes()), Some(ClientData), "{name}");
    }
    for missing in ["type", "challenge", "origin"] {
        let bad = replaced(good, &format!("\"{missing}\":"), "\"other\":");
        assert_eq!(same(&bad), Some(ClientData), "{name}: {missing}");
        let twice = format!("{},\"{missing}\":\"x\"}}", text.strip_suffix('}').unwrap());
        assert_eq!(
            same(twice.as_bytes()),
            Some(ClientData),
            "{name}: {missing}"
        );
    }
    for bad in [&good[1..], &good[..good.len() - 1], b"[]", b"", b"null"] {
        assert_eq!(same(bad), Some(ClientData), "{name}");
    }
    for bad in [format!("{text} x"), format!("\u{feff}{text}")] {
        assert_eq!(same(bad.as_bytes()), Some(ClientData), "{name}");
    }
}

#[test]
fn sec_110_each_member_of_client_data_has_its_own_reason() {
    for vector in accepted() {
        bad_client_data(&vector, &vector.client_data, Ceremony::Register);
        bad_client_data(&vector, &vector.asserted_client_data, Ceremony::SignIn);
    }
}

#[test]
fn sec_110_each_field_of_a_registration_has_its_own_reason() {
    for vector in accepted() {
        let name = &vector.name;
        let data = vector.data_at();
        let reason = |bytes: &[u8], change: &dyn Fn(&mut Wanted)| {
            let mut wanted = Wanted::new(&vector.challenge);
            change(&mut wanted);
            register(&vector.client_data, bytes, &wanted.expected()).err()
        };
        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = vector.attestation.clone();
            change(&mut bytes);
            reason(&bytes, &|_| {})
        };
        let at = |at: usize, new: &dyn Fn(u8) -> u8| {
            changed(&|bytes| bytes[data + at] = new(bytes[data + at]))
        };
        assert_eq!(changed(&|_| {}), None, "{name}");
        for byte in 0..32 {
            assert_eq!(at(byte, &|old| old ^ 1), Some(RpId), "{name}");
        }
        let other = |wanted: &mut Wanted| wanted.rp_id = "www.example.org".into();
        assert_eq!(reason(&vector.attestation, &other), Some(RpId), "{name}");
        assert_eq!(at(32, &|old| old & !1), Some(UserPresence), "{name}");
        let mut unverified = vector.attestation.clone();
        unverified[data + 32] &= !4;
        let verified = |wanted: &mut Wanted| wanted.verified = true;
        assert_eq!(
            reason(&unverified, &verified),
            Some(UserVerification),
            "{name}"
        );
        assert_eq!(at(32, &|old| old & !8 | 16), Some(BackupState), "{name}");
        assert_eq!(at(32, &|old| old & !64), Some(Length), "{name}");
        assert_eq!(at(32, &|old| old | 128), Some(Extensions), "{name}");
        for (high, low) in [(0, 0), (4, 0), (255, 255)] {
            let length = changed(&|bytes| {
                bytes[data + 53] = high;
                bytes[data + 54] = low;
            });
            assert_eq!(length, Some(CredentialIdLength), "{name}");
        }
        // The key: kty, alg and, but for RSA, crv.
        let key = 55 + vector.credential_id.len();
        assert_eq!(at(key + 2, &|old| old + 1), Some(Key), "{name}");
        assert_eq!(at(key + 3, &|_| 4), Some(Key), "{name}");
        let registered = vector.registered().unwrap();
        match registered.key.number {
            -257 => assert_eq!(at(key + 6, &|_| 1), Some(Algorithm), "{name}"),
            -35 | -36 => assert_eq!(at(key + 5, &|_| 0x2e), Some(Algorithm), "{name}"),
            _ => assert_eq!(at(key + 4, &|_| 0x28), Some(Algorithm), "{name}"),
        }
        let crv = match registered.key.number {
            -7 | -8 => key + 6,
            _ => key + 7,
        };
        if registered.key.number != -257 {
            for other in [0, 4, 7, 8] {
                assert_eq!(at(crv, &|_| other), Some(Curve), "{name}");
            }
        }
        for (old, new) in [
            ("hauthData", "hauthDatb"),
            ("gattStmt", "gattStmu"),
            ("cfmt", "cfmu"),
        ] {
            let renamed = changed(&|bytes| {
                let mut places = bytes.windows(old.len());
                let at = places.position(|place| place == old.as_bytes()).unwrap();
                bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
            });
            assert_eq!(renamed, Some(Attestation), "{name}: {old}");
        }
        assert_eq!(changed(&|bytes| bytes.push(0)), Some(Cbor), "{name}");
        assert_eq!(
            changed(&|bytes| bytes.truncate(bytes.len() - 1)),
            Some(Cbor),
            "{name}"
        );
        assert_eq!(changed(&|bytes| bytes[0] += 1), Some(Cbor), "{name}");
        assert_eq!(changed(&Vec::clear), Some(Cbor), "{name}");
        let whole = &vector.attestation[data..];
        for length in 0..whole.len() {
            assert!(
                AuthenticatorData::parse(&whole[..length]).is_err(),
                "{name}: {length}"
            );
        }
        let longer = [whole, &[0]].concat();
        assert_eq!(
            AuthenticatorData::parse(&longer).err(),
            Some(Length),
            "{name}"
        );
        // Extensions that are there and well-formed are read over.
        let mut extended = [whole, b"\xa1kcredProtect\x02"].concat();
        extended[32] |= 128;
        assert!(AuthenticatorData::parse(&extended).is_ok(), "{name}");
    }
}

#[test]
fn a_statement_that_says_nothing_is_empty() {
    let vector = &accepted()[0];
    let data = &vector.attestation[vector.data_at() - 2..];
    let head = b"\xa3cfmtdnonegattStmt\xa1calg&hauthData";
    let attestation = [head, data].concat();
    let wanted = Wanted::new(&vector.challenge);
    let result = register(&vector.client_data, &attestation, &wanted.expected());
    assert_eq!(result.err(), Some(Attestation));
}

#[test]
fn a_registration_without_a_credential_is_none() {
    let vector = &accepted()[0];
    let mut data = vector.data.clone();
    data[32] &= !8 & !16;
    let head = b"\xa3cfmtdnonegattStmt\xa0hauthData\x58\x25";
    let attestation = [head, data.as_slice()].concat();
    let wanted = Wanted::new(&vector.challenge);
    let result = register(&vector.client_data, &attestation, &wanted.expected());
    assert_eq!(result.err(), Some(Attested));
}

#[test]
fn sec_110_each_field_of_an_assertion_has_its_own_reason() {
    let isolate = world();
    let all = accepted();
    for (index, vector) in all.iter().enumerate() {
        let name = &vector.name;
        let registered = vector.registered().unwrap();
        let of = |vector: &Vector, change: &dyn Fn(&mut Wanted), known: Known<'_>| {
            let mut wanted = Wanted::new(&vector.asserted_challenge);
            change(&mut wanted);
            asserts(&isolate, vector, &wanted, known).err()
        };
        let changed = |change: &dyn Fn(&mut Vector)| {
            let mut bad = vectors().into_iter().find(|it| it.name == *name).unwrap();
            change(&mut bad);
            of(&bad, &|_| {}, known(&registered))
        };
        assert_eq!(changed(&|_| {}), None, "{name}");
        for byte in 0..32 {
            assert_eq!(changed(&|it| it.data[byte] ^= 128), Some(RpId), "{name}");
        }
        assert_eq!(
            changed(&|it| it.data[32] &= !1),
            Some(UserPresence),
            "{name}"
        );
        let verified = |wanted: &mut Wanted| wanted.verified = true;
        let mut unverified = vectors().swap_remove(index + usize::from(index >= 10));
        unverified.data[32] &= !4;
        let unverified = of(&unverified, &verified, known(&registered));
        assert_eq!(unverified, Some(UserVerification), "{name}");
        let state = changed(&|it| it.data[32] = it.data[32] & !8 | 16);
        assert_eq!(state, Some(BackupState), "{name}");
        let eligible = Known {
            backup_eligible: !registered.backup_eligible,
            ..known(&registered)
        };
        assert_eq!(
            of(vector, &|_| {}, eligible),
            Some(BackupEligibility),
            "{name}"
        );
        assert_eq!(
            changed(&|it| it.data[32] |= 128),
            Some(Extensions),
            "{name}"
        );
        assert_eq!(changed(&|it| it.data[32] |= 64), Some(Length), "{name}");
        assert_eq!(changed(&|it| it.data.push(0)), Some(Length), "{name}");
        assert_eq!(changed(&|it| it.data.truncate(36)), Some(Length), "{name}");
        let with_credential = changed(&|it| it.data = it.attestation[it.data_at()..].to_vec());
        assert_eq!(with_credential, Some(Attested), "{name}");
        // Signed, and not checked otherwise.
        assert_eq!(changed(&|it| it.data[36] ^= 1), Some(Signature), "{name}");
        let spaced = changed(&|it| it.asserted_client_data.push(b' '));
        assert_eq!(spaced, Some(Signature), "{name}");
        for at in 0..vector.signature.len() {
            assert_eq!(
                changed(&|it| it.signature[at] ^= 1),
                Some(Signature),
                "{name}: {at}"
            );
        }
        let cut = vector.signature[1..].to_vec();
        for bad in [
            Vec::new(),
            cut,
            [vector.signature.as_slice(), &[0]].concat(),
        ] {
            assert_eq!(
                changed(&|it| it.signature.clone_from(&bad)),
                Some(Signature),
                "{name}"
            );
        }
        let other = all.iter().filter_map(|other| {
            let theirs = other.registered().unwrap();
            let fits = theirs.key.number == registered.key.number && other.name != *name;
            fits.then_some(theirs)
        });
        for other in other {
            let theirs = Known {
                spki: &other.key.spki,
                ..known(&registered)
            };
            assert_eq!(of(vector, &|_| {}, theirs), Some(Signature), "{name}");
        }
        for counter in [1, u32::MAX] {
            let ahead = Known {
                counter,
                ..known(&registered)
            };
            assert_eq!(of(vector, &|_| {}, ahead), Some(Cloned), "{name}");
        }
        // Nobody learns of a clone without the signature.
        let mut forged = vectors().into_iter().find(|it| it.name == *name).unwrap();
        forged.signature.truncate(8);
        let ahead = Known {
            counter: 7,
            ..known(&registered)
        };
        assert_eq!(of(&forged, &|_| {}, ahead), Some(Signature), "{name}");
    }
}
