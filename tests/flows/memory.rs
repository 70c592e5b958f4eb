//! The caches of an isolate: entries weigh what they take, and the total is bounded.

use std::collections::BTreeMap;

use allocation_counter::measure;
use edgeward::platform::algorithm::Algorithm;
use edgeward::platform::shelf::{BUDGET, CREDENTIALS, ISSUER_KEYS};
use serde_json::{Map, Value, json};

use crate::harness::crypto::Private;
use crate::harness::issuer::{by_bearer, claims, table, with_issuer};
use crate::harness::request::{Req, get};
use crate::harness::{Edge, Isolate, OWN, bindings, run};

const SECRET: &str = "Kd83mBx0qLw2Zr7tVc5nYp8fHg1aEuJ4sQ9vRi6oXe3TzUbNyWjMkClDhGfPaSoI";

fn edge(site: &Value) -> Edge {
    let table = json!({
        "algorithms": ["HS256"],
        "jwks_url": null,
        "secret": "ISSUER_SECRET",
        "grant_roles": ["role-1", "role-2", "role-3"],
    });
    let mut all = with_issuer(&table, site);
    all.insert("ISSUER_SECRET".into(), SECRET.into());
    Edge::with(all)
}

fn tokens_only() -> Value {
    json!({"sources": ["bearer"], "sso_cookie": null, "query": null, "assertion": null})
}

/// A token that says this besides whose it is.
fn token(number: usize, shape: &Value) -> String {
    let mut said = shape.clone();
    said["n"] = json!(number);
    let key = Private::Secret(SECRET.into());
    key.token(Algorithm::Hs256, &json!({}), &claims(&said))
}

fn numbered<T: Into<Value>>(count: usize, make: impl Fn(usize) -> T) -> Value {
    let members = (0..count).map(|index| (format!("c{index}"), make(index).into()));
    Value::Object(members.collect::<Map<_, _>>())
}

fn listed(count: usize, make: impl Fn(usize) -> String) -> Value {
    (0..count).map(make).collect::<Vec<_>>().into()
}

/// Claims of every shape, those among them that were made to be heavy.
fn shapes() -> Vec<(&'static str, Value)> {
    let deep = (0..100).fold(json!(0), |inner, _| json!([inner]));
    vec![
        ("none", json!({})),
        (
            "a realm's roles and groups",
            json!({
                "realm_access": {"roles": listed(40, |n| format!("realm-role-{n}"))},
                "resource_access": numbered(10, |_| json!({"roles": listed(8, |n| format!("client-role-{n}"))})),
                "groups": listed(20, |n| format!("/department-{n}/team")),
                "name": "Anna Example",
            }),
        ),
        ("many small ones", numbered(350, |_| json!({"": 0}))),
        ("deep ones", numbered(20, |_| deep.clone())),
        ("a long one", json!({"long": "x".repeat(5000)})),
        (
            "roles and scopes",
            json!({
                "roles": listed(190, |n| format!("role-{n}")),
                "scope": listed(190, |n| format!("s:{n}")).as_array().unwrap().iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            }),
        ),
    ]
}

/// How many bytes are allocated more after `run` than before.
fn grown(run: impl FnOnce()) -> usize {
    usize::try_from(measure(run).bytes_current).unwrap()
}

/// Sends the requests, keeping nothing of them, and tells how many bytes are allocated more than
/// before, and by how much what is remembered is heavier.
fn cost(edge: &Edge, isolate: &Isolate, requests: &[Req]) -> (usize, usize) {
    let calls = || {
        let mut calls = edge.shared.calls.borrow_mut();
        calls.clear();
        calls.shrink_to_fit();
    };
    calls();
    let weight = isolate.world.cache.weight();
    let allocated = grown(|| {
        for request in requests {
            let (outcome, _) = run(isolate.begin(request));
            drop(outcome);
        }
        calls();
    });
    (allocated, isolate.world.cache.weight() - weight)
}

fn assert_fits(what: &str, (allocated, weight): (usize, usize)) {
    println!("{what}: {allocated} bytes allocated, {weight} weighed");
    assert!(
        weight >= allocated / 10 * 9,
        "{what}: {weight} of {allocated}"
    );
    assert!(weight <= allocated * 2, "{what}: {weight} of {allocated}");
}

/// Each once, so that it is looked up and made, and each from an isolate that knows the user.
fn warm(edge: &Edge) -> Isolate {
    let isolate = edge.isolate();
    let seen = isolate.send(&by_bearer(&token(0, &json!({}))));
    assert!(seen.is_forwarded());
    isolate
}

#[test]
fn sec_78_a_token_of_any_shape_weighs_what_it_takes() {
    for (what, shape) in shapes() {
        let edge = edge(&tokens_only());
        let isolate = warm(&edge);
        let requests: Vec<Req> = (1..200).map(|n| by_bearer(&token(n, &shape))).collect();
        assert!(isolate.send(requests.first().unwrap()).is_forwarded());
        assert_fits(what, cost(&edge, &isolate, &requests[1..]));
    }
}

#[test]
fn sec_78_what_is_made_for_a_credential_weighs_what_it_takes() {
    let site = json!({
        "sources": ["bearer"], "sso_cookie": null, "query": null,
        "assertion": {"claims": ["long"]},
        "custom_headers": {"x-long": "claim:long", "x-name": "name"},
    });
    let edge = edge(&site);
    let isolate = warm(&edge);
    let shape = json!({"long": "x".repeat(1500), "roles": ["role-1", "role-2"]});
    let requests: Vec<Req> = (1..100).map(|n| by_bearer(&token(n, &shape))).collect();
    let (allocated, weight) = cost(&edge, &isolate, &requests);
    assert_fits("assertion, headers and a merged user", (allocated, weight));
    let alone = requests.len() * 2 * 1500;
    assert!(weight > alone, "{weight}: what was made is in it");
}

#[test]
fn sec_78_our_own_sessions_and_users_weigh_what_they_take() {
    let edge = edge(&json!({"assertion": null}));
    let isolate = warm(&edge);
    let user = isolate.send(&by_bearer(&token(0, &json!({}))));
    let user = user.origin().header("x-forwarded-user").unwrap().to_owned();
    let now = edge.now().seconds();
    let session = |n: usize| {
        let claims = json!({
            "iss": "edgeward", "aud": "site.example", "sub": user, "jti": format!("session-{n:0>20}"),
            "iat": now, "exp": now + 300, "began": now * 1000,
            "ext": {"i": "id", "sc": ["a", "b"], "c": {"groups": listed(60, |n| format!("/team-{n}"))}},
        });
        let cookie = isolate.forge(edgeward::jose::jws::Kind::Session, &claims);
        get("/x").cookie(&format!("{OWN}={cookie}"))
    };
    let requests: Vec<Req> = (0..200).map(session).collect();
    assert!(isolate.send(requests.first().unwrap()).is_forwarded());
    assert_fits("sessions", cost(&edge, &isolate, &requests[1..]));
}

#[test]
fn sec_78_no_flood_is_heavier_than_the_budget() {
    let edge = edge(&tokens_only());
    let isolate = warm(&edge);
    let shape = json!({"long": "x".repeat(5500)});

    let many = CREDENTIALS.bytes / 5500 * 2;
    let grown = grown(|| {
        for number in 1..=many {
            let (outcome, _) = run(isolate.begin(&by_bearer(&token(number, &shape))));
            drop(outcome);
            assert!(isolate.world.cache.weight() <= BUDGET);
        }
        edge.shared.calls.borrow_mut().clear();
    });
    assert!(grown < CREDENTIALS.bytes / 10 * 11, "{grown}");
    assert!(
        isolate.world.cache.weight() > CREDENTIALS.bytes / 2,
        "it was filled"
    );
}

#[test]
fn sec_78_the_keys_of_many_issuers_have_a_bound_and_none_is_refused_for_it() {
    let key = Private::new(Algorithm::EdDsa.key_type(), "issuer");
    let kids = |issuer: usize| (0..100).map(move |n| format!("{issuer}-{n}-{}", "k".repeat(240)));
    let mut all: BTreeMap<String, String> = bindings(&json!({
        "issuers": (0..40).map(|n| format!("id{n}")).collect::<Vec<_>>(),
    }));
    for issuer in 0..40 {
        let settings = json!({
            "issuer": format!("https://id{issuer}.example"),
            "algorithms": ["EdDSA"],
            "jwks_url": format!("https://keys.example/{issuer}"),
        });
        all.insert(format!("EDGEWARD_ISSUER_ID{issuer}"), table(&settings));
    }
    let edge = Edge::with(all);
    for issuer in 0..40 {
        let keys: Vec<Value> = kids(issuer)
            .map(|kid| key.jwk(&json!({"kid": kid})))
            .collect();
        let set = json!({ "keys": keys }).to_string();
        let url = format!("https://keys.example/{issuer}");
        let mut answers = edge.shared.answers.borrow_mut();
        answers.insert(url, (200, set.into_bytes()));
    }
    let isolate = edge.isolate();
    let mut full = 0;
    for round in 0..2 {
        for issuer in 0..40 {
            let kid = kids(issuer).nth(round).unwrap();
            let said = claims(&json!({"iss": format!("https://id{issuer}.example")}));
            let token = key.token(Algorithm::EdDsa, &json!({"kid": kid}), &said);
            let seen = isolate.send(&by_bearer(&token));
            assert!(seen.is_forwarded(), "{}", seen.body());
            let weight = isolate.world.cache.issuer_keys.weight();
            assert!(weight <= ISSUER_KEYS.bytes, "{weight}");
            full += usize::from(weight > ISSUER_KEYS.bytes / 2);
        }
    }
    assert!(full > 40, "they did not all have room");
}
