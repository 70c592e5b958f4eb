//! Tokens in URLs: a token that was used as a link is accepted nowhere else, and one that was used
//! elsewhere is not a link.

use edgeward::model::api_token::Scope;
use edgeward::platform::algorithm::Algorithm;
use serde_json::{Value, json};

use crate::harness::crypto::Private;
use crate::harness::issuer::{Stage, with_issuer};
use crate::harness::request::{Req, get, open, req};
use crate::harness::{Edge, Isolate, OWN, SSO, site};

const ANNA: &str = "anna@example.com";

fn place(query: &Value) -> (Edge, Isolate, String) {
    let edge = Edge::new(&json!({
        "sources": ["session", "sso_cookie", "query", "bearer", "header"],
        "token_headers": [{"name": "x-token", "prefix": ""}],
        "query": query,
    }));
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::Admin]);
    (edge, isolate, api_token)
}

fn once() -> Value {
    json!({"single_use": true, "user_switch": "confirm"})
}

fn often() -> Value {
    json!({"single_use": false, "user_switch": "confirm", "max_age": 60})
}

/// Every way to present `token` but in a URL.
fn elsewhere(token: &str) -> [(&'static str, Req); 5] {
    [
        ("bearer", get("/").bearer(token)),
        ("header", get("/").header("x-token", token)),
        ("cookie", get("/").cookie(&format!("{SSO}={token}"))),
        (
            "cookie, navigation",
            open("/").cookie(&format!("{SSO}={token}")),
        ),
        ("me", get("/api/sso/me").bearer(token)),
    ]
}

fn assert_counts_nowhere_else(edge: &Edge, isolate: &Isolate, token: &str) {
    for isolate in [isolate, &edge.isolate()] {
        for (what, request) in elsewhere(token) {
            let seen = isolate.send(&request);
            assert_eq!(seen.status(), 401, "{what}");
            assert!(seen.session().is_none(), "{what}");
        }
    }
}

#[test]
fn sec_79_a_link_that_was_used_counts_in_no_other_source() {
    let (edge, isolate, api_token) = place(&once());
    for first in [
        open as fn(&str) -> Req,
        get,
        |path| req("POST", path),
        |path| get(&path.replace("/?", "/api/sso/me?")),
    ] {
        let token = isolate.issue(&api_token, ANNA);
        let seen = isolate.send(&first(&format!("/?token={token}")));
        assert!([0, 200, 303].contains(&seen.status()), "{}", seen.status());
        assert_counts_nowhere_else(&edge, &isolate, &token);
    }
}

#[test]
fn sec_79_a_link_that_counts_more_often_counts_in_no_other_source_either() {
    let (edge, isolate, api_token) = place(&often());
    let token = isolate.issue(&api_token, ANNA);
    let link = open(&format!("/?token={token}"));
    assert!(isolate.send(&link).session().is_some());
    assert_counts_nowhere_else(&edge, &isolate, &token);
    assert!(isolate.send(&link).session().is_some(), "still a link");
}

#[test]
fn sec_79_a_token_that_came_too_late_in_a_url_counts_in_no_other_source() {
    let (edge, isolate, api_token) = place(&often());
    let late = isolate.issue(&api_token, ANNA);
    let never = isolate.issue(&api_token, ANNA);
    edge.wait(61);
    assert_eq!(isolate.send(&get(&format!("/?token={late}"))).status(), 401);
    assert_counts_nowhere_else(&edge, &isolate, &late);
    // The limit is for links. What never was one counts until it expires.
    assert!(isolate.send(&get("/").bearer(&never)).is_forwarded());
}

#[test]
fn sec_79_a_link_that_nobody_had_to_use_counts_in_no_other_source() {
    let (edge, isolate, api_token) = place(&once());
    let token = isolate.issue(&api_token, ANNA);
    edge.wait(1);
    let session = isolate.sign_in(&api_token, ANNA);
    let link = open(&format!("/?token={token}")).cookie(&session);
    let seen = isolate.send(&link);
    assert_eq!((seen.status(), seen.session()), (303, None));
    assert_counts_nowhere_else(&edge, &isolate, &token);
    // As a link it is still unused.
    let link = open(&format!("/?token={token}"));
    assert!(isolate.send(&link).session().is_some());
    assert_eq!(isolate.send(&link).status(), 401);
}

#[test]
fn sec_79_a_link_that_waits_for_an_answer_counts_in_no_other_source() {
    let (edge, isolate, api_token) = place(&once());
    let session = isolate.sign_in(&api_token, "bert@example.com");
    let token = isolate.issue(&api_token, ANNA);
    let asked = isolate.send(&open(&format!("/?token={token}")).cookie(&session));
    assert_eq!((asked.status(), asked.session()), (200, None));
    assert_counts_nowhere_else(&edge, &isolate, &token);
    let answered = req("POST", "/api/sso/switch")
        .header("origin", "https://site.example")
        .body(format!("token={token}&return_to=%2F").as_bytes());
    assert!(isolate.send(&answered).session().is_some());
}

#[test]
fn sec_79_what_was_used_elsewhere_is_no_link() {
    for query in [once(), often()] {
        let (edge, isolate, api_token) = place(&query);
        for way in 0..5 {
            let token = isolate.issue(&api_token, ANNA);
            let [first, ..] = elsewhere(&token);
            let (what, request) = elsewhere(&token).into_iter().nth(way).unwrap_or(first);
            let seen = isolate.send(&request);
            assert!([0, 200].contains(&seen.status()), "{what}");
            for isolate in [&isolate, &edge.isolate()] {
                let seen = isolate.send(&open(&format!("/?token={token}")));
                assert_eq!((seen.status(), seen.session()), (401, None), "{what}");
            }
            // There it goes on.
            for isolate in [&isolate, &edge.isolate()] {
                assert!(
                    isolate.send(&get("/").bearer(&token)).is_forwarded(),
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn a_token_in_the_url_and_in_the_cookie_of_one_request_is_a_link_and_the_cookie_is_cleared() {
    for query in [once(), often()] {
        let (_, isolate, api_token) = place(&query);
        let token = isolate.issue(&api_token, ANNA);
        let both = open(&format!("/?token={token}")).cookie(&format!("{SSO}={token}"));
        let seen = isolate.send(&both);
        assert_eq!(seen.status(), 303);
        assert!(seen.session().is_some() && seen.clears(SSO));
    }
}

#[test]
fn the_cookie_of_a_token_that_was_a_link_is_cleared_and_holds_up_nobody() {
    let (_, isolate, api_token) = place(&once());
    let token = isolate.issue(&api_token, ANNA);
    let seen = isolate.send(&open(&format!("/?token={token}")));
    let session = seen.session().unwrap();
    let later = open("/").cookie(&format!("{SSO}={token}")).cookie(&session);
    let seen = isolate.send(&later);
    assert!(seen.is_forwarded() && seen.clears(SSO) && !seen.clears(OWN));
}

#[test]
fn a_token_is_asked_about_once_in_an_isolate_and_only_where_links_are_taken() {
    let claims = |edge: &Edge| {
        let calls = edge.shared.calls.borrow();
        calls
            .iter()
            .filter(|call| call.key.starts_with("link:"))
            .count()
    };
    let (edge, isolate, api_token) = place(&once());
    let token = isolate.issue(&api_token, ANNA);
    for _ in 0..5 {
        for (_, request) in elsewhere(&token).into_iter().take(3) {
            assert!(isolate.send(&request).is_forwarded());
        }
    }
    assert_eq!(claims(&edge), 1);

    let none = Edge::new(&json!({"sources": ["session", "bearer"]}));
    let isolate = none.isolate();
    let token = isolate.issue(&none.api_token(&[Scope::Admin]), ANNA);
    assert!(isolate.send(&get("/").bearer(&token)).is_forwarded());
    assert_eq!(claims(&none), 0);
}

#[test]
fn what_becomes_of_a_token_is_explained_without_using_it() {
    let (edge, isolate, api_token) = place(&once());
    let token = isolate.issue(&api_token, ANNA);
    let question = json!({
        "site": "app", "path": "/", "method": "GET",
        "token": token, "source": "bearer",
    });
    let (status, told) = isolate.admin(&api_token, "POST", "/api/sso/explain", &question);
    assert_eq!(status, 200, "{told}");
    assert!(
        edge.shared
            .claims
            .borrow()
            .keys()
            .all(|key| !key.starts_with("link:"))
    );
    let seen = isolate.send(&open(&format!("/?token={token}")));
    assert!(seen.session().is_some());
}

#[test]
fn sec_79_a_link_of_another_issuer_counts_at_one_site_alone() {
    let query = json!({"single_use": true, "user_switch": "confirm"});
    let sources = json!(["session", "query", "bearer"]);
    let mut bindings = with_issuer(&json!({}), &json!({"sources": sources, "query": query}));
    let two = json!({
        "hosts": ["two.example"], "audience": "two.example", "issuers": ["id"],
        "sources": sources, "query": query,
    });
    let three = json!({
        "hosts": ["three.example"], "audience": "three.example", "issuers": ["id"],
        "sources": ["bearer"], "query": null,
    });
    bindings.insert("EDGEWARD_SITE_TWO".into(), site(&two));
    bindings.insert("EDGEWARD_SITE_THREE".into(), site(&three));
    let stage = Stage {
        edge: Edge::with(bindings),
        key: Private::new(Algorithm::EdDsa.key_type(), "issuer"),
    };
    stage.publish(&[(&stage.key, "k1")]);
    let isolate = stage.isolate();
    let token = stage.token(&json!({}));
    let link = open(&format!("/?token={token}"));
    assert!(isolate.send(&link).session().is_some());
    assert!(
        isolate
            .send(&link.clone().at("two.example"))
            .session()
            .is_none()
    );
    for host in ["site.example", "two.example", "three.example"] {
        let seen = isolate.send(&get("/").at(host).bearer(&token));
        assert!(!seen.is_forwarded(), "{host}");
    }
    // One that never was a link is good at each of them.
    let token = stage.token(&json!({"jti": "another"}));
    for host in ["site.example", "two.example", "three.example"] {
        let seen = isolate.send(&get("/").at(host).bearer(&token));
        assert!(seen.is_forwarded(), "{host}: {}", seen.body());
    }
}
