//! The path and the method that are judged are those that the origin receives.

use edgeward::model::api_token::Scope;
use serde_json::json;

use crate::harness::request::{get, open, req};
use crate::harness::{Edge, Isolate};

fn signed_in() -> (Isolate, String) {
    let edge = Edge::new(&json!({"trusted_origins": ["https://app.example"]}));
    let isolate = edge.isolate();
    let session = isolate.sign_in(&edge.api_token(&[Scope::Admin]), "a@b.c");
    (isolate, session)
}

#[test]
fn sec_33_a_path_is_forwarded_as_it_came_or_refused() {
    let (isolate, session) = signed_in();
    for (path, arrives) in [
        ("/a/b", Some("/a/b")),
        ("/a/./b/../c", Some("/a/c")),
        ("/../../a", Some("/a")),
        ("/a/%2e%2e/b", Some("/b")),
        ("//a//b/", Some("//a//b/")),
        ("/%61%7e", Some("/%61%7e")),
        ("/a%2Fb", Some("/a%2Fb")),
        ("/a%5cb", Some("/a%5cb")),
        ("/a\\b", Some("/a%5Cb")),
        ("/a;b=c/d", Some("/a;b=c/d")),
        ("/a%3bb", Some("/a%3bb")),
        ("/a%252e%252e/b", Some("/a%252e%252e/b")),
        ("/a%ff", Some("/a%ff")),
        ("/a%c0%af", Some("/a%c0%af")),
        ("/a%00", None),
        ("/a%0aX", None),
        ("/a%250a", None),
        ("/a%c0%80", None),
        ("/a%zz", None),
        ("/a%", None),
    ] {
        let seen = isolate.send(&get(path).cookie(&session));
        match arrives {
            Some(arrives) => assert_eq!(
                seen.origin().url,
                format!("https://origin.example{arrives}"),
                "{path}"
            ),
            None => assert_eq!(seen.refusal(), (400, "bad_request".into()), "{path}"),
        }
        // The same for somebody who may not pass: never forwarded.
        let seen = isolate.send(&get(path));
        assert_eq!(
            seen.status(),
            if arrives.is_some() { 401 } else { 400 },
            "{path}"
        );
    }
    let seen = isolate.send(&open("/a%00").cookie(&session));
    assert_eq!(seen.status(), 400);
    assert!(seen.body().contains("<h1>"));
}

#[test]
fn sec_33_a_path_that_is_read_as_an_endpoint_of_ours_never_reaches_an_origin() {
    let (isolate, session) = signed_in();
    for path in [
        "//api/sso/users",
        "/%61pi/sso/users",
        "/api%2fsso/users",
        "/api/sso%2fusers",
        "/x/..%2fapi/sso/users",
        "/x/..;/api/sso/users",
        "/api\\sso\\users",
        "/api;x/sso/users",
        "/api/sso/users;x",
        "/api/sso/users%20",
        "/%2561pi/sso/users",
        "/.well-known%2fjwks.json",
        "/%25%32%65%25%32%65/api/sso/me",
    ] {
        let seen = isolate.send(&get(path).cookie(&session));
        assert_eq!(seen.refusal(), (400, "ambiguous_path".into()), "{path}");
    }
}

#[test]
fn a_site_with_strict_paths_gets_only_those_that_all_servers_read_alike() {
    let edge = Edge::new(&json!({"paths": "strict"}));
    let isolate = edge.isolate();
    let session = isolate.sign_in(&edge.api_token(&[Scope::Admin]), "a@b.c");
    for (path, arrives) in [
        ("//a//b/", "/a/b/"),
        ("/%61%7e", "/a~"),
        ("/a/%2e%2e/b", "/b"),
        ("/a%c3%a9", "/a%C3%A9"),
    ] {
        let origin = isolate.send(&get(path).cookie(&session)).origin();
        assert_eq!(origin.url, format!("https://origin.example{arrives}"));
    }
    for path in [
        "/a%2Fb", "/a%5cb", "/a\\b", "/a;b", "/a%252e", "/a%ff", "/a%00", "/a%zz",
    ] {
        let seen = isolate.send(&get(path).cookie(&session));
        assert_eq!(seen.refusal(), (400, "bad_request".into()), "{path}");
    }
}

#[test]
fn the_log_names_the_rules_of_two_readings() {
    let edge = Edge::new(&json!({"unauthenticated": "deny", "rules": [
        {"prefix": "/static", "public": true},
        {"prefix": "/admin", "require": {"role": "admin"}},
    ]}));
    let isolate = edge.isolate();
    for (path, reason) in [
        ("/static/..%2fadmin", "rule 1, or rule 2"),
        ("/static/..;/x", "rule 1, or no rule"),
        ("//static/x", "no rule, or rule 1"),
        (
            "//api/sso/me",
            "the application, or an endpoint of Edgeward",
        ),
    ] {
        let seen = isolate.send(&get(path));
        assert_eq!(seen.refusal(), (400, "ambiguous_path".into()), "{path}");
        let expected = format!("servers read the path in different ways: {reason}");
        let reason = seen.outcome.event.and_then(|event| event.reason);
        assert_eq!(reason, Some(expected), "{path}");
    }
}

#[test]
fn a_return_address_with_an_odd_path_stays_on_its_site_and_keeps_its_bytes() {
    let edge =
        Edge::new(&json!({"unauthenticated": "login", "login_url": "https://login.example/"}));
    let isolate = edge.isolate();
    for (path, back) in [
        ("/@scope%2fpkg", "/@scope%2fpkg"),
        ("/wiki/Steins;Gate", "/wiki/Steins;Gate"),
        ("/caf%E9", "/caf%E9"),
        ("/web/https://x.example/a", "/web/https://x.example/a"),
        ("//evil.example/x", "/.//evil.example/x"),
        ("/\\evil.example", "/%5Cevil.example"),
        ("/.//evil.example", "/.//evil.example"),
    ] {
        let seen = isolate.send(&open(path));
        let location = seen.header("location").unwrap();
        let expected = edgeward::http::query::encode(&format!("https://site.example{back}"));
        assert!(location.contains(&expected), "{path}: {location}");
    }
}

#[test]
fn sec_34_nothing_in_the_query_changes_what_is_asked_for() {
    let (isolate, session) = signed_in();
    for query in [
        "x=/api/sso/health",
        "/../api/sso/health",
        "/api/sso/me",
        "x=/public/",
        "?#",
    ] {
        let path = format!("/a?{query}");
        assert_eq!(isolate.send(&get(&path)).status(), 401, "{query}");
        let origin = isolate.send(&get(&path).cookie(&session)).origin();
        let arrives = query.split('#').next().unwrap();
        assert_eq!(origin.url, format!("https://origin.example/a?{arrives}"));
    }
}

#[test]
fn sec_35_a_number_sign_cuts_nothing() {
    let (isolate, session) = signed_in();
    for path in ["/a%23/../b", "/%23/api/sso/health", "/a%23b?x=%23&y#z"] {
        assert_eq!(isolate.send(&get(path)).status(), 401, "{path}");
    }
    let saw = |path: &str| isolate.send(&get(path).cookie(&session)).origin().url;
    assert_eq!(
        saw("/a%23b/c?x=%23&y#z"),
        "https://origin.example/a%23b/c?x=%23&y"
    );
    assert_eq!(saw("/a#/../b"), "https://origin.example/a");
}

#[test]
fn sec_39_no_method_is_another_one_in_disguise() {
    let (isolate, session) = signed_in();
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "X_HTTP_Method_Override",
    ] {
        let origin = isolate
            .send(&get("/").cookie(&session).header(name, "DELETE"))
            .origin();
        assert!(
            !origin.headers.iter().any(|(_, value)| value == "DELETE"),
            "{name}"
        );
    }
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PROPFIND", "get", "Get"] {
        assert_eq!(isolate.send(&req(method, "/")).status(), 401, "{method}");
    }
    // Only GET, HEAD and OPTIONS are safe to be sent by a page of another site.
    for (method, status) in [
        ("GET", 0),
        ("HEAD", 0),
        ("OPTIONS", 0),
        ("POST", 403),
        ("PROPFIND", 403),
        ("get", 403),
        ("DELETE", 403),
    ] {
        let request = req(method, "/")
            .cookie(&session)
            .header("origin", "https://evil.example");
        let request = request.header("sec-fetch-site", "cross-site");
        assert_eq!(isolate.send(&request).status(), status, "{method}");
    }
}

#[test]
fn sec_45_a_websocket_wants_an_origin_that_may_act_here() {
    let (isolate, session) = signed_in();
    let socket = || {
        get("/socket")
            .cookie(&session)
            .header("upgrade", "websocket")
    };
    for (origin, status) in [
        (None, 403),
        (Some("https://evil.example"), 403),
        (Some("https://site.example.evil.net"), 403),
        (Some("http://site.example"), 403),
        (Some("null"), 403),
        (Some("https://site.example"), 0),
        (Some("https://SITE.example:443"), 0),
        (Some("https://app.example"), 0),
    ] {
        let request = match origin {
            Some(origin) => socket().header("origin", origin),
            None => socket(),
        };
        assert_eq!(isolate.send(&request).status(), status, "{origin:?}");
    }
    let nobody = get("/socket")
        .header("upgrade", "websocket")
        .header("origin", "https://site.example");
    assert_eq!(isolate.send(&nobody).status(), 401);
}

#[test]
fn sec_33_an_escape_in_pieces_is_no_way_round() {
    let edge = Edge::new(&json!({"unauthenticated": "deny", "rules": [
        {"prefix": "/a", "public": true},
        {"prefix": "/", "require": {"role": "admin"}},
    ]}));
    let isolate = edge.isolate();
    for path in [
        "/a/%252%65%252%65/b",
        "/a/%25%32e%25%32e/b",
        "/a/%25%32%65%25%32%65/b",
        "/a/..%252%66b",
        "/%2561",
        "/%254%31",
    ] {
        let seen = isolate.send(&get(path));
        let code = if path == "/%254%31" {
            (401, "token_missing")
        } else {
            (400, "ambiguous_path")
        };
        assert_eq!(seen.refusal(), (code.0, code.1.into()), "{path}");
    }
}
