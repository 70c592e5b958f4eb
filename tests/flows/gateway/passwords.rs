//! Signing in with a password, and passwords that are changed, set and forced.

use edgeward::model::api_token::Scope;
use serde_json::json;

use super::{GATEWAY, Gateway, PASSWORD, hidden};
use crate::harness::request::req;

const OWN: &str = "__Host-edgeward";

#[test]
fn a_person_signs_in_with_a_password_and_gets_a_session() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let mut browser = gateway.browser();
    let page = browser.open(GATEWAY, "/login/");
    assert_eq!(page.status(), 200);
    assert!(page.body().contains("autocomplete=\"current-password\""));
    let seen = browser.submit(
        GATEWAY,
        "/login/",
        &[("username", " Ada@Example.COM "), ("password", PASSWORD)],
    );
    assert_eq!(
        (seen.status(), seen.header("location")),
        (303, Some("/account/"))
    );
    let account = browser.open(GATEWAY, "/account/");
    assert!(
        account.body().contains("ada@example.com"),
        "{}",
        account.body()
    );
}

#[test]
fn sec_57_whoever_cannot_sign_in_gets_the_answer_to_a_wrong_password() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let off = gateway.user("off@example.com", &json!({}));
    gateway.call(
        "PATCH",
        &format!("/api/sso/users/{off}"),
        &json!({"active": false}),
    );
    gateway.call(
        "POST",
        "/api/sso/users",
        &json!({"email": "none@example.com"}),
    );
    let attempts = [
        ("ada@example.com", "wrong password"),
        ("off@example.com", PASSWORD),
        ("none@example.com", PASSWORD),
        ("nobody@example.com", PASSWORD),
        ("not an address", PASSWORD),
    ];
    let mut answers = Vec::new();
    for (name, password) in attempts {
        let mut browser = gateway.browser();
        browser.open(GATEWAY, "/login/");
        let before = gateway.edge.shared.failures.hashes.get();
        let seen = browser.submit(
            GATEWAY,
            "/login/",
            &[("username", name), ("password", password)],
        );
        assert_eq!(
            gateway.edge.shared.failures.hashes.get(),
            before + 1,
            "{name}: the same work"
        );
        let csrf = hidden(&seen, "csrf").unwrap();
        let body = seen.body().replace(name, "NAME").replace(&csrf, "CSRF");
        let cookies: Vec<_> = seen
            .outcome
            .cookies
            .iter()
            .map(|c| c.name().to_owned())
            .collect();
        answers.push((seen.status(), body, cookies));
    }
    assert_eq!(answers[0].0, 403);
    for answer in &answers[1..] {
        assert_eq!(*answer, answers[0]);
    }
}

#[test]
fn sec_56_one_person_has_one_counter_however_the_name_is_spelt() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let mut browser = gateway.browser();
    browser.open(GATEWAY, "/login/");
    let spellings = [
        "ada@example.com",
        "ADA@example.com",
        " ada@example.com",
        "ada@EXAMPLE.com",
        "Ada@example.com ",
    ];
    for name in spellings {
        let seen = browser.submit(
            GATEWAY,
            "/login/",
            &[("username", name), ("password", "wrong!!!")],
        );
        assert_eq!(seen.status(), 403, "{name}");
    }
    let seen = browser.submit(
        GATEWAY,
        "/login/",
        &[("username", "ada@example.com"), ("password", PASSWORD)],
    );
    assert_eq!(seen.status(), 429);
    assert_eq!(seen.header("retry-after"), Some("1"));
    gateway.edge.wait(2);
    let seen = browser.submit(
        GATEWAY,
        "/login/",
        &[("username", "ada@example.com"), ("password", PASSWORD)],
    );
    assert_eq!(seen.status(), 303);
}

#[test]
fn sec_56_a_stranger_who_guesses_delays_nobody_at_their_own_browser() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let mine = gateway.signed_in("ada@example.com");
    let mut stranger = gateway.browser();
    stranger.open(GATEWAY, "/login/");
    for _ in 0..12 {
        stranger.submit(
            GATEWAY,
            "/login/",
            &[("username", "ada@example.com"), ("password", "wrong!!!")],
        );
        gateway.edge.wait(1);
    }
    let mut mine = mine;
    mine.cookies.remove(&(GATEWAY.into(), OWN.into()));
    let seen = mine.sign_in("ada@example.com", PASSWORD);
    assert_eq!(seen.status(), 303, "{}", seen.body());
}

#[test]
fn sec_53_a_form_of_another_site_or_another_browser_signs_nobody_in() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let mut attacker = gateway.browser();
    attacker.open(GATEWAY, "/login/");
    let csrf = attacker.fields[0].1.clone();
    let fields = [
        ("username", "ada@example.com"),
        ("password", PASSWORD),
        ("csrf", &*csrf),
    ];
    for site in ["cross-site", "same-site"] {
        let mut victim = gateway.browser();
        victim.open(GATEWAY, "/login/");
        let seen = victim.post(GATEWAY, "/login/", &fields, site);
        assert_eq!(seen.status(), 403);
        assert_eq!(seen.session(), None);
    }
    let mut victim = gateway.browser();
    victim.open(GATEWAY, "/login/");
    let seen = victim.post(GATEWAY, "/login/", &fields, "same-origin");
    assert_eq!((seen.status(), seen.session()), (403, None));
    // A browser without the cookie that the form belongs to.
    let mut bare = gateway.browser();
    let seen = bare.post(GATEWAY, "/login/", &fields, "same-origin");
    assert_eq!((seen.status(), seen.session()), (403, None));
    // Another tab of the same browser.
    attacker.open(GATEWAY, "/login/");
    let seen = attacker.post(GATEWAY, "/login/", &fields, "same-origin");
    assert_eq!(seen.status(), 303);
}

#[test]
fn sec_52_each_sign_in_is_a_new_session() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let key = (GATEWAY.to_owned(), OWN.to_owned());
    let mut browser = gateway.signed_in("ada@example.com");
    let first = browser.cookies[&key].clone();
    browser.open(GATEWAY, "/login/");
    browser.cookies.remove(&key);
    browser.sign_in("ada@example.com", PASSWORD);
    assert_ne!(browser.cookies[&key], first);
}

#[test]
fn a_password_that_must_be_changed_lets_nobody_in_before() {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user("ada@example.com", &json!({}));
    gateway.set_password(&id, &json!({"password": PASSWORD, "must_change": true}));
    let mut browser = gateway.browser();
    let seen = browser.sign_in("ada@example.com", PASSWORD);
    assert_eq!((seen.status(), seen.session()), (200, None));
    let short = browser.submit(GATEWAY, "/password/", &[("new", "short")]);
    assert_eq!((short.status(), short.session()), (400, None));
    let common = browser.submit(GATEWAY, "/password/", &[("new", "password1")]);
    assert_eq!(common.status(), 400);
    assert!(
        common.body().contains("one of the most common ones"),
        "{}",
        common.body()
    );
    let short = browser.submit(GATEWAY, "/password/", &[("new", "seven77")]);
    assert!(short.body().contains("too short"), "{}", short.body());
    let used = browser.fields.clone();
    let set = browser.submit(GATEWAY, "/password/", &[("new", "another good one")]);
    assert_eq!(set.status(), 303, "{}", set.body());
    assert!(set.session().is_some());
    // The link is used up, and the old password is gone.
    let again: Vec<(&str, &str)> = used.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let mut again = again;
    again.push(("new", "yet another one"));
    assert_eq!(
        browser
            .post(GATEWAY, "/password/", &again, "same-origin")
            .status(),
        410
    );
    let mut other = gateway.browser();
    let seen = other.sign_in("ada@example.com", PASSWORD);
    assert_eq!(seen.status(), 403);
}

#[test]
fn a_link_to_set_a_password_works_once_and_for_a_day() {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user("ada@example.com", &json!({}));
    let path = gateway.password_link(&id);
    let mut browser = gateway.browser();
    assert_eq!(browser.open(GATEWAY, &path).status(), 200);
    let set = browser.submit(GATEWAY, "/password/", &[("new", "chosen by myself")]);
    assert_eq!(
        (set.status(), set.header("location")),
        (303, Some("/account/"))
    );
    assert_eq!(gateway.browser().open(GATEWAY, &path).status(), 410);
    let late = gateway.password_link(&id);
    gateway.edge.wait(86_401);
    assert_eq!(gateway.browser().open(GATEWAY, &late).status(), 410);
}

#[test]
fn a_changed_password_ends_every_other_session() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let mut other = gateway.signed_in("ada@example.com");
    let mut browser = gateway.signed_in("ada@example.com");
    gateway.edge.wait(5);
    browser.open(GATEWAY, "/password/");
    let wrong = browser.submit(
        GATEWAY,
        "/password/",
        &[("current", "wrong!!!"), ("new", "a new good one")],
    );
    assert_eq!(wrong.status(), 403);
    let seen = browser.submit(
        GATEWAY,
        "/password/",
        &[("current", PASSWORD), ("new", "a new good one")],
    );
    assert_eq!(seen.status(), 200, "{}", seen.body());
    assert_eq!(browser.open(GATEWAY, "/account/").status(), 200);
    assert_eq!(
        other.open(GATEWAY, "/account/").header("location"),
        Some("/login/")
    );
}

#[test]
fn a_stored_hash_that_cannot_be_read_is_a_fault_and_no_wrong_password() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let shared = &gateway.edge.shared;
    shared.spoil(
        "password:",
        r#"{"hash":"$argon2id$broken","must_change":false,"set_at":0}"#,
    );
    let mut browser = gateway.browser();
    let seen = browser.sign_in("ada@example.com", PASSWORD);
    assert_eq!(seen.status(), 503);
}

#[test]
fn an_imported_hash_is_replaced_at_the_next_sign_in_and_a_weak_password_must_be_changed() {
    let gateway = Gateway::new(&json!({}));
    let imported = |email: &str, password: &str| {
        let (_, user) = gateway.call("POST", "/api/sso/users", &json!({ "email": email }));
        let id = user["id"].as_str().unwrap().to_owned();
        let mut hash = crate::harness::passwords::hashed(password);
        hash.kdf = edgeward::platform::port::Kdf::Pbkdf2Sha256 {
            iterations: 600_000,
        };
        let hash = edgeward::model::password::to_phc(&hash);
        gateway.set_password(&id, &json!({ "hash": hash }));
    };
    imported("ada@example.com", PASSWORD);
    imported("bob@example.com", "password1");
    let sign_in = |name: &str, password: &str| {
        let mut browser = gateway.browser();
        let seen = browser.sign_in(name, password);
        gateway.edge.run_tasks();
        seen.status()
    };
    assert_eq!(sign_in("ada@example.com", PASSWORD), 303);
    let held = gateway.edge.shared.held_with("password:");
    assert_eq!(
        held.iter()
            .filter(|text| text.contains("$argon2id$"))
            .count(),
        1,
        "{held:?}"
    );
    assert_eq!(sign_in("ada@example.com", PASSWORD), 303);
    assert_eq!(sign_in("bob@example.com", "password1"), 303);
    assert_eq!(
        sign_in("bob@example.com", "password1"),
        200,
        "asked for another one"
    );
}

#[test]
fn a_password_that_must_be_changed_leads_on_to_the_service_after_an_error_too() {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user("ada@example.com", &json!({}));
    gateway.set_password(&id, &json!({"password": PASSWORD, "must_change": true}));
    let (_, token) = gateway.service("wiki", &json!({}));
    let mut browser = gateway.browser();
    let sso = gateway.obtain(&token, "/");
    browser.open(GATEWAY, &format!("/login/?sso={sso}"));
    let named = [("username", "ada@example.com"), ("password", PASSWORD)];
    browser.submit(GATEWAY, "/login/", &named);
    let seen = browser.submit(GATEWAY, "/password/", &[("new", "password1")]);
    assert_eq!(seen.status(), 400);
    let policy = seen.header("content-security-policy").unwrap();
    assert!(
        policy.contains("form-action 'self' https://wiki.example;"),
        "{policy}"
    );
    let set = browser.submit(GATEWAY, "/password/", &[("new", "another good one")]);
    let seen = browser.follow(&set, GATEWAY);
    assert_eq!(
        seen.header("location"),
        Some("https://wiki.example/sso/accept/")
    );
}

#[test]
fn hashes_come_with_users_in_bulk_and_replace_no_password() {
    let gateway = Gateway::new(&json!({}));
    let mut hash = crate::harness::passwords::hashed(PASSWORD);
    hash.kdf = edgeward::platform::port::Kdf::Pbkdf2Sha256 {
        iterations: 600_000,
    };
    let hash = &*edgeward::model::password::to_phc(&hash);
    let known = gateway.user("ada@example.com", &json!({}));
    let mut ada = gateway.signed_in("ada@example.com");
    gateway.call(
        "POST",
        "/api/sso/users",
        &json!({"email": "bob@example.com"}),
    );
    let entry = |email: &str, hash: &str| json!({"email": email, "password_hash": hash});
    let body = json!({"users": [
        entry("ada@example.com", hash),
        entry("bob@example.com", hash),
        entry("eve@example.com", hash),
        entry("ida@example.com", "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHQ$aGFzaA"),
        {"email": "joe@example.com"},
    ]});
    let (status, answer) = gateway.call("POST", "/api/sso/users/bulk", &body);
    assert_eq!(status, 200, "{answer}");
    let told: Vec<_> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["status"].as_str().unwrap(), one["password"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("exists", Some("exists")),
            ("exists", Some("set")),
            ("created", Some("set")),
            ("invalid", None),
            ("created", None),
        ]
    );
    assert_eq!(answer["results"][3]["field"], "password_hash");
    let (_, listed) = gateway.call("GET", "/api/sso/users?email=ida@example.com", &json!({}));
    assert_eq!(
        listed["users"],
        json!([]),
        "an entry that is wrong changes nothing"
    );
    assert_eq!(ada.open(GATEWAY, "/account/").status(), 200);
    let path = format!("/api/sso/users/{known}/password");
    let before = gateway.call("GET", &path, &json!({})).1;
    // Again: nothing more is done.
    gateway.edge.wait(5);
    let (_, again) = gateway.call("POST", "/api/sso/users/bulk", &body);
    assert_eq!(again["results"][2]["password"], "exists");
    assert_eq!(gateway.call("GET", &path, &json!({})).1, before);
    for email in ["ada@example.com", "bob@example.com", "eve@example.com"] {
        gateway.signed_in(email);
    }
    // Only an admin, only at a gateway, and only in bulk.
    let limited = gateway.edge.api_token(&[Scope::UsersWrite]);
    let request = req("POST", "/api/sso/users/bulk").at(GATEWAY);
    let one = json!({"users": [entry("kim@example.com", hash)]});
    let seen = gateway
        .isolate
        .send(&request.api_token(&limited).json(&one));
    assert_eq!(seen.json()["results"][0]["code"], "insufficient_scope");
    let (status, refused) = gateway.call("POST", "/api/sso/users", &entry("kim@example.com", hash));
    assert_eq!(status, 400, "{refused}");
    let (_, listed) = gateway.call("GET", "/api/sso/users?email=kim@example.com", &json!({}));
    assert_eq!(listed["users"], json!([]));
}
