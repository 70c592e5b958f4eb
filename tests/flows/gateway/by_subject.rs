//! Users whom an issuer's subject identifies, at the gateway and at its services.

use serde_json::{Value, json};

use super::{GATEWAY, Gateway, PASSWORD};

/// Makes a user by subject with a password, and this username; gives the id.
fn by_subject(gateway: &Gateway, sub: &str, username: &str, email: Option<&str>) -> String {
    let subject = json!({"issuer": "https://id.example", "sub": sub});
    let more = json!({"email": email, "subject": subject, "username": username});
    gateway.user("", &more)
}

/// Signs in with this name on the way to a service; gives what the service learns.
fn at_service(gateway: &Gateway, token: &str, name: &str) -> Value {
    let sso = gateway.obtain(token, "/");
    let mut browser = gateway.signed_in(name);
    browser.open(GATEWAY, &format!("/login/?sso={sso}"));
    let asked = [("token", token), ("authentication_token", &*sso)];
    let (status, who) = gateway.service_call("/sso/get/", &asked);
    assert_eq!(status, 200);
    who
}

#[test]
fn two_users_without_an_address_are_two_at_a_service_that_knows_usernames() {
    let gateway = Gateway::new(&json!({"identity": "username"}));
    let (id, token) = gateway.service("wiki", &json!({}));
    by_subject(&gateway, "user:1", "ann", None);
    by_subject(&gateway, "user:2", "bob", Some("bob@example.com"));
    for name in ["ann", "bob"] {
        let who = at_service(&gateway, &token, name);
        assert_eq!(
            (&who["authenticated"], &who["user_identy"]),
            (&json!(true), &json!(name))
        );
        let delivered = gateway.edge.shared.outboxes.delivered.borrow().clone();
        let (to, event) = delivered.last().unwrap();
        assert_eq!(
            (to, &event.body["fields"]["user_identy"]),
            (&id, &json!(name))
        );
    }
}

#[test]
fn sec_96_no_address_and_no_subject_signs_in_as_the_user_of_a_subject() {
    for identity in ["username", "email"] {
        let gateway = Gateway::new(&json!({"identity": identity}));
        by_subject(&gateway, "user:1", "ann", Some("ann@example.com"));
        for name in [
            "ann@example.com",
            "ANN@example.com",
            "user:1",
            "https://id.example user:1",
        ] {
            let seen = gateway.browser().sign_in(name, PASSWORD);
            assert_ne!(seen.header("location"), Some("/account/"), "{name}");
        }
        // The address is free for somebody whom it identifies.
        gateway.user("ann@example.com", &json!({}));
        gateway.signed_in("ann@example.com");
    }
}

#[test]
fn sec_96_services_that_know_addresses_are_told_of_nobody_whom_a_subject_identifies() {
    let gateway = Gateway::new(&json!({"identity": "email"}));
    gateway.service("wiki", &json!({}));
    let about = || gateway.edge.shared.outboxes.delivered.borrow().len();
    let with_address = by_subject(&gateway, "user:1", "ann", Some("ada@example.com"));
    let without = by_subject(&gateway, "user:2", "bob", None);
    for id in [&with_address, &without] {
        let path = format!("/api/sso/users/{id}");
        let (status, _) = gateway.call("PATCH", &path, &json!({"active": false, "staff": true}));
        assert_eq!(status, 200);
        assert_eq!(gateway.call("DELETE", &path, &Value::Null).0, 204);
    }
    assert_eq!(
        about(),
        0,
        "ada@example.com is somebody else at the service"
    );
}

#[test]
fn a_username_that_two_subjects_have_is_the_first_ones_at_services() {
    let gateway = Gateway::new(&json!({"identity": "username"}));
    let (_, token) = gateway.service("wiki", &json!({}));
    let first = by_subject(&gateway, "user:1", "ann", None);
    assert_eq!(at_service(&gateway, &token, "ann")["user_identy"], "ann");
    let body =
        json!({"subject": {"issuer": "https://id.example", "sub": "user:2"}, "username": "ann"});
    let (status, second) = gateway.call("POST", "/api/sso/users", &body);
    assert_eq!(status, 201, "{second}");
    assert_ne!(second["id"], json!(first));
    let before = gateway.edge.shared.outboxes.delivered.borrow().len();
    let path = format!("/api/sso/users/{}", second["id"].as_str().unwrap());
    assert_eq!(
        gateway.call("PATCH", &path, &json!({"active": false})).0,
        200
    );
    let delivered = gateway.edge.shared.outboxes.delivered.borrow().len();
    assert_eq!(
        delivered, before,
        "nobody signs the first one out with that"
    );
    assert_eq!(at_service(&gateway, &token, "ann")["authenticated"], true);
}
