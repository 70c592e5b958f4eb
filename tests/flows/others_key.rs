//! API keys and opaque tokens that others hand out.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use edgeward::jose::jws::Kind;
use edgeward::model::api_token::Scope;
use edgeward::pipeline::outcome::Action;
use edgeward::platform::port::Incoming;
use futures_util::future::join;
use serde_json::{Value, json};

use crate::harness::issuer::{ISS, reason, table, with_issuer};
use crate::harness::request::{Req, get};
use crate::harness::shared::{Trouble, Verb};
use crate::harness::{Edge, Isolate, run};

const URL: &str = "https://id.example/api/sso/v1/apikeys/verify";
const SECRET: &str = "a secret/of the+client";
const KEY: &str = "uak_Zm9vYmFy/+";

/// An edge whose issuer says whose keys are, and what it answers.
struct Stage {
    edge: Edge,
    answer: Rc<RefCell<(u16, String)>>,
    /// What it was asked: URL, headers, body.
    asked: Rc<RefCell<Vec<(String, String, String)>>>,
    silent: Rc<Cell<bool>>,
}

impl Stage {
    fn new(verify: &Value, site: &Value) -> Self {
        let mut settings = json!({"sources": ["session", "bearer", "api_key"]});
        let members = settings.as_object_mut().unwrap();
        members.extend(site.as_object().unwrap().clone());
        let mut all = with_issuer(&json!({"verify": verify}), &settings);
        all.insert("CLIENT_SECRET".into(), SECRET.into());
        let stage = Self {
            edge: Edge::with(all),
            answer: Rc::default(),
            asked: Rc::default(),
            silent: Rc::default(),
        };
        let (answer, asked) = (Rc::clone(&stage.answer), Rc::clone(&stage.asked));
        let silent = Rc::clone(&stage.silent);
        *stage.edge.shared.servers.borrow_mut() = Some(Box::new(move |request| {
            let headers: Vec<String> = request
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            asked.borrow_mut().push((
                format!("{} {}", request.method, request.url),
                headers.join("\n"),
                request.body.unwrap_or_default().to_owned(),
            ));
            let (status, body) = answer.borrow().clone();
            (!silent.get()).then(|| Incoming {
                status,
                headers: vec![("location".into(), "https://evil.example/".into())],
                body: body.into_bytes(),
            })
        }));
        stage
    }

    fn usso() -> Self {
        let stage = Self::new(&json!({"url": URL, "form": "usso"}), &json!({}));
        stage.says(&anna());
        stage
    }

    fn introspection() -> Self {
        let stage = Self::new(
            &json!({
                "url": "https://id.example/introspect", "form": "introspection",
                "client_id": "edge ward", "client_secret": "CLIENT_SECRET",
            }),
            &json!({}),
        );
        stage.says(&active(&json!({})));
        stage
    }

    fn says(&self, body: &Value) {
        self.answers(200, &body.to_string());
    }

    fn answers(&self, status: u16, body: &str) {
        *self.answer.borrow_mut() = (status, body.to_owned());
    }

    fn count(&self) -> usize {
        self.asked.borrow().len()
    }
}

fn anna() -> Value {
    json!({"sub": "anna", "email": "anna@b.c", "email_verified": true, "tenant_id": null})
}

fn active(changes: &Value) -> Value {
    let mut answer = json!({
        "active": true, "token_type": "Bearer", "aud": "app", "sub": "anna",
        "email": "anna@b.c", "email_verified": true,
    });
    let members = answer.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    answer
}

fn by_key(key: &str) -> Req {
    get("/x").header("x-api-key", key)
}

fn passes(isolate: &Isolate, request: &Req) -> bool {
    isolate.send(request).is_forwarded()
}

#[test]
fn a_key_of_usso_is_asked_about_as_its_sdk_does_and_goes_no_further() {
    let stage = Stage::usso();
    let isolate = stage.edge.isolate();
    let seen = isolate.send(&by_key(KEY));
    let origin = seen.origin();
    assert_eq!(origin.header("x-forwarded-email"), Some("anna@b.c"));
    assert_eq!(origin.header("x-api-key"), None);
    let asked = stage.asked.borrow();
    let (request, headers, body) = &asked[0];
    assert_eq!(request, &format!("POST {URL}"));
    assert!(headers.contains("content-type: application/json"));
    assert!(!headers.contains("authorization"));
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body, json!({"api_key": KEY}));
    // Neither the store nor the log learns of the key.
    let values = stage.edge.shared.values.borrow();
    assert!(
        !values
            .iter()
            .any(|(key, (value, _))| key.contains("uak_") || value.contains("uak_"))
    );
    let event = format!("{:?}", seen.outcome.event);
    assert!(!event.contains("uak_"), "{event}");
}

#[test]
fn an_opaque_token_is_introspected_with_the_client_s_secret() {
    let stage = Stage::introspection();
    let isolate = stage.edge.isolate();
    for request in [by_key(KEY), get("/x").bearer(KEY)] {
        let seen = isolate.send(&request);
        assert!(seen.is_forwarded(), "{}", reason(&seen));
        assert_eq!(seen.origin().header("authorization"), None);
    }
    let asked = stage.asked.borrow();
    assert_eq!(asked.len(), 1);
    let (_, headers, body) = &asked[0];
    // `edge%20ward:a%20secret%2Fof%20the%2Bclient`
    assert!(
        headers.contains(
            "authorization: Basic ZWRnZSUyMHdhcmQ6YSUyMHNlY3JldCUyRm9mJTIwdGhlJTJCY2xpZW50"
        ),
        "{headers}"
    );
    assert_eq!(
        body,
        "token=uak_Zm9vYmFy%2F%2B&token_type_hint=access_token"
    );
}

#[test]
fn sec_97_nothing_but_a_clear_yes_lets_a_key_in() {
    let refused = |stage: &Stage| {
        let isolate = stage.edge.isolate();
        let seen = isolate.send(&by_key(KEY));
        assert!(!seen.is_forwarded());
        seen.status()
    };
    let introspection = Stage::introspection();
    for (answer, status) in [
        (json!({"active": false}), 401),
        (active(&json!({"active": null})), 503),
        (active(&json!({"token_use": "refresh_token"})), 401),
        (active(&json!({"active": "true"})), 503),
        (active(&json!({"active": 1})), 503),
        (active(&json!({"token_type": null})), 401),
        (active(&json!({"token_type": "refresh_token"})), 401),
        (active(&json!({"token_type": "DPoP"})), 401),
        (active(&json!({"cnf": {"jkt": "x"}})), 401),
        (active(&json!({"aud": "other"})), 401),
        (active(&json!({"aud": null})), 401),
        (active(&json!({"aud": null, "client_id": "other"})), 401),
        (active(&json!({"iss": format!("{ISS}/")})), 401),
        (active(&json!({"exp": 1_700_000_000})), 401),
        (active(&json!({"nbf": 1_900_000_000})), 401),
        (active(&json!({"exp": "soon"})), 401),
        (active(&json!({"email_verified": false})), 401),
        (active(&json!({"email": null})), 401),
    ] {
        introspection.says(&answer);
        assert_eq!(refused(&introspection), status, "{answer}");
    }
    introspection.says(&active(&json!({"aud": null, "client_id": "app"})));
    assert!(passes(&introspection.edge.isolate(), &by_key(KEY)));
    for (status, body) in [
        (200, ""),
        (200, "true"),
        (200, "[]"),
        (
            200,
            r#"{"active":false,"active":true,"token_type":"Bearer"}"#,
        ),
        (204, ""),
        (301, ""),
        (302, ""),
        (401, "{}"),
        (403, "{}"),
        (429, "{}"),
        (500, "{}"),
    ] {
        introspection.answers(status, body);
        assert_eq!(refused(&introspection), 503, "{status} {body}");
    }
    let usso = Stage::usso();
    for (status, expected) in [
        (400, 401),
        (401, 401),
        (403, 401),
        (404, 401),
        (422, 401),
        (302, 503),
        (429, 503),
        (500, 503),
    ] {
        usso.answers(status, &anna().to_string());
        assert_eq!(refused(&usso), expected, "{status}");
    }
    usso.says(&json!({}));
    assert_eq!(refused(&usso), 401);
    for active in [json!(false), json!(null)] {
        let mut answer = anna();
        answer["active"] = active;
        usso.says(&answer);
        assert_eq!(refused(&usso), 401, "{answer}");
    }
    usso.says(&anna());
    usso.silent.set(true);
    assert_eq!(refused(&usso), 503);
    usso.silent.set(false);
    let large = json!({"email": "anna@b.c", "email_verified": true, "x": "x".repeat(70_000)});
    usso.says(&large);
    assert_eq!(refused(&usso), 503);
}

#[test]
fn sec_97_a_revoked_key_ends_within_the_stated_time_and_a_disabled_user_at_once() {
    let stage = Stage::usso();
    let isolate = stage.edge.isolate();
    for second in 0..60 {
        assert!(passes(&isolate, &by_key(KEY)), "{second}");
        stage.edge.wait(1);
    }
    assert_eq!(stage.count(), 1);
    stage.answers(401, "");
    assert!(!passes(&isolate, &by_key(KEY)));
    stage.says(&anna());
    stage.edge.wait(11);
    assert!(passes(&isolate, &by_key(KEY)));
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let (_, users) = isolate.admin(&admin, "GET", "/api/sso/users?email=anna@b.c", &Value::Null);
    let id = users["users"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/sso/users/{id}");
    isolate.admin(&admin, "PATCH", &path, &json!({"active": false}));
    assert_eq!(
        reason(&isolate.send(&by_key(KEY))),
        "the token's user is disabled"
    );
    // What the issuer says of the end of a key counts too.
    let ends = stage.edge.now().seconds() + 5;
    let mut answer = anna();
    answer["exp"] = json!(ends);
    stage.says(&answer);
    isolate.admin(&admin, "PATCH", &path, &json!({"active": true}));
    assert!(passes(&isolate, &by_key("another")));
    stage.edge.wait(5);
    assert!(!passes(&isolate, &by_key("another")));
}

#[test]
fn sec_97_wrong_keys_do_not_make_us_flood_the_issuer() {
    let stage = Stage::usso();
    let isolate = stage.edge.isolate();
    stage.answers(401, "");
    for _ in 0..5 {
        assert_eq!(isolate.send(&by_key(KEY)).status(), 401);
    }
    assert_eq!(stage.count(), 1);
    stage.edge.wait(10);
    assert_eq!(isolate.send(&by_key(KEY)).status(), 401);
    assert_eq!(stage.count(), 2);
    // An endpoint that fails is left alone for a moment.
    stage.answers(500, "");
    for _ in 0..5 {
        assert_eq!(isolate.send(&by_key("b")).status(), 503);
    }
    assert_eq!(stage.count(), 3);
    stage.says(&anna());
    stage.edge.wait(2);
    assert!(passes(&isolate, &by_key("b")));
    // A client over the limit asks nothing more, but with a key that was good here.
    stage.answers(401, "");
    stage.edge.shared.limited.set(true);
    assert_eq!(isolate.send(&by_key("c")).status(), 429);
    let asked = stage.count();
    assert_eq!(isolate.send(&by_key("d")).status(), 429);
    assert_eq!(stage.count(), asked);
    assert!(passes(&isolate, &by_key("b")));
    let long = "k".repeat(5000);
    assert!(!passes(&isolate, &by_key(&long)));
    assert_eq!(stage.count(), asked);
}

#[test]
fn sec_97_an_endpoint_that_fails_is_not_asked_for_every_new_key() {
    // An endpoint that is asked too often, or does not answer, says nothing of any key.
    let stage = Stage::usso();
    let isolate = stage.edge.isolate();
    stage.says(&anna());
    assert!(passes(&isolate, &by_key(KEY)));
    let asked = stage.count();
    stage.answers(429, "");
    for number in 0..50 {
        let seen = isolate.send(&by_key(&format!("k{number}")));
        assert_eq!(seen.status(), 503, "{number}");
    }
    assert_eq!(stage.count(), asked + 1);
    // A key that is known to be good needs no question.
    assert!(passes(&isolate, &by_key(KEY)));
    stage.edge.wait(2);
    stage.says(&anna());
    assert!(passes(&isolate, &by_key("k0")));
    // One that fails at a key may fail at that key alone, so others are asked; whoever tries many is counted.
    for (stage, status) in [(Stage::usso(), 500), (Stage::introspection(), 400)] {
        let isolate = stage.edge.isolate();
        stage.answers(status, "");
        stage.edge.shared.limited.set(true);
        for number in 0..5 {
            let seen = isolate.send(&by_key(&format!("k{number}")));
            assert_eq!(seen.status(), 429, "{status} {number}");
        }
        assert_eq!(stage.count(), 1, "{status}");
    }
}

#[test]
fn sec_97_requests_at_once_ask_once() {
    let stage = Stage::usso();
    let isolate = stage.edge.isolate();
    let request = by_key(KEY);
    let ((one, two), _) = run(join(isolate.begin(&request), isolate.begin(&request)));
    for outcome in [one, two] {
        assert!(matches!(outcome.action, Action::Forward(_)));
    }
    assert_eq!(stage.count(), 1);
}

#[test]
fn sec_97_no_fault_of_ours_lets_a_key_in() {
    for number in 0..12 {
        let stage = Stage::usso();
        stage.answers(401, "");
        let isolate = stage.edge.isolate();
        stage.edge.shared.make(Trouble::Call(number));
        assert!(!passes(&isolate, &by_key(KEY)), "{number}");
    }
    let stage = Stage::usso();
    stage.edge.shared.make(Trouble::Every(Verb::Fetch));
    assert_eq!(stage.edge.isolate().send(&by_key(KEY)).status(), 503);
}

#[test]
fn without_an_endpoint_other_keys_are_the_application_s() {
    let all = with_issuer(
        &json!({}),
        &json!({"sources": ["api_key"], "unauthenticated": "pass"}),
    );
    let edge = Edge::with(all);
    let seen = edge.isolate().send(&by_key(KEY));
    assert_eq!(seen.origin().header("x-api-key"), Some(KEY));
    // And an opaque token stays the application's where bearer tokens are not taken.
    let stage = Stage::new(
        &json!({"url": URL, "form": "usso"}),
        &json!({"sources": ["api_key"], "unauthenticated": "pass"}),
    );
    stage.says(&anna());
    let seen = stage.edge.isolate().send(&get("/x").bearer(KEY));
    assert!(seen.origin().header("authorization").is_some());
    assert_eq!(stage.count(), 0);
}

#[test]
fn an_api_token_of_ours_counts_as_a_bearer_token_and_is_asked_of_nobody() {
    let stage = Stage::usso();
    let isolate = stage.edge.isolate();
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let (_, user) = isolate.admin(
        &admin,
        "POST",
        "/api/sso/users",
        &json!({"email": "bot@b.c"}),
    );
    let new = json!({"name": "bot", "scopes": [], "acts_as": user["id"]});
    let (status, made) = isolate.admin(&admin, "POST", "/api/sso/tokens", &new);
    assert_eq!(status, 201, "{made}");
    let token = made["token"].as_str().unwrap();
    let seen = isolate.send(&get("/x").bearer(token));
    assert_eq!(seen.origin().header("x-forwarded-email"), Some("bot@b.c"));
    assert_eq!(seen.origin().header("authorization"), None);
    assert!(!passes(&isolate, &get("/x").bearer(&format!("{token}x"))));
    assert_eq!(stage.count(), 0);
}

#[test]
fn sec_97_settings_that_would_send_keys_astray_are_errors() {
    let error = |verify: &Value| {
        let all = with_issuer(&json!({"verify": verify}), &json!({}));
        let errors = edgeward::config::parse(&all).err().unwrap_or_default();
        let told = errors
            .iter()
            .map(|error| format!("{}: {}", error.path, error.error));
        told.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(error(&json!({"url": URL, "form": "usso"})), "");
    for (bad, path) in [
        (json!({"form": "usso"}), "verify.url"),
        (json!({"url": URL}), "verify.form"),
        (
            json!({"url": "http://id.example/", "form": "usso"}),
            "verify.url",
        ),
        (
            json!({"url": "https://127.0.0.1/", "form": "usso"}),
            "verify.url",
        ),
        (
            json!({"url": "https://x.internal/", "form": "usso"}),
            "verify.url",
        ),
        (json!({"url": URL, "form": "usso", "ttl": 0}), "verify.ttl"),
        (
            json!({"url": URL, "form": "usso", "ttl": 601}),
            "verify.ttl",
        ),
        (
            json!({"url": URL, "form": "usso", "client_id": "x"}),
            "verify.client_id",
        ),
        (
            json!({"url": URL, "form": "introspection", "client_secret": "X"}),
            "verify.client_id",
        ),
        (
            json!({"url": URL, "form": "introspection", "client_id": "x", "client_secret": "X"}),
            "verify.client_secret",
        ),
        (
            json!({"url": URL, "form": "introspection", "client_id": "x", "client_secret": "EDGEWARD_TOKEN_SECRET_1"}),
            "verify.client_secret",
        ),
        (
            json!({"url": URL, "form": "usso", "more": 1}),
            "verify.more",
        ),
    ] {
        let found = error(&bad);
        assert!(found.contains(path), "{bad}: {found}");
    }
    let verify = json!({"url": URL, "form": "usso"});
    let mut all = with_issuer(
        &json!({"verify": verify}),
        &json!({"issuers": ["id", "two"]}),
    );
    let two = json!({"issuer": "https://two.example", "verify": verify});
    all.insert("EDGEWARD_ISSUER_TWO".into(), table(&two));
    let errors = edgeward::config::parse(&all).err().unwrap();
    assert!(
        errors
            .iter()
            .any(|error| error.error.contains("two issuers with `verify`"))
    );
}

#[test]
fn sec_97_credentials_of_ours_are_asked_of_nobody() {
    let stage = Stage::usso();
    let isolate = stage.edge.isolate();
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let sso = isolate.issue(&admin, "anna@b.c");
    let session = isolate.forge(Kind::Session, &json!({"sub": "usr_0123456789abcdefghijkl"}));
    for ours in [
        sso.clone(),
        session,
        format!("key {admin}"),
        format!("Bearer {sso}"),
        format!("key={}", sso.replace('.', "%2E")),
    ] {
        let seen = isolate.send(&by_key(&ours));
        assert_eq!(seen.status(), 401, "{ours}");
        assert!(reason(&seen).contains("issued by Edgeward"));
    }
    let opaque = get("/x").bearer(&format!("{sso}.x"));
    assert_eq!(isolate.send(&opaque).status(), 401);
    assert_eq!(stage.count(), 0);
}

/// Two tenants whose issuers both say whose keys are; what each says.
fn two_tenants() -> Stage {
    let verify = json!({"url": URL, "form": "usso"});
    let mut stage = Stage::new(
        &json!({"url": URL, "form": "usso"}),
        &json!({
            "issuers": null,
            "custom_headers": {"x-tenant": "tenant"},
            "tenants": {"by": "header", "header": "x-tenant-id", "groups": {
                "one": {"issuers": ["id"]}, "two": {"issuers": ["two"]},
                "three": {"issuers": ["id"]},
            }},
        }),
    );
    let mut all = stage.edge.bindings.clone();
    let two = json!({"issuer": "https://two.example", "verify": verify});
    all.insert("EDGEWARD_ISSUER_TWO".into(), table(&two));
    stage.edge = stage.edge.deployed(|bindings| *bindings = all);
    stage
}

#[test]
fn sec_97_what_is_known_of_a_key_counts_in_its_tenant_alone() {
    let stage = two_tenants();
    stage.says(&anna());
    let isolate = stage.edge.isolate();
    // Each tenant asks its own issuer, also where two of them share one.
    for (count, tenant) in ["one", "two", "three", "two", "one"]
        .into_iter()
        .enumerate()
    {
        let seen = isolate.send(&by_key(KEY).header("x-tenant-id", tenant));
        assert!(seen.is_forwarded(), "{tenant}: {}", reason(&seen));
        assert_eq!(seen.origin().header("x-tenant"), Some(tenant));
        assert_eq!(stage.count(), (count + 1).min(3), "{tenant}");
    }
    // A key that the one tenant refuses is not refused in another for that.
    let stage = two_tenants();
    let said =
        json!({"sub": "anna", "email": "anna@b.c", "email_verified": true, "tenant_id": "three"});
    stage.says(&said);
    let isolate = stage.edge.isolate();
    let in_one = isolate.send(&by_key(KEY).header("x-tenant-id", "one"));
    assert_eq!(reason(&in_one), "the credential belongs to another tenant");
    let in_three = isolate.send(&by_key(KEY).header("x-tenant-id", "three"));
    assert!(in_three.is_forwarded(), "{}", reason(&in_three));
}
