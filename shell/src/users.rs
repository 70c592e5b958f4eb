//! Checks the users and the passwords of a file before any of them is sent, by the core's own rules.

use edgeward::admin::users::UserPatch;
use edgeward::model::password;
use edgeward::model::user::subject::IssuerSubject;
use edgeward::model::user::{Email, Tenant};
use serde_json::{Value, json};

/// For each user its error, or null.
pub fn check(rows: Vec<Value>) -> Value {
    let errors: Vec<Option<String>> = rows.into_iter().map(|row| check_row(row).err()).collect();
    json!(errors)
}

/// For each of Django's password hashes why it cannot be imported, or null.
pub fn check_hashes(hashes: &[String]) -> Value {
    let errors: Vec<Option<String>> = hashes
        .iter()
        .map(|hash| {
            password::from_django(hash)
                .err()
                .map(|error| error.to_string())
        })
        .collect();
    json!(errors)
}

fn check_row(mut row: Value) -> Result<(), String> {
    let members = row.as_object_mut().ok_or("is not an object")?;
    let subject = members.remove("subject").unwrap_or_default();
    let subject: Option<IssuerSubject> = serde_json::from_value(subject)
        .map_err(|error| format!("has no valid subject: {error}"))?;
    let email = members.remove("email").unwrap_or_default();
    let is_absent = email.is_null();
    let email = email.as_str().and_then(Email::parse);
    if email.is_none() && !(is_absent && subject.is_some()) {
        return Err("has no valid email".into());
    }
    let tenant = members.remove("tenant").unwrap_or_default();
    if !tenant.is_null() && tenant.as_str().and_then(Tenant::parse).is_none() {
        return Err("has no valid tenant".into());
    }
    let patch: UserPatch = serde_json::from_value(row).map_err(|error| error.to_string())?;
    patch
        .check_username(email.as_ref())
        .map_err(|_| "has a username that is somebody else's address".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_admin_api_would_refuse_is_reported_before_it_is_sent() {
        for row in [
            json!({"email": "ada@example.com"}),
            json!({"email": " Ada@Example.com ", "username": "ada@example.com", "tenant": "acme"}),
            json!({"subject": {"issuer": "https://id.example", "sub": "user:test123"}}),
            json!({"subject": {"issuer": "https://id.example", "sub": "ü"}, "email": "a@b.c", "username": "a@b.c"}),
            json!({"email": "a@b.c", "subject": null}),
            json!({"email": "a@b.c", "first_name": "A", "last_name": "", "roles": ["x"], "active": false, "staff": true, "superuser": null}),
        ] {
            assert_eq!(check_row(row.clone()), Ok(()), "{row}");
        }
        for row in [
            json!(null),
            json!("ada@example.com"),
            json!({}),
            json!({"email": null}),
            json!({"email": "a@b@c"}),
            json!({"subject": null}),
            json!({"subject": "user:test123"}),
            json!({"subject": {"sub": "user:test123"}}),
            json!({"subject": {"issuer": "https://id.example", "sub": ""}}),
            json!({"subject": {"issuer": "https://id.example", "sub": "a\nb"}}),
            json!({"subject": {"issuer": "https://id.example", "sub": "a", "aud": "b"}}),
            json!({"subject": {"issuer": "https://id.example", "sub": "a"}, "email": "nobody"}),
            json!({"subject": {"issuer": "https://id.example", "sub": "a"}, "username": "a@b.c"}),
            json!({"email": "a@b.c", "username": "d@e.f"}),
            json!({"email": "a@b.c", "tenant": "No"}),
            json!({"email": "a@b.c", "tenant": 1}),
            json!({"email": "a@b.c", "roles": ["a\tb"]}),
            json!({"email": "a@b.c", "roles": "a"}),
            json!({"email": "a@b.c", "active": "yes"}),
            json!({"email": "a@b.c", "first_name": "a\nb"}),
            json!({"email": "a@b.c", "phone": "1"}),
        ] {
            assert!(check_row(row.clone()).is_err(), "{row}");
        }
    }
}
