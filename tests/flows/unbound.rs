//! Tokens that lack `iss`, `aud` and `iat` (`unbound_tokens_reason`): what is accepted, and what else an application signs with
//! the same secret.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgeward::model::api_token::Scope;
use edgeward::platform::algorithm::{Algorithm, KeyType};
use serde_json::{Value, json};

use crate::harness::crypto::Private;
use crate::harness::issuer::{ISS, by_bearer, reason, table};
use crate::harness::request::{Req, Seen, get, open};
use crate::harness::{Edge, Isolate, SSO, bindings, site};

const UNLISTED: &str = "the token has a claim that only_claims of its issuer does not list";
const USED: &str = "the link has been used";

struct Portal {
    edge: Edge,
    isolate: Isolate,
    key: Private,
}

/// The table of an issuer whose tokens are bound to nothing, `settings` laid over it.
fn unbound(settings: &Value) -> String {
    let mut table: Value = serde_json::from_str(&table(&json!({
        "algorithms": ["HS256"],
        "jwks_url": null,
        "secret": "PORTAL_SECRET",
        "max_lifetime": 600,
        "unverified_email_reason": "the portal confirmed each address",
        "unbound_tokens_reason": "its library makes tokens without them",
        "only_claims": ["email", "name", "iss", "aud", "iat", "exp", "jti"],
    })))
    .unwrap();
    let members = table.as_object_mut().unwrap();
    members.extend(settings.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    table.to_string()
}

fn portal_bindings(issuer: &Value, site: &Value) -> BTreeMap<String, String> {
    let mut site = site.clone();
    if site.get("issuers").is_none() {
        site["issuers"] = json!(["portal"]);
    }
    let mut all = bindings(&site);
    all.insert("EDGEWARD_ISSUER_PORTAL".into(), unbound(issuer));
    let Private::Secret(secret) = Private::new(KeyType::Secret, "portal") else {
        panic!("a secret");
    };
    all.insert("PORTAL_SECRET".into(), String::from_utf8(secret).unwrap());
    all
}

impl Portal {
    fn with(bindings: BTreeMap<String, String>) -> Self {
        let edge = Edge::with(bindings);
        Self {
            isolate: edge.isolate(),
            edge,
            key: Private::new(KeyType::Secret, "portal"),
        }
    }

    fn new(issuer: &Value, site: &Value) -> Self {
        Self::with(portal_bindings(issuer, site))
    }

    fn now(&self) -> u64 {
        self.edge.now().seconds()
    }

    /// A token of the application: an address and an end, with `changes`; `null` leaves a claim out.
    fn token(&self, changes: &Value) -> String {
        let mut claims = json!({"email": "anna@b.c", "exp": self.now() + 300});
        let members = claims.as_object_mut().unwrap();
        members.extend(changes.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        self.key.token(Algorithm::Hs256, &json!({}), &claims)
    }

    fn by_bearer(&self, changes: &Value) -> Seen {
        self.isolate.send(&by_bearer(&self.token(changes)))
    }
}

/// Every way to present a token.
fn ways(token: &str) -> [Req; 3] {
    [
        by_bearer(token),
        open(&format!("/x?token={token}")),
        open("/x").cookie(&format!("{SSO}={token}")),
    ]
}

fn notes(seen: &Seen) -> Vec<String> {
    let notes = seen.outcome.notes.iter();
    notes.map(|note| note.reason.clone().unwrap()).collect()
}

#[test]
fn a_token_may_lack_what_binds_it_and_stands_for_its_user() {
    let portal = Portal::new(&json!({}), &json!({}));
    let now = portal.now();
    for more in [
        json!({}),
        json!({"iss": ISS}),
        json!({"aud": "app"}),
        json!({"aud": ["other", "app"]}),
        json!({"iat": now, "exp": now + 600}),
        json!({"iss": ISS, "aud": "app", "iat": now, "jti": "1", "name": "Anna"}),
    ] {
        for email in ["anna@b.c", "bert@b.c"] {
            let mut more = more.clone();
            more["email"] = json!(email);
            let seen = portal.by_bearer(&more);
            assert_eq!(reason(&seen), "", "{more}");
            assert_eq!(
                seen.origin().header("x-forwarded-email"),
                Some(email),
                "{more}"
            );
        }
    }
    // Without the setting each of the three is demanded.
    let strict = json!({"unbound_tokens_reason": null, "only_claims": null});
    let strict = Portal::new(&strict, &json!({}));
    let bound = json!({"iss": ISS, "aud": "app", "iat": now});
    assert_eq!(reason(&strict.by_bearer(&bound)), "");
    for name in ["iss", "aud", "iat"] {
        let mut without = bound.clone();
        without[name] = json!(null);
        let expected = format!("the token lacks a required claim: {name}");
        assert_eq!(reason(&strict.by_bearer(&without)), expected);
    }
}

#[test]
fn sec_98_what_a_claim_says_must_be_right_though_it_may_be_missing() {
    let portal = Portal::new(&json!({}), &json!({}));
    let now = portal.now();
    let other_issuer = "the token is from another issuer";
    let other_audience = "the token is for another audience";
    let malformed = |name: &str| format!("the token's claim {name} is malformed");
    for (bad, why) in [
        (json!({"iss": "https://id.example/"}), other_issuer.into()),
        (json!({"iss": ""}), other_issuer.into()),
        (json!({"iss": "edgeward"}), other_issuer.into()),
        (json!({"iss": [ISS]}), malformed("iss")),
        (json!({"aud": "mail"}), other_audience.into()),
        (json!({"aud": ""}), other_audience.into()),
        (json!({"aud": []}), other_audience.into()),
        (json!({"aud": 1}), malformed("aud")),
        (json!({"aud": ["app", null]}), malformed("aud")),
        (
            json!({"iat": now + 31, "exp": now + 60}),
            "the token is not valid yet".into(),
        ),
        (json!({"iat": "now"}), malformed("iat")),
        (json!({"email": "no address"}), malformed("email")),
        (
            json!({"email": null}),
            "the token lacks a required claim: email".into(),
        ),
    ] {
        assert_eq!(reason(&portal.by_bearer(&bad)), why, "{bad}");
    }
    // JSON's null is no absence.
    for name in ["iss", "aud", "iat", "exp"] {
        let claims = format!(
            r#"{{"email":"anna@b.c","exp":{},"{name}":null}}"#,
            now + 300
        );
        let claims: Value = if name == "exp" {
            json!({"email": "anna@b.c", "exp": null})
        } else {
            serde_json::from_str(&claims).unwrap()
        };
        let token = portal.key.token(Algorithm::Hs256, &json!({}), &claims);
        let seen = portal.isolate.send(&by_bearer(&token));
        assert_eq!(reason(&seen), malformed(name), "{name}");
    }
    // And of another key it is nobody's, whatever it lacks.
    let theirs = Private::new(KeyType::Secret, "attacker");
    let claims = json!({"email": "anna@b.c", "exp": now + 300});
    let forged = theirs.token(Algorithm::Hs256, &json!({}), &claims);
    for request in ways(&forged) {
        let seen = portal.isolate.send(&request);
        assert_eq!(reason(&seen), "the token's signature does not match");
        assert!(seen.session().is_none());
    }
}

#[test]
fn sec_98_what_else_the_application_signs_with_the_secret_signs_nobody_in() {
    let portal = Portal::new(&json!({}), &json!({"unauthenticated": "pass"}));
    let now = portal.now();
    for (claims, named) in [
        // A mail to set a new password, in forms that are in use.
        (json!({"purpose": "reset"}), "purpose"),
        (json!({"reset_password": 7}), "reset_password"),
        (json!({"sub": "7", "scope": "reset"}), "scope, sub"),
        // The application's own session.
        (json!({"user_id": 7, "iat": now}), "user_id"),
        (json!({"sub": "7", "role": "user"}), "role, sub"),
        // What would bind a token otherwise makes it no better.
        (
            json!({"iss": ISS, "aud": "app", "iat": now, "jti": "1", "csrf": "x"}),
            "csrf",
        ),
        // Nothing is too small to be another claim.
        (json!({"Email": "anna@b.c"}), "Email"),
        (json!({"": ""}), "(not a plain name)"),
        (json!({"anna@b.c": false}), "(not a plain name)"),
    ] {
        let writes = portal
            .edge
            .shared
            .count(crate::harness::shared::Verb::KvWrite);
        let token = portal.token(&claims);
        for request in ways(&token) {
            let seen = portal.isolate.send(&request);
            assert!(seen.session().is_none(), "{claims}");
            assert!(
                !seen.is_forwarded() || seen.origin().header("x-forwarded-email").is_none(),
                "{claims}"
            );
            let line = format!(
                "claims of issuer portal are not in only_claims, so the token was refused: {named}"
            );
            assert_eq!(notes(&seen), [line]);
        }
        assert_eq!(reason(&portal.isolate.send(&by_bearer(&token))), UNLISTED);
        let after = portal
            .edge
            .shared
            .count(crate::harness::shared::Verb::KvWrite);
        assert_eq!(after, writes, "nobody is made for it");
    }
    // One that has expired is not called expired: it never was a sign-in.
    let over = json!({"purpose": "reset", "exp": now - 100});
    assert_eq!(reason(&portal.by_bearer(&over)), UNLISTED);
    // One with fewer claims than a sign-in has is refused by what a sign-in requires.
    let named = Portal::new(&json!({"required_claims": ["name"]}), &json!({}));
    assert_eq!(
        reason(&named.by_bearer(&json!({}))),
        "the token lacks a required claim: name"
    );
    assert_eq!(reason(&named.by_bearer(&json!({"name": "Anna"}))), "");
}

#[test]
fn sec_98_a_token_without_a_time_is_accepted_for_ten_minutes_at_the_most_and_never_without_an_end()
{
    let portal = Portal::new(&json!({"leeway": 0}), &json!({}));
    let now = portal.now();
    for (bad, why) in [
        (
            json!({"exp": null}),
            "the token lacks a required claim: exp",
        ),
        (
            json!({"exp": null, "iat": now}),
            "the token lacks a required claim: exp",
        ),
        (
            json!({"exp": now + 601}),
            "the token's lifetime exceeds the maximum",
        ),
        (
            json!({"exp": 9_007_199_254_740_992_u64}),
            "the token's lifetime exceeds the maximum",
        ),
        (
            json!({"exp": now + 601, "iat": now}),
            "the token's lifetime exceeds the maximum",
        ),
        (
            json!({"exp": now + 300, "iat": now - 301}),
            "the token's lifetime exceeds the maximum",
        ),
        (json!({"exp": now}), "the token has expired"),
        (json!({"exp": 0}), "the token has expired"),
    ] {
        assert_eq!(reason(&portal.by_bearer(&bad)), why, "{bad}");
    }
    let last = portal.token(&json!({"exp": now + 600}));
    assert_eq!(reason(&portal.isolate.send(&by_bearer(&last))), "");
    portal.edge.wait(600);
    let seen = portal.isolate.send(&by_bearer(&last));
    assert_eq!(reason(&seen), "the token has expired");
    // The clocks of two servers differ: by as much as `leeway`, and no more.
    let portal = Portal::new(&json!({"leeway": 20}), &json!({}));
    let now = portal.now();
    assert_eq!(reason(&portal.by_bearer(&json!({"exp": now + 620}))), "");
    assert_eq!(
        reason(&portal.by_bearer(&json!({"exp": now + 621}))),
        "the token's lifetime exceeds the maximum"
    );
}

#[test]
fn sec_98_a_token_without_an_id_works_once_in_a_link_everywhere() {
    let portal = Portal::new(&json!({}), &json!({}));
    let exp = portal.now() + 600;
    for more in [json!({}), json!({"jti": "1"}), json!({"iat": exp - 600})] {
        let mut more = more.clone();
        more["exp"] = json!(exp);
        let token = portal.token(&more);
        let link = open(&format!("/x?token={token}"));
        assert!(portal.isolate.send(&link).session().is_some(), "{more}");
        for isolate in [&portal.isolate, &portal.edge.isolate()] {
            let seen = isolate.send(&link);
            assert_eq!(reason(&seen), USED, "{more}");
            assert!(seen.session().is_none());
            for request in [
                by_bearer(&token),
                get("/x").cookie(&format!("{SSO}={token}")),
            ] {
                assert!(!isolate.send(&request).is_forwarded(), "{more}");
            }
        }
    }
    // For as long as the token is good, and it is refused as expired after that.
    let token = portal.token(&json!({"exp": exp, "name": "Anna"}));
    let link = open(&format!("/x?token={token}"));
    assert!(portal.isolate.send(&link).session().is_some());
    for wait in [299, 2, 298, 31, 600] {
        portal.edge.wait(wait);
        let seen = portal.edge.isolate().send(&link);
        assert!(seen.session().is_none() && !seen.is_forwarded());
    }
}

#[test]
fn sec_98_a_link_without_a_time_is_as_old_as_it_may_be() {
    let portal = Portal::new(
        &json!({}),
        &json!({"query": {"single_use": true, "user_switch": "confirm", "max_age": 60}}),
    );
    let now = portal.now();
    let send = |exp: u64| {
        let token = portal.token(&json!({"exp": exp}));
        portal.isolate.send(&open(&format!("/x?token={token}")))
    };
    assert!(send(now + 600).session().is_some());
    assert!(send(now + 541).session().is_some());
    let seen = send(now + 540);
    assert_eq!(reason(&seen), "the link is too old");
    assert!(seen.session().is_none());
}

#[test]
fn sec_98_the_end_of_all_sessions_ends_tokens_without_a_time() {
    let portal = Portal::new(&json!({}), &json!({}));
    let admin = portal.edge.api_token(&[Scope::Admin]);
    let token = portal.token(&json!({}));
    assert_eq!(reason(&portal.isolate.send(&by_bearer(&token))), "");
    let found = portal
        .isolate
        .admin(&admin, "GET", "/api/sso/users?email=anna@b.c", &json!({}));
    let id = found.1["users"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/sso/users/{id}/logout");
    let (status, _) = portal.isolate.admin(&admin, "POST", &path, &json!({}));
    assert!(status < 300, "{status}");
    let seen = portal.isolate.send(&by_bearer(&token));
    assert_eq!(reason(&seen), "the token has expired");
    // So is one that is made in the same ten minutes: nothing tells it from one before.
    assert!(!portal.by_bearer(&json!({"name": "Anna"})).is_forwarded());
    portal.edge.wait(1);
    let iat = portal.now();
    assert_eq!(reason(&portal.by_bearer(&json!({"iat": iat}))), "");
}

#[test]
fn sec_98_a_token_counts_at_the_site_of_its_issuer_alone() {
    let mut all = portal_bindings(&json!({}), &json!({}));
    let two = json!({"hosts": ["two.example"], "audience": "two.example"});
    let three = json!({"hosts": ["three.example"], "audience": "three.example", "issuers": ["id"]});
    all.insert("EDGEWARD_SITE_TWO".into(), site(&two));
    all.insert("EDGEWARD_SITE_THREE".into(), site(&three));
    all.insert("EDGEWARD_ISSUER_ID".into(), table(&json!({})));
    let portal = Portal::with(all);
    let token = portal.token(&json!({}));
    let session = portal
        .isolate
        .send(&open("/").cookie(&format!("{SSO}={token}")));
    let session = session.session().unwrap();
    for host in ["two.example", "three.example"] {
        for request in ways(&token) {
            let seen = portal.isolate.send(&request.at(host));
            assert!(!seen.is_forwarded() && seen.session().is_none(), "{host}");
        }
        let seen = portal.isolate.send(&get("/").cookie(&session).at(host));
        assert!(!seen.is_forwarded(), "{host}");
    }
}

#[test]
fn sec_98_beside_other_issuers_a_token_without_a_name_is_verified_by_its_own_key_alone() {
    let mut all = portal_bindings(&json!({}), &json!({"issuers": ["other", "portal"]}));
    let other = json!({
        "issuer": "https://other.example", "algorithms": ["HS256"], "jwks_url": null, "secret": "OTHER_SECRET",
        "unverified_email_reason": "the other one confirmed each address",
    });
    all.insert("EDGEWARD_ISSUER_OTHER".into(), table(&other));
    let Private::Secret(secret) = Private::new(KeyType::Secret, "other") else {
        panic!("a secret");
    };
    all.insert("OTHER_SECRET".into(), String::from_utf8(secret).unwrap());
    let portal = Portal::with(all);
    let now = portal.now();
    assert_eq!(reason(&portal.by_bearer(&json!({}))), "");
    assert_eq!(reason(&portal.by_bearer(&json!({"iss": ISS}))), "");
    let theirs = Private::new(KeyType::Secret, "other");
    let claims = json!({"email": "anna@b.c", "iat": now, "exp": now + 300, "aud": "app"});
    let send = |claims: &Value| {
        let token = theirs.token(Algorithm::Hs256, &json!({}), claims);
        reason(&portal.isolate.send(&by_bearer(&token)))
    };
    assert_eq!(send(&claims), "the token's signature does not match");
    let mut named = claims.clone();
    named["iss"] = json!("https://other.example");
    assert_eq!(send(&named), "");
    named["iss"] = json!(ISS);
    assert_eq!(send(&named), "the token's signature does not match");
    // Neither does the setting of the one hold for the other.
    named["iss"] = json!("https://other.example");
    for name in ["aud", "iat"] {
        let mut lacks = named.clone();
        lacks.as_object_mut().unwrap().remove(name);
        let expected = format!("the token lacks a required claim: {name}");
        assert_eq!(send(&lacks), expected);
    }
    let named = json!({"iss": "https://other.example", "aud": "app", "iat": now});
    assert_eq!(
        reason(&portal.by_bearer(&named)),
        "the token's signature does not match"
    );
}

#[test]
fn what_the_application_comes_to_say_is_demanded_from_then_on() {
    let step = |required: &[&str]| {
        let max_lifetime = if required.contains(&"iat") { 900 } else { 600 };
        let settings = json!({"required_claims": required, "max_lifetime": max_lifetime});
        Portal::new(&settings, &json!({}))
    };
    let portal = step(&["iss"]);
    let missing = |name: &str| format!("the token lacks a required claim: {name}");
    assert_eq!(reason(&portal.by_bearer(&json!({}))), missing("iss"));
    assert_eq!(reason(&portal.by_bearer(&json!({"iss": ISS}))), "");
    let portal = step(&["iss", "aud"]);
    assert_eq!(
        reason(&portal.by_bearer(&json!({"iss": ISS}))),
        missing("aud")
    );
    let both = json!({"iss": ISS, "aud": "app"});
    assert_eq!(reason(&portal.by_bearer(&both)), "");
    let portal = step(&["iat"]);
    let now = portal.now();
    assert_eq!(reason(&portal.by_bearer(&json!({}))), missing("iat"));
    let timed = json!({"iat": now, "exp": now + 900});
    assert_eq!(reason(&portal.by_bearer(&timed)), "");
}

#[test]
fn a_user_by_subject_needs_no_address() {
    let settings = json!({"identity": "subject", "only_claims": ["sub", "exp"]});
    let portal = Portal::new(&settings, &json!({}));
    let seen = portal.by_bearer(&json!({"email": null, "sub": "user:test123"}));
    assert_eq!(reason(&seen), "");
    let seen = portal.by_bearer(&json!({"email": null}));
    assert_eq!(reason(&seen), "the token lacks a required claim: sub");
}

#[test]
fn a_token_without_a_name_in_the_query_is_for_us_and_does_not_reach_the_origin() {
    let portal = Portal::new(&json!({}), &json!({"unauthenticated": "pass"}));
    let reset = portal.token(&json!({"purpose": "reset"}));
    let seen = portal.isolate.send(&open(&format!("/x?token={reset}")));
    let sent = seen.is_forwarded().then(|| seen.origin().url);
    assert!(sent.is_none_or(|url| !url.contains(&reset)));
    // At a site whose issuers are all named, it is the application's.
    let strict = json!({"unbound_tokens_reason": null, "only_claims": null});
    let strict = Portal::new(&strict, &json!({"unauthenticated": "pass"}));
    let seen = strict.isolate.send(&open(&format!("/x?token={reset}")));
    assert!(seen.origin().url.contains(&reset));
}

#[test]
fn sec_98_no_mutation_of_a_token_is_another_one() {
    let portal = Portal::new(&json!({}), &json!({}));
    let now = portal.now();
    let good = portal.token(&json!({}));
    // Each character of it, replaced by another one and left out.
    for (at, _) in good.char_indices() {
        for other in ["", "A", "B", ".", "="] {
            let mutated = format!("{}{other}{}", &good[..at], &good[at + 1..]);
            if mutated == good {
                continue;
            }
            let seen = portal.isolate.send(&by_bearer(&mutated));
            assert!(
                !seen.is_forwarded() && seen.session().is_none(),
                "{mutated}"
            );
        }
    }
    // Each claim, signed anew: gone, or with another value.
    let all = json!({"iss": ISS, "aud": "app", "iat": now, "jti": "1", "name": "Anna"});
    let values = [json!(true), json!(-1), json!({}), json!(["x"]), json!("x")];
    for name in ["iss", "aud", "iat", "exp", "email"] {
        for value in &values {
            let mut mutated = all.clone();
            mutated[name] = value.clone();
            let seen = portal.by_bearer(&mutated);
            assert!(!seen.is_forwarded(), "{name}: {value}");
        }
        let mut without = all.clone();
        without[name] = json!(null);
        let is_bound = ["exp", "email"].contains(&name);
        assert_eq!(
            portal.by_bearer(&without).is_forwarded(),
            !is_bound,
            "{name}"
        );
    }
    // Each claim that RFC 7519 and OpenID Connect know, and that is not listed.
    for name in [
        "sub",
        "nbf",
        "azp",
        "nonce",
        "scope",
        "sid",
        "tid",
        "act",
        "cnf",
        "events",
        "email_verified",
    ] {
        let mut more = all.clone();
        more[name] = json!(1);
        assert_eq!(reason(&portal.by_bearer(&more)), UNLISTED, "{name}");
    }
    // Two claims of one name have two readings.
    let header = good.split('.').next().unwrap();
    for claims in [
        format!(r#"{{"email":"anna@b.c","exp":{0},"exp":{0}}}"#, now + 300),
        format!(
            r#"{{"email":"anna@b.c","email":"bert@b.c","exp":{}}}"#,
            now + 300
        ),
        format!(
            r#"{{"email":"anna@b.c","exp":{},"iss":"{ISS}","iss":"x"}}"#,
            now + 300
        ),
    ] {
        let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = portal.key.sign(Algorithm::Hs256, input.as_bytes());
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
        let seen = portal.isolate.send(&by_bearer(&token));
        assert_eq!(reason(&seen), "the token's claims are malformed");
    }
}

#[test]
fn sec_98_a_token_of_one_kind_is_nothing_in_the_place_of_an_unbound_one() {
    let portal = Portal::new(
        &json!({}),
        &json!({"sources": ["session", "sso_cookie", "query", "bearer", "api_key"]}),
    );
    let admin = portal.edge.api_token(&[Scope::Admin]);
    let token = portal.token(&json!({}));
    let opened = portal
        .isolate
        .send(&open("/").cookie(&format!("{SSO}={token}")));
    let session = opened.session().unwrap();
    assert!(
        portal
            .isolate
            .send(&get("/").cookie(&session))
            .is_forwarded()
    );
    let (own, value) = session.split_once('=').unwrap();
    // An unbound token is no session, no API key and no token of the admin API.
    for request in [
        get("/x").cookie(&format!("{own}={token}")),
        get("/x").header("x-api-key", &token),
        get("/x").header("authorization", &format!("Token {token}")),
    ] {
        let seen = portal.isolate.send(&request);
        assert!(!seen.is_forwarded());
    }
    let seen = portal
        .isolate
        .send(&get("/api/sso/users").api_token(&token));
    assert_eq!(seen.status(), 401);
    // And nothing of ours is one, though it lacks nothing that is listed.
    for ours in [value, &admin] {
        assert!(!portal.isolate.send(&by_bearer(ours)).is_forwarded());
    }
    let claims = json!({"email": "anna@b.c", "exp": portal.now() + 300});
    for typ in [
        "sso+jwt",
        "session+jwt",
        "assertion+jwt",
        "at+jwt",
        "reset+jwt",
    ] {
        let token = portal
            .key
            .token(Algorithm::Hs256, &json!({"typ": typ}), &claims);
        for request in ways(&token) {
            let seen = portal.isolate.send(&request);
            assert!(!seen.is_forwarded() && seen.session().is_none(), "{typ}");
        }
    }
}
