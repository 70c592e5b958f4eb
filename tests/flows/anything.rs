//! Whatever a client sends: nothing panics, and nobody gets in.

use std::fmt::Write as _;
use std::rc::Rc;

use edgeward::http::request::Parts;
use edgeward::model::api_token::Scope;
use edgeward::pipeline::{self, Action};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use crate::harness::ports::MemoryBody;
use crate::harness::{Edge, OWN, SSO, run, tampered};

fn runner(cases: u32) -> TestRunner {
    let config = ProptestConfig::with_cases(cases);
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Pieces of which requests are made that come near to meaning something.
fn piece(token: &str, session: &str) -> impl Strategy<Value = String> + use<> {
    prop_oneof![
        4 => "\\PC{0,12}",
        1 => "[a-zA-Z0-9_.=;,%& /-]{0,20}",
        1 => Just(format!("Bearer {}", tampered(token))),
        1 => Just(format!("{OWN}={}", tampered(session))),
        1 => Just(format!("{SSO}={token}x; {OWN}=")),
        1 => Just("navigate".to_owned()),
        1 => Just("websocket".to_owned()),
        1 => Just("text/html".to_owned()),
        1 => Just(".".repeat(9000)),
    ]
}

#[test]
fn sec_72_no_request_makes_the_core_panic_and_none_without_a_credential_is_let_in() {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let token = isolate.issue(&admin, "a@b.c");
    let session = isolate.sign_in(&admin, "a@b.c");
    let session = session.split_once('=').unwrap().1;
    let name = prop_oneof![
        Just("cookie"),
        Just("authorization"),
        Just("accept"),
        Just("sec-fetch-mode"),
        Just("sec-fetch-site"),
        Just("upgrade"),
        Just("origin"),
        Just("cf-connecting-ip"),
        Just("x_forwarded.user"),
    ];
    let header = (name, piece(&token, session));
    let method = prop_oneof![
        Just("GET"),
        Just("POST"),
        Just("HEAD"),
        Just("DELETE"),
        Just("PATCH"),
        Just("get"),
        Just("")
    ];
    let path = prop_oneof![
        "/[a-z./%;?#&=]{0,24}",
        "/api/sso/(me|logout|switch|token|users|users/bulk|tokens|keys|health|x)(/[a-z%]{0,6})?(\\?[a-z=&%]{0,8})?",
        Just(format!("/?token={}&token", tampered(&token))),
        "\\PC{0,20}",
    ];
    let request = (
        method,
        path,
        proptest::collection::vec(header, 0..5),
        proptest::collection::vec(any::<u8>(), 0..64),
    );
    runner(700)
        .run(&request, |(method, path, headers, body)| {
            let mut text = format!("{method}\nhttps://site.example{path}");
            for (name, value) in &headers {
                write!(text, "\n{name}\n{value}").unwrap();
            }
            let Ok(parts) = Parts::from_snapshot(text.clone()) else {
                return Ok(());
            };
            let body = MemoryBody {
                whole_head: text,
                shared: Rc::clone(&edge.shared),
                bytes: body,
            };
            let handled = pipeline::handle(
                Rc::clone(&isolate.world),
                parts,
                Rc::new(body),
                "r".into(),
                edge.now(),
            );
            let (outcome, _) = run(handled);
            let Action::Answer(answer) = outcome.action else {
                return Err(TestCaseError::fail("forwarded"));
            };
            prop_assert!((200..600).contains(&answer.status));
            for (name, value) in &answer.headers {
                prop_assert!(!value.contains(['\n', '\r', '\0']), "{}: {:?}", name, value);
            }
            prop_assert!(
                outcome
                    .cookies
                    .iter()
                    .all(|cookie| cookie.as_str().contains("Max-Age=0"))
            );
            Ok(())
        })
        .unwrap();
}

#[test]
fn any_text_is_a_request_s_head_or_is_refused_without_a_panic() {
    runner(400)
        .run(&"(\\PC|\n){0,80}", |text| {
            if let Ok(parts) = Parts::from_snapshot(text) {
                let shown = (
                    parts.method().len(),
                    parts.path().len(),
                    parts.query().map(str::len),
                );
                prop_assert!(!parts.authority().is_empty(), "{:?}", shown);
                prop_assert!(parts.headers().count() < 100 && !parts.authority().contains('/'));
            }
            Ok(())
        })
        .unwrap();
}
