//! Signing in once more at the gateway, as a rule of a site wants it.

use edgeward::jose::jws::Kind;
use serde_json::{Value, json};

use super::phone::{self, Phone, add};
use super::{GATEWAY, Gateway, PASSWORD, with_gateway};
use crate::harness::claims_of;
use crate::harness::request::{Seen, get, open, req};

const ADA: &str = "ada@example.com";
const EVE: &str = "eve@example.com";
const SITE: &str = "site.example";

/// A gateway with passkeys, and a site with these requirements at `/admin`.
fn gateway(require: &Value) -> Gateway {
    let mut all = with_gateway(&json!({"passkeys": {}}));
    let rules = json!([
        {"prefix": "/admin", "require": require},
        {"prefix": "/", "require": {"authenticated": true}},
    ]);
    all.insert("EDGEWARD_RULES_APP".into(), rules.to_string());
    let gateway = Gateway::of(all);
    gateway.user(ADA, &json!({}));
    gateway.user(EVE, &json!({}));
    gateway
}

/// Goes from the page of the gateway that is open, or from the redirect to the site, to where the site leads in the end.
pub fn arrive(browser: &mut super::Jar<'_>, mut seen: Seen) -> Seen {
    let mut host = GATEWAY.to_owned();
    for _ in 0..8 {
        if seen.is_forwarded() || seen.header("location").is_none() {
            return seen;
        }
        let location = seen.header("location").unwrap().to_owned();
        seen = browser.follow(&seen, &host);
        if let Some(rest) = location.strip_prefix("https://") {
            host = rest[..rest.find('/').unwrap()].to_owned();
        }
    }
    panic!("a loop of redirects: {:?}", seen.header("location"));
}

fn session_of(browser: &super::Jar<'_>, host: &str) -> String {
    browser.cookies[&(host.into(), "__Host-edgeward".into())].clone()
}

/// Signs in at the site with a password.
fn signed_in<'a>(gateway: &'a Gateway, name: &str) -> super::Jar<'a> {
    let mut browser = gateway.browser();
    let sent = browser.open(SITE, "/");
    browser.follow(&sent, SITE);
    let seen = browser.submit(
        GATEWAY,
        "/login/",
        &[("username", name), ("password", PASSWORD)],
    );
    assert!(arrive(&mut browser, seen).is_forwarded());
    browser
}

fn with_password(browser: &mut super::Jar<'_>, name: &str) -> Seen {
    let fields = [("username", name), ("password", PASSWORD)];
    browser.submit(GATEWAY, "/login/", &fields)
}

#[test]
fn a_sign_in_that_is_too_old_is_made_once_more_and_leads_back() {
    let gateway = gateway(&json!({"max_age": 300}));
    let mut browser = signed_in(&gateway, ADA);
    assert!(browser.open(SITE, "/admin?x=1").is_forwarded());
    gateway.edge.wait(300);
    assert!(browser.open(SITE, "/").is_forwarded(), "no other page");
    let sent = browser.open(SITE, "/admin?x=1");
    assert_eq!(sent.status(), 303, "{}", sent.body());
    let page = browser.follow(&sent, SITE);
    assert_eq!(page.status(), 200);
    assert!(page.body().contains("Sign in once more"), "{}", page.body());
    let before = session_of(&browser, SITE);
    let seen = with_password(&mut browser, ADA);
    let seen = arrive(&mut browser, seen);
    assert_eq!(seen.origin().url, "https://origin.example/admin?x=1");
    assert_ne!(session_of(&browser, SITE), before);
    // Another site of the gateway needs no page within that time.
    gateway.edge.wait(299);
    assert!(browser.open(SITE, "/admin").is_forwarded());
}

#[test]
fn who_has_signed_in_at_the_gateway_a_moment_ago_sees_no_page() {
    let gateway = gateway(&json!({"max_age": 300}));
    let mut browser = signed_in(&gateway, ADA);
    gateway.edge.wait(300);
    let fields = [("username", ADA), ("password", PASSWORD)];
    browser.open(GATEWAY, "/login/?again=1");
    browser.submit(GATEWAY, "/login/", &fields);
    let sent = browser.open(SITE, "/admin");
    let back = browser.follow(&sent, SITE);
    assert!(arrive(&mut browser, back).is_forwarded());
}

#[test]
fn sec_115_a_session_of_another_method_is_asked_for_the_one_that_is_wanted() {
    let gateway = gateway(&json!({"amr": "passkey"}));
    let mut browser = signed_in(&gateway, ADA);
    let mut phone = Phone::new("phone");
    add(&mut browser, &mut phone);
    let sent = browser.open(SITE, "/admin/a");
    let page = browser.follow(&sent, SITE);
    assert!(page.body().contains("data-passkey"), "{}", page.body());
    assert!(!page.body().contains("name=\"password\""));
    // A password that is sent all the same leads to the page that says why, and to no loop.
    let seen = with_password(&mut browser.moved(&gateway.isolate), ADA);
    assert_eq!(seen.status(), 403, "the form of no page");
    let mut other = browser.moved(&gateway.isolate);
    other.fields.clone_from(&browser.fields);
    let seen = with_password(&mut other, ADA);
    let seen = arrive(&mut other, seen);
    assert_eq!(seen.status(), 401, "{}", seen.body());
    assert!(seen.body().contains("sign_in_again") && seen.body().contains("passkey"));
    // The passkey leads on.
    let names = ["return_to", "state", "user", "amr"];
    let seen = phone::sign_in_on_page(&mut browser, &phone, &names);
    let seen = arrive(&mut browser, seen);
    assert_eq!(seen.origin().url, "https://origin.example/admin/a");
}

#[test]
fn sec_115_nobody_else_takes_the_place_of_the_session() {
    let gateway = gateway(&json!({"max_age": 60}));
    let mut browser = signed_in(&gateway, ADA);
    let (here, there) = (session_of(&browser, SITE), session_of(&browser, GATEWAY));
    gateway.edge.wait(60);
    let sent = browser.open(SITE, "/admin");
    browser.follow(&sent, SITE);
    let seen = with_password(&mut browser, EVE);
    assert_eq!(seen.status(), 403, "{}", seen.body());
    assert!(seen.body().contains("as somebody else"));
    assert_eq!(session_of(&browser, SITE), here);
    assert_eq!(session_of(&browser, GATEWAY), there);
    // Nor does somebody who is signed in at the gateway already.
    browser.sign_in(EVE, PASSWORD);
    let sent = browser.open(SITE, "/admin");
    let page = browser.follow(&sent, SITE);
    assert_eq!(page.status(), 200, "{:?}", page.header("location"));
    let seen = with_password(&mut browser, ADA);
    assert!(arrive(&mut browser, seen).is_forwarded());
}

#[test]
fn sec_115_programs_and_fetches_are_told_and_not_led_away() {
    let gateway = gateway(&json!({"max_age": 60}));
    let browser = signed_in(&gateway, ADA);
    gateway.edge.wait(60);
    let cookie = format!("__Host-edgeward={}", session_of(&browser, SITE));
    let seen = gateway.isolate.send(&get("/admin").cookie(&cookie));
    assert_eq!(seen.refusal(), (401, "sign_in_again".into()));
    let challenge = seen.header("www-authenticate").unwrap();
    assert_eq!(
        challenge,
        r#"Bearer realm="edgeward", error="insufficient_user_authentication", code="sign_in_again", max_age="60""#
    );
    // A form comes back to the page that it is on.
    let form = req("POST", "/admin/save")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-site", "same-origin")
        .header("accept", "text/html")
        .cookie(&cookie);
    let seen = gateway.isolate.send(&form);
    assert_eq!(seen.status(), 401);
    assert!(
        seen.body().contains("/login/?return_to="),
        "{}",
        seen.body()
    );
}

#[test]
fn sec_115_each_alternative_is_judged_alone_and_all_are_offered() {
    let gateway = gateway(
        &json!({"any": [{"amr": ["link", "passkey"]}, {"all": [{"amr": "password"}, {"max_age": 60}]}]}),
    );
    let browser = signed_in(&gateway, ADA);
    let cookie = format!("__Host-edgeward={}", session_of(&browser, SITE));
    assert!(
        gateway
            .isolate
            .send(&open("/admin").cookie(&cookie))
            .is_forwarded()
    );
    gateway.edge.wait(60);
    let seen = gateway.isolate.send(&open("/admin").cookie(&cookie));
    let location = seen.header("location").unwrap();
    assert!(
        location.contains("&amr=link%20passkey%20password"),
        "{location}"
    );
    assert!(location.contains("&max_age=60"), "{location}");
}

#[test]
fn sec_115_a_link_to_set_a_password_is_no_password() {
    let gateway = gateway(&json!({"amr": "password"}));
    let id = gateway.user("bob@example.com", &json!({}));
    let link = gateway.password_link(&id);
    let mut browser = gateway.browser();
    browser.open(GATEWAY, &link);
    let seen = browser.submit(GATEWAY, "/password/", &[("new", "another horse battery")]);
    assert_eq!(seen.status(), 303, "{}", seen.body());
    // Sign-ins from before the moment of a new password do not count.
    gateway.edge.wait(1);
    let sent = browser.open(SITE, "/admin");
    let back = browser.follow(&sent, SITE);
    let seen = arrive(&mut browser, back);
    assert_eq!(seen.status(), 200, "the sign-in page");
    assert!(seen.body().contains("name=\"password\""));
    let fields = [
        ("username", "bob@example.com"),
        ("password", "another horse battery"),
    ];
    let seen = browser.submit(GATEWAY, "/login/", &fields);
    assert!(arrive(&mut browser, seen).is_forwarded());
}

#[test]
fn sec_115_a_session_of_an_earlier_version_proves_nothing() {
    let gateway = gateway(&json!({"any": [{"amr": "password"}, {"max_age": 3600}]}));
    let browser = signed_in(&gateway, ADA);
    let mut claims = claims_of(&session_of(&browser, SITE));
    let proof = claims.as_object_mut().unwrap().remove("auth");
    assert_eq!(proof.unwrap()["m"], json!(["password"]));
    let old = gateway.isolate.forge(Kind::Session, &claims);
    let cookie = format!("__Host-edgeward={old}");
    let seen = gateway.isolate.send(&get("/").cookie(&cookie));
    assert!(seen.is_forwarded(), "{}", seen.body());
    let seen = gateway.isolate.send(&get("/admin").cookie(&cookie));
    assert_eq!(seen.refusal(), (401, "sign_in_again".into()));
    // Nor does one whose proof nobody can read.
    for bad in [
        json!("password"),
        json!({"m": "password"}),
        json!({"at": 1}),
    ] {
        claims["auth"] = bad;
        let forged = gateway.isolate.forge(Kind::Session, &claims);
        let request = get("/admin").cookie(&format!("__Host-edgeward={forged}"));
        let seen = gateway.isolate.send(&request);
        assert_eq!(seen.refusal(), (401, "sign_in_again".into()));
    }
}

#[test]
fn sec_115_signing_in_once_more_leads_nowhere_else() {
    let gateway = gateway(&json!({"max_age": 60}));
    let mut browser = signed_in(&gateway, ADA);
    gateway.edge.wait(60);
    let sent = browser.open(SITE, "/admin");
    let location = sent.header("location").unwrap();
    let (_, rest) = location.split_once("&state=").unwrap();
    for bad in [
        "https://evil.example/",
        "//evil.example/",
        "https://site.example@evil.example/",
    ] {
        let bad = edgeward::http::query::encode(bad);
        let path = format!("/login/?return_to={bad}&state={rest}");
        let seen = browser.open(GATEWAY, &path);
        assert_eq!(seen.header("location"), Some("/account/"), "{bad}");
    }
    // Without what the site wants, it is an ordinary sign-in, which the site does not take for a fresh one.
    let (state, _) = rest.split_once("&user=").unwrap();
    let (to, _) = location.split_once("&user=").unwrap();
    assert!(to.ends_with(state));
    let path = to.strip_prefix("https://login.example").unwrap();
    let seen = browser.open(GATEWAY, path);
    let seen = arrive(&mut browser, seen);
    assert_eq!(seen.status(), 401, "{:?}", seen.header("location"));
}
