use super::*;

mod rules;
mod settings;

const SESSION: &str = "q3Jb0pXv9sLw2mZr7tKc5nYd8fHg1aEu";
const TOKEN: &str = "Zx81mQw0eRt5yUi7oPa3sDf6gHj9kLzX";
const KEY: &str = "Vb4nMq2wEr8tYu1iOp5aSd7fGh0jKl3z";

/// Bindings with good secrets and one site, `settings` (a JSON object) laid over the defaults.
pub(crate) fn bindings(settings: &str) -> Bindings {
    let mut site = serde_json::json!({
        "hosts": ["site.example"],
        "upstream": "https://origin.example",
        "sources": ["session", "sso_cookie", "query", "bearer"],
        "unauthenticated": "deny",
        "sso_cookie": {"name": "ls_auth_token"},
        "query": {"single_use": true, "user_switch": "confirm"},
    });
    let over: serde_json::Map<String, serde_json::Value> = serde_json::from_str(settings).unwrap();
    site.as_object_mut().unwrap().extend(over);
    Bindings::from([
        ("EDGEWARD_SESSION_SECRET_1".into(), SESSION.into()),
        ("EDGEWARD_TOKEN_SECRET_1".into(), TOKEN.into()),
        ("EDGEWARD_KEY_SECRET_1".into(), KEY.into()),
        ("EDGEWARD_SITE_APP".into(), site.to_string()),
    ])
}

/// A site with `settings` laid over the defaults.
pub(crate) fn site(settings: &str) -> Rc<Site> {
    crate::config::parse(&bindings(settings))
        .unwrap()
        .site("site.example", "https", "/")
        .unwrap()
}

/// The paths of all errors, each once, in their order.
pub(crate) fn paths(bindings: &Bindings) -> Vec<String> {
    let mut paths: Vec<String> = crate::config::parse(bindings)
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|error| error.path)
        .collect();
    paths.dedup();
    paths
}

fn without(name: &str) -> Bindings {
    let mut bindings = bindings("{}");
    assert!(bindings.remove(name).is_some());
    bindings
}

fn with(name: &str, value: &str) -> Bindings {
    let mut bindings = bindings("{}");
    bindings.insert(name.into(), value.into());
    bindings
}

#[test]
fn a_table_with_errors_is_reported_there_and_not_where_it_is_named() {
    let site = r#"{
        "issuers": ["id"], "own_tokens": false, "sources": ["session", "bearer"], "sso_cookie": null, "query": null,
        "unauthenticated": "login", "login": "provider", "providers": ["op"]
    }"#;
    let tenants = r#"{"own_tokens": false, "tenants": {"by": "claim", "groups": {"a": {"issuers": ["id"]}}}}"#;
    let tables = [
        (
            "EDGEWARD_ISSUER_ID",
            r#"{"issuer": "https://id.example", "audience": "app", "algorithms": ["RS256"], "jwks_url": "x"}"#,
        ),
        (
            "EDGEWARD_PROVIDER_OP",
            r#"{"preset": "oidc", "issuer": "https://op.example"}"#,
        ),
        (
            "EDGEWARD_GATEWAY",
            r#"{"hosts": ["login.example"], "passwords": false, "providers": ["op"]}"#,
        ),
    ];
    for settings in [site, tenants] {
        let settings: serde_json::Value = serde_json::from_str(settings).unwrap();
        let mut all = bindings("{}");
        let text = all.get_mut("EDGEWARD_SITE_APP").unwrap();
        let mut site: serde_json::Value = serde_json::from_str(text).unwrap();
        let members = site.as_object_mut().unwrap();
        members.extend(settings.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        *text = site.to_string();
        all.insert("EDGEWARD_PROVIDER_OP_SECRET".into(), SESSION.into());
        all.extend(tables.map(|(name, text)| (name.to_owned(), text.to_owned())));
        let expected = [
            "EDGEWARD_ISSUER_ID.jwks_url",
            "EDGEWARD_PROVIDER_OP.client_id",
        ];
        assert_eq!(paths(&all), expected, "{settings}");
        for (name, _) in tables.iter().take(2) {
            all.remove(*name);
        }
        let named: Vec<String> = paths(&all);
        assert!(
            named.iter().any(|path| path.ends_with(".issuers")),
            "{named:?}"
        );
        assert!(
            named.contains(&"EDGEWARD_GATEWAY.providers".to_owned()),
            "{named:?}"
        );
        assert!(
            !named
                .iter()
                .any(|path| path.ends_with("own_tokens") || path.ends_with("passwords")),
            "{named:?}"
        );
    }
}

#[test]
fn the_log_tells_of_paths_and_addresses_what_is_set() {
    let with = |global: &str| {
        let mut bindings = bindings("{}");
        bindings.insert("EDGEWARD".into(), global.into());
        crate::config::parse(&bindings)
    };
    let log = with(r#"{"log":"all","log_path":"none","log_address":"full"}"#)
        .unwrap()
        .log;
    let expected = (Log::All, LogPath::None, LogAddress::Full);
    assert_eq!((log.lines, log.path, log.address), expected);
    for (name, value) in [
        ("log_path", "\"whole\""),
        ("log_path", "true"),
        ("log_address", "\"/24\""),
        ("log_address", "0"),
    ] {
        let errors = with(&format!("{{\"{name}\":{value}}}")).unwrap_err();
        let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, [format!("EDGEWARD.{name}")], "{value}");
    }
}

#[test]
fn good_bindings_have_no_error_and_these_defaults() {
    let config = crate::config::parse(&bindings("{}")).unwrap();
    assert_eq!(
        (config.issuer.as_str(), config.user_cache, config.log.lines),
        ("edgeward", Seconds(30), Log::Notable)
    );
    assert_eq!(
        (config.log.path, config.log.address),
        (LogPath::Masked, LogAddress::Prefix)
    );
    let site = config.site("site.example", "https", "/").unwrap();
    assert_eq!(site.name, "app");
    assert_eq!(site.audience, "site.example");
    assert_eq!(site.host_header, crate::site::HostHeader::Rewrite);
    assert_eq!(
        (site.session.idle, site.session.absolute),
        (Seconds(28_800), Seconds(43_200))
    );
    assert_eq!(site.session.cookie, "__Host-edgeward");
    assert_eq!(
        (site.sso_token.lifetime, site.sso_token.max_lifetime),
        (Seconds(600), Seconds(900))
    );
    assert_eq!(site.sso_token.user_id_claim, "user_id");
    let query = site.query.as_ref().unwrap();
    assert_eq!(
        (query.parameter.as_str(), query.max_age),
        ("token", Seconds(300))
    );
    assert!(site.auto_create_users && site.assertion.is_none() && site.presets.is_empty());
    assert!(site.trusted_origins.is_empty() && site.frame_ancestors.is_empty());
}

#[test]
fn every_setting_can_be_set() {
    let settings = r#"{
        "hosts": ["App.Example.COM.", "localhost:8787"], "upstream": "http://10.0.0.1:8080/", "upstream_plaintext": true,
        "host_header": "preserve", "audience": "app", "sources": ["bearer", "query", "sso_cookie", "session"],
        "unauthenticated": "login", "login_url": "https://login.example/in?x=1", "return_parameter": "next",
        "logout_url": "http://localhost:3000/bye", "trusted_origins": ["https://A.example:443"],
        "frame_ancestors": ["https://portal.example"], "auto_create_users": false, "newer_sign_in": false,
        "session": {"cookie": "__Host-x", "same_site": "none", "partitioned": true, "idle": 60, "absolute": 2592000},
        "sso_token": {"lifetime": 10, "max_lifetime": 86400, "algorithm": "HS512", "user_id_claim": "uid", "unknown_user_status": 404},
        "sso_cookie": {"name": "t", "path": "/a", "domain": "example.com", "secure": true, "http_only": false, "same_site": "none", "partitioned": true},
        "query": {"parameter": "t", "max_age": 1, "single_use": false, "user_switch": "replace"},
        "identity_headers": ["x-forwarded", "remote"], "custom_headers": {"X-Id": "id", "x-all": "roles"},
        "assertion": {"header": "X-Proof", "audience": "app", "lifetime": 900},
        "upstream_credential": {"header": "X-Key", "secret": "ORIGIN_KEY"}
    }"#;
    let mut bindings = bindings(settings);
    bindings.insert("ORIGIN_KEY".into(), "Bearer abc".into());
    bindings.insert(
        "EDGEWARD".into(),
        r#"{"issuer": "us", "user_cache": 1, "log": "all"}"#.into(),
    );
    bindings.insert(
        "EDGEWARD_SESSION_SECRET_12".into(),
        "hT5rEw2qAz8xSc4vFd6bGn1mJk9lPo3i".into(),
    );
    let config = crate::config::parse(&bindings).unwrap();
    let site = config.site("app.example.com", "https", "/").unwrap();
    assert_eq!(site.hosts, ["app.example.com", "localhost:8787"]);
    assert_eq!(site.upstream.as_deref(), Some("http://10.0.0.1:8080"));
    assert_eq!(site.trusted_origins, ["https://a.example"]);
    assert_eq!(
        site.upstream_credential
            .as_ref()
            .map(|(h, v)| (h.as_str(), v.0.as_str())),
        Some(("x-key", "Bearer abc"))
    );
    assert_eq!(site.assertion.as_ref().unwrap().header, "x-proof");
    assert!(
        site.reserved.contains("x_id")
            && site.reserved.contains("X-Proof")
            && site.reserved.contains("x.key")
    );
    assert_eq!(config.keys.session.newest(), 12);
    assert!(!format!("{config:?}").contains("Bearer abc"));
}

/// As [`bindings`], and a `null` takes the default away.
fn bindings_of(settings: &str) -> Bindings {
    let mut bindings = bindings(settings);
    let text = bindings.get_mut("EDGEWARD_SITE_APP").unwrap();
    let mut site: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
    site.retain(|_, value| !value.is_null());
    *text = serde_json::Value::Object(site).to_string();
    bindings
}

#[test]
fn all_errors_are_reported_at_once() {
    let mut bindings = bindings_of(
        r#"{"hosts": ["a b"], "upstream": "x", "sources": null, "session": {"idle": 1, "x": 1}, "unauthenticated": null, "y": 2}"#,
    );
    bindings.insert(
        "EDGEWARD".into(),
        r#"{"issuer": "", "user_cache": 61, "log": "none", "z": 3}"#.into(),
    );
    bindings.insert(
        "EDGEWARD_SITE_B".into(),
        r#"{"hosts": "b", "upstream": 7}"#.into(),
    );
    bindings.insert("EDGEWARD_SITE_C".into(), "not json".into());
    bindings.insert("EDGEWARD_NEW".into(), "1".into());
    bindings.insert("EDGEWARD_TOKEN_SECRET_1".into(), "short".into());
    bindings.remove("EDGEWARD_KEY_SECRET_1");
    let mut found = paths(&bindings);
    found.sort();
    found.dedup();
    let mut expected = [
        "EDGEWARD.issuer",
        "EDGEWARD.log",
        "EDGEWARD.user_cache",
        "EDGEWARD.z",
        "EDGEWARD_KEY_SECRET_1",
        "EDGEWARD_NEW",
        "EDGEWARD_SITE_APP.hosts",
        "EDGEWARD_SITE_APP.session.idle",
        "EDGEWARD_SITE_APP.session.x",
        "EDGEWARD_SITE_APP.sources",
        "EDGEWARD_SITE_APP.unauthenticated",
        "EDGEWARD_SITE_APP.upstream",
        "EDGEWARD_SITE_APP.y",
        "EDGEWARD_SITE_B.hosts",
        "EDGEWARD_SITE_B.sources",
        "EDGEWARD_SITE_B.unauthenticated",
        "EDGEWARD_SITE_B.upstream",
        "EDGEWARD_SITE_C",
        "EDGEWARD_TOKEN_SECRET_1",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_site_that_takes_links_takes_sessions_or_is_told_to() {
    let site = |sources: &str| {
        let text = format!(r#"{{"sources": {sources}}}"#);
        crate::config::parse(&bindings_of(&text))
            .err()
            .unwrap_or_default()
    };
    for sources in [
        r#"["query"]"#,
        r#"["query", "bearer"]"#,
        r#"["sso_cookie", "query"]"#,
    ] {
        let errors = site(sources);
        assert_eq!(errors.len(), 1, "{sources}");
        assert_eq!(errors[0].path, "EDGEWARD_SITE_APP.sources");
        assert!(
            errors[0].error.contains("add \"session\""),
            "{}",
            errors[0].error
        );
    }
    assert!(site(r#"["query", "session"]"#).is_empty());
}

#[test]
fn a_name_that_looks_like_ours_and_is_no_setting_is_an_error() {
    for name in [
        "EDGEWARD_SITE_",
        "EDGEWARD_SITE_app",
        "EDGEWARD_SITE_A-B",
        "EDGEWARD_SESSION_SECRET",
        "EDGEWARD_SESSION_SECRET_",
        "EDGEWARD_SESSION_SECRET_0",
        "EDGEWARD_SESSION_SECRET_01",
        "EDGEWARD_SESSION_SECRET_+2",
        "EDGEWARD_SESSION_SECRET_x",
        "EDGEWARD_SESSION_SECRET_4294967296",
        "EDGEWARD_ASSERTION_SECRET_1",
        "EDGEWARD_KVX",
        "EDGEWARDS",
    ] {
        assert_eq!(paths(&with(name, "{}")), [name]);
    }
    for name in [
        "OTHER",
        "edgeward",
        "MY_EDGEWARD",
        "EDGEWARD_KV",
        "EDGEWARD_LIMIT",
    ] {
        assert_eq!(paths(&with(name, "x")), [""; 0], "{name}");
    }
}

#[test]
fn sec_13_and_14_a_missing_short_known_or_repeated_secret_is_an_error() {
    for kind in ["SESSION", "TOKEN", "KEY"] {
        let name = format!("EDGEWARD_{kind}_SECRET_1");
        assert_eq!(paths(&without(&name)), [name.as_str()]);
        let published = include_str!("published-secrets.txt")
            .lines()
            .next()
            .unwrap();
        for weak in ["", "short", "0123456789abcdef0123456789abcdef", published] {
            assert_eq!(paths(&with(&name, weak)), [name.as_str()], "{weak}");
        }
    }
    // One that signs sessions must not sign tokens, nor be its own successor.
    assert_eq!(
        paths(&with("EDGEWARD_TOKEN_SECRET_1", SESSION)),
        ["EDGEWARD_TOKEN_SECRET_1"]
    );
    assert_eq!(
        paths(&with("EDGEWARD_SESSION_SECRET_2", SESSION)),
        ["EDGEWARD_SESSION_SECRET_2"]
    );
    // A weak one beside a good one is an error all the same.
    assert_eq!(
        paths(&with("EDGEWARD_KEY_SECRET_7", "short")),
        ["EDGEWARD_KEY_SECRET_7"]
    );
}

#[test]
fn the_highest_number_signs_however_many_digits_it_has() {
    let mut bindings = with(
        "EDGEWARD_TOKEN_SECRET_9",
        "hT5rEw2qAz8xSc4vFd6bGn1mJk9lPo3i",
    );
    bindings.insert(
        "EDGEWARD_TOKEN_SECRET_10".into(),
        "yU7iOp2aSd9fGh4jKl6zXc1vBn8mQw3e".into(),
    );
    assert_eq!(
        crate::config::parse(&bindings).unwrap().keys.token.newest(),
        10
    );
}

#[test]
fn no_error_shows_the_value_of_a_secret() {
    let canary = "canary-canary";
    let mut bindings = with("EDGEWARD_SESSION_SECRET_1", canary);
    bindings.insert("EDGEWARD_TOKEN_SECRET_1".into(), canary.into());
    bindings.insert("ORIGIN_KEY".into(), format!("{canary}\n"));
    let site = bindings.get_mut("EDGEWARD_SITE_APP").unwrap();
    site.insert_str(
        1,
        r#""upstream_credential": {"header": "x-key", "secret": "ORIGIN_KEY"},"#,
    );
    let errors = crate::config::parse(&bindings).unwrap_err();
    assert_eq!(errors.len(), 3);
    assert!(!format!("{errors:?}").contains(canary), "{errors:?}");
}

#[test]
fn no_site_at_all_is_an_error() {
    assert_eq!(paths(&without("EDGEWARD_SITE_APP")).len(), 1);
}

#[test]
fn sec_36_a_host_is_found_in_every_form_that_clients_use_and_in_no_other() {
    let mut bindings = bindings(
        r#"{"hosts": ["Site.Example", "other.example:8443", "xn--bcher-kva.example", "127.0.0.1:8787", "[::1]:8787"]}"#,
    );
    let other = bindings["EDGEWARD_SITE_APP"].replace("Site.Example", "second.example");
    let other = other
        .replace("other.example:8443", "other.example")
        .replace("8787", "8788")
        .replace("xn--bcher", "xn--bchr");
    bindings.insert("EDGEWARD_SITE_SECOND".into(), other);
    let config = crate::config::parse(&bindings).unwrap();
    let name =
        |host: &str, scheme: &str| config.site(host, scheme, "/").map(|site| site.name.clone());
    for (host, scheme, expected) in [
        ("site.example", "https", Some("app")),
        ("SITE.EXAMPLE", "https", Some("app")),
        ("site.example.", "https", Some("app")),
        ("site.example:443", "https", Some("app")),
        ("Site.Example.:443", "https", Some("app")),
        ("site.example:80", "http", Some("app")),
        ("site.example", "http", Some("app")),
        ("site.example:", "https", Some("app")),
        ("site.example:80", "https", None),
        ("site.example:443", "http", None),
        ("site.example:8443", "https", None),
        ("other.example:8443", "https", Some("app")),
        ("OTHER.example.:8443", "https", Some("app")),
        ("other.example", "https", Some("second")),
        ("XN--Bcher-KVA.example", "https", Some("app")),
        ("bücher.example", "https", None),
        ("127.0.0.1:8787", "http", Some("app")),
        ("[::1]:8787", "http", Some("app")),
        ("[::1]:8788", "http", Some("second")),
        ("[::1]", "http", None),
        ("", "https", None),
        (".", "https", None),
        ("site.example..", "https", None),
        (".site.example", "https", None),
        ("site.example@evil.example", "https", None),
        ("evil.example", "https", None),
        ("sub.site.example", "https", None),
        ("site.example.evil.net", "https", None),
    ] {
        assert_eq!(name(host, scheme).as_deref(), expected, "{scheme} {host}");
    }
}

#[test]
fn a_host_belongs_to_one_site() {
    let mut bindings = bindings("{}");
    let twin = bindings["EDGEWARD_SITE_APP"].replace("site.example", "SITE.example.");
    bindings.insert("EDGEWARD_SITE_TWIN".into(), twin);
    let errors = crate::config::parse(&bindings).unwrap_err();
    let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
    // Its audience is its first host, if nothing else is said.
    assert_eq!(
        paths,
        ["EDGEWARD_SITE_TWIN.audience", "EDGEWARD_SITE_TWIN.hosts"]
    );
    assert!(
        errors[1].error.contains("belongs to site app"),
        "{}",
        errors[1].error
    );
}

#[test]
fn each_header_of_custom_headers_has_its_own_error() {
    let headers = r#"{"custom_headers": {"x-forwarded-email": "mail", "x-forwarded-user": "sub", "x-id": "id"}, "hosts": ["https://a.example"]}"#;
    let found = paths(&bindings(headers));
    for header in ["x-forwarded-email", "x-forwarded-user"] {
        let path = format!("EDGEWARD_SITE_APP.custom_headers.{header}");
        assert!(found.contains(&path), "{found:?}");
    }
    assert!(
        !found.iter().any(|path| path.ends_with("x-id")),
        "{found:?}"
    );
    assert!(
        found.contains(&"EDGEWARD_SITE_APP.hosts".to_owned()),
        "{found:?}"
    );
}
