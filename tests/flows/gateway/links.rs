//! Links to set a password, that are sent: as an event to a service, by mail, both, or not at all.

use serde_json::{Value, json};

use super::{GATEWAY, Gateway, PASSWORD};
use crate::harness::shared::{Trouble, Verb};

const ADDRESS: &str = "ada@example.com";

/// A gateway with a service of the dialect `webhook` that is told links, and with mail.
struct Sending {
    gateway: Gateway,
    service: String,
    user: String,
}

impl Sending {
    fn new() -> Self {
        Self::with(&json!({}), &json!({"dialect": "webhook"}))
    }

    fn with(settings: &Value, service: &Value) -> Self {
        let first = Gateway::new(&json!({}));
        let (service, _) = first.service("mailer", service);
        let mut all = json!({"link_service": service, "mail_from": "login@example.com"});
        all.as_object_mut()
            .unwrap()
            .extend(settings.as_object().unwrap().clone());
        let edge = first
            .edge
            .deployed(|bindings| bindings.extend(super::with_gateway(&all)));
        edge.shared.mail.replace(Some(Vec::new()));
        let gateway = Gateway {
            isolate: edge.isolate(),
            admin: first.admin,
            edge,
        };
        let (_, user) = gateway.call("POST", "/api/sso/users", &json!({ "email": ADDRESS }));
        let user = user["id"].as_str().unwrap().to_owned();
        Self {
            gateway,
            service,
            user,
        }
    }

    fn link(&self, body: &Value) -> Value {
        let path = format!("/api/sso/users/{}/password-link", self.user);
        let (status, made) = self.gateway.call("POST", &path, body);
        assert_eq!(status, 200, "{made}");
        made
    }

    /// The links that the service is told, with when they end.
    fn told(&self) -> Vec<(Value, Value)> {
        let told = self.gateway.edge.shared.outboxes.told(&self.service);
        let pushed = told.iter().filter(|call| call["call"] == "push");
        let events = pushed.flat_map(|call| call["events"].as_array().unwrap().clone());
        events
            .filter(|event| event["kind"] == "password_link")
            .map(|event| (event["body"].clone(), event["until"].clone()))
            .collect()
    }

    fn mailed(&self) -> usize {
        self.gateway
            .edge
            .shared
            .mail
            .borrow()
            .as_ref()
            .unwrap()
            .len()
    }

    fn assert_works(&self, url: &Value) {
        let path = url.as_str().unwrap().strip_prefix("https://login.example");
        let mut browser = self.gateway.browser();
        browser.open(GATEWAY, path.unwrap());
        let seen = browser.submit(GATEWAY, "/password/", &[("new", PASSWORD)]);
        assert_eq!(seen.status(), 303, "{}", seen.body());
    }
}

#[test]
fn a_link_is_sent_to_the_service_and_by_mail_and_shown() {
    let sending = Sending::new();
    let made = sending.link(&json!({}));
    assert_eq!(made["sent"], json!({"service": "queued", "mail": "sent"}));
    let [(body, until)] = &sending.told()[..] else {
        panic!("not one event");
    };
    assert_eq!(body["type"], "password_link");
    let data = &body["data"];
    assert_eq!(data["url"], made["url"]);
    assert_eq!(
        (&data["email"], &data["id"]),
        (&json!(ADDRESS), &json!(sending.user))
    );
    let seconds = until.as_u64().unwrap() / 1000;
    assert_eq!(json!(seconds), made["expires_at"]);
    let mail = sending.gateway.edge.shared.mail.borrow().clone().unwrap();
    assert_eq!(
        (&*mail[0].to, &*mail[0].from),
        (ADDRESS, "login@example.com")
    );
    assert!(mail[0].text.contains(made["url"].as_str().unwrap()));
    sending.assert_works(&made["url"]);
}

#[test]
fn the_admin_chooses_the_ways_and_what_is_not_configured_is_not_used() {
    let sending = Sending::new();
    let cases = [
        (json!({"send": []}), ("not_asked", "not_asked"), (0, 0)),
        (json!({"send": ["mail"]}), ("not_asked", "sent"), (0, 1)),
        (
            json!({"send": ["service"]}),
            ("queued", "not_asked"),
            (1, 1),
        ),
        (json!({"send": null}), ("queued", "sent"), (2, 2)),
    ];
    for (body, (service, mail), counts) in cases {
        let made = sending.link(&body);
        assert_eq!(
            made["sent"],
            json!({"service": service, "mail": mail}),
            "{body}"
        );
        assert_eq!((sending.told().len(), sending.mailed()), counts, "{body}");
    }
    for bad in [
        json!({"send": ["fax"]}),
        json!({"send": "mail"}),
        json!({"to": "eve@example.com"}),
    ] {
        let path = format!("/api/sso/users/{}/password-link", sending.user);
        assert_eq!(sending.gateway.call("POST", &path, &bad).0, 400, "{bad}");
    }
    let plain = Gateway::new(&json!({}));
    let id = plain.user(ADDRESS, &json!({}));
    let (_, made) = plain.call(
        "POST",
        &format!("/api/sso/users/{id}/password-link"),
        &json!({"send": ["service", "mail"]}),
    );
    let none = json!({"service": "not_configured", "mail": "not_configured"});
    assert_eq!(made["sent"], none);
}

#[test]
fn mail_without_a_binding_is_not_configured() {
    let sending = Sending::new();
    sending.gateway.edge.shared.mail.replace(None);
    let made = sending.link(&json!({"send": ["mail"]}));
    assert_eq!(made["sent"]["mail"], "not_configured");
    sending.assert_works(&made["url"]);
}

#[test]
fn a_service_that_cannot_take_it_is_told_nothing() {
    for other in [
        json!({"dialect": "fields"}),
        json!({"dialect": "webhook", "enabled": false}),
    ] {
        let sending = Sending::with(&json!({}), &other);
        let made = sending.link(&json!({"send": ["service"]}));
        assert_eq!(made["sent"]["service"], "unavailable", "{other}");
        assert_eq!(sending.told().len(), 0);
    }
    let sending = Sending::with(
        &json!({"link_service": "svc_AAAAAAAAAAAAAAAAAAAAAA"}),
        &json!({"dialect": "webhook"}),
    );
    let made = sending.link(&json!({"send": ["service"]}));
    assert_eq!(made["sent"]["service"], "unavailable");
}

#[test]
fn no_failure_of_one_way_takes_the_link_or_the_other_way_with_it() {
    let sending = Sending::new();
    let shared = &sending.gateway.edge.shared;
    shared.make(Trouble::Every(Verb::Mail));
    let made = sending.link(&json!({}));
    assert_eq!(made["sent"], json!({"service": "queued", "mail": "failed"}));
    shared.make(Trouble::Every(Verb::RecordChange));
    let made = sending.link(&json!({}));
    assert_eq!(made["sent"], json!({"service": "failed", "mail": "sent"}));
    shared.make(Trouble::None);
    sending.assert_works(&made["url"]);
}

#[test]
fn a_link_that_an_outbox_cannot_take_yet_is_stored_with_its_cause_and_comes_later() {
    let sending = Sending::new();
    let outboxes = &sending.gateway.edge.shared.outboxes;
    outboxes.are_down.set(true);
    let made = sending.link(&json!({"send": ["service"]}));
    assert_eq!(made["sent"]["service"], "queued");
    assert_eq!(sending.told().len(), 0);
    outboxes.are_down.set(false);
    sending.gateway.edge.shared.carry();
    assert_eq!(sending.told()[0].0["data"]["url"], made["url"]);
}

#[test]
fn sec_64_only_an_admin_makes_and_sends_links() {
    use edgeward::model::api_token::Scope;
    let sending = Sending::new();
    let token =
        sending
            .gateway
            .edge
            .api_token(&[Scope::UsersRead, Scope::UsersWrite, Scope::TokenIssue]);
    let path = format!("/api/sso/users/{}/password-link", sending.user);
    let (status, _) = sending
        .gateway
        .isolate
        .admin(&token, "POST", &path, &json!({}));
    assert_eq!(status, 403);
    assert_eq!((sending.told().len(), sending.mailed()), (0, 0));
}

#[test]
fn sec_64_an_api_token_limited_to_some_users_sets_no_password_of_another() {
    use edgeward::model::api_token::{IssueFor, Scope};
    let sending = Sending::new();
    let gateway = &sending.gateway;
    let limited: IssueFor = serde_json::from_value(json!({"roles": []})).unwrap();
    let token = gateway
        .edge
        .limited_api_token(&[Scope::Admin], limited, None);
    let boss = gateway.user("boss@example.com", &json!({"superuser": true}));
    let call = |method: &str, id: &str, what: &str, body: &Value| {
        let path = format!("/api/sso/users/{id}/{what}");
        gateway.isolate.admin(&token, method, &path, body)
    };
    let new = json!({"password": "chosen by somebody else"});
    for (method, what, body) in [
        ("PUT", "password", &new),
        ("DELETE", "password", &json!({})),
        ("POST", "password-link", &json!({})),
    ] {
        let (status, answer) = call(method, &boss, what, body);
        assert_eq!(status, 403, "{method} {what}: {answer}");
        // It may change those to whom it is limited.
        let (status, answer) = call(method, &sending.user, what, body);
        assert!(matches!(status, 200 | 204), "{method} {what}: {answer}");
    }
    gateway.signed_in("boss@example.com");
}
