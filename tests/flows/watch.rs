//! Open connections: each holds exactly as long as the request that opened it would pass, and asking changes nothing.

use std::rc::Rc;

use edgeward::model::api_token::Scope;
use edgeward::pipeline::watch::{Watched, watch};
use serde_json::json;

use crate::harness::request::{Req, get, open, req};
use crate::harness::shared::{Trouble, Verb};
use crate::harness::{Edge, Isolate, run};

const ANNA: &str = "anna@example.com";

/// What is said of the connection that `request` has opened: `holds`, the reason for its end, or `unknown`.
fn judged(isolate: &Isolate, request: &Req) -> String {
    let parts = request.parts(&isolate.world.config);
    let now = isolate.shared.now.get();
    match run(watch(Rc::clone(&isolate.world), parts, "request-1", now)).0 {
        Watched::Holds => "holds".to_owned(),
        Watched::Ended(event) => {
            assert_eq!(event.request_id, "request-1");
            event.reason.unwrap()
        }
        Watched::Unknown => "unknown".to_owned(),
    }
}

fn socket(path: &str) -> Req {
    get(path)
        .header("upgrade", "websocket")
        .header("origin", "https://site.example")
}

#[test]
fn sec_59_a_connection_holds_as_long_as_its_request_would_pass() {
    let edge = Edge::new(&json!({"rules": [
        {"prefix": "/admin", "require": {"role": "admin"}},
        {"prefix": "/", "require": {"authenticated": true}},
    ]}));
    let (here, there) = (edge.isolate(), edge.isolate());
    let admin = edge.api_token(&[Scope::Admin]);
    let session = here.sign_in(&admin, ANNA);
    let id = here.me(&session).unwrap()["user"]["id"].clone();
    let user = format!("/api/sso/users/{}", id.as_str().unwrap());
    let (status, body) = here.admin(&admin, "PATCH", &user, &json!({"roles": ["admin"]}));
    assert_eq!(status, 200, "{body}");
    edge.wait(90);
    let request = socket("/admin/live").cookie(&session);
    assert!(there.send(&request).is_forwarded());
    for _ in 0..100 {
        edge.wait(15);
        assert_eq!(judged(&there, &request), "holds");
    }
    let (status, body) = here.admin(&admin, "PATCH", &user, &json!({"roles": []}));
    assert_eq!(status, 200, "{body}");
    let elsewhere = socket("/live").cookie(&session);
    for (isolate, wait) in [(&here, 0), (&there, 90)] {
        edge.wait(wait);
        let seen = isolate.send(&request);
        assert_eq!(seen.status(), 403, "{}", seen.body());
        let reason = judged(isolate, &request);
        assert_eq!(Some(reason), seen.outcome.event.unwrap().reason);
        assert_eq!(judged(isolate, &elsewhere), "holds");
    }
    assert_eq!(
        here.admin(&admin, "POST", &format!("{user}/logout"), &json!({}))
            .0,
        204
    );
    edge.wait(90);
    for isolate in [&here, &there] {
        let reason = isolate.send(&elsewhere).outcome.event.unwrap().reason;
        assert_eq!(Some(judged(isolate, &elsewhere)), reason);
    }
}

#[test]
fn a_connection_ends_with_its_credential_and_where_everybody_passes_too() {
    let edge = Edge::new(&json!({"unauthenticated": "pass", "session": {"idle": 3600}}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let session = isolate.sign_in(&admin, ANNA);
    let by_session = socket("/live").cookie(&session);
    let by_token = socket("/live").bearer(&isolate.issue(&admin, ANNA));
    edge.wait(599);
    assert_eq!(judged(&isolate, &by_token), "holds");
    edge.wait(1);
    assert_ne!(judged(&isolate, &by_token), "holds");
    edge.wait(2999);
    assert_eq!(judged(&isolate, &by_session), "holds");
    edge.wait(1);
    assert!(isolate.send(&open("/live").cookie(&session)).is_forwarded());
    assert_ne!(judged(&isolate, &by_session), "holds");
}

#[test]
fn asking_uses_nothing_up_and_writes_nothing() {
    let edge = Edge::new(&json!({"unauthenticated": "pass"}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    isolate.sign_in(&admin, ANNA);
    let link = isolate.issue(&admin, ANNA);
    let request = socket(&format!("/live?token={link}"));
    let written =
        || [Verb::KvWrite, Verb::Acquire, Verb::RecordChange].map(|verb| edge.shared.count(verb));
    let before = written();
    for _ in 0..3 {
        assert_eq!(judged(&isolate, &request), "holds");
    }
    assert_eq!(written(), before);
    let seen = isolate.send(&open(&format!("/?token={link}")));
    assert!(
        seen.session().is_some(),
        "the link works still: {}",
        seen.status()
    );
}

#[test]
fn sec_38_a_fault_is_no_verdict() {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let session = isolate.sign_in(&admin, ANNA);
    let request = socket("/live").cookie(&session);
    edge.wait(90);
    for trouble in [Trouble::All, Trouble::Garbage("{")] {
        edge.shared.make(trouble);
        assert_eq!(judged(&isolate, &request), "unknown");
    }
    edge.shared.make(Trouble::None);
    assert_eq!(judged(&isolate, &request), "holds");
    // What no origin is asked for has no connection.
    let own = req("GET", "/api/sso/me").cookie(&session);
    assert_ne!(judged(&isolate, &own), "holds");
}
