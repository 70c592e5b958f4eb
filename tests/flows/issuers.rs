//! Tokens of other issuers: which are taken, and what they may say.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgeward::model::api_token::Scope;
use edgeward::platform::algorithm::{Algorithm, KeyType};
use serde_json::{Value, json};

use crate::harness::crypto::Private;
use crate::harness::issuer::{ISS, JWKS, Stage, by_bearer, claims, reason, table, with_issuer};
use crate::harness::request::{get, open, req};
use crate::harness::shared::{Trouble, Verb};
use crate::harness::{Edge, OWN, SSO, TOKEN_SECRET, bindings, claims_of, tampered};

const SECRET: &str = "Kd83mBx0qLw2Zr7tVc5nYp8fHg1aEuJ4sQ9vRi6oXe3TzUbNyWjMkClDhGfPaSoI";

/// The key of an issuer of `algorithm`, its table, and what it publishes.
fn of(algorithm: Algorithm) -> (Private, Value) {
    let key = match algorithm.key_type() {
        KeyType::Secret => Private::Secret(SECRET.into()),
        other => Private::new(other, "issuer"),
    };
    let mut table = json!({"algorithms": [algorithm.name()]});
    if algorithm.key_type() == KeyType::Secret {
        table["jwks_url"] = Value::Null;
        table["secret"] = json!("ISSUER_SECRET");
    }
    (key, table)
}

fn stage(table: &Value, key: &Private) -> Edge {
    let mut all = with_issuer(table, &json!({}));
    all.insert("ISSUER_SECRET".into(), SECRET.into());
    let edge = Edge::with(all);
    if !matches!(key, Private::Secret(_)) {
        let set = json!({"keys": [key.jwk(&json!({"kid": "k1"}))]}).to_string();
        let mut answers = edge.shared.answers.borrow_mut();
        answers.insert(JWKS.into(), (200, set.into_bytes()));
    }
    edge
}

#[test]
fn sec_2_of_all_algorithms_and_keys_only_the_diagonal_passes() {
    for configured in Algorithm::ALL {
        let (key, table) = of(configured);
        let edge = stage(&table, &key);
        let isolate = edge.isolate();
        for said in Algorithm::ALL {
            for signed in Algorithm::ALL {
                let with = if signed.key_type() == configured.key_type() {
                    &key
                } else {
                    &of(signed).0
                };
                let header = json!({"alg": said.name(), "kid": "k1"});
                let token = with.token(signed, &header, &claims(&json!({})));
                let seen = isolate.send(&by_bearer(&token));
                let diagonal = said == configured && signed == configured;
                assert_eq!(
                    seen.is_forwarded(),
                    diagonal,
                    "key {configured:?}, said {said:?}, signed {signed:?}: {}",
                    reason(&seen)
                );
            }
        }
    }
}

#[test]
fn sec_1_a_public_key_is_no_secret() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    for algorithm in Algorithm::ALL {
        let (key, table) = of(algorithm);
        if algorithm.key_type() == KeyType::Secret {
            continue;
        }
        let edge = stage(&table, &key);
        let isolate = edge.isolate();
        let pem = edgeward::jose::der::to_pem(&key.spki());
        let jwk = key.jwk(&json!({"kid": "k1"}));
        let secrets = [
            pem.clone().into_bytes(),
            pem.trim_end().as_bytes().to_vec(),
            key.spki(),
            STANDARD.encode(key.spki()).into_bytes(),
            jwk.to_string().into_bytes(),
            jwk.get("n")
                .or(jwk.get("x"))
                .unwrap()
                .as_str()
                .unwrap()
                .into(),
            b"k1".to_vec(),
            Vec::new(),
        ];
        for secret in secrets {
            let token = Private::Secret(secret).token(
                Algorithm::Hs256,
                &json!({"kid": "k1"}),
                &claims(&json!({})),
            );
            let seen = isolate.send(&by_bearer(&token));
            assert_eq!(reason(&seen), "the token's algorithm is not allowed");
        }
    }
}

#[test]
fn sec_5_no_key_inside_a_token_is_used_and_none_is_fetched() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    assert!(
        isolate
            .send(&by_bearer(&stage.token(&json!({}))))
            .is_forwarded()
    );
    let fetched = stage.edge.shared.count(Verb::Fetch);
    let theirs = Private::new(KeyType::Ed25519, "attacker");
    for extra in [
        json!({"jwk": theirs.jwk(&json!({}))}),
        json!({"jku": "https://evil.example/jwks"}),
        json!({"x5u": "https://evil.example/cert"}),
        json!({"x5c": ["AA"]}),
    ] {
        let mut header = extra.clone();
        header["kid"] = json!("k1");
        let token = theirs.token(Algorithm::EdDsa, &header, &claims(&json!({})));
        let seen = isolate.send(&by_bearer(&token));
        assert_eq!(
            reason(&seen),
            "the token's signature does not match",
            "{extra}"
        );
    }
    assert_eq!(stage.edge.shared.count(Verb::Fetch), fetched);
}

#[test]
fn every_claim_of_another_issuer_is_checked() {
    let stage = Stage::new(&json!({"required_claims": ["sub", "deep.er"]}), &json!({}));
    let isolate = stage.isolate();
    let now = stage.edge.now().seconds();
    let deep = json!({"er": 1});
    let refused = |changes: Value| {
        let mut all = json!({"deep": deep});
        all.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        reason(&isolate.send(&by_bearer(&stage.token(&all))))
    };
    for good in [
        json!({}),
        json!({"aud": ["x", "app"]}),
        json!({"nbf": now + 29, "iat": now + 29}),
        json!({"exp": now - 29, "iat": now - 100}),
        json!({"exp": now + 86_400}),
        json!({"jti": "x"}),
        json!({"sub": 5, "jti": 7}),
    ] {
        assert_eq!(refused(good.clone()), "", "{good}");
    }
    let malformed = |name: &str| format!("the token's claim {name} is malformed");
    let missing = |name: &str| format!("the token lacks a required claim: {name}");
    for (bad, why) in [
        (json!({"iss": null}), missing("iss")),
        (
            json!({"iss": format!("{ISS}/")}),
            "the token is from another issuer".into(),
        ),
        (
            json!({"iss": "edgeward"}),
            "the token is from another issuer".into(),
        ),
        (json!({"iss": [ISS]}), malformed("iss")),
        (json!({"aud": null}), missing("aud")),
        (
            json!({"aud": []}),
            "the token is for another audience".into(),
        ),
        (
            json!({"aud": ""}),
            "the token is for another audience".into(),
        ),
        (
            json!({"aud": "ap"}),
            "the token is for another audience".into(),
        ),
        (
            json!({"aud": "app2"}),
            "the token is for another audience".into(),
        ),
        (json!({"aud": ["app", 1]}), malformed("aud")),
        (json!({"aud": {"app": 1}}), malformed("aud")),
        (json!({"exp": null}), missing("exp")),
        (json!({"iat": null}), missing("iat")),
        (json!({"exp": (now + 60).to_string()}), malformed("exp")),
        (
            json!({"exp": now - 30, "iat": now - 100}),
            "the token has expired".into(),
        ),
        (
            json!({"nbf": now + 31}),
            "the token is not valid yet".into(),
        ),
        (
            json!({"iat": now + 31}),
            "the token is not valid yet".into(),
        ),
        (
            json!({"exp": now + 86_401}),
            "the token's lifetime exceeds the maximum".into(),
        ),
        (
            json!({"exp": now, "iat": now + 1}),
            "the token's lifetime exceeds the maximum".into(),
        ),
        (json!({"sub": null}), missing("sub")),
        (json!({"deep": {}}), missing("deep.er")),
        (json!({"deep": {"er": null}}), missing("deep.er")),
        (json!({"email": null}), missing("email")),
        (json!({"email": 1}), malformed("email")),
        (json!({"email": "a@b@c"}), malformed("email")),
        (
            json!({"email_verified": null}),
            "the token's e-mail address is not verified".into(),
        ),
        (
            json!({"email_verified": false}),
            "the token's e-mail address is not verified".into(),
        ),
        (
            json!({"email_verified": "true"}),
            "the token's e-mail address is not verified".into(),
        ),
    ] {
        assert_eq!(refused(bad.clone()), why, "{bad}");
    }
}

#[test]
fn sec_19_a_type_that_is_not_the_issuers_is_refused() {
    for (typ, takes, refuses) in [
        (
            Value::Null,
            vec![
                json!(null),
                json!("JWT"),
                json!("jwt"),
                json!("application/jwt"),
            ],
            vec![
                "at+jwt",
                "dpop+jwt",
                "logout+jwt",
                "sso+jwt",
                "session+jwt",
                "assertion+jwt",
                "",
            ],
        ),
        (
            json!("at+JWT"),
            vec![
                json!("at+jwt"),
                json!("AT+JWT"),
                json!("application/at+jwt"),
            ],
            vec!["JWT", "sso+jwt", "at+jwt "],
        ),
    ] {
        let stage = Stage::new(&json!({"typ": typ}), &json!({}));
        let isolate = stage.isolate();
        let send = |typ: &Value| {
            let header = json!({"kid": "k1", "typ": typ});
            let mut header = header.as_object().unwrap().clone();
            header.retain(|_, value| !value.is_null());
            let claims = stage.claims(&json!({}));
            let token = stage
                .key
                .token(Algorithm::EdDsa, &Value::Object(header), &claims);
            isolate.send(&by_bearer(&token))
        };
        for good in takes {
            assert!(send(&good).is_forwarded(), "{good}");
        }
        for bad in refuses {
            assert!(!send(&json!(bad)).is_forwarded(), "{bad}");
        }
    }
}

#[test]
fn sec_22_a_tampered_signature_is_refused_at_every_source() {
    let site = json!({
        "sources": ["session", "sso_cookie", "query", "bearer", "header"],
        "token_headers": [{"name": "X-Token", "prefix": "JWT "}],
    });
    let stage = Stage::new(&json!({}), &site);
    let isolate = stage.isolate();
    let by = |token: &str, link: &str| {
        [
            by_bearer(token),
            get("/x").cookie(&format!("{SSO}={token}")),
            get(&format!("/x?token={link}")),
            get("/x").header("x-token", &format!("jwt  {token}")),
            get("/api/sso/me").bearer(token),
        ]
    };
    let [token, link] = ["a", "b"].map(|id| stage.token(&json!({"jti": id})));
    for request in by(&token, &link) {
        let seen = isolate.send(&request);
        assert!(
            seen.is_forwarded() || seen.status() == 200,
            "{}",
            reason(&seen)
        );
    }
    for request in by(&tampered(&token), &tampered(&link)) {
        let seen = isolate.send(&request);
        assert_eq!(seen.status(), 401);
        assert_eq!(reason(&seen), "the token's signature does not match");
    }
    let seen = isolate.send(&get("/x").cookie(&format!("{OWN}={}", stage.token(&json!({})))));
    assert_eq!(seen.status(), 401);
}

#[test]
fn sec_40_a_token_in_a_header_does_not_reach_the_origin() {
    let site = json!({
        "sources": ["header", "bearer"],
        "token_headers": [{"name": "X-Token"}, {"name": "X-Other", "prefix": "Bearer "}],
    });
    let stage = Stage::new(&json!({}), &site);
    let isolate = stage.isolate();
    let token = stage.token(&json!({}));
    let seen = isolate.send(&get("/x").header("x-token", &token));
    assert_eq!(seen.origin().header("x-token"), None);
    let request = get("/x")
        .header("x-other", &format!("Bearer {token}"))
        .header("x-mine", "1");
    let seen = isolate.send(&request);
    assert_eq!(seen.origin().header("x-other"), None);
    assert_eq!(seen.origin().header("x-mine"), Some("1"));
    // What does not begin with the prefix is between the client and the application.
    let seen = isolate.send(&get("/x").bearer(&token).header("x-other", "plain"));
    assert_eq!(seen.origin().header("x-other"), Some("plain"));
    assert_eq!(seen.origin().header("authorization"), None);
}

#[test]
fn the_second_request_with_a_token_waits_for_nothing() {
    let stage = Stage::new(
        &json!({"grant_roles": ["editor"]}),
        &json!({"assertion": null}),
    );
    let isolate = stage.isolate();
    let token = stage.token(&json!({"roles": ["editor"]}));
    assert!(isolate.send(&by_bearer(&token)).polls > 1);
    let seen = isolate.send(&by_bearer(&token));
    assert!(seen.is_forwarded());
    assert_eq!(seen.polls, 1);
    assert_eq!(seen.origin().header("x-forwarded-groups"), Some("editor"));
}

#[test]
fn sec_26_what_is_remembered_is_judged_again() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    let token = stage.token(&json!({}));
    assert!(isolate.send(&by_bearer(&token)).is_forwarded());
    stage.edge.wait(299);
    assert!(isolate.send(&by_bearer(&token)).is_forwarded());
    stage.edge.wait(31);
    assert_eq!(
        reason(&isolate.send(&by_bearer(&token))),
        "the token has expired"
    );

    // Disabled, and ended.
    let admin = stage
        .edge
        .api_token(&[edgeward::model::api_token::Scope::Admin]);
    let token = stage.token(&json!({}));
    let me = isolate.send(&get("/api/sso/me").bearer(&token)).json();
    let path = format!("/api/sso/users/{}", me["user"]["id"].as_str().unwrap());
    stage.edge.wait(1);
    isolate.admin(&admin, "POST", &format!("{path}/logout"), &json!({}));
    assert_eq!(
        reason(&isolate.send(&by_bearer(&token))),
        "the token has expired"
    );
    stage.edge.wait(1);
    let token = stage.token(&json!({}));
    assert!(isolate.send(&by_bearer(&token)).is_forwarded());
    isolate.admin(&admin, "PATCH", &path, &json!({"active": false}));
    assert_eq!(isolate.send(&by_bearer(&token)).status(), 403);
}

#[test]
fn sec_20_an_issuer_grants_what_it_may_and_nothing_else() {
    let stage = Stage::new(
        &json!({"grant_roles": ["editor", "viewer"], "claims": {"roles": "realm_access.roles", "staff": "is_staff"}}),
        &json!({"custom_headers": {"x-staff": "staff", "x-company": "claim:company.id", "x-list": "claim:list", "x-iss": "issuer"}}),
    );
    let isolate = stage.isolate();
    let said = json!({
        "realm_access": {"roles": ["admin", "editor", "superuser", "ed,itor"]},
        "roles": ["viewer"],
        "is_staff": true,
        "superuser": true,
        "company": {"id": 7},
        "list": ["a", "b"],
    });
    let seen = isolate.send(&by_bearer(&stage.token(&said)));
    let origin = seen.origin();
    assert_eq!(origin.header("x-forwarded-groups"), Some("editor"));
    assert_eq!(origin.header("x-staff"), Some("false"));
    assert_eq!(origin.header("x-company"), Some("7"));
    assert_eq!(origin.header("x-list"), Some("a,b"));
    assert_eq!(origin.header("x-iss"), Some("id"));
    // The record has none of it.
    let me = isolate.send(&get("/api/sso/me").bearer(&stage.token(&json!({}))));
    assert_eq!(me.json()["user"]["roles"], json!([]));
    assert_eq!(me.json()["user"]["superuser"], false);

    let granting = stage.edge.deployed(|all| {
        let settings = json!({"grant_staff": true, "claims": {"staff": "is_staff"}});
        all.insert("EDGEWARD_ISSUER_ID".into(), table(&settings));
    });
    let seen = granting.isolate().send(&by_bearer(&stage.token(&said)));
    assert_eq!(seen.origin().header("x-staff"), Some("true"));
    assert_eq!(seen.origin().header("x-forwarded-groups"), None);
}

#[test]
fn sec_20_a_token_of_one_issuer_by_the_key_of_another_is_refused() {
    let other = Private::new(KeyType::Ed25519, "other issuer");
    let mut all = with_issuer(&json!({}), &json!({"issuers": ["id", "second"]}));
    let second =
        json!({"issuer": "https://second.example", "jwks_url": "https://second.example/jwks"});
    all.insert("EDGEWARD_ISSUER_SECOND".into(), table(&second));
    let stage = Stage {
        edge: Edge::with(all),
        key: Private::new(KeyType::Ed25519, "issuer"),
    };
    stage.publish(&[(&stage.key, "k1")]);
    let set = json!({"keys": [other.jwk(&json!({"kid": "k1"}))]}).to_string();
    stage.answer("https://second.example/jwks", 200, &set);
    let isolate = stage.isolate();
    let header = json!({"kid": "k1"});
    let of_second = stage.claims(&json!({"iss": "https://second.example"}));
    for (key, claims, good) in [
        (&stage.key, stage.claims(&json!({})), true),
        (&other, of_second.clone(), true),
        (&other, stage.claims(&json!({})), false),
        (&stage.key, of_second, false),
        (
            &stage.key,
            stage.claims(&json!({"iss": "https://third.example"})),
            false,
        ),
    ] {
        let token = key.token(Algorithm::EdDsa, &header, &claims);
        assert_eq!(
            isolate.send(&by_bearer(&token)).is_forwarded(),
            good,
            "{claims}"
        );
    }
}

#[test]
fn users_are_made_once_and_only_where_the_issuer_may() {
    let stage = Stage::new(&json!({"create_users": false}), &json!({}));
    let seen = stage.isolate().send(&by_bearer(&stage.token(&json!({}))));
    assert_eq!(reason(&seen), "the token's user does not exist");
    assert_eq!(stage.edge.shared.count(Verb::KvWrite), 1, "the key set");

    let stage = Stage::new(&json!({}), &json!({}));
    let said =
        json!({"given_name": "Anna", "family_name": "Ex", "preferred_username": "other@b.c"});
    let token = stage.token(&said);
    let isolates = [stage.isolate(), stage.isolate()];
    let ids: Vec<Value> = isolates
        .iter()
        .map(|isolate| isolate.send(&get("/api/sso/me").bearer(&token)).json()["user"].clone())
        .collect();
    assert_eq!(ids[0], ids[1]);
    assert_eq!(
        (&ids[0]["first_name"], &ids[0]["last_name"]),
        (&json!("Anna"), &json!("Ex"))
    );
    // Somebody else's address is no username.
    assert_eq!(ids[0]["username"], "anna@b.c");
}

#[test]
fn sec_58_an_address_that_is_not_verified_counts_only_with_a_reason() {
    let reasoned = json!({"unverified_email_reason": "the directory holds checked addresses"});
    let stage = Stage::new(&reasoned, &json!({}));
    let token = stage.token(&json!({"email_verified": null}));
    assert!(stage.isolate().send(&by_bearer(&token)).is_forwarded());
}

#[test]
fn who_has_no_address_is_known_by_subject_at_a_domain_of_the_issuer() {
    let stage = Stage::new(&json!({"subject_domain": "id.example"}), &json!({}));
    let isolate = stage.isolate();
    let me = |sub: Value| {
        let token = stage.token(&json!({"email": null, "email_verified": null, "sub": sub}));
        isolate.send(&get("/api/sso/me").bearer(&token))
    };
    assert_eq!(me(json!("u-1")).json()["user"]["email"], "u-1@id.example");
    for bad in [
        json!("u@1"),
        json!("U-1"),
        json!("u 1"),
        json!(""),
        json!(null),
        json!("ä"),
    ] {
        assert_eq!(me(bad.clone()).status(), 401, "{bad}");
    }
}

#[test]
fn an_issuer_speaks_for_addresses_of_its_own_domains_alone() {
    let stage = Stage::new(
        &json!({"email_domains": ["Partner.example", "b.c"]}),
        &json!({}),
    );
    let isolate = stage.isolate();
    for (email, forwarded) in [
        ("ada@partner.example", true),
        ("ada@PARTNER.example", true),
        ("ceo@example.com", false),
        ("ceo@x.partner.example", false),
        ("ceo@partner.example.com", false),
    ] {
        let token = stage.token(&json!({"email": email}));
        assert_eq!(
            isolate.send(&by_bearer(&token)).is_forwarded(),
            forwarded,
            "{email}"
        );
    }
}

#[test]
fn sec_27_the_second_signature_that_ecdsa_has_for_a_link_opens_nothing() {
    let private = Private::new(Algorithm::Es256.key_type(), "k");
    let key =
        json!({"jwks_url": null, "public_key": private.jwk(&json!({})), "algorithms": ["ES256"]});
    let stage = Stage::new(&key, &json!({}));
    let token = private.token(Algorithm::Es256, &json!({}), &claims(&json!({})));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (r, s) = p256::ecdsa::Signature::from_slice(&bytes)
        .unwrap()
        .split_scalars();
    let other = p256::ecdsa::Signature::from_scalars(*r, -*s).unwrap();
    let twin = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(other.to_bytes()));
    assert_ne!(token, twin);
    let isolate = stage.isolate();
    assert_eq!(
        isolate.send(&open(&format!("/x?token={token}"))).status(),
        303
    );
    // It is as good a signature, and of the same token.
    let elsewhere = isolate.send(&by_bearer(&twin));
    assert_eq!(
        reason(&elsewhere),
        "the token was used in a link and is not accepted elsewhere"
    );
    let again = isolate.send(&open(&format!("/x?token={twin}")));
    assert_eq!(reason(&again), "the link has been used");
}

#[test]
fn sec_45_a_header_that_the_cdn_writes_by_a_cookie_does_not_let_a_page_elsewhere_act() {
    for (header, site, forwarded) in [
        ("cf-access-jwt-assertion", "same-origin", true),
        ("cf-access-jwt-assertion", "cross-site", false),
        ("x-jwt", "cross-site", true),
    ] {
        let stage = Stage::new(
            &json!({}),
            &json!({"sources": ["header"], "token_headers": [{"name": header}]}),
        );
        let request = req("POST", "/x")
            .header(header, &stage.token(&json!({})))
            .header("sec-fetch-site", site);
        let seen = stage.isolate().send(&request);
        assert_eq!(
            seen.is_forwarded(),
            forwarded,
            "{header} {site}: {}",
            reason(&seen)
        );
    }
}

#[test]
fn a_session_carries_on_what_the_token_brought() {
    let stage = Stage::new(
        &json!({"grant_roles": ["editor"]}),
        &json!({"custom_headers": {"x-plan": "claim:plan", "x-scopes": "scopes", "x-ws": "workspace"}}),
    );
    let isolate = stage.isolate();
    let said =
        json!({"roles": ["editor", "admin"], "plan": "gold", "scope": "a b", "workspace_id": "w1"});
    let token = stage.token(&said);
    let seen = isolate.send(&open("/").cookie(&format!("{SSO}={token}")));
    let session = seen.session().unwrap();
    assert!(session.len() < 3584);
    assert!(seen.clears(SSO));
    for (again, isolate) in [(true, &isolate), (false, &stage.isolate())] {
        let origin = isolate.send(&get("/x").cookie(&session)).origin();
        assert_eq!(origin.header("x-plan"), Some("gold"), "{again}");
        assert_eq!(origin.header("x-scopes"), Some("a b"));
        assert_eq!(origin.header("x-ws"), Some("w1"));
        assert_eq!(origin.header("x-forwarded-groups"), Some("editor"));
    }
    // What the issuer may not grant any more is not granted by a session either.
    let less = stage.edge.deployed(|all| {
        all.insert("EDGEWARD_ISSUER_ID".into(), table(&json!({})));
    });
    let origin = less.isolate().send(&get("/x").cookie(&session)).origin();
    assert_eq!(origin.header("x-forwarded-groups"), None);
    // Without the issuer it is over.
    let none = stage.edge.deployed(|all| {
        all.insert("EDGEWARD_SITE_APP".into(), crate::harness::site(&json!({})));
    });
    assert!(
        !none
            .isolate()
            .send(&get("/x").cookie(&session))
            .is_forwarded()
    );
}

#[test]
fn the_longest_claims_that_are_taken_fit_into_a_cookie() {
    let used = json!({"custom_headers": {"x-x": "claim:x"}});
    let stage = Stage::new(&json!({}), &used);
    let isolate = stage.isolate();
    let mut longest = 0;
    for length in (1800..2300).step_by(10) {
        let token = stage.token(&json!({"x": "ü".repeat(length / 2)}));
        let seen = isolate.send(&open("/").cookie(&format!("{SSO}={token}")));
        if let Some(session) = seen.session() {
            longest = session.len();
        }
    }
    assert!((3000..3584).contains(&longest), "{longest}");
}

#[test]
fn keep_claims_names_what_a_session_keeps() {
    let stage = Stage::new(
        &json!({"keep_claims": ["plan"]}),
        &json!({"custom_headers": {"x-plan": "claim:plan", "x-sub": "claim:sub"}}),
    );
    let token = stage.token(&json!({"plan": "gold", "long": "x".repeat(3000)}));
    let isolate = stage.isolate();
    let origin = isolate.send(&by_bearer(&token)).origin();
    assert_eq!(origin.header("x-plan"), Some("gold"));
    assert_eq!(origin.header("x-sub"), Some("anna"));
    let seen = isolate.send(&open("/").cookie(&format!("{SSO}={token}")));
    let session = seen.session().unwrap();
    let origin = isolate.send(&get("/x").cookie(&session)).origin();
    assert_eq!(origin.header("x-plan"), Some("gold"));
    assert_eq!(origin.header("x-sub"), None);
}

#[test]
fn shared_secrets_are_all_tried_and_a_kid_says_nothing() {
    let other = "Ux83mBx0qLw2Zr7tVc5nYp8fHg1aEuJ4sQ9vRi6oXe3TzUbNyWjMkClDhGfPaSoI";
    let settings =
        json!({"algorithms": ["HS256"], "jwks_url": null, "secret": ["OLD_SECRET", "NEW_SECRET"]});
    let mut all = with_issuer(&settings, &json!({}));
    all.insert("OLD_SECRET".into(), SECRET.into());
    all.insert("NEW_SECRET".into(), other.into());
    let isolate = Edge::with(all).isolate();
    for (secret, good) in [
        (SECRET, true),
        (other, true),
        (TOKEN_SECRET, false),
        ("", false),
    ] {
        let key = Private::Secret(secret.into());
        let token = key.token(
            Algorithm::Hs256,
            &json!({"kid": "any"}),
            &claims(&json!({})),
        );
        assert_eq!(isolate.send(&by_bearer(&token)).is_forwarded(), good);
    }
}

#[test]
fn a_key_in_the_configuration_needs_no_fetch() {
    let key = Private::new(KeyType::P256, "fixed");
    let pem = edgeward::jose::der::to_pem(&key.spki());
    for public in [
        json!(pem),
        key.jwk(&json!({})),
        key.jwk(&json!({"kid": "k1"})),
    ] {
        let settings = json!({"algorithms": ["ES256"], "jwks_url": null, "public_key": public});
        let edge = Edge::with(with_issuer(&settings, &json!({})));
        let token = key.token(Algorithm::Es256, &json!({"kid": "k1"}), &claims(&json!({})));
        assert!(edge.isolate().send(&by_bearer(&token)).is_forwarded());
        assert_eq!(edge.shared.count(Verb::Fetch), 0);
    }
}

#[test]
fn our_own_tokens_are_taken_beside_those_of_others_and_never_mistaken() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    let admin = stage
        .edge
        .api_token(&[edgeward::model::api_token::Scope::Admin]);
    let ours = isolate.issue(&admin, "anna@b.c");
    assert!(isolate.send(&by_bearer(&ours)).is_forwarded());
    // The same claims by the issuer's key are not ours, and ours are not the issuer's.
    for typ in ["sso+jwt", "JWT"] {
        let header = json!({"kid": "k1", "typ": typ});
        let token = stage
            .key
            .token(Algorithm::EdDsa, &header, &claims_of(&ours));
        assert_eq!(isolate.send(&by_bearer(&token)).status(), 401);
    }
}

#[test]
fn a_fault_while_a_token_is_looked_at_never_reaches_the_origin() {
    let stage = Stage::new(&json!({}), &json!({}));
    let token = stage.token(&json!({}));
    let clean = stage.isolate();
    clean.shared.make(Trouble::None);
    assert!(clean.send(&by_bearer(&token)).is_forwarded());
    let calls = clean.shared.counted();
    assert!(calls > 5, "{calls}");
    for number in 0..calls {
        let stage = Stage::new(&json!({}), &json!({}));
        let isolate = stage.isolate();
        isolate.shared.make(Trouble::Call(number));
        let seen = isolate.send(&by_bearer(&token));
        // KV is only a help for the keys; everything else is a fault.
        assert!(
            seen.is_forwarded() || seen.status() == 503,
            "{number}: {}",
            seen.status()
        );
    }
    for verb in [Verb::Verify, Verb::Fetch] {
        let stage = Stage::new(&json!({}), &json!({}));
        let isolate = stage.isolate();
        isolate.shared.make(Trouble::Every(verb));
        assert_eq!(isolate.send(&by_bearer(&token)).status(), 503, "{verb:?}");
    }
}

#[test]
fn an_api_token_acts_as_a_user_where_the_site_takes_it() {
    use edgeward::model::api_token::Scope;
    let edge =
        Edge::new(&json!({"sources": ["api_key", "session"], "query": null, "sso_cookie": null}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let (_, user) = isolate.admin(
        &admin,
        "POST",
        "/api/sso/users",
        &json!({"email": "robot@b.c"}),
    );
    let body = json!({"name": "robot", "acts_as": user["id"], "expires_in": 3600});
    let (status, made) = isolate.admin(&admin, "POST", "/api/sso/tokens", &body);
    assert_eq!(status, 201, "{made}");
    assert_eq!(
        (&made["acts_as"], &made["scopes"]),
        (&user["id"], &json!([]))
    );
    let key = made["token"].as_str().unwrap();
    let seen = isolate.send(&get("/x").header("x-api-key", key));
    assert_eq!(seen.origin().header("x-forwarded-email"), Some("robot@b.c"));
    assert_eq!(seen.origin().header("x-api-key"), None);
    let again = isolate.send(&get("/x").header("x-api-key", key));
    assert!(again.is_forwarded());
    // It can do nothing else.
    let call = req("GET", "/api/sso/users").api_token(key);
    assert_eq!(isolate.send(&call).status(), 403);
    // Another key is the application's.
    let seen = isolate.send(&get("/x").header("x-api-key", "theirs"));
    assert_eq!(seen.status(), 401);
    // Tokens that act as nobody, are mistyped or revoked are refused; nothing is passed on.
    assert_eq!(
        isolate
            .send(&get("/x").header("x-api-key", &admin))
            .status(),
        401
    );
    assert_eq!(
        isolate
            .send(&get("/x").header("x-api-key", &format!("{key}0")))
            .status(),
        401
    );
    let path = format!("/api/sso/tokens/{}/revoke", made["id"].as_str().unwrap());
    isolate.admin(&admin, "POST", &path, &json!({}));
    edge.wait(30);
    let seen = isolate.send(&get("/x").header("x-api-key", key));
    assert_eq!(
        reason(&seen),
        "the api token is unknown, ended, or acts as nobody"
    );
    // Only an admin makes one, and only for a user that exists.
    let limited = edge.api_token(&[Scope::TokensWrite]);
    let (status, _) = isolate.admin(&limited, "POST", "/api/sso/tokens", &body);
    assert_eq!(status, 403);
    let nobody = json!({"name": "x", "acts_as": "usr_0123456789abcdefghijkl"});
    let (status, _) = isolate.admin(&admin, "POST", "/api/sso/tokens", &nobody);
    assert_eq!(status, 400);
}

#[test]
fn an_api_key_is_taken_off_even_where_it_is_not_asked_for() {
    use edgeward::model::api_token::Scope;
    let edge = Edge::new(&json!({"unauthenticated": "pass"}));
    let key = edge.api_token(&[Scope::Admin]);
    for name in ["x-api-key", "x_api_key", "x-api_key"] {
        let seen = edge.isolate().send(&get("/x").header(name, &key));
        assert_eq!(seen.origin().header(name), None, "{name}");
    }
    let seen = edge
        .isolate()
        .send(&get("/x").header("x-api-key", "theirs"));
    assert_eq!(seen.origin().header("x-api-key"), Some("theirs"));
}

#[test]
fn a_site_without_issuers_takes_no_token_of_another() {
    let edge = Edge::with(bindings(&json!({})));
    let key = Private::new(KeyType::Ed25519, "issuer");
    let token = key.token(Algorithm::EdDsa, &json!({"kid": "k1"}), &claims(&json!({})));
    assert_eq!(edge.isolate().send(&by_bearer(&token)).status(), 401);
    assert!(edgeward::config::parse(&with_issuer(&json!({}), &json!({}))).is_ok());
}

#[test]
fn sec_27_a_link_with_a_token_of_another_issuer_works_once() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    let link = format!("/x?token={}", stage.token(&json!({})));
    let first = isolate.send(&open(&link));
    assert_eq!(first.status(), 303);
    assert!(first.session().is_some());
    for again in [
        isolate.send(&open(&link)),
        stage.isolate().send(&open(&link)),
    ] {
        assert_eq!(reason(&again), "the link has been used");
        assert!(again.session().is_none());
    }
    // Another token of the same `jti` is another link; one that is too old is none.
    let other = stage.token(&json!({"x": 1}));
    assert_eq!(
        isolate.send(&open(&format!("/x?token={other}"))).status(),
        303
    );
    let late = stage.token(&json!({"exp": stage.edge.now().seconds() + 3000}));
    stage.edge.wait(300);
    let seen = isolate.send(&open(&format!("/x?token={late}")));
    assert_eq!(reason(&seen), "the link is too old");
}

#[test]
fn q1_a_query_token_of_an_issuer_that_the_site_does_not_accept_belongs_to_the_application() {
    let stage = Stage::new(&json!({}), &json!({"unauthenticated": "pass"}));
    let isolate = stage.isolate();
    for claims in [
        json!({"iss": "https://app.example"}),
        json!({"iss": ["https://id.example"]}),
        json!({"iss": null}),
    ] {
        let target = format!("/x?token={}&y", stage.token(&claims));
        let seen = isolate.send(&open(&target));
        assert_eq!(seen.origin().url, format!("https://origin.example{target}"));
    }
    // A bad one of the site's issuer is for us, and goes nowhere.
    let bad = tampered(&stage.token(&json!({})));
    for request in [
        get(&format!("/x?token={bad}")),
        open(&format!("/x?token={bad}")),
    ] {
        let seen = isolate.send(&request);
        assert!(!seen.is_forwarded() || !seen.origin().url.contains(&bad));
    }
}

#[test]
fn sec_59_rules_hold_for_tokens_of_issuers_and_for_the_sessions_they_open() {
    let rules = json!([
        {"prefix": "/read", "require": {"access": "read:posts"}},
        {"prefix": "/plan", "require": {"claim": {"path": "plan.name", "value": ["gold", "silver"]}}},
        {"prefix": "/edit", "require": {"role": "editor"}},
        {"prefix": "/org", "require": {"tenant": "org", "workspace": "w1"}},
        {"prefix": "/", "require": {"authenticated": true}},
    ]);
    let stage = Stage::new(
        &json!({"grant_roles": ["editor"]}),
        &json!({"rules": rules, "unauthenticated": "deny"}),
    );
    let isolate = stage.isolate();
    let all = json!({
        "scope": "read:posts write:x",
        "plan": {"name": "gold"},
        "roles": ["editor", "admin"],
        "tenant_id": "org",
        "workspace_id": "w1",
    });
    let none = json!({"jti": "none", "plan": {"name": "gol"}, "roles": ["admin"], "scope": "write:x", "tenant_id": "other", "sub": "b", "email": "b@b.c"});
    for (claims, may) in [(all, true), (none, false)] {
        let token = stage.token(&claims);
        let seen = isolate.send(&open("/").cookie(&format!("{SSO}={token}")));
        let session = seen.session().unwrap();
        for path in ["/read", "/plan/x", "/edit", "/org"] {
            for request in [get(path).bearer(&token), get(path).cookie(&session)] {
                for isolate in [&isolate, &stage.isolate()] {
                    let seen = isolate.send(&request);
                    assert_eq!(seen.is_forwarded(), may, "{path}: {}", reason(&seen));
                    assert!(may || seen.status() == 403, "{}", seen.status());
                }
            }
        }
        assert!(isolate.send(&get("/else").cookie(&session)).is_forwarded());
    }
}

#[test]
fn explain_judges_a_token_of_an_issuer_and_makes_nobody() {
    let rules = json!([{"prefix": "/", "require": {"claim": {"path": "plan", "value": "gold"}}}]);
    let stage = Stage::new(
        &json!({}),
        &json!({"rules": rules, "unauthenticated": null}),
    );
    let isolate = stage.isolate();
    let admin = stage
        .edge
        .api_token(&[edgeward::model::api_token::Scope::Admin]);
    let token = stage.token(&json!({"plan": "gold"}));
    let ask = |token: &str| {
        let body = json!({"path": "/x", "token": token});
        isolate.admin(&admin, "POST", "/api/sso/explain", &body).1
    };
    let told = ask(&token);
    // A request would make the user; to tell of it makes nobody.
    assert_eq!(told["granted"], true, "{told}");
    assert_eq!(told["creates_user"], true, "{told}");
    assert_eq!(told["user"], Value::Null, "{told}");
    let users = |stage: &Stage| {
        let values = stage.edge.shared.values.borrow();
        values.keys().filter(|key| key.starts_with("user")).count()
    };
    assert_eq!(users(&stage), 0);
    assert!(isolate.send(&by_bearer(&token)).is_forwarded());
    let told = ask(&token);
    assert_eq!(told["granted"], true, "{told}");
    assert!(told["user"].is_string() && told["creates_user"].is_null());
    assert!(!told.to_string().contains("gold"), "{told}");
    assert_eq!(ask(&stage.token(&json!({"plan": "tin"})))["granted"], false);
}

#[test]
fn sec_115_a_token_proves_a_sign_in_by_verified_claims_alone() {
    let rules = json!([
        {"prefix": "/fresh", "require": {"max_age": 60}},
        {"prefix": "/mfa", "require": {"amr": "issuer:id:mfa"}},
    ]);
    let stage = Stage::new(
        &json!({}),
        &json!({"rules": rules, "unauthenticated": null}),
    );
    let isolate = stage.edge.isolate();
    let now = stage.edge.now().seconds();
    for (claims, fresh, mfa) in [
        (json!({}), false, false),
        (json!({"auth_time": now - 59, "amr": ["mfa"]}), true, true),
        (json!({"auth_time": now - 60, "amr": ["pwd"]}), false, false),
    ] {
        let token = stage.token(&claims);
        for (path, passes) in [("/fresh", fresh), ("/mfa", mfa)] {
            let seen = isolate.send(&get(path).bearer(&token));
            assert_eq!(seen.is_forwarded(), passes, "{path} {claims}");
            if !passes {
                assert_eq!(seen.refusal(), (401, "sign_in_again".into()));
            }
        }
    }
    // An SSO token of ours and an API token are presented by programs.
    let api_token = stage.edge.api_token(&[Scope::Admin]);
    let token = isolate.issue(&api_token, "ada@example.com");
    let seen = isolate.send(&get("/fresh").bearer(&token));
    assert_eq!(seen.refusal(), (401, "sign_in_again".into()));
}
