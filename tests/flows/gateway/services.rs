//! The calls of services, with the answers that their packages know.

use serde_json::{Value, json};

use super::{GATEWAY, Gateway, form};
use crate::harness::request::req;

type Fields<'a> = &'a [(&'a str, &'a str)];

fn error(text: &str) -> Value {
    json!({ "error": text })
}

#[test]
fn a_person_signs_in_to_a_service_and_on_to_what_was_asked_for() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({"staff": true}));
    let (id, token) = gateway.service("wiki", &json!({}));
    let sso = gateway.obtain(&token, "/deep/?a=1");
    let asked = [("token", &*token), ("authentication_token", &*sso)];
    let unknown = error("Authentication request token doesn't exist");
    assert_eq!(
        gateway.service_call("/sso/get/", &asked),
        (200, unknown.clone())
    );
    assert_eq!(
        gateway.service_call("/sso/make_used/", &asked),
        (404, unknown.clone())
    );
    let mut browser = gateway.browser();
    browser.is_led = true;
    let page = browser.open(GATEWAY, &format!("/login/?sso={sso}"));
    assert!(page.body().contains("wiki"), "{}", page.body());
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("form-action 'self' https://wiki.example;"),
        "{policy}"
    );
    let fields = [
        ("username", "ada@example.com"),
        ("password", super::PASSWORD),
    ];
    let seen = browser.submit(GATEWAY, "/login/", &fields);
    assert_eq!(
        seen.header("location"),
        Some("https://wiki.example/sso/accept/")
    );
    let delivered = gateway.edge.shared.outboxes.delivered.borrow().clone();
    let (to, event) = delivered.last().unwrap();
    assert_eq!((to, event.kind.as_str()), (&id, "update_account"));
    let told = json!({"user_identy": "ada@example.com", "is_active": true, "is_staff": true, "is_superuser": false});
    assert_eq!(
        event.body,
        json!({"type": "update_account", "fields": told})
    );
    let who =
        json!({"authenticated": true, "user_identy": "ada@example.com", "next_url": "/deep/?a=1"});
    assert_eq!(
        gateway.service_call("/sso/get/", &asked),
        (200, who.clone())
    );
    assert_eq!(gateway.service_call("/sso/get", &asked), (200, who));
    assert_eq!(
        gateway.service_call("/sso/make_used/", &asked),
        (200, json!({"ok": true}))
    );
    assert_eq!(
        gateway.service_call("/sso/make_used/", &asked),
        (404, unknown.clone())
    );
    assert_eq!(gateway.service_call("/sso/get/", &asked), (200, unknown));
    // Signed in already: no form.
    let again = gateway.obtain(&token, "/");
    let seen = browser.open(GATEWAY, &format!("/login/?sso={again}"));
    assert_eq!(
        seen.header("location"),
        Some("https://wiki.example/sso/accept/")
    );
}

#[test]
fn each_refusal_is_the_one_that_the_packages_know() {
    let gateway = Gateway::new(&json!({}));
    let (id, token) = gateway.service("wiki", &json!({}));
    let t = ("token", &*token);
    let cases: [(&str, Fields<'_>, &str); 12] = [
        ("obtain", &[], "\"token\" isn't set"),
        (
            "obtain",
            &[("token", " "), ("next_url", "/")],
            "\"token\" isn't set",
        ),
        ("obtain", &[t], "\"next_url\" isn't set"),
        (
            "obtain",
            &[("token", "wrong"), ("next_url", "/")],
            "Application token doesn't exist",
        ),
        (
            "get",
            &[("authentication_token", "x")],
            "\"token\" isn't set",
        ),
        (
            "get",
            &[("token", "wrong")],
            "Application token doesn't exist",
        ),
        ("get", &[t], "Authentication request token doesn't set"),
        (
            "get",
            &[t, ("authentication_token", "x")],
            "Authentication request token doesn't exist",
        ),
        (
            "make_used",
            &[t],
            "Authentication request token doesn't set",
        ),
        ("deauthenticate", &[], "\"token\" isn't set"),
        ("deauthenticate", &[t], "\"user_identy\" isn't set"),
        (
            "deauthenticate",
            &[("token", "wrong"), ("user_identy", "x")],
            "Application token doesn't exist",
        ),
    ];
    for (call, fields, text) in cases {
        let answer = gateway.service_call(&format!("/sso/{call}/"), fields);
        assert_eq!(answer, (200, error(text)), "{call} {fields:?}");
    }
    let nobody = [t, ("user_identy", "nobody@example.com")];
    assert_eq!(
        gateway.service_call("/sso/deauthenticate/", &nobody),
        (200, json!({"ok": true}))
    );
    for call in ["obtain", "get", "make_used", "deauthenticate"] {
        let seen = gateway
            .isolate
            .send(&req("GET", &format!("/sso/{call}/")).at(GATEWAY));
        assert_eq!((seen.status(), seen.header("allow")), (405, Some("POST")));
    }
    gateway.call(
        "PATCH",
        &format!("/api/sso/services/{id}"),
        &json!({"enabled": false}),
    );
    gateway.edge.wait(61);
    let asked = gateway.service_call("/sso/obtain/", &[t, ("next_url", "/")]);
    assert_eq!(asked, (200, error("Application token doesn't exist")));
}

#[test]
fn sec_27_of_many_services_that_use_a_sign_in_one_does() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let (_, token) = gateway.service("wiki", &json!({}));
    let (_, other) = gateway.service("shop", &json!({}));
    let sso = gateway.obtain(&token, "/");
    let mut browser = gateway.signed_in("ada@example.com");
    browser.open(GATEWAY, &format!("/login/?sso={sso}"));
    let wrong = [("token", &*other), ("authentication_token", &*sso)];
    assert_eq!(
        gateway.service_call("/sso/make_used/", &wrong).0,
        404,
        "of another service"
    );
    let asked = [("token", &*token), ("authentication_token", &*sso)];
    let mut calls: Vec<_> = (0..20)
        .map(|_| {
            Box::pin(
                gateway
                    .isolate
                    .begin(&form(req("POST", "/sso/make_used/").at(GATEWAY), &asked)),
            )
        })
        .collect();
    let mut statuses = Vec::new();
    while !calls.is_empty() {
        calls.retain_mut(|call| match crate::harness::step(call) {
            None => true,
            Some(outcome) => {
                let edgeward::pipeline::Action::Answer(answer) = outcome.action else {
                    panic!("forwarded");
                };
                statuses.push(answer.status);
                false
            }
        });
    }
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        1,
        "{statuses:?}"
    );
}

#[test]
fn sec_27_a_sign_in_belongs_to_the_browser_that_opened_it_and_ends_after_ten_minutes() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let (_, token) = gateway.service("wiki", &json!({}));
    let sso = gateway.obtain(&token, "/");
    let mut first = gateway.browser();
    // Its answer, which has the browser's id, may have been lost: it can load the page again.
    for _ in 0..2 {
        first.cookies.clear();
        let seen = first.open(GATEWAY, &format!("/login/?sso={sso}"));
        assert_eq!(seen.status(), 200);
    }
    first.open(GATEWAY, &format!("/login/?sso={sso}"));
    let mut victim = gateway.signed_in("ada@example.com");
    let seen = victim.open(GATEWAY, &format!("/login/?sso={sso}"));
    assert_eq!(seen.status(), 403, "begun in another browser");
    let late = gateway.obtain(&token, "/");
    gateway.edge.wait(601);
    let seen = victim.open(GATEWAY, &format!("/login/?sso={late}"));
    assert_eq!(seen.status(), 410);
    let account = "href=\"/account/\"";
    assert!(seen.body().contains(account), "who is signed in can go on");
    let seen = gateway.browser().open(GATEWAY, "/login/?sso=unknown");
    assert_eq!(seen.status(), 410);
    assert!(!seen.body().contains(account), "{}", seen.body());
}

#[test]
fn sec_83_with_a_code_only_the_browser_that_signed_in_finishes_the_sign_in() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let (_, token) = gateway.service("wiki", &json!({}));
    let asked = [("token", &*token), ("next_url", "/"), ("bind", "code")];
    let (_, answer) = gateway.service_call("/sso/obtain/", &asked);
    let sso = answer["token"].as_str().unwrap().to_owned();
    let mut browser = gateway.signed_in("ada@example.com");
    let seen = browser.open(GATEWAY, &format!("/login/?sso={sso}"));
    let location = seen.header("location").unwrap();
    let code = location
        .strip_prefix("https://wiki.example/sso/accept/?code=")
        .unwrap();
    let without = [("token", &*token), ("authentication_token", &*sso)];
    let unknown = error("Authentication request token doesn't exist");
    assert_eq!(
        gateway.service_call("/sso/get/", &without),
        (200, unknown.clone())
    );
    assert_eq!(
        gateway.service_call("/sso/make_used/", &without),
        (404, unknown)
    );
    let with = [without[0], without[1], ("code", code)];
    assert_eq!(
        gateway.service_call("/sso/get/", &with).1["authenticated"],
        true
    );
    assert_eq!(gateway.service_call("/sso/make_used/", &with).0, 200);
}

#[test]
fn sec_48_a_next_url_leads_nowhere_but_to_the_service() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let (_, token) = gateway.service("wiki", &json!({}));
    let mut browser = gateway.signed_in("ada@example.com");
    let cases = [
        ("/a/?b=1", "/a/?b=1"),
        ("https://wiki.example/a", "/a"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://wiki.example.evil.example/", "/"),
        ("https://wiki.example@evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("login", "/"),
    ];
    for (given, kept) in cases {
        let sso = gateway.obtain(&token, given);
        browser.open(GATEWAY, &format!("/login/?sso={sso}"));
        let asked = [("token", &*token), ("authentication_token", &*sso)];
        assert_eq!(
            gateway.service_call("/sso/get/", &asked).1["next_url"],
            kept,
            "{given}"
        );
    }
}

#[test]
fn who_may_not_enter_is_told_so_and_the_service_learns_nothing() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let editor = gateway.user("ed@example.com", &json!({"roles": ["editor"]}));
    let (_, token) = gateway.service("wiki", &json!({"access": {"roles": ["editor"]}}));
    let sso = gateway.obtain(&token, "/");
    let mut ada = gateway.signed_in("ada@example.com");
    let seen = ada.open(GATEWAY, &format!("/login/?sso={sso}"));
    assert_eq!(seen.status(), 403);
    let asked = [("token", &*token), ("authentication_token", &*sso)];
    assert!(gateway.service_call("/sso/get/", &asked).1["error"].is_string());
    assert!(
        !ada.open(GATEWAY, "/account/")
            .body()
            .contains("https://wiki.example/")
    );
    let sso = gateway.obtain(&token, "/");
    let mut ed = gateway.signed_in("ed@example.com");
    let seen = ed.open(GATEWAY, &format!("/login/?sso={sso}"));
    assert_eq!(seen.status(), 303);
    assert!(
        ed.open(GATEWAY, "/account/")
            .body()
            .contains("https://wiki.example/")
    );
    // The right is taken away before the service has asked.
    gateway.call(
        "PATCH",
        &format!("/api/sso/users/{editor}"),
        &json!({"roles": []}),
    );
    let asked = [("token", &*token), ("authentication_token", &*sso)];
    assert!(gateway.service_call("/sso/get/", &asked).1["error"].is_string());
    assert_eq!(gateway.service_call("/sso/make_used/", &asked).0, 404);
}

#[test]
fn a_service_that_does_not_answer_is_waited_for_and_tried_again() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let (id, token) = gateway.service("wiki", &json!({}));
    let sso = gateway.obtain(&token, "/");
    let mut browser = gateway.signed_in("ada@example.com");
    let outboxes = &gateway.edge.shared.outboxes;
    outboxes.receiver.replace(Some(Box::new(|_, _| false)));
    let seen = browser.open(GATEWAY, &format!("/login/?sso={sso}"));
    let location = seen.header("location").unwrap();
    assert!(
        location.starts_with("/welcome/?fallback=true"),
        "{location}"
    );
    let page = browser.follow(&seen, GATEWAY);
    assert!(
        page.body().contains("wiki") && page.body().contains("/login/?sso="),
        "{}",
        page.body()
    );
    assert_eq!(outboxes.waiting(&id).len(), 1);
    // Nobody else learns of the service by the token.
    let other = gateway.browser().open(GATEWAY, location);
    assert!(!other.body().contains("wiki"));
    outboxes.receiver.replace(Some(Box::new(|_, _| true)));
    outboxes.deliver_all();
    let seen = browser.open(GATEWAY, &format!("/login/?sso={sso}"));
    assert_eq!(
        seen.header("location"),
        Some("https://wiki.example/sso/accept/")
    );
}

#[test]
fn a_token_is_replaced_with_an_overlap() {
    let gateway = Gateway::new(&json!({}));
    let (id, old) = gateway.service("wiki", &json!({}));
    let path = format!("/api/sso/services/{id}/rotate");
    let (status, made) = gateway.call("POST", &path, &json!({"what": "token", "overlap": 120}));
    assert_eq!(status, 200, "{made}");
    let new = made["token"].as_str().unwrap();
    gateway.obtain(&old, "/");
    gateway.obtain(new, "/");
    gateway.edge.wait(121);
    gateway.obtain(new, "/");
    let asked = [("token", &*old), ("next_url", "/")];
    assert_eq!(
        gateway.service_call("/sso/obtain/", &asked).1,
        error("Application token doesn't exist")
    );
}

#[test]
fn sec_70_a_base_url_is_public_https_and_not_ours() {
    let gateway = Gateway::new(&json!({}));
    for bad in [
        "http://wiki.example.com",
        "https://127.0.0.1",
        "https://10.0.0.1",
        "https://[::1]",
        "https://localhost",
        "https://wiki.internal",
        "https://wiki",
        "https://0x7f000001",
        "https://user@wiki.example.com",
        "https://login.example",
        "https://site.example",
        "https://wiki.example.com/a/../b",
        "https://wiki.example.com/?x=1",
        "https://wiki.example.com/#x",
        "ftp://wiki.example.com",
        "",
    ] {
        let body = json!({"name": "x", "base_url": bad, "dialect": "flat"});
        let (status, answer) = gateway.call("POST", "/api/sso/services", &body);
        assert_eq!(
            (status, &answer["field"]),
            (400, &json!("base_url")),
            "{bad}"
        );
    }
    let development = Gateway::new(&json!({"development": true}));
    development.service("wiki", &json!({"base_url": "http://127.0.0.1:9000/"}));
}
