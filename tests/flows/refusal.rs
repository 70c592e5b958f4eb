//! Who is refused, and how: per site, per kind of client, per reason.

use edgeward::jose::jws::Kind;
use edgeward::model::api_token::Scope;
use serde_json::{Value, json};

use crate::harness::request::{Req, get, open, req};
use crate::harness::{Edge, OWN, SSO};

const LOGIN: &str = "https://login.example/sign-in?x=1";

fn site(unauthenticated: &str) -> Edge {
    Edge::new(&json!({"unauthenticated": unauthenticated, "login_url": LOGIN}))
}

#[test]
fn a_program_always_gets_json_and_a_challenge() {
    for unauthenticated in ["deny", "login"] {
        let isolate = site(unauthenticated).isolate();
        for request in [
            get("/a"),
            get("/a")
                .header("accept", "*/*")
                .header("user-agent", "Mozilla/5.0"),
            req("POST", "/a"),
            get("/a")
                .header("sec-fetch-mode", "cors")
                .header("accept", "text/html"),
            open("/a").header("upgrade", "websocket"),
        ] {
            let seen = isolate.send(&request);
            assert_eq!(seen.refusal(), (401, "token_missing".into()), "{request:?}");
            assert_eq!(
                seen.header("www-authenticate"),
                Some("Bearer realm=\"edgeward\", code=\"token_missing\"")
            );
            assert_eq!(seen.header("cache-control"), Some("no-store"));
        }
        let seen = isolate.send(&get("/a").bearer("a.b.c"));
        assert_eq!(seen.refusal(), (401, "token_invalid".into()));
        let challenge =
            "Bearer realm=\"edgeward\", error=\"invalid_token\", code=\"token_invalid\"";
        assert_eq!(seen.header("www-authenticate"), Some(challenge));
    }
}

#[test]
fn a_browser_is_sent_to_sign_in_with_the_way_back() {
    let isolate = site("login").isolate();
    for request in [
        open("/a/%c3%a9?b=%2F&c"),
        get("/a/%c3%a9?b=%2F&c").header("accept", "text/html"),
        req("HEAD", "/a/%c3%a9?b=%2F&c").header("accept", "text/html"),
    ] {
        let seen = isolate.send(&request);
        assert_eq!(seen.status(), 303);
        let back =
            "https%3A%2F%2Fsite.example%2Fa%2F%25c3%25a9%3Fb%3D%252F%26c%26edgeward_attempt%3D1";
        assert_eq!(
            seen.header("location"),
            Some(format!("{LOGIN}&return_to={back}").as_str())
        );
    }
    for method in ["POST", "PUT", "DELETE", "PROPFIND", "get"] {
        let request = req(method, "/a").header("sec-fetch-mode", "navigate");
        let seen = isolate.send(&request);
        assert_eq!(seen.status(), 401, "{method}");
        assert!(seen.header("location").is_none() && seen.body().contains("login.example"));
    }
}

#[test]
fn the_way_back_has_neither_token_nor_marker_and_never_leads_elsewhere() {
    let isolate = site("login").isolate();
    let token = isolate.forge(Kind::Sso, &json!({}));
    let with_token = format!("/a?token={token}&x=1");
    for (path, back) in [
        (with_token.as_str(), "/a?x=1&edgeward_attempt=1"),
        (
            "/a?token=a.b.c&x=1",
            "/a?token=a.b.c&x=1&edgeward_attempt=1",
        ),
        ("/a?edgeward_attempt=1", "/a?edgeward_attempt=2"),
        (
            "/a?edgeward_attempt=1&edgeward_attempt=2&y",
            "/a?y&edgeward_attempt=3",
        ),
        ("//evil.example/%2e%2e/b", "/.//b?edgeward_attempt=1"),
        ("///evil.example", "/.///evil.example?edgeward_attempt=1"),
        ("/@evil.example", "/@evil.example?edgeward_attempt=1"),
        (
            "/a?return_to=https://evil.example",
            "/a?return_to=https://evil.example&edgeward_attempt=1",
        ),
    ] {
        let seen = isolate.send(&open(path));
        let expected = edgeward::http::query::encode(&format!("https://site.example{back}"));
        let location = seen.header("location").unwrap();
        assert_eq!(location.rsplit_once('=').unwrap().1, expected, "{path}");
    }
}

#[test]
fn a_loop_ends_in_a_page_that_names_the_likely_cause() {
    let edge = site("login");
    let isolate = edge.isolate();
    for attempt in 0..3 {
        let seen = isolate.send(&open(&format!("/a?edgeward_attempt={attempt}")));
        assert_eq!(seen.status(), 303);
    }
    let seen = isolate.send(&open("/a?edgeward_attempt=3"));
    assert_eq!(seen.status(), 401);
    assert!(seen.body().contains(SSO) && seen.body().contains("sign_in_loop"));
    let token = isolate.issue(&edge.api_token(&[Scope::TokenIssue]), "a@b.c");
    let forged = crate::harness::tampered(&token);
    let seen = isolate.send(&open("/a?edgeward_attempt=9").cookie(&format!("{SSO}={forged}")));
    assert!(seen.status() == 401 && seen.body().contains("another deployment"));
    for odd in ["-1", "x", "", "99999999999999"] {
        let seen = isolate.send(&open(&format!("/a?edgeward_attempt={odd}")));
        assert_eq!(seen.status(), 303, "{odd}");
    }
    // Whoever signed in meanwhile goes through, and once the session is back the marker leaves the address bar.
    let seen = isolate.send(&open("/a?edgeward_attempt=3&x").cookie(&format!("{SSO}={token}")));
    let next = seen.header("location").unwrap();
    assert_eq!(next, "https://site.example/a?x&edgeward_attempt=3o");
    let session = seen.session().unwrap();
    let seen = isolate.send(&open("/a?x&edgeward_attempt=3o").cookie(&session));
    assert_eq!(seen.header("location"), Some("https://site.example/a?x"));
}

#[test]
fn deny_shows_a_person_a_page_that_no_other_site_can_frame() {
    for (frames, policy) in [
        (json!([]), "frame-ancestors 'none'"),
        (
            json!(["https://portal.example"]),
            "frame-ancestors https://portal.example",
        ),
    ] {
        let isolate = Edge::new(&json!({"frame_ancestors": frames})).isolate();
        let seen = isolate.send(&open("/a"));
        assert_eq!(seen.status(), 401);
        let csp = seen.header("content-security-policy").unwrap();
        assert!(
            csp.starts_with("default-src 'none'; ") && csp.ends_with(policy),
            "{csp}"
        );
        assert_eq!(
            seen.header("x-frame-options").is_some(),
            frames == json!([])
        );
        assert_eq!(seen.header("cache-control"), Some("no-store"));
        assert!(seen.body().contains("Please sign in") && seen.body().contains("request-1"));
        assert!(!seen.body().contains("<script"));
    }
}

#[test]
fn sec_55_no_page_of_ours_is_framed_by_default() {
    let edge = site("login");
    let isolate = edge.isolate();
    let session = isolate.sign_in(&edge.api_token(&[Scope::Admin]), "a@b.c");
    for request in [
        open("/api/sso/logout").cookie(&session),
        open("/a?edgeward_attempt=3"),
        open("/a%00b"),
        req("POST", "/a").header("sec-fetch-mode", "navigate"),
    ] {
        let seen = isolate.send(&request);
        let csp = seen.header("content-security-policy").unwrap();
        assert!(csp.contains("frame-ancestors 'none'"), "{request:?}");
        assert_eq!(seen.header("x-frame-options"), Some("DENY"));
    }
}

#[test]
fn pass_forwards_as_anonymous_with_every_identity_header_removed() {
    let isolate = Edge::new(&json!({"unauthenticated": "pass"})).isolate();
    for request in [get("/a"), open("/a"), req("POST", "/a")] {
        let seen = isolate.send(
            &request
                .header("x-forwarded-user", "root")
                .header("x-staff", "true"),
        );
        let origin = seen.origin();
        let told = origin.headers.iter().map(|(name, _)| name.as_str());
        let told: Vec<&str> = told
            .filter(|name| name.starts_with("x-") || name.starts_with("remote"))
            .collect();
        assert_eq!(
            told,
            ["x-forwarded-host", "x-forwarded-proto", "x-request-id"]
        );
    }
}

#[test]
fn pass_lets_a_browser_with_a_bad_cookie_in_as_nobody_and_tells_a_program() {
    let edge = Edge::new(&json!({"unauthenticated": "pass"}));
    let isolate = edge.isolate();
    let seen = isolate.send(&open("/a").cookie(&format!("{OWN}=a.b.c")));
    assert!(seen.clears(OWN));
    assert_eq!(seen.origin().header("x-forwarded-user"), None);
    assert_eq!(seen.origin().header("cookie"), None);
    let seen = isolate.send(&get("/a").cookie(&format!("{OWN}=a.b.c")));
    assert_eq!(seen.refusal(), (401, "token_invalid".into()));
}

#[test]
fn methods_that_echo_or_tunnel_are_never_forwarded() {
    let isolate = Edge::new(&json!({"unauthenticated": "pass"})).isolate();
    for method in ["TRACE", "CONNECT", "TRACK", "trace"] {
        assert_eq!(isolate.send(&req(method, "/")).status(), 405, "{method}");
    }
}

#[test]
fn sec_36_and_sec_69_an_unknown_host_is_404_for_every_path() {
    let isolate = Edge::new(&json!({"unauthenticated": "pass"})).isolate();
    for host in [
        "SITE.Example",
        "site.example.",
        "site.example:443",
        "Site.EXAMPLE.:443",
    ] {
        assert!(isolate.send(&get("/a").at(host)).is_forwarded(), "{host}");
    }
    for host in [
        "edgeward.account.workers.dev",
        "203.0.113.7",
        "site.example.evil.net",
        "xsite.example",
        "site.example:8443",
        "site.example..",
        "sité.example",
        "localhost",
    ] {
        for path in [
            "/",
            "/api/sso/token",
            "/api/sso/health",
            "/.well-known/jwks.json",
        ] {
            let seen = isolate.send(&get(path).at(host));
            assert_eq!(seen.refusal(), (404, "not_found".into()), "{host}{path}");
            let person = isolate.send(&open(path).at(host));
            assert_eq!(person.status(), 404, "{host}{path}");
            assert!(person.body().contains("<h1>Not found</h1>"), "{host}{path}");
        }
    }
}

#[test]
fn our_own_paths_are_never_forwarded() {
    let isolate = Edge::new(&json!({"unauthenticated": "pass"})).isolate();
    for path in [
        "/api/sso",
        "/api/sso/x",
        "/API/SSO/me",
        "/x/../api/sso/x",
        "/api/sso//y",
    ] {
        let seen = isolate.send(&get(path));
        assert_eq!(seen.refusal(), (404, "not_found".into()), "{path}");
    }
    for path in ["/api//sso/y", "/%61pi/sso/z", "/api/sso//me"] {
        let seen = isolate.send(&get(path));
        assert_eq!(seen.refusal(), (400, "ambiguous_path".into()), "{path}");
    }
    let seen = isolate.send(&get("/api/sso/health"));
    assert_eq!((seen.status(), seen.json()), (200, json!({"status": "ok"})));
}

fn code_of(edge: &Edge, request: &Req) -> Value {
    edge.isolate().send(request).json()["code"].clone()
}

#[test]
fn a_fault_is_no_refusal_and_no_way_in() {
    let edge = Edge::new(&json!({}));
    let session = edge
        .isolate()
        .sign_in(&edge.api_token(&[Scope::Admin]), "a@b.c");
    edge.shared.make(crate::harness::shared::Trouble::All);
    assert_eq!(
        code_of(&edge, &get("/").cookie(&session)),
        "temporarily_unavailable"
    );
}

#[test]
fn sec_119_a_page_has_the_texts_of_the_site_as_text_and_the_language_of_the_browser() {
    let isolate = site("deny").isolate();
    let page = |accepted: &str| isolate.send(&open("/a").header("accept-language", accepted));
    let german = page("de-DE,de;q=0.9,en;q=0.5");
    assert_eq!(german.status(), 401);
    assert!(
        german.body().contains("<html lang=\"de\">"),
        "{}",
        german.body()
    );
    assert!(page("nl").body().contains("You need to sign in"));
    assert!(page("ja").body().contains("<html lang=\"ja\">"));
    // Programs are told the same in every language.
    let told = isolate.send(&get("/a").header("accept-language", "de"));
    assert_eq!(
        told.json()["error"],
        "You need to sign in to open this page."
    );
    let set = Edge::new(&json!({
        "unauthenticated": "deny",
        "language": "fr",
        "name": "Wiki",
        "contact": "help@example.com",
        "texts": {"error_token_missing": "Members <only>."},
    }));
    let seen = set
        .isolate()
        .send(&open("/a").header("accept-language", "de"));
    for part in [
        "<html lang=\"fr\">",
        "Members &#60;only&#62;.",
        "· Wiki</title>",
        "<a href=\"mailto:help@example.com\" target=\"_top\">help@example.com</a>",
    ] {
        assert!(seen.body().contains(part), "{part}: {}", seen.body());
    }
}

#[test]
fn who_may_not_see_a_page_is_told_as_whom_and_how_to_be_somebody_else() {
    let edge = Edge::new(&json!({"rules": [
        {"prefix": "/staff", "require": {"role": "staff"}},
        {"require": {"authenticated": true}},
    ]}));
    let api_token = edge.api_token(&[Scope::TokenIssue]);
    let isolate = edge.isolate();
    let session = isolate.sign_in(&api_token, "anna@example.com");
    let seen = isolate.send(&open("/staff/a").cookie(&session));
    assert_eq!(seen.status(), 403);
    for part in [
        "You are signed in as",
        "<strong>anna@example.com</strong>",
        "href=\"/api/sso/logout\">Not you? Sign out</a>",
        "href=\"/\">Go to the start page</a>",
    ] {
        assert!(seen.body().contains(part), "{part}: {}", seen.body());
    }
    let told = isolate.send(&get("/staff/a").cookie(&session));
    assert!(!told.body().contains("anna@"), "{}", told.body());
}

#[test]
fn nobody_is_asked_to_sign_out_who_is_not_signed_in() {
    let edge = site("login");
    let (isolate, api_token) = (edge.isolate(), edge.api_token(&[Scope::TokenIssue]));
    let asked = isolate.send(&open("/api/sso/logout"));
    assert_eq!(asked.status(), 200);
    assert!(
        asked.body().contains("You are not signed in."),
        "{}",
        asked.body()
    );
    assert!(!asked.body().contains("<form"), "{}", asked.body());
    let session = isolate.sign_in(&api_token, "anna@example.com");
    let asked = isolate.send(&open("/api/sso/logout").cookie(&session));
    assert!(
        asked.body().contains("<strong>anna@example.com</strong>"),
        "{}",
        asked.body()
    );
    assert!(asked.body().contains("<form"), "{}", asked.body());
}

#[test]
fn sec_119_who_may_have_a_session_that_a_link_does_not_bring_is_asked_to_sign_out() {
    let edge = Edge::new(&json!({"session": {"same_site": "strict"}}));
    let isolate = edge.isolate();
    let asked = |from: &str| {
        let request = open("/api/sso/logout").header("sec-fetch-site", from);
        isolate.send(&request).body().contains("<form")
    };
    assert!(asked("cross-site"));
    assert!(!asked("same-origin") && !asked("none"));
}

#[test]
fn a_person_sees_who_is_signed_in() {
    let edge = site("login");
    let (isolate, api_token) = (edge.isolate(), edge.api_token(&[Scope::TokenIssue]));
    let session = isolate.sign_in(&api_token, "anna@example.com");
    let seen = isolate.send(&open("/api/sso").cookie(&session));
    assert_eq!(
        (seen.status(), seen.header("location")),
        (303, Some("/api/sso/me"))
    );
    let seen = isolate.send(&open("/api/sso/me").cookie(&session));
    assert_eq!(seen.status(), 200);
    assert!(
        seen.body().contains("<dd>anna@example.com</dd>"),
        "{}",
        seen.body()
    );
    let seen = isolate.send(&open("/api/sso/me"));
    assert_eq!(seen.status(), 401);
    assert!(seen.body().contains("login.example"), "{}", seen.body());
    assert_eq!(isolate.send(&get("/api/sso")).status(), 404);
}
