//! What one request, or one client, can make us do: each has a bound.

use edgeward::token::algorithm::Algorithm;
use serde_json::json;

use crate::harness::crypto::Private;
use crate::harness::issuer::{Stage, reason};
use crate::harness::request::{Seen, get, open};
use crate::harness::shared::Verb;
use crate::harness::{Edge, OWN, SSO, tampered};

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
    let api_token = edge.api_token(&[edgeward::token::api_token::Scope::Admin]);
    let token = isolate.issue(&api_token, "a@b.c");
    let session = isolate.sign_in(&api_token, "a@b.c");
    let link = |many: usize| format!("/a?{}", vec![format!("token={token}"); many].join("&"));
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
