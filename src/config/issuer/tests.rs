use serde_json::json;

use super::*;
use crate::config::tests::bindings;

const SECRET: &str = "Kd83mBx0qLw2Zr7tVc5nYp8fHg1aEuJ4sQ9vRi6oXe3TzUbNyWjMkClDhGfPaSoI";

fn with(settings: &Value) -> Bindings {
    with_text(&table(settings).to_string())
}

fn with_text(text: &str) -> Bindings {
    let mut all = bindings(r#"{"issuers": ["id"]}"#);
    all.insert("EDGEWARD_ISSUER_ID".into(), text.into());
    all.insert("ISSUER_SECRET".into(), SECRET.into());
    all.insert(
        "SHORT_SECRET".into(),
        "q3Jb0pXv9sLw2mZr7tKc5nYd8fHg1aEu".into(),
    );
    all.insert("WEAK_SECRET".into(), "a".repeat(64));
    all
}

fn table(settings: &Value) -> Value {
    let mut table = json!({
        "issuer": "https://id.example",
        "audience": "app",
        "algorithms": ["RS256"],
        "jwks_url": "https://id.example/jwks",
    });
    let members = table.as_object_mut().unwrap();
    members.extend(settings.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    table
}

fn errors(bindings: &Bindings) -> Vec<(String, String)> {
    let errors = crate::config::parse(bindings).err().unwrap_or_default();
    errors
        .into_iter()
        .map(|error| (error.path, error.error))
        .collect()
}

fn issuer(settings: &Value) -> Rc<Issuer> {
    let config = crate::config::parse(&with(settings)).unwrap();
    let site = config.site("site.example", "https", "/").unwrap();
    Rc::clone(&site.issuers[0])
}

#[test]
fn a_good_table_has_no_error_and_these_defaults() {
    let issuer = issuer(&json!({}));
    assert_eq!(issuer.name, "id");
    assert_eq!(
        (issuer.leeway, issuer.max_lifetime),
        (Seconds(30), Seconds(86_400))
    );
    assert!(issuer.email_verified && !issuer.create_users && !issuer.grant_staff);
    assert!(issuer.grant_roles.is_empty());
    let KeySource::Remote(remote) = &issuer.keys else {
        panic!()
    };
    assert_eq!(
        (remote.ttl, remote.stale, remote.cooldown),
        (Seconds(600), Seconds(86_400), Seconds(10))
    );
    assert_eq!(remote.document, Document::KeySet);
}

#[test]
fn every_key_source_is_taken_alone() {
    let pem = crate::jose::der::to_pem(&crate::jose::der::spki(KeyType::Ed25519, &[7; 32]));
    let jwk =
        json!({"kty": "OKP", "crv": "Ed25519", "x": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"});
    let sources = [
        ("secret", json!("ISSUER_SECRET"), "HS256"),
        ("secret", json!(["ISSUER_SECRET", "SHORT_SECRET"]), "HS256"),
        ("jwks_url", json!("https://id.example/jwks"), "ES512"),
        (
            "discovery_url",
            json!("https://id.example/.well-known/openid-configuration"),
            "PS256",
        ),
        (
            "public_key_url",
            json!("https://id.example:8443/key?x=1"),
            "RS256",
        ),
        ("public_key", json!(pem), "EdDSA"),
        ("public_key", jwk, "EdDSA"),
    ];
    for (name, value, algorithm) in &sources {
        let mut settings = json!({"jwks_url": null, "algorithms": [algorithm]});
        settings[name] = value.clone();
        assert_eq!(errors(&with(&settings)), [], "{settings}");
        let second = if *name == "jwks_url" {
            "discovery_url"
        } else {
            "jwks_url"
        };
        settings[second] = json!("https://id.example/x");
        let found = errors(&with(&settings));
        assert_eq!(found[0].0, "EDGEWARD_ISSUER_ID.secret", "{settings}");
    }
    let found = errors(&with(&json!({"jwks_url": null})));
    assert!(found[0].1.contains("exactly one"), "{found:?}");
}

#[test]
fn every_wrong_setting_is_named_by_its_path() {
    let mut spare = json!({});
    spare["filler"] = json!("x");
    for (settings, path) in [
        (json!({"issuer": null}), "issuer"),
        (json!({"issuer": ""}), "issuer"),
        (json!({"issuer": "edgeward"}), "issuer"),
        (json!({"issuer": 1}), "issuer"),
        (json!({"audience": null}), "audience"),
        (json!({"audience": []}), "audience"),
        (json!({"audience": [""]}), "audience"),
        (json!({"audience": ["a", 1]}), "audience"),
        (json!({"algorithms": null}), "algorithms"),
        (json!({"algorithms": []}), "algorithms"),
        (json!({"algorithms": ["none"]}), "algorithms"),
        (json!({"algorithms": ["rs256"]}), "algorithms"),
        (json!({"algorithms": ["HS256"]}), "algorithms"),
        (json!({"algorithms": ["RS256", "HS256"]}), "algorithms"),
        (json!({"leeway": 301}), "leeway"),
        (json!({"max_lifetime": 0}), "max_lifetime"),
        (json!({"max_lifetime": 2_592_001}), "max_lifetime"),
        (json!({"required_claims": ["a b"]}), "required_claims"),
        (json!({"tenant_ids": ["x"]}), "tenant_ids"),
        (json!({"tenant_ids": []}), "tenant_ids"),
        (
            json!({"defaults": {"tenant": ["a", "b"]}}),
            "defaults.tenant",
        ),
        (json!({"numbers_as_text": 1}), "numbers_as_text"),
        (
            json!({"email_verified_as_text": "yes"}),
            "email_verified_as_text",
        ),
        (json!({"jwks_url": "http://id.example/jwks"}), "jwks_url"),
        (json!({"jwks_url": "https://127.0.0.1/jwks"}), "jwks_url"),
        (
            json!({"loopback_origin": "http://id.example"}),
            "loopback_origin",
        ),
        (json!({"keys_ttl": 59}), "keys_ttl"),
        (json!({"keys_stale": 599}), "keys_stale"),
        (json!({"keys_stale": 604_801}), "keys_stale"),
        (json!({"keys_cooldown": 0}), "keys_cooldown"),
        (json!({"claims": {"mail": "x"}}), "claims.mail"),
        (json!({"claims": {"email": ""}}), "claims.email"),
        (json!({"defaults": {"email": "x"}}), "defaults.email"),
        (json!({"defaults": {"roles": ["admin"]}}), "defaults.roles"),
        (
            json!({"defaults": {"tenant": ["a", "b"]}}),
            "defaults.tenant",
        ),
        (
            json!({"unverified_email_reason": ""}),
            "unverified_email_reason",
        ),
        (
            json!({"unverified_email_reason": true}),
            "unverified_email_reason",
        ),
        (json!({"subject_domain": "a@b"}), "subject_domain"),
        (json!({"grant_roles": ["a\nb"]}), "grant_roles"),
        (json!({"grant_roles": "admin"}), "grant_roles"),
        (json!({"grant_staff": "yes"}), "grant_staff"),
        (json!({"create_user": true}), "create_user"),
    ] {
        let found = errors(&with(&settings));
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert!(
            paths.contains(&format!("EDGEWARD_ISSUER_ID.{path}").as_str()),
            "{settings}: {found:?}"
        );
    }
    let long = with(&json!({"typ": "x".repeat(6000)}));
    for whole in [with_text("[]"), long] {
        assert_eq!(errors(&whole)[0].0, "EDGEWARD_ISSUER_ID");
    }
}

#[test]
fn sec_14_a_shared_secret_is_long_random_and_not_one_of_ours() {
    for (name, algorithms, error) in [
        (
            "MISSING",
            json!(["HS256"]),
            Some("is not a secret of this Worker"),
        ),
        (
            "EDGEWARD_TOKEN_SECRET_1",
            json!(["HS256"]),
            Some("one of Edgeward's own secrets"),
        ),
        ("WEAK_SECRET", json!(["HS256"]), Some("not random")),
        ("SHORT_SECRET", json!(["HS256"]), None),
        ("SHORT_SECRET", json!(["HS384"]), Some("shorter than 48")),
        (
            "SHORT_SECRET",
            json!(["HS256", "HS512"]),
            Some("shorter than 64"),
        ),
        ("ISSUER_SECRET", json!(["HS512"]), None),
    ] {
        let settings = json!({"jwks_url": null, "secret": name, "algorithms": algorithms});
        let found = errors(&with(&settings));
        match error {
            None => assert_eq!(found, [], "{settings}"),
            Some(text) => assert!(found[0].1.contains(text), "{settings}: {found:?}"),
        }
    }
    // The length of the decoded bytes counts, not that of the text.
    let settings = json!({"jwks_url": null, "secret": "SHORT_SECRET", "algorithms": ["HS256"], "secret_encoding": "base64url"});
    assert!(errors(&with(&settings))[0].1.contains("shorter than 32"));
}

#[test]
fn sec_25_only_public_names_are_asked_for_keys() {
    for good in [
        "https://id.example/jwks",
        "https://id.example:8443/a?b=c",
        "https://a.b.example",
        "https://xn--bcher-kva.example/",
    ] {
        assert!(fetchable_host(good, None).is_some(), "{good}");
    }
    for bad in [
        "http://id.example/",
        "ftp://id.example/",
        "https://",
        "https:id.example",
        "//id.example",
        "https://localhost/",
        "https://x.localhost/",
        "https://host.local/",
        "https://vault.internal/",
        "https://intranet/",
        "https://id.example#x",
        "https://user@id.example/",
        "https://user:pass@id.example/",
        "https://id.example\\@evil.example/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://192.168.1.1:8443/",
        "https://169.254.169.254/",
        "https://8.8.8.8/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://127.1/",
        "https://id.example.127/",
        "https://127.0.0.1./",
        "https://[::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://id .example/",
        "https://id.example/\n",
        "https://ïd.example/",
    ] {
        assert!(fetchable_host(bad, None).is_none(), "{bad}");
    }
    let here = Some("http://127.0.0.1:9000");
    assert!(fetchable_host("http://127.0.0.1:9000/jwks", here).is_some());
    for other in [
        "http://127.0.0.1:9001/jwks",
        "https://127.0.0.1:9000/jwks",
        "http://127.0.0.2:9000/",
        "http://localhost:9000/",
    ] {
        assert!(fetchable_host(other, here).is_none(), "{other}");
    }
    // Not a host of ours: Edgeward would ask itself.
    let found = errors(&with(&json!({"jwks_url": "https://Site.example./jwks"})));
    assert!(
        found[0].1.contains("a host that Edgeward itself serves"),
        "{found:?}"
    );
}

#[test]
fn a_site_names_issuers_that_are_there_and_differ() {
    let site = |names: &str| {
        let mut all = bindings(&format!(r#"{{"issuers": {names}}}"#));
        all.insert("EDGEWARD_ISSUER_ID".into(), table(&json!({})).to_string());
        all.insert("EDGEWARD_ISSUER_SAME".into(), table(&json!({})).to_string());
        crate::config::parse(&all).err().unwrap_or_default()
    };
    assert_eq!(site(r#"["id"]"#), []);
    for bad in [
        r#"["nobody"]"#,
        r#"["ID"]"#,
        r#"["id", "same"]"#,
        r#"["id", "id"]"#,
    ] {
        let found = site(bad);
        assert_eq!(found[0].path, "EDGEWARD_SITE_APP.issuers", "{bad}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let issuer =
        issuer(&json!({"jwks_url": null, "secret": "ISSUER_SECRET", "algorithms": ["HS256"]}));
    let shown = format!("{issuer:?}");
    assert!(
        !shown.contains(SECRET) && !shown.contains("75, 100"),
        "{shown}"
    );
}

#[test]
fn tenants_are_checked() {
    let site = |tenants: Value| {
        let site = json!({"hosts": ["a.example", "b.example"], "tenants": tenants});
        let mut all = bindings(&site.to_string());
        all.insert("EDGEWARD_ISSUER_ID".into(), table(&json!({})).to_string());
        let found = crate::config::parse(&all).err().unwrap_or_default();
        found
            .into_iter()
            .map(|error| error.path)
            .collect::<Vec<_>>()
    };
    let one = json!({"issuers": ["id"]});
    let host = |name: &str| json!({"issuers": ["id"], "hosts": [name]});
    for good in [
        json!({"by": "claim", "groups": {"one": one}}),
        json!({"by": "header", "header": "x-tenant", "groups": {"one": one, "two": {}}}),
        json!({"by": "host", "groups": {"one": host("a.example"), "two": host("B.example.")}}),
    ] {
        assert_eq!(site(good.clone()), [""; 0], "{good}");
    }
    for (bad, path) in [
        (json!({"groups": {"one": one}}), "by"),
        (json!({"by": "claim"}), "groups"),
        (json!({"by": "claim", "groups": {}}), "groups"),
        (
            json!({"by": "claim", "header": "x", "groups": {"one": one}}),
            "header",
        ),
        (json!({"by": "header", "groups": {"one": one}}), "header"),
        (json!({"by": "claim", "groups": {"One": one}}), "groups.One"),
        (
            json!({"by": "claim", "groups": {"one": {"issuers": ["x"]}}}),
            "groups.one.issuers",
        ),
        (
            json!({"by": "claim", "groups": {"one": host("a.example")}}),
            "groups.one.hosts",
        ),
        (
            json!({"by": "host", "groups": {"one": host("a.example"), "two": one}}),
            "groups.two.hosts",
        ),
        (
            json!({"by": "host", "groups": {"one": host("a.example")}}),
            "groups",
        ),
        (
            json!({"by": "host", "groups": {"one": host("a.example"), "two": host("a.example")}}),
            "groups.two.hosts",
        ),
        (
            json!({"by": "host", "groups": {"one": host("c.example")}}),
            "groups.one.hosts",
        ),
        (json!({"by": "claim", "x": 1, "groups": {"one": one}}), "x"),
    ] {
        let path = format!("EDGEWARD_SITE_APP.tenants.{path}");
        assert!(
            site(bad.clone()).contains(&path),
            "{bad}: {:?}",
            site(bad.clone())
        );
    }
}
