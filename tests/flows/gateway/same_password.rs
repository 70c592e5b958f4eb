//! A new password is another one, wherever a person chooses it.

use serde_json::json;

use super::{GATEWAY, Gateway, PASSWORD, jar::Jar};
use crate::harness::request::Seen;
use crate::harness::shared::Trouble;

const OTHER: &str = "another good one";
const NAME: &str = "ada@example.com";

/// A browser that has opened a link to set the password of the user with this id.
fn linked<'a>(gateway: &'a Gateway, id: &str) -> Jar<'a> {
    let mut browser = gateway.browser();
    browser.open(GATEWAY, &gateway.password_link(id));
    browser
}

/// A browser on the page that asks for a new password in place of one that must be changed.
fn forced<'a>(gateway: &'a Gateway, id: &str) -> Jar<'a> {
    gateway.set_password(id, &json!({"password": PASSWORD, "must_change": true}));
    let mut browser = gateway.browser();
    let seen = browser.sign_in(NAME, PASSWORD);
    assert_eq!((seen.status(), seen.session()), (200, None));
    browser
}

fn choose(browser: &mut Jar<'_>, new: &str) -> Seen {
    let fields = [("current", PASSWORD), ("new", new)];
    browser.submit(GATEWAY, "/password/", &fields)
}

#[test]
fn sec_84_nobody_chooses_the_password_that_they_have() {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user(NAME, &json!({}));
    let mut changing = gateway.signed_in(NAME);
    changing.open(GATEWAY, "/password/");
    let refused = |browser: &mut Jar<'_>, page: &str| {
        let seen = choose(browser, PASSWORD);
        assert_eq!((seen.status(), seen.session()), (400, None), "{page}");
        for text in ["That is your current password", "same_password"] {
            assert!(seen.body().contains(text), "{page}: {}", seen.body());
        }
    };
    refused(&mut changing, "change");
    let mut forced = forced(&gateway, &id);
    refused(&mut forced, "forced");
    let mut linked = linked(&gateway, &id);
    refused(&mut linked, "link");
    // Nothing was used up by that, and another password is taken.
    let seen = choose(&mut linked, OTHER);
    assert_eq!(seen.status(), 303, "{}", seen.body());
}

#[test]
fn a_link_sets_the_first_password_whatever_it_is() {
    let gateway = Gateway::new(&json!({}));
    let (_, user) = gateway.call(
        "POST",
        "/api/sso/users",
        &json!({"email": "bob@example.com"}),
    );
    let mut browser = linked(&gateway, user["id"].as_str().unwrap());
    assert_eq!(choose(&mut browser, PASSWORD).status(), 303);
}

#[test]
fn a_form_that_got_no_answer_is_sent_again_with_the_same_password() {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user(NAME, &json!({}));
    let shared = &gateway.edge.shared;
    for call in 0.. {
        gateway.set_password(&id, &json!({ "password": PASSWORD }));
        let mut browser = linked(&gateway, &id);
        let fields = browser.fields.clone();
        gateway.edge.wait(1);
        shared.make(Trouble::Call(call));
        let seen = choose(&mut browser, OTHER);
        let calls = shared.counted();
        shared.make(Trouble::None);
        if call >= calls {
            assert!(call > 5, "nothing has failed");
            assert_eq!(seen.status(), 303, "{}", seen.body());
            return;
        }
        if seen.status() == 303 {
            continue;
        }
        assert_eq!(seen.status(), 503, "call {call}: {}", seen.body());
        browser.fields = fields;
        let again = choose(&mut browser, OTHER);
        assert_eq!(again.status(), 303, "call {call}: {}", again.body());
    }
}

#[test]
fn sec_56_a_comparison_with_the_current_password_is_a_hash_under_the_ceiling_and_no_failure() {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user(NAME, &json!({}));
    let mut browser = forced(&gateway, &id);
    let failures = &gateway.edge.shared.failures;
    let before = failures.hashes.get();
    for _ in 0..10 {
        assert_eq!(choose(&mut browser, PASSWORD).status(), 400);
    }
    assert_eq!(failures.hashes.get(), before + 20);
    failures.busy.set(true);
    let seen = choose(&mut browser, PASSWORD);
    assert_eq!(seen.status(), 429, "{}", seen.body());
    assert_eq!(failures.hashes.get(), before + 20);
    failures.busy.set(false);
    // Whoever was refused so often may try to sign in at once.
    let mut other = gateway.browser();
    assert_eq!(other.sign_in(NAME, PASSWORD).status(), 200);
}
