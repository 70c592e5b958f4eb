use super::*;
use crate::config::tests::{bindings, paths};
use crate::platform::algorithm::Algorithm;
use crate::site::provider::ClientAuthentication;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BINDING: &str = "EDGEWARD_PROVIDER_ID";

fn with(settings: &Value) -> Bindings {
    let site = r#"{"login": "provider", "providers": ["id"], "unauthenticated": "login"}"#;
    let mut all = bindings(site);
    let mut table = json!({"preset": "oidc", "client_id": "app"});
    let members = table.as_object_mut().unwrap();
    members.extend(settings.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    all.insert(BINDING.into(), table.to_string());
    all.insert(format!("{BINDING}_SECRET"), "s".into());
    all
}

fn provider(settings: &Value) -> Rc<Provider> {
    let config = crate::config::parse(&with(settings)).unwrap();
    let site = config.site("site.example", "https", "/").unwrap();
    Rc::clone(&site.providers[0])
}

/// The settings with an error, without that of the site whose provider is not there then.
fn wrong(settings: &Value) -> Vec<String> {
    let all = paths(&with(settings)).into_iter();
    let own = all.filter_map(|path| Some(path.strip_prefix(BINDING)?.to_owned()));
    own.collect()
}

/// The errors of the settings, with their paths.
fn errors(all: &Bindings) -> Vec<String> {
    let errors = crate::config::parse(all).unwrap_err();
    let text = errors
        .iter()
        .map(|one| format!("{}: {}", one.path, one.error));
    text.collect()
}

#[test]
fn an_error_is_about_the_setting_that_was_written() {
    let well_known = "https://id.example/.well-known/openid-configuration";
    for (settings, path, error) in [
        (
            json!({"issuer": "http://id.example"}),
            "issuer",
            "must be an https URL",
        ),
        (
            json!({"issuer": "id.example"}),
            "issuer",
            "must be an https URL",
        ),
        (
            json!({"issuer": well_known}),
            "issuer",
            "is the URL of the discovery document",
        ),
        (
            json!({"preset": "auth0", "domain": "https://a.eu.auth0.com"}),
            "domain",
            "must be a host",
        ),
        (
            json!({"discovery_url": "https://id.example/d"}),
            "issuer",
            "is required",
        ),
        (
            json!({"preset": "okta"}),
            "domain",
            "is required, or issuer",
        ),
        (
            json!({"preset": "keycloak"}),
            "domain",
            "is required with realm",
        ),
        (
            json!({"issuer": "https://id.example", "client_secret": "abc"}),
            "client_secret",
            "EDGEWARD_PROVIDER_<NAME>_SECRET",
        ),
        (
            json!({"preset": "google", "max_age": 60}),
            "max_age",
            "is not for preset = \"google\"",
        ),
    ] {
        let all = errors(&with(&settings));
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(
            all[0].starts_with(&format!("{BINDING}.{path}: ")),
            "{all:?}"
        );
        assert!(all[0].contains(error), "{all:?}");
        assert!(!all[0].contains("abc"), "{all:?}");
    }
}

#[test]
fn a_name_in_capitals_is_told_how_it_is_written() {
    let mut all = with(&json!({"issuer": "https://id.example"}));
    let site = all["EDGEWARD_SITE_APP"].replace(r#""id""#, r#""ID""#);
    all.insert("EDGEWARD_SITE_APP".into(), site);
    let errors = errors(&all);
    let error = r#"EDGEWARD_SITE_APP.providers: "ID" must be written in lower case: "id""#;
    assert_eq!(errors, [error]);
}

#[test]
fn a_role_that_no_provider_grants_is_noted() {
    for (granted, wanted, is_noted) in [
        (json!([]), json!({"role": "staff"}), true),
        (json!(["staff"]), json!({"role": "stuff"}), true),
        (json!(["staff"]), json!({"role": ["stuff", "staff"]}), false),
        (
            json!(["staff"]),
            json!({"all": [{"all_roles": ["stuff", "staff"]}, {"authenticated": true}]}),
            true,
        ),
        (
            json!(["staff"]),
            json!({"email_domain": "example.com"}),
            false,
        ),
    ] {
        let mut all = with(&json!({"issuer": "https://id.example", "grant_roles": granted}));
        let mut site: Value = serde_json::from_str(&all["EDGEWARD_SITE_APP"]).unwrap();
        site["rules"] = json!([{"prefix": "/", "require": wanted}]);
        all.insert("EDGEWARD_SITE_APP".into(), site.to_string());
        let notes = crate::config::parse(&all).unwrap().notes;
        let noted = notes.iter().any(|note| {
            note.path == "EDGEWARD_SITE_APP.rules.1" && note.error.contains("grant_roles")
        });
        assert_eq!(noted, is_noted, "{wanted}");
    }
}

#[test]
fn a_preset_says_where_the_provider_is() {
    let tenant = "11111111-2222-3333-4444-555555555555";
    let entra = "https://login.microsoftonline.com";
    for (settings, issuer, discovery) in [
        (
            json!({"issuer": "https://id.example/a/"}),
            "https://id.example/a/",
            "https://id.example/a",
        ),
        (
            json!({"preset": "google"}),
            "https://accounts.google.com",
            "https://accounts.google.com",
        ),
        (
            json!({"preset": "entra", "tenant": tenant}),
            &format!("{entra}/{tenant}/v2.0"),
            &format!("{entra}/{tenant}/v2.0"),
        ),
        (
            json!({"preset": "entra", "tenant_ids": [tenant]}),
            &format!("{entra}/{{tenantid}}/v2.0"),
            &format!("{entra}/organizations/v2.0"),
        ),
        (
            json!({"preset": "keycloak", "domain": "id.example", "realm": "a b"}),
            "https://id.example/realms/a%20b",
            "https://id.example/realms/a%20b",
        ),
        (
            json!({"preset": "auth0", "domain": "a.eu.auth0.com"}),
            "https://a.eu.auth0.com/",
            "https://a.eu.auth0.com",
        ),
        (
            json!({"preset": "okta", "domain": "a.okta.com"}),
            "https://a.okta.com",
            "https://a.okta.com",
        ),
        (
            json!({"preset": "okta", "issuer": "https://a.okta.com/oauth2/default"}),
            "https://a.okta.com/oauth2/default",
            "https://a.okta.com/oauth2/default",
        ),
    ] {
        let read = provider(&settings);
        assert_eq!(read.issuer.issuer, issuer, "{settings}");
        let crate::site::issuer::KeySource::Remote(remote) = &read.issuer.keys else {
            panic!("{settings}");
        };
        let well_known = "/.well-known/openid-configuration";
        assert_eq!(remote.url, format!("{discovery}{well_known}"), "{settings}");
        assert_eq!(read.issuer.audience, ["app"]);
        assert_eq!(read.issuer.identity, UserIdentity::Subject);
    }
    let label = provider(&json!({"preset": "google"})).label.clone();
    assert_eq!(label, "Sign in with Id");
}

#[test]
fn a_provider_that_is_described_wrongly_is_reported_setting_by_setting() {
    for (settings, expected) in [
        (json!({}), ".issuer"),
        (json!({"preset": "gitlab"}), ".preset"),
        (
            json!({"preset": "google", "issuer": "https://a.example"}),
            ".issuer",
        ),
        (
            json!({"preset": "google", "domain": "a.example"}),
            ".domain",
        ),
        (json!({"preset": "entra"}), ".tenant"),
        // These pass for a tenant nowhere, and anybody is of the last one.
        (json!({"preset": "entra", "tenant": "common"}), ".tenant"),
        (
            json!({"preset": "entra", "tenant": "AAAAAAAA-2222-3333-4444-555555555555"}),
            ".tenant",
        ),
        (
            json!({"preset": "entra", "tenant": "9188040d-6c67-4c5b-b112-36a304b66dad"}),
            ".tenant",
        ),
        (
            json!({"preset": "entra", "tenant": "t", "tenant_ids": ["x"]}),
            ".tenant",
        ),
        (json!({"preset": "auth0"}), ".domain"),
        (
            json!({"preset": "auth0", "domain": "https://a.example"}),
            ".domain",
        ),
        (
            json!({"preset": "keycloak", "domain": "a.example"}),
            ".realm",
        ),
        (json!({"preset": "keycloak", "realm": "a"}), ".domain"),
        (json!({"preset": "google", "client_id": null}), ".client_id"),
        (json!({"preset": "google", "client_id": ""}), ".client_id"),
        (
            json!({"preset": "google", "client_auth": "none"}),
            ".client_auth",
        ),
        (
            json!({"preset": "google", "client_auth": "jwt"}),
            ".client_auth",
        ),
        (json!({"preset": "google", "scopes": ["a b"]}), ".scopes"),
        (json!({"preset": "google", "label": " "}), ".label"),
        (
            json!({"preset": "okta", "domain": "a.example", "hd": "a.example"}),
            ".hd",
        ),
        (
            json!({"preset": "google", "max_age": 9_999_999}),
            ".max_age",
        ),
        (
            json!({"preset": "google", "roles_from": "x"}),
            ".roles_from",
        ),
        (json!({"preset": "google", "secret": "X"}), ".secret"),
        (json!({"preset": "google", "audience": "x"}), ".audience"),
        (
            json!({"preset": "google", "identity": "email"}),
            ".identity",
        ),
        (
            json!({"preset": "google", "algorithms": ["HS256"]}),
            ".algorithms",
        ),
        (
            json!({"preset": "google", "create_users": 1}),
            ".create_users",
        ),
        (
            json!({"preset": "google", "email_authoritative": true, "unverified_email_reason": "we trust all of them"}),
            ".unverified_email_reason",
        ),
        (
            json!({"issuer": "https://id.example", "discovery_url": "https://10.0.0.1/x"}),
            ".discovery_url",
        ),
    ] {
        let found = wrong(&settings);
        assert!(
            found.contains(&expected.to_owned()),
            "{settings}: {found:?}"
        );
    }
    // All at once.
    let many = wrong(&json!({"preset": "auth0", "label": "", "scopes": [""], "nothing": 1}));
    assert_eq!(many, [".nothing", ".domain", ".scopes", ".label"]);
}

#[test]
fn a_secret_belongs_to_a_provider_and_a_provider_to_sites() {
    let good = json!({"preset": "google"});
    let mut all = with(&good);
    all.remove(&format!("{BINDING}_SECRET"));
    assert!(paths(&all).contains(&format!("{BINDING}.client_auth")));
    let mut all = with(&good);
    all.insert("EDGEWARD_PROVIDER_OTHER_SECRET".into(), "s".into());
    assert_eq!(paths(&all), ["EDGEWARD_PROVIDER_OTHER_SECRET"]);
    let mut all = with(&good);
    let issuer = json!({"issuer": "https://a.example", "audience": "a", "algorithms": ["RS256"], "jwks_url": "https://a.example/k"});
    all.insert("EDGEWARD_ISSUER_ID".into(), issuer.to_string());
    assert_eq!(paths(&all), [BINDING]);
    for (site, expected) in [
        (r#"{"providers": ["id"]}"#, ".providers"),
        (r#"{"login": "provider"}"#, ".login"),
        (
            r#"{"login": "provider", "providers": ["id", "id"]}"#,
            ".providers",
        ),
        (
            r#"{"login": "provider", "providers": ["other"]}"#,
            ".providers",
        ),
        (
            r#"{"login": "provider", "providers": ["id"], "login_url": "https://a.example/"}"#,
            ".login",
        ),
        (
            r#"{"login": "provider", "providers": ["id"], "sources": ["bearer"]}"#,
            ".login",
        ),
    ] {
        let mut all = with(&good);
        let table = bindings(site).remove("EDGEWARD_SITE_APP").unwrap();
        all.insert("EDGEWARD_SITE_APP".into(), table);
        let found = paths(&all);
        assert!(
            found.contains(&format!("EDGEWARD_SITE_APP{expected}")),
            "{site}: {found:?}"
        );
    }
}

#[test]
fn the_parts_of_basic_are_encoded_like_a_form() {
    let mut all = with(&json!({"preset": "google", "client_id": "a:b"}));
    all.insert(format!("{BINDING}_SECRET"), "c d/%".into());
    let config = crate::config::parse(&all).unwrap();
    let site = config.site("site.example", "https", "/").unwrap();
    let ClientAuthentication::Basic(credential) = &site.providers[0].authentication else {
        panic!("not basic");
    };
    let expected = STANDARD.encode("a%3Ab:c%20d%2F%25");
    assert_eq!(credential.0, format!("Basic {expected}"));
    assert!(!format!("{:?}", site.providers[0]).contains(&expected));
}

#[test]
fn how_sessions_are_renewed_follows_from_the_preset() {
    let issuer = json!({"issuer": "https://id.example"});
    assert!(provider(&issuer).offline.is_none());
    assert!(!provider(&issuer).sign_out);
    let google = json!({"preset": "google", "offline": true});
    let google_fields = [("access_type", "offline"), ("prompt", "consent")];
    let okta = json!({"preset": "okta", "domain": "a.okta.com", "offline": true});
    let oidc = json!({"issuer": "https://id.example", "offline": true, "keys_stale": 7200, "scopes": ["offline_access"]});
    let oidc_fields = [("prompt", "consent")];
    let cases = [
        (google, "openid profile email", &google_fields[..]),
        (okta, "openid profile email offline_access", &[]),
        (oidc, "openid offline_access", &oidc_fields),
    ];
    for (settings, scope, fields) in cases {
        let read = provider(&settings);
        let offline = read.offline.as_ref().unwrap();
        assert_eq!(
            (&*read.scope, offline.fields),
            (scope, fields),
            "{settings}"
        );
        assert_eq!(offline.if_refused, IfRefused::EndSession);
        let bound = settings["keys_stale"].as_u64().unwrap_or(86_400);
        assert_eq!(u64::from(offline.bound.0), bound);
    }
    let apple = json!({"preset": "apple", "team_id": "T", "key_id": "K", "offline": true});
    let mut all = with(&apple);
    let key = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"; // DEV-ONLY: the head of a key on P-256.
    all.insert(format!("{BINDING}_SECRET"), key.into());
    let config = crate::config::parse(&all).unwrap();
    let site = config.site("site.example", "https", "/").unwrap();
    let apple = &site.providers[0];
    assert!(apple.offline.is_some() && !apple.scope.contains("offline_access"));
    let refused = json!({"issuer": "https://id.example", "if_refused": "keep"});
    assert_eq!(wrong(&refused), [".if_refused"]);
}

#[test]
fn what_does_not_go_with_github_or_apple_is_reported() {
    for (settings, expected) in [
        (
            json!({"preset": "github", "issuer": "https://a.example"}),
            ".issuer",
        ),
        (
            json!({"preset": "github", "organizations": []}),
            ".organizations",
        ),
        (
            json!({"preset": "github", "organizations": ["a/../b"]}),
            ".organizations",
        ),
        (
            json!({"preset": "google", "organizations": ["a"]}),
            ".organizations",
        ),
        (json!({"preset": "github", "max_age": 60}), ".max_age"),
        (json!({"preset": "github", "userinfo": true}), ".userinfo"),
        (json!({"preset": "github", "offline": true}), ".offline"),
        (
            json!({"preset": "github", "sign_out_at_provider": true}),
            ".sign_out_at_provider",
        ),
        (
            json!({"preset": "github", "algorithms": ["RS256"]}),
            ".algorithms",
        ),
        (
            json!({"preset": "github", "client_auth": "private_key_jwt"}),
            ".client_auth",
        ),
        (json!({"preset": "apple", "key_id": "K"}), ".team_id"),
        (json!({"preset": "apple", "team_id": "T"}), ".key_id"),
        // No key.
        (
            json!({"preset": "apple", "team_id": "T", "key_id": "K"}),
            ".client_auth",
        ),
        (
            json!({"preset": "apple", "team_id": "T", "key_id": "K", "client_auth": "post"}),
            ".client_auth",
        ),
        (json!({"preset": "google", "team_id": "T"}), ".team_id"),
        (json!({"preset": "google", "key_id": "K"}), ".key_id"),
        (
            json!({"preset": "google", "client_auth": "private_key_jwt"}),
            ".client_auth",
        ),
    ] {
        let found = wrong(&settings);
        assert!(
            found.contains(&expected.to_owned()),
            "{settings}: {found:?}"
        );
    }
}

#[test]
fn github_and_apple_say_what_is_special_to_them() {
    let github = provider(&json!({"preset": "github", "organizations": ["octo-org"]}));
    assert_eq!(github.issuer.issuer, "https://github.com");
    assert_eq!(github.scope, "read:user user:email read:org");
    assert_eq!(github.github.as_deref(), Some(&["octo-org".to_owned()][..]));
    assert!(github.issuer.requires("organizations"));
    assert!(matches!(
        github.authentication,
        ClientAuthentication::Post(_)
    ));
    let server = provider(&json!({"preset": "github", "domain": "git.example.com"}));
    assert_eq!(server.issuer.issuer, "https://git.example.com");
    assert_eq!(server.scope, "read:user user:email");
    // DEV-ONLY: the head of a key on P-256, and of one of RSA.
    let p256 = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
    let rsa = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIB";
    let with_key = |settings: &Value, key: &str| {
        let mut all = with(settings);
        all.insert(format!("{BINDING}_SECRET"), key.into());
        crate::config::parse(&all)
    };
    let apple = json!({"preset": "apple", "team_id": "T", "key_id": "K"});
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{p256}\n-----END PRIVATE KEY-----\n");
    for key in [
        p256,
        &pem,
        &pem.replace('\n', "\\n"),
        &pem.replace('\n', "\r\n"),
    ] {
        let config = with_key(&apple, key).unwrap();
        let site = config.site("site.example", "https", "/").unwrap();
        let provider = &site.providers[0];
        assert!(provider.form_post && provider.issuer.email_verified_as_text);
        assert!(matches!(
            &provider.authentication,
            ClientAuthentication::Assertion(key) if key.algorithm == Algorithm::Es256 && key.team.as_deref() == Some("T")
        ));
        let shown = format!("{:?}", provider.authentication);
        assert!(!shown.contains("48"), "no key is shown: {shown}");
    }
    for bad in [
        rsa,
        "AAAA",
        "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----",
    ] {
        assert!(with_key(&apple, bad).is_err(), "{bad}");
    }
    let signed = json!({"preset": "google", "client_auth": "private_key_jwt"});
    for (key, is_good) in [(rsa, true), (p256, true), ("s3cret", false)] {
        assert_eq!(with_key(&signed, key).is_ok(), is_good, "{key}");
    }
}
