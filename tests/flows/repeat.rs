//! Requests that begin as one did that was forwarded. That each gets what it would get the whole way
//! is looked at in `harness/repeats.rs`, at every request of every test here.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use edgeward::http::request::WITHHELD;
use edgeward::model::api_token::Scope;

use crate::harness::request::{Req, get, open, req};
use crate::harness::{Edge, Isolate, SSO};

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

    /// Whether `request` is recognised after `first`, which has to be forwarded.
    fn recognises(&self, first: &Req, request: &Req) -> bool {
        assert!(self.isolate.send(first).is_forwarded(), "{first:?}");
        self.isolate.send(request).again
    }
}

#[test]
fn a_request_is_recognised_by_method_and_headers_whatever_path_it_is_for() {
    let there = there(&json!({}));
    let first = there.get("/a");
    for path in [
        "/a",
        "/",
        "/b/c.js",
        "/b?x=%2F&y",
        "/b/?token=of-the-app",
        "/%C3%A9",
    ] {
        assert!(there.recognises(&first, &there.get(path)), "{path}");
    }
    let page = open("/a").cookie(&there.session);
    assert!(there.recognises(&page, &page));
    let post = there.get("/a").header("origin", "https://site.example");
    let post = Req {
        method: "POST".into(),
        ..post
    };
    assert!(there.recognises(&post, &post));
    let token = there.isolate.issue(&there.admin, ANNA);
    let bearer = get("/a").bearer(&token);
    assert!(there.recognises(&bearer, &bearer));
}

#[test]
fn a_header_whose_value_the_core_is_not_told_makes_no_difference_and_any_other_does() {
    let there = there(&json!({}));
    for name in WITHHELD {
        let with = |value: &str| there.get("/").header(name, value);
        assert!(there.recognises(&with("1"), &with("2")), "{name}");
        assert!(!there.recognises(&there.get("/a"), &with("1").header("x-new", name)));
    }
    for name in [
        "accept",
        "authorization",
        "cf-connecting-ip",
        "cf-ipcountry",
        "origin",
        "sec-fetch-mode",
        "sec-fetch-site",
        "upgrade",
        "x-anything",
        "x-api-key",
        "x-forwarded-user",
    ] {
        let with = |value: &str| there.get("/").header(name, value);
        assert!(!there.recognises(&with("1"), &with("2")), "{name}");
        assert!(!there.recognises(&there.get("/"), &with("3")), "{name}");
    }
    let (one, other) = (there.get("/").cookie("a=1"), there.get("/").cookie("a=2"));
    assert!(!there.recognises(&one, &other) && there.recognises(&one, &one));
    let head = Req {
        method: "HEAD".into(),
        ..there.get("/")
    };
    assert!(!there.recognises(&there.get("/"), &head));
}

#[test]
fn what_is_not_for_the_origin_as_it_came_goes_the_whole_way() {
    let there = there(&json!({"hosts": ["site.example", "other.example"]}));
    let first = there.get("/a");
    let token = there.isolate.issue(&there.admin, ANNA);
    for path in [
        "/api/sso/me",
        "/API/sso/x",
        "/.well-known/jwks.json",
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
        &format!("/a?token={token}"),
        &format!("/a?%74oken={token}"),
    ] {
        assert!(!there.recognises(&first, &there.get(path)), "{path}");
    }
    for host in [
        "other.example",
        "site.example.",
        "site.example:443",
        "SITE.example",
        "x.y",
    ] {
        assert!(
            !there.recognises(&first, &there.get("/a").at(host)),
            "{host}"
        );
    }
    let plain = Req {
        url: "http://site.example/a".into(),
        ..first.clone()
    };
    assert!(!there.recognises(&first, &plain));
}

#[test]
fn what_happens_once_or_beside_another_credential_is_not_repeated() {
    let there = there(&json!({"query": {"single_use": false, "user_switch": "replace"}}));
    let token = there.isolate.issue(&there.admin, ANNA);
    let by_cookie = get("/a").cookie(&format!("{SSO}={token}"));
    let both = there.get("/a").bearer(&token);
    let twice = there.get("/a").cookie(&there.session);
    let link = there.isolate.issue(&there.admin, ANNA);
    let link = get(&format!("/a?token={link}"));
    let socket = there
        .get("/a")
        .header("upgrade", "websocket")
        .header("origin", "https://site.example");
    for request in [by_cookie, both, twice, link, socket] {
        assert!(!there.recognises(&request, &request), "{request:?}");
    }
    // And where nobody is told of, there is nothing to repeat.
    let open_to_all = self::there(&json!({"unauthenticated": "pass"}));
    assert!(!open_to_all.recognises(&get("/a"), &get("/a")));
    let public = self::there(&json!({
        "unauthenticated": null,
        "rules": [{"prefix": "/public", "public": true}, {"require": {"authenticated": true}}],
    }));
    assert!(public.recognises(&public.get("/a"), &public.get("/b")));
    assert!(!public.recognises(&public.get("/a"), &public.get("/public/x")));
}

#[test]
fn a_head_that_is_long_or_has_many_headers_is_not_kept() {
    let there = there(&json!({}));
    for (length, kept) in [(7000, true), (8200, false), (60_000, false)] {
        let request = there.get("/").header("x-long", &"x".repeat(length));
        assert_eq!(there.recognises(&request, &request), kept, "{length}");
    }
    for (many, kept) in [(60, true), (64, false), (1000, false)] {
        let headers = (0..many).fold(there.get("/"), |request, n| {
            request.header(&format!("x-{n}"), "")
        });
        assert_eq!(there.recognises(&headers, &headers), kept, "{many}");
    }
}

#[test]
fn each_request_is_logged_where_all_are() {
    let mut bindings = crate::harness::bindings(&json!({}));
    bindings.insert("EDGEWARD".into(), json!({"log": "all"}).to_string());
    let edge = Edge::with(bindings);
    let isolate = edge.isolate();
    let session = isolate.sign_in(&edge.api_token(&[Scope::Admin]), ANNA);
    for _ in 0..3 {
        let seen = isolate.send(&get("/").cookie(&session));
        assert!(!seen.again && seen.outcome.event.is_some());
    }
}

#[test]
fn what_is_sent_again_ends_with_what_it_was_sent_by() {
    // A session over its time, and one that is due for renewal.
    let there = self::there(&json!({"session": {"idle": 1200, "absolute": 1500}}));
    let request = there.get("/");
    let mut renewed = 0;
    let mut again = 0;
    for _ in 0..1500 {
        there.edge.wait(1);
        let seen = there.isolate.send(&request);
        again += usize::from(seen.again);
        renewed += usize::from(seen.session().is_some());
        assert!(!(seen.again && seen.status() != 0));
    }
    assert!(again > 500 && renewed > 0, "{again} {renewed}");
    assert_eq!(there.isolate.send(&request).status(), 401);
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

#[test]
fn whatever_happens_a_request_that_is_recognised_gets_what_it_would_get_the_whole_way() {
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
    let again = std::cell::Cell::new(0_usize);
    TestRunner::new_with_rng(config, rng)
        .run(&proptest::collection::vec(deed(), 100..160), |deeds| {
            let edge = Edge::new(&rules);
            let (here, elsewhere) = (edge.isolate(), edge.isolate());
            let admin = edge.api_token(&[Scope::Admin]);
            let emails = [ANNA, "bert@example.org"];
            let mut sessions = emails.map(|email| here.sign_in(&admin, email));
            let ids = [0, 1].map(|at: usize| here.me(&sessions[at]).unwrap()["user"]["id"].clone());
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
                        again.set(again.get() + usize::from(here.send(&request).again));
                    }
                    Deed::Wait(seconds) => edge.wait(seconds),
                    Deed::Change(what) => {
                        // Here or elsewhere, and to one or the other.
                        let isolate = if what % 2 == 0 { &here } else { &elsewhere };
                        let change = [
                            json!({"roles": ["admin"]}),
                            json!({"active": false}),
                            json!({"roles": []}),
                        ];
                        let id = ids[what % 2].as_str().unwrap();
                        isolate.admin(
                            &admin,
                            "PATCH",
                            &format!("/api/sso/users/{id}"),
                            &change[what / 2],
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
    assert!(again.get() > 500, "only {} were recognised", again.get());
}
