//! Sites that share a host: one has the whole of it, others live below paths.

use std::collections::BTreeMap;

use edgeward::jose::jws::Kind;
use edgeward::model::api_token::Scope;
use serde_json::{Value, json};

use crate::harness::issuer::table;
use crate::harness::request::{Req, Seen, get, open, req};
use crate::harness::{Edge, Isolate, SSO, bindings, site};

const STUDIO: &str = "__Secure-edgeward-studio";
const DEEP: &str = "__Secure-edgeward-deep";

fn with(sites: &[(&str, Value)]) -> BTreeMap<String, String> {
    let mut all = bindings(&json!({}));
    for (name, settings) in sites {
        all.insert(format!("EDGEWARD_SITE_{name}"), site(settings));
    }
    all
}

/// The host's own site, one below `/studio`, and one below a path of that one.
fn sites(studio: &Value) -> Vec<(&'static str, Value)> {
    let mut settings =
        json!({"hosts": ["site.example/studio"], "upstream": "https://studio.example:8443/base"});
    let members = settings.as_object_mut().unwrap();
    members.extend(studio.as_object().unwrap().clone());
    vec![
        ("STUDIO", settings),
        (
            "DEEP",
            json!({"hosts": ["site.example/studio/deep"], "upstream": "https://deep.example"}),
        ),
    ]
}

fn shared(studio: &Value) -> Edge {
    Edge::with(with(&sites(studio)))
}

/// Signs `email` in at the site below `mount`; gives the pair of the cookie `name`.
fn sign_in(
    edge: &Edge,
    isolate: &Isolate,
    mount: &str,
    name: &str,
    email: &str,
) -> (String, String) {
    let call = req("POST", &format!("{mount}/api/sso/token"))
        .api_token(&edge.api_token(&[Scope::Admin]))
        .json(&json!({ "email": email }));
    let token = isolate.send(&call).json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let seen = isolate.send(&open(&format!("{mount}/")).cookie(&format!("{SSO}={token}")));
    let line = seen
        .set_cookie(name)
        .unwrap_or_else(|| panic!("{}", seen.body()));
    (line.split(';').next().unwrap().to_owned(), line.to_owned())
}

fn ambiguous(seen: &Seen) -> Option<String> {
    (seen.status() == 400).then(|| {
        let event = seen.outcome.event.as_ref().unwrap();
        format!("{} {}", seen.refusal().1, event.reason.as_deref().unwrap())
    })
}

#[test]
fn the_longest_prefix_wins_by_whole_segments_and_the_base_path_stands_in_its_place() {
    let edge = shared(&json!({"unauthenticated": "pass"}));
    let open_root = edge.deployed(|bindings| {
        for name in ["EDGEWARD_SITE_APP", "EDGEWARD_SITE_DEEP"] {
            let text = bindings.get_mut(name).unwrap();
            *text = text.replace("\"deny\"", "\"pass\"");
        }
    });
    let isolate = open_root.isolate();
    for (path, url, prefix) in [
        ("/", "https://origin.example/", None),
        ("/x?a=1", "https://origin.example/x?a=1", None),
        ("/studios", "https://origin.example/studios", None),
        ("/studio.x", "https://origin.example/studio.x", None),
        ("/Studio/x", "https://origin.example/Studio/x", None),
        ("/x/studio/", "https://origin.example/x/studio/", None),
        (
            "/studio/",
            "https://studio.example:8443/base/",
            Some("/studio"),
        ),
        (
            "/studio/a%20b?c",
            "https://studio.example:8443/base/a%20b?c",
            Some("/studio"),
        ),
        (
            "/studio/deeper",
            "https://studio.example:8443/base/deeper",
            Some("/studio"),
        ),
        (
            "/studio//a",
            "https://studio.example:8443/base//a",
            Some("/studio"),
        ),
        (
            "/studio/a%2Fb;c",
            "https://studio.example:8443/base/a%2Fb;c",
            Some("/studio"),
        ),
        (
            "/studio/deep/a",
            "https://deep.example/a",
            Some("/studio/deep"),
        ),
    ] {
        let seen = isolate.send(&get(path).header("x-forwarded-prefix", "/forged"));
        let origin = seen.origin();
        assert_eq!(origin.url, url, "{path}");
        assert_eq!(origin.header("x-forwarded-prefix"), prefix, "{path}");
        assert_eq!(origin.header("x-forwarded-host"), Some("site.example"));
    }
}

#[test]
fn a_path_that_is_replaced_as_a_whole_is_not_sent_again() {
    let edge = shared(&json!({"unauthenticated": "pass"}));
    let isolate = edge.isolate();
    for (path, is_local) in [
        ("/studio/a", true),
        ("/studio/a?b=1", true),
        ("/studio/../studio/a", false),
    ] {
        let seen = isolate.send(&get(path));
        let edgeward::pipeline::Action::Forward(forward) = &seen.outcome.action else {
            panic!("{path}");
        };
        assert_eq!(forward.base(), "https://studio.example:8443/base");
        assert_eq!(
            (forward.is_local(), forward.mount()),
            (is_local, 7),
            "{path}"
        );
    }
}

#[test]
fn a_mount_without_its_slash_is_redirected_with_its_query() {
    let isolate = shared(&json!({})).isolate();
    for (path, to) in [
        ("/studio", "/studio/"),
        ("/studio?a=1&b", "/studio/?a=1&b"),
        ("/studio/deep", "/studio/deep/"),
    ] {
        for method in ["GET", "POST"] {
            let seen = isolate.send(&req(method, path));
            assert_eq!((seen.status(), seen.header("location")), (308, Some(to)));
        }
    }
}

#[test]
fn a_host_without_a_site_of_its_own_serves_its_mounts_only() {
    let isolate =
        Edge::new(&json!({"hosts": ["site.example/studio"], "unauthenticated": "pass"})).isolate();
    assert!(isolate.send(&get("/studio/x")).is_forwarded());
    for path in [
        "/",
        "/x",
        "/studiox",
        "/api/sso/me",
        "/.well-known/jwks.json",
    ] {
        assert_eq!(
            isolate.send(&get(path)).refusal(),
            (404, "not_found".into()),
            "{path}"
        );
    }
}

#[test]
fn sec_33_a_path_that_some_server_reads_at_another_site_is_refused_and_the_log_names_both() {
    let isolate = shared(&json!({})).isolate();
    for (path, one, other) in [
        ("/studio/..%2fadmin", "site studio", "site app"),
        ("/studio;x/admin", "site app", "site studio"),
        ("/studio/%2e%2e%2fadmin", "site studio", "site app"),
        ("/studio/..;/admin", "site studio", "site app"),
        ("/studio/..\\admin", "site studio", "site app"),
        ("/studio/..%5cadmin", "site studio", "site app"),
        ("/studio/..%255cadmin", "site studio", "site app"),
        ("/studio/deep/..%2fx", "site deep", "site studio"),
        ("/studio%2fx", "site app", "site studio"),
        ("/stud%69o/x", "site app", "site studio"),
        ("/studio./x", "site app", "site studio"),
        ("/studio%20/x", "site app", "site studio"),
        ("//studio/x", "site app", "site studio"),
        ("//evil.example/studio/x", "site app", "site studio"),
        ("/x/..%2fstudio/y", "site app", "site studio"),
        ("/(S(a))/studio/x", "site app", "site studio"),
        ("/studio::$INDEX_ALLOCATION/x", "site app", "site studio"),
        ("/studio%3fx/y", "site app", "site studio"),
    ] {
        let found = ambiguous(&isolate.send(&get(path)));
        let expected =
            format!("ambiguous_path servers read the path in different ways: {one}, or {other}");
        assert_eq!(found.as_deref(), Some(&*expected), "{path}");
    }
}

#[test]
fn sec_33_no_reading_leaves_the_base_path_of_the_upstream() {
    // The site has the host to itself, so its public path cannot lead to another one.
    let base = json!({"upstream": "https://origin.example/base", "unauthenticated": "pass"});
    let isolate = Edge::new(&base).isolate();
    for path in [
        "/..%2fadmin",
        "/%2e%2e%2fadmin",
        "/..;/admin",
        "/x/..%5c..%5cadmin",
    ] {
        let found = ambiguous(&isolate.send(&get(path))).unwrap_or_default();
        assert!(
            found.ends_with("or a path outside of the site's upstream"),
            "{path}: {found}"
        );
    }
    for path in ["/a", "/a%2fb", "//evil.example/a", "/a;b", "/x/..%2fa"] {
        let seen = isolate.send(&get(path));
        assert_eq!(
            seen.origin().url,
            format!("https://origin.example/base{path}")
        );
    }
}

#[test]
fn sec_33_a_path_is_judged_as_the_upstream_reads_it_without_the_mount() {
    // Behind the mount, two slashes are an empty segment. At the origin, they may begin the name of a host.
    let rules = json!([{"prefix": "/admin", "deny": true}, {"prefix": "/", "public": true}]);
    let settings =
        json!({"upstream": "https://studio.example", "rules": rules, "unauthenticated": "deny"});
    let isolate = shared(&settings).isolate();
    assert!(isolate.send(&get("/studio/x")).is_forwarded());
    assert!(isolate.send(&get("/studio/x//admin")).is_forwarded());
    let found = ambiguous(&isolate.send(&get("/studio//x/admin")));
    assert!(found.unwrap_or_default().ends_with("rule 2, or rule 1"));
    assert_eq!(isolate.send(&get("/studio/admin")).status(), 403);
}

#[test]
fn sec_33_where_an_origin_at_the_host_ignores_case_every_case_of_a_mount_is_that_site() {
    let ignoring = json!({"path_case": "ignored", "unauthenticated": "pass"});
    let isolate = shared(&ignoring).isolate();
    for path in ["/STUDIO/x", "/Studio/x"] {
        assert_eq!(
            isolate.send(&get(path)).origin().url,
            "https://studio.example:8443/base/x"
        );
    }
    assert_eq!(
        isolate.send(&get("/STUDIO")).header("location"),
        Some("/studio/")
    );
    // A long s is an s for some servers only.
    for path in ["/\u{17f}tudio/x", "/%C5%BFtudio/x"] {
        let found = ambiguous(&isolate.send(&get(path)));
        assert!(
            found
                .unwrap_or_default()
                .ends_with("site app, or site studio"),
            "{path}"
        );
    }
    let elsewhere = shared(&json!({})).isolate();
    assert_eq!(
        elsewhere.send(&get("/\u{17f}tudio/x")).refusal().1,
        "token_missing"
    );
}

#[test]
fn sec_65_where_the_origin_ignores_case_so_does_the_border_of_our_own_endpoints() {
    let isolate = Edge::new(&json!({"path_case": "ignored", "unauthenticated": "pass"})).isolate();
    for path in [
        "/api/\u{17f}so/users",
        "/api/%C5%BFso/x",
        "/ap\u{131}/sso/token",
        "/AP\u{130}/sso/x",
    ] {
        let found = ambiguous(&isolate.send(&get(path))).unwrap_or_default();
        assert!(found.contains("endpoint of Edgeward"), "{path}: {found}");
    }
}

#[test]
fn rules_endpoints_and_strict_paths_are_of_the_path_within_the_site() {
    let rules = json!([{"path": ["/", "/a"], "public": true}, {"prefix": "/studio", "deny": true}]);
    let isolate = shared(&json!({"rules": rules, "paths": "strict"})).isolate();
    assert!(isolate.send(&get("/studio/")).is_forwarded());
    let merged = isolate.send(&get("/studio//a"));
    assert_eq!(merged.origin().url, "https://studio.example:8443/base/a");
    assert!(
        isolate.send(&get("/a")).status() == 401,
        "another site's rules"
    );
    assert_eq!(isolate.send(&get("/studio/studio/x")).status(), 403);
    assert_eq!(isolate.send(&get("/studio/api/sso/health")).status(), 200);
    assert_eq!(
        isolate.send(&get("/studio/.well-known/jwks.json")).status(),
        200
    );
    assert_eq!(isolate.send(&get("/studio/a;b")).refusal().1, "bad_request");
}

/// The cookies of all sites at a host, as one browser has them, with one of the application.
fn all_cookies(request: Req, pairs: &[&str]) -> Req {
    pairs
        .iter()
        .fold(request, |request, pair| request.cookie(pair))
        .cookie("own=1")
}

#[test]
fn sec_87_no_cookie_of_ours_reaches_the_origin_of_another_site_at_the_host() {
    let edge = shared(&json!({}));
    let isolate = edge.isolate();
    let (root, _) = sign_in(&edge, &isolate, "", "__Host-edgeward", "a@b.c");
    let (studio, line) = sign_in(&edge, &isolate, "/studio", STUDIO, "a@b.c");
    let (deep, _) = sign_in(&edge, &isolate, "/studio/deep", DEEP, "a@b.c");
    assert!(
        line.contains("; Path=/studio;") || line.ends_with("; Path=/studio"),
        "{line}"
    );
    assert!(
        line.contains("Secure") && line.contains("HttpOnly"),
        "{line}"
    );
    let mut all: Vec<String> = [&root, &studio, &deep].map(ToString::to_string).into();
    for name in ["__Host-edgeward", STUDIO, DEEP] {
        for kind in ["trip", "browser", "device"] {
            all.push(format!("{name}-{kind}=0123456789abcdefghij-_"));
        }
    }
    let pairs: Vec<&str> = all.iter().map(String::as_str).collect();
    for path in ["/x", "/studio/x", "/studio/deep/x"] {
        let seen = isolate.send(&all_cookies(get(path), &pairs));
        assert_eq!(seen.origin().header("cookie"), Some("own=1"), "{path}");
        assert_eq!(
            seen.origin().header("x-forwarded-email"),
            Some("a@b.c"),
            "{path}"
        );
    }
    // Each is one of its site alone, whatever it is called.
    for (path, cookie) in [
        ("/x", studio.replace(STUDIO, "__Host-edgeward")),
        ("/studio/x", root.replace("__Host-edgeward", STUDIO)),
        ("/studio/x", deep.replace(DEEP, STUDIO)),
        ("/studio/deep/x", studio.replace(STUDIO, DEEP)),
    ] {
        assert_eq!(
            isolate.send(&get(path).cookie(&cookie)).status(),
            401,
            "{path}"
        );
    }
}

#[test]
fn sec_87_a_token_of_one_site_is_refused_at_another_site_of_the_host() {
    let edge = shared(&json!({}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let token = |mount: &str| {
        let call = req("POST", &format!("{mount}/api/sso/token"))
            .api_token(&admin)
            .json(&json!({"email": "a@b.c"}));
        isolate.send(&call).json()["token"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (from, to, good) in [
        ("", "", true),
        ("/studio", "/studio", true),
        ("", "/studio", false),
        ("/studio", "", false),
        ("/studio/deep", "/studio", false),
    ] {
        let seen = isolate.send(&get(&format!("{to}/x")).bearer(&token(from)));
        assert_eq!(seen.is_forwarded(), good, "{from} {to}");
    }
    let claims = crate::harness::claims_of(&token("/studio"));
    assert_eq!(claims["aud"], "site.example/studio");
    let forged = json!({"iss": "edgeward", "aud": "site.example", "sub": claims["sub"], "jti": "x",
        "iat": edge.now().seconds(), "exp": edge.now().seconds() + 60, "began": edge.now().millis()});
    let session = isolate.forge(Kind::Session, &forged);
    let seen = isolate.send(&get("/studio/x").cookie(&format!("{STUDIO}={session}")));
    assert_eq!(seen.status(), 401);
}

#[test]
fn signing_out_clears_the_cookies_of_the_mount_and_its_pages_stay_within() {
    let edge = shared(&json!({}));
    let isolate = edge.isolate();
    let (studio, _) = sign_in(&edge, &isolate, "/studio", STUDIO, "a@b.c");
    let asked = isolate.send(&open("/studio/api/sso/logout").cookie(&studio));
    assert!(
        asked.body().contains("action=\"/studio/api/sso/logout\""),
        "{}",
        asked.body()
    );
    assert!(
        asked.body().contains("href=\"/studio/\""),
        "{}",
        asked.body()
    );
    assert!(
        asked.body().contains("site.example/studio"),
        "{}",
        asked.body()
    );
    let out = isolate.send(
        &req("POST", "/studio/api/sso/logout")
            .cookie(&studio)
            .header("origin", "https://site.example"),
    );
    assert_eq!(out.status(), 200);
    for line in out.set_cookies(STUDIO) {
        assert!(
            line.contains("; Path=/studio;") && line.contains("Max-Age=0"),
            "{line}"
        );
    }
    assert!(out.clears(STUDIO));
    edge.wait(61);
    assert_eq!(
        isolate.send(&get("/studio/x").cookie(&studio)).status(),
        401
    );
}

#[test]
fn sec_87_a_return_address_out_of_the_site_is_a_foreign_one() {
    let edge = shared(&json!({}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let mut tokens = 0;
    let mut switch = |mount: &str, to: &str| {
        tokens += 1;
        let call = req("POST", &format!("{mount}/api/sso/token"))
            .api_token(&admin)
            .json(&json!({"email": format!("a{tokens}@b.c")}));
        let token = isolate.send(&call).json()["token"]
            .as_str()
            .unwrap()
            .to_owned();
        let form = req("POST", &format!("{mount}/api/sso/switch"))
            .header("origin", "https://site.example")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(
                format!(
                    "token={token}&return_to={}",
                    edgeward::http::query::encode(to)
                )
                .as_bytes(),
            );
        let seen = isolate.send(&form);
        (seen.status(), seen.header("location").map(str::to_owned))
    };
    for (mount, to) in [
        ("", "/a"),
        ("/studio", "/studio/a?b=1"),
        ("/studio/deep", "/studio/deep/"),
    ] {
        assert_eq!(
            switch(mount, to),
            (303, Some(format!("https://site.example{to}")))
        );
    }
    for (mount, to) in [
        ("", "/studio/a"),
        ("/studio", "/a"),
        ("/studio", "/"),
        ("/studio", "/studio/deep/x"),
        ("/studio", "/studio/..%2fa"),
        ("/studio", "/studiox"),
        ("/studio/deep", "/studio/x"),
    ] {
        assert_eq!(switch(mount, to).0, 400, "{mount} {to}");
    }
}

#[test]
fn a_link_leads_back_to_the_clean_address_below_the_mount() {
    let edge = shared(&json!({}));
    let isolate = edge.isolate();
    let call = req("POST", "/studio/api/sso/token")
        .api_token(&edge.api_token(&[Scope::Admin]))
        .json(&json!({"email": "a@b.c"}));
    let token = isolate.send(&call).json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let seen = isolate
        .send(&open(&format!("/studio/a?token={token}&b=1")).header("sec-fetch-site", "none"));
    assert_eq!(
        seen.header("location"),
        Some("https://site.example/studio/a?b=1")
    );
    assert!(seen.set_cookie(STUDIO).unwrap().contains("Path=/studio"));
}

#[test]
fn endpoints_move_with_the_keys_and_their_old_places_are_the_origins() {
    let moved = json!({"endpoints": "/-/edge", "unauthenticated": "pass"});
    let edge = Edge::new(&moved);
    let isolate = edge.isolate();
    for path in [
        "/api/sso",
        "/api/sso/v1/users",
        "/api/sso/token",
        "/.well-known/jwks.json",
        "/.well-known/assertion-key.pem",
    ] {
        let seen = isolate.send(&get(path));
        assert_eq!(seen.origin().url, format!("https://origin.example{path}"));
    }
    for (path, status) in [
        ("/-/edge/health", 200),
        ("/-/edge/jwks.json", 200),
        ("/-/edge/assertion-key.pem", 200),
        ("/-/edge/me", 401),
        ("/-/edge/x", 404),
        ("/-/EDGE/health", 404),
        ("/-/edge", 404),
    ] {
        assert_eq!(isolate.send(&get(path)).status(), status, "{path}");
    }
    for path in [
        "/-%2fedge/health",
        "/-;x/edge/users",
        "//-/edge/health",
        "/x/..%2f-/edge/x",
    ] {
        assert!(ambiguous(&isolate.send(&get(path))).is_some(), "{path}");
    }
    let call = req("POST", "/-/edge/token")
        .api_token(&edge.api_token(&[Scope::Admin]))
        .json(&json!({"email": "a@b.c"}));
    let token = isolate.send(&call).json()["token"].clone();
    let cookie = format!("{SSO}={}", token.as_str().unwrap());
    let session = isolate.send(&open("/").cookie(&cookie)).session().unwrap();
    let asked = isolate.send(&open("/-/edge/logout").cookie(&session));
    assert!(asked.body().contains("action=\"/-/edge/logout\""));
    // By default, nothing is where others have their keys.
    let usual = Edge::new(&json!({})).isolate();
    assert_eq!(usual.send(&get("/api/sso/jwks.json")).status(), 404);
}

#[test]
fn the_gateway_leads_back_below_the_mount() {
    use crate::gateway::{GATEWAY, PASSWORD, with_gateway};
    let mut all = with_gateway(&json!({}));
    let studio = json!({"hosts": ["site.example/studio"], "upstream": "https://studio.example", "endpoints": "/-/edge",
        "login": "gateway", "unauthenticated": "login", "sources": ["session"], "sso_cookie": null, "query": null});
    all.insert("EDGEWARD_SITE_STUDIO".into(), site(&studio));
    let gateway = crate::gateway::Gateway::of(all);
    gateway.user("ada@example.com", &json!({}));
    let mut browser = gateway.browser();
    let sent = browser.open("site.example", "/studio/deep/link?a=1");
    let page = browser.follow(&sent, "site.example");
    assert!(
        page.body().contains("site.example/studio"),
        "{}",
        page.body()
    );
    let back = browser.submit(
        GATEWAY,
        "/login/",
        &[("username", "ada@example.com"), ("password", PASSWORD)],
    );
    let location = back.header("location").unwrap();
    assert!(
        location.starts_with("https://site.example/studio/-/edge/arrive?code="),
        "{location}"
    );
    let arrived = browser.follow(&back, GATEWAY);
    assert!(
        arrived
            .set_cookie(STUDIO)
            .unwrap()
            .contains("; Path=/studio")
    );
    let seen = browser.follow(&arrived, "site.example");
    let seen = browser.follow(&seen, "site.example");
    assert_eq!(seen.origin().url, "https://studio.example/deep/link?a=1");
    assert_eq!(
        seen.origin().header("x-forwarded-email"),
        Some("ada@example.com")
    );
    assert_eq!(seen.origin().header("cookie"), None);
}

fn errors(sites: &[(&str, Value)]) -> Vec<(String, String)> {
    let found = edgeward::config::parse(&with(sites))
        .err()
        .unwrap_or_default();
    found
        .into_iter()
        .map(|error| (error.path, error.error))
        .collect()
}

#[test]
fn what_sites_at_one_host_cannot_share_is_an_error() {
    let below = |more: Value| {
        let mut settings =
            json!({"hosts": ["site.example/studio"], "upstream": "https://studio.example"});
        settings
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        settings
    };
    assert_eq!(errors(&[("STUDIO", below(json!({})))]), []);
    for (settings, path, part) in [
        (
            below(json!({"session": {"cookie": "__Host-edgeward"}})),
            "EDGEWARD_SITE_STUDIO.session.cookie",
            "site app",
        ),
        (
            below(json!({"session": {"cookie": "__Host-edgeward-trip"}})),
            "EDGEWARD_SITE_STUDIO.session.cookie",
            "a cookie of both",
        ),
        (
            below(json!({"sso_cookie": {"name": "__Host-edgeward"}})),
            "EDGEWARD_SITE_STUDIO.sso_cookie.name",
            "site app",
        ),
        (
            below(json!({"hosts": ["site.example/api"]})),
            "EDGEWARD_SITE_APP.endpoints",
            "/api",
        ),
        (
            below(json!({"hosts": ["site.example/API/SSO"]})),
            "EDGEWARD_SITE_APP.endpoints",
            "studio",
        ),
        (
            below(json!({"hosts": ["site.example/api/sso/token"]})),
            "EDGEWARD_SITE_APP.endpoints",
            "studio",
        ),
        (
            below(json!({"hosts": ["site.example/.well-known"]})),
            "EDGEWARD_SITE_STUDIO.hosts",
            "every server reads alike",
        ),
        (
            below(json!({"login_url": "https://site.example/studio/login"})),
            "EDGEWARD_SITE_STUDIO.login_url",
            "redirect",
        ),
        (
            below(json!({"audience": "site.example"})),
            "EDGEWARD_SITE_STUDIO.audience",
            "app",
        ),
    ] {
        let found = errors(&[("STUDIO", settings)]);
        assert!(
            matches!(found.as_slice(), [(at, error)] if at == path && error.contains(part)),
            "{path}: {found:?}"
        );
    }
    // The sign-in page of another site at the host is none of its own.
    let at_root =
        below(json!({"login_url": "https://site.example/login", "unauthenticated": "login"}));
    assert_eq!(errors(&[("STUDIO", at_root)]), []);
    let twice = errors(&[
        ("STUDIO", below(json!({}))),
        ("TWIN", below(json!({"hosts": ["site.example/STUDIO"]}))),
    ]);
    assert!(
        twice
            .iter()
            .any(|(path, error)| path == "EDGEWARD_SITE_TWIN.hosts"
                && error.contains("site.example/STUDIO already belongs to site studio")),
        "{twice:?}"
    );
    let mut gateway = with(&[("STUDIO", json!({"hosts": ["login.example/app"]}))]);
    gateway.insert(
        "EDGEWARD_GATEWAY".into(),
        json!({"hosts": ["login.example"]}).to_string(),
    );
    let found = edgeward::config::parse(&gateway).unwrap_err();
    assert!(
        found
            .iter()
            .any(|error| error.path.rsplit('.').next() == Some("hosts")
                && error.error.contains("gateway")),
        "{found:?}"
    );
    gateway.remove("EDGEWARD_SITE_STUDIO");
    gateway.insert(
        "EDGEWARD_GATEWAY".into(),
        json!({"hosts": ["login.example/sso"]}).to_string(),
    );
    let found = edgeward::config::parse(&gateway).unwrap_err();
    assert_eq!(found[0].path, "EDGEWARD_GATEWAY.hosts");
}

#[test]
fn explain_takes_the_path_as_people_ask_for_it() {
    let edge = shared(&json!({"rules": [{"prefix": "/a", "public": true}]}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let explain = |body: Value| isolate.admin(&admin, "POST", "/api/sso/explain", &body);
    for body in [
        json!({"path": "/studio/a/b"}),
        json!({"path": "/studio/a/b", "site": "studio"}),
    ] {
        let (status, told) = explain(body);
        assert_eq!(
            (status, &told["site"], &told["rule"], &told["path"]),
            (200, &json!("studio"), &json!(1), &json!("/studio/a/b"))
        );
    }
    let (status, told) = explain(json!({"path": "/studio/a", "site": "app"}));
    assert_eq!((status, &told["field"]), (400, &json!("path")), "{told}");
    let (_, told) = explain(json!({"path": "/studio/..%2fx"}));
    assert_eq!(told["granted"], json!(false));
    let leads: Vec<&str> = told["readings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["leads_to"].as_str().unwrap())
        .collect();
    assert!(
        leads.contains(&"site studio") && leads.contains(&"site app"),
        "{told}"
    );
    let (_, told) = explain(json!({"path": "/studio/api/sso/me"}));
    assert_eq!(told["path"], json!("/studio/api/sso/me"));
}

#[test]
fn sec_87_a_token_of_an_issuer_with_tenants_stays_at_its_site() {
    let tenant = "11111111-2222-3333-4444-555555555555";
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let studio = json!({"issuers": ["entra"], "sso_cookie": {"name": "entra_token"}});
    let mut all = with(&sites(&studio));
    let issuer = json!({"issuer": template, "tenant_ids": [tenant]});
    all.insert("EDGEWARD_ISSUER_ENTRA".into(), table(&issuer));
    let edge = Edge::with(all);
    let isolate = edge.isolate();
    let (root, _) = sign_in(&edge, &isolate, "", "__Host-edgeward", "a@b.c");
    let encoded = |part: &Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part.to_string())
    };
    let iss = template.replace("{tenantid}", tenant);
    let parts = [json!({"alg": "EdDSA"}), json!({ "iss": iss })];
    let token = format!("{}.{}.c2ln", encoded(&parts[0]), encoded(&parts[1]));
    let cookies = format!("own=1; entra_token={token}");
    let seen = isolate.send(&get("/x").cookie(&root).cookie(&cookies));
    assert_eq!(seen.origin().header("cookie"), Some("own=1"));
}
