//! Sites whose people sign in at the gateway.

use serde_json::json;

use super::{GATEWAY, Gateway, PASSWORD};
use crate::harness::request::{open, req};

#[test]
fn a_site_sends_to_the_gateway_and_the_deep_link_survives() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let mut browser = gateway.browser();
    let sent = browser.open("site.example", "/deep/link?a=1&b=%2F");
    assert_eq!(sent.status(), 303);
    let page = browser.follow(&sent, "site.example");
    assert!(page.body().contains("site.example"), "{}", page.body());
    let back = browser.submit(
        GATEWAY,
        "/login/",
        &[("username", "ada@example.com"), ("password", PASSWORD)],
    );
    let location = back.header("location").unwrap();
    assert!(
        location.starts_with("https://site.example/api/sso/arrive?code="),
        "{location}"
    );
    assert!(!location.contains("eyJ"));
    let arrived = browser.follow(&back, GATEWAY);
    assert_eq!(
        arrived.header("location"),
        Some("https://site.example/deep/link?a=1&b=%2F&edgeward_attempt=1o")
    );
    let seen = browser.follow(&arrived, "site.example");
    assert_eq!(
        seen.header("location"),
        Some("https://site.example/deep/link?a=1&b=%2F")
    );
    let seen = browser.follow(&seen, "site.example");
    assert_eq!(
        seen.origin().header("x-forwarded-email"),
        Some("ada@example.com")
    );
    // The origin gets none of our cookies.
    assert_eq!(seen.origin().header("cookie"), None);
    // Signed in at the gateway already: no page at all at the next site.
    let sent = browser.open("other.example", "/x");
    let back = browser.follow(&sent, "other.example");
    let arrived = browser.follow(&back, GATEWAY);
    assert_eq!(arrived.status(), 303);
    assert!(arrived.session().is_some());
}

#[test]
fn sec_83_a_code_works_once_at_one_site_in_one_browser() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    gateway.user("eve@example.com", &json!({}));
    let code = |browser: &mut super::Jar<'_>| {
        let sent = browser.open("site.example", "/");
        let back = browser.follow(&sent, "site.example");
        let location = back.header("location").unwrap().to_owned();
        location
            .strip_prefix("https://site.example")
            .unwrap()
            .to_owned()
    };
    let mut eve = gateway.signed_in("eve@example.com");
    let path = code(&mut eve);
    // Eve's code in Ada's browser, at first sight and after Ada was sent to sign in herself.
    let mut ada = gateway.browser();
    let seen = ada.open("site.example", &path);
    assert_eq!((seen.status(), seen.session()), (403, None));
    ada.open("site.example", "/");
    let seen = ada.open("site.example", &path);
    assert_eq!((seen.status(), seen.session()), (403, None));
    // Looking at it, or loading it ahead, does not use it up.
    let ahead = open(&path)
        .at("site.example")
        .header("sec-purpose", "prefetch");
    assert_eq!(gateway.isolate.send(&ahead).status(), 503);
    // At another site.
    assert_eq!(eve.open("other.example", &path).status(), 410);
    assert!(eve.open("site.example", &path).session().is_some());
    assert_eq!(eve.open("site.example", &path).status(), 410, "used");
    eve.cookies
        .remove(&("site.example".into(), "__Host-edgeward".into()));
    let late = code(&mut eve);
    gateway.edge.wait(601);
    assert_eq!(eve.open("site.example", &late).status(), 410);
}

#[test]
fn sec_48_the_gateway_sends_nobody_to_what_is_not_a_site() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let mut browser = gateway.signed_in("ada@example.com");
    let state = "0".repeat(64);
    for bad in [
        "https://evil.example/",
        "https://site.example.evil.example/",
        "https://site.example@evil.example/",
        "https://site.example:444/",
        "http://site.example/",
        "https:site.example/",
        "//site.example/",
        "https://site.example\\@evil.example/",
        "https://login.example/logout/",
        "https://site.example",
        "javascript:alert(1)//https://site.example/",
        "",
    ] {
        let path = format!(
            "/login/?return_to={}&state={state}",
            edgeward::http::query::encode(bad)
        );
        let seen = browser.open(GATEWAY, &path);
        assert_eq!(seen.header("location"), Some("/account/"), "{bad}");
    }
    let path = format!(
        "/login/?return_to=https://site.example/&state={}",
        "0".repeat(63)
    );
    assert_eq!(
        browser.open(GATEWAY, &path).header("location"),
        Some("/account/")
    );
}

#[test]
fn sec_51_a_sign_out_between_code_and_arrival_holds() {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user("ada@example.com", &json!({}));
    let mut browser = gateway.signed_in("ada@example.com");
    let sent = browser.open("site.example", "/");
    let back = browser.follow(&sent, "site.example");
    gateway.edge.wait(1);
    gateway.call("POST", &format!("/api/sso/users/{id}/logout"), &json!({}));
    let arrived = browser.follow(&back, GATEWAY);
    assert_eq!((arrived.status(), arrived.session()), (410, None));
}

#[test]
fn at_the_gateway_nothing_reaches_an_origin() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let mut browser = gateway.signed_in("ada@example.com");
    for path in ["/x", "/login/x", "/static/a.css", "/api/sso/x", "/LOGIN/"] {
        let seen = browser.open(GATEWAY, path);
        assert_eq!(seen.status(), 404, "{path}");
        assert!(seen.body().starts_with("<!doctype html>"), "{path}");
    }
    let client = gateway.isolate.send(&req("GET", "/x").at(GATEWAY));
    assert_eq!(
        (client.status(), client.json()["code"].as_str()),
        (404, Some("not_found"))
    );
    assert_eq!(
        browser.open(GATEWAY, "/").header("location"),
        Some("/account/")
    );
    assert_eq!(
        gateway.browser().open(GATEWAY, "/").header("location"),
        Some("/login/")
    );
}
