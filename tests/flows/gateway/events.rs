//! What services are told when users change.

use serde_json::{Value, json};

use super::Gateway;

/// The bodies of the events that wait for a service, and forgets them.
fn take(gateway: &Gateway, service: &str) -> Vec<Value> {
    let outboxes = &gateway.edge.shared.outboxes;
    let waiting = outboxes.waiting(service);
    outboxes.deliver_all();
    waiting.into_iter().map(|event| event.body).collect()
}

fn account(identity: &str, active: bool, staff: bool) -> Value {
    json!({"type": "update_account", "fields": {
        "user_identy": identity, "is_active": active, "is_staff": staff, "is_superuser": false,
    }})
}

fn out(identity: &str) -> Value {
    json!({"type": "deauthenticate", "user_identy": identity})
}

#[test]
fn a_change_is_told_in_the_dialect_of_each_service_and_only_what_changed() {
    let gateway = Gateway::new(&json!({}));
    let (fields, _) = gateway.service("wiki", &json!({}));
    let (flat, _) = gateway.service("shop", &json!({"dialect": "flat"}));
    let (push, _) = gateway.service("old", &json!({"dialect": "push"}));
    let (hook, _) = gateway.service(
        "hook",
        &json!({"dialect": "webhook", "fields": {"mail": "email"}}),
    );
    let (status, user) = gateway.call(
        "POST",
        "/api/sso/users",
        &json!({"email": "ada@example.com"}),
    );
    assert_eq!(status, 201);
    let path = format!("/api/sso/users/{}", user["id"].as_str().unwrap());
    assert_eq!(
        take(&gateway, &fields),
        [account("ada@example.com", true, false)]
    );
    let patch = |body: Value| assert_eq!(gateway.call("PATCH", &path, &body).0, 200);
    for service in [&flat, &push, &hook] {
        take(&gateway, service);
    }
    patch(json!({"first_name": "Ada"}));
    assert_eq!(
        take(&gateway, &fields),
        [] as [Value; 0],
        "nobody asked for names"
    );
    patch(json!({"staff": true}));
    let told = [account("ada@example.com", true, true)];
    let outboxes = &gateway.edge.shared.outboxes;
    let bodies = |service: &str| -> Vec<Value> {
        outboxes
            .waiting(service)
            .into_iter()
            .map(|event| event.body)
            .collect()
    };
    assert_eq!(bodies(&fields), told);
    let flat_account = json!({"type": "update_account", "username": "ada@example.com",
        "is_active": true, "is_staff": true, "is_superuser": false});
    assert_eq!(bodies(&flat), [flat_account]);
    assert_eq!(
        bodies(&push),
        [json!({"username": "ada@example.com", "password": "!"})]
    );
    let [hooked] = &bodies(&hook)[..] else {
        panic!("one event")
    };
    assert_eq!(hooked["type"], "update_account");
    assert_eq!(hooked["data"]["mail"], "ada@example.com");
    assert!(hooked["timestamp"].as_str().unwrap().ends_with('Z'));
    outboxes.deliver_all();
    patch(json!({"active": false}));
    assert_eq!(
        bodies(&fields),
        [
            account("ada@example.com", false, true),
            out("ada@example.com")
        ]
    );
    outboxes.deliver_all();
    patch(json!({"active": true}));
    outboxes.deliver_all();
    patch(json!({"email": "ada@example.org"}));
    let renamed =
        json!({"type": "change_user_identy", "old": "ada@example.com", "new": "ada@example.org"});
    assert_eq!(
        bodies(&fields),
        [renamed, account("ada@example.org", true, true)]
    );
    let closed = json!({"type": "update_account", "username": "ada@example.com",
        "is_active": false, "is_staff": true, "is_superuser": false});
    assert_eq!(bodies(&flat)[0], closed);
    outboxes.deliver_all();
    assert_eq!(gateway.call("DELETE", &path, &json!({})).0, 204);
    let deleted = json!({"type": "delete_user", "user_identy": "ada@example.org"});
    assert_eq!(bodies(&fields), [out("ada@example.org"), deleted]);
    assert_eq!(bodies(&push), [json!({"user_identy": "ada@example.org"})]);
}

#[test]
fn a_service_is_told_of_its_own_people_and_who_loses_access_is_signed_out_there() {
    let gateway = Gateway::new(&json!({}));
    let (wiki, _) = gateway.service(
        "wiki",
        &json!({"access": {"roles": ["editor"]}, "fields": {"roles": "roles"}}),
    );
    let (_, user) = gateway.call(
        "POST",
        "/api/sso/users",
        &json!({"email": "ada@example.com"}),
    );
    let path = format!("/api/sso/users/{}", user["id"].as_str().unwrap());
    assert_eq!(take(&gateway, &wiki), [] as [Value; 0]);
    gateway.call("PATCH", &path, &json!({"roles": ["editor"]}));
    assert_eq!(take(&gateway, &wiki)[0]["fields"]["is_active"], true);
    gateway.call("PATCH", &path, &json!({"roles": ["editor", "x"]}));
    let further = json!({"type": "update_fields", "user_identities": ["ada@example.com"], "fields": {"roles": ["editor", "x"]}});
    assert_eq!(take(&gateway, &wiki), [further]);
    gateway.call("PATCH", &path, &json!({"roles": []}));
    let told = take(&gateway, &wiki);
    assert_eq!(told[0]["fields"]["is_active"], false);
    assert_eq!(told[1], out("ada@example.com"));
    gateway.call("PATCH", &path, &json!({"staff": true}));
    assert_eq!(take(&gateway, &wiki), [] as [Value; 0]);
}

#[test]
fn events_for_a_disabled_service_wait() {
    let gateway = Gateway::new(&json!({}));
    let (wiki, _) = gateway.service("wiki", &json!({"enabled": false}));
    gateway.call(
        "POST",
        "/api/sso/users",
        &json!({"email": "ada@example.com"}),
    );
    let waiting = [account("ada@example.com", true, false)];
    assert_eq!(take(&gateway, &wiki), waiting);
    assert_eq!(take(&gateway, &wiki), waiting, "none was sent");
    let path = format!("/api/sso/services/{wiki}");
    assert_eq!(
        gateway.call("PATCH", &path, &json!({"enabled": true})).0,
        200
    );
    assert_eq!(take(&gateway, &wiki), waiting);
    assert_eq!(take(&gateway, &wiki), [] as [Value; 0]);
}

#[test]
fn with_usernames_services_and_people_use_them() {
    let gateway = Gateway::new(&json!({"identity": "username"}));
    gateway.user("ada@example.com", &json!({"username": "ada"}));
    gateway.user("bob@example.com", &json!({}));
    let (wiki, token) = gateway.service("wiki", &json!({}));
    let sso = gateway.obtain(&token, "/");
    let mut browser = gateway.browser();
    browser.open(super::GATEWAY, &format!("/login/?sso={sso}"));
    let fields = [("username", "ada"), ("password", super::PASSWORD)];
    assert_eq!(
        browser.submit(super::GATEWAY, "/login/", &fields).status(),
        303
    );
    let asked = [("token", &*token), ("authentication_token", &*sso)];
    assert_eq!(
        gateway.service_call("/sso/get/", &asked).1["user_identy"],
        "ada"
    );
    // Whoever has no other name is called by the address.
    let mut other = gateway.browser();
    other.open(super::GATEWAY, "/login/");
    let fields = [
        ("username", "bob@example.com"),
        ("password", super::PASSWORD),
    ];
    assert_eq!(
        other.submit(super::GATEWAY, "/login/", &fields).status(),
        303
    );
    let asked = [("token", &*token), ("user_identy", "ada")];
    gateway.edge.wait(2);
    assert_eq!(gateway.service_call("/sso/deauthenticate/", &asked).0, 200);
    assert_eq!(browser.open(super::GATEWAY, "/account/").status(), 303);
    drop(wiki);
}
