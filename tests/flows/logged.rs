//! The access log: each decision has one line, which says who, what and where, and nothing that is a secret. What a stranger
//! sends is bounded there, and forges no line.

use edgeward::model::api_token::Scope;
use serde_json::{Value, json};

use crate::harness::request::{Req, Seen, get, open, req};
use crate::harness::{Edge, Isolate, bindings, run};

fn edge(global: &Value) -> Edge {
    let mut bindings = bindings(&json!({
        "unauthenticated": null,
        "rules": [
            {"prefix": "/staff", "name": "staff only", "require": {"role": "staff"}},
            {"glob": ["/open/*", "/free/**"], "public": true},
            {"prefix": "/", "require": {"authenticated": true}},
        ],
        "cors": {"origins": ["https://spa.example"], "credentials": true},
    }));
    bindings.insert("EDGEWARD".into(), global.to_string());
    Edge::with(bindings)
}

fn all() -> Value {
    json!({"log": "all"})
}

/// The lines of a request, as they are written: of what happened, and of the request to the origin.
fn lines(seen: &Seen) -> Vec<Value> {
    let events = [&seen.outcome.event, &seen.outcome.forwarded];
    events
        .into_iter()
        .flatten()
        .map(|event| {
            let line = event.line();
            assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)), "{line}");
            assert!(line.len() < 2500, "{line}");
            serde_json::from_str(&line).unwrap()
        })
        .collect()
}

fn line(seen: &Seen) -> Value {
    let mut lines = lines(seen);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

fn from(request: Req) -> Req {
    request
        .header("cf-connecting-ip", "203.0.113.77")
        .header("cf-ipcountry", "DE")
}

fn person(edge: &Edge, isolate: &Isolate) -> (String, String) {
    let session = isolate.sign_in(&edge.api_token(&[Scope::Admin]), "ada@example.com");
    let id = isolate.me(&session).unwrap()["user"]["id"].clone();
    (session, id.as_str().unwrap().to_owned())
}

#[test]
fn each_decision_has_one_line_that_says_who_what_and_where() {
    let edge = edge(&all());
    let isolate = edge.isolate();
    let (session, user) = person(&edge, &isolate);
    let about = |path: &str| {
        json!({
            "site": "app", "host": "site.example", "method": "GET", "path": path, "address": "203.0.113.0/24", "country": "DE",
            "request_id": "request-1",
        })
    };
    let with = |mut value: Value, more: Value| {
        let members = value.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        value
    };
    let third = json!({"rule": 3, "rule_name": "/"});
    let second = json!({"rule": 2, "rule_name": "/open/*"});
    let signed_in = json!({"user": user, "source": "session"});
    for (request, expected) in [
        (
            get("/a/./b/../c?token=x&y").cookie(&session),
            with(
                with(about("/a/c"), third.clone()),
                with(signed_in.clone(), json!({"event": "forwarded"})),
            ),
        ),
        (
            get("/open/x").cookie(&session),
            with(
                with(about("/open/x"), second),
                json!({"event": "forwarded"}),
            ),
        ),
        (
            get("/staff/x?q").cookie(&session),
            with(
                with(about("/staff/x"), signed_in),
                json!({
                    "event": "denied", "status": 403, "code": "forbidden", "rule": 1, "rule_name": "staff only",
                    "reason": "rule 1: requirement role is not met",
                }),
            ),
        ),
        (
            get("/x?q"),
            with(
                with(about("/x"), third),
                json!({
                    "event": "denied", "status": 401, "code": "token_missing", "reason": "no credential",
                }),
            ),
        ),
        (
            get("/api/sso/health?q"),
            with(
                about("/api/sso/health"),
                json!({"event": "answered", "status": 200}),
            ),
        ),
        (
            get("/api/sso/nothing"),
            with(
                about("/api/sso/nothing"),
                json!({
                    "event": "denied", "status": 404, "code": "not_found", "reason": "unknown endpoint",
                }),
            ),
        ),
        (
            get("/a%00?q"),
            with(
                about("/a%00"),
                json!({
                    "event": "denied", "status": 400, "code": "bad_request", "reason": "the path contains a control character",
                }),
            ),
        ),
    ] {
        let seen = isolate.send(&from(request.clone()));
        assert_eq!(line(&seen), expected, "{}", request.url);
    }
    let token = isolate.issue(&edge.api_token(&[Scope::Admin]), "ada@example.com");
    let seen = isolate.send(&from(get("/a").bearer(&token)));
    assert_eq!(line(&seen)["source"], "bearer");
    let seen =
        isolate.send(&from(get("/api/sso/users")).api_token(&edge.api_token(&[Scope::TokenIssue])));
    let told = line(&seen);
    assert_eq!(
        (
            &told["event"],
            &told["code"],
            &told["status"],
            &told["call"]
        ),
        (
            &json!("admin_call"),
            &json!("insufficient_scope"),
            &json!(403),
            &json!("users")
        )
    );
    assert!(told["api_token"].is_string());
}

#[test]
fn a_sign_in_has_a_line_of_its_own_before_the_origin_has_answered() {
    let edge = edge(&all());
    let isolate = edge.isolate();
    let token = isolate.issue(&edge.api_token(&[Scope::Admin]), "ada@example.com");
    let seen = isolate.send(&open("/a").cookie(&format!("{}={token}", crate::harness::SSO)));
    let events: Vec<Value> = lines(&seen)
        .iter()
        .map(|line| line["event"].clone())
        .collect();
    assert!(seen.is_forwarded());
    assert_eq!(events, ["signed_in", "forwarded"]);
}

#[test]
fn without_log_all_only_what_is_notable_has_a_line() {
    let edge = edge(&json!({}));
    let isolate = edge.isolate();
    let (session, _) = person(&edge, &isolate);
    for request in [
        get("/a").cookie(&session),
        get("/open/x"),
        get("/api/sso/health"),
        get("/.well-known/jwks.json"),
    ] {
        assert_eq!(
            lines(&isolate.send(&request)),
            Vec::<Value>::new(),
            "{}",
            request.url
        );
    }
    for request in [
        get("/a"),
        get("/").at("other.example"),
        get("/api/sso/nothing"),
        get("/api/sso/users"),
    ] {
        assert_eq!(lines(&isolate.send(&request)).len(), 1, "{}", request.url);
    }
}

#[test]
fn sec_104_an_unknown_host_is_named_bounded_and_escaped() {
    let isolate = edge(&json!({})).isolate();
    for (host, shown) in [
        ("unknown.example:8443", "unknown.example:8443"),
        ("\u{202e}moc.live", "%E2%80%AEmoc.live"),
        ("a\"}{\"event\":\"forged", "a\"}{\"event\":\"forged"),
    ] {
        let told = line(&isolate.send(&get("/a?b").at(host)));
        assert_eq!(
            (
                &told["event"],
                &told["reason"],
                &told["host"],
                &told["path"]
            ),
            (
                &json!("denied"),
                &json!("unknown host"),
                &json!(shown),
                &json!("/a")
            )
        );
        assert!(told.get("site").is_none());
    }
    let told = line(&isolate.send(&get("/").at(&"a".repeat(100_000))));
    assert_eq!(told["host"].as_str().unwrap().len(), 264);
}

#[test]
fn sec_104_nothing_that_a_client_sends_forges_a_line_or_makes_it_long() {
    let edge = edge(&all());
    let isolate = edge.isolate();
    let (session, _) = person(&edge, &isolate);
    let long = format!("/{}", "x".repeat(100_000));
    let deep = "/x".repeat(50_000);
    for path in [
        "/a%0A%7B%22event%22:%22forged%22%7D",
        "/\u{202e}gpj.exe",
        "/a\u{7f}\u{85}\u{2028}b",
        "/\"}{\"event\":\"forged\"}",
        "/\\u000a",
        long.as_str(),
        deep.as_str(),
    ] {
        for request in [
            get(path),
            get(path).cookie(&session),
            get(path).at("x.y"),
            req("\u{202e}GET", path),
        ] {
            for line in lines(&isolate.send(&from(request))) {
                assert_ne!(line["event"], "forged");
                assert!(line["path"].as_str().unwrap().len() <= 520, "{line}");
            }
        }
    }
    for (header, value) in [
        ("cf-ipcountry", "DE\",\"x\":\"y"),
        ("cf-connecting-ip", "1.2.3.4\u{202e}"),
        ("cf-ray", "a b\""),
    ] {
        let told = line(&isolate.send(&get("/a").header(header, value)));
        assert!(
            told.get("country").is_none()
                && told.get("address").is_none()
                && told["request_id"] == "request-1",
            "{told}"
        );
    }
}

#[test]
fn sec_63_what_may_hold_personal_data_is_logged_as_the_settings_say() {
    let path = "/u/ada@example.com/reset/c4x2ab-7f3d1a9bcd0e4f5a6b7c8d9e0f1a2b3c?q=1";
    let whole = "/u/ada@example.com/reset/c4x2ab-7f3d1a9bcd0e4f5a6b7c8d9e0f1a2b3c";
    let tell = |global: &Value| {
        let request = get(path).header("cf-connecting-ip", "2001:db8:1:2::77");
        let told = line(&edge(global).isolate().send(&request));
        (told.get("path").cloned(), told.get("address").cloned())
    };
    let pair = |path: &str, address: &str| (Some(json!(path)), Some(json!(address)));
    assert_eq!(tell(&json!({})), pair("/u/*/reset/*", "2001:db8:1::/48"));
    let careless = json!({"log_path": "full", "log_address": "full"});
    assert_eq!(tell(&careless), pair(whole, "2001:db8:1:2::77"));
    let silent = json!({"log_path": "none", "log_address": "none"});
    assert_eq!(tell(&silent), (None, None));
}

#[test]
fn sec_63_a_credential_in_a_path_is_in_no_line_whatever_the_settings_are() {
    let edge = edge(&json!({"log": "all", "log_path": "full"}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let token = isolate.issue(&admin, "ada@example.com");
    let (session, _) = person(&edge, &isolate);
    for secret in [&token, &admin] {
        let mut encoded = String::new();
        for byte in secret.bytes() {
            edgeward::http::path::push_escape(&mut encoded, byte);
        }
        for said in [
            secret.clone(),
            encoded,
            format!("x{secret}"),
            format!("{secret};v=1"),
        ] {
            for path in [
                format!("/a/{said}"),
                format!("/{said}/b"),
                format!("/open/{said}/"),
                format!("/{}/{said}", "y".repeat(500)),
            ] {
                for request in [
                    get(&path),
                    get(&path).cookie(&session),
                    get(&path).at("x.y"),
                    get(&format!("/api/sso{path}")),
                ] {
                    for line in lines(&isolate.send(&request)) {
                        let line = line.to_string();
                        assert!(
                            !line.contains(&secret[..12])
                                && !line.contains(&secret[secret.len() - 12..]),
                            "{line}"
                        );
                        assert!(!line.contains("%65") && !line.contains("%45"), "{line}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_json_refusal_names_the_request_and_a_page_of_a_listed_origin_may_read_it() {
    let edge = edge(&json!({}));
    let isolate = edge.isolate();
    for request in [
        get("/a"),
        get("/").at("x.y"),
        get("/a%00"),
        get("/api/sso/nothing"),
        get("/api/sso/users"),
        get("/api/sso/me"),
    ] {
        let seen = isolate.send(&request);
        assert_eq!(seen.json()["request_id"], "request-1", "{}", request.url);
        assert_eq!(seen.header("x-request-id"), Some("request-1"));
        assert_eq!(seen.outcome.event.as_ref().unwrap().request_id, "request-1");
    }
    let exposed = |origin: &str| {
        let seen = isolate.send(&get("/a").header("origin", origin));
        seen.header("access-control-expose-headers")
            .map(str::to_owned)
    };
    assert_eq!(
        exposed("https://spa.example").as_deref(),
        Some("x-request-id")
    );
    assert_eq!(exposed("https://evil.example"), None);
    // The shape of this call is that of its existing clients.
    let seen = isolate.send(&req("POST", "/api/sso/token"));
    assert_eq!(seen.json(), json!({"error": "Authentication required"}));
}

#[test]
fn a_request_that_nobody_logs_costs_what_it_would_without_a_log() {
    let count = |global: &Value| {
        let edge = edge(global);
        let isolate = edge.isolate();
        let (session, _) = person(&edge, &isolate);
        let request = from(get("/a").cookie(&session)).header("cf-ray", "abc");
        for _ in 0..2 {
            drop(run(isolate.begin(&request)));
        }
        let begun = Box::pin(isolate.begin(&request));
        let mut outcome = None;
        let counted = allocation_counter::measure(|| outcome = Some(run(begun)));
        drop(outcome);
        counted.count_total
    };
    let notable = count(&json!({}));
    assert_eq!(
        notable,
        count(&json!({"log_path": "none", "log_address": "none"}))
    );
    assert!(notable < count(&all()));
}
