//! Another issuer, and an edge that accepts its tokens.

use std::collections::BTreeMap;

use edgeward::platform::algorithm::Algorithm;
use serde_json::{Value, json};

use super::crypto::Private;
use super::request::{Req, Seen, get};
use super::{Edge, Isolate, START, bindings};

pub const JWKS: &str = "https://keys.example/jwks";
pub const ISS: &str = "https://id.example";

/// The table of an issuer, `settings` laid over one that is as open as it can be.
pub fn table(settings: &Value) -> String {
    let mut table = json!({
        "issuer": ISS,
        "audience": "app",
        "algorithms": ["EdDSA"],
        "jwks_url": JWKS,
        "create_users": true,
    });
    let members = table.as_object_mut().unwrap();
    members.extend(settings.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    table.to_string()
}

/// Bindings with one issuer named `id`, which the site takes.
pub fn with_issuer(issuer: &Value, site: &Value) -> BTreeMap<String, String> {
    let mut site = site.clone();
    if site.get("issuers").is_none() {
        site["issuers"] = json!(["id"]);
    }
    let mut all = bindings(&site);
    all.insert("EDGEWARD_ISSUER_ID".into(), table(issuer));
    all
}

/// An edge with one issuer that publishes one Ed25519 key.
pub struct Stage {
    pub edge: Edge,
    pub key: Private,
}

impl Stage {
    pub fn new(issuer: &Value, site: &Value) -> Self {
        let stage = Self {
            edge: Edge::with(with_issuer(issuer, site)),
            key: Private::new(Algorithm::EdDsa.key_type(), "issuer"),
        };
        stage.publish(&[(&stage.key, "k1")]);
        stage
    }

    /// Publishes these keys at [`JWKS`].
    pub fn publish(&self, keys: &[(&Private, &str)]) {
        let keys: Vec<Value> = keys
            .iter()
            .map(|(key, kid)| key.jwk(&json!({"kid": kid})))
            .collect();
        self.answer(JWKS, 200, &json!({"keys": keys}).to_string());
    }

    pub fn answer(&self, url: &str, status: u16, body: &str) {
        let mut answers = self.edge.shared.answers.borrow_mut();
        answers.insert(url.into(), (status, body.into()));
    }

    /// The issuer's server is gone.
    pub fn down(&self) {
        self.edge.shared.answers.borrow_mut().clear();
    }

    /// Claims that are good now, with these changes; `null` leaves one out.
    pub fn claims(&self, changes: &Value) -> Value {
        claims_at(self.edge.now().seconds(), changes)
    }

    pub fn token(&self, changes: &Value) -> String {
        self.key.token(
            Algorithm::EdDsa,
            &json!({"kid": "k1"}),
            &self.claims(changes),
        )
    }

    pub fn isolate(&self) -> Isolate {
        self.edge.isolate()
    }
}

pub fn claims_at(now: u64, changes: &Value) -> Value {
    let mut claims = json!({
        "iss": ISS,
        "aud": "app",
        "sub": "anna",
        "email": "anna@b.c",
        "email_verified": true,
        "iat": now,
        "exp": now + 300,
    });
    let members = claims.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    claims
}

pub fn claims(changes: &Value) -> Value {
    claims_at(START.seconds(), changes)
}

pub fn by_bearer(token: &str) -> Req {
    get("/x").bearer(token)
}

/// Why a request was refused, as the log says it; empty when it was forwarded.
pub fn reason(seen: &Seen) -> String {
    if seen.is_forwarded() {
        return String::new();
    }
    let event = seen.outcome.event.as_ref().expect("an event");
    event.reason.clone().expect("a reason")
}
