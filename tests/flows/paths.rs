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
fn sec_33_a_path_is_forwarded_as_it_was_judged_or_refused() {
    let (isolate, session) = signed_in();
    for (path, arrives) in [
        ("/a/b", Some("/a/b")),
        ("/a/./b/../c", Some("/a/c")),
        ("/../../a", Some("/a")),
        ("/a/%2e%2e/b", Some("/b")),
        ("//a//b/", Some("/a/b/")),
        ("/%61%7e", Some("/a~")),
        ("/a%2Fb", None),
        ("/a%5cb", None),
        ("/a\\b", None),
        ("/a%00", None),
        ("/a%0aX", None),
        ("/a;b=c/d", None),
        ("/a%3bb", None),
        ("/a%252e%252e/b", None),
        ("/a%c0%af", None),
        ("/a%ff", None),
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
    let (isolate, session) = signed_in();
    for path in [
        "/a/%252%65%252%65/b",
        "/a/%25%32e/b",
        "/a/%25%32%65/b",
        "/a%252%66b",
        "/%25%30%30",
        "/%254%31",
    ] {
        let seen = isolate.send(&get(path).cookie(&session));
        assert_eq!(seen.refusal(), (400, "bad_request".into()), "{path}");
    }
}
