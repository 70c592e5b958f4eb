//! `POST /api/sso/token`.

use edgeward::model::api_token::{IssueFor, Scope};
use edgeward::model::user::Role;
use edgeward::pipeline::Action;
use edgeward::platform::time::Seconds;
use futures_util::future::join;
use serde_json::{Value, json};

use crate::harness::ports::Location;
use crate::harness::request::{Req, open, req};
use crate::harness::shared::{Lag, Trouble, Verb};
use crate::harness::{Edge, Isolate, SSO, claims_of, run, step};

fn call(api_token: &str, body: &Value) -> Req {
    req("POST", "/api/sso/token")
        .api_token(api_token)
        .json(body)
}

fn edge() -> (Edge, Isolate, String) {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::TokenIssue]);
    (edge, isolate, api_token)
}

#[test]
fn a_token_names_the_user_and_lives_as_long_as_the_answer_says() {
    let (edge, isolate, api_token) = edge();
    let body = json!({"email": "anna@example.com", "first_name": "Anna", "last_name": "Gram"});
    let seen = isolate.send(&call(&api_token, &body));
    assert_eq!(seen.status(), 200);
    assert_eq!(seen.json()["expires_in"], 600);
    let claims = claims_of(seen.json()["token"].as_str().unwrap());
    assert_eq!(claims["iat"], edge.now().seconds());
    assert_eq!(claims["exp"], edge.now().seconds() + 600);
    assert_eq!(claims["iss"], "edgeward");
    assert_eq!(claims["aud"], "site.example");
    assert_eq!(claims["sub"], claims["user_id"]);
    assert_eq!(claims["email"], "anna@example.com");
    assert_eq!(claims["username"], "anna@example.com");
    assert_eq!(claims["first_name"], "Anna");
    assert_eq!(claims["last_name"], "Gram");
    assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
    let again = isolate.send(&call(&api_token, &body));
    let again = claims_of(again.json()["token"].as_str().unwrap());
    assert_eq!(again["sub"], claims["sub"]);
    assert_ne!(again["jti"], claims["jti"]);
}

#[test]
fn each_error_has_the_words_that_its_clients_know() {
    let (edge, isolate, good) = edge();
    let reader = edge.api_token(&[Scope::UsersRead, Scope::UsersWrite, Scope::TokensWrite]);
    let short =
        edge.limited_api_token(&[Scope::TokenIssue], IssueFor::default(), Some(Seconds(10)));
    edge.wait(10);
    let ok = json!({"email": "a@b.c"});
    let plain = || req("POST", "/api/sso/token");
    let unknown = "ewt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA000000";
    for (request, status, error) in [
        (plain().json(&ok), 401, "Authentication required"),
        (
            plain().json(&ok).header("authorization", "Basic YTpi"),
            401,
            "Authentication required",
        ),
        (
            plain().json(&ok).header("authorization", "Token"),
            401,
            "Authentication required",
        ),
        (call("nonsense", &ok), 401, "Invalid API token"),
        (call(unknown, &ok), 401, "Invalid API token"),
        (call(&short, &ok), 401, "Invalid API token"),
        (call(&reader, &ok), 403, "Admin privileges required"),
        (call(&good, &ok).body(b"{"), 400, "Invalid JSON"),
        (call(&good, &ok).body(b""), 400, "Invalid JSON"),
        (call(&good, &ok).body(b"\xff\xfe"), 400, "Invalid JSON"),
        (call(&good, &json!([])), 400, "Email required"),
        (call(&good, &json!("a@b.c")), 400, "Email required"),
        (call(&good, &json!(null)), 400, "Email required"),
        (call(&good, &json!({})), 400, "Email required"),
        (call(&good, &json!({"email": "  "})), 400, "Email required"),
        (call(&good, &json!({"email": 7})), 400, "Email required"),
        (call(&good, &json!({"email": "a"})), 400, "Invalid email"),
        (
            call(&good, &ok).body(&vec![b' '; 64 * 1024 + 1]),
            413,
            "The request body is too large",
        ),
    ] {
        let seen = isolate.send(&request);
        assert_eq!(seen.refusal(), (status, error.to_owned()), "{request:?}");
        assert_eq!(seen.header("cache-control"), Some("no-store"));
        assert_eq!(seen.header("access-control-allow-origin"), None);
    }
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let seen = isolate.send(&req(method, "/api/sso/token").api_token(&good));
        assert_eq!((seen.status(), seen.header("allow")), (405, Some("POST")));
    }
}

#[test]
fn a_body_of_exactly_64_kb_is_read() {
    let (_, isolate, api_token) = edge();
    let mut body = br#"{"email":"a@b.c"}"#.to_vec();
    body.resize(64 * 1024, b' ');
    let seen = isolate.send(&call(&api_token, &json!({})).body(&body));
    assert_eq!(seen.status(), 200, "{}", seen.body());
}

#[test]
fn an_unknown_user_has_the_status_that_the_site_s_callers_expect() {
    let edge =
        Edge::new(&json!({"auto_create_users": false, "sso_token": {"unknown_user_status": 404}}));
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::Admin]);
    let seen = isolate.send(&call(&api_token, &json!({"email": "x@b.c"})));
    assert_eq!(seen.status(), 404);
    assert_eq!(seen.json()["error_code"], "USER_NOT_FOUND");
}

#[test]
fn an_unknown_user_is_made_only_where_the_site_says_so() {
    let edge = Edge::new(&json!({"auto_create_users": false}));
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::Admin]);
    let seen = isolate.send(&call(&api_token, &json!({"email": "X@b.c"})));
    let expected = json!({
        "success": false,
        "error": "User not found: x@b.c",
        "error_code": "USER_NOT_FOUND",
        "email": "x@b.c",
    });
    assert_eq!((seen.status(), seen.json()), (422, expected));
    let (status, _) = isolate.admin(
        &api_token,
        "POST",
        "/api/sso/users",
        &json!({"email": "x@b.c"}),
    );
    assert_eq!(status, 201);
    assert_eq!(
        claims_of(&isolate.issue(&api_token, "x@b.c"))["email"],
        "x@b.c"
    );
}

#[test]
fn a_disabled_user_gets_no_token() {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let user = json!({"email": "a@b.c", "active": false});
    isolate.admin(&admin, "POST", "/api/sso/users", &user);
    let seen = isolate.send(&call(&admin, &json!({"email": "a@b.c"})));
    assert_eq!(seen.status(), 403);
}

#[test]
fn addresses_are_compared_case_folded_and_trimmed() {
    let (_, isolate, api_token) = edge();
    let one = claims_of(&isolate.issue(&api_token, "Anna@Example.COM"));
    let two = claims_of(&isolate.issue(&api_token, "  anna@example.com\t"));
    assert_eq!(one["sub"], two["sub"]);
    assert_eq!(one["email"], "anna@example.com");
}

#[test]
fn sec_58_an_address_with_two_at_signs_is_no_address_and_domains_are_compared_whole() {
    let (edge, isolate, api_token) = edge();
    let only_example = IssueFor {
        email_domains: Some(vec!["example.com".into()]),
        roles: None,
    };
    let limited = edge.limited_api_token(&[Scope::TokenIssue], only_example, None);
    for email in [
        "evil@x.net@example.com",
        "a@b@c",
        "\"a@example.com\"@x.net",
        "@example.com",
    ] {
        for token in [&api_token, &limited] {
            let seen = isolate.send(&call(token, &json!({ "email": email })));
            assert_eq!(seen.refusal(), (400, "Invalid email".into()), "{email}");
        }
    }
    for email in [
        "a@example.com.evil.net",
        "a@sub.example.com",
        "a@xexample.com",
        "a@example.co",
    ] {
        let seen = isolate.send(&call(&limited, &json!({ "email": email })));
        assert_eq!(seen.status(), 403, "{email}");
    }
    assert_eq!(
        isolate
            .send(&call(&limited, &json!({"email": "A@EXAMPLE.com"})))
            .status(),
        200
    );
}

#[test]
fn sec_64_a_token_limited_by_roles_signs_nobody_in_who_may_more() {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let limit = IssueFor {
        email_domains: None,
        roles: Some(vec![Role::parse("reader").unwrap()]),
    };
    let limited = edge.limited_api_token(&[Scope::TokenIssue], limit, None);
    for (email, rights, status) in [
        ("none@b.c", json!({}), 200),
        ("reader@b.c", json!({"roles": ["reader"]}), 200),
        ("both@b.c", json!({"roles": ["reader", "owner"]}), 403),
        ("staff@b.c", json!({"staff": true}), 403),
        ("super@b.c", json!({"superuser": true}), 403),
    ] {
        let mut user = rights;
        user["email"] = json!(email);
        assert_eq!(
            isolate.admin(&admin, "POST", "/api/sso/users", &user).0,
            201
        );
        let seen = isolate.send(&call(&limited, &json!({ "email": email })));
        assert_eq!(seen.status(), status, "{email}");
    }
}

#[test]
fn sec_64_a_user_made_on_first_sight_has_no_rights_whatever_the_call_says() {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let body = json!({"email": "a@b.c", "staff": true, "superuser": true, "roles": ["owner"], "active": true});
    assert_eq!(isolate.send(&call(&admin, &body)).status(), 200);
    let (_, list) = isolate.admin(&admin, "GET", "/api/sso/users?email=a@b.c", &json!({}));
    let user = &list["users"][0];
    assert_eq!(
        (&user["staff"], &user["superuser"], &user["roles"]),
        (&json!(false), &json!(false), &json!([]))
    );
}

fn user_of(outcome: &edgeward::pipeline::Outcome) -> (String, String) {
    let Action::Answer(answer) = &outcome.action else {
        panic!("forwarded");
    };
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let token = body["token"].as_str().unwrap().to_owned();
    (claims_of(&token)["sub"].as_str().unwrap().to_owned(), token)
}

#[test]
fn two_simultaneous_calls_for_a_new_address_give_one_user() {
    let (edge, isolate, api_token) = edge();
    let request = call(&api_token, &json!({"email": "new@b.c"}));
    let ((one, two), _) = run(join(isolate.begin(&request), isolate.begin(&request)));
    assert_eq!(user_of(&one).0, user_of(&two).0);
    let values = edge.shared.values.borrow();
    let users = values.keys().filter(|key| key.starts_with("user:")).count();
    assert_eq!(users, 1);
}

#[test]
fn simultaneous_calls_at_two_places_give_one_user_whose_tokens_work_at_both() {
    let (edge, _, api_token) = edge();
    edge.shared.lag.set(Lag::Elsewhere);
    let (here, there) = (Location::default(), Location::default());
    let (first, second) = (edge.isolate_at(&here), edge.isolate_at(&there));
    let request = call(&api_token, &json!({"email": "new@b.c"}));
    let ((one, two), _) = run(join(first.begin(&request), second.begin(&request)));
    let ((one, token), (two, other)) = (user_of(&one), user_of(&two));
    assert_eq!(one, two);
    for (isolate, token) in [
        (&first, &token),
        (&second, &other),
        (&first, &other),
        (&second, &token),
    ] {
        let seen = isolate.send(&open("/").cookie(&format!("{SSO}={token}")));
        assert!(seen.is_forwarded(), "{:?}", seen.outcome.event);
    }
}

#[test]
fn a_call_that_overtakes_the_first_one_gives_the_same_user() {
    let (edge, isolate, api_token) = edge();
    let request = call(&api_token, &json!({"email": "new@b.c"}));
    let mut slow = Box::pin(isolate.begin(&request));
    while edge.shared.count(Verb::RecordChange) == 0 {
        assert!(step(&mut slow).is_none());
    }
    let quick = edge.isolate().send(&request);
    assert_eq!(user_of(&quick.outcome).0, user_of(&run(slow).0).0);
}

#[test]
fn a_fault_of_the_writer_makes_nothing() {
    let (edge, isolate, api_token) = edge();
    edge.shared.make(Trouble::Every(Verb::RecordChange));
    let seen = isolate.send(&call(&api_token, &json!({"email": "new@b.c"})));
    assert_eq!(seen.status(), 503);
    let values = edge.shared.values.borrow();
    assert!(!values.keys().any(|key| key.starts_with("user")));
}

#[test]
fn sec_64_asking_for_a_token_changes_no_user_that_is_there() {
    let (edge, isolate, api_token) = edge();
    isolate.issue(&api_token, "a@b.c");
    edge.wait(2);
    let other = json!({"email": "a@b.c", "username": "bert", "first_name": "Bert"});
    let seen = isolate.send(&call(&api_token, &other));
    let claims = claims_of(seen.json()["token"].as_str().unwrap());
    assert_eq!(claims["username"], "a@b.c");
    assert!(claims["first_name"].is_null());
}

#[test]
fn sec_64_nobody_is_given_the_address_of_another_as_a_username() {
    let (_edge, isolate, api_token) = edge();
    for (username, status) in [("boss@b.c", 400), ("Boss@B.C ", 400), ("new@b.c", 200)] {
        let body = json!({"email": "new@b.c", "username": username});
        let seen = isolate.send(&call(&api_token, &body));
        assert_eq!(seen.status(), status, "{username}");
    }
}

#[test]
fn the_use_of_an_api_token_is_noted_once_in_an_hour() {
    let (edge, isolate, api_token) = edge();
    let written = || {
        let calls = edge.shared.calls.borrow();
        let used = |key: &str| key.starts_with("api_token_used:");
        calls
            .iter()
            .filter(|c| c.verb == Verb::KvWrite && used(&c.key))
            .count()
    };
    for _ in 0..5 {
        isolate.issue(&api_token, "a@b.c");
        edge.wait(600);
    }
    assert_eq!(written(), 1);
    edge.wait(700);
    isolate.issue(&api_token, "a@b.c");
    assert_eq!(written(), 2);
}

#[test]
fn a_place_that_asks_before_the_first_has_written_still_gives_a_token_that_works_there() {
    let (edge, _, api_token) = edge();
    edge.shared.lag.set(Lag::Elsewhere);
    let (first, second) = (edge.isolate(), edge.isolate());
    let request = call(&api_token, &json!({"email": "new@b.c"}));
    let mut slow = Box::pin(first.begin(&request));
    while edge.shared.count(Verb::RecordChange) == 0 {
        assert!(step(&mut slow).is_none());
    }
    let quick = second.send(&request);
    let slow = run(slow).0;
    let (one, token) = user_of(&quick.outcome);
    assert_eq!(one, user_of(&slow).0);
    let seen = second.send(&open("/").cookie(&format!("{SSO}={token}")));
    assert!(seen.is_forwarded(), "{:?}", seen.outcome.event);
}

#[test]
fn a_call_that_failed_half_way_can_be_made_again_and_its_token_works() {
    for failing in 0.. {
        let (edge, isolate, api_token) = edge();
        let request = call(&api_token, &json!({"email": "new@b.c"}));
        edge.shared.make(Trouble::Call(failing));
        let first = isolate.send(&request);
        if edge.shared.counted() <= failing {
            assert!(failing > 6, "{failing}");
            break;
        }
        // That a token was used need not be noted; everything else must have worked.
        assert!(matches!(first.status(), 200 | 503), "{}", first.body());
        edge.shared.make(Trouble::None);
        edge.wait(2);
        let one = isolate.issue(&api_token, "new@b.c");
        let seen = isolate.send(&open("/").cookie(&format!("{SSO}={one}")));
        assert!(
            seen.is_forwarded(),
            "after call {failing} failed: {}",
            seen.body()
        );
        // When the claim has ended, it is still the same user.
        edge.wait(200);
        let two = isolate.issue(&api_token, "new@b.c");
        assert_eq!(
            claims_of(&one)["sub"],
            claims_of(&two)["sub"],
            "after call {failing} failed"
        );
    }
}

#[test]
fn the_longest_address_makes_a_user_that_can_be_read_again() {
    let (edge, isolate, _) = edge();
    let admin = edge.api_token(&[Scope::Admin]);
    let email = format!("{}@example.com", "a".repeat(242));
    let token = isolate.issue(&admin, &email);
    let seen = isolate.send(&open("/").cookie(&format!("{SSO}={token}")));
    assert!(seen.is_forwarded(), "{:?}", seen.outcome.event);
    let (status, _) = isolate.admin(&admin, "GET", "/api/sso/users", &json!({}));
    assert_eq!(status, 200);
}
