//! Rules from the configuration to what becomes of a request.

use edgeward::answer::event::EventKind;
use edgeward::jose::jws::Kind;
use edgeward::model::api_token::Scope;
use serde_json::{Value, json};

use crate::harness::request::{get, open, req};
use crate::harness::{Edge, Isolate, OWN, SSO, tampered};

const LOGIN: &str = "https://login.example/in";

fn edge(rules: &Value) -> Edge {
    Edge::new(&json!({"rules": rules, "login_url": LOGIN}))
}

/// Signs a user in who has `roles`; gives the session's cookie.
fn person(edge: &Edge, isolate: &Isolate, email: &str, roles: &Value) -> String {
    let admin = edge.api_token(&[Scope::Admin]);
    let body = json!({"email": email, "roles": roles});
    let (status, answer) = isolate.admin(&admin, "POST", "/api/sso/users", &body);
    assert_eq!(status, 201, "{answer}");
    // By a link: it opens the session before any rule is asked.
    let link = format!("/?token={}", isolate.issue(&admin, email));
    isolate.send(&open(&link)).session().expect("a session")
}

#[test]
fn each_request_goes_by_the_first_rule_that_matches() {
    let edge = edge(&json!([
        {"prefix": "/static", "public": true},
        {"prefix": "/admin", "require": {"role": "admin"}},
        {"path": "/", "anonymous_ok": true},
        {"prefix": "/app", "require": {"authenticated": true}},
    ]));
    let isolate = edge.isolate();
    let editor = person(&edge, &isolate, "e@b.c", &json!(["editor"]));
    let admin = person(&edge, &isolate, "a@b.c", &json!(["admin"]));
    let seen = |path: &str, cookie: Option<&str>| {
        let request = get(path);
        isolate.send(&cookie.map_or(request.clone(), |cookie| request.cookie(cookie)))
    };
    for cookie in [None, Some(&*editor)] {
        let seen = seen("/static/a.js", cookie);
        assert_eq!(seen.origin().header("x-forwarded-user"), None);
        assert_eq!(seen.origin().header("cookie"), None);
    }
    assert_eq!(seen("/", None).origin().header("x-forwarded-user"), None);
    assert!(
        seen("/", Some(&editor))
            .origin()
            .header("x-forwarded-user")
            .is_some()
    );
    assert_eq!(
        seen("/admin", None).refusal(),
        (401, "token_missing".into())
    );
    assert_eq!(
        seen("/admin/x", Some(&editor)).refusal(),
        (403, "forbidden".into())
    );
    assert!(seen("/admin/x", Some(&admin)).is_forwarded());
    assert!(seen("/app", Some(&editor)).is_forwarded());
    // No rule is for this one.
    assert_eq!(
        seen("/other", Some(&admin)).refusal(),
        (403, "forbidden".into())
    );
    assert_eq!(
        seen("/other", None).refusal(),
        (401, "token_missing".into())
    );
}

#[test]
fn the_log_says_which_rule_and_which_requirement_and_nothing_of_the_caller() {
    let edge = edge(&json!([
        {"prefix": "/a", "require": {"role": "admin", "email_domain": "x.example"}},
        {"prefix": "/b", "deny": true},
    ]));
    let isolate = edge.isolate();
    let cookie = person(&edge, &isolate, "e@b.c", &json!(["admin"]));
    for (path, reason) in [
        ("/a", "rule 1: requirement email_domain is not met"),
        ("/b", "rule 2 denies everyone"),
        ("/c", "no rule matches"),
    ] {
        let seen = isolate.send(&get(path).cookie(&cookie));
        let event = seen.outcome.event.unwrap();
        assert_eq!(
            (event.event, event.reason.as_deref()),
            (EventKind::Denied, Some(reason))
        );
    }
}

#[test]
fn a_rule_says_what_those_get_whom_it_turns_away() {
    let mut rules = Vec::new();
    for reaction in ["deny", "login", "page", "forbidden", "not_found"] {
        rules.push(json!({"path": format!("/{reaction}"), "require": {"role": "x"}, "unauthenticated": reaction, "unauthorised": reaction}));
    }
    let edge = edge(&json!(rules));
    let isolate = edge.isolate();
    let session = person(&edge, &isolate, "e@b.c", &json!([]));
    // (reaction, who, as a program: status and code, as a browser: status)
    for (reaction, signed_in, program, browser) in [
        ("deny", false, (401, "token_missing"), 401),
        ("deny", true, (403, "forbidden"), 403),
        ("login", false, (401, "token_missing"), 303),
        ("login", true, (403, "forbidden"), 303),
        ("forbidden", false, (403, "forbidden"), 403),
        ("forbidden", true, (403, "forbidden"), 403),
        ("not_found", false, (404, "not_found"), 404),
        ("not_found", true, (404, "not_found"), 404),
    ] {
        let path = format!("/{reaction}");
        let with = |request: crate::harness::request::Req| {
            if signed_in {
                request.cookie(&session)
            } else {
                request
            }
        };
        let seen = isolate.send(&with(get(&path)));
        assert_eq!(seen.refusal(), (program.0, program.1.into()), "{reaction}");
        assert_eq!(seen.header("www-authenticate").is_some(), program.0 == 401);
        let seen = isolate.send(&with(open(&path)));
        assert_eq!(seen.status(), browser, "{reaction}");
        let location = seen.header("location").map(|to| to.starts_with(LOGIN));
        assert_eq!(location, (browser == 303).then_some(true));
    }
    for (request, status) in [(get("/page"), 401), (get("/page").cookie(&session), 403)] {
        let seen = isolate.send(&request);
        assert_eq!(seen.status(), status);
        assert_eq!(
            seen.header("content-type"),
            Some("text/html; charset=utf-8")
        );
    }
    // The log knows better than the client.
    let seen = isolate.send(&get("/not_found").cookie(&session));
    let event = seen.outcome.event.unwrap();
    assert_eq!(
        event.reason.as_deref(),
        Some("rule 5: requirement role is not met")
    );
    assert_eq!(event.status, Some(404));
}

#[test]
fn sec_59_rules_are_asked_at_each_request_for_every_kind_of_credential() {
    let edge = Edge::new(&json!({
        "rules": [{"require": {"role": "admin"}}],
        "query": {"single_use": false, "user_switch": "replace"},
    }));
    let isolate = edge.isolate();
    let api = edge.api_token(&[Scope::Admin]);
    let session = person(&edge, &isolate, "e@b.c", &json!(["editor"]));
    let token = isolate.issue(&api, "e@b.c");
    let link = isolate.issue(&api, "e@b.c");
    let kinds = || {
        [
            get("/").cookie(&session),
            get("/").cookie(&format!("{SSO}={token}")),
            get("/").bearer(&token),
            get(&format!("/?token={link}")),
        ]
    };
    for request in kinds() {
        assert_eq!(
            isolate.send(&request).refusal(),
            (403, "forbidden".into()),
            "{request:?}"
        );
    }
    let me = isolate.me(&session).unwrap();
    let user = format!("/api/sso/users/{}", me["user"]["id"].as_str().unwrap());
    isolate.admin(&api, "PATCH", &user, &json!({"roles": ["admin"]}));
    for request in kinds() {
        assert!(isolate.send(&request).is_forwarded(), "{request:?}");
    }
    isolate.admin(&api, "PATCH", &user, &json!({"roles": []}));
    for request in kinds() {
        assert_eq!(isolate.send(&request).status(), 403, "{request:?}");
    }
}

#[test]
fn sec_34_and_sec_32_what_the_query_or_a_header_says_of_the_path_matches_no_rule() {
    let edge = edge(&json!([
        {"prefix": "/public", "public": true},
        {"host": "site.example", "method": "OPTIONS", "prefix": "/open", "public": true},
    ]));
    let isolate = edge.isolate();
    for request in [
        get("/secret?x=/public/"),
        get("/secret?/public/"),
        get("/secret#/public/"),
        get("/secret/..%3f/public"),
        get("/secret").header("x-forwarded-uri", "/public/x"),
        get("/secret").header("x-forwarded-prefix", "/public"),
        get("/secret").header("x-original-url", "/public/x"),
        get("/secret").header("x-rewrite-url", "/public/x"),
        get("/secret").header("x-forwarded-host", "public.example"),
        get("/open").header("x-http-method-override", "OPTIONS"),
        get("/open").header("x-forwarded-method", "OPTIONS"),
    ] {
        assert_eq!(
            isolate.send(&request).refusal(),
            (401, "token_missing".into()),
            "{request:?}"
        );
    }
    assert!(isolate.send(&get("/public/?x")).is_forwarded());
}

#[test]
fn sec_37_no_header_of_a_client_decides() {
    let edge = Edge::new(&json!({
        "rules": [
            {"prefix": "/hook", "anonymous_ok": true, "require": {"network": ["192.0.2.0/24", "2001:db8::/32"]}},
            {"prefix": "/", "require": {"authenticated": true}},
        ],
    }));
    let isolate = edge.isolate();
    for agent in [
        "GoogleHC/1.0",
        "ELB-HealthChecker/2.0",
        "kube-probe/1.2",
        "Edge Health Probe",
    ] {
        assert_eq!(
            isolate.send(&get("/").header("user-agent", agent)).status(),
            401,
            "{agent}"
        );
    }
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-real-ip", "192.0.2.1"),
        ("true-client-ip", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
        ("cf-connecting-ip", "203.0.113.1"),
        ("cf-connecting-ip", "192.0.2.1, 203.0.113.1"),
        ("cf-connecting-ip", "192.0.2.1/24"),
        ("cf-connecting-ip", ""),
    ] {
        let seen = isolate.send(&get("/hook").header(name, value));
        assert_eq!(seen.refusal(), (403, "forbidden".into()), "{name}: {value}");
    }
    for address in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1::1"] {
        assert!(
            isolate
                .send(&get("/hook").header("cf-connecting-ip", address))
                .is_forwarded(),
            "{address}"
        );
    }
}

#[test]
fn sec_38_a_fault_opens_nothing_but_what_is_public() {
    let edge = edge(&json!([
        {"prefix": "/public", "public": true},
        {"prefix": "/free", "anonymous_ok": true},
        {"prefix": "/", "require": {"authenticated": true}},
    ]));
    let isolate = edge.isolate();
    let session = person(&edge, &isolate, "e@b.c", &json!([]));
    let fresh = edge.isolate();
    edge.shared.make(crate::harness::shared::Trouble::All);
    for path in ["/free", "/x"] {
        let seen = fresh.send(&get(path).cookie(&session));
        assert_eq!(
            seen.refusal(),
            (503, "temporarily_unavailable".into()),
            "{path}"
        );
    }
    for request in [
        get("/public/a").cookie(&session),
        open("/public/a").cookie(&session),
    ] {
        let seen = fresh.send(&request);
        assert!(seen.is_forwarded(), "{}", seen.body());
        assert_eq!(seen.origin().header("x-forwarded-user"), None);
    }
}

#[test]
fn what_is_public_looks_at_no_credential_and_passes_none_on() {
    let edge = edge(&json!([{"prefix": "/", "public": true}]));
    let isolate = edge.isolate();
    let session = person(&edge, &isolate, "e@b.c", &json!([]));
    let calls = edge.shared.calls.borrow().len();
    for request in [
        get("/a").cookie(&session),
        get("/a").cookie(&format!("{OWN}=a.b.c")),
        get("/a").bearer("a.b.c"),
        get(&format!(
            "/a?token={}",
            isolate.forge(Kind::Sso, &json!({}))
        )),
        req("POST", "/a")
            .cookie(&session)
            .header("origin", "https://evil.example"),
    ] {
        let seen = edge.isolate().send(&request);
        let origin = seen.origin();
        for name in [
            "cookie",
            "authorization",
            "x-forwarded-user",
            "remote-user",
            "x-edgeward-assertion",
        ] {
            assert_eq!(origin.header(name), None, "{name} {request:?}");
        }
        assert!(!origin.url.contains("token"), "{}", origin.url);
    }
    assert_eq!(edge.shared.calls.borrow().len(), calls, "a port was called");
    // A person who arrives there with a link is signed in all the same.
    let token = isolate.issue(&edge.api_token(&[Scope::Admin]), "n@b.c");
    let seen = isolate.send(&open(&format!("/a?token={token}")));
    assert!(seen.status() == 303 && seen.session().is_some());
    // And one whose link is bad gets the page.
    let seen = isolate.send(&open("/a").cookie(&format!("{SSO}={}", tampered(&token))));
    assert!(seen.is_forwarded());
}

#[test]
fn a_bad_credential_is_told_where_anonymous_is_ok_and_login_comes_of_it_elsewhere() {
    let edge = edge(&json!([
        {"path": "/free", "anonymous_ok": true},
        {"prefix": "/", "require": {"authenticated": true}, "unauthenticated": "login"},
    ]));
    let isolate = edge.isolate();
    let bad = format!("{OWN}=a.b.c");
    assert_eq!(
        isolate.send(&get("/free").cookie(&bad)).refusal(),
        (401, "token_invalid".into())
    );
    assert!(isolate.send(&open("/free").cookie(&bad)).is_forwarded());
    assert_eq!(isolate.send(&open("/x").cookie(&bad)).status(), 303);
    assert_eq!(
        isolate.send(&get("/x").cookie(&bad)).refusal(),
        (401, "token_invalid".into())
    );
}

#[test]
fn missing_scopes_are_told_as_such() {
    let edge = edge(&json!([
        {"path": "/a", "require": {"scope": "files:read"}},
        {"path": "/b", "require": {"access": "update:media/files"}},
    ]));
    let isolate = edge.isolate();
    let session = person(&edge, &isolate, "e@b.c", &json!([]));
    for path in ["/a", "/b"] {
        let seen = isolate.send(&get(path).cookie(&session));
        assert_eq!(seen.refusal(), (403, "insufficient_scope".into()));
        let challenge =
            "Bearer realm=\"edgeward\", error=\"insufficient_scope\", code=\"insufficient_scope\"";
        assert_eq!(seen.header("www-authenticate"), Some(challenge));
    }
    let notes = &isolate.world.config.notes;
    assert_eq!(notes.len(), 2);
    assert_eq!(notes[0].path, "EDGEWARD_SITE_APP.rules.1");
    assert!(notes[0].error.contains("requires scope"), "{notes:?}");
}

#[test]
fn sec_39_a_preflight_passes_as_nobody_where_its_rule_says_so() {
    let edge = edge(&json!([
        {"prefix": "/api", "method": ["GET", "POST"], "preflight": true, "require": {"role": "x"}},
        {"prefix": "/", "require": {"authenticated": true}},
    ]));
    let isolate = edge.isolate();
    let session = person(&edge, &isolate, "e@b.c", &json!(["x"]));
    let preflight = |path: &str, method: &str| {
        req("OPTIONS", path)
            .header("origin", "https://spa.example")
            .header("access-control-request-method", method)
    };
    let seen = isolate.send(&preflight("/api/x", "POST").cookie(&session));
    assert_eq!(seen.origin().header("x-forwarded-user"), None);
    assert_eq!(seen.origin().header("origin"), Some("https://spa.example"));
    for request in [
        preflight("/api/x", "DELETE"),
        preflight("/x", "POST"),
        req("OPTIONS", "/api/x"),
        req("OPTIONS", "/api/x").header("origin", "https://spa.example"),
        req("GET", "/api/x")
            .header("origin", "https://spa.example")
            .header("access-control-request-method", "POST"),
    ] {
        assert_eq!(
            isolate.send(&request).refusal(),
            (401, "token_missing".into()),
            "{request:?}"
        );
    }
}

#[test]
fn a_site_with_cors_answers_preflights_itself_and_names_only_listed_origins() {
    let edge = Edge::new(&json!({
        "unauthenticated": "deny",
        "cors": {"origins": ["https://spa.example"], "credentials": true, "methods": ["GET", "PUT"], "headers": ["Content-Type", "x-csrf"], "max_age": 60},
    }));
    let isolate = edge.isolate();
    let preflight = |path: &str, origin: &str| {
        req("OPTIONS", path)
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
    };
    let seen = isolate.send(&preflight("/a", "https://spa.example"));
    assert_eq!(
        (seen.status(), seen.header("access-control-allow-origin")),
        (204, Some("https://spa.example"))
    );
    assert_eq!(
        seen.header("access-control-allow-credentials"),
        Some("true")
    );
    assert_eq!(
        seen.header("access-control-allow-methods"),
        Some("GET, PUT")
    );
    assert_eq!(
        seen.header("access-control-allow-headers"),
        Some("content-type, x-csrf")
    );
    for origin in [
        "https://evil.example",
        "null",
        "https://spa.example.evil.net",
    ] {
        let seen = isolate.send(&preflight("/a", origin));
        assert_eq!(seen.refusal(), (403, "cross_origin".into()), "{origin}");
        assert_eq!(seen.header("access-control-allow-origin"), None);
    }
    // A page of a listed origin may read why it was refused; others may not.
    let refused = isolate.send(&get("/a").header("origin", "https://spa.example"));
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.header("access-control-allow-origin"),
        Some("https://spa.example")
    );
    let refused = isolate.send(&get("/a").header("origin", "https://evil.example"));
    assert_eq!(refused.header("access-control-allow-origin"), None);
}

#[test]
fn sec_65_no_endpoint_of_ours_knows_cors() {
    let edge = Edge::new(&json!({
        "rules": [{"prefix": "/", "public": true, "preflight": true}],
        "cors": {"origins": ["https://spa.example"], "credentials": true},
    }));
    let isolate = edge.isolate();
    for path in [
        "/api/sso/users",
        "/api/sso/token",
        "/api/sso/me",
        "/api/sso/tokens",
        "/api/sso/explain",
        "/api/sso/x",
        "/.well-known/jwks.json",
    ] {
        for method in ["OPTIONS", "GET", "POST"] {
            let seen = isolate.send(
                &req(method, path)
                    .header("origin", "https://spa.example")
                    .header("access-control-request-method", "POST"),
            );
            assert!(!seen.is_forwarded(), "{method} {path}");
            assert_eq!(
                seen.header("access-control-allow-origin"),
                None,
                "{method} {path}"
            );
        }
    }
}

#[test]
fn a_request_that_rules_let_through_waits_for_nothing_the_second_time() {
    let edge = edge(&json!([
        {"glob": "/**/*.css", "public": true},
        {"prefix": "/a", "require": {"all": [{"role": "x"}, {"email_domain": "b.c"}, {"not": {"country": "ZZ"}}]}},
    ]));
    let isolate = edge.isolate();
    let session = person(&edge, &isolate, "e@b.c", &json!(["x"]));
    let request = get("/a/b").cookie(&session).header("cf-ipcountry", "DE");
    assert!(isolate.send(&request).is_forwarded());
    let seen = isolate.send(&request);
    assert!(seen.is_forwarded() && seen.polls == 1);
}
