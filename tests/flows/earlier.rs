//! Records and sessions of the version before this one are read, and changed.

use edgeward::jose::jws::Kind;
use edgeward::model::api_token::Scope;
use edgeward::platform::digest::{hex, sha256};
use serde_json::{Value, json};

use crate::harness::request::get;
use crate::harness::{Edge, OWN, START};

const ID: &str = "usr_jdBZII5Shny2Z-OsnhWorA";

pub fn key(prefix: &str, name: &str) -> String {
    format!("{prefix}{}", hex(&sha256(name.as_bytes())))
}

fn put(edge: &Edge, key: String, value: String) {
    edge.shared.values.borrow_mut().insert(key, (value, None));
}

#[test]
fn a_user_a_session_and_an_api_token_of_the_version_before_go_on() {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    // As it was written, without a version.
    let user = json!({
        "id": ID, "email": "ada@example.com", "username": "ada@example.com", "first_name": "Ada",
        "last_name": "", "active": true, "staff": false, "superuser": false, "roles": ["editor"],
        "sessions_valid_after": null, "created_at": 1_770_000_000_000_u64, "updated_at": 1_770_000_000_000_u64,
    });
    put(&edge, key("user:", ID), user.to_string());
    put(&edge, key("user_email:", "ada@example.com"), ID.into());
    let token = edge.api_token(&[Scope::UsersRead]);
    let id = hex(&sha256(token.as_bytes())[..16]);
    let record = edge.shared.value(&format!("api_token:{id}")).unwrap();
    let mut record: Value = serde_json::from_str(&record).unwrap();
    record.as_object_mut().unwrap().remove("version").unwrap();
    put(&edge, format!("api_token:{id}"), record.to_string());
    let session = json!({
        "iss": "edgeward", "aud": "site.example", "sub": ID, "jti": "a-session",
        "iat": START.seconds(), "exp": START.seconds() + 3600, "began": START.millis(),
    });
    let session = format!("{OWN}={}", isolate.forge(Kind::Session, &session));
    assert!(isolate.send(&get("/").cookie(&session)).is_forwarded());
    assert_eq!(
        isolate
            .admin(&token, "GET", "/api/sso/users", &Value::Null)
            .0,
        200
    );
    let taken = json!({"roles": []});
    let (status, changed) = isolate.admin(&admin, "PATCH", &format!("/api/sso/users/{ID}"), &taken);
    assert_eq!((status, &changed["roles"]), (200, &json!([])));
    let stored = edge.shared.value(&key("user:", ID)).unwrap();
    let stored: Value = serde_json::from_str(&stored).unwrap();
    assert_eq!(stored["version"], 1);
    let revoke = format!("/api/sso/tokens/{id}/revoke");
    assert_eq!(isolate.admin(&admin, "POST", &revoke, &Value::Null).0, 200);
    assert_eq!(
        isolate
            .admin(&token, "GET", "/api/sso/users", &Value::Null)
            .0,
        401
    );
}
