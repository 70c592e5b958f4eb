//! Attacks on the gateway: each test says what holds against it.

use edgeward::model::api_token::Scope;
use edgeward::platform::digest::{hex, sha256};
use serde_json::{Value, json};

use super::{GATEWAY, Gateway, Jar, PASSWORD, form, with_gateway};
use crate::harness::request::req;
use crate::harness::{Edge, OWN, run, step};

#[test]
fn sec_51_a_session_that_was_ended_makes_no_new_one_at_a_site() {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user("ada@example.com", &json!({}));
    let stolen = gateway.signed_in("ada@example.com");
    let elsewhere = gateway.edge.isolate();
    let mut thief = stolen.moved(&elsewhere);
    assert_eq!(thief.open(GATEWAY, "/account/").status(), 200);
    gateway.edge.wait(5);
    gateway.call("POST", &format!("/api/sso/users/{id}/logout"), &json!({}));
    gateway.edge.wait(5);
    let sent = thief.open("site.example", "/");
    let page = thief.follow(&sent, "site.example");
    assert_eq!(
        (page.status(), page.session()),
        (200, None),
        "the sign-in page"
    );
}

/// What a service is told last of an account that is changed while its owner is in an isolate with an older copy, and enters
/// the service from there.
fn last_told(traits: &Value, change: &Value) -> Value {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user("ada@example.com", traits);
    let (wiki, token) = gateway.service("wiki", &json!({}));
    let mine = gateway.signed_in("ada@example.com");
    let elsewhere = gateway.edge.isolate();
    let mut ada = mine.moved(&elsewhere);
    assert_eq!(ada.open(GATEWAY, "/account/").status(), 200);
    let changed = gateway.call("PATCH", &format!("/api/sso/users/{id}"), change);
    assert_eq!(changed.0, 200, "{}", changed.1);
    gateway.edge.shared.outboxes.deliver_all();
    gateway.edge.wait(5);
    let sso = gateway.obtain(&token, "/");
    ada.open(GATEWAY, &format!("/login/?sso={sso}"));
    gateway.edge.shared.outboxes.deliver_all();
    let all = gateway.edge.shared.outboxes.delivered.borrow();
    let (_, last) = all
        .iter()
        .rfind(|(to, event)| *to == wiki && event.kind == "update_account")
        .unwrap();
    last.body["fields"].clone()
}

#[test]
fn sec_59_a_stale_copy_gives_no_right_back_at_a_service() {
    let told = last_told(
        &json!({"superuser": true, "staff": true}),
        &json!({"superuser": false, "staff": false}),
    );
    assert_eq!(told["is_superuser"], json!(false), "{told}");
    assert_eq!(told["is_staff"], json!(false), "{told}");
}

#[test]
fn sec_59_a_disabled_user_is_not_made_active_again_at_a_service() {
    let told = last_told(&json!({}), &json!({"active": false}));
    assert_eq!(told["is_active"], json!(false), "{told}");
}

#[test]
fn sec_59_what_was_taken_while_a_service_was_disabled_does_not_come_back() {
    let gateway = Gateway::new(&json!({}));
    let (wiki, _) = gateway.service("wiki", &json!({}));
    let ada = gateway.user("ada@example.com", &json!({"staff": true}));
    let eve = gateway.user("eve@example.com", &json!({}));
    let ida = gateway.user("ida@example.com", &json!({}));
    let outboxes = &gateway.edge.shared.outboxes;
    outboxes.deliver_all();
    let enable = |enabled: bool| {
        let path = format!("/api/sso/services/{wiki}");
        let changed = gateway.call("PATCH", &path, &json!({ "enabled": enabled }));
        assert_eq!(changed.0, 200, "{}", changed.1);
    };
    enable(false);
    outboxes.delivered.borrow_mut().clear();
    let path = |id: &str| format!("/api/sso/users/{id}");
    let demoted = gateway.call("PATCH", &path(&ada), &json!({"staff": false}));
    assert_eq!(demoted.0, 200);
    let out = gateway.call("POST", &format!("{}/logout", path(&ada)), &json!({}));
    assert_eq!(out.0, 204);
    assert_eq!(gateway.call("DELETE", &path(&eve), &json!({})).0, 204);
    let disabled = gateway.call("PATCH", &path(&ida), &json!({"active": false}));
    assert_eq!(disabled.0, 200);
    outboxes.deliver_all();
    assert_eq!(outboxes.delivered.borrow().len(), 0, "none while disabled");
    enable(true);
    outboxes.deliver_all();
    let told = |user: &str| -> Vec<Value> {
        let delivered = outboxes.delivered.borrow();
        let bodies = delivered.iter().map(|(_, event)| event.body.clone());
        bodies
            .filter(|body| body.to_string().contains(user))
            .collect()
    };
    let account = |user: &str, active: bool| {
        json!({"type": "update_account", "fields": {
            "user_identy": user, "is_active": active, "is_staff": false, "is_superuser": false,
        }})
    };
    let about = |kind: &str, user: &str| json!({"type": kind, "user_identy": user});
    assert_eq!(
        told("ada@example.com"),
        [
            account("ada@example.com", true),
            about("deauthenticate", "ada@example.com")
        ]
    );
    assert_eq!(
        told("eve@example.com"),
        [
            about("deauthenticate", "eve@example.com"),
            about("delete_user", "eve@example.com")
        ]
    );
    assert_eq!(
        told("ida@example.com"),
        [
            account("ida@example.com", false),
            about("deauthenticate", "ida@example.com")
        ]
    );
}

#[test]
fn sec_83_a_site_that_does_not_use_the_gateway_gets_no_session_from_it() {
    let mut bindings = with_gateway(&json!({}));
    bindings.insert("EDGEWARD_SITE_BACK".into(), crate::harness::site(&json!({
        "hosts": ["back.example"], "audience": "back.example", "query": null, "sources": ["session", "sso_cookie"],
    })));
    let edge = Edge::with(bindings);
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let gateway = Gateway {
        edge,
        isolate,
        admin,
    };
    gateway.user("ada@example.com", &json!({}));
    let mut ada = gateway.signed_in("ada@example.com");
    let browser = "0123456789012345678901";
    ada.cookies.insert(
        ("back.example".into(), "__Host-edgeward-browser".into()),
        browser.into(),
    );
    let state = hex(&sha256(format!("browser\n{browser}").as_bytes()));
    let back = ada.open(
        GATEWAY,
        &format!("/login/?return_to=https%3A%2F%2Fback.example%2Fsecret&state={state}"),
    );
    assert_eq!(back.header("location"), Some("/account/"), "to no site");
    let seen = ada.open("back.example", "/secret");
    assert!(
        !seen.is_forwarded(),
        "in at a site whose people sign in elsewhere"
    );
}

#[test]
fn sec_82_nobody_enters_a_service_under_the_name_of_another() {
    let gateway = Gateway::new(&json!({"identity": "username"}));
    gateway.user(
        "root@example.com",
        &json!({"username": "root", "superuser": true}),
    );
    gateway.user("eve@example.com", &json!({"username": "root"}));
    let (_, token) = gateway.service("wiki", &json!({}));
    let mut eve = gateway.browser();
    let sso = gateway.obtain(&token, "/");
    eve.open(GATEWAY, &format!("/login/?sso={sso}"));
    let entered = eve.submit(
        GATEWAY,
        "/login/",
        &[("username", "eve@example.com"), ("password", PASSWORD)],
    );
    assert_eq!(entered.status(), 303, "{}", entered.body());
    let (_, who) = gateway.service_call(
        "/sso/get/",
        &[("token", &token), ("authentication_token", &sso)],
    );
    assert_eq!(who["user_identy"], json!("eve@example.com"), "{who}");
}

#[test]
fn sec_82_a_token_that_only_issues_changes_no_account_of_another_at_a_service() {
    let gateway = Gateway::new(&json!({"identity": "username"}));
    // The service first, so that it is told of the account.
    let (wiki, _) = gateway.service("wiki", &json!({"fields": {"email": "email"}}));
    gateway.user(
        "root@example.com",
        &json!({"username": "root", "superuser": true}),
    );
    let limited = gateway.edge.api_token(&[Scope::TokenIssue]);
    gateway.edge.wait(61);
    gateway.isolate.send(
        &req("POST", "/api/sso/token")
            .api_token(&limited)
            .json(&json!({"email": "eve@example.com", "username": "root"})),
    );
    gateway.edge.shared.outboxes.deliver_all();
    let all = gateway.edge.shared.outboxes.delivered.borrow();
    let about: Vec<_> = all
        .iter()
        .filter(|(to, e)| *to == wiki && e.body["fields"]["user_identy"] == "root")
        .map(|(_, e)| e.body.clone())
        .collect();
    assert!(!about.is_empty(), "the account was told");
    assert!(
        about
            .iter()
            .all(|b| b["fields"]["email"] == "root@example.com"),
        "{about:?}"
    );
}

#[test]
fn sec_56_with_usernames_one_person_has_one_counter_too() {
    let gateway = Gateway::new(&json!({"identity": "username"}));
    gateway.user("ada@example.com", &json!({}));
    let mut browser = gateway.browser();
    browser.open(GATEWAY, "/login/");
    let mut waits = 0;
    for n in 0..12_u32 {
        let name: String = "ada@example.com"
            .chars()
            .enumerate()
            .map(|(i, c)| {
                if (4..8).contains(&i) && n >> (i - 4) & 1 == 1 {
                    c.to_ascii_uppercase()
                } else {
                    c
                }
            })
            .collect();
        for _ in 0..4 {
            let seen = browser.submit(
                GATEWAY,
                "/login/",
                &[("username", &*name), ("password", "wrong!!!")],
            );
            waits += u32::from(seen.status() == 429);
        }
    }
    assert!(
        waits > 0,
        "48 attempts at one person from one network within a second, and none had to wait"
    );
}

#[test]
fn sec_54_an_ended_session_ends_no_later_one() {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user("ada@example.com", &json!({}));
    let mut thief = gateway.signed_in("ada@example.com");
    gateway.edge.wait(2);
    gateway.call("POST", &format!("/api/sso/users/{id}/logout"), &json!({}));
    gateway.edge.wait(100);
    let mut ada = gateway.signed_in("ada@example.com");
    gateway.edge.wait(2);
    thief.post(GATEWAY, "/logout/", &[], "same-origin");
    assert_eq!(
        ada.open(GATEWAY, "/account/").status(),
        200,
        "a dead cookie has signed Ada out"
    );
}

#[test]
fn sec_64_a_token_without_admin_ends_no_session_of_a_superuser() {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user("ada@example.com", &json!({"superuser": true}));
    let mut ada = gateway.signed_in("ada@example.com");
    gateway.edge.run_tasks();
    let path = format!("/api/sso/users/{id}/sessions");
    let (_, listed) = gateway.call("GET", &path, &json!({}));
    let session = listed["sessions"][0]["id"].as_str().unwrap().to_owned();
    let limited = gateway.edge.api_token(&[Scope::UsersWrite]);
    gateway.edge.wait(61);
    let logout = gateway.isolate.send(
        &req("POST", &format!("/api/sso/users/{id}/logout"))
            .at(GATEWAY)
            .api_token(&limited)
            .json(&json!({})),
    );
    assert_eq!(logout.status(), 403);
    let seen = gateway.isolate.send(
        &req("DELETE", &format!("{path}?session={session}"))
            .at(GATEWAY)
            .api_token(&limited),
    );
    assert_eq!(seen.status(), 403);
    assert_eq!(ada.open(GATEWAY, "/account/").status(), 200);
}

#[test]
fn sec_27_a_link_from_before_a_new_password_sets_none() {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user("ada@example.com", &json!({}));
    let (leaked, second) = (gateway.password_link(&id), gateway.password_link(&id));
    gateway.edge.wait(10);
    let mut ada = gateway.browser();
    ada.open(GATEWAY, &second);
    assert_eq!(
        ada.submit(GATEWAY, "/password/", &[("new", "a new one of hers")])
            .status(),
        303
    );
    gateway.edge.wait(10);
    let mut thief = gateway.browser();
    thief.open(GATEWAY, "/login/");
    let csrf = thief.fields[0].1.clone();
    assert_eq!(thief.open(GATEWAY, &leaked).status(), 410);
    let token = leaked.split_once('=').unwrap().1;
    let fields = [
        ("csrf", &*csrf),
        ("token", token),
        ("new", "one of the thief's"),
    ];
    let seen = thief.post(GATEWAY, "/password/", &fields, "same-origin");
    assert_eq!((seen.status(), seen.session()), (410, None));
}

#[test]
fn sec_51_who_signs_in_with_the_old_password_while_it_changes_is_out_afterwards() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let mut ada = gateway.signed_in("ada@example.com");
    gateway.edge.wait(5);
    ada.open(GATEWAY, "/password/");
    let csrf = ada
        .fields
        .iter()
        .find(|(n, _)| n == "csrf")
        .unwrap()
        .1
        .clone();
    let mut request = req("POST", "/password/")
        .at(GATEWAY)
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-site", "same-origin")
        .header("accept", "text/html");
    request = form(
        request,
        &[
            ("csrf", &*csrf),
            ("current", PASSWORD),
            ("new", "an entirely new one"),
        ],
    );
    for ((at, name), value) in &ada.cookies {
        if at == GATEWAY {
            request = request.cookie(&format!("{name}={value}"));
        }
    }
    let elsewhere = gateway.edge.isolate();
    let mut thief = Jar::new(&elsewhere);
    thief.open(GATEWAY, "/login/");
    let mut changing = Box::pin(gateway.isolate.begin(&request));
    // Under way, for as long as hashes take.
    assert!(step(&mut changing).is_none());
    gateway
        .edge
        .shared
        .now
        .set(edgeward::platform::time::Timestamp::from_millis(
            gateway.edge.now().millis() + 300,
        ));
    thief.submit(
        GATEWAY,
        "/login/",
        &[("username", "ada@example.com"), ("password", PASSWORD)],
    );
    run(changing);
    gateway.edge.wait(120);
    let seen = thief.open(GATEWAY, "/account/");
    assert_eq!(
        seen.header("location"),
        Some("/login/"),
        "status {}: the old password's session outlives the change",
        seen.status()
    );
}

#[test]
fn sec_83_a_look_at_a_link_binds_nothing() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let (_, token) = gateway.service("wiki", &json!({}));
    let sso = gateway.obtain(&token, "/");
    let head = req("HEAD", &format!("/login/?sso={sso}")).at(GATEWAY);
    gateway.isolate.send(&head);
    let mut ada = gateway.browser();
    assert_eq!(
        ada.open(GATEWAY, &format!("/login/?sso={sso}")).status(),
        200
    );
}

#[test]
fn sec_51_signing_out_at_a_site_of_the_gateway_holds() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let mut browser = gateway.signed_in("ada@example.com");
    let sent = browser.open("site.example", "/page");
    let back = browser.follow(&sent, "site.example");
    browser.follow(&back, GATEWAY);
    gateway.edge.wait(2);
    let seen = browser.post("site.example", "/api/sso/logout", &[], "same-origin");
    assert_eq!(seen.status(), 200);
    gateway.edge.wait(100);
    let sent = browser.open("site.example", "/page");
    let next = browser.follow(&sent, "site.example");
    assert_eq!(
        next.status(),
        200,
        "a sign-in page, and not {:?}",
        next.header("location")
    );
}

#[test]
fn sec_78_a_long_scrypt_is_not_imported() {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user("ada@example.com", &json!({}));
    let output = format!("{}==", "A".repeat(86));
    let hash = format!("scrypt$2$salt$131072$16${output}");
    let (status, answer) = gateway.call(
        "PUT",
        &format!("/api/sso/users/{id}/password"),
        &json!({"hash": hash}),
    );
    assert_eq!(status, 400, "256 MiB for each attempt: {answer}");
}

#[test]
fn sec_83_what_is_no_navigation_settles_nothing() {
    let gateway = Gateway::new(&json!({"session": {"same_site": "none"}}));
    gateway.user("ada@example.com", &json!({}));
    let (_, token) = gateway.service("wiki", &json!({}));
    let sso = gateway.obtain(&token, "/");
    let ada = gateway.signed_in("ada@example.com");
    let mut image = req("GET", &format!("/login/?sso={sso}"))
        .at(GATEWAY)
        .header("sec-fetch-mode", "no-cors")
        .header("sec-fetch-site", "cross-site")
        .header("accept", "image/*");
    for ((at, name), value) in &ada.cookies {
        if at == GATEWAY {
            image = image.cookie(&format!("{name}={value}"));
        }
    }
    gateway.isolate.send(&image);
    let (_, who) = gateway.service_call(
        "/sso/get/",
        &[("token", &token), ("authentication_token", &sso)],
    );
    assert_eq!(who["authenticated"], json!(null), "{who}");
}

#[test]
fn sec_70_a_token_that_is_moved_here_is_random() {
    let gateway = Gateway::new(&json!({}));
    let (status, _) = gateway.call("POST", "/api/sso/services", &json!({
        "name": "Wiki", "base_url": "https://wiki.example", "dialect": "fields", "token": "a".repeat(32),
    }));
    assert_eq!(status, 400);
}

#[test]
fn sec_81_of_two_sessions_that_were_presented_both_end() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    gateway.user("eve@example.com", &json!({}));
    let ada = gateway.signed_in("ada@example.com");
    let eve = gateway.signed_in("eve@example.com");
    gateway.edge.wait(2);
    let key = (GATEWAY.to_owned(), OWN.to_owned());
    let mut both = req("POST", "/logout/")
        .at(GATEWAY)
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-site", "same-origin");
    both = both
        .cookie(&format!("{OWN}={}", ada.cookies[&key]))
        .cookie(&format!("{OWN}={}", eve.cookies[&key]));
    gateway.isolate.send(&both);
    let (mut ada, mut eve) = (ada, eve);
    let seen = [
        ada.open(GATEWAY, "/account/").status(),
        eve.open(GATEWAY, "/account/").status(),
    ];
    assert_eq!(seen, [303, 303]);
}

#[test]
fn sec_78_a_cookie_that_is_sent_again_after_its_sign_out_makes_no_event() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let (wiki, _) = gateway.service("wiki", &json!({}));
    let mut ada = gateway.signed_in("ada@example.com");
    gateway.edge.wait(2);
    let kept = ada.cookies.clone();
    let before = gateway.edge.shared.outboxes.waiting(&wiki).len();
    for _ in 0..50 {
        ada.cookies.clone_from(&kept);
        ada.post(GATEWAY, "/logout/", &[], "same-origin");
        gateway.edge.wait(1);
    }
    let after = gateway.edge.shared.outboxes.waiting(&wiki).len();
    assert_eq!(after - before, 1);
}

#[test]
fn sec_82_whoever_is_deleted_takes_no_account_of_another_along() {
    let gateway = Gateway::new(&json!({"identity": "username"}));
    // The service first, so that it is told of the account.
    let (wiki, _) = gateway.service("wiki", &json!({}));
    gateway.user(
        "root@example.com",
        &json!({"username": "root", "superuser": true}),
    );
    let outboxes = &gateway.edge.shared.outboxes;
    outboxes.deliver_all();
    let is_root = |body: &Value| body.to_string().contains("\"root\"");
    let told = std::mem::take(&mut *outboxes.delivered.borrow_mut());
    assert!(
        told.iter()
            .any(|(to, event)| *to == wiki && is_root(&event.body))
    );
    let limited = gateway.edge.api_token(&[Scope::UsersWrite]);
    gateway.edge.wait(61);
    let made = gateway.isolate.send(
        &req("POST", "/api/sso/users")
            .api_token(&limited)
            .json(&json!({"email": "eve@example.com", "username": "root"})),
    );
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let gone = gateway
        .isolate
        .send(&req("DELETE", &format!("/api/sso/users/{id}")).api_token(&limited));
    assert_eq!(gone.status(), 204);
    outboxes.deliver_all();
    let all = outboxes.delivered.borrow();
    let about: Vec<_> = all
        .iter()
        .filter(|(to, event)| *to == wiki && is_root(&event.body))
        .collect();
    assert!(about.is_empty(), "{about:?}");
}
