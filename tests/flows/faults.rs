//! SEC-38: whatever fails, wherever and whenever, nobody gets in by it.

use edgeward::answer::event::EventKind;
use edgeward::model::api_token::Scope;
use serde_json::{Value, json};

use crate::harness::request::{Req, Seen, get, open, req};
use crate::harness::shared::{PortCall, Trouble, Verb};
use crate::harness::{Edge, OWN, SSO};

/// An edge with a user, and a request of that user's that would be forwarded.
type Scenario = (&'static str, fn(&Edge) -> Req);

const ANNA: &str = "anna@example.com";

fn api_token(edge: &Edge) -> String {
    edge.api_token(&[Scope::Admin])
}

const SCENARIOS: [Scenario; 8] = [
    ("session", |edge| {
        get("/").cookie(&edge.isolate().sign_in(&api_token(edge), ANNA))
    }),
    ("session, browser", |edge| {
        open("/").cookie(&edge.isolate().sign_in(&api_token(edge), ANNA))
    }),
    ("session, POST", |edge| {
        req("POST", "/").cookie(&edge.isolate().sign_in(&api_token(edge), ANNA))
    }),
    ("bearer", |edge| {
        get("/").bearer(&edge.isolate().issue(&api_token(edge), ANNA))
    }),
    ("cookie", |edge| {
        get("/").cookie(&format!(
            "{SSO}={}",
            edge.isolate().issue(&api_token(edge), ANNA)
        ))
    }),
    ("cookie, browser", |edge| {
        open("/").cookie(&format!(
            "{SSO}={}",
            edge.isolate().issue(&api_token(edge), ANNA)
        ))
    }),
    ("link", |edge| {
        get(&format!(
            "/?token={}",
            edge.isolate().issue(&api_token(edge), ANNA)
        ))
    }),
    ("link, browser", |edge| {
        open(&format!(
            "/?token={}",
            edge.isolate().issue(&api_token(edge), ANNA)
        ))
    }),
];

/// Values that no record has; each is JSON or the beginning of it.
const GARBAGE: [&str; 9] = [
    "",
    "{",
    "null",
    "[]",
    "{}",
    "\"x\"",
    "0",
    "{\"keys\":[]}",
    "\u{0}",
];

fn sites() -> Vec<Value> {
    let login = json!({"unauthenticated": "login", "login_url": "https://login.example/"});
    vec![json!({}), login, json!({"unauthenticated": "pass"})]
}

fn assert_nobody_gets_in(seen: &Seen, what: &str) {
    assert!(!seen.is_forwarded(), "forwarded: {what}");
    assert!(seen.session().is_none(), "signed in: {what}");
    assert!(
        seen.status() == 401 || seen.status() >= 500,
        "{}: {what}",
        seen.status()
    );
}

#[test]
fn sec_38_no_failing_call_of_a_port_lets_a_request_through() {
    for settings in sites() {
        for (name, scenario) in SCENARIOS {
            let mut failed = 0;
            loop {
                let edge = Edge::new(&settings);
                let request = scenario(&edge);
                let isolate = edge.isolate();
                edge.shared.make(Trouble::Call(failed));
                let seen = isolate.send(&request);
                if edge.shared.counted() <= failed {
                    assert!(seen.is_forwarded() || seen.status() == 303, "{name}");
                    break;
                }
                assert_nobody_gets_in(&seen, &format!("{name}, call {failed}, {settings}"));
                assert_eq!(seen.status(), 503);
                assert_eq!(
                    seen.outcome.event.as_ref().map(|e| e.event),
                    Some(EventKind::Fault)
                );
                // What could not be checked is not taken away.
                assert!(
                    !seen.clears(OWN) && !seen.clears(SSO),
                    "{name}, call {failed}"
                );
                failed += 1;
            }
            let expected = if name.starts_with("link, b") { 2 } else { 3 };
            assert!(failed >= expected, "{name}: {failed} calls");
        }
    }
}

#[test]
fn sec_38_no_broken_record_lets_a_request_through() {
    for settings in sites() {
        for (name, scenario) in SCENARIOS {
            for garbage in GARBAGE {
                let edge = Edge::new(&settings);
                let request = scenario(&edge);
                edge.isolate().send(&get("/.well-known/jwks.json"));
                edge.shared.make(Trouble::Garbage(garbage));
                let seen = edge.isolate().send(&request);
                assert_nobody_gets_in(&seen, &format!("{name}, {garbage:?}, {settings}"));
            }
        }
    }
}

#[test]
fn sec_38_each_broken_record_by_itself_lets_nobody_through() {
    for (name, scenario) in SCENARIOS {
        for garbage in ["{", "{}", "\"x\"", "{\"keys\":[]}"] {
            for at in 0..4 {
                let edge = Edge::new(&json!({}));
                let request = scenario(&edge);
                edge.isolate().send(&get("/.well-known/jwks.json"));
                let before = edge.shared.calls.borrow().len();
                edge.shared.make(Trouble::GarbageAt(at, garbage));
                let seen = edge.isolate().send(&request);
                let calls = edge.shared.calls.borrow();
                let Some(call) = calls.get(before + at) else {
                    continue;
                };
                // Only what was there can be broken: nothing is noted of a session that has not ended.
                let was_there =
                    !call.key.starts_with("session_ended:") && !call.key.starts_with("link:");
                // No key at all is no fault: then the first one is made.
                let keys = call.key == "signing_keys" && garbage == "{\"keys\":[]}";
                if call.verb == Verb::KvRead && was_there && !keys {
                    assert_nobody_gets_in(
                        &seen,
                        &format!("{name}, {garbage:?} at {at}: {}", call.key),
                    );
                }
            }
        }
    }
}

#[test]
fn sec_38_no_verb_that_always_fails_lets_a_request_through() {
    for (name, scenario) in SCENARIOS {
        for trouble in Verb::ALL
            .map(Trouble::Every)
            .into_iter()
            .chain([Trouble::All])
        {
            let edge = Edge::new(&json!({}));
            let request = scenario(&edge);
            edge.shared.make(trouble);
            let before = edge.shared.calls.borrow().len();
            let seen = edge.isolate().send(&request);
            let calls = edge.shared.calls.borrow();
            let asked = calls
                .iter()
                .skip(before)
                .any(|call| trouble == Trouble::Every(call.verb));
            if asked || trouble == Trouble::All {
                assert_nobody_gets_in(&seen, &format!("{name}, {trouble:?}"));
            }
        }
    }
}

#[test]
fn sec_38_a_signing_key_that_cannot_be_opened_stops_the_request() {
    let edge = Edge::new(&json!({}));
    let session = edge.isolate().sign_in(&api_token(&edge), ANNA);
    let rotated = edge.deployed(|bindings| {
        let old = bindings.remove("EDGEWARD_KEY_SECRET_1").unwrap();
        let other = old.chars().rev().collect();
        bindings.insert("EDGEWARD_KEY_SECRET_2".into(), other);
    });
    let seen = rotated.isolate().send(&get("/").cookie(&session));
    assert_eq!(seen.refusal(), (503, "temporarily_unavailable".into()));
    let reason = seen.outcome.event.unwrap().reason.unwrap();
    assert!(
        reason.contains("key secret that is not configured"),
        "{reason}"
    );
}

#[test]
fn a_log_out_that_could_not_be_noted_is_not_called_one() {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let session = isolate.sign_in(&api_token(&edge), ANNA);
    edge.shared.make(Trouble::Every(Verb::KvWrite));
    let logout = req("POST", "/api/sso/logout").cookie(&session);
    let seen = isolate.send(&logout);
    assert_eq!(seen.status(), 503);
    edge.shared.make(Trouble::None);
    assert!(isolate.me(&session).is_some());
    assert_eq!(isolate.send(&logout).status(), 200);
    assert!(isolate.me(&session).is_none());
}

#[test]
fn a_link_that_could_not_be_used_up_opens_nothing_and_can_be_followed_again() {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let link = open(&format!(
        "/?token={}",
        isolate.issue(&api_token(&edge), ANNA)
    ));
    edge.shared.make(Trouble::Every(Verb::Acquire));
    let seen = isolate.send(&link);
    assert_eq!((seen.status(), seen.session()), (503, None));
    edge.shared.make(Trouble::None);
    assert!(isolate.send(&link).session().is_some());
}

#[test]
fn every_admin_call_that_meets_a_fault_is_5xx_and_does_not_seem_to_have_worked() {
    type AdminCall = (&'static str, &'static str, Value);
    let calls: [AdminCall; 7] = [
        ("POST", "/api/sso/token", json!({"email": "new@b.c"})),
        ("GET", "/api/sso/users", Value::Null),
        ("POST", "/api/sso/users", json!({"email": "new@b.c"})),
        ("GET", "/api/sso/tokens", Value::Null),
        (
            "POST",
            "/api/sso/tokens",
            json!({"name": "x", "scopes": ["admin"]}),
        ),
        ("GET", "/api/sso/keys", Value::Null),
        ("POST", "/api/sso/keys/rotate", Value::Null),
    ];
    for (method, path, body) in calls {
        for failing in 0.. {
            let edge = Edge::new(&json!({}));
            let token = api_token(&edge);
            let isolate = edge.isolate();
            isolate.issue(&token, "old@b.c");
            edge.wait(3600);
            edge.shared.make(Trouble::Call(failing));
            let before = edge.shared.calls.borrow().len();
            let seen = isolate.send(&req(method, path).api_token(&token).json(&body));
            if edge.shared.counted() <= failing {
                assert!(seen.status() < 300, "{path}: {}", seen.body());
                break;
            }
            // That the API token was used could not be noted; that is no reason to refuse.
            let calls = edge.shared.calls.borrow();
            let of_use = |call: &&PortCall| call.key.starts_with("api_token_used:");
            let noted_before = calls[before..before + failing]
                .iter()
                .filter(of_use)
                .count();
            let noting = of_use(&&calls[before + failing]) && noted_before < 2;
            // The intent of an act is written and the act is done: an answer that says otherwise would be wrong.
            let rows = edge.shared.audit.rows();
            let intents = rows
                .iter()
                .filter(|row| row["result"] == "intended")
                .count();
            let outcomes = rows.iter().filter(|row| row.get("of").is_some()).count();
            let failed = calls[before + failing].verb;
            let outcome = failed == Verb::Audit && intents > outcomes;
            let fine = if noting || outcome {
                seen.status() < 300
            } else {
                seen.status() == 503
            };
            assert!(fine, "{method} {path}, call {failing}: {}", seen.status());
        }
    }
}

#[test]
fn a_fault_of_the_key_set_is_5xx_and_logged() {
    let edge = Edge::new(&json!({}));
    edge.shared.make(Trouble::All);
    let seen = edge.isolate().send(&get("/.well-known/jwks.json"));
    assert_eq!(seen.status(), 503);
    assert_eq!(seen.outcome.event.map(|e| e.event), Some(EventKind::Fault));
}
