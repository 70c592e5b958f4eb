//! The signed assertion, and the keys that origins verify it with.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgeward::model::api_token::Scope;
use edgeward::pipeline::Action;
use futures_util::future::join;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::elliptic_curve::generic_array::GenericArray;
use p256::{EncodedPoint, PublicKey};
use serde_json::{Value, json};

use crate::harness::request::{Seen, get, open};
use crate::harness::shared::{Lag, Trouble, Verb};
use crate::harness::{Edge, Isolate, SSO, claims_of, run, step};

const HEADER: &str = "x-edgeward-assertion";

fn signed_in(settings: &Value) -> (Edge, Isolate, String, String) {
    let edge = Edge::new(settings);
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let session = isolate.sign_in(&admin, "anna@example.com");
    (edge, isolate, admin, session)
}

fn assertion(isolate: &Isolate, session: &str) -> String {
    let origin = isolate.send(&get("/").cookie(session)).origin();
    origin.header(HEADER).unwrap().to_owned()
}

fn key_set(isolate: &Isolate) -> Value {
    let seen = isolate.send(&get("/.well-known/jwks.json"));
    assert_eq!(seen.status(), 200, "{}", seen.body());
    seen.json()
}

fn header_of(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

/// What an origin does: find the key by its name, check the signature with it.
fn verifies(token: &str, set: &Value) -> bool {
    let kid = &header_of(token)["kid"];
    let keys = set["keys"].as_array().unwrap();
    let Some(key) = keys.iter().find(|key| key["kid"] == *kid) else {
        return false;
    };
    let coordinate = |name: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        *GenericArray::from_slice(&bytes)
    };
    let point = EncodedPoint::from_affine_coordinates(&coordinate("x"), &coordinate("y"), false);
    let key = VerifyingKey::from(PublicKey::from_sec1_bytes(point.as_bytes()).unwrap());
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let signature = Signature::from_slice(&signature).unwrap();
    key.verify(input.as_bytes(), &signature).is_ok()
}

#[test]
fn sec_68_an_origin_can_check_by_itself_that_a_request_came_through_us() {
    let (edge, isolate, _, session) = signed_in(&json!({}));
    let token = assertion(&isolate, &session);
    let set = key_set(&isolate);
    assert!(verifies(&token, &set));
    assert!(!verifies(&crate::harness::tampered(&token), &set));
    let other = Edge::new(&json!({}));
    other.isolate();
    assert!(
        !verifies(&token, &key_set(&other.isolate())),
        "another installation's keys"
    );
    let header = header_of(&token);
    assert_eq!(
        (&header["alg"], &header["typ"]),
        (&json!("ES256"), &json!("assertion+jwt"))
    );
    let claims = claims_of(&token);
    let me = isolate.me(&session).unwrap();
    assert_eq!(claims["sub"], me["user"]["id"]);
    assert_eq!(claims["email"], "anna@example.com");
    assert_eq!(claims["iss"], "edgeward");
    assert_eq!(claims["aud"], "https://origin.example");
    assert_eq!(claims["iat"], edge.now().seconds());
    assert_eq!(claims["exp"], edge.now().seconds() + 300);
    assert_eq!(
        claims["sid"],
        claims_of(session.split_once('=').unwrap().1)["jti"]
    );
}

#[test]
fn the_key_set_is_public_and_shows_nothing_private() {
    let (_, isolate, ..) = signed_in(&json!({}));
    let seen = isolate.send(&get("/.well-known/jwks.json").header("origin", "https://x.example"));
    assert_eq!(seen.header("cache-control"), Some("public, max-age=60"));
    let set = seen.json();
    for key in set["keys"].as_array().unwrap() {
        let members: Vec<&String> = key.as_object().unwrap().keys().collect();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        // RFC 7638: anybody can make the key's name out of the key.
        let thumbprint = format!(
            r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#,
            key["x"], key["y"]
        );
        let digest = edgeward::platform::digest::sha256(thumbprint.as_bytes());
        assert_eq!(key["kid"], URL_SAFE_NO_PAD.encode(digest));
    }
}

#[test]
fn an_assertion_is_signed_once_per_session_and_sent_while_it_is_fresh() {
    let (edge, isolate, _, session) = signed_in(&json!({}));
    let first = assertion(&isolate, &session);
    let signed = edge.shared.count(Verb::Sign);
    edge.wait(199);
    assert_eq!(assertion(&isolate, &session), first);
    assert_eq!(edge.shared.count(Verb::Sign), signed);
    // A third of its life is left for the way to the origin.
    edge.wait(1);
    let second = assertion(&isolate, &session);
    assert_ne!(second, first);
    assert_eq!(edge.shared.count(Verb::Sign), signed + 1);
}

/// Twenty requests of one session come at once to an isolate that has not seen it. Clients of the first `left` leave
/// while they wait; then there is `trouble`. Gives how often the store was read, how many signatures were made, and
/// how many requests were forwarded.
fn twenty_at_once(left: usize, trouble: Trouble) -> [usize; 3] {
    let (edge, isolate, _, session) = signed_in(&json!({}));
    let other = edge.isolate();
    // The keys are read; the session is new here.
    let api_token = edge.api_token(&[Scope::Admin]);
    let another = isolate.sign_in(&api_token, "other@b.c");
    assert!(other.send(&get("/").cookie(&another)).is_forwarded());
    let count = || [Verb::KvRead, Verb::Sign].map(|verb| edge.shared.count(verb));
    let before = count();
    edge.shared.make(trouble);
    let begin = || Some(Box::pin(other.begin(&get("/").cookie(&session))));
    let mut requests: Vec<_> = (0..20).map(|_| begin()).collect();
    let (mut answered, mut forwarded) = (0, 0);
    for round in 0..100 {
        if round == 2 {
            requests
                .iter_mut()
                .take(left)
                .for_each(|request| *request = None);
        }
        for request in &mut requests {
            if let Some(outcome) = request.as_mut().and_then(step) {
                answered += 1;
                forwarded += usize::from(matches!(outcome.action, Action::Forward(_)));
                *request = None;
            }
        }
    }
    assert_eq!(answered, 20 - left);
    let [reads, signatures] = count();
    [reads - before[0], signatures - before[1], forwarded]
}

#[test]
fn requests_of_a_session_that_come_at_once_share_two_reads_and_one_signature() {
    assert_eq!(twenty_at_once(0, Trouble::None), [2, 1, 20]);
}

#[test]
fn a_client_that_leaves_while_its_request_reads_or_signs_holds_up_nobody() {
    for left in [1, 2, 19] {
        let [reads, signatures, forwarded] = twenty_at_once(left, Trouble::None);
        assert!((2..=4).contains(&reads), "{left}: {reads}");
        assert!((1..=2).contains(&signatures), "{left}: {signatures}");
        assert_eq!(forwarded, 20 - left);
    }
}

#[test]
fn a_read_or_signature_that_fails_fails_for_one_request_and_is_made_again() {
    for call in 0..3 {
        let [_, _, forwarded] = twenty_at_once(0, Trouble::Call(call));
        assert_eq!(forwarded, 19, "call {call}");
    }
}

#[test]
fn a_changed_user_has_a_changed_assertion_at_the_next_request() {
    let (edge, isolate, admin, session) = signed_in(&json!({}));
    let first = assertion(&isolate, &session);
    edge.wait(2);
    let path = format!(
        "/api/sso/users/{}",
        claims_of(&first)["sub"].as_str().unwrap()
    );
    isolate.admin(
        &admin,
        "PATCH",
        &path,
        &json!({"first_name": "Ann", "staff": true}),
    );
    let claims = claims_of(&assertion(&isolate, &session));
    assert_eq!(
        (&claims["name"], &claims["staff"]),
        (&json!("Ann"), &json!(true))
    );
}

#[test]
fn only_somebody_signed_in_at_a_site_that_wants_one_has_an_assertion() {
    let told = |seen: &Seen| seen.origin().header(HEADER).map(str::to_owned);
    let edge = Edge::new(
        &json!({"unauthenticated": "pass", "query": {"single_use": false, "user_switch": "replace"}}),
    );
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::Admin]);
    let token = isolate.issue(&api_token, "a@b.c");
    let link = isolate.issue(&api_token, "a@b.c");
    assert_eq!(told(&isolate.send(&open("/"))), None);
    for request in [
        get("/").bearer(&token),
        get("/").cookie(&format!("{SSO}={token}")),
        get(&format!("/?token={link}")),
    ] {
        let assertion = told(&isolate.send(&request)).unwrap();
        assert_eq!(claims_of(&assertion).get("sid"), None);
    }
    let (_, isolate, _, session) = signed_in(&json!({"assertion": null}));
    assert_eq!(told(&isolate.send(&get("/").cookie(&session))), None);
    let settings = json!({"assertion": {"header": "X-Proof", "audience": "app", "lifetime": 60}});
    let (_, isolate, _, session) = signed_in(&settings);
    let origin = isolate.send(&get("/").cookie(&session)).origin();
    let claims = claims_of(origin.header("x-proof").unwrap());
    assert_eq!(claims["aud"], "app");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        60
    );
}

#[test]
fn isolates_that_find_no_key_at_the_same_time_come_to_the_same_one() {
    let edge = Edge::new(&json!({}));
    edge.shared.lag.set(Lag::Everywhere);
    let (one, two) = (edge.isolate(), edge.isolate());
    let request = get("/.well-known/jwks.json");
    run(join(one.begin(&request), two.begin(&request)));
    assert_eq!(key_set(&one), key_set(&two));
    let values = edge.shared.values.borrow();
    let stored: Value = serde_json::from_str(&values["signing_keys"].0).unwrap();
    assert_eq!(stored["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn a_rotation_signs_nobody_out_and_leaves_no_assertion_without_its_key() {
    let (edge, here, admin, session) = signed_in(&json!({"assertion": {"lifetime": 900}}));
    edge.shared.lag.set(Lag::Elsewhere);
    let there = edge.isolate();
    assertion(&there, &session);
    // Every assertion that was ever sent, by when it ends.
    let mut sent: BTreeMap<String, u64> = BTreeMap::new();
    let mut used = std::collections::BTreeSet::new();
    let mut sets = vec![key_set(&here), key_set(&there)];
    for minute in 0..60 {
        if minute == 5 {
            let (status, _) = here.admin(&admin, "POST", "/api/sso/keys/rotate", &Value::Null);
            assert_eq!(status, 200);
        }
        for isolate in [&here, &there] {
            let token = assertion(isolate, &session);
            used.insert(header_of(&token)["kid"].to_string());
            sent.insert(token.clone(), claims_of(&token)["exp"].as_u64().unwrap());
        }
        sent.retain(|_, end| *end > edge.now().seconds());
        // The sets as they are served now, and as an origin may have kept them for a minute.
        let fresh = [key_set(&here), key_set(&there)];
        let named = |set: &Value, kid: &Value| {
            let keys = set["keys"].as_array().unwrap();
            keys.iter().any(|key| key["kid"] == *kid)
        };
        for set in sets.iter().chain(&fresh) {
            for token in sent.keys() {
                assert!(
                    named(set, &header_of(token)["kid"]),
                    "after {minute} minutes"
                );
            }
        }
        for token in sent.keys().take(1) {
            assert!(verifies(token, &fresh[0]));
        }
        sets = fresh.to_vec();
        edge.wait(60);
    }
    assert_eq!(used.len(), 2, "the new key signs");
    // The old key is not published for ever, and the next rotation drops it.
    assert_eq!(key_set(&here)["keys"].as_array().unwrap().len(), 1);
    let (_, keys) = here.admin(&admin, "POST", "/api/sso/keys/rotate", &Value::Null);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
}

#[test]
fn a_new_key_secret_seals_new_keys_and_the_old_one_still_opens_old_keys() {
    let (edge, isolate, admin, session) = signed_in(&json!({}));
    let kid = |token: &str| header_of(token)["kid"].clone();
    let old = kid(&assertion(&isolate, &session));
    let other: String = crate::harness::KEY_SECRET.chars().rev().collect();
    let next = edge.deployed(|bindings| {
        bindings.insert("EDGEWARD_KEY_SECRET_2".into(), other);
    });
    let isolate = next.isolate();
    assert_eq!(kid(&assertion(&isolate, &session)), old);
    let (_, keys) = isolate.admin(&admin, "POST", "/api/sso/keys/rotate", &Value::Null);
    let sealed: Vec<u64> = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|k| k["sealed_with"].as_u64().unwrap())
        .collect();
    assert_eq!(sealed, [1, 2]);
    edge.wait(600);
    let token = assertion(&isolate, &session);
    assert_ne!(kid(&token), old);
    assert!(verifies(&token, &key_set(&isolate)));
    // Once the old key has had its time, its secret can go.
    edge.wait(3600);
    let retired = next.deployed(|bindings| {
        bindings.remove("EDGEWARD_KEY_SECRET_1");
    });
    assert!(
        retired
            .isolate()
            .send(&get("/").cookie(&session))
            .is_forwarded()
    );
}

#[test]
fn a_rotated_session_or_token_secret_signs_nobody_out_until_the_old_one_is_retired() {
    let (edge, isolate, admin, session) = signed_in(&json!({}));
    let token = isolate.issue(&admin, "anna@example.com");
    let next = edge.deployed(|bindings| {
        for (name, old) in [
            ("SESSION", crate::harness::SESSION_SECRET),
            ("TOKEN", crate::harness::TOKEN_SECRET),
        ] {
            let other: String = old.chars().rev().collect();
            bindings.insert(format!("EDGEWARD_{name}_SECRET_2"), other);
        }
    });
    let rotated = next.isolate();
    assert!(rotated.send(&get("/").cookie(&session)).is_forwarded());
    assert!(rotated.send(&get("/").bearer(&token)).is_forwarded());
    let newer = rotated.sign_in(&admin, "anna@example.com");
    let kid = |pair: &str| header_of(pair.split_once('=').unwrap().1)["kid"].clone();
    assert_eq!((kid(&session), kid(&newer)), (json!("1"), json!("2")));
    // An isolate that does not know the new secret yet holds nothing against its cookie.
    let seen = isolate.send(&get("/").cookie(&newer));
    assert!(seen.status() == 401 && seen.outcome.cookies.is_empty());
    let retired = next.deployed(|bindings| {
        bindings.remove("EDGEWARD_SESSION_SECRET_1");
        bindings.remove("EDGEWARD_TOKEN_SECRET_1");
    });
    let retired = retired.isolate();
    let seen = retired.send(&get("/").cookie(&session));
    assert!(seen.status() == 401 && seen.clears("__Host-edgeward"));
    assert_eq!(
        retired.send(&get("/").bearer(&token)).refusal(),
        (401, "token_invalid".into())
    );
    assert!(retired.send(&get("/").cookie(&newer)).is_forwarded());
}
