//! The admin API: users and what a change of them does.

use serde_json::{Value, json};

use crate::admin::{edge, make_user};
use crate::harness::request::get;

#[test]
fn users_are_listed_page_by_page_and_found_by_address() {
    let (_, isolate, admin) = edge();
    for n in 0..7 {
        make_user(&isolate, &admin, &json!({"email": format!("u{n}@b.c")}));
    }
    let mut found = std::collections::BTreeSet::new();
    let mut path = "/api/sso/users?limit=3".to_owned();
    let mut pages = 0;
    loop {
        let (status, page) = isolate.admin(&admin, "GET", &path, &Value::Null);
        assert_eq!(status, 200);
        pages += 1;
        let users = page["users"].as_array().unwrap();
        found.extend(
            users
                .iter()
                .map(|user| user["email"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["cursor"].as_str() else {
            break;
        };
        path = format!("/api/sso/users?limit=3&cursor={cursor}");
    }
    assert_eq!((found.len(), pages), (7, 3));
    let (_, one) = isolate.admin(&admin, "GET", "/api/sso/users?email=U3%40B.C", &Value::Null);
    assert_eq!(one["users"][0]["email"], "u3@b.c");
    for (query, code) in [
        ("limit=0", "invalid_request"),
        ("limit=101", "invalid_request"),
        ("limit=x", "invalid_request"),
        ("cursor=x", "invalid_cursor"),
        ("email=x", "invalid_request"),
    ] {
        let (status, body) = isolate.admin(
            &admin,
            "GET",
            &format!("/api/sso/users?{query}"),
            &Value::Null,
        );
        assert_eq!(
            (status, body["code"].as_str()),
            (400, Some(code)),
            "{query}"
        );
    }
}

#[test]
fn an_address_belongs_to_one_user_also_when_it_moves() {
    let (edge, isolate, admin) = edge();
    let anna = make_user(&isolate, &admin, &json!({"email": "anna@b.c"}));
    make_user(&isolate, &admin, &json!({"email": "bert@b.c"}));
    let session = isolate.sign_in(&admin, "anna@b.c");
    let (status, body) = isolate.admin(
        &admin,
        "POST",
        "/api/sso/users",
        &json!({"email": "ANNA@b.c"}),
    );
    assert_eq!((status, body["code"].as_str()), (409, Some("user_exists")));
    let path = format!("/api/sso/users/{anna}");
    edge.wait(2);
    assert_eq!(
        isolate
            .admin(&admin, "PATCH", &path, &json!({"email": "bert@b.c"}))
            .0,
        409
    );
    let (status, moved) = isolate.admin(
        &admin,
        "PATCH",
        &path,
        &json!({"email": "Ann@b.c", "first_name": "Ann"}),
    );
    assert_eq!(
        (status, &moved["email"], &moved["first_name"]),
        (200, &json!("ann@b.c"), &json!("Ann"))
    );
    assert_eq!(edge.shared.written_too_often(), [""; 0]);
    // The session goes on with the new address; the old one is free.
    edge.wait(2);
    let origin = isolate.send(&get("/").cookie(&session)).origin();
    assert_eq!(origin.header("remote-email"), Some("ann@b.c"));
    let other = make_user(&isolate, &admin, &json!({"email": "anna@b.c"}));
    assert_ne!(other, anna);
    let claims = crate::harness::claims_of(&isolate.issue(&admin, "ann@b.c"));
    assert_eq!(claims["sub"], anna.as_str());
}

#[test]
fn a_bulk_call_makes_changes_and_reports_each_user_by_itself() {
    let (edge, isolate, admin) = edge();
    make_user(&isolate, &admin, &json!({"email": "old@b.c"}));
    edge.wait(2);
    let users = json!([{"email": "new@b.c", "first_name": "N"}, {"email": "old@b.c", "first_name": "O"}, {"email": "x"}, {"email": "y@b.c", "nope": 1}, 7]);
    let (status, result) = isolate.admin(
        &admin,
        "POST",
        "/api/sso/users/bulk",
        &json!({"users": users, "on_existing": "update"}),
    );
    assert_eq!(status, 200);
    let all = result["results"].as_array().unwrap();
    let statuses: Vec<&str> = all.iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(
        statuses,
        ["created", "updated", "invalid", "invalid", "invalid"]
    );
    assert_eq!(
        (&result["created"], &result["updated"], &result["invalid"]),
        (&json!(1), &json!(1), &json!(3))
    );
    let many: Vec<Value> = (0..101)
        .map(|n| json!({"email": format!("u{n}@b.c")}))
        .collect();
    assert_eq!(
        isolate
            .admin(
                &admin,
                "POST",
                "/api/sso/users/bulk",
                &json!({"users": many})
            )
            .0,
        400
    );
    let many: Vec<Value> = (0..100)
        .map(|n| json!({"email": format!("u{n}@b.c")}))
        .collect();
    let (status, result) = isolate.admin(
        &admin,
        "POST",
        "/api/sso/users/bulk",
        &json!({"users": many}),
    );
    assert_eq!((status, &result["created"]), (200, &json!(100)));
    assert_eq!(edge.shared.written_too_often(), [""; 0]);
}

#[test]
fn a_typing_error_is_no_success() {
    let (edge, isolate, admin) = edge();
    let id = make_user(&isolate, &admin, &json!({"email": "a@b.c"}));
    edge.wait(2);
    let user = format!("/api/sso/users/{id}");
    for (method, path, body, field) in [
        (
            "POST",
            "/api/sso/users",
            json!({"email": "n@b.c", "stff": true}),
            "stff",
        ),
        ("POST", "/api/sso/users", json!({"email": 7}), "email"),
        (
            "POST",
            "/api/sso/users",
            json!({"first_name": "x"}),
            "email",
        ),
        ("PATCH", user.as_str(), json!({"active": "no"}), "active"),
        ("PATCH", user.as_str(), json!({"roles": "owner"}), "roles"),
        (
            "POST",
            "/api/sso/tokens",
            json!({"name": "x", "scopes": []}),
            "scopes",
        ),
        (
            "POST",
            "/api/sso/tokens",
            json!({"name": "x", "scopes": ["root"]}),
            "scopes",
        ),
        (
            "POST",
            "/api/sso/tokens",
            json!({"name": "", "scopes": ["admin"]}),
            "name",
        ),
        (
            "POST",
            "/api/sso/tokens",
            json!({"name": "x", "scopes": ["admin"], "expires_in": 0}),
            "expires_in",
        ),
        (
            "POST",
            "/api/sso/tokens",
            json!({"name": "x", "scopes": ["admin"], "issue_for": {"roels": []}}),
            "issue_for",
        ),
    ] {
        let (status, answer) = isolate.admin(&admin, method, path, &body);
        let found = (status, answer["code"].as_str(), answer["field"].as_str());
        assert_eq!(found, (400, Some("invalid_request"), Some(field)), "{body}");
    }
    let (status, answer) = isolate.admin(
        &admin,
        "GET",
        "/api/sso/users/usr_0123456789abcdefghijkl",
        &Value::Null,
    );
    assert_eq!((status, answer["code"].as_str()), (404, Some("not_found")));
}

#[test]
fn sec_80_no_case_folding_of_ours_makes_two_people_one() {
    let (_, isolate, admin) = edge();
    let id = |email: &str| make_user(&isolate, &admin, &json!({ "email": email }));
    let users = [
        id("kim@example.com"),
        id("ärger@example.com"),
        id("Ärger@example.com"),
    ];
    assert_eq!(
        users.iter().collect::<std::collections::HashSet<_>>().len(),
        3
    );
    let post = |email: &str| {
        let body = json!({ "email": email });
        isolate.admin(&admin, "POST", "/api/sso/users", &body).0
    };
    assert_eq!(post("KIM@EXAMPLE.COM"), 409);
    assert_eq!(post("ÄRGER@example.com"), 409, "the rest is ASCII");
    for look_alike in [
        "\u{212a}im@example.com",
        "kim@example.com\u{200b}",
        "k\u{ad}im@example.com",
        "kim＠example.com@b.c",
    ] {
        assert_eq!(post(look_alike), 400, "{look_alike}");
    }
    let rename = |name: &str| {
        let path = format!("/api/sso/users/{}", users[1]);
        let body = json!({ "username": name });
        isolate.admin(&admin, "PATCH", &path, &body).0
    };
    assert_eq!(rename("kım"), 200);
    for bad in [
        "kim＠example.com",
        "\u{212a}im@example.com",
        "k\u{200d}im",
        "\u{202e}mik",
    ] {
        assert_eq!(rename(bad), 400, "{bad}");
    }
}

#[test]
fn sec_80_a_stored_record_with_such_an_address_is_a_fault_for_its_user_alone() {
    let (edge, isolate, admin) = edge();
    let session = isolate.sign_in(&admin, "kim@example.com");
    let other = isolate.sign_in(&admin, "ada@example.com");
    for (key, (value, _)) in edge.shared.values.borrow_mut().iter_mut() {
        if key.starts_with("user:") {
            *value = value.replace("kim@example.com", "k\u{131}m@example.com");
        }
    }
    let fresh = edge.isolate();
    assert_eq!(fresh.send(&get("/").cookie(&session)).status(), 503);
    assert!(fresh.send(&get("/").cookie(&other)).is_forwarded());
    let (status, page) = fresh.admin(&admin, "GET", "/api/sso/users", &Value::Null);
    assert_eq!((status, page["users"].as_array().unwrap().len()), (200, 1));
}
