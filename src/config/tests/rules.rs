use super::*;

/// One rule, and where its error is below `rules.1`.
const BAD: [(&str, &str); 55] = [
    (r"{}", ".require"),
    (r#""x""#, ""),
    (r#"{"public": true, "deny": true}"#, ""),
    (r#"{"public": true, "require": {"role": "x"}}"#, ""),
    (r#"{"public": true, "anonymous_ok": true}"#, ""),
    (r#"{"deny": true, "require": {"role": "x"}}"#, ""),
    (r#"{"public": false}"#, ".public"),
    (r#"{"require": {}}"#, ".require"),
    (r#"{"require": {"rule": "x"}}"#, ".require.rule"),
    (r#"{"require": {"role": []}}"#, ".require.role"),
    (r#"{"require": {"role": " a"}}"#, ".require.role"),
    (r#"{"require": {"role": ["a", 1]}}"#, ".require.role"),
    (
        r#"{"require": {"authenticated": false}}"#,
        ".require.authenticated",
    ),
    (r#"{"require": {"scope": ""}}"#, ".require.scope"),
    (r#"{"require": {"access": "delte:a"}}"#, ".require.access"),
    (r#"{"require": {"claim": "a"}}"#, ".require.claim"),
    (r#"{"require": {"claim": {}}}"#, ".require.claim.path"),
    (
        r#"{"require": {"claim": {"path": "a..b"}}}"#,
        ".require.claim.path",
    ),
    (
        r#"{"require": {"claim": {"path": "a", "is": 1}}}"#,
        ".require.claim.is",
    ),
    (
        r#"{"require": {"email_domain": "a@b.c"}}"#,
        ".require.email_domain",
    ),
    (
        r#"{"require": {"email_domain": "@b.c"}}"#,
        ".require.email_domain",
    ),
    (
        r#"{"require": {"network": "192.0.2.1/24"}}"#,
        ".require.network",
    ),
    (r#"{"require": {"network": "office"}}"#, ".require.network"),
    (r#"{"require": {"country": "Germany"}}"#, ".require.country"),
    (r#"{"require": {"country": "XX"}}"#, ".require.country"),
    (r#"{"require": {"amr": "passkey"}}"#, ".require.amr"),
    (r#"{"require": {"amr": []}}"#, ".require.amr"),
    (r#"{"require": {"amr": "provider:none"}}"#, ".require.amr"),
    (r#"{"require": {"amr": "issuer:x"}}"#, ".require.amr"),
    (r#"{"require": {"max_age": 59}}"#, ".require.max_age"),
    (r#"{"require": {"max_age": 2592001}}"#, ".require.max_age"),
    (r#"{"require": {"max_age": "60"}}"#, ".require.max_age"),
    (r#"{"require": {"not": {"max_age": 60}}}"#, ".require.not"),
    (
        r#"{"require": {"not": {"any": [{"role": "a"}, {"max_age": 60}]}}}"#,
        ".require.not",
    ),
    (r#"{"require": {"not": {}}}"#, ".require.not"),
    (r#"{"require": {"not": []}}"#, ".require.not"),
    (r#"{"require": {"any": []}}"#, ".require.any"),
    (
        r#"{"require": {"any": [{"role": "a"}, {"x": 1}]}}"#,
        ".require.any.2.x",
    ),
    (
        r#"{"require": {"all": [{"role": "a"}, 7]}}"#,
        ".require.all.2",
    ),
    (
        r#"{"anonymous_ok": true, "require": {"role": 1}}"#,
        ".require.role",
    ),
    (r#"{"public": true, "host": "other.example"}"#, ".host"),
    (r#"{"public": true, "method": "get"}"#, ".method"),
    (r#"{"public": true, "method": []}"#, ".method"),
    (r#"{"public": true, "path": "a"}"#, ".path"),
    (r#"{"public": true, "path": "/a/*"}"#, ".path"),
    (r#"{"public": true, "path": "/a?x"}"#, ".path"),
    (r#"{"public": true, "prefix": "/a/"}"#, ".prefix"),
    (r#"{"public": true, "prefix": "/a/../b"}"#, ".prefix"),
    (r#"{"public": true, "glob": "/a**"}"#, ".glob"),
    (r#"{"public": true, "glob": ["/a", "/b//c"]}"#, ".glob"),
    (r#"{"public": true, "preflight": "yes"}"#, ".preflight"),
    (
        r#"{"deny": true, "unauthorised": "login"}"#,
        ".unauthorised",
    ),
    (
        r#"{"deny": true, "unauthenticated": "404"}"#,
        ".unauthenticated",
    ),
    (r#"{"deny": true, "unauthorized": "deny"}"#, ".unauthorized"),
    (r#"{"deny": true, "paths": ["/"]}"#, ".paths"),
];

#[test]
fn each_wrong_rule_is_named_by_its_path() {
    for (rule, place) in BAD {
        let found = paths(&bindings_of(&format!(r#"{{"rules": [{rule}]}}"#)));
        assert_eq!(
            found,
            [format!("EDGEWARD_SITE_APP.rules.1{place}")],
            "{rule}"
        );
    }
}

#[test]
fn all_errors_of_all_rules_are_reported_at_once() {
    let found = paths(&bindings_of(
        r#"{"rules": [
            {"public": true, "path": "a", "method": "x y", "z": 1},
            {"public": true},
            {"require": {"role": "", "any": [{}, {"network": "x"}]}},
            5
        ]}"#,
    ));
    let expected = [
        "1.z",
        "1.method",
        "1.path",
        "3.require.role",
        "3.require.any.1",
        "3.require.any.2.network",
        "4",
    ];
    assert_eq!(
        found,
        expected.map(|place| format!("EDGEWARD_SITE_APP.rules.{place}"))
    );
}

#[test]
fn requirements_have_a_depth_and_a_number() {
    let nested = |depth: usize| {
        let inner = (1..depth).fold(r#"{"role": "x"}"#.to_owned(), |inner, _| {
            format!(r#"{{"not": {inner}}}"#)
        });
        paths(&bindings_of(&format!(
            r#"{{"rules": [{{"require": {inner}}}]}}"#
        )))
    };
    assert_eq!(nested(8), [""; 0]);
    assert_eq!(nested(9).len(), 1);
    let many = |count: usize| {
        let roles = vec![r#"{"role": "x"}"#; count].join(", ");
        paths(&bindings_of(&format!(
            r#"{{"rules": [{{"require": {{"any": [{roles}]}}}}]}}"#
        )))
    };
    assert_eq!(many(99), [""; 0]);
    assert_eq!(many(101).len(), 1);
}

#[test]
fn a_site_has_rules_or_says_what_happens_without() {
    assert_eq!(
        paths(&bindings_of(r#"{"unauthenticated": null}"#)),
        ["EDGEWARD_SITE_APP.unauthenticated"]
    );
    let without = bindings_of(r#"{"unauthenticated": null, "rules": [{"public": true}]}"#);
    assert_eq!(paths(&without), [""; 0]);
    // An empty list of rules denies everyone.
    assert_eq!(
        paths(&bindings_of(r#"{"unauthenticated": null, "rules": []}"#)),
        [""; 0]
    );
    let pass = bindings_of(r#"{"unauthenticated": "pass", "rules": [{"public": true}]}"#);
    assert_eq!(paths(&pass), ["EDGEWARD_SITE_APP.unauthenticated"]);
    let login = bindings_of(r#"{"unauthenticated": "login", "rules": [{"public": true}]}"#);
    assert_eq!(paths(&login), ["EDGEWARD_SITE_APP.login_url"]);
}

#[test]
fn rules_may_have_bindings_of_their_own_which_go_on_by_number() {
    let rules = r#"[{"deny": true, "path": "/a"}]"#;
    let with = |names: &[&str], settings: &str| {
        let mut bindings = bindings_of(settings);
        for name in names {
            bindings.insert((*name).into(), rules.into());
        }
        bindings
    };
    let bindings = with(
        &[
            "EDGEWARD_RULES_APP",
            "EDGEWARD_RULES_APP__2",
            "EDGEWARD_RULES_APP__3",
        ],
        r#"{"unauthenticated": null}"#,
    );
    let config = crate::config::parse(&bindings).unwrap();
    let site = config.site("site.example", "https", "/").unwrap();
    let numbers: Vec<u16> = site.rules.iter().map(|rule| rule.number).collect();
    assert_eq!(numbers, [1, 2, 3, 0]);
    for (names, settings, error) in [
        (&["EDGEWARD_RULES_OTHER"][..], "{}", "EDGEWARD_RULES_OTHER"),
        (&["EDGEWARD_RULES_"], "{}", "EDGEWARD_RULES_"),
        (&["EDGEWARD_RULES_APP__2"], "{}", "EDGEWARD_RULES_APP__2"),
        (
            &["EDGEWARD_RULES_APP", "EDGEWARD_RULES_APP__3"],
            "{}",
            "EDGEWARD_RULES_APP__3",
        ),
        (
            &["EDGEWARD_RULES_APP", "EDGEWARD_RULES_APP__1"],
            "{}",
            "EDGEWARD_RULES_APP__1",
        ),
        (
            &["EDGEWARD_RULES_APP"],
            r#"{"rules": []}"#,
            "EDGEWARD_SITE_APP.rules",
        ),
    ] {
        assert_eq!(paths(&with(names, settings)), [error]);
    }
    for (text, error) in [
        ("{}", "EDGEWARD_RULES_APP"),
        ("x", "EDGEWARD_RULES_APP"),
        (r#"[{"public": true}, {}]"#, "EDGEWARD_RULES_APP.2.require"),
    ] {
        let mut bindings = bindings_of("{}");
        bindings.insert("EDGEWARD_RULES_APP".into(), text.into());
        assert_eq!(paths(&bindings), [error], "{text}");
    }
}

#[test]
fn cors_names_origins_and_never_everybody() {
    for (cors, place) in [
        (r"{}", "cors.origins"),
        (r#"{"origins": [], "credentials": true}"#, "cors.origins"),
        (
            r#"{"origins": ["*"], "credentials": false}"#,
            "cors.origins",
        ),
        (
            r#"{"origins": ["null"], "credentials": false}"#,
            "cors.origins",
        ),
        (
            r#"{"origins": ["https://a.example/"], "credentials": "x"}"#,
            "cors.credentials",
        ),
        (r#"{"origins": ["https://a.example"]}"#, "cors.credentials"),
        (
            r#"{"origins": ["https://a.example"], "credentials": true, "headers": ["*"]}"#,
            "cors.headers",
        ),
        (
            r#"{"origins": ["https://a.example"], "credentials": true, "methods": ["A B"]}"#,
            "cors.methods",
        ),
        (
            r#"{"origins": ["https://a.example"], "credentials": true, "expose": ["a\nb"]}"#,
            "cors.expose",
        ),
        (
            r#"{"origins": ["https://a.example"], "credentials": true, "max_age": 86401}"#,
            "cors.max_age",
        ),
        (
            r#"{"origins": ["https://a.example"], "credentials": true, "x": 1}"#,
            "cors.x",
        ),
    ] {
        let found = paths(&bindings_of(&format!(r#"{{"cors": {cors}}}"#)));
        assert_eq!(
            found.first().map(String::as_str),
            Some(&*format!("EDGEWARD_SITE_APP.{place}")),
            "{cors}"
        );
    }
}

#[test]
fn a_requirement_that_no_issuer_can_meet_is_noted_and_no_error() {
    let bindings = bindings_of(
        r#"{"rules": [
            {"require": {"role": "x"}},
            {"require": {"any": [{"scope": "x"}, {"role": "x"}]}},
            {"require": {"role": "x", "tenant": "acme", "workspace": "w"}},
            {"require": {"claim": {"path": "a"}}}
        ]}"#,
    );
    let config = crate::config::parse(&bindings).unwrap();
    let notes: Vec<(&str, bool)> = config
        .notes
        .iter()
        .map(|note| (&*note.path, note.error.contains("nobody can meet it")))
        .collect();
    let noted = |number| (number, true);
    assert_eq!(
        notes,
        [
            noted("EDGEWARD_SITE_APP.rules.3"),
            noted("EDGEWARD_SITE_APP.rules.3"),
            noted("EDGEWARD_SITE_APP.rules.4")
        ]
    );
}
