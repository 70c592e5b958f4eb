//! Every request takes every step, and nothing that an isolate caches decides about a request.
//! `harness/disclosure.rs` checks, for every request of every test here, that the core is told
//! enough of each header.

use edgeward::model::api_token::Scope;
use edgeward::pipeline::Action;
use edgeward::platform::time::{Seconds, Timestamp};
use edgeward::site::config::Config;
use edgeward::site::disclosure::Disclosure;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::harness::request::{OriginSaw, Req, Seen, get, open, req};
use crate::harness::{Edge, Isolate, SSO, bindings, claims_of, site};

/// How long an isolate remembers a user, by default.
const USER_CACHE: Seconds = Seconds(30);
const ANNA: &str = "anna@example.com";

struct There {
    edge: Edge,
    isolate: Isolate,
    admin: String,
    session: String,
}

fn there(settings: &Value) -> There {
    let edge = Edge::new(settings);
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let session = isolate.sign_in(&admin, ANNA);
    There {
        edge,
        isolate,
        admin,
        session,
    }
}

impl There {
    fn get(&self, path: &str) -> Req {
        get(path).cookie("theme=dark").cookie(&self.session)
    }

    /// The origin, or the client of a refused request, gets the same as from an isolate with empty caches.
    fn assert_as_fresh(&self, request: &Req) -> bool {
        let here = self.isolate.send(request);
        let fresh = self.edge.isolate().send(request);
        assert_eq!(here.status(), fresh.status(), "{request:?}");
        if !here.is_forwarded() {
            let answer = |seen: &Seen| match &seen.outcome.action {
                Action::Answer(answer) => Some(answer.clone()),
                Action::Forward(_) => None,
            };
            assert_eq!(answer(&here), answer(&fresh), "{request:?}");
            assert_eq!(here.outcome.cookies, fresh.outcome.cookies, "{request:?}");
            return false;
        }
        let (here, fresh) = (here.origin(), fresh.origin());
        assert_eq!(here.url, fresh.url);
        let told = |headers: &[(String, String)]| {
            let assertion = |name: &str| name == "x-edgeward-assertion";
            // Two assertions for one person differ in their time and signature.
            let plain = headers.iter().map(|(name, value)| {
                let value = if assertion(name) {
                    claims_of(value)["sub"].to_string()
                } else {
                    value.clone()
                };
                (name.clone(), value)
            });
            plain.collect::<Vec<_>>()
        };
        assert_eq!(told(&here.headers), told(&fresh.headers), "{request:?}");
        true
    }
}

#[test]
fn a_request_that_differs_in_what_decides_gets_what_it_would_get_alone() {
    let there = there(&json!({"hosts": ["site.example", "other.example"]}));
    let bert = there.isolate.sign_in(&there.admin, "bert@example.org");
    let token = there.isolate.issue(&there.admin, ANNA);
    let base = there.get("/a");
    for name in [
        "accept",
        "authorization",
        "cf-connecting-ip",
        "cf-ipcountry",
        "cf-ray",
        "origin",
        "sec-fetch-mode",
        "sec-fetch-site",
        "upgrade",
        "x-anything",
        "x-api-key",
        "x_api_key",
        "x-forwarded-user",
        "x_forwarded_user",
        "x-staff",
        "referer",
        "user-agent",
    ] {
        for value in [
            "1",
            "2",
            &format!("Bearer {token}"),
            "same-origin",
            "cross-site",
        ] {
            there.assert_as_fresh(&base);
            there.assert_as_fresh(&there.get("/a").header(name, value));
        }
    }
    for cookie in [
        "a=1",
        "a=2",
        "theme=light",
        &bert,
        "a=\u{e9}",
        "__Host-edgeward=",
    ] {
        there.assert_as_fresh(&base);
        there.assert_as_fresh(&there.get("/a").cookie(cookie));
        there.assert_as_fresh(&get("/a").cookie(cookie));
    }
    for method in ["HEAD", "POST", "OPTIONS", "TRACE"] {
        there.assert_as_fresh(&Req {
            method: method.into(),
            ..base.clone()
        });
    }
}

#[test]
fn a_path_that_is_not_for_the_origin_as_it_came_is_judged_like_the_first() {
    let there = there(&json!({"hosts": ["site.example", "other.example"]}));
    for path in [
        "/API/sso/x",
        "//a",
        "/a/../b",
        "/%61",
        "/a%2fb",
        "/a;b",
        "/a%00",
        "/a?",
        "/a#b",
        "/a?x#b",
        "",
        "?x",
        "/a?edgeward_attempt=1",
        "/b?x=%2F&y",
        "/%C3%A9",
    ] {
        assert!(there.assert_as_fresh(&there.get("/a")));
        there.assert_as_fresh(&there.get(path));
    }
    for host in [
        "other.example",
        "site.example.",
        "site.example:443",
        "SITE.example",
        "x.y",
    ] {
        there.assert_as_fresh(&there.get("/a").at(host));
    }
    let plain = Req {
        url: "http://site.example/a".into(),
        ..there.get("/a")
    };
    there.assert_as_fresh(&plain);
}

#[test]
fn what_happens_once_happens_once_whatever_is_remembered() {
    let there = there(&json!({"query": {"single_use": true, "user_switch": "replace"}}));
    let link = there.isolate.issue(&there.admin, ANNA);
    let link = open(&format!("/a?token={link}"));
    assert!(there.isolate.send(&link).session().is_some());
    assert!(there.isolate.send(&link).session().is_none());
    let token = there.isolate.issue(&there.admin, ANNA);
    let by_cookie = open("/a").cookie(&format!("{SSO}={token}"));
    for _ in 0..2 {
        let seen = there.isolate.send(&by_cookie);
        assert!(seen.session().is_some(), "each opens a session of its own");
    }
}

#[test]
fn each_request_is_logged_where_all_are() {
    let mut bindings = bindings(&json!({}));
    bindings.insert("EDGEWARD".into(), json!({"log": "all"}).to_string());
    let edge = Edge::with(bindings);
    let isolate = edge.isolate();
    let session = isolate.sign_in(&edge.api_token(&[Scope::Admin]), ANNA);
    for _ in 0..3 {
        let seen = isolate.send(&get("/").cookie(&session));
        assert!(seen.outcome.event.is_none() && seen.outcome.forwarded.is_some());
    }
}

#[test]
fn a_session_ends_and_is_renewed_on_time() {
    let there = self::there(&json!({"session": {"idle": 1200, "absolute": 1500}}));
    let request = there.get("/");
    let mut renewed = 0;
    for second in 1..1500 {
        there.edge.wait(1);
        let seen = there.isolate.send(&request);
        // This client keeps its first cookie: it is over after 1200 seconds.
        assert_eq!(seen.is_forwarded(), second < 1200, "{second}");
        renewed += usize::from(seen.session().is_some());
    }
    assert!(renewed > 0);
}

/// Two sites, of which the second has headers of its own.
fn two_sites() -> Config {
    let mut bindings = bindings(&json!({}));
    let second = json!({
        "hosts": ["second.example"],
        "audience": "second",
        "sources": ["session", "sso_cookie", "header"],
        "token_headers": [{"name": "X-Access-Token"}],
        "custom_headers": {"X-Second": "email"},
        "reserved_headers": ["vault-*"],
        "query": null,
    });
    bindings.insert("EDGEWARD_SITE_SECOND".into(), site(&second));
    edgeward::config::parse(&bindings).unwrap()
}

#[test]
fn of_a_name_the_core_is_told_what_some_site_needs() {
    let config = two_sites();
    for (name, expected) in [
        ("cookie", Disclosure::Value),
        ("authorization", Disclosure::Value),
        ("cf-ray", Disclosure::Value),
        // Names in it are translated.
        ("referer", Disclosure::Value),
        ("x-access-token", Disclosure::Value),
        ("x-api-key", Disclosure::Value),
        ("x_api_key", Disclosure::Value),
        ("x-second", Disclosure::Name),
        ("x_second", Disclosure::Name),
        ("x.staff", Disclosure::Name),
        ("vault-user", Disclosure::Name),
        ("x-forwarded-user", Disclosure::Name),
        ("x_forwarded_host", Disclosure::Name),
        ("x-request-id", Disclosure::Name),
        ("cf_connecting_ip", Disclosure::Name),
        ("connection", Disclosure::Name),
        // Left alone where they say what they would be set to.
        ("x-forwarded-for", Disclosure::Value),
        ("x-forwarded-proto", Disclosure::Value),
        // Written over at every request.
        ("x-forwarded-host", Disclosure::Nothing),
        ("x-page", Disclosure::Nothing),
        ("traceparent", Disclosure::Nothing),
        ("user-agent", Disclosure::Nothing),
        ("content-type", Disclosure::Nothing),
        ("if-none-match", Disclosure::Nothing),
    ] {
        assert_eq!(config.disclosures.for_name(name), expected, "{name}");
    }
}

proptest! {
    /// What is computed once for all sites equals the union over the sites.
    #[test]
    fn what_any_site_removes_is_told(name in "(x[-_.])?(second|staff|vault-[a-z]{0,3}|user|page|remote-[a-z]|[a-z_.-]{1,12})") {
        let config = two_sites();
        let removed = config.sites().any(|site| site.reserved.contains(&name));
        let told = config.disclosures.for_name(&name);
        prop_assert_eq!(removed, told == Disclosure::Name, "{}", name);
    }
}

/// What somebody does.
#[derive(Clone, Debug)]
enum Deed {
    Ask {
        method: usize,
        path: usize,
        agent: u8,
        other: u8,
        by: usize,
    },
    Wait(u32),
    Change(usize),
    LogOut(usize),
    SignIn(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let ask = (0_usize..3, 0_usize..8, 0_u8..3, 0_u8..2, 0_usize..2).prop_map(
        |(method, path, agent, other, by)| Deed::Ask {
            method,
            path,
            agent,
            other,
            by,
        },
    );
    prop_oneof![
        40 => ask,
        2 => prop_oneof![Just(1_u32), Just(7), Just(30), Just(200), Just(900)].prop_map(Deed::Wait),
        1 => (0_usize..6).prop_map(Deed::Change),
        1 => (0_usize..2).prop_map(Deed::LogOut),
        3 => (0_usize..2).prop_map(Deed::SignIn),
    ]
}

const PATHS: [&str; 8] = [
    "/",
    "/a",
    "/admin",
    "/admin/x.js",
    "/public/x",
    "/a//b",
    "/a?x=1",
    "/mine",
];

fn changes() -> [Value; 3] {
    [
        json!({"roles": ["admin"]}),
        json!({"active": false}),
        json!({"roles": []}),
    ]
}

fn same_at_origin(seen: &OriginSaw, fresh: &OriginSaw) -> Result<(), TestCaseError> {
    prop_assert_eq!(&seen.url, &fresh.url);
    for name in ["x-forwarded-user", "x-other", "cookie"] {
        prop_assert_eq!(seen.header(name), fresh.header(name));
    }
    Ok(())
}

#[test]
fn whatever_happens_a_request_gets_what_it_would_get_from_an_isolate_that_remembers_nothing() {
    let rules = json!({
        "unauthenticated": null,
        "session": {"idle": 1800, "absolute": 3600},
        "rules": [
            {"prefix": "/public", "public": true},
            {"prefix": "/admin", "require": {"role": "admin"}},
            {"path": "/mine", "method": "GET", "require": {"email_domain": "example.org"}},
            {"require": {"authenticated": true}},
        ],
    });
    let config = ProptestConfig::with_cases(40);
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let behind = std::cell::Cell::new(0_usize);
    let forwarded = std::cell::Cell::new(0_usize);
    TestRunner::new_with_rng(config, rng)
        .run(&proptest::collection::vec(deed(), 100..160), |deeds| {
            let edge = Edge::new(&rules);
            let (here, elsewhere) = (edge.isolate(), edge.isolate());
            let admin = edge.api_token(&[Scope::Admin]);
            let emails = [ANNA, "bert@example.org"];
            let mut sessions = emails.map(|email| here.sign_in(&admin, email));
            let ids = [0, 1].map(|at: usize| here.me(&sessions[at]).unwrap()["user"]["id"].clone());
            let mut changed_elsewhere = Timestamp::from_seconds(0);
            for deed in deeds {
                match deed {
                    Deed::Ask {
                        method,
                        path,
                        agent,
                        other,
                        by,
                    } => {
                        let request = req(["GET", "HEAD", "POST"][method], PATHS[path])
                            .cookie(&sessions[by])
                            .header("user-agent", &agent.to_string())
                            .header("x-other", &other.to_string());
                        let seen = here.send(&request);
                        let fresh = edge.isolate().send(&request);
                        let known = seen.status() == fresh.status();
                        // What was changed elsewhere may be behind here, for as long as a user is remembered.
                        let may_be_behind = by == 1 && edge.now() < changed_elsewhere + USER_CACHE;
                        prop_assert!(
                            known || may_be_behind,
                            "{request:?}: {} here, {} fresh",
                            seen.status(),
                            fresh.status()
                        );
                        behind.set(behind.get() + usize::from(!known));
                        if known && seen.is_forwarded() {
                            same_at_origin(&seen.origin(), &fresh.origin())?;
                            forwarded.set(forwarded.get() + 1);
                        }
                    }
                    Deed::Wait(seconds) => edge.wait(seconds),
                    Deed::Change(what) => {
                        // Here or elsewhere, and to one or the other.
                        let isolate = if what % 2 == 0 {
                            &here
                        } else {
                            changed_elsewhere = edge.now();
                            &elsewhere
                        };
                        let id = ids[what % 2].as_str().unwrap();
                        isolate.admin(
                            &admin,
                            "PATCH",
                            &format!("/api/sso/users/{id}"),
                            &changes()[what / 2],
                        );
                    }
                    Deed::LogOut(by) => {
                        here.send(&req("POST", "/api/sso/logout").cookie(&sessions[by]));
                    }
                    Deed::SignIn(by) => {
                        let user = format!("/api/sso/users/{}", ids[by].as_str().unwrap());
                        here.admin(&admin, "PATCH", &user, &json!({"active": true}));
                        let call = req("POST", "/api/sso/token")
                            .api_token(&admin)
                            .json(&json!({"email": emails[by]}));
                        let issued = here.send(&call);
                        if issued.status() == 200 {
                            let token = issued.json()["token"].as_str().unwrap().to_owned();
                            let seen = here.send(&open("/").cookie(&format!("{SSO}={token}")));
                            if let Some(session) = seen.session() {
                                sessions[by] = session;
                            }
                        }
                    }
                }
            }
            Ok(())
        })
        .unwrap();
    assert!(forwarded.get() > 500, "only {}", forwarded.get());
    assert!(
        behind.get() < forwarded.get() / 4,
        "{} were judged otherwise",
        behind.get()
    );
}
