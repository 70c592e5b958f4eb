//! The keys that issuers publish: fetched, kept, refreshed, changed, and gone.

use std::pin::pin;
use std::task::{Context, Waker};

use edgeward::platform::algorithm::{Algorithm, KeyType};
use serde_json::{Value, json};

use crate::harness::crypto::Private;
use crate::harness::issuer::{ISS, JWKS, Stage, by_bearer, reason};
use crate::harness::shared::{Trouble, Verb};
use crate::harness::{Isolate, step};

const NO_KEYS: &str = "an issuer's keys are unavailable";
const UNKNOWN: &str = "the token's key is unknown";

fn fetches(stage: &Stage) -> usize {
    stage.edge.shared.count(Verb::Fetch)
}

fn signed(stage: &Stage, key: &Private, kid: &str) -> String {
    key.token(
        Algorithm::EdDsa,
        &json!({"kid": kid}),
        &stage.claims(&json!({})),
    )
}

#[test]
fn sec_78_a_request_without_room_to_wait_is_refused_and_not_held_against_the_issuer() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    let send = |kid: &str| isolate.send(&by_bearer(&signed(&stage, &stage.key, kid)));
    let full = &stage.edge.shared.full;
    full.set(true);
    assert_eq!(send("k1").status(), 503);
    full.set(false);
    assert!(send("k1").is_forwarded(), "the issuer has not failed");
    // A key that is new: the issuer would be asked once in a while.
    stage.publish(&[(&stage.key, "k2")]);
    full.set(true);
    assert_eq!(send("k2").status(), 503);
    full.set(false);
    assert!(send("k2").is_forwarded(), "the issuer was not asked yet");
    assert_eq!(fetches(&stage), 2);
}

#[test]
fn keys_are_fetched_once_and_another_isolate_finds_them_in_the_store() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    for _ in 0..3 {
        assert!(
            isolate
                .send(&by_bearer(&signed(&stage, &stage.key, "k1")))
                .is_forwarded()
        );
        stage.edge.wait(1);
    }
    assert!(
        stage
            .isolate()
            .send(&by_bearer(&signed(&stage, &stage.key, "k1")))
            .is_forwarded()
    );
    assert_eq!(fetches(&stage), 1);
}

#[test]
fn keys_are_refreshed_after_an_answer_before_their_time_is_over() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    assert!(
        isolate
            .send(&by_bearer(&signed(&stage, &stage.key, "k1")))
            .is_forwarded()
    );
    // The keys that sign assertions are kept.
    assert_eq!(stage.edge.run_tasks(), 1);
    stage.edge.wait(440);
    assert!(
        isolate
            .send(&by_bearer(&signed(&stage, &stage.key, "k1")))
            .is_forwarded()
    );
    assert_eq!(stage.edge.run_tasks(), 0);
    stage.edge.wait(20);
    for _ in 0..3 {
        assert!(
            isolate
                .send(&by_bearer(&signed(&stage, &stage.key, "k1")))
                .is_forwarded()
        );
        stage.edge.wait(1);
    }
    assert_eq!(fetches(&stage), 1, "nobody has waited for it");
    assert_eq!(stage.edge.run_tasks(), 1);
    assert_eq!(fetches(&stage), 2);
    stage.edge.wait(300);
    assert!(
        isolate
            .send(&by_bearer(&signed(&stage, &stage.key, "k1")))
            .is_forwarded()
    );
    assert_eq!(fetches(&stage), 2);
}

#[test]
fn a_key_that_is_new_is_asked_for_at_once() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    assert!(
        isolate
            .send(&by_bearer(&signed(&stage, &stage.key, "k1")))
            .is_forwarded()
    );
    let next = Private::new(KeyType::Ed25519, "next");
    stage.publish(&[(&stage.key, "k1"), (&next, "k2")]);
    assert!(
        isolate
            .send(&by_bearer(&signed(&stage, &next, "k2")))
            .is_forwarded()
    );
    assert!(
        isolate
            .send(&by_bearer(&signed(&stage, &stage.key, "k1")))
            .is_forwarded()
    );
    assert_eq!(fetches(&stage), 2);
}

#[test]
fn sec_24_unknown_keys_are_asked_for_once_in_a_cool_down() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    let attacker = Private::new(KeyType::Ed25519, "attacker");
    let token = |n: usize| {
        attacker.token(
            Algorithm::EdDsa,
            &json!({"kid": format!("random-{n}")}),
            &stage.claims(&json!({})),
        )
    };
    // Also on an isolate that knows nothing yet.
    for n in 0..10_000 {
        assert_eq!(reason(&isolate.send(&by_bearer(&token(n)))), UNKNOWN);
    }
    assert_eq!(fetches(&stage), 2, "the first, and one for an unknown key");
    stage.edge.wait(9);
    isolate.send(&by_bearer(&token(1)));
    assert_eq!(fetches(&stage), 2);
    stage.edge.wait(1);
    for n in 0..100 {
        isolate.send(&by_bearer(&token(n)));
    }
    assert_eq!(fetches(&stage), 3);
    // Whoever has a good token notices nothing.
    assert!(
        isolate
            .send(&by_bearer(&signed(&stage, &stage.key, "k1")))
            .is_forwarded()
    );
}

#[test]
fn sec_24_requests_at_once_share_one_fetch_and_all_get_the_right_answer() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    let all_at_once = |tokens: Vec<String>| {
        let mut running: Vec<_> = tokens
            .iter()
            .map(|token| (Box::pin(isolate.begin(&by_bearer(token))), None))
            .collect();
        for _ in 0..1000 {
            for (future, outcome) in &mut running {
                if outcome.is_none() {
                    *outcome = step(future);
                }
            }
        }
        running
            .into_iter()
            .map(|(_, outcome)| {
                let outcome = outcome.expect("an outcome");
                matches!(outcome.action, edgeward::pipeline::Action::Forward(_))
            })
            .collect::<Vec<bool>>()
    };
    let good = || signed(&stage, &stage.key, "k1");
    let distinct = |n: u64| {
        let claims = stage.claims(&json!({"jti": n.to_string()}));
        stage
            .key
            .token(Algorithm::EdDsa, &json!({"kid": "k1"}), &claims)
    };
    assert_eq!(all_at_once((0..20).map(distinct).collect()), vec![true; 20]);
    assert_eq!(fetches(&stage), 1, "a cold isolate");
    // A new key, and everybody uses it at once.
    let next = Private::new(KeyType::Ed25519, "next");
    stage.publish(&[(&stage.key, "k1"), (&next, "k2")]);
    let mut tokens: Vec<String> = (0..20)
        .map(|n| {
            let claims = stage.claims(&json!({"jti": format!("new {n}")}));
            next.token(Algorithm::EdDsa, &json!({"kid": "k2"}), &claims)
        })
        .collect();
    tokens.push(good());
    assert_eq!(all_at_once(tokens), vec![true; 21]);
    assert_eq!(fetches(&stage), 2, "a new key");
}

#[test]
fn a_request_that_goes_away_in_the_middle_holds_up_nobody_for_long() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    let token = signed(&stage, &stage.key, "k1");
    {
        let mut gone = pin!(isolate.begin(&by_bearer(&token)));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(gone.as_mut().poll(&mut context).is_pending());
        }
    }
    assert!(isolate.send(&by_bearer(&token)).is_forwarded());
    // After a while nobody waits for it any more.
    stage.edge.wait(11);
    let other = stage.key.token(
        Algorithm::EdDsa,
        &json!({"kid": "k1"}),
        &stage.claims(&json!({"jti": "x"})),
    );
    let seen = isolate.send(&by_bearer(&other));
    assert!(seen.is_forwarded() && seen.polls < 40, "{}", seen.polls);
}

#[test]
fn sec_25_keys_outlive_their_issuer_for_a_bounded_time() {
    let stage = Stage::new(&json!({"keys_ttl": 60, "keys_stale": 600}), &json!({}));
    let isolate = stage.isolate();
    let send = |isolate: &Isolate| isolate.send(&by_bearer(&signed(&stage, &stage.key, "k1")));
    assert!(send(&isolate).is_forwarded());
    stage.down();
    stage.edge.wait(100);
    assert!(send(&isolate).is_forwarded(), "stale");
    assert_eq!(fetches(&stage), 2);
    assert!(send(&isolate).is_forwarded());
    assert_eq!(fetches(&stage), 2, "not asked again within the cool-down");
    assert!(
        send(&stage.isolate()).is_forwarded(),
        "another isolate, by the store"
    );
    // A key that nobody knows could be a new one.
    let next = Private::new(KeyType::Ed25519, "next");
    let seen = isolate.send(&by_bearer(&signed(&stage, &next, "k2")));
    assert_eq!((seen.status(), reason(&seen)), (503, NO_KEYS.into()));
    stage.edge.wait(500);
    let seen = send(&isolate);
    assert_eq!((seen.status(), reason(&seen)), (503, NO_KEYS.into()));
    // And when it is back, it is back.
    stage.publish(&[(&stage.key, "k1")]);
    stage.edge.wait(10);
    assert!(send(&isolate).is_forwarded());
}

#[test]
fn sec_23_a_key_that_was_withdrawn_ends_with_the_time_of_the_keys() {
    let stage = Stage::new(&json!({"keys_ttl": 60}), &json!({}));
    let isolate = stage.isolate();
    let claims = stage.claims(&json!({"exp": stage.edge.now().seconds() + 3000}));
    let token = stage
        .key
        .token(Algorithm::EdDsa, &json!({"kid": "k1"}), &claims);
    assert!(isolate.send(&by_bearer(&token)).is_forwarded());
    let next = Private::new(KeyType::Ed25519, "next");
    stage.publish(&[(&next, "k2")]);
    stage.edge.wait(59);
    let seen = isolate.send(&by_bearer(&token));
    assert!(seen.is_forwarded() && seen.polls == 1 + usize::from(seen.polls > 1));
    stage.edge.wait(61);
    assert_eq!(reason(&isolate.send(&by_bearer(&token))), UNKNOWN);
}

#[test]
fn sec_25_what_is_no_key_set_is_refused() {
    let stage = Stage::new(&json!({}), &json!({}));
    let good = json!({"keys": [stage.key.jwk(&json!({"kid": "k1"}))]}).to_string();
    let mut too_many: Vec<Value> = (0..101)
        .map(|n| stage.key.jwk(&json!({"kid": n.to_string()})))
        .collect();
    too_many.push(stage.key.jwk(&json!({"kid": "k1"})));
    for (status, body) in [
        (301, good.clone()),
        (302, good.clone()),
        (404, good.clone()),
        (500, good.clone()),
        (204, good.clone()),
        (200, String::new()),
        (200, "{}".into()),
        (200, "not found".into()),
        (200, json!({"keys": []}).to_string()),
        (200, json!({"keys": too_many}).to_string()),
        (200, format!("{good}{}", " ".repeat(64 * 1024))),
        (
            200,
            json!({"keys": [{"kty": "oct", "k": "AAAA", "kid": "k1"}]}).to_string(),
        ),
        (
            200,
            json!({"keys": [stage.key.jwk(&json!({"kid": "k1", "use": "enc"}))]}).to_string(),
        ),
    ] {
        let stage = Stage::new(&json!({}), &json!({}));
        stage.answer(JWKS, status, &body);
        let seen = stage
            .isolate()
            .send(&by_bearer(&signed(&stage, &stage.key, "k1")));
        let shown = &body[..body.len().min(40)];
        assert_eq!(
            (seen.status(), reason(&seen)),
            (503, NO_KEYS.into()),
            "{status} {shown}"
        );
        assert!(
            stage
                .edge
                .shared
                .values
                .borrow()
                .keys()
                .all(|key| !key.starts_with("issuer_keys:"))
        );
    }
}

const DISCOVERY: &str = "https://id.example/.well-known/openid-configuration";

fn by_discovery() -> Stage {
    Stage::new(
        &json!({"jwks_url": null, "discovery_url": DISCOVERY}),
        &json!({}),
    )
}

#[test]
fn a_discovery_document_leads_to_the_keys() {
    let stage = by_discovery();
    stage.answer(
        DISCOVERY,
        200,
        &json!({"issuer": ISS, "jwks_uri": JWKS, "more": [1]}).to_string(),
    );
    let isolate = stage.isolate();
    assert!(
        isolate
            .send(&by_bearer(&signed(&stage, &stage.key, "k1")))
            .is_forwarded()
    );
    assert_eq!(fetches(&stage), 2);
    // For an unknown key the keys alone are asked for.
    let next = Private::new(KeyType::Ed25519, "next");
    stage.publish(&[(&next, "k2")]);
    assert!(
        isolate
            .send(&by_bearer(&signed(&stage, &next, "k2")))
            .is_forwarded()
    );
    assert_eq!(fetches(&stage), 3);
}

#[test]
fn sec_25_a_discovery_document_of_another_or_to_a_private_place_is_refused() {
    for document in [
        json!({"issuer": format!("{ISS}/"), "jwks_uri": JWKS}),
        json!({"issuer": "https://evil.example", "jwks_uri": JWKS}),
        json!({"jwks_uri": JWKS}),
        json!({"issuer": ISS}),
        json!({"issuer": ISS, "jwks_uri": 1}),
        json!({"issuer": ISS, "jwks_uri": "http://keys.example/jwks"}),
        json!({"issuer": ISS, "jwks_uri": "https://127.0.0.1/jwks"}),
        json!({"issuer": ISS, "jwks_uri": "https://localhost/jwks"}),
        json!({"issuer": ISS, "jwks_uri": "https://169.254.169.254/latest"}),
        json!({"issuer": ISS, "jwks_uri": "https://[::1]/jwks"}),
        json!({"issuer": ISS, "jwks_uri": "https://2130706433/jwks"}),
        json!({"issuer": ISS, "jwks_uri": "https://site.example/jwks"}),
        json!({"issuer": ISS, "jwks_uri": "https://SITE.example:443/jwks"}),
        json!({"issuer": ISS, "jwks_uri": "file:///etc/passwd"}),
    ] {
        let stage = by_discovery();
        stage.answer(DISCOVERY, 200, &document.to_string());
        let uri = document["jwks_uri"].as_str().unwrap_or_default();
        let good = json!({"keys": [stage.key.jwk(&json!({"kid": "k1"}))]}).to_string();
        stage.answer(uri, 200, &good);
        let seen = stage
            .isolate()
            .send(&by_bearer(&signed(&stage, &stage.key, "k1")));
        assert_eq!(
            (seen.status(), reason(&seen)),
            (503, NO_KEYS.into()),
            "{document}"
        );
        assert_eq!(fetches(&stage), 1, "{document}");
    }
}

#[test]
fn one_key_at_a_url_may_be_replaced_under_the_same_url() {
    let url = "https://keys.example/key.pem";
    let stage = Stage::new(
        &json!({"jwks_url": null, "public_key_url": url}),
        &json!({}),
    );
    let pem = |key: &Private| edgeward::jose::der::to_pem(&key.spki());
    stage.answer(url, 200, &pem(&stage.key));
    let isolate = stage.isolate();
    assert!(
        isolate
            .send(&by_bearer(&signed(&stage, &stage.key, "any")))
            .is_forwarded()
    );
    let next = Private::new(KeyType::Ed25519, "next");
    stage.answer(url, 200, &pem(&next));
    assert!(
        isolate
            .send(&by_bearer(&signed(&stage, &next, "other")))
            .is_forwarded()
    );
    assert_eq!(fetches(&stage), 2);
    let attacker = Private::new(KeyType::Ed25519, "attacker");
    for n in 0..50 {
        let token = signed(&stage, &attacker, &n.to_string());
        assert_eq!(isolate.send(&by_bearer(&token)).status(), 401);
    }
    assert_eq!(fetches(&stage), 2);
    let jwk = stage.key.jwk(&json!({"kid": "k"})).to_string();
    let stage = Stage::new(
        &json!({"jwks_url": null, "public_key_url": url}),
        &json!({}),
    );
    stage.answer(url, 200, &jwk);
    assert!(
        stage
            .isolate()
            .send(&by_bearer(&signed(&stage, &stage.key, "k")))
            .is_forwarded()
    );
}

#[test]
fn a_store_that_fails_or_holds_nonsense_does_not_keep_the_keys_away() {
    for trouble in [Trouble::Garbage("{"), Trouble::None] {
        let stage = Stage::new(&json!({"create_users": true}), &json!({}));
        let token = signed(&stage, &stage.key, "k1");
        assert!(stage.isolate().send(&by_bearer(&token)).is_forwarded());
        let key = {
            let values = stage.edge.shared.values.borrow();
            values
                .keys()
                .find(|key| key.starts_with("issuer_keys:"))
                .unwrap()
                .clone()
        };
        let nonsense = if trouble == Trouble::None {
            r#"{"fetched_at":1,"document":"!!"}"#
        } else {
            "{"
        };
        stage
            .edge
            .shared
            .values
            .borrow_mut()
            .insert(key, (nonsense.into(), None));
        assert!(stage.isolate().send(&by_bearer(&token)).is_forwarded());
        assert_eq!(fetches(&stage), 2);
    }
}
