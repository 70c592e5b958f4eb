//! `explain` judges as a request is judged: whatever it says of a request is what becomes of it.

use edgeward::model::api_token::Scope;
use serde_json::{Value, json};

use crate::harness::request::{Req, open, req};
use crate::harness::{Edge, Isolate, OWN, SSO, tampered};

const SOURCES: [&str; 4] = ["session", "sso_cookie", "query", "bearer"];
const METHODS: [&str; 4] = ["GET", "POST", "OPTIONS", "TRACE"];
const PATHS: [&str; 7] = [
    "/public/x",
    "/maybe/x",
    "/team/x",
    "/closed/x",
    "/x",
    "/post-only/x",
    "/api/sso/me",
];

fn rules() -> Value {
    json!([
        {"prefix": "/public", "public": true},
        {"prefix": "/maybe", "anonymous_ok": true},
        {"prefix": "/team", "require": {"role": "team"}},
        {"prefix": "/closed", "deny": true},
        {"prefix": "/post-only", "method": ["POST"], "require": {"role": "team"}},
        {"prefix": "/post-only", "anonymous_ok": true},
        {"prefix": "/", "require": {"authenticated": true}},
    ])
}

/// The request that a client sends which carries `credential` in `source`, as a page of the site would.
fn carrying(method: &str, path: &str, source: &str, credential: &str) -> Req {
    let browser = |request: Req| {
        request
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "navigate")
    };
    match source {
        "session" => browser(req(method, path)).cookie(&format!("{OWN}={credential}")),
        "sso_cookie" => browser(req(method, path)).cookie(&format!("{SSO}={credential}")),
        "query" => browser(req(method, &format!("{path}?token={credential}"))),
        _ => req(method, path).bearer(credential),
    }
}

/// `granted` and `as` of a request that was really sent.
fn became(isolate: &Isolate, request: &Req) -> (bool, Value) {
    let mut seen = isolate.send(request);
    // The way through a clean URL: the browser comes again, with the session if one was opened.
    let location = seen.header("location").map(str::to_owned);
    if let Some(path) = location
        .as_deref()
        .and_then(|url| url.strip_prefix("https://site.example"))
    {
        let session = seen.session();
        let again = open(path);
        seen = isolate.send(&session.map_or(again.clone(), |session| again.cookie(&session)));
    }
    if !seen.is_forwarded() {
        return (false, Value::Null);
    }
    let identified = seen.origin().header("x-forwarded-user").is_some();
    let passes_as = if identified { "principal" } else { "anonymous" };
    (true, passes_as.into())
}

#[test]
fn what_explain_says_is_what_happens() {
    let mut compared = 0;
    for taken in [
        json!(["session", "sso_cookie", "query", "bearer"]),
        json!(["session", "sso_cookie"]),
        json!(["bearer"]),
    ] {
        let edge = Edge::new(&json!({"rules": rules(), "sources": taken, "unauthenticated": null}));
        let takes_sessions = taken[0] == "session";
        for roles in [json!([]), json!(["team"])] {
            for method in METHODS {
                for path in PATHS {
                    for source in SOURCES {
                        compared += compare(&edge, takes_sessions, &roles, (method, path, source));
                    }
                }
            }
        }
    }
    assert_eq!(compared, 3 * 2 * 4 * 7 * 4 * 3, "every case was compared");
}

/// Compares a good, a bad and no credential; gives how many were compared.
fn compare(
    edge: &Edge,
    takes_sessions: bool,
    roles: &Value,
    (method, path, source): (&str, &str, &str),
) -> usize {
    let admin = &edge.api_token(&[Scope::Admin]);
    let isolate = edge.isolate();
    let email = if roles == &json!([]) {
        "a@b.c"
    } else {
        "t@b.c"
    };
    let body = json!({"email": email, "roles": roles});
    isolate.admin(admin, "POST", "/api/sso/users", &body);
    let good = match source {
        "session" if takes_sessions => isolate
            .sign_in(admin, email)
            .split_once('=')
            .map(|(_, value)| value.to_owned())
            .unwrap_or_default(),
        _ => isolate.issue(admin, email),
    };
    let bad = tampered(&good);
    for credential in [Some(&good), Some(&bad), None] {
        let mut question = json!({"path": path, "method": method, "source": source});
        let mut request = req(method, path);
        if let Some(credential) = credential {
            question["token"] = json!(credential);
            request = carrying(method, path, source, credential);
        }
        let told = isolate
            .admin(admin, "POST", "/api/sso/explain", &question)
            .1;
        let context = format!("{method} {path} {source} {credential:?}: {told}");
        if path.starts_with("/api/sso") {
            for member in ["rule", "granted", "as", "refusal", "requirements"] {
                assert!(told[member].is_null(), "{member}: {context}");
            }
            continue;
        }
        let (granted, passes_as) = became(&isolate, &request);
        assert_eq!(told["granted"], granted, "{context}");
        assert_eq!(told["as"], passes_as, "{context}");
        assert_eq!(told["refusal"].is_null(), granted, "{context}");
    }
    3
}

#[test]
fn a_text_that_is_more_than_one_credential_is_no_question() {
    let edge = Edge::new(&json!({"rules": rules(), "unauthenticated": null}));
    let admin = edge.api_token(&[Scope::Admin]);
    let isolate = edge.isolate();
    let session = isolate.sign_in(&admin, "a@b.c");
    let token = isolate.issue(&admin, "a@b.c");
    let ask = |source: &str, token: &str| {
        let question = json!({"path": "/x", "source": source, "token": token});
        isolate.admin(&admin, "POST", "/api/sso/explain", &question)
    };
    for (source, text) in [
        ("sso_cookie", format!("{token}; {session}")),
        ("session", format!("x; {session}")),
        ("sso_cookie", format!(" {token}")),
        ("session", "x\nauthorization\nBearer y".to_owned()),
    ] {
        let (status, told) = ask(source, &text);
        assert_eq!(
            (status, &told["field"]),
            (400, &json!("token")),
            "{source}: {told}"
        );
    }
    let (status, told) = ask("query", "x");
    assert_eq!(status, 200);
    assert_eq!(
        told["credential"],
        "ignored: not a credential that this source can have"
    );
    assert_eq!(told["granted"], false);
}
