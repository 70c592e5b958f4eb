//! Tenants: what is somebody in one is nobody in another.

use edgeward::model::api_token::Scope;
use edgeward::platform::algorithm::Algorithm;
use serde_json::{Value, json};

use crate::harness::crypto::Private;
use crate::harness::issuer::{by_bearer, claims, reason, table};
use crate::harness::request::{Req, get, open};
use crate::harness::{Edge, Isolate, OWN, SSO, bindings};

const OTHER: &str = "the credential belongs to another tenant";

struct Two {
    edge: Edge,
    isolate: Isolate,
    keys: [Private; 2],
}

const ISSUERS: [&str; 2] = ["https://one.example", "https://two.example"];

/// A site with the tenants `one` and `two`, each with an issuer of its own.
fn two(tenants: &Value, site: &Value) -> Two {
    let mut settings = json!({
        "hosts": ["one.site.example", "two.site.example"],
        "tenants": tenants,
        "custom_headers": {"x-tenant": "tenant", "x-id": "id"},
        "query": {"single_use": false, "user_switch": "replace"},
    });
    settings
        .as_object_mut()
        .unwrap()
        .extend(site.as_object().unwrap().clone());
    let mut all = bindings(&settings);
    let keys = [
        Private::new(Algorithm::EdDsa.key_type(), "one"),
        Private::new(Algorithm::EdDsa.key_type(), "two"),
    ];
    for (at, name) in ["ONE", "TWO"].into_iter().enumerate() {
        let issuer = json!({
            "issuer": ISSUERS[at],
            "jwks_url": null,
            "public_key": keys[at].jwk(&json!({})),
        });
        all.insert(format!("EDGEWARD_ISSUER_{name}"), table(&issuer));
    }
    let edge = Edge::with(all);
    let isolate = edge.isolate();
    Two {
        edge,
        isolate,
        keys,
    }
}

impl Two {
    fn token(&self, at: usize, changes: &Value) -> String {
        let mut changes = changes.clone();
        changes["iss"] = json!(ISSUERS[at]);
        self.keys[at].token(Algorithm::EdDsa, &json!({}), &claims(&changes))
    }
}

fn groups() -> Value {
    json!({"one": {"issuers": ["one"]}, "two": {"issuers": ["two"]}})
}

fn by_host() -> Value {
    json!({"by": "host", "groups": {
        "one": {"issuers": ["one"], "hosts": ["one.site.example"]},
        "two": {"issuers": ["two"], "hosts": ["two.site.example"]},
    }})
}

/// The checks that hold however tenants are told apart; `into` puts a request into a tenant.
fn kept_apart(two: &Two, into: impl Fn(Req, &str) -> Req) {
    let ids: Vec<String> = [(0, "one"), (1, "two")]
        .into_iter()
        .map(|(at, name)| {
            let token = two.token(at, &json!({"tenant_id": name}));
            let seen = two.isolate.send(&into(by_bearer(&token), name));
            assert!(seen.is_forwarded(), "{name}: {}", reason(&seen));
            assert_eq!(seen.origin().header("x-tenant"), Some(name));
            seen.origin().header("x-id").unwrap().to_owned()
        })
        .collect();
    assert_ne!(
        ids[0], ids[1],
        "the same address in two tenants is two users"
    );
    // A token of one in the other, remembered or not.
    for isolate in [&two.isolate, &two.edge.isolate()] {
        let token = two.token(0, &json!({"tenant_id": "one"}));
        let seen = isolate.send(&into(by_bearer(&token), "two"));
        assert_eq!(seen.status(), 401, "{}", reason(&seen));
        assert!(isolate.send(&into(by_bearer(&token), "one")).is_forwarded());
    }
}

/// An issuer that serves both says for which of them a token is.
fn one_issuer_for_both(two: &Two, into: impl Fn(Req, &str) -> Req) {
    let token = two.token(0, &json!({"tenant_id": "one"}));
    for (name, forwarded) in [("one", true), ("two", false)] {
        let seen = two.isolate.send(&into(by_bearer(&token), name));
        assert_eq!(seen.is_forwarded(), forwarded, "{name}: {}", reason(&seen));
    }
    // A name that is none of this site's says nothing.
    let token = two.token(0, &json!({"tenant_id": "org_17"}));
    let seen = two.isolate.send(&into(by_bearer(&token), "two"));
    assert!(seen.is_forwarded(), "{}", reason(&seen));
}

/// A session of one in the other.
fn sessions_kept_apart(two: &Two, into: impl Fn(Req, &str) -> Req) {
    let token = two.token(0, &json!({"tenant_id": "one"}));
    let arrived = into(open("/").cookie(&format!("{SSO}={token}")), "one");
    let session = two.isolate.send(&arrived).session().unwrap();
    for isolate in [&two.isolate, &two.edge.isolate()] {
        assert!(
            isolate
                .send(&into(get("/x").cookie(&session), "one"))
                .is_forwarded()
        );
        let seen = isolate.send(&into(get("/x").cookie(&session), "two"));
        assert_eq!(reason(&seen), OTHER);
    }
}

#[test]
fn a_token_that_names_a_tenant_is_nothing_in_another_of_the_same_issuer() {
    let by_host = two(
        &json!({"by": "host", "groups": {
            "one": {"issuers": ["one"], "hosts": ["one.site.example"]},
            "two": {"issuers": ["one", "two"], "hosts": ["two.site.example"]},
        }}),
        &json!({}),
    );
    one_issuer_for_both(&by_host, |request, name| {
        request.at(&format!("{name}.site.example"))
    });
    let groups = json!({"one": {"issuers": ["one"]}, "two": {"issuers": ["one", "two"]}});
    let by_header = two(
        &json!({"by": "header", "header": "X-Tenant-ID", "groups": groups}),
        &json!({}),
    );
    one_issuer_for_both(&by_header, |request, name| {
        request.at("one.site.example").header("x-tenant-id", name)
    });
}

#[test]
fn sec_28_no_other_spelling_of_the_tenant_s_header_reaches_the_origin() {
    let two = two(
        &json!({"by": "header", "header": "X-Tenant-ID", "groups": groups()}),
        &json!({}),
    );
    let request = by_bearer(&two.token(0, &json!({"tenant_id": "one"})))
        .at("one.site.example")
        .header("x-tenant-id", "one")
        .header("x_tenant_id", "two")
        .header("x-tenant_id", "two");
    let origin = two.isolate.send(&request).origin();
    assert_eq!(origin.header("x-tenant-id"), Some("one"));
    assert_eq!(origin.header("x_tenant_id"), None);
    assert_eq!(origin.header("x-tenant_id"), None);
}

#[test]
fn a_request_that_names_no_tenant_ends_no_session_of_one() {
    let two = two(
        &json!({"by": "header", "header": "X-Tenant-ID", "groups": groups()}),
        &json!({}),
    );
    let within = |request: Req| request.at("one.site.example").header("x-tenant-id", "one");
    let token = two.token(0, &json!({"tenant_id": "one"}));
    let arrived = within(open("/").cookie(&format!("{SSO}={token}")));
    let session = two.isolate.send(&arrived).session().unwrap();
    let stray = two
        .isolate
        .send(&open("/").at("one.site.example").cookie(&session));
    assert!(!stray.is_forwarded() && !stray.clears(OWN));
    assert!(
        two.isolate
            .send(&within(get("/x").cookie(&session)))
            .is_forwarded()
    );
}

#[test]
fn tenants_by_host_are_kept_apart() {
    let two = two(&by_host(), &json!({}));
    let into = |request: Req, name: &str| request.at(&format!("{name}.site.example"));
    kept_apart(&two, into);
    sessions_kept_apart(&two, into);
}

#[test]
fn tenants_by_header_are_kept_apart() {
    let two = two(
        &json!({"by": "header", "header": "X-Tenant-ID", "groups": groups()}),
        &json!({}),
    );
    let into =
        |request: Req, name: &str| request.at("one.site.example").header("x-tenant-id", name);
    kept_apart(&two, into);
    sessions_kept_apart(&two, into);
    // Where no tenant is known, no credential can be read.
    let token = two.token(0, &json!({}));
    let unknown = (400, "unknown_tenant".to_owned());
    for name in ["", "three", "One", "one, two"] {
        let seen = two.isolate.send(&into(by_bearer(&token), name));
        assert_eq!(seen.refusal(), unknown, "{name}");
    }
    let none = two.isolate.send(&by_bearer(&token).at("one.site.example"));
    assert_eq!(none.refusal(), unknown);
    assert_eq!(reason(&none), "the request names no tenant");
    // Who names a wrong one is told so with no credential, too; who names none is asked to sign in.
    let wrong = two.isolate.send(&into(get("/x"), "three"));
    assert_eq!(wrong.refusal(), unknown);
    assert_eq!(reason(&wrong), "the request names an unknown tenant");
    assert_eq!(two.isolate.send(&into(get("/x"), "")).status(), 401);
    let seen = two.isolate.send(&get("/x").at("one.site.example"));
    assert_eq!(seen.status(), 401);
}

#[test]
fn tenants_by_claim_are_kept_apart() {
    let two = two(&json!({"by": "claim", "groups": groups()}), &json!({}));
    let here = |request: Req| request.at("one.site.example");
    let mut ids = Vec::new();
    for (at, name) in [(0, "one"), (1, "two")] {
        let token = two.token(at, &json!({"tenant_id": name}));
        let seen = two.isolate.send(&here(by_bearer(&token)));
        assert_eq!(seen.origin().header("x-tenant"), Some(name));
        ids.push(seen.origin().header("x-id").unwrap().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    // An issuer says nothing of a tenant that is not its own.
    for (at, tenant) in [
        (0, json!("two")),
        (1, json!("one")),
        (0, json!("three")),
        (0, json!(null)),
        (0, json!("")),
    ] {
        let token = two.token(at, &json!({"tenant_id": tenant}));
        assert_eq!(
            reason(&two.isolate.send(&here(by_bearer(&token)))),
            OTHER,
            "{at} {tenant}"
        );
    }
    let token = two.token(1, &json!({"tenant_id": "two"}));
    let session = two
        .isolate
        .send(&here(open("/").cookie(&format!("{SSO}={token}"))))
        .session()
        .unwrap();
    let seen = two.isolate.send(&here(get("/x").cookie(&session)));
    assert_eq!(seen.origin().header("x-tenant"), Some("two"));
}

#[test]
fn our_own_tokens_are_of_the_tenant_in_which_they_were_asked_for() {
    let two = two(&by_host(), &json!({}));
    let admin = two.edge.api_token(&[Scope::Admin]);
    let issue = |host: &str, body: Value| {
        let call = crate::harness::request::req("POST", "/api/sso/token")
            .api_token(&admin)
            .json(&body)
            .at(host);
        two.isolate.send(&call)
    };
    let token = issue("one.site.example", json!({"email": "anna@b.c"})).json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        two.isolate
            .send(&by_bearer(&token).at("one.site.example"))
            .is_forwarded()
    );
    assert_eq!(
        reason(&two.isolate.send(&by_bearer(&token).at("two.site.example"))),
        OTHER
    );
    assert_eq!(
        issue(
            "one.site.example",
            json!({"email": "a@b.c", "tenant": "two"})
        )
        .status(),
        400
    );
    assert_eq!(
        issue(
            "one.site.example",
            json!({"email": "a@b.c", "tenant": "one"})
        )
        .status(),
        200
    );
}

#[test]
fn users_of_a_tenant_are_managed_with_its_name() {
    let two = two(&by_host(), &json!({}));
    let admin = two.edge.api_token(&[Scope::Admin]);
    let call = |method: &str, path: &str, body: &Value| {
        let request = crate::harness::request::req(method, path)
            .api_token(&admin)
            .json(body)
            .at("one.site.example");
        let seen = two.isolate.send(&request);
        (
            seen.status(),
            if seen.body().is_empty() {
                Value::Null
            } else {
                seen.json()
            },
        )
    };
    let (status, one) = call(
        "POST",
        "/api/sso/users",
        &json!({"email": "a@b.c", "tenant": "one"}),
    );
    assert_eq!((status, &one["tenant"]), (201, &json!("one")));
    assert_eq!(
        call(
            "POST",
            "/api/sso/users",
            &json!({"email": "a@b.c", "tenant": "one"})
        )
        .0,
        409
    );
    assert_eq!(
        call(
            "POST",
            "/api/sso/users",
            &json!({"email": "a@b.c", "tenant": "two"})
        )
        .0,
        201
    );
    assert_eq!(
        call("POST", "/api/sso/users", &json!({"email": "a@b.c"})).0,
        201
    );
    assert_eq!(
        call(
            "POST",
            "/api/sso/users",
            &json!({"email": "a@b.c", "tenant": "T w"})
        )
        .0,
        400
    );
    let found = |query: &str| {
        call("GET", &format!("/api/sso/users?{query}"), &json!({})).1["users"].clone()
    };
    assert_eq!(found("email=a@b.c&tenant=one")[0]["id"], one["id"]);
    assert_eq!(found("email=a@b.c")[0]["tenant"], Value::Null);
    assert_eq!(found("email=a@b.c&tenant=three"), json!([]));
    let id = one["id"].as_str().unwrap();
    // A user stays in its tenant, and moves within it.
    assert_eq!(
        call(
            "PATCH",
            &format!("/api/sso/users/{id}"),
            &json!({"tenant": "two"})
        )
        .0,
        400
    );
    assert_eq!(
        call(
            "PATCH",
            &format!("/api/sso/users/{id}"),
            &json!({"email": "new@b.c"})
        )
        .0,
        200
    );
    assert_eq!(found("email=new@b.c&tenant=one")[0]["id"], one["id"]);
    assert_eq!(found("email=a@b.c&tenant=one"), json!([]));
    assert_eq!(
        call("DELETE", &format!("/api/sso/users/{id}"), &json!({})).0,
        204
    );
    assert_eq!(found("email=new@b.c&tenant=one"), json!([]));
}

#[test]
fn a_user_without_a_tenant_is_nobody_where_there_are_tenants_and_the_other_way_round() {
    let two = two(&by_host(), &json!({}));
    let plain = two.edge.deployed(|all| {
        let site = crate::harness::site(&json!({"hosts": ["one.site.example"], "query": null, "sources": ["session", "sso_cookie", "bearer"]}));
        all.insert("EDGEWARD_SITE_APP".into(), site);
    });
    // The audience is the first host in both, so the tokens would count but for the tenant.
    let admin = two.edge.api_token(&[Scope::Admin]);
    let call = |isolate: &Isolate| {
        let call = crate::harness::request::req("POST", "/api/sso/token")
            .api_token(&admin)
            .json(&json!({"email": "anna@b.c"}))
            .at("one.site.example");
        isolate.send(&call).json()["token"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let plain = plain.isolate();
    let (of_none, of_one) = (call(&plain), call(&two.isolate));
    for (isolate, token, good) in [
        (&plain, &of_none, true),
        (&two.isolate, &of_one, true),
        (&plain, &of_one, false),
        (&two.isolate, &of_none, false),
    ] {
        let seen = isolate.send(&by_bearer(token).at("one.site.example"));
        assert_eq!(seen.is_forwarded(), good);
        if !good {
            assert_eq!(reason(&seen), OTHER);
        }
    }
}
