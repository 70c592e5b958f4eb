use serde_json::{Value, json};

use crate::config::reader::Bindings;
use crate::config::tests::bindings;

const SECRET: &str = "Kd83mBx0qLw2Zr7tVc5nYp8fHg1aEuJ4sQ9vRi6oXe3TzUbNyWjMkClDhGfPaSoI";
const OTHER: &str = "w7Tq4LxR5vNz2KbY9mCp1HsJ6dGf8EuAoXiQ3ZrVtCyDkPnB0hMjUwSeFaGlIgOq";
const JWK: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// A table that is right.
fn table(settings: &Value) -> Value {
    let mut table = json!({
        "issuer": "https://portal.example",
        "audience": "app",
        "algorithms": ["HS256"],
        "secret": "PORTAL_SECRET",
        "max_lifetime": 600,
        "unbound_tokens_reason": "its library makes tokens without them",
        "only_claims": ["email", "iat", "exp"],
    });
    let members = table.as_object_mut().unwrap();
    members.extend(settings.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    table
}

fn with(settings: &Value, site: &str) -> Bindings {
    let mut all = bindings(site);
    all.insert("EDGEWARD_ISSUER_PORTAL".into(), table(settings).to_string());
    all.insert("PORTAL_SECRET".into(), SECRET.into());
    all.insert("OTHER_SECRET".into(), OTHER.into());
    all
}

const SITE: &str = r#"{"issuers": ["portal"]}"#;

/// Path and beginning of each error.
fn errors(bindings: &Bindings) -> Vec<(String, String)> {
    let errors = crate::config::parse(bindings).err().unwrap_or_default();
    let errors = errors.into_iter().filter(|one| {
        one.error.as_str()
            != "\"portal\" is not a valid issuer; its table is EDGEWARD_ISSUER_PORTAL"
    });
    errors.map(|one| (one.path, one.error)).collect()
}

fn paths(bindings: &Bindings) -> Vec<String> {
    errors(bindings).into_iter().map(|(path, _)| path).collect()
}

#[test]
fn a_right_table_has_no_error() {
    for settings in [
        json!({}),
        json!({"unbound_tokens_reason": null, "only_claims": null}),
        json!({"max_lifetime": 86_400, "required_claims": ["iat"]}),
        json!({"required_claims": ["iat", "iss"], "only_claims": ["email", "iat", "exp", "iss", "aud", "jti"]}),
        json!({"grant_roles": ["editor"], "only_claims": ["email", "exp", "roles"]}),
        json!({"identity": "subject", "only_claims": ["sub", "exp"]}),
        json!({"subject_domain": "portal.example", "only_claims": ["sub", "exp"]}),
        json!({"claims": {"email": "user.mail"}, "only_claims": ["user", "exp"]}),
        json!({"claims": {"email": "https://portal.example/mail"}, "only_claims": ["https://portal.example/mail", "exp"]}),
        json!({"defaults": {"scopes": "read"}}),
        json!({"secret": ["PORTAL_SECRET", "OTHER_SECRET"]}),
        json!({"secret": null, "algorithms": ["EdDSA"], "public_key": {"kty": "OKP", "crv": "Ed25519", "x": JWK}}),
    ] {
        assert_eq!(errors(&with(&settings, SITE)), [], "{settings}");
    }
    assert_eq!(errors(&with(&json!({}), r#"{"issuers": []}"#)), []);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn sec_98_each_condition_of_unbound_tokens_is_an_error_that_says_what_to_write() {
    for (settings, name, says) in [
        (
            json!({"unbound_tokens_reason": "because"}),
            "unbound_tokens_reason",
            "must explain why",
        ),
        (
            json!({"unbound_tokens_reason": "          "}),
            "unbound_tokens_reason",
            "must explain why",
        ),
        (
            json!({"unbound_tokens_reason": true}),
            "unbound_tokens_reason",
            "invalid type",
        ),
        (
            json!({"unbound_tokens_reason": null}),
            "only_claims",
            "has no meaning without unbound_tokens_reason",
        ),
        (
            json!({"required_claims": ["iss", "aud", "iat"], "only_claims": ["email", "exp", "iss", "aud", "iat"]}),
            "unbound_tokens_reason",
            "has no meaning if required_claims names iss, aud and iat; remove it together",
        ),
        (
            json!({"max_lifetime": null}),
            "max_lifetime",
            "must be at most 600 seconds for tokens that may lack iat; write max_lifetime = 600",
        ),
        (
            json!({"max_lifetime": 601}),
            "max_lifetime",
            "must be at most 600",
        ),
        (
            json!({"max_lifetime": 601, "required_claims": ["iss", "aud"], "only_claims": ["email", "exp", "iss", "aud"]}),
            "max_lifetime",
            "must be at most 600",
        ),
        (json!({"grant_staff": true}), "grant_staff", "must be false"),
        (
            json!({"grant_roles": ["*"]}),
            "grant_roles",
            "must name each role",
        ),
        (
            json!({"grant_roles": ["a", "team-*"]}),
            "grant_roles",
            "must name each role",
        ),
        (
            json!({"only_claims": null}),
            "only_claims",
            "is required with unbound_tokens_reason: name every claim",
        ),
        (json!({"only_claims": []}), "only_claims", "lacks exp"),
        (
            json!({"only_claims": "email"}),
            "only_claims",
            "invalid type",
        ),
        (
            json!({"only_claims": ["email"]}),
            "only_claims",
            "lacks exp",
        ),
        (
            json!({"only_claims": ["exp", "e"]}),
            "only_claims",
            "lacks email",
        ),
        (
            json!({"only_claims": ["exp", "emails"]}),
            "only_claims",
            "lacks email",
        ),
        (
            json!({"required_claims": ["phone"]}),
            "only_claims",
            "lacks phone, which every token has; add it",
        ),
        (json!({"identity": "subject"}), "only_claims", "lacks sub"),
        (
            json!({"only_claims": ["email", "exp", "scope"]}),
            "only_claims",
            "must not name the claim of the scopes",
        ),
        (
            json!({"claims": {"scopes": "keys(rights.of)"}, "only_claims": ["email", "exp", "rights"]}),
            "only_claims",
            "must not name the claim of the scopes",
        ),
        (
            json!({"verify": {"url": "https://portal.example/verify", "form": "usso", "ttl": 60}}),
            "verify",
            "cannot be combined with unbound_tokens_reason",
        ),
        (
            json!({"issuer": "https://portal.example/{tenantid}", "tenant_ids": ["7a1d3ad0-5c9f-4c39-8f0c-3e6e2a1c0b5d"]}),
            "tenant_ids",
            "cannot be combined with unbound_tokens_reason",
        ),
    ] {
        let found = errors(&with(&settings, SITE));
        let path = format!("EDGEWARD_ISSUER_PORTAL.{name}");
        assert!(
            found
                .iter()
                .any(|(at, error)| *at == path && error.starts_with(says)),
            "{settings}: {found:?}"
        );
        assert!(
            found
                .iter()
                .all(|(at, _)| *at == path || at.contains(".verify.")),
            "{settings}: {found:?}"
        );
    }
}

#[test]
fn sec_98_published_keys_need_tokens_that_are_bound() {
    for name in ["jwks_url", "discovery_url", "public_key_url"] {
        let mut settings = json!({"secret": null, "algorithms": ["RS256"]});
        settings[name] = json!("https://portal.example/keys");
        let found = errors(&with(&settings, SITE));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, format!("EDGEWARD_ISSUER_PORTAL.{name}"));
        assert!(found[0].1.contains("one key in public_key alone"));
    }
}

#[test]
fn sec_98_unbound_tokens_are_for_one_site_where_links_work_once() {
    let mut two = with(&json!({}), SITE);
    let second = json!({
        "hosts": ["two.example"], "upstream": "https://two-origin.example", "sources": ["bearer"],
        "unauthenticated": "deny", "issuers": ["portal"],
    });
    two.insert("EDGEWARD_SITE_TWO".into(), second.to_string());
    let found = errors(&two);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "EDGEWARD_ISSUER_PORTAL.unbound_tokens_reason");
    assert!(found[0].1.contains("several: app, two; write a table"));
    // One site may have several hosts.
    let hosts = r#"{"issuers": ["portal"], "hosts": ["site.example", "b.example"]}"#;
    assert_eq!(errors(&with(&json!({}), hosts)), []);

    let often =
        r#"{"issuers": ["portal"], "query": {"single_use": false, "user_switch": "confirm"}}"#;
    let found = errors(&with(&json!({}), often));
    let path = "EDGEWARD_SITE_APP.query.single_use";
    assert_eq!(
        found,
        [(
            path.into(),
            "must be true, as portal has unbound_tokens_reason".into()
        )]
    );

    let tenants = |second: &str| {
        format!(
            r#"{{"tenants": {{"by": "claim", "groups": {{"a": {{"issuers": ["portal"]}}, "b": {{"issuers": [{second}]}}}}}}}}"#
        )
    };
    let claims = json!({"only_claims": ["email", "exp", "tenant_id"]});
    assert_eq!(errors(&with(&claims, &tenants(""))), []);
    assert_eq!(
        paths(&with(&claims, &tenants(r#""portal""#))),
        ["EDGEWARD_SITE_APP.tenants.groups"]
    );
}

#[test]
fn sec_98_at_one_site_at_most_one_issuer_may_be_left_out_of_its_tokens() {
    let both = r#"{"issuers": ["portal", "other"]}"#;
    let other = |settings: Value| {
        let mut all = with(&json!({}), both);
        let mut table =
            table(&json!({"issuer": "https://other.example", "secret": "OTHER_SECRET"}));
        let members = table.as_object_mut().unwrap();
        members.extend(settings.as_object().unwrap().clone());
        all.insert("EDGEWARD_ISSUER_OTHER".into(), table.to_string());
        all
    };
    let found = errors(&other(json!({})));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "EDGEWARD_SITE_APP.issuers");
    let named = json!({"required_claims": ["iss"], "only_claims": ["email", "exp", "iss"]});
    assert_eq!(errors(&other(named)), []);
}

#[test]
fn sec_98_nothing_else_has_the_secret_of_unbound_tokens_in_any_form() {
    let hex = "5f8d2c1b9a7e4f3d6c0b8a9e7d5f4c3b2a1908f7e6d5c4b3a29180f7e6d5c4b3";
    for (binding, text, more) in [
        (
            "EDGEWARD_ISSUER_OTHER",
            json!({"issuer": "https://o.example", "audience": "o", "algorithms": ["HS256"], "secret": "PORTAL_SECRET"}),
            None,
        ),
        // Another name for the same value.
        (
            "EDGEWARD_ISSUER_OTHER",
            json!({"issuer": "https://o.example", "audience": "o", "algorithms": ["HS256"], "secret": ["OTHER_SECRET", "COPY"]}),
            Some(("COPY", SECRET)),
        ),
        // The same bytes, decoded by the one and read as text by the other.
        (
            "EDGEWARD_ISSUER_OTHER",
            json!({
                "issuer": "https://o.example", "audience": "o", "algorithms": ["HS256"],
                "secret": "COPY", "secret_encoding": "base64url",
            }),
            Some((
                "COPY",
                "S2Q4M21CeDBxTHcyWnI3dFZjNW5ZcDhmSGcxYUV1SjRzUTl2Umk2b1hlM1R6VWJOeVdqTWtDbERoR2ZQYVNvSQ",
            )),
        ),
        (
            "EDGEWARD_SITE_APP",
            json!({
                "hosts": ["site.example"], "upstream": "https://origin.example", "sources": ["bearer"],
                "unauthenticated": "deny", "issuers": ["portal"],
                "upstream_credential": {"header": "x-key", "secret": "PORTAL_SECRET"},
            }),
            None,
        ),
    ] {
        let mut all = with(&json!({}), SITE);
        all.insert(binding.into(), text.to_string());
        all.extend(more.map(|(name, value)| (name.into(), value.into())));
        let found = errors(&all);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(found[0].0, "EDGEWARD_ISSUER_PORTAL.secret", "{text}");
        assert!(
            found[0]
                .1
                .starts_with(&format!("{binding} has the secret PORTAL_SECRET too")),
            "{found:?}"
        );
        assert!(!found[0].1.contains(SECRET));
    }
    // One of ours under another name.
    let mut all = with(&json!({}), SITE);
    all.insert("EDGEWARD_SESSION_SECRET_2".into(), SECRET.into());
    assert_eq!(paths(&all), ["EDGEWARD_ISSUER_PORTAL.secret"]);
    // Another table, another secret.
    let mut all = with(&json!({}), SITE);
    all.insert("HEX".into(), hex.into());
    let other = json!({"issuer": "https://o.example", "audience": "o", "algorithms": ["HS256"], "secret": "HEX"});
    all.insert("EDGEWARD_ISSUER_OTHER".into(), other.to_string());
    assert_eq!(errors(&all), []);
}

#[test]
fn sec_98_nothing_else_has_the_public_key_of_unbound_tokens_in_any_form() {
    let der = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": JWK, "kid": "one"});
    let renamed = json!({"kty": "OKP", "crv": "Ed25519", "x": JWK, "kid": "two", "alg": "EdDSA"});
    let own = json!({"secret": null, "algorithms": ["EdDSA"], "public_key": jwk});
    for theirs in [json!(der), json!(pem), jwk.clone(), renamed] {
        let mut all = with(&own, SITE);
        let other = json!({
            "issuer": "https://o.example", "audience": "o", "algorithms": ["EdDSA"], "public_key": theirs,
        });
        all.insert("EDGEWARD_ISSUER_OTHER".into(), other.to_string());
        assert_eq!(
            paths(&all),
            ["EDGEWARD_ISSUER_PORTAL.public_key"],
            "{theirs}"
        );
    }
}

#[test]
fn all_that_is_wrong_is_reported_at_once() {
    let settings = json!({
        "unbound_tokens_reason": "short", "only_claims": ["email"], "max_lifetime": null,
        "grant_staff": true, "grant_roles": ["*"],
    });
    let site =
        r#"{"issuers": ["portal"], "query": {"single_use": false, "user_switch": "confirm"}}"#;
    let mut all = with(&settings, site);
    all.insert("EDGEWARD_TOKEN_SECRET_2".into(), SECRET.into());
    let issuer = [
        "unbound_tokens_reason",
        "max_lifetime",
        "grant_staff",
        "grant_roles",
        "only_claims",
        "secret",
    ]
    .map(|name| format!("EDGEWARD_ISSUER_PORTAL.{name}"));
    let mut expected: Vec<String> = issuer.into();
    expected.push("EDGEWARD_SITE_APP.query.single_use".into());
    expected.sort();
    let mut found = paths(&all);
    found.sort();
    assert_eq!(found, expected);
}
