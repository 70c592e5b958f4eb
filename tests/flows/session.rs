//! The session: renewed, ended, cleared; and the cookies that are cleared whatever else happens.

use edgeward::jose::jws::Kind;
use edgeward::model::api_token::Scope;
use serde_json::{Value, json};

use crate::harness::request::{Req, Seen, get, open, req};
use crate::harness::{Edge, Isolate, OWN, SSO, START, claims_of, tampered};

const ANNA: &str = "anna@example.com";
const OWN_ORIGIN: &str = "https://site.example";

fn edge(settings: &Value) -> (Edge, Isolate, String) {
    let edge = Edge::new(settings);
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::Admin]);
    (edge, isolate, api_token)
}

fn logout(session: &str) -> Req {
    req("POST", "/api/sso/logout")
        .cookie(session)
        .header("origin", OWN_ORIGIN)
}

fn sid(session: &str) -> Value {
    claims_of(session.split_once('=').unwrap().1)["jti"].clone()
}

#[test]
fn a_session_is_renewed_once_half_of_its_idle_lifetime_has_gone() {
    let (edge, isolate, api_token) = edge(&json!({"session": {"idle": 1000, "absolute": 10000}}));
    let session = isolate.sign_in(&api_token, ANNA);
    edge.wait(499);
    assert_eq!(isolate.send(&get("/").cookie(&session)).session(), None);
    edge.wait(1);
    let renewed = isolate.send(&get("/").cookie(&session)).session().unwrap();
    assert_eq!(sid(&renewed), sid(&session));
    // The first cookie ends, the renewed one goes on.
    edge.wait(500);
    assert_eq!(isolate.send(&get("/").cookie(&session)).status(), 401);
    assert!(isolate.send(&get("/").cookie(&renewed)).is_forwarded());
}

#[test]
fn an_idle_session_ends_and_its_cookie_is_cleared() {
    let (edge, isolate, api_token) = edge(&json!({"session": {"idle": 1000, "absolute": 10000}}));
    let session = isolate.sign_in(&api_token, ANNA);
    edge.wait(999);
    assert!(
        isolate
            .send(&req("HEAD", "/").cookie("x=1").cookie(&session))
            .is_forwarded()
    );
    edge.wait(1);
    for isolate in [&isolate, &edge.isolate()] {
        let seen = isolate.send(&get("/").cookie(&session));
        assert_eq!(seen.refusal(), (401, "token_expired".into()));
        assert!(seen.clears(OWN));
    }
}

#[test]
fn no_renewal_goes_past_the_absolute_lifetime() {
    let (edge, isolate, api_token) = edge(&json!({"session": {"idle": 1000, "absolute": 1800}}));
    let mut session = isolate.sign_in(&api_token, ANNA);
    for _ in 0..3 {
        edge.wait(550);
        let seen = isolate.send(&get("/").cookie(&session));
        assert!(seen.is_forwarded());
        session = seen.session().unwrap_or(session);
        let exp = claims_of(session.split_once('=').unwrap().1)["exp"]
            .as_u64()
            .unwrap();
        assert!(exp <= START.seconds() + 1800);
    }
    edge.wait(149);
    assert!(isolate.send(&get("/").cookie(&session)).is_forwarded());
    edge.wait(1);
    let seen = isolate.send(&get("/").cookie(&session));
    assert!(seen.status() == 401 && seen.clears(OWN));
}

#[test]
fn the_cookie_s_max_age_is_what_is_left_of_the_session() {
    let (edge, isolate, api_token) = edge(&json!({"session": {"idle": 1000, "absolute": 1800}}));
    let token = isolate.issue(&api_token, ANNA);
    let seen = isolate.send(&open("/").cookie(&format!("{SSO}={token}")));
    assert!(seen.set_cookie(OWN).unwrap().contains("; Max-Age=1000"));
    let session = seen.session().unwrap();
    edge.wait(900);
    let seen = isolate.send(&get("/").cookie(&session));
    assert!(seen.set_cookie(OWN).unwrap().contains("; Max-Age=900"));
}

/// Requests that end in each of the ways in which a request can end.
fn ways(session: &str) -> Vec<(&'static str, Req, u16)> {
    vec![
        ("forwarded", get("/").cookie(session), 0),
        ("navigation", open("/").cookie(session), 0),
        ("denied", get("/"), 401),
        ("refused method", req("TRACE", "/").cookie(session), 405),
        (
            "cross-origin",
            req("POST", "/")
                .cookie(session)
                .header("origin", "https://evil.example"),
            403,
        ),
        ("me", get("/api/sso/me").cookie(session), 200),
        ("nobody", get("/api/sso/me"), 401),
        ("logout page", open("/api/sso/logout").cookie(session), 200),
        (
            "refused logout",
            logout(session).header("origin", "https://evil.example"),
            403,
        ),
        ("logout", logout(session), 200),
    ]
}

#[test]
fn an_expired_application_cookie_is_cleared_whatever_else_happens() {
    for settings in [
        json!({}),
        json!({"unauthenticated": "login", "login_url": "https://login.example/"}),
    ] {
        let (edge, isolate, api_token) = edge(&settings);
        let expired = isolate.issue(&api_token, ANNA);
        edge.wait(600);
        let session = isolate.sign_in(&api_token, ANNA);
        for (what, request, status) in ways(&session) {
            let seen = isolate.send(&request.cookie(&format!("{SSO}={expired}")));
            assert_eq!(seen.status(), status, "{what}");
            let line = format!(
                "{SSO}=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
            );
            assert_eq!(seen.set_cookie(SSO), Some(line.as_str()), "{what}");
        }
        let request = open("/").cookie(&format!("{SSO}={expired}"));
        let seen = isolate.send(&request);
        assert!(seen.clears(SSO));
        let expected = if settings == json!({}) { 401 } else { 303 };
        assert_eq!(seen.status(), expected);
    }
}

#[test]
fn sec_51_the_application_s_cookie_is_cleared_with_the_attributes_it_was_set_with() {
    let attributes = json!({"name": SSO, "path": "/app", "domain": "example.com", "http_only": false, "same_site": "none", "partitioned": true});
    let (edge, isolate, api_token) = edge(&json!({"sso_cookie": attributes}));
    let expired = isolate.issue(&api_token, ANNA);
    edge.wait(600);
    let seen = isolate.send(&get("/").cookie(&format!("{SSO}={expired}")));
    let line = format!(
        "{SSO}=; SameSite=None; Partitioned; Secure; Path=/app; Domain=example.com; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    );
    assert_eq!(seen.set_cookie(SSO), Some(line.as_str()));
}

#[test]
fn sec_51_logging_out_clears_our_cookie_with_the_attributes_it_was_set_with() {
    let (_, isolate, api_token) =
        edge(&json!({"session": {"same_site": "none", "partitioned": true}}));
    let token = isolate.issue(&api_token, ANNA);
    let seen = isolate.send(&open("/").cookie(&format!("{SSO}={token}")));
    let attributes = "HttpOnly; SameSite=None; Partitioned; Secure; Path=/; Max-Age=";
    let set = seen.set_cookie(OWN).unwrap();
    assert!(set.contains(attributes) && !set.contains("Domain"), "{set}");
    let seen = isolate.send(&logout(&seen.session().unwrap()));
    let cleared = seen.set_cookie(OWN).unwrap();
    assert!(
        cleared.starts_with(&format!("{OWN}=; {attributes}0")),
        "{cleared}"
    );
}

#[test]
fn our_own_cookie_is_cleared_when_it_is_no_longer_honoured() {
    let (edge, isolate, api_token) = edge(&json!({}));
    let session = isolate.sign_in(&api_token, ANNA);
    let value = session.split_once('=').unwrap().1;
    for bad in [
        tampered(value),
        "x".into(),
        "a.b.c".into(),
        format!("{value}.{value}"),
    ] {
        for request in [get("/"), open("/"), get("/api/sso/me")] {
            let seen = isolate.send(&request.cookie(&format!("{OWN}={bad}")));
            assert!(seen.status() == 401 && seen.clears(OWN), "{bad}");
        }
    }
    // One that another isolate may know a newer secret for is kept.
    edge.shared.make(crate::harness::shared::Trouble::All);
    let seen = edge.isolate().send(&get("/").cookie(&session));
    assert!(seen.status() == 503 && !seen.clears(OWN));
}

#[test]
fn logging_out_clears_the_application_s_cookie_too_lest_it_sign_in_again() {
    let (_, isolate, api_token) = edge(&json!({}));
    let token = isolate.issue(&api_token, ANNA);
    let session = isolate.sign_in(&api_token, ANNA);
    let seen = isolate.send(&logout(&session).cookie(&format!("{SSO}={token}")));
    assert!(seen.clears(SSO) && seen.clears(OWN));
}

#[test]
fn logging_out_leads_a_browser_on() {
    let shown = |seen: &Seen| {
        seen.header("content-type")
            .is_some_and(|t| t.starts_with("text/html"))
    };
    let (_, isolate, api_token) = edge(&json!({}));
    let session = isolate.sign_in(&api_token, ANNA);
    let page = isolate.send(&open("/api/sso/logout").cookie(&session));
    assert!(page.status() == 200 && shown(&page) && page.body().contains("<form"));
    assert!(isolate.me(&session).is_some(), "GET ends nothing");
    let done = isolate.send(&logout(&session).header("accept", "text/html"));
    assert!(done.status() == 200 && shown(&done));

    let (_, isolate, api_token) = edge(&json!({"logout_url": "https://app.example/bye"}));
    let session = isolate.sign_in(&api_token, ANNA);
    let done = isolate.send(&logout(&session).header("accept", "text/html"));
    assert_eq!(
        (done.status(), done.header("location")),
        (303, Some("https://app.example/bye"))
    );
}

#[test]
fn sec_54_nobody_is_logged_out_by_another_site_or_by_a_link() {
    let (_, isolate, api_token) = edge(&json!({"trusted_origins": ["https://app.example"]}));
    let session = isolate.sign_in(&api_token, ANNA);
    let bare = || req("POST", "/api/sso/logout").cookie(&session);
    for refused in [
        bare().header("origin", "https://evil.example"),
        bare().header("origin", "null"),
        bare().header("sec-fetch-site", "cross-site"),
        bare().header("sec-fetch-site", "same-site"),
        get("/api/sso/logout")
            .cookie(&session)
            .header("sec-fetch-dest", "iframe"),
        req("HEAD", "/api/sso/logout").cookie(&session),
        req("DELETE", "/api/sso/logout").cookie(&session),
    ] {
        let seen = isolate.send(&refused);
        assert!(!seen.clears(OWN), "{refused:?}");
        assert!(isolate.me(&session).is_some(), "{refused:?}");
    }
    let trusted = bare()
        .header("origin", "https://app.example")
        .header("sec-fetch-site", "cross-site");
    assert_eq!(isolate.send(&trusted).status(), 200);
    assert!(isolate.me(&session).is_none());
}

#[test]
fn sec_50_a_planted_second_cookie_is_no_way_in() {
    let (_, isolate, api_token) = edge(&json!({}));
    let anna = isolate.sign_in(&api_token, ANNA);
    let bert = isolate.sign_in(&api_token, "bert@example.com");
    for pair in [[&anna, &bert], [&bert, &anna]] {
        for request in [get("/"), open("/"), get("/api/sso/me")] {
            let seen = isolate.send(&request.cookie(pair[0]).cookie(pair[1]));
            assert!(seen.status() == 401 && seen.clears(OWN));
        }
    }
    let forged = tampered(&anna);
    // What nobody signed says nothing about who it is, so it locks out nobody.
    let seen = isolate.send(&get("/").cookie(&anna).cookie(&forged));
    assert!(seen.is_forwarded() && seen.session().is_some());
    let seen = isolate.send(
        &get("/")
            .cookie(&forged)
            .cookie(&forged.replacen("ey", "fy", 1)),
    );
    assert!(seen.status() == 401 && seen.clears(OWN));
    // Twice the same user is one user.
    assert!(
        isolate
            .send(&get("/").cookie(&anna).cookie(&anna))
            .is_forwarded()
    );
    for name in [
        "__host-edgeward",
        "__HOST-EDGEWARD",
        "edgeward",
        "__Host-edgeward ",
        "__Host-edgeward2",
    ] {
        let other = anna.replacen(OWN, name, 1);
        let seen = isolate.send(&get("/").header("cookie", &other));
        assert_eq!(
            seen.status(),
            if name.trim() == OWN { 0 } else { 401 },
            "{name}"
        );
    }
}

#[test]
fn sec_52_each_sign_in_makes_a_new_session_and_what_was_there_before_does_not_live_on() {
    let (edge, isolate, api_token) = edge(&json!({}));
    let one = isolate.sign_in(&api_token, ANNA);
    let two = isolate.sign_in(&api_token, ANNA);
    assert_ne!(sid(&one), sid(&two));
    // A session planted before the sign-in is replaced by one with another id.
    edge.wait(5);
    let planted = isolate.sign_in(&api_token, "eve@example.com");
    let token = isolate.issue(&api_token, ANNA);
    let seen = isolate.send(&open("/").cookie(&planted).cookie(&format!("{SSO}={token}")));
    let opened = seen.session().unwrap();
    assert_ne!(sid(&opened), sid(&planted));
    assert_eq!(isolate.me(&opened).unwrap()["user"]["email"], ANNA);
    // No value that a client chose becomes a session.
    let claims = json!({"iss": "edgeward", "aud": "site.example", "sub": claims_of(&token)["sub"], "jti": "chosen",
        "iat": edge.now().seconds(), "exp": edge.now().seconds() + 600, "began": edge.now().millis()});
    let other = Edge::new(&json!({}));
    let foreign = other.isolate().forge(Kind::Sso, &claims);
    assert_eq!(
        isolate
            .send(&get("/").cookie(&format!("{OWN}={foreign}")))
            .status(),
        401
    );
}

#[test]
fn a_copied_cookie_is_worth_nothing_after_logging_out() {
    let (edge, isolate, api_token) = edge(&json!({"session": {"idle": 1000, "absolute": 10000}}));
    let first = isolate.sign_in(&api_token, ANNA);
    let other = isolate.sign_in(&api_token, ANNA);
    edge.wait(500);
    // The copies: the same cookie, and the one that it was renewed to.
    let renewed = isolate.send(&get("/").cookie(&first)).session().unwrap();
    assert!(isolate.send(&get("/").cookie(&renewed)).is_forwarded());
    let seen = isolate.send(&logout(&renewed));
    assert!(seen.status() == 200 && seen.json() == json!({"ok": true}) && seen.clears(OWN));
    for copy in [&renewed, &first] {
        assert_eq!(isolate.send(&get("/").cookie(copy)).status(), 401);
        assert_eq!(edge.isolate().send(&get("/").cookie(copy)).status(), 401);
    }
    assert!(isolate.send(&get("/").cookie(&other)).is_forwarded());
}
