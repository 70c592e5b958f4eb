//! Mutated tokens, and credentials of other kinds, under each setting that changes how an issuer's token is read or carried
//! on. `unbound.rs` does the same for tokens that name no issuer, and `others_key.rs` for keys that an endpoint judges.

use edgeward::jose::jws::Kind;
use edgeward::model::api_token::Scope;
use edgeward::platform::algorithm::Algorithm;
use serde_json::{Value, json};

use crate::harness::crypto::Private;
use crate::harness::issuer::{Stage, by_bearer, reason};
use crate::harness::request::get;

const TENANT: &str = "11111111-2222-3333-4444-555555555555";

/// What is set, in the tables of the issuer and of the site, and the claims of a token that is good under it.
fn variants() -> Vec<(&'static str, Value, Value, Value)> {
    let none = || json!({});
    let template = "https://id.example/{tenantid}";
    let roles = |path: &str| json!({"claims": {"roles": path}, "grant_roles": ["editor"]});
    vec![
        ("nothing", none(), none(), none()),
        (
            "numbers_as_text",
            json!({"numbers_as_text": true}),
            none(),
            json!({"sub": 5, "jti": 7}),
        ),
        (
            "email_verified_as_text",
            json!({"email_verified_as_text": true}),
            none(),
            json!({"email_verified": "true"}),
        ),
        (
            "required_claims",
            json!({"required_claims": ["sub", {"token_type": ["access"]}]}),
            none(),
            json!({"token_type": "access"}),
        ),
        (
            "roles of objects",
            roles("roles[*].name"),
            none(),
            json!({"roles": [{"name": "editor"}]}),
        ),
        (
            "roles of a map",
            roles("keys(roles)"),
            none(),
            json!({"roles": {"editor": {}}}),
        ),
        (
            "identity",
            json!({"identity": "subject"}),
            none(),
            json!({"email": null}),
        ),
        (
            "tenant_ids",
            json!({"issuer": template, "tenant_ids": [TENANT]}),
            none(),
            json!({"iss": template.replace("{tenantid}", TENANT), "tid": TENANT}),
        ),
        (
            "assertion.subject",
            json!({"required_claims": ["sub"]}),
            json!({"assertion": {"subject": "claim:sub"}, "own_tokens": false}),
            none(),
        ),
        (
            "assertion.prefix",
            none(),
            json!({"assertion": {"header": "authorization", "prefix": "Bearer "}}),
            none(),
        ),
        (
            "separators of groups",
            json!({"grant_roles": ["a;b"]}),
            json!({"groups_separator": ";", "separator_in_groups": "refuse"}),
            json!({"roles": ["a;b"]}),
        ),
        (
            "keep_claims",
            json!({"keep_claims": ["plan"]}),
            none(),
            json!({"plan": "gold"}),
        ),
        (
            "newer_sign_in",
            none(),
            json!({"newer_sign_in": false}),
            none(),
        ),
        (
            "unknown_user_status",
            none(),
            json!({"sso_token": {"unknown_user_status": 404}}),
            none(),
        ),
    ]
}

/// Each part changed in places all over it, cut off, or taken from another token.
fn mutations(token: &str, other: &str) -> Vec<String> {
    let parts: Vec<&str> = token.split('.').collect();
    let others: Vec<&str> = other.split('.').collect();
    let with = |at: usize, part: &str| {
        let mut all = parts.clone();
        all[at] = part;
        all.join(".")
    };
    let mut all = vec![
        parts[..2].join("."),
        format!("{token}."),
        format!("{token}.{}", parts[2]),
        format!(" {}", token.replace('.', " .")),
        with(0, "eyJhbGciOiJub25lIn0"),
    ];
    for at in 0..3 {
        let part = parts[at];
        all.push(with(at, ""));
        all.push(with(at, others[at]));
        all.push(with(at, &format!("{part}=")));
        for place in (0..part.len()).step_by(5) {
            let old = part.as_bytes()[place];
            let new = if old == b'A' { "B" } else { "A" };
            all.push(with(
                at,
                &[&part[..place], new, &part[place + 1..]].concat(),
            ));
            all.push(with(at, &[&part[..place], &part[place + 1..]].concat()));
        }
    }
    all.retain(|mutated| mutated != token && mutated != other);
    all
}

#[test]
fn sec_22_no_setting_lets_a_mutated_token_in() {
    for (name, issuer, site, claims) in variants() {
        let stage = Stage::new(&issuer, &site);
        let isolate = stage.isolate();
        let good = stage.token(&claims);
        let seen = isolate.send(&by_bearer(&good));
        assert!(seen.is_forwarded(), "{name}: {}", reason(&seen));
        let mut more = claims.clone();
        more["nbf"] = json!(1);
        let all = mutations(&good, &stage.token(&more));
        assert!(all.len() > 100, "{name}: {}", all.len());
        for mutated in all {
            let seen = isolate.send(&by_bearer(&mutated));
            assert!(!seen.is_forwarded(), "{name}: {mutated}");
        }
        assert!(isolate.send(&by_bearer(&good)).is_forwarded(), "{name}");
    }
}

#[test]
fn sec_19_no_setting_makes_a_credential_of_one_kind_one_of_another() {
    for (name, issuer, site, claims) in variants() {
        let stage = Stage::new(&issuer, &site);
        let edge = stage.edge.deployed(|bindings| {
            let other = json!({"hosts": ["other.example"]});
            bindings.insert("EDGEWARD_SITE_OTHER".into(), crate::harness::site(&other));
        });
        let isolate = edge.isolate();
        let good = stage.token(&claims);
        let all = stage.claims(&claims);
        let seen = isolate.send(&by_bearer(&good));
        assert!(seen.is_forwarded(), "{name}: {}", reason(&seen));
        // The token is a token of this issuer at this site, and nothing else anywhere.
        let session = format!("__Host-edgeward={good}");
        for request in [
            get("/x").cookie(&session),
            get("/x").header("x-api-key", &good),
            by_bearer(&good).at("other.example"),
        ] {
            let seen = isolate.send(&request);
            assert!(!seen.is_forwarded(), "{name}");
        }
        let calls = [
            get("/api/sso/users").bearer(&good),
            get("/api/sso/users").api_token(&good),
        ];
        for call in calls {
            assert_eq!(isolate.send(&call).status(), 401, "{name}");
        }
        // And nothing else is a token of this issuer, though it says the same.
        let stranger = Private::new(Algorithm::EdDsa.key_type(), "stranger");
        let header = json!({"kid": "k1"});
        let credentials = [
            isolate.forge(Kind::Session, &all),
            isolate.forge(Kind::Sso, &all),
            isolate.forge(Kind::Assertion, &all),
            edge.api_token(&[Scope::Admin]),
            stranger.token(Algorithm::EdDsa, &header, &all),
        ];
        for credential in credentials {
            let seen = isolate.send(&by_bearer(&credential));
            assert!(!seen.is_forwarded(), "{name}: {credential}");
        }
    }
}
