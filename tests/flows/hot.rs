//! A request whose credential the isolate has seen waits for nothing and reads nothing.

use allocation_counter::measure;
use edgeward::model::api_token::Scope;
use serde_json::json;

use crate::harness::request::{Req, get, open, req};
use crate::harness::shared::{Trouble, Verb};
use crate::harness::{Edge, Isolate, OWN, run};

fn calls(edge: &Edge) -> usize {
    edge.shared.calls.borrow().len()
}

/// The first request may wait; the ones after it, of any kind, may not.
fn assert_hot(edge: &Edge, isolate: &Isolate, request: &Req) {
    assert!(isolate.send(request).is_forwarded());
    let before = calls(edge);
    for second in 0..25 {
        let page = second.to_string();
        let mut again = request
            .clone()
            .header("x-page", &page)
            .cookie(&format!("own={page}"));
        again.url = format!("{}?n={second}", again.url);
        let seen = isolate.send(&again);
        assert_eq!(seen.polls, 1, "something was waited for");
        let origin = seen.origin();
        assert!(origin.header("x-edgeward-assertion").is_some());
        assert!(
            origin.header("x-forwarded-user").is_some() && origin.header("remote-user").is_some()
        );
        edge.wait(1);
    }
    assert_eq!(calls(edge), before, "a port was called");
}

#[test]
fn a_second_request_with_our_session_is_ready_at_the_first_poll_and_calls_no_port() {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let session = isolate.sign_in(&edge.api_token(&[Scope::Admin]), "a@b.c");
    assert_hot(&edge, &isolate, &get("/a").cookie("x=1").cookie(&session));
    edge.wait(60);
    assert_hot(&edge, &isolate, &open("/a").cookie(&session));
    edge.wait(60);
    let post = req("POST", "/a")
        .cookie(&session)
        .header("origin", "https://site.example");
    assert_hot(&edge, &isolate, &post);
}

#[test]
fn a_second_request_with_a_bearer_token_is_ready_at_the_first_poll() {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let token = isolate.issue(&edge.api_token(&[Scope::Admin]), "a@b.c");
    assert_hot(&edge, &isolate, &get("/a").bearer(&token));
}

#[test]
fn what_needs_no_credential_waits_for_nothing_either() {
    let edge = Edge::new(&json!({"unauthenticated": "pass"}));
    let isolate = edge.isolate();
    for request in [
        get("/"),
        open("/a"),
        get("/api/sso/health"),
        get("/a%00"),
        get("/api/sso/x"),
        get("/").at("x.y"),
    ] {
        assert_eq!(isolate.send(&request).polls, 1);
    }
    let denying = Edge::new(&json!({}));
    let strict = denying.isolate();
    for request in [
        get("/"),
        open("/a"),
        get("/api/sso/me"),
        get("/").cookie("__Host-edgeward=a.b.c"),
        get("/").bearer("x"),
    ] {
        assert_eq!(strict.send(&request).polls, 1);
    }
    assert_eq!((calls(&edge), calls(&denying)), (0, 0));
}

#[test]
fn the_first_request_reads_each_thing_once() {
    let edge = Edge::new(&json!({}));
    let session = edge
        .isolate()
        .sign_in(&edge.api_token(&[Scope::Admin]), "a@b.c");
    edge.shared.calls.borrow_mut().clear();
    let isolate = edge.isolate();
    let seen = isolate.send(&get("/").cookie(&session));
    assert!(seen.is_forwarded());
    // It waits three times: for what decides, read at once; for our keys; for the signature.
    assert_eq!(seen.polls, 4);
    let calls = edge.shared.calls.borrow();
    let mut made: Vec<String> = calls
        .iter()
        .map(|call| format!("{:?} {}", call.verb, call.key.split(':').next().unwrap()))
        .collect();
    made.sort();
    assert_eq!(
        made,
        [
            "KvRead session_ended",
            "KvRead signing_keys",
            "KvRead user",
            "Sign "
        ]
    );
}

#[test]
fn a_session_seen_for_the_first_time_waits_once_for_user_and_session() {
    let edge = Edge::new(&json!({"assertion": null}));
    let session = edge
        .isolate()
        .sign_in(&edge.api_token(&[Scope::Admin]), "a@b.c");
    let isolate = edge.isolate();
    let seen = isolate.send(&get("/").cookie(&session));
    assert!(seen.is_forwarded());
    assert_eq!(seen.polls, 2);
    // What cannot be read of either is a fault, and costs nobody the session.
    let fault = |trouble: Trouble, polls: usize, status: u16| {
        let isolate = edge.isolate();
        edge.shared.make(trouble);
        let seen = isolate.send(&get("/").cookie(&session));
        edge.shared.make(Trouble::None);
        assert_eq!((seen.status(), seen.polls), (status, polls), "{trouble:?}");
        assert!(!seen.clears(OWN));
    };
    fault(Trouble::Call(0), 2, 503);
    fault(Trouble::Call(1), 2, 503);
    fault(Trouble::Every(Verb::KvRead), 2, 503);
}

#[test]
fn a_user_who_is_gone_or_disabled_is_that_whatever_the_other_read_comes_to() {
    for (change, expected) in [
        (Some(json!({"active": false})), (403, true)),
        (None, (401, true)),
    ] {
        let edge = Edge::new(&json!({"assertion": null}));
        let admin = edge.api_token(&[Scope::Admin]);
        let first = edge.isolate();
        let session = first.sign_in(&admin, "a@b.c");
        let id = first.me(&session).unwrap()["user"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let path = format!("/api/sso/users/{id}");
        let (status, _) = match &change {
            Some(change) => first.admin(&admin, "PATCH", &path, change),
            None => first.admin(&admin, "DELETE", &path, &json!({})),
        };
        assert!(status < 300, "{status}");
        for trouble in [Trouble::None, Trouble::Call(1)] {
            let isolate = edge.isolate();
            edge.shared.make(trouble);
            let seen = isolate.send(&get("/").cookie(&session));
            edge.shared.make(Trouble::None);
            assert_eq!((seen.status(), seen.clears(OWN)), expected, "{trouble:?}");
        }
    }
}

#[test]
fn a_port_that_waits_is_noticed() {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let session = isolate.sign_in(&edge.api_token(&[Scope::Admin]), "a@b.c");
    assert!(edge.isolate().send(&get("/").cookie(&session)).polls > 1);
}

/// How often the core allocates for a request, from the first step to what becomes of it; growing counts as well. The
/// head is there before, and so is what is remembered of the earlier ones.
fn allocations(isolate: &Isolate, request: &Req) -> u64 {
    for _ in 0..2 {
        drop(run(isolate.begin(request)));
    }
    let begun = Box::pin(isolate.begin(request));
    let mut outcome = None;
    let counted = measure(|| outcome = Some(run(begun)));
    assert!(outcome.is_some());
    counted.count_total
}

/// Each bound is what it takes today, so that whoever adds an allocation does it knowingly, and says here what it is for.
#[test]
fn what_a_request_allocates_is_bounded_whatever_its_headers_and_cookies_are() {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let session = isolate.sign_in(&admin, "a@b.c");
    let token = isolate.issue(&admin, "a@b.c");
    let cookies = (0..30).fold(get("/a"), |request, n| request.cookie(&format!("c{n}=1")));
    let headers = (0..30).fold(get("/a"), |request, n| {
        request.header(&format!("x-{n}"), "1")
    });
    for (what, request, most) in [
        // Three fewer than without: the core makes a name for a request that the CDN gave none.
        ("named", get("/a").header("cf-ray", "abc"), 10),
        ("script", get("/a"), 13),
        ("page", open("/a"), 13),
        ("thirty cookies", cookies, 13),
        ("thirty headers", headers, 13),
    ] {
        let count = allocations(&isolate, &request.cookie(&session));
        println!("{what}: {count}");
        assert!(count <= most, "{what}: {count}");
    }
    for (what, request, most) in [
        ("bearer", get("/a").bearer(&token), 24),
        // A refusal makes an answer with its headers, `Strict-Transport-Security` and the request's id among them, and a log
        // line with host, method, path and rule.
        ("nobody", get("/a"), 30),
        // A page is in the language of the browser, which is read of the whole head; and it has a way on.
        ("nobody, a page", open("/a"), 39),
        (
            "a bad cookie",
            get("/a").cookie("__Host-edgeward=a.b.c"),
            47,
        ),
        ("no such site", get("/a").at("x.y"), 27),
        ("no such path", get("/a%00"), 29),
    ] {
        let count = allocations(&isolate, &request);
        println!("{what}: {count}");
        assert!(count <= most, "{what}: {count}");
    }
}
