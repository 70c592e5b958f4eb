//! What an origin is told.

use edgeward::http::headers::HeaderChange;
use edgeward::model::api_token::Scope;
use edgeward::pipeline::Action;
use serde_json::json;

use crate::harness::request::{Seen, get, open};
use crate::harness::{Edge, Isolate, SSO, bindings, site};

pub const ANNA: &str = "anna@example.com";

pub struct Place {
    pub isolate: Isolate,
    pub session: String,
    pub token: String,
    pub link: String,
}

pub fn place(settings: &serde_json::Value) -> Place {
    let edge = Edge::new(settings);
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::Admin]);
    let user = json!({"email": ANNA, "username": "anna", "first_name": "Anna", "roles": ["editor", "team:a"], "staff": true});
    assert_eq!(
        isolate.admin(&api_token, "POST", "/api/sso/users", &user).0,
        201
    );
    Place {
        session: isolate.sign_in(&api_token, ANNA),
        token: isolate.issue(&api_token, ANNA),
        link: isolate.issue(&api_token, ANNA),
        isolate,
    }
}

#[test]
fn sec_31_no_value_makes_another_header_or_another_group() {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::Admin]);
    let user = json!({"email": "zoë@example.com", "username": "a,b; c=\"d\" 100%", "first_name": "Zoë", "last_name": "Ω\u{2028} \u{fe0f}"});
    let (status, made) = isolate.admin(&api_token, "POST", "/api/sso/users", &user);
    assert_eq!(status, 201, "{made}");
    let session = isolate.sign_in(&api_token, "zoë@example.com");
    let origin = isolate.send(&get("/").cookie(&session)).origin();
    for (name, value) in &origin.headers {
        assert!(
            value.bytes().all(|b| (b' '..0x7f).contains(&b)),
            "{name}: {value}"
        );
    }
    assert_eq!(origin.header("remote-email"), Some("zo%C3%AB@example.com"));
    assert_eq!(
        origin.header("x-forwarded-preferred-username"),
        Some("a,b; c=\"d\" 100%25")
    );
    assert_eq!(
        origin.header("remote-name"),
        Some("Zo%C3%AB %CE%A9%E2%80%A8 %EF%B8%8F")
    );
    for bad in [
        json!({"roles": [" a"]}),
        json!({"roles": ["a\nb"]}),
        json!({"roles": ["a\r\nx: y"]}),
        json!({"first_name": "a\r\nx: y"}),
        json!({"username": "a\u{0}"}),
    ] {
        let path = format!("/api/sso/users/{}", made["id"].as_str().unwrap());
        let (status, body) = isolate.admin(&api_token, "PATCH", &path, &bad);
        assert_eq!(
            (status, &body["code"]),
            (400, &json!("invalid_request")),
            "{bad}"
        );
    }
}

#[test]
fn sec_40_no_credential_of_ours_reaches_the_origin_and_nothing_else_is_touched() {
    let place = place(&json!({"query": {"single_use": false, "user_switch": "replace"}}));
    let Place {
        isolate,
        session,
        token,
        link,
    } = &place;
    let sso = format!("{SSO}={token}");
    for request in [
        get("/")
            .cookie("a=\"b; c\"")
            .cookie(session)
            .cookie("d=é")
            .cookie(&sso)
            .cookie("e"),
        get(&format!("/?x=%2F&token={link}&y")).cookie("a=1"),
        get("/?x").bearer(token),
        open("/").cookie(session).cookie(&sso),
    ] {
        let origin = isolate.send(&request).origin();
        let all = format!("{origin:?}");
        let own = session.split_once('=').unwrap().1;
        for credential in [own, token, link] {
            assert!(!all.contains(credential), "{all}");
        }
    }
    let mixed = get("/?x=%2F&&y=+")
        .cookie("a=\"b")
        .cookie(session)
        .cookie("d=é")
        .cookie(&sso)
        .cookie("e");
    let origin = isolate.send(&mixed).origin();
    assert_eq!(origin.header("cookie"), Some("a=\"b; d=é; e"));
    assert_eq!(origin.url, "https://origin.example/?x=%2F&&y=+");
    // What is between the client and the origin stays so.
    let basic = get("/")
        .cookie(session)
        .header("authorization", "Basic YTpi");
    assert_eq!(
        isolate.send(&basic).origin().header("authorization"),
        Some("Basic YTpi")
    );
}

#[test]
fn sec_40_a_site_that_takes_no_bearer_leaves_a_foreign_one_and_removes_ours() {
    let edge = Edge::new(&json!({"sources": ["session"], "unauthenticated": "pass"}));
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::TokenIssue]);
    let token = isolate.issue(&api_token, ANNA);
    let saw = |authorization: &str| {
        let origin = isolate
            .send(&get("/").header("authorization", authorization))
            .origin();
        origin.header("authorization").map(str::to_owned)
    };
    for ours in [
        format!("Bearer {token}"),
        format!("JWT {token}"),
        token.clone(),
        format!("Token {api_token}"),
        format!("bearer  {api_token}"),
        api_token.clone(),
    ] {
        assert_eq!(saw(&ours), None, "{ours}");
    }
    for theirs in [
        "Bearer abc",
        "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA",
        "Token 0123456789",
        "Digest username=\"x\"",
    ] {
        assert_eq!(saw(theirs).as_deref(), Some(theirs));
    }
}

#[test]
fn how_a_request_came_is_said_by_us() {
    let place =
        place(&json!({"host_header": "preserve", "upstream": "https://origin.example:8443"}));
    let request = get("/a")
        .cookie(&place.session)
        .header("x-forwarded-for", "1.1.1.1");
    let seen = place
        .isolate
        .send(&request.clone().header("cf-connecting-ip", "203.0.113.9"));
    let origin = seen.origin();
    assert_eq!(origin.header("x-forwarded-for"), Some("203.0.113.9"));
    assert_eq!(origin.header("x-forwarded-host"), Some("site.example"));
    assert_eq!(origin.header("x-forwarded-proto"), Some("https"));
    assert_eq!(origin.header("x-request-id"), Some("request-1"));
    assert_eq!(origin.url, "https://site.example:8443/a");
    let Action::Forward(forward) = &seen.outcome.action else {
        panic!()
    };
    assert_eq!(forward.resolve_override(), Some("origin.example"));
    assert_eq!(
        place
            .isolate
            .send(&request)
            .origin()
            .header("x-forwarded-for"),
        None
    );
}

#[test]
fn what_a_cdn_says_already_of_how_a_request_came_stays_and_all_else_is_written_over() {
    let place = place(&json!({}));
    let sent = |address: &str, scheme: &str| {
        let request = get("/a")
            .cookie(&place.session)
            .header("cf-connecting-ip", "203.0.113.9")
            .header("x-forwarded-for", address)
            .header("x-forwarded-proto", scheme);
        let seen = place.isolate.send(&request);
        let origin = seen.origin();
        let [told, proto] = ["x-forwarded-for", "x-forwarded-proto"]
            .map(|name| origin.header(name).map(str::to_owned));
        assert_eq!(told.as_deref(), Some("203.0.113.9"), "{address}");
        assert_eq!(proto.as_deref(), Some("https"), "{scheme}");
        let Action::Forward(forward) = &seen.outcome.action else {
            panic!()
        };
        let changes: Vec<_> = forward.changes().iter().collect();
        ["x-forwarded-for", "x-forwarded-proto"].map(|name| {
            changes.iter().any(|change| {
                matches!(change, HeaderChange::Remove(of) | HeaderChange::Set(of, _) | HeaderChange::Copy(of, _) if *of == name)
            })
        })
    };
    assert_eq!(sent("203.0.113.9", "https"), [false, false]);
    for (address, scheme) in [
        ("203.0.113.90", "http"),
        ("10.0.0.1, 203.0.113.9", "https, https"),
        ("203.0.113.9,", "HTTPS"),
        ("", ""),
    ] {
        assert_eq!(sent(address, scheme), [true, true], "{address} {scheme}");
    }
}

#[test]
fn a_fixed_credential_goes_to_its_own_site_s_origin_alone() {
    let mut bindings = bindings(
        &json!({"upstream_credential": {"header": "authorization", "secret": "ORIGIN_KEY"}}),
    );
    bindings.insert("ORIGIN_KEY".into(), "Bearer origin-secret".into());
    bindings.insert(
        "EDGEWARD_SITE_OTHER".into(),
        site(&json!({"hosts": ["other.example"], "unauthenticated": "pass"})),
    );
    let edge = Edge::with(bindings);
    let isolate = edge.isolate();
    let token = isolate.issue(&edge.api_token(&[Scope::TokenIssue]), ANNA);
    let origin = isolate.send(&get("/").bearer(&token)).origin();
    assert_eq!(origin.header("authorization"), Some("Bearer origin-secret"));
    let other = isolate.send(&get("/").at("other.example")).origin();
    assert!(!format!("{other:?}").contains("origin-secret"));
}

fn identified(seen: &Seen) -> bool {
    match &seen.outcome.action {
        Action::Forward(forward) => forward.identified(),
        Action::Answer(_) => panic!("{}", seen.body()),
    }
}

#[test]
fn sec_44_no_shared_cache_may_keep_what_was_made_for_somebody() {
    let place = place(&json!({"unauthenticated": "pass"}));
    assert!(!identified(&place.isolate.send(&get("/"))));
    assert!(identified(
        &place.isolate.send(&get("/").cookie(&place.session))
    ));
    assert!(identified(
        &place.isolate.send(&get("/").bearer(&place.token))
    ));
    for own in [
        "/api/sso/me",
        "/api/sso/logout",
        "/api/sso/users",
        "/api/sso/health",
        "/api/sso/x",
        "/a%00",
    ] {
        let seen = place.isolate.send(&get(own).cookie(&place.session));
        assert_eq!(seen.header("cache-control"), Some("no-store"), "{own}");
        assert_eq!(seen.header("vary"), Some("Cookie, Authorization"), "{own}");
    }
}
