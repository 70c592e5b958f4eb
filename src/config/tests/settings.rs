use super::{Bindings, bindings, bindings_of, paths};

/// Settings of a site, and where the error is.
const BAD: [(&str, &str); 116] = [
    (r#"{"hosts": null}"#, "hosts"),
    (r#"{"hosts": []}"#, "hosts"),
    (r#"{"hosts": "site.example"}"#, "hosts"),
    (r#"{"hosts": ["https://site.example"]}"#, "hosts"),
    (r#"{"hosts": ["site.example//x"]}"#, "hosts"),
    (r#"{"hosts": ["site.example/x/../y"]}"#, "hosts"),
    (r#"{"hosts": ["site.example/x%20y"]}"#, "hosts"),
    (r#"{"hosts": ["site.example/x?y"]}"#, "hosts"),
    (r#"{"hosts": ["site.example/x."]}"#, "hosts"),
    (r#"{"hosts": ["site.example/x", "b.example/y"]}"#, "hosts"),
    (r#"{"hosts": ["site.example/x", "b.example"]}"#, "hosts"),
    (r#"{"endpoints": ""}"#, "endpoints"),
    (r#"{"endpoints": "/"}"#, "endpoints"),
    (r#"{"endpoints": "api"}"#, "endpoints"),
    (r#"{"endpoints": "/a//b"}"#, "endpoints"),
    (r#"{"endpoints": "/a/.."}"#, "endpoints"),
    (r#"{"endpoints": "/a;b"}"#, "endpoints"),
    (
        r#"{"hosts": ["site.example/x"], "session": {"cookie": "x"}}"#,
        "session.cookie",
    ),
    (r#"{"session": {"cookie": "__Secure-x"}}"#, "session.cookie"),
    (
        r#"{"hosts": ["site.example/x"], "custom_headers": {"x-forwarded-prefix": "email"}}"#,
        "custom_headers",
    ),
    (r#"{"hosts": ["*.example"]}"#, "hosts"),
    (r#"{"hosts": ["sité.example"]}"#, "hosts"),
    (r#"{"hosts": ["site.example:port"]}"#, "hosts"),
    (r#"{"hosts": ["a.example", "A.example."]}"#, "hosts"),
    (r#"{"upstream": "origin.example"}"#, "upstream"),
    (r#"{"upstream": "http://origin.example"}"#, "upstream"),
    (
        r#"{"upstream": "https://origin.example/path?x"}"#,
        "upstream",
    ),
    (
        r#"{"upstream": "https://origin.example/a/../b"}"#,
        "upstream",
    ),
    (r#"{"upstream": "https://origin.example//a"}"#, "upstream"),
    (
        r#"{"upstream": "https://origin.example/a%2fb"}"#,
        "upstream",
    ),
    (r#"{"upstream": "https://user@origin.example"}"#, "upstream"),
    (r#"{"upstream": "ftp://origin.example"}"#, "upstream"),
    (r#"{"upstream": 1}"#, "upstream"),
    (r#"{"host_header": "keep"}"#, "host_header"),
    (r#"{"sources": null}"#, "sources"),
    (r#"{"sources": ["session", "session"]}"#, "sources"),
    (r#"{"sources": ["cookie"]}"#, "sources"),
    (r#"{"unauthenticated": null}"#, "unauthenticated"),
    (r#"{"unauthenticated": "allow"}"#, "unauthenticated"),
    (r#"{"unauthenticated": "login"}"#, "login_url"),
    (r#"{"login_url": "/sign-in"}"#, "login_url"),
    (r#"{"login_url": "http://login.example"}"#, "login_url"),
    (r#"{"login_url": "https://login.example/#x"}"#, "login_url"),
    (r#"{"login_url": "javascript:alert(1)"}"#, "login_url"),
    (r#"{"login_url": "https://login.example/a b"}"#, "login_url"),
    (r#"{"logout_url": "//evil.example"}"#, "logout_url"),
    (r#"{"trusted_origins": ["*"]}"#, "trusted_origins"),
    (
        r#"{"trusted_origins": ["https://a.example/x"]}"#,
        "trusted_origins",
    ),
    (r#"{"trusted_origins": ["null"]}"#, "trusted_origins"),
    (r#"{"frame_ancestors": ["'self'"]}"#, "frame_ancestors"),
    (
        r#"{"frame_ancestors": ["https://a.example; script-src *"]}"#,
        "frame_ancestors",
    ),
    (r#"{"auto_create_users": "yes"}"#, "auto_create_users"),
    (r#"{"login_in_frames": "yes"}"#, "login_in_frames"),
    (r#"{"http": "https"}"#, "http"),
    (r#"{"hsts": false}"#, "hsts"),
    (r#"{"hsts": ""}"#, "hsts"),
    (r#"{"hsts": "31536000"}"#, "hsts"),
    (r#"{"hsts": "max-age=-1"}"#, "hsts"),
    (r#"{"hsts": "max-age=1; preload"}"#, "hsts"),
    (
        r#"{"hsts": "max-age=31535999; includeSubDomains; preload"}"#,
        "hsts",
    ),
    (r#"{"hsts": "max-age=1; x"}"#, "hsts"),
    (r#"{"http": "serve", "hsts": "max-age=1"}"#, "hsts"),
    (r#"{"session": {"cookie": "session"}}"#, "session.cookie"),
    (r#"{"session": {"cookie": "__Host-a;b"}}"#, "session.cookie"),
    (r#"{"session": {"same_site": "no"}}"#, "session.same_site"),
    (
        r#"{"session": {"partitioned": true}}"#,
        "session.partitioned",
    ),
    (r#"{"session": {"idle": 59}}"#, "session.idle"),
    (r#"{"session": {"idle": 43201}}"#, "session.idle"),
    (r#"{"session": {"absolute": 2592001}}"#, "session.absolute"),
    (r#"{"session": {"idle": -1}}"#, "session.idle"),
    (r#"{"session": {"idle": "8h"}}"#, "session.idle"),
    (r#"{"session": {"idel": 60}}"#, "session.idel"),
    (r#"{"session": 8}"#, "session"),
    (r#"{"sso_token": {"lifetime": 9}}"#, "sso_token.lifetime"),
    (r#"{"sso_token": {"lifetime": 901}}"#, "sso_token.lifetime"),
    (
        r#"{"sso_token": {"max_lifetime": 86401}}"#,
        "sso_token.max_lifetime",
    ),
    (
        r#"{"sso_token": {"algorithm": "none"}}"#,
        "sso_token.algorithm",
    ),
    (
        r#"{"sso_token": {"algorithm": "RS256"}}"#,
        "sso_token.algorithm",
    ),
    (
        r#"{"sso_token": {"user_id_claim": "sub"}}"#,
        "sso_token.user_id_claim",
    ),
    (
        r#"{"sso_token": {"unknown_user_status": 200}}"#,
        "sso_token.unknown_user_status",
    ),
    (
        r#"{"sso_token": {"user_id_claim": ""}}"#,
        "sso_token.user_id_claim",
    ),
    (r#"{"sso_cookie": null}"#, "sso_cookie"),
    (r#"{"sso_cookie": {}}"#, "sso_cookie.name"),
    (r#"{"sso_cookie": {"name": "a b"}}"#, "sso_cookie.name"),
    (
        r#"{"sso_cookie": {"name": "__Host-edgeward"}}"#,
        "sso_cookie.name",
    ),
    (
        r#"{"sso_cookie": {"name": "t", "path": "a"}}"#,
        "sso_cookie.path",
    ),
    (
        r#"{"sso_cookie": {"name": "t", "path": "/; Secure"}}"#,
        "sso_cookie.path",
    ),
    (
        r#"{"sso_cookie": {"name": "t", "domain": "a b"}}"#,
        "sso_cookie.domain",
    ),
    (
        r#"{"sso_cookie": {"name": "t", "domain": "example.com:443"}}"#,
        "sso_cookie.domain",
    ),
    (
        r#"{"sso_cookie": {"name": "t", "secure": false, "same_site": "none"}}"#,
        "sso_cookie.same_site",
    ),
    (
        r#"{"sso_cookie": {"name": "t", "secure": false, "partitioned": true}}"#,
        "sso_cookie.partitioned",
    ),
    (r#"{"query": null}"#, "query"),
    (
        r#"{"query": {"single_use": true, "user_switch": "confirm", "parameter": ""}}"#,
        "query.parameter",
    ),
    (
        r#"{"query": {"single_use": true, "user_switch": "confirm", "parameter": "edgeward_attempt"}}"#,
        "query.parameter",
    ),
    (
        r#"{"query": {"single_use": true, "user_switch": "confirm", "max_age": 301}}"#,
        "query.max_age",
    ),
    (
        r#"{"query": {"single_use": true, "user_switch": "confirm", "max_age": 0}}"#,
        "query.max_age",
    ),
    (
        r#"{"query": {"user_switch": "confirm"}}"#,
        "query.single_use",
    ),
    (r#"{"query": {"single_use": true}}"#, "query.user_switch"),
    (
        r#"{"query": {"single_use": true, "user_switch": "never"}}"#,
        "query.user_switch",
    ),
    (r#"{"identity_headers": ["x-forward"]}"#, "identity_headers"),
    (
        r#"{"custom_headers": {"x-id": "password"}}"#,
        "custom_headers.x-id",
    ),
    (
        r#"{"custom_headers": {"x id": "id"}}"#,
        "custom_headers.x id",
    ),
    (
        r#"{"custom_headers": {"Cookie": "id"}}"#,
        "custom_headers.Cookie",
    ),
    (
        r#"{"custom_headers": {"content-length": "id"}}"#,
        "custom_headers.content-length",
    ),
    (
        r#"{"sources": ["header"], "token_headers": [{"name": "Referer"}]}"#,
        "token_headers.name",
    ),
    (
        r#"{"sources": ["header"], "token_headers": [{"name": "CF-Ray"}]}"#,
        "token_headers.name",
    ),
    (
        r#"{"tenants": {"by": "header", "header": "cf-ray", "groups": {"a": {}}}}"#,
        "tenants.header",
    ),
    (
        r#"{"tenants": {"by": "header", "header": "User-Agent", "groups": {"a": {}}}}"#,
        "tenants.header",
    ),
    (r#"{"assertion": {"header": "host"}}"#, "assertion.header"),
    (r#"{"assertion": {"lifetime": 59}}"#, "assertion.lifetime"),
    (r#"{"assertion": {"lifetime": 901}}"#, "assertion.lifetime"),
    (
        r#"{"assertion": {"algorithm": "none"}}"#,
        "assertion.algorithm",
    ),
    (
        r#"{"upstream_credential": {"header": "x-key"}}"#,
        "upstream_credential.secret",
    ),
    (
        r#"{"upstream_credential": {"header": "x-key", "secret": "NOWHERE"}}"#,
        "upstream_credential.secret",
    ),
    (r#"{"unauthentcated": "pass"}"#, "unauthentcated"),
    (r#"{"verify": false}"#, "verify"),
];

#[test]
fn each_bad_setting_is_an_error_with_its_path() {
    for (settings, path) in BAD {
        let found = paths(&bindings_of(settings));
        let path = format!("EDGEWARD_SITE_APP.{path}");
        assert_eq!(found.first(), Some(&path), "{settings}");
        // What follows from it is said of the same table.
        assert!(
            found.iter().all(|other| path.starts_with(other.as_str())),
            "{found:?}"
        );
    }
}

/// A gateway with a password and a provider, and a site that uses it.
fn at_gateway(settings: &str) -> Bindings {
    let mut site: serde_json::Value = serde_json::from_str(settings).unwrap();
    let members = site.as_object_mut().unwrap();
    for (name, value) in [("login", "gateway"), ("unauthenticated", "login")] {
        members.entry(name).or_insert(value.into());
    }
    let mut all = bindings(&site.to_string());
    let gateway = r#"{"hosts": ["login.example"], "providers": ["id"]}"#;
    all.insert("EDGEWARD_GATEWAY".into(), gateway.into());
    let provider = r#"{"preset": "oidc", "issuer": "https://id.example", "client_id": "a"}"#;
    all.insert("EDGEWARD_PROVIDER_ID".into(), provider.into());
    all.insert("EDGEWARD_PROVIDER_ID_SECRET".into(), "s".into());
    all
}

#[test]
fn a_site_names_only_methods_that_its_gateway_has() {
    for good in [
        r#"["password"]"#,
        r#"["provider:id"]"#,
        r#"["password", "provider:id:mfa"]"#,
    ] {
        let all = at_gateway(&format!(r#"{{"amr": {good}}}"#));
        assert!(paths(&all).is_empty(), "{good}: {:?}", paths(&all));
    }
    for bad in [
        "[]",
        r#"[""]"#,
        r#"["passkey"]"#,
        r#"["link"]"#,
        r#"["passwords"]"#,
        r#"["password:x"]"#,
        r#"["provider:"]"#,
        r#"["provider:i"]"#,
        r#"["provider:idx"]"#,
        r#"["password", "issuer:id"]"#,
    ] {
        let all = at_gateway(&format!(r#"{{"amr": {bad}}}"#));
        assert_eq!(paths(&all), ["EDGEWARD_SITE_APP.amr"], "{bad}");
    }
    let elsewhere = bindings(r#"{"amr": ["password"]}"#);
    assert_eq!(paths(&elsewhere), ["EDGEWARD_SITE_APP.amr"]);
}

#[test]
fn an_access_token_that_nobody_has_is_noted() {
    let header = r#"{"custom_headers": {"x-token": "provider:access_token"}}"#;
    let noted = |all: &Bindings| {
        let config = crate::config::parse(all).unwrap();
        let notes = config.notes.into_iter().map(|note| note.path);
        notes.collect::<Vec<_>>()
    };
    assert_eq!(
        noted(&bindings(header)),
        ["EDGEWARD_SITE_APP.custom_headers"]
    );
    assert!(noted(&at_gateway(header)).is_empty());
    assert!(noted(&bindings("{}")).is_empty());
}
