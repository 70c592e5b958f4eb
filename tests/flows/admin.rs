//! The admin API: who may do what.

use edgeward::model::api_token::{IssueFor, Scope};
use serde_json::{Value, json};

use crate::harness::request::{get, open, req};
use crate::harness::{Edge, Isolate};

pub fn edge() -> (Edge, Isolate, String) {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    (edge, isolate, admin)
}

pub fn make_user(isolate: &Isolate, admin: &str, user: &Value) -> String {
    let (status, made) = isolate.admin(admin, "POST", "/api/sso/users", user);
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

/// Method, path, body, and the scopes besides `admin` with which the call is let through.
type CallOf = (&'static str, &'static str, Value, &'static [Scope]);

fn calls() -> Vec<CallOf> {
    use Scope::{TokenIssue, TokensWrite, UsersRead, UsersWrite};
    let plain = json!({"email": "new@b.c"});
    let reader = json!({"name": "x", "scopes": ["users:read"]});
    vec![
        ("POST", "/api/sso/token", plain.clone(), &[TokenIssue]),
        ("GET", "/api/sso/users", Value::Null, &[UsersRead]),
        (
            "GET",
            "/api/sso/users?email=a@b.c",
            Value::Null,
            &[UsersRead],
        ),
        ("GET", "/api/sso/users?search=a", Value::Null, &[UsersRead]),
        ("POST", "/api/sso/users/reindex", json!({}), &[]),
        ("POST", "/api/sso/users", plain.clone(), &[UsersWrite]),
        (
            "POST",
            "/api/sso/users",
            json!({"email": "n@b.c", "staff": true}),
            &[],
        ),
        (
            "POST",
            "/api/sso/users",
            json!({"email": "n@b.c", "superuser": false}),
            &[],
        ),
        (
            "POST",
            "/api/sso/users",
            json!({"email": "n@b.c", "roles": []}),
            &[],
        ),
        (
            "POST",
            "/api/sso/users/bulk",
            json!({"users": [plain]}),
            &[UsersWrite],
        ),
        ("GET", "/api/sso/users/PLAIN", Value::Null, &[UsersRead]),
        (
            "PATCH",
            "/api/sso/users/PLAIN",
            json!({"first_name": "x"}),
            &[UsersWrite],
        ),
        ("PATCH", "/api/sso/users/PLAIN", json!({"staff": true}), &[]),
        (
            "PATCH",
            "/api/sso/users/PLAIN",
            json!({"roles": ["x"]}),
            &[],
        ),
        (
            "PATCH",
            "/api/sso/users/BOSS",
            json!({"email": "evil@b.c"}),
            &[],
        ),
        ("DELETE", "/api/sso/users/PLAIN", Value::Null, &[UsersWrite]),
        ("DELETE", "/api/sso/users/BOSS", Value::Null, &[]),
        (
            "POST",
            "/api/sso/users/PLAIN/logout",
            Value::Null,
            &[UsersWrite],
        ),
        ("GET", "/api/sso/tokens", Value::Null, &[TokensWrite]),
        (
            "POST",
            "/api/sso/tokens",
            json!({"name": "x", "scopes": ["tokens:write"]}),
            &[TokensWrite],
        ),
        ("POST", "/api/sso/tokens", reader, &[]),
        ("GET", "/api/sso/keys", Value::Null, &[]),
        ("POST", "/api/sso/keys/rotate", Value::Null, &[]),
    ]
}

#[test]
fn sec_64_each_call_wants_its_own_scope_and_no_other_one_opens_it() {
    let count = calls().len();
    for at in 0..count {
        for scope in Scope::ALL {
            let (edge, isolate, admin) = edge();
            let plain = make_user(&isolate, &admin, &json!({"email": "plain@b.c"}));
            let boss = make_user(
                &isolate,
                &admin,
                &json!({"email": "boss@b.c", "superuser": true}),
            );
            edge.wait(2);
            let token = edge.api_token(&[scope]);
            let (method, path, body, scopes) = calls().swap_remove(at);
            let path = path.replace("PLAIN", &plain).replace("BOSS", &boss);
            let (status, answer) = isolate.admin(&token, method, &path, &body);
            let allowed = scope == Scope::Admin || scopes.contains(&scope);
            assert_eq!(
                status < 300,
                allowed,
                "{scope} {method} {path} {body}: {status} {answer}"
            );
            assert!(
                allowed || status == 403,
                "{scope} {method} {path}: {status}"
            );
        }
    }
}

#[test]
fn sec_64_a_change_leads_no_user_out_of_what_the_token_is_for() {
    let (edge, isolate, admin) = edge();
    let role = |name: &str| edgeward::model::user::Role::parse(name).unwrap();
    let limited = edge.limited_api_token(
        &[Scope::Admin],
        IssueFor {
            email_domains: None,
            roles: Some(vec![role("editor")]),
        },
        None,
    );
    let (_, user) = isolate.admin(&admin, "POST", "/api/sso/users", &json!({"email": "a@b.c"}));
    let path = format!("/api/sso/users/{}", user["id"].as_str().unwrap());
    let change = |body: Value| isolate.admin(&limited, "PATCH", &path, &body).0;
    assert_eq!(change(json!({"add_roles": ["editor"]})), 200);
    for body in [
        json!({"add_roles": ["publisher"]}),
        json!({"roles": ["editor", "publisher"]}),
        json!({"superuser": true}),
        json!({"staff": true}),
    ] {
        assert_eq!(change(body.clone()), 403, "{body}");
    }
    let (_, now) = isolate.admin(&admin, "GET", &path, &Value::Null);
    assert_eq!(now["roles"], json!(["editor"]));
    let many: Vec<String> = (0..501).map(|number| format!("r{number}")).collect();
    let (status, _) = isolate.admin(&admin, "PATCH", &path, &json!({"add_roles": many}));
    assert_eq!(status, 400);
}

#[test]
fn sec_64_a_token_hands_on_no_more_than_it_has() {
    let (edge, isolate, _) = edge();
    let issuer = edge.limited_api_token(
        &[Scope::TokensWrite, Scope::TokenIssue],
        IssueFor {
            email_domains: Some(vec!["b.c".into()]),
            roles: None,
        },
        None,
    );
    let make = |new: Value| isolate.admin(&issuer, "POST", "/api/sso/tokens", &new);
    let (status, made) = make(json!({"name": "x", "scopes": ["token:issue"]}));
    assert_eq!(
        (status, &made["issue_for"]),
        (201, &json!({"email_domains": ["b.c"]}))
    );
    for new in [
        json!({"name": "x", "scopes": ["token:issue"], "issue_for": {}}),
        json!({"name": "x", "scopes": ["token:issue"], "issue_for": {"email_domains": ["b.c", "d.e"]}}),
        json!({"name": "x", "scopes": ["token:issue", "users:read"]}),
        json!({"name": "x", "scopes": ["admin"]}),
    ] {
        assert_eq!(make(new.clone()).0, 403, "{new}");
    }
    // Nor does it manage a token that may do more.
    let other = edge.api_token(&[Scope::UsersWrite]);
    let (_, list) = isolate.admin(
        &edge.api_token(&[Scope::Admin]),
        "GET",
        "/api/sso/tokens",
        &Value::Null,
    );
    let tokens = list["tokens"].as_array().unwrap();
    let id = tokens
        .iter()
        .find(|t| t["scopes"] == json!(["users:write"]))
        .unwrap()["id"]
        .as_str()
        .unwrap();
    for (method, path, body) in [
        ("DELETE", "", Value::Null),
        ("PATCH", "", json!({"active": false})),
        ("POST", "/revoke", Value::Null),
    ] {
        let path = format!("/api/sso/tokens/{id}{path}");
        assert_eq!(isolate.admin(&issuer, method, &path, &body).0, 403);
    }
    assert_eq!(
        isolate
            .send(&get("/api/sso/users").api_token(&other))
            .status(),
        403
    );
}

#[test]
fn sec_65_the_admin_api_takes_a_header_credential_only_and_counts_failures() {
    let (edge, isolate, admin) = edge();
    let session = isolate.sign_in(&admin, "boss@b.c");
    let path = "/api/sso/users";
    for request in [
        get(path),
        get(path).cookie(&session),
        get(path).cookie(&format!("token={admin}")),
        get(&format!("{path}?token={admin}&api_token={admin}")),
        get(path).header("x-api-token", &admin),
        get(path).header("authorization", &format!("Basic {admin}")),
    ] {
        assert_eq!(
            isolate.send(&request).refusal(),
            (401, "authentication_required".into()),
            "{request:?}"
        );
    }
    let preflight = req("OPTIONS", path)
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST");
    let seen = isolate.send(&preflight);
    assert_eq!(
        (seen.status(), seen.header("access-control-allow-origin")),
        (401, None)
    );
    edge.shared.limited.set(true);
    for request in [
        get(path),
        get(path).api_token("ewt_x"),
        get(path).api_token(&admin),
        req("POST", "/api/sso/token").api_token(&admin),
    ] {
        let seen = isolate.send(&request.header("cf-connecting-ip", "203.0.113.9"));
        assert_eq!(
            (seen.status(), seen.header("retry-after")),
            (429, Some("60"))
        );
    }
    let counted: Vec<String> = edge
        .shared
        .calls
        .borrow()
        .iter()
        .filter(|c| !c.key.is_empty())
        .map(|c| c.key.clone())
        .collect();
    assert!(counted.contains(&"Failures 203.0.113.9".to_owned()));
    assert!(
        !counted.iter().any(|key| key.contains("ewt_")),
        "the token itself is no key"
    );
}

#[test]
fn a_caller_without_rights_learns_nothing_of_what_exists() {
    let (edge, isolate, admin) = edge();
    let id = make_user(&isolate, &admin, &json!({"email": "a@b.c"}));
    let reader = edge.api_token(&[Scope::TokenIssue]);
    for path in [
        format!("/api/sso/users/{id}"),
        "/api/sso/users/usr_0123456789abcdefghijkl".into(),
        "/api/sso/users/x".into(),
    ] {
        for method in ["GET", "PATCH", "DELETE"] {
            assert_eq!(
                isolate.admin(&reader, method, &path, &json!({})).0,
                403,
                "{method} {path}"
            );
        }
    }
    assert_eq!(isolate.send(&open("/api/sso/users")).refusal().0, 401);
}
