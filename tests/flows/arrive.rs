//! Arriving with a credential: what opens a session, what authenticates one request only, and which
//! user replaces which.

use edgeward::model::api_token::Scope;
use edgeward::platform::algorithm::{Algorithm, KeyType};
use serde_json::{Value, json};

use crate::harness::crypto::Private;
use crate::harness::request::{Req, Seen, get, open, req};
use crate::harness::{Edge, Isolate, OWN, SSO, tampered};

struct Place {
    edge: Edge,
    isolate: Isolate,
    api_token: String,
}

impl Place {
    fn new(settings: &Value) -> Self {
        let edge = Edge::new(settings);
        Self {
            isolate: edge.isolate(),
            api_token: edge.api_token(&[Scope::TokenIssue]),
            edge,
        }
    }

    fn token(&self, email: &str) -> String {
        self.isolate.issue(&self.api_token, email)
    }

    fn sign_in(&self, email: &str) -> String {
        self.isolate.sign_in(&self.api_token, email)
    }

    fn send(&self, request: &Req) -> Seen {
        self.isolate.send(request)
    }

    fn email(&self, cookie: &str) -> String {
        let me = self.isolate.me(cookie).expect("somebody");
        me["user"]["email"].as_str().unwrap().to_owned()
    }
}

const ANNA: &str = "anna@example.com";
const BERT: &str = "bert@example.com";

fn with_query(settings: &Value) -> Value {
    let mut query = json!({"single_use": true, "user_switch": "confirm"});
    query
        .as_object_mut()
        .unwrap()
        .extend(settings.as_object().unwrap().clone());
    json!({ "query": query })
}

#[test]
fn the_application_s_cookie_opens_a_session_and_is_cleared() {
    let place = Place::new(&json!({}));
    let token = place.token(ANNA);
    let seen = place.send(
        &open("/a?b=c")
            .cookie("x=1")
            .cookie(&format!("{SSO}={token}"))
            .cookie("y=2"),
    );
    assert!(seen.clears(SSO));
    let session = seen.session().unwrap();
    let origin = seen.origin();
    assert_eq!(origin.url, "https://origin.example/a?b=c");
    assert_eq!(origin.header("cookie"), Some("x=1; y=2"));
    assert_eq!(origin.header("remote-email"), Some(ANNA));
    assert_eq!(place.email(&session), ANNA);
    let me = place.isolate.me(&session).unwrap();
    assert_eq!(me["source"], "session");
    let later = place.send(&get("/").cookie(&session));
    assert!(later.outcome.cookies.is_empty());
    assert_eq!(later.origin().header("x-forwarded-email"), Some(ANNA));
    assert_eq!(later.origin().header("cookie"), None);
}

#[test]
fn sec_41_a_link_opens_a_session_and_its_token_leaves_the_address_bar() {
    let place = Place::new(&json!({}));
    for (query, clean) in [
        ("token=T", ""),
        ("a=%2f%2F&token=T&&b=+", "?a=%2f%2F&&b=+"),
        ("token=T&token=", ""),
        ("%74oken=T&x", "?x"),
        ("token=&x=1&tok%65n=T", "?x=1"),
        ("token=T&edgeward_attempt=2&x", "?x&edgeward_attempt=2o"),
    ] {
        let query = query.replacen('T', &place.token(ANNA), 1);
        let seen = place.send(&open(&format!("/p%20q?{query}")));
        assert_eq!(seen.status(), 303, "{query}");
        let expected = format!("https://site.example/p%20q{clean}");
        assert_eq!(seen.header("location"), Some(expected.as_str()));
        assert_eq!(seen.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(seen.header("cache-control"), Some("no-store"));
        assert_eq!(place.email(&seen.session().unwrap()), ANNA);
        place.edge.wait(1);
    }
}

#[test]
fn a_bearer_token_counts_for_its_request_and_never_reaches_the_origin() {
    let place = Place::new(&json!({}));
    let seen = place.send(&req("POST", "/a").bearer(&place.token(ANNA)));
    assert!(seen.outcome.cookies.is_empty());
    let origin = seen.origin();
    assert_eq!(origin.header("authorization"), None);
    assert_eq!(origin.header("x-forwarded-email"), Some(ANNA));
}

#[test]
fn a_token_opens_no_session_on_a_request_that_is_no_navigation() {
    let place = Place::new(&json!({}));
    let token = place.token(ANNA);
    let seen = place.send(&get("/a").cookie(&format!("{SSO}={token}")));
    assert!(seen.outcome.cookies.is_empty());
    assert_eq!(seen.origin().header("cookie"), None);
    let token = place.token(ANNA);
    let seen = place.send(&get(&format!("/a?x=1&token={token}&y")));
    assert!(seen.outcome.cookies.is_empty());
    let origin = seen.origin();
    assert_eq!(origin.url, "https://origin.example/a?x=1&y");
    assert_eq!(origin.header("x-forwarded-email"), Some(ANNA));
    for method in ["HEAD", "POST"] {
        let token = place.token(ANNA);
        let request = req(method, "/a").header("sec-fetch-mode", "navigate");
        let seen = place.send(&request.cookie(&format!("{SSO}={token}")));
        assert!(
            seen.is_forwarded() && seen.outcome.cookies.is_empty(),
            "{method}"
        );
    }
}

#[test]
fn q1_a_query_value_that_is_not_for_us_belongs_to_the_application() {
    let place = Place::new(&json!({"rules": [
        {"prefix": "/public", "public": true},
        {"prefix": "/", "require": {"authenticated": true}},
    ]}));
    let session = place.sign_in(ANNA);
    let key = Private::new(KeyType::P256, "the application's own");
    let header = json!({"alg": "ES256", "typ": "JWT", "kid": "k1"});
    let claims = json!({"iss": "https://app.example", "purpose": "verify-email"});
    let own = key.token(Algorithm::Es256, &header, &claims);
    let as_the_issuer = key.token(Algorithm::Es256, &header, &json!({"iss": "edgeward"}));
    for value in [
        "=abc".to_owned(),
        "=".to_owned(),
        String::new(),
        "=a.b".to_owned(),
        "=a.b.c".to_owned(),
        "=csrf-1&token=2".to_owned(),
        format!("={own}"),
        format!("={own}&token={own}"),
        format!("={as_the_issuer}"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "OPTIONS"] {
            for path in ["/a", "/public/verify-email"] {
                let target = format!("{path}?x=%20&token{value}&y");
                let request = req(method, &target)
                    .header("sec-fetch-mode", "navigate")
                    .header("origin", "https://site.example")
                    .cookie(&session);
                let url = format!("https://origin.example{target}");
                assert_eq!(place.send(&request).origin().url, url, "{method}");
            }
        }
    }
}

#[test]
fn another_user_s_cookie_replaces_the_session_on_a_navigation() {
    let place = Place::new(&json!({}));
    let session = place.sign_in(ANNA);
    let token = place.token(BERT);
    let cookies = |request: Req| request.cookie(&session).cookie(&format!("{SSO}={token}"));
    let seen = place.send(&cookies(get("/a")));
    assert!(seen.outcome.cookies.is_empty());
    assert_eq!(seen.origin().header("x-forwarded-email"), Some(BERT));
    let seen = place.send(&cookies(open("/a")));
    assert_eq!(seen.origin().header("x-forwarded-email"), Some(BERT));
    assert_eq!(place.email(&seen.session().unwrap()), BERT);
    assert!(seen.clears(SSO));
}

#[test]
fn the_same_user_s_cookie_says_nothing_new_and_is_cleared() {
    let place = Place::new(&json!({}));
    let token = place.token(ANNA);
    let session = place.sign_in(ANNA);
    let seen = place.send(&open("/").cookie(&session).cookie(&format!("{SSO}={token}")));
    assert!(seen.is_forwarded() && seen.session().is_none() && seen.clears(SSO));
}

#[test]
fn a_later_sign_in_of_the_same_user_opens_a_new_session() {
    let place = Place::new(&json!({}));
    let session = place.sign_in(ANNA);
    place.edge.wait(5);
    let token = place.token(ANNA);
    let seen = place.send(&open("/").cookie(&session).cookie(&format!("{SSO}={token}")));
    assert!(seen.session().is_some_and(|new| new != session));
}

#[test]
fn the_order_of_the_sources_decides_alone_where_the_site_says_so() {
    let place = Place::new(&json!({
        "newer_sign_in": false,
        "query": {"single_use": true, "user_switch": "replace"},
    }));
    let (anna, bert) = (place.sign_in(ANNA), place.token(BERT));
    let by_cookie = place.send(
        &open("/")
            .cookie(&anna)
            .cookie(&format!("{SSO}={bert}"))
            .header("sec-fetch-site", "same-origin"),
    );
    assert_eq!(by_cookie.session(), None);
    assert!(by_cookie.clears(SSO), "it must not sign Bert in later");
    assert_eq!(by_cookie.origin().header("x-forwarded-email"), Some(ANNA));

    let by_link = place.send(
        &open(&format!("/a?token={bert}"))
            .cookie(&anna)
            .header("sec-fetch-site", "same-origin"),
    );
    assert_eq!((by_link.status(), by_link.session()), (303, None));
    assert_eq!(place.email(&anna), ANNA);

    // A session that is no good holds up nobody.
    let seen = place.send(
        &open("/")
            .cookie(&tampered(&anna))
            .cookie(&format!("{SSO}={bert}")),
    );
    assert_eq!(place.email(&seen.session().unwrap()), BERT);
}

#[test]
fn sec_42_a_link_of_another_user_asks_first_and_the_answer_switches() {
    let place = Place::new(&json!({}));
    let session = place.sign_in(ANNA);
    let token = place.token(BERT);
    let link = open(&format!("/a?x=1&token={token}")).cookie(&session);
    let seen = place.send(&link);
    assert_eq!(seen.status(), 200);
    assert!(seen.outcome.cookies.is_empty());
    assert!(seen.body().contains(ANNA) && seen.body().contains(BERT));
    assert_eq!(place.email(&session), ANNA);

    let form = |token: &str, to: &str| {
        let to = edgeward::http::query::encode(to);
        req("POST", "/api/sso/switch")
            .cookie(&session)
            .header("accept", "text/html")
            .body(format!("token={token}&return_to={to}").as_bytes())
    };
    let own = ("origin", "https://site.example");
    let refused = place.send(&form(&token, "/a?x=1").header("origin", "https://evil.example"));
    assert_eq!(refused.status(), 403);
    let refused = place.send(&form(&tampered(&token), "/a").header(own.0, own.1));
    assert_eq!(refused.status(), 401);
    let refused = place.send(&form(&token, "//evil.example").header(own.0, own.1));
    assert_eq!((refused.status(), refused.session()), (400, None));
    let mut by_get = form(&token, "/a");
    by_get.method = "GET".into();
    assert_eq!(place.send(&by_get).status(), 405);

    let switched = place.send(&form(&token, "/a?x=1").header(own.0, own.1));
    assert_eq!(switched.status(), 303);
    assert_eq!(
        switched.header("location"),
        Some("https://site.example/a?x=1")
    );
    assert_eq!(place.email(&switched.session().unwrap()), BERT);
    // The link was used by that.
    let again = place.send(&form(&token, "/a").header(own.0, own.1));
    assert_eq!((again.status(), again.session()), (401, None));
}

#[test]
fn a_link_of_another_user_replaces_the_session_where_the_site_says_so_or_where_it_was_followed_here()
 {
    let replace = Place::new(&with_query(&json!({"user_switch": "replace"})));
    let session = replace.sign_in(ANNA);
    let link = open(&format!("/?token={}", replace.token(BERT))).cookie(&session);
    assert_eq!(replace.email(&replace.send(&link).session().unwrap()), BERT);

    let confirm = Place::new(&json!({}));
    let session = confirm.sign_in(ANNA);
    for (from, status) in [
        ("cross-site", 200),
        ("none", 200),
        ("same-site", 200),
        ("same-origin", 303),
    ] {
        let link = open(&format!("/?token={}", confirm.token(BERT)));
        let seen = confirm.send(&link.cookie(&session).header("sec-fetch-site", from));
        assert_eq!(seen.status(), status, "{from}");
    }
}

#[test]
fn a_link_that_works_once_opens_one_session_everywhere() {
    let place = Place::new(&json!({}));
    let other = place.edge.isolate();
    let link = open(&format!("/a?token={}", place.token(ANNA)));
    assert!(place.send(&link).session().is_some());
    for isolate in [&place.isolate, &other] {
        let seen = isolate.send(&link);
        assert_eq!((seen.status(), seen.session()), (401, None));
        assert!(seen.body().contains("This link no longer works"));
        let mut program = link.clone();
        program.headers.clear();
        assert_eq!(
            isolate.send(&program).refusal(),
            (401, "token_invalid".into())
        );
    }
}

#[test]
fn a_link_that_works_once_is_used_by_whatever_request_comes_first() {
    let place = Place::new(&json!({}));
    let path = format!("/a?token={}", place.token(ANNA));
    assert!(place.send(&get(&path)).is_forwarded());
    assert_eq!(place.send(&get(&path)).status(), 401);
    assert_eq!(place.send(&open(&path)).status(), 401);
}

#[test]
fn who_follows_an_own_link_twice_stays_signed_in() {
    let place = Place::new(&json!({}));
    let link = open(&format!("/a?token={}", place.token(ANNA)));
    let session = place.send(&link).session().unwrap();
    let seen = place.send(&link.cookie(&session));
    assert_eq!(
        (seen.status(), seen.header("location")),
        (303, Some("https://site.example/a"))
    );
    assert!(!seen.clears(OWN));
}

#[test]
fn a_link_that_works_more_often_opens_a_session_each_time() {
    let place = Place::new(&with_query(&json!({"single_use": false})));
    let link = open(&format!("/a?token={}", place.token(ANNA)));
    let sessions = [place.send(&link).session(), place.send(&link).session()];
    assert!(sessions.iter().all(Option::is_some) && sessions[0] != sessions[1]);
}

#[test]
fn sec_42_a_link_works_for_max_age_and_not_for_the_token_s_whole_life() {
    let place = Place::new(&with_query(&json!({"max_age": 60})));
    let first = place.token(ANNA);
    let second = place.token(ANNA);
    let third = place.token(ANNA);
    place.edge.wait(59);
    assert!(
        place
            .send(&open(&format!("/?token={first}")))
            .session()
            .is_some()
    );
    place.edge.wait(1);
    let late = place.send(&open(&format!("/?token={second}")));
    assert_eq!((late.status(), late.session()), (401, None));
    let late = place.send(&get(&format!("/?token={second}")));
    assert_eq!(late.refusal(), (401, "token_expired".into()));
    // It is the link that is too old: a token of that age that was none counts on.
    assert_eq!(place.send(&get("/").bearer(&second)).status(), 401);
    assert!(place.send(&get("/").bearer(&third)).is_forwarded());
}

#[test]
fn a_source_that_the_site_does_not_take_is_not_looked_at() {
    let place = Place::new(&json!({"sources": ["session"]}));
    let token = place.token(ANNA);
    for request in [
        open(&format!("/?token={token}")),
        get("/").bearer(&token),
        open("/").cookie(&format!("{SSO}={token}")),
    ] {
        assert_eq!(place.send(&request).status(), 401);
    }
}

#[test]
fn a_link_beside_a_cookie_that_says_nothing_new_is_followed() {
    let place = Place::new(&with_query(&json!({"user_switch": "replace"})));
    let old = place.token(ANNA);
    let session = place.sign_in(ANNA);
    let link = open(&format!("/?token={}", place.token(BERT)));
    let seen = place.send(&link.cookie(&session).cookie(&format!("{SSO}={old}")));
    assert_eq!(place.email(&seen.session().unwrap()), BERT);
}

#[test]
fn a_site_without_sessions_takes_the_token_at_each_request_and_leaves_its_cookie() {
    let place = Place::new(&json!({"sources": ["sso_cookie", "bearer"]}));
    let token = place.token(ANNA);
    for _ in 0..3 {
        let seen = place.send(&open("/").cookie(&format!("{SSO}={token}")));
        assert_eq!(seen.origin().header("x-forwarded-email"), Some(ANNA));
        assert!(!seen.clears(SSO), "nothing is left to come back with");
    }
}
