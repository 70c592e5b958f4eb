use serde_json::{Map, Value, json};

use super::*;
use crate::config::tests::{bindings, site};
use crate::site::Site;

const NOBODY: Option<Subject<'static>> = None;

/// The decision of a site's rules for a caller with `roles`, or for an anonymous one.
fn evaluated(
    site: &Site,
    method: &str,
    path: &str,
    roles: Option<&[&str]>,
) -> (u16, Result<(), Failing>) {
    let path = RequestPath::parse(path).unwrap();
    let asked = Asked {
        method,
        ..Asked::of_our_own("site.example", &path)
    };
    let rule = site.rules.rule_for(&asked);
    let claims = Map::new();
    let roles: Option<Vec<Role>> = roles.map(|names| {
        names
            .iter()
            .map(|name| Role::parse(name).unwrap())
            .collect()
    });
    let subject = roles.as_ref().map(|roles| Subject {
        email: Some("ada@example.com"),
        roles,
        scopes: &[],
        claims: Reading::from(&claims),
        tenant: None,
        workspace: None,
        issuer: "",
        methods: &[],
        age: None,
    });
    let verdict = evaluate(rule, &asked, subject.as_ref());
    (rule.number, verdict.map_err(|refusal| refusal.failing))
}

#[test]
fn the_first_rule_that_matches_decides_and_no_other_is_asked() {
    let site = site(
        r#"{"unauthenticated": "deny", "rules": [
            {"prefix": "/static", "public": true},
            {"path": "/admin", "method": "GET", "require": {"role": "admin"}},
            {"prefix": "/admin", "deny": true},
            {"glob": "/**/*.html", "anonymous_ok": true},
            {"prefix": "/", "method": ["GET", "POST"], "require": {"authenticated": true}}
        ]}"#,
    );
    for (method, path, roles, expected) in [
        ("GET", "/static/a.js", None, (1, Ok(()))),
        ("GET", "/admin", None, (2, Err(Failing::SignIn))),
        ("GET", "/admin", Some(&["admin"][..]), (2, Ok(()))),
        (
            "GET",
            "/admin",
            Some(&[][..]),
            (2, Err(Failing::Requirement("role"))),
        ),
        ("HEAD", "/admin", Some(&["admin"][..]), (2, Ok(()))),
        (
            "POST",
            "/admin",
            Some(&["admin"][..]),
            (3, Err(Failing::Denied)),
        ),
        ("GET", "/admin/x.html", None, (3, Err(Failing::Denied))),
        ("DELETE", "/x.html", None, (4, Ok(()))),
        ("GET", "/x", None, (5, Err(Failing::SignIn))),
        ("POST", "/x", Some(&[][..]), (5, Ok(()))),
        ("PUT", "/x", Some(&["admin"][..]), (0, Err(Failing::Denied))),
        ("PUT", "/x", None, (0, Err(Failing::SignIn))),
        ("get", "/x", Some(&["admin"][..]), (0, Err(Failing::Denied))),
    ] {
        assert_eq!(
            evaluated(&site, method, path, roles),
            expected,
            "{method} {path} {roles:?}"
        );
    }
}

/// The rule of a request without credentials, or why its path is refused.
fn asked(site: &Site, path: &str) -> Result<u16, String> {
    let url = format!("https://site.example{path}");
    let parts = crate::http::request::Parts::new("GET", &url, &[]).unwrap();
    let (path, endpoint) =
        crate::ask::route::resolve(site, parts.path()).map_err(|denial| denial.reason())?;
    assert_eq!(endpoint, None);
    crate::ask::asked::asked(site, &parts, "site.example", &path)
        .map(|(_, rule)| rule.number)
        .map_err(|denial| denial.reason())
}

const ADMIN_AND_REST: &str = r#""unauthenticated": "deny", "rules": [
    {"prefix": "/a:b", "require": {"role": "admin"}},
    {"prefix": "/static", "public": true},
    {"prefix": "/", "anonymous_ok": true}
]"#;

#[test]
fn sec_33_no_spelling_of_a_path_gets_past_its_rule() {
    let site = site(&format!("{{{ADMIN_AND_REST}}}"));
    for path in [
        "/a:b",
        "/a%3Ab",
        "/a%3ab/x",
        "/./a:b",
        "/x/../a:b",
        "/a:b/.",
        "/%2e/a%3Ab",
        "/x/%2E%2e/a:b/",
        "/a:b//x",
        "/a:b/%2fx",
        "/a:b/;x",
        "/a:b/x%252Fy",
        "/a:b/caf%E9",
    ] {
        assert_eq!(asked(&site, path), Ok(1), "{path}");
    }
    for path in [
        "/a:bc", "/x", "/", "/a", "/x/a:b", "/x%2fy", "/x;y", "//x", "/x.",
    ] {
        assert_eq!(asked(&site, path), Ok(3), "{path}");
    }
    for (path, one, other) in [
        ("//a:b", 3, 1),
        ("/%61:b", 3, 1),
        ("/x/..%2fa:b", 3, 1),
        ("/;/a:b", 3, 1),
        ("/x/..;/a:b", 3, 1),
        ("/a%253Ab", 3, 1),
        ("/a:b;x", 3, 1),
        ("/a:b%2fx", 3, 1),
        ("/a:b\\x", 3, 1),
        ("/a:b.", 3, 1),
        ("/a:b%20", 3, 1),
        ("/a:b/..%2fx", 1, 3),
        ("/%C0%AFa:b", 3, 1),
        ("/static/..%2fa:b", 2, 1),
        ("/static/..;/x", 2, 3),
        ("/static/%2e%2e%2fx", 2, 3),
        ("/%73tatic/x", 3, 2),
    ] {
        let expected =
            format!("servers read the path in different ways: rule {one}, or rule {other}");
        assert_eq!(asked(&site, path), Err(expected), "{path}");
    }
    for path in ["/a:b%00", "/a:b%zz", "/a:b%2500"] {
        assert!(asked(&site, path).is_err(), "{path}");
    }
}

#[test]
fn strict_paths_are_those_that_all_servers_read_alike() {
    let site = site(&format!(r#"{{"paths": "strict", {ADMIN_AND_REST}}}"#));
    for path in ["/a:b", "/a%3Ab", "/%61:b", "//a:b", "/x/../a:b", "/a:b."] {
        let expected = if path == "/a:b." { 3 } else { 1 };
        assert_eq!(asked(&site, path), Ok(expected), "{path}");
    }
    for path in [
        "/a:b%2fx", "/a:b\\x", "/a:b;x", "/x;y", "/a%253Ab", "/a:b%00", "/a:b%zz", "/%c0%aea",
        "/caf%E9",
    ] {
        assert!(asked(&site, path).is_err(), "{path}");
    }
}

#[test]
fn sec_33_where_the_origin_ignores_case_no_case_gets_past_a_rule() {
    let rules = r#""unauthenticated": "deny", "rules": [
        {"prefix": ["/Admin", "/%58y%7A"], "deny": true},
        {"glob": "/**/*.HTML", "public": true},
        {"prefix": "/kit", "public": true}
    ]"#;
    let ignoring = site(&format!(r#"{{"path_case": "ignored", {rules}}}"#));
    for (path, expected) in [
        ("/admin", 1),
        ("/ADMIN/x", 1),
        ("/xYz", 1),
        ("/a/\u{c9}T\u{e9}.HTML", 2),
        ("/a/b.html", 2),
        ("/a/B.Html", 2),
        ("/KIT/x", 3),
        ("/other", 0),
    ] {
        assert_eq!(asked(&ignoring, path), Ok(expected), "{path}");
    }
    // Only some servers take the sign of the unit Kelvin for a k, and a dotless i for an i.
    for path in ["/\u{212A}it", "/k\u{131}t", "/adm\u{131}n"] {
        assert!(asked(&ignoring, path).is_err(), "{path}");
    }
    let usual = site(&format!("{{{rules}}}"));
    assert_eq!(asked(&usual, "/Admin"), Ok(1));
    assert_eq!(asked(&usual, "/admin"), Ok(0));
}

#[test]
fn a_pattern_beyond_ascii_is_an_error_where_the_origin_ignores_case() {
    let errors = |case: &str, prefix: &str| {
        let rules = json!([{"prefix": prefix, "deny": true}]);
        let settings = json!({"path_case": case, "unauthenticated": "deny", "rules": rules});
        crate::config::tests::paths(&crate::config::tests::bindings(&settings.to_string()))
    };
    for prefix in ["/\u{e9}", "/%C3%A9", "/\u{212A}"] {
        assert_eq!(
            errors("ignored", prefix),
            ["EDGEWARD_SITE_APP.rules.1.prefix"]
        );
        assert!(errors("matters", prefix).is_empty());
    }
}

#[test]
fn sec_36_a_rule_of_one_host_is_for_that_host() {
    let site = site(
        r#"{"hosts": ["Site.Example", "other.example:8443"], "unauthenticated": "deny", "rules": [
            {"host": "SITE.example.", "public": true},
            {"host": "other.example:8443", "deny": true}
        ]}"#,
    );
    let path = RequestPath::parse("/").unwrap();
    for (authority, number) in [
        ("site.example", 1),
        ("SITE.EXAMPLE", 1),
        ("site.example.", 1),
        ("Site.Example:443", 1),
        ("OTHER.example.:8443", 2),
    ] {
        let parts =
            crate::http::request::Parts::new("GET", &format!("https://{authority}/"), &[]).unwrap();
        let host = crate::ask::asked::host(&site, &parts);
        let (_, rule) = crate::ask::asked::asked(&site, &parts, &host, &path).unwrap();
        assert_eq!(rule.number, number, "{authority}");
    }
}

#[test]
fn sec_39_a_preflight_passes_only_where_the_rule_of_what_it_announces_says_so() {
    let site = site(
        r#"{"unauthenticated": "deny", "rules": [
            {"prefix": "/api", "method": "POST", "preflight": true, "require": {"role": "admin"}},
            {"prefix": "/api", "require": {"authenticated": true}}
        ]}"#,
    );
    let passes = |path: &str, announced: Option<&str>| {
        let mut headers = vec![("origin", "https://spa.example")];
        headers.extend(announced.map(|method| ("access-control-request-method", method)));
        let url = format!("https://site.example{path}");
        let parts = crate::http::request::Parts::new("OPTIONS", &url, &headers).unwrap();
        let path = RequestPath::parse(path).unwrap();
        let host = crate::ask::asked::host(&site, &parts);
        let (asked, rule) = crate::ask::asked::asked(&site, &parts, &host, &path).unwrap();
        crate::access::grant::decide(
            rule,
            &asked,
            None,
            crate::platform::time::Timestamp::from_seconds(0),
        )
        .is_ok()
    };
    assert!(passes("/api/x", Some("POST")));
    for (path, announced) in [
        ("/api/x", Some("DELETE")),
        ("/api/x", Some("GET")),
        ("/api/x", None),
        ("/api/x", Some("")),
        ("/other", Some("POST")),
    ] {
        assert!(!passes(path, announced), "{path} {announced:?}");
    }
}

#[test]
fn anonymous_ok_with_a_requirement_asks_everybody_the_same() {
    let site = site(
        r#"{"unauthenticated": "deny", "rules": [
            {"prefix": "/office", "anonymous_ok": true, "require": {"network": "192.0.2.0/24"}},
            {"prefix": "/either", "anonymous_ok": true, "require": {"any": [{"network": "192.0.2.0/24"}, {"role": "admin"}]}},
            {"prefix": "/foreign", "anonymous_ok": true, "require": {"not": {"country": "DE"}}}
        ]}"#,
    );
    let ask = |path: &str, address: Option<&str>, country: Option<&str>| {
        let path = RequestPath::parse(path).unwrap();
        let asked = Asked {
            address: address.map(|text| text.parse().unwrap()),
            country,
            method: "GET",
            ..Asked::of_our_own("site.example", &path)
        };
        evaluate(site.rules.rule_for(&asked), &asked, NOBODY.as_ref())
            .map_err(|refusal| refusal.failing)
    };
    assert_eq!(ask("/office", Some("192.0.2.1"), None), Ok(()));
    assert_eq!(
        ask("/office", Some("192.0.3.1"), None),
        Err(Failing::Requirement("network"))
    );
    assert_eq!(
        ask("/office", None, None),
        Err(Failing::Requirement("network"))
    );
    assert_eq!(ask("/either", Some("192.0.2.1"), None), Ok(()));
    // Signing in can help here.
    assert_eq!(
        ask("/either", Some("192.0.3.1"), None),
        Err(Failing::SignIn)
    );
    assert_eq!(ask("/foreign", None, Some("FR")), Ok(()));
    assert_eq!(
        ask("/foreign", None, None),
        Err(Failing::Requirement("not"))
    );
    assert!(site.rules.reads_client());
}

#[test]
fn what_is_missing_is_named_by_its_requirement() {
    let site = site(
        r#"{"unauthenticated": "deny", "rules": [
            {"require": {"role": "admin", "scope": "files", "tenant": ["acme"]}}
        ]}"#,
    );
    assert_eq!(
        evaluated(&site, "GET", "/", Some(&[])).1,
        Err(Failing::Requirement("role"))
    );
    assert_eq!(
        evaluated(&site, "GET", "/", Some(&["admin"])).1,
        Err(Failing::Requirement("scope"))
    );
}

#[test]
fn an_explanation_tells_each_requirement_and_no_value_of_a_claim() {
    let site = site(
        r#"{"unauthenticated": "deny", "rules": [
            {"path": "/x", "public": true},
            {"method": "POST", "deny": true},
            {"name": "gold", "require": {"role": "admin", "any": [{"claim": {"path": "a.plan", "value": "gold-canary"}}, {"network": "192.0.2.0/24"}]}}
        ]}"#,
    );
    let path = RequestPath::parse("/").unwrap();
    let asked = Asked {
        method: "GET",
        ..Asked::of_our_own("site.example", &path)
    };
    let claims = json!({"a": {"plan": "tin-canary"}});
    let roles = [Role::parse("admin").unwrap()];
    let subject = Subject {
        email: Some("canary@example.com"),
        roles: &roles,
        scopes: &[],
        claims: Reading::from(claims.as_object().unwrap()),
        tenant: None,
        workspace: None,
        issuer: "",
        methods: &[],
        age: None,
    };
    let told = Value::Object(explain(&site.rules, &asked, Some(&subject)));
    assert_eq!(
        (&told["rule"], &told["name"], &told["granted"]),
        (&json!(3), &json!("gold"), &json!(false))
    );
    assert_eq!(told["refusal"], json!("rule 3: requirement any is not met"));
    assert_eq!(
        told["passed_over"][0],
        json!({"rule": 1, "name": null, "because": "it is for other paths"})
    );
    assert_eq!(
        told["passed_over"][1]["because"],
        json!("it is for other methods")
    );
    let all = &told["requirements"]["within"];
    assert_eq!(
        (&all[0]["requirement"], &all[0]["held"]),
        (&json!("role admin"), &json!(true))
    );
    let any = &all[1]["within"];
    assert_eq!(any[0]["because"], json!("the claim has another value"));
    assert_eq!(
        (&any[1]["held"], &any[1]["because"]),
        (&json!(null), &json!("the client's address is not known"))
    );
    assert!(!told.to_string().contains("canary"), "{told}");
    let nobody = explain(&site.rules, &asked, None);
    assert_eq!(nobody["refusal"], json!("rule 3 requires signing in"));
}

/// The number of steps that the rules of `site` take for `path`.
fn steps(site: &Site, path: &RequestPath<'_>) -> usize {
    let taken = std::cell::Cell::new(0);
    for pattern in site.rules.iter().flat_map(|rule| &rule.paths) {
        let counted = path.reading().iter().copied();
        let counted = counted.inspect(|_| taken.set(taken.get() + 1));
        assert!(!pattern.matches_bytes(counted), "{path:?}");
    }
    taken.get()
}

/// `globs` globs that stay active over any path, in rules of `each`.
fn heavy(globs: usize, each: usize) -> String {
    let one = |n: usize| format!("/**/*a*b*{}/**/*c*d{n}", "x*".repeat(40));
    let all: Vec<String> = (0..globs).map(one).collect();
    let rules: Vec<Value> = all
        .chunks(each)
        .map(|globs| json!({"glob": globs, "require": {"authenticated": true}}))
        .collect();
    json!({"unauthenticated": "deny", "rules": rules}).to_string()
}

#[test]
fn sec_78_the_heaviest_rules_that_are_legal_take_a_bounded_number_of_steps() {
    for (globs, each) in [(1, 1), (32, 1), (200, 1), (MAX_GLOBS, 100)] {
        let site = site(&heavy(globs, each));
        let length = 16 * 1024;
        let longest = (1..=length)
            .rev()
            .find(|length| {
                let text = format!("/{}", "a".repeat(length - 1));
                site.rules
                    .can_judge(&RequestPath::parse_strictly(&text).unwrap())
            })
            .unwrap();
        assert!(longest >= 2048, "{globs}: {longest}");
        for filling in ["a", "a/", "x/", "b%3A", "xa"] {
            let times = (longest - 1) / filling.len();
            let text = format!("/{}", filling.repeat(times));
            let path = RequestPath::parse_strictly(&text).unwrap();
            assert!(site.rules.can_judge(&path));
            let steps = steps(&site, &path);
            assert!(steps <= 1 << 19, "{globs} {filling}: {steps}");
            // All globs are active to the end: this is the worst case.
            assert!(steps >= globs * (longest / 4), "{globs} {filling}: {steps}");
        }
    }
}

#[test]
fn sec_78_a_path_too_long_to_be_judged_is_one_that_no_rule_is_for() {
    let site = site(
        &json!({"unauthenticated": "deny", "rules": [
            {"glob": vec!["/**/x"; MAX_GLOBS], "deny": true},
            {"public": true},
        ]})
        .to_string(),
    );
    let asked = |length: usize| {
        let path = format!("/{}", "a".repeat(length - 1));
        let path = RequestPath::parse(&path).unwrap();
        let asked = Asked::of_our_own("site.example", &path);
        (
            site.rules.can_judge(&path),
            site.rules.rule_for(&asked).number,
        )
    };
    assert_eq!(asked(2048), (true, 2));
    assert_eq!(asked(2049), (false, 0));
}

#[test]
fn sec_78_more_globs_and_longer_paths_than_can_be_tried_are_an_error() {
    let errors = |rules: Value| {
        let settings = json!({"unauthenticated": "deny", "rules": rules}).to_string();
        crate::config::tests::paths(&crate::config::tests::bindings(&settings))
    };
    let globs = |many: usize| json!([{"glob": vec!["/**/x"; many], "public": true}]);
    assert!(errors(globs(MAX_GLOBS)).is_empty());
    assert_eq!(errors(globs(MAX_GLOBS + 1)), ["EDGEWARD_SITE_APP.rules"]);
    let prefixes = |many: usize| {
        let long = format!("/{}", "a".repeat(1022));
        json!([{"prefix": vec![long; many], "public": true}])
    };
    assert!(errors(prefixes(256)).is_empty());
    assert_eq!(errors(prefixes(257)), ["EDGEWARD_SITE_APP.rules"]);
}

#[test]
fn explain_tells_how_and_when_somebody_would_have_to_have_signed_in() {
    let mut all =
        bindings(r#"{"rules": [{"require": {"amr": ["passkey", "password"], "max_age": 60}}]}"#);
    let gateway = r#"{"hosts": ["login.example"]}"#;
    all.insert("EDGEWARD_GATEWAY".into(), gateway.into());
    let config = crate::config::parse(&all).unwrap();
    let site = config.site("site.example", "https", "/").unwrap();
    let path = RequestPath::parse("/").unwrap();
    let asked = Asked {
        method: "GET",
        ..Asked::of_our_own("site.example", &path)
    };
    let told = |methods: &[&str], age: Option<u32>| {
        let methods: Vec<String> = methods.iter().map(|one| (*one).to_owned()).collect();
        let subject = Subject {
            email: None,
            roles: &[],
            scopes: &[],
            claims: Reading::default(),
            tenant: None,
            workspace: None,
            issuer: "edgeward",
            methods: &methods,
            age: age.map(Seconds),
        };
        let told = Value::Object(explain(&site.rules, &asked, Some(&subject)));
        let within = &told["requirements"]["within"];
        let because = |index: usize| within[index]["because"].as_str().unwrap().to_owned();
        (told["granted"] == json!(true), because(0), because(1))
    };
    let unknown = (
        false,
        "it is not known how the caller has signed in".to_owned(),
        "it is not known when the caller has signed in".to_owned(),
    );
    assert_eq!(told(&[], None), unknown);
    let other = (
        false,
        "the caller has signed in otherwise".to_owned(),
        "the caller has signed in before that".to_owned(),
    );
    assert_eq!(told(&["link"], Some(60)), other);
    let good = (
        true,
        "the caller has signed in by one of them".to_owned(),
        "the caller has signed in since then".to_owned(),
    );
    assert_eq!(told(&["passkey"], Some(59)), good);
}
