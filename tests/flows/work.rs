//! The work that one request or one client can cause is bounded.

use edgeward::model::api_token::{PlainApiToken, Scope};
use edgeward::platform::algorithm::Algorithm;
use edgeward::platform::shelf::{GOOD_API_TOKENS, REFUSED};
use serde_json::json;

use crate::harness::crypto::Private;
use crate::harness::issuer::{Stage, reason};
use crate::harness::ports::Seeded;
use crate::harness::request::{Req, Seen, get, open, req};
use crate::harness::shared::Verb;
use crate::harness::{Edge, Isolate, OWN, SSO, run, tampered};

fn count(edge: &Edge, verb: Verb) -> usize {
    let calls = edge.shared.calls.borrow();
    calls.iter().filter(|call| call.verb == verb).count()
}

const CONFLICT: &str = "two credentials contradict each other";

#[test]
fn sec_78_more_than_four_credentials_of_one_source_are_not_looked_at() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    let good = stage.token(&json!({}));
    assert!(isolate.send(&get("/a").bearer(&good)).is_forwarded());
    let stranger = Private::new(Algorithm::EdDsa.key_type(), "stranger");
    let forged = |n: usize| {
        let header = json!({"kid": "k1"});
        stranger.token(
            Algorithm::EdDsa,
            &header,
            &stage.claims(&json!({ "jti": n.to_string() })),
        )
    };
    let send = |many: usize, value: &dyn Fn(usize) -> String| -> (Seen, usize, usize) {
        let request = (0..many).fold(open("/a"), |request, n| {
            request.cookie(&format!("{SSO}={}", value(n)))
        });
        let before = (
            count(&stage.edge, Verb::Verify),
            count(&stage.edge, Verb::Fetch),
        );
        let seen = isolate.send(&request);
        (
            seen,
            count(&stage.edge, Verb::Verify) - before.0,
            count(&stage.edge, Verb::Fetch) - before.1,
        )
    };
    let (seen, verified, _) = send(4, &forged);
    assert_eq!((reason(&seen).as_str(), verified), (CONFLICT, 4));
    for many in [5, 6, 600] {
        let (seen, verified, fetched) = send(many, &forged);
        assert_eq!((seen.status(), reason(&seen).as_str()), (401, CONFLICT));
        assert_eq!((verified, fetched), (0, 0), "{many}");
        assert!(seen.clears(SSO), "{many}");
    }
    // Nor is there a good one among them, however often.
    let (seen, verified, _) = send(5, &|_| good.clone());
    assert_eq!((reason(&seen).as_str(), verified), (CONFLICT, 0));
    assert!(send(4, &|_| good.clone()).0.is_forwarded());
}

#[test]
fn sec_78_more_than_four_values_of_a_link_or_of_our_cookie_are_not_looked_at() {
    let edge = Edge::new(&json!({"query": {"single_use": false, "user_switch": "replace"}}));
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::Admin]);
    let tokens: Vec<String> = (0..5).map(|_| isolate.issue(&api_token, "a@b.c")).collect();
    let session = isolate.sign_in(&api_token, "a@b.c");
    let link = |many: usize| {
        let pairs = tokens
            .iter()
            .take(many)
            .map(|token| format!("token={token}"));
        format!("/a?{}", pairs.collect::<Vec<_>>().join("&"))
    };
    assert!(isolate.send(&open(&link(4))).status() == 303);
    let seen = isolate.send(&open(&link(5)));
    assert_eq!((seen.status(), reason(&seen).as_str()), (401, CONFLICT));
    let cookies = |many: usize| (0..many).fold(get("/a"), |request, _| request.cookie(&session));
    assert!(isolate.send(&cookies(4)).is_forwarded());
    let seen = isolate.send(&cookies(5));
    assert_eq!((seen.status(), reason(&seen).as_str()), (401, CONFLICT));
    assert!(seen.clears(OWN));
    let reads = count(&edge, Verb::KvRead);
    let forged = (0..300).fold(get("/a"), |request, n| {
        request.cookie(&format!("{}{n}", tampered(&session)))
    });
    assert!(isolate.send(&forged).clears(OWN));
    assert_eq!(count(&edge, Verb::KvRead), reads);
}

/// A token that was never issued, with a correct checksum.
fn guess(seed: u64) -> String {
    PlainApiToken::random(&Seeded::new(seed + 1000))
        .reveal()
        .to_owned()
}

/// An edge whose site takes API tokens, one that acts as a user, and one for the admin API.
fn keys() -> (Edge, String, String) {
    let edge = Edge::new(
        &json!({"sources": ["session", "api_key"], "sso_cookie": null, "query": null, "assertion": null}),
    );
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let (_, user) = isolate.admin(
        &admin,
        "POST",
        "/api/sso/users",
        &json!({"email": "robot@b.c"}),
    );
    let body = json!({"name": "robot", "acts_as": user["id"]});
    let (status, made) = isolate.admin(&admin, "POST", "/api/sso/tokens", &body);
    assert_eq!(status, 201, "{made}");
    (edge, made["token"].as_str().unwrap().to_owned(), admin)
}

/// The same token at the admin API and at the site, from an address.
fn both_ways(token: &str, address: &str) -> [Req; 2] {
    [
        req("GET", "/api/sso/users").api_token(token),
        get("/a").header("x-api-key", token),
    ]
    .map(|request| request.header("cf-connecting-ip", address))
}

#[test]
fn sec_78_an_address_that_guesses_is_turned_down_before_the_store_is_read() {
    for first in 0..2 {
        let (edge, _, _) = keys();
        let isolate = edge.isolate();
        edge.shared.limited.set(true);
        let attempt = |seed: u64, way: usize, address: &str| {
            let before = (
                count(&edge, Verb::KvRead),
                count(&edge, Verb::Allow),
                count(&edge, Verb::KvWrite),
            );
            let seen = isolate.send(&both_ways(&guess(seed), address)[way]);
            assert_eq!(seen.refusal(), (429, "rate_limited".into()));
            assert!(seen.header("retry-after").is_some());
            assert_eq!(
                reason(&seen),
                "too many invalid api tokens from this address"
            );
            assert_eq!(count(&edge, Verb::KvWrite), before.2);
            (
                count(&edge, Verb::KvRead) - before.0,
                count(&edge, Verb::Allow) - before.1,
            )
        };
        // The record, and beside it whether the token is revoked.
        assert_eq!(attempt(0, first, "192.0.2.1"), (2, 1));
        for seed in 1..50 {
            assert_eq!(attempt(seed, 0, "192.0.2.1"), (0, 0));
            assert_eq!(attempt(seed, 1, "::ffff:192.0.2.1"), (0, 0));
        }
        assert_eq!(attempt(50, first, "192.0.2.2"), (2, 1));
        // Whoever has one IPv6 address has 2^64 of them.
        assert_eq!(attempt(51, first, "2001:db8:1:2::1"), (2, 1));
        assert_eq!(attempt(52, first, "2001:DB8:1:2:ffff::9"), (0, 0));
        assert_eq!(attempt(53, first, "2001:db8:1:3::1"), (2, 1));
        // The limiter knows when it is over.
        edge.wait(10);
        assert_eq!(attempt(54, first, "192.0.2.1"), (2, 1));
        edge.wait(10);
        edge.shared.limited.set(false);
        let seen = isolate.send(&both_ways(&guess(55), "192.0.2.1")[first]);
        assert_eq!(seen.status(), 401);
    }
}

#[test]
fn sec_78_wrong_tokens_at_a_site_and_at_the_admin_api_are_counted_together_by_network() {
    let (edge, _, admin) = keys();
    let isolate = edge.isolate();
    let mut wrong = vec![guess(1), "ewt_mistyped".to_owned()];
    for (address, counted) in [
        ("192.0.2.1", "Failures 192.0.2.1"),
        ("2001:db8:1:2::1", "Failures 2001:db8:1:2::/64"),
    ] {
        for token in &wrong {
            for request in both_ways(token, address) {
                let before = edge.shared.calls.borrow().len();
                assert_eq!(isolate.send(&request).status(), 401);
                let calls = edge.shared.calls.borrow();
                let allowed: Vec<_> = calls[before..]
                    .iter()
                    .filter(|call| call.verb == Verb::Allow)
                    .map(|call| call.key.as_str())
                    .collect();
                assert_eq!(allowed, [counted]);
            }
        }
    }
    // A valid token that acts as nobody is not accepted here.
    wrong.push(admin);
    let at_site = get("/a").header("x-api-key", wrong.last().unwrap());
    let before = count(&edge, Verb::Allow);
    assert_eq!(isolate.send(&at_site).status(), 401);
    assert_eq!(count(&edge, Verb::Allow), before + 1);
}

#[test]
fn sec_78_a_good_token_beside_one_who_guesses_is_shut_out_for_seconds_at_most() {
    let (edge, robot, admin) = keys();
    let isolate = edge.isolate();
    let address = "192.0.2.1";
    let good = |isolate: &Isolate| {
        let [_, at_site] = both_ways(&robot, address);
        let [at_admin, _] = both_ways(&admin, address);
        (
            isolate.send(&at_site).is_forwarded(),
            isolate.send(&at_admin).status(),
        )
    };
    let guesses = |isolate: &Isolate, seed| {
        edge.shared.limited.set(true);
        let [request, _] = both_ways(&guess(seed), address);
        assert_eq!(isolate.send(&request).status(), 429);
        edge.shared.limited.set(false);
    };
    // Known to this isolate: still accepted, even if its record has to be read again.
    assert_eq!(good(&isolate), (true, 200));
    guesses(&isolate, 1);
    assert_eq!(good(&isolate), (true, 200));
    for second in 0..60 {
        guesses(&isolate, second + 2);
        assert_eq!(good(&isolate), (true, 200));
        edge.wait(1);
    }
    // Unknown to this isolate: refused for ten seconds.
    let other = edge.isolate();
    guesses(&other, 100);
    assert_eq!(good(&other), (false, 429));
    edge.wait(10);
    assert_eq!(good(&other), (true, 200));
    // Known, but revoked since: no way around the limit.
    let id = isolate
        .admin(&admin, "GET", "/api/sso/tokens", &json!(null))
        .1;
    let id = id["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["name"] == "robot")
        .unwrap()["id"]
        .clone();
    let path = format!("/api/sso/tokens/{}/revoke", id.as_str().unwrap());
    assert_eq!(isolate.admin(&admin, "POST", &path, &json!({})).0, 200);
    edge.wait(31);
    guesses(&isolate, 200);
    edge.shared.limited.set(true);
    let [_, at_site] = both_ways(&robot, address);
    assert_eq!(isolate.send(&at_site).status(), 429);
    let reads = count(&edge, Verb::KvRead);
    assert_eq!(isolate.send(&at_site).status(), 429);
    assert_eq!(count(&edge, Verb::KvRead), reads);
}

#[test]
fn sec_78_who_is_turned_down_is_remembered_in_a_bounded_number() {
    let (edge, _, _) = keys();
    let isolate = edge.isolate();
    edge.shared.limited.set(true);
    for n in 0..5000_u64 {
        let address = format!("2001:db8:{:x}:{:x}::1", n >> 8, n & 255);
        let [request, _] = both_ways(&guess(n), &address);
        drop(run(isolate.begin(&request)).0);
    }
    let weight = isolate.world.cache.attempts.weight();
    let most = REFUSED.bytes + GOOD_API_TOKENS.bytes;
    assert!(weight > 1024 * 32 && weight <= most, "{weight}");
}

#[test]
fn sec_78_a_path_that_is_too_long_for_the_rules_is_refused_and_never_passed_on() {
    let edge = Edge::new(&json!({"rules": [
        {"glob": vec!["/**/x"; 256], "deny": true},
        {"anonymous_ok": true},
    ]}));
    let isolate = edge.isolate();
    let session = isolate.sign_in(&edge.api_token(&[Scope::Admin]), "a@b.c");
    let of = |length: usize| get(&format!("/{}", "a".repeat(length - 1))).cookie(&session);
    // The second and third time it is remembered.
    for _ in 0..3 {
        assert!(isolate.send(&of(2048)).is_forwarded());
        let seen = isolate.send(&of(2049));
        assert_eq!(seen.refusal(), (414, "path_too_long".into()));
    }
    // Our own endpoints are judged by no rule, and a site without globs has no limit.
    assert_eq!(
        isolate
            .send(&get(&format!("/api/sso/{}", "a".repeat(4000))))
            .status(),
        404
    );
    let plain = Edge::new(&json!({"unauthenticated": "pass"}));
    assert!(
        plain
            .isolate()
            .send(&get(&format!("/{}", "a".repeat(16_000))))
            .is_forwarded()
    );
}
