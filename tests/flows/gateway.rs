//! The SSO gateway: signing in with a password, services, sites, signing out everywhere.

mod attacks;
mod by_subject;
mod events;
mod jar;
mod links;
mod methods;
mod passkeys;
mod passwords;
mod phone;
mod same_password;
mod services;
mod sign_out;
mod sites;
mod step_up;

use std::collections::BTreeMap;

use edgeward::model::api_token::Scope;
use serde_json::{Value, json};

use crate::harness::request::{Req, Seen, req};
use crate::harness::{Edge, Isolate, bindings};
use jar::Jar;

pub const GATEWAY: &str = "login.example";
pub const PASSWORD: &str = "correct horse battery";

/// An edge with a gateway, an isolate, and an API token that may everything.
pub struct Gateway {
    pub edge: Edge,
    pub isolate: Isolate,
    pub admin: String,
}

/// The bindings of a gateway and two sites that use it.
pub fn with_gateway(gateway: &Value) -> BTreeMap<String, String> {
    let site = json!({"login": "gateway", "unauthenticated": "login", "sources": ["session"], "sso_cookie": null, "query": null});
    let mut all = bindings(&site);
    let mut settings = json!({"hosts": [GATEWAY]});
    let members = settings.as_object_mut().unwrap();
    members.extend(gateway.as_object().unwrap().clone());
    all.insert("EDGEWARD_GATEWAY".into(), settings.to_string());
    let mut other = site.clone();
    other["hosts"] = json!(["other.example"]);
    other["audience"] = json!("other.example");
    all.insert("EDGEWARD_SITE_OTHER".into(), crate::harness::site(&other));
    all
}

impl Gateway {
    pub fn new(settings: &Value) -> Self {
        Self::of(with_gateway(settings))
    }

    pub fn of(bindings: BTreeMap<String, String>) -> Self {
        let edge = Edge::with(bindings);
        let isolate = edge.isolate();
        let admin = edge.api_token(&[Scope::Admin]);
        // Every service takes what it is sent, unless a test says otherwise.
        edge.shared
            .outboxes
            .receiver
            .replace(Some(Box::new(|_, _| true)));
        Self {
            edge,
            isolate,
            admin,
        }
    }

    /// An admin call at the gateway's host.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = req(method, path)
            .at(GATEWAY)
            .api_token(&self.admin)
            .json(body);
        let seen = self.isolate.send(&request);
        let body = if seen.body().is_empty() {
            Value::Null
        } else {
            seen.json()
        };
        (seen.status(), body)
    }

    /// A user with a password; gives the id.
    pub fn user(&self, email: &str, more: &Value) -> String {
        let mut body = json!({ "email": email });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let (status, user) = self.call("POST", "/api/sso/users", &body);
        assert_eq!(status, 201, "{user}");
        let id = user["id"].as_str().unwrap().to_owned();
        self.set_password(&id, &json!({ "password": PASSWORD }));
        id
    }

    pub fn set_password(&self, id: &str, body: &Value) {
        let (status, answer) = self.call("PUT", &format!("/api/sso/users/{id}/password"), body);
        assert_eq!(status, 204, "{answer}");
        // Sign-ins from before the moment of a new password do not count.
        self.edge.wait(1);
    }

    /// A link to set the password of a user; gives its path.
    pub fn password_link(&self, id: &str) -> String {
        let path = format!("/api/sso/users/{id}/password-link");
        let (status, made) = self.call("POST", &path, &json!({}));
        assert_eq!(status, 200, "{made}");
        let url = made["url"].as_str().unwrap();
        url.strip_prefix("https://login.example")
            .unwrap()
            .to_owned()
    }

    /// A service; gives its id and its token.
    pub fn service(&self, name: &str, more: &Value) -> (String, String) {
        let mut body = json!({
            "name": name, "base_url": format!("https://{name}.example"), "dialect": "fields",
        });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let (status, made) = self.call("POST", "/api/sso/services", &body);
        assert_eq!(status, 201, "{made}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&made["service"]["id"]), text(&made["token"]))
    }

    /// A service calls the gateway.
    pub fn service_call(&self, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        let seen = self
            .isolate
            .send(&form(req("POST", path).at(GATEWAY), fields));
        (seen.status(), seen.json())
    }

    /// A service asks for a sign-in; gives the token of it.
    pub fn obtain(&self, token: &str, next_url: &str) -> String {
        let (status, answer) =
            self.service_call("/sso/obtain/", &[("token", token), ("next_url", next_url)]);
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }

    /// A browser without cookies.
    pub fn browser(&self) -> Jar<'_> {
        Jar::new(&self.isolate)
    }

    /// A browser in which `email` has signed in.
    pub fn signed_in(&self, email: &str) -> Jar<'_> {
        let mut browser = self.browser();
        let seen = browser.sign_in(email, PASSWORD);
        assert_eq!(
            seen.header("location"),
            Some("/account/"),
            "{}",
            seen.body()
        );
        browser
    }
}

/// `request` with a form.
pub fn form(request: Req, fields: &[(&str, &str)]) -> Req {
    let pairs = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", edgeward::http::query::encode(value)));
    let body = pairs.collect::<Vec<_>>().join("&");
    request
        .body(body.as_bytes())
        .header("content-type", "application/x-www-form-urlencoded")
}

/// The value of the hidden field `name` of a page.
pub fn hidden(seen: &Seen, name: &str) -> Option<String> {
    let marker = format!("name=\"{name}\" value=\"");
    let at = seen.body().find(&marker)? + marker.len();
    let rest = &seen.body()[at..];
    let value = &rest[..rest.find('"').unwrap()];
    Some(value.replace("&#38;", "&"))
}
