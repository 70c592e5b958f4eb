//! Users whom an issuer's subject identifies, with an address or without.

use edgeward::model::api_token::{IssueFor, Scope};
use edgeward::platform::algorithm::Algorithm;
use futures_util::future::join;
use serde_json::{Value, json};

use crate::admin::make_user;
use crate::harness::crypto::Private;
use crate::harness::issuer::{ISS, JWKS, Stage, by_bearer, reason, table, with_issuer};
use crate::harness::request::{get, open, req};
use crate::harness::{Edge, Isolate, SSO, claims_of, run};

const OTHER: &str = "https://other.example";
const OTHER_JWKS: &str = "https://other.example/jwks";

/// An edge whose issuer `id` knows its users by subject, `other` as well, and `mail` by address.
fn stage(issuer: &Value) -> Stage {
    let mut by_subject = issuer.clone();
    by_subject["identity"] = json!("subject");
    let mut all = with_issuer(&by_subject, &json!({"issuers": ["id", "other", "mail"]}));
    let other = json!({"issuer": OTHER, "jwks_url": OTHER_JWKS, "identity": "subject"});
    all.insert("EDGEWARD_ISSUER_OTHER".into(), table(&other));
    let mail = json!({"issuer": "https://mail.example"});
    all.insert("EDGEWARD_ISSUER_MAIL".into(), table(&mail));
    let stage = Stage {
        edge: Edge::with(all),
        key: Private::new(Algorithm::EdDsa.key_type(), "issuer"),
    };
    stage.publish(&[(&stage.key, "k1")]);
    let set = json!({"keys": [stage.key.jwk(&json!({"kid": "k1"}))]}).to_string();
    stage.answer(OTHER_JWKS, 200, &set);
    stage
}

/// A token of a person without an address.
fn bare(stage: &Stage, sub: &str) -> String {
    stage.token(&json!({"sub": sub, "email": null, "email_verified": null}))
}

/// The record behind a bearer token.
fn me(isolate: &Isolate, token: &str) -> Value {
    let seen = isolate.send(&get("/api/sso/me").bearer(token));
    assert_eq!(seen.status(), 200, "{}", seen.body());
    seen.json()["user"].clone()
}

fn id_of(isolate: &Isolate, token: &str) -> String {
    me(isolate, token)["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_user_without_an_address_has_a_record_headers_and_an_assertion() {
    let stage = stage(&json!({}));
    let isolate = stage.isolate();
    let seen = isolate.send(&by_bearer(&bare(&stage, "user:test123")));
    let origin = seen.origin();
    let id = origin.header("x-forwarded-user").unwrap().to_owned();
    assert!(id.starts_with("usr_"));
    assert_eq!(origin.header("remote-user"), Some(id.as_str()));
    assert_eq!(
        origin.header("x-forwarded-preferred-username"),
        Some(id.as_str())
    );
    for absent in ["x-forwarded-email", "remote-email"] {
        assert_eq!(origin.header(absent), None, "{absent}");
    }
    let assertion = claims_of(origin.header("x-edgeward-assertion").unwrap());
    assert_eq!(assertion["sub"], json!(id));
    assert_eq!(assertion.get("email"), None);
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let path = format!("/api/sso/users/{id}");
    let (_, shown) = isolate.admin(&admin, "GET", &path, &Value::Null);
    assert_eq!(shown["email"], Value::Null);
    assert_eq!(
        shown["subject"],
        json!({"issuer": ISS, "sub": "user:test123"})
    );
    // Neither the subject nor the issuer is in a key.
    let values = stage.edge.shared.values.borrow();
    assert!(values.keys().any(|key| key.starts_with("user_subject:")));
    assert!(!values.keys().any(|key| key.contains("test123")));
}

#[test]
fn sec_96_two_issuers_with_the_same_subject_are_two_people() {
    let stage = stage(&json!({}));
    let isolate = stage.isolate();
    let one = id_of(&isolate, &bare(&stage, "1"));
    let theirs = stage.token(&json!({"sub": "1", "iss": OTHER, "email": null}));
    assert_ne!(id_of(&isolate, &theirs), one);
    assert_eq!(id_of(&stage.isolate(), &bare(&stage, "1")), one);
    // Subjects are compared exactly.
    for other in ["1 ", "１", "01"] {
        assert_ne!(id_of(&isolate, &bare(&stage, other)), one, "{other:?}");
    }
}

#[test]
fn sec_96_no_subject_gets_the_record_of_an_address_and_no_address_that_of_a_subject() {
    let stage = stage(&json!({}));
    let isolate = stage.isolate();
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let by_address = stage.token(&json!({"iss": "https://mail.example"}));
    let anna = id_of(&isolate, &by_address);
    // The same address as a claim, and as the subject itself.
    let claimed = stage.token(&json!({"sub": "x"}));
    let named = bare(&stage, "anna@b.c");
    let [claimed, named] = [claimed, named].map(|token| id_of(&isolate, &token));
    assert_ne!(claimed, anna);
    assert_ne!(named, anna);
    assert_ne!(claimed, named);
    // The other way round: an address that a subject had first.
    let first = stage.token(&json!({"sub": "y", "email": "bert@b.c"}));
    let seen = isolate.send(&by_bearer(&first));
    let origin = seen.origin();
    assert_eq!(origin.header("x-forwarded-email"), Some("bert@b.c"));
    let subject = origin.header("x-forwarded-user").unwrap().to_owned();
    assert_eq!(origin.header("remote-user"), Some(subject.as_str()));
    let bert = stage.token(&json!({"iss": "https://mail.example", "email": "bert@b.c"}));
    assert_ne!(id_of(&isolate, &bert), subject);
    // Nor by an SSO token for the address, or a leftover that points to the subject's record.
    let cookie = isolate.sign_in(&admin, "carl@b.c");
    let carl = isolate.me(&cookie).unwrap()["user"]["id"].clone();
    let late = stage.token(&json!({"sub": "z", "email": "dora@b.c"}));
    let late = id_of(&isolate, &late);
    let key = crate::earlier::key("user_email:", "dora@b.c");
    let planted = (late.clone(), None);
    stage.edge.shared.values.borrow_mut().insert(key, planted);
    let dora = isolate.sign_in(&admin, "dora@b.c");
    assert_ne!(isolate.me(&dora).unwrap()["user"]["id"], json!(late));
    assert_ne!(carl, json!(late));
}

#[test]
fn sec_96_first_sights_of_one_subject_at_once_make_one_record() {
    let stage = stage(&json!({}));
    let (one, two) = (stage.isolate(), stage.isolate());
    let token = bare(&stage, "user:1");
    let request = get("/api/sso/me").bearer(&token);
    run(join(one.begin(&request), two.begin(&request)));
    let records = stage.edge.shared.values.borrow();
    let count = |prefix: &str| records.keys().filter(|key| key.starts_with(prefix)).count();
    assert_eq!((count("user:"), count("user_subject:")), (1, 1));
    drop(records);
    assert_eq!(id_of(&one, &token), id_of(&two, &token));
}

#[test]
fn sec_96_a_disabled_subject_stays_out_and_a_deleted_one_is_somebody_new() {
    let stage = stage(&json!({}));
    let isolate = stage.isolate();
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let token = bare(&stage, "user:1");
    let id = id_of(&isolate, &token);
    let path = format!("/api/sso/users/{id}");
    let (status, _) = isolate.admin(&admin, "PATCH", &path, &json!({"active": false}));
    assert_eq!(status, 200);
    assert_eq!(
        reason(&isolate.send(&by_bearer(&token))),
        "the token's user is disabled"
    );
    assert_eq!(isolate.admin(&admin, "DELETE", &path, &Value::Null).0, 204);
    let values = stage.edge.shared.values.borrow();
    assert!(!values.keys().any(|key| key.starts_with("user_subject:")));
    drop(values);
    stage.edge.wait(1);
    assert_ne!(id_of(&isolate, &bare(&stage, "user:1")), id);
}

#[test]
fn an_issuer_that_may_not_create_lets_in_only_whom_an_admin_has_made() {
    let stage = stage(&json!({"create_users": false}));
    let isolate = stage.isolate();
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let token = bare(&stage, "user:test123");
    assert_eq!(
        reason(&isolate.send(&by_bearer(&token))),
        "the token's user does not exist"
    );
    let subject = json!({"issuer": ISS, "sub": "user:test123"});
    let id = make_user(&isolate, &admin, &json!({"subject": subject}));
    assert_eq!(id_of(&isolate, &token), id);
    let users = "/api/sso/users";
    let again = json!({"subject": subject, "email": "a@b.c"});
    assert_eq!(isolate.admin(&admin, "POST", users, &again).0, 409);
    let found = format!("{users}?issuer=https%3A%2F%2Fid.example&subject=user%3Atest123");
    let (_, found) = isolate.admin(&admin, "GET", &found, &Value::Null);
    assert_eq!(found["users"][0]["id"], json!(id));
    let (_, none) = isolate.admin(
        &admin,
        "GET",
        &format!("{users}?issuer=x&subject=user%3Atest123"),
        &Value::Null,
    );
    assert_eq!(none["users"], json!([]));
    for bad in [
        json!({}),
        json!({"subject": {"issuer": ISS}}),
        json!({"subject": {"issuer": ISS, "sub": ""}}),
        json!({"subject": {"issuer": ISS, "sub": "a\nb"}}),
        json!({"subject": {"issuer": ISS, "sub": "a", "more": 1}}),
        json!({"subject": "user:1"}),
        json!({"subject": {"issuer": ISS, "sub": "b"}, "username": "anna@b.c"}),
    ] {
        assert_eq!(isolate.admin(&admin, "POST", users, &bad).0, 400, "{bad}");
    }
    for query in [
        "subject=x",
        "issuer=x",
        "issuer=x&subject=%00",
        "issuer=https%3A%2F%2Fid.example&subject=user%3Atest123&email=anna%40b.c",
    ] {
        let path = format!("{users}?{query}");
        assert_eq!(
            isolate.admin(&admin, "GET", &path, &Value::Null).0,
            400,
            "{query}"
        );
    }
    // No call gives a subject an address, moves one, or makes an address one.
    let path = format!("{users}/{id}");
    for change in [json!({"email": "a@b.c"}), json!({"subject": subject})] {
        assert_eq!(
            isolate.admin(&admin, "PATCH", &path, &change).0,
            400,
            "{change}"
        );
    }
    // A token that is limited to domains may touch nobody without an address.
    let limits = IssueFor {
        email_domains: Some(vec!["b.c".into()]),
        roles: None,
    };
    let scopes = [Scope::UsersWrite, Scope::TokenIssue];
    let limited = stage.edge.limited_api_token(&scopes, limits, None);
    let change = json!({"first_name": "A"});
    assert_eq!(isolate.admin(&limited, "PATCH", &path, &change).0, 403);
    let new = json!({"subject": {"issuer": ISS, "sub": "c"}});
    assert_eq!(isolate.admin(&limited, "POST", users, &new).0, 403);
    let token = json!({"user_id": id});
    assert_eq!(
        isolate.admin(&limited, "POST", "/api/sso/token", &token).0,
        403
    );
}

#[test]
fn sec_96_a_bulk_call_makes_finds_and_changes_users_by_subject() {
    let stage = stage(&json!({"create_users": false}));
    let isolate = stage.isolate();
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let subject = |issuer: &str, sub: &str| json!({"issuer": issuer, "sub": sub});
    let ann = subject(ISS, "user:ann");
    let other_ann = subject(OTHER, "user:ann");
    let bulk = |token: &str, on_existing: &str, users: Value| {
        let body = json!({"on_existing": on_existing, "users": users});
        let (status, answer) = isolate.admin(token, "POST", "/api/sso/users/bulk", &body);
        assert_eq!(status, 200, "{answer}");
        answer["results"].as_array().unwrap().clone()
    };
    let entries = json!([
        {"subject": ann, "first_name": "Ann"},
        {"subject": other_ann},
        {"subject": subject(ISS, "user:bob"), "email": "bob@example.com", "active": false},
        {"email": "bob@example.com"},
        {"subject": subject(ISS, "")},
        {"subject": "user:eve"},
        {"subject": null},
        {"subject": ann, "email": "no address"},
    ]);
    let made = bulk(&admin, "skip", entries);
    let status: Vec<&str> = made.iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(
        status,
        [
            "created", "created", "created", "created", "invalid", "invalid", "invalid", "invalid"
        ]
    );
    assert_eq!(
        (&made[0]["subject"], &made[0]["email"]),
        (&ann, &json!(null))
    );
    assert_eq!(made[2]["email"], "bob@example.com");
    let ids: std::collections::BTreeSet<&str> =
        made.iter().filter_map(|r| r["id"].as_str()).collect();
    assert_eq!(ids.len(), 4, "each is a user of their own");
    for (at, field) in [(4, "subject"), (5, "subject"), (6, "email"), (7, "email")] {
        assert_eq!(made[at]["field"], field, "{}", made[at]);
    }

    assert_eq!(id_of(&isolate, &bare(&stage, "user:ann")), made[0]["id"]);
    let out = isolate.send(&by_bearer(&bare(&stage, "user:bob")));
    assert!(!out.is_forwarded(), "was made disabled");

    let skipped = bulk(&admin, "skip", json!([{"subject": ann, "first_name": "X"}]));
    assert_eq!(
        (&skipped[0]["status"], &skipped[0]["id"]),
        (&json!("exists"), &made[0]["id"])
    );
    let entries = json!([
        {"subject": ann, "first_name": "Anna"},
        {"subject": subject(ISS, "user:bob"), "active": true, "email": "other@example.com"},
        {"subject": other_ann, "active": false},
    ]);
    for result in bulk(&admin, "update", entries) {
        assert_eq!(result["status"], "updated", "{result}");
    }
    let record = me(&isolate, &bare(&stage, "user:ann"));
    assert_eq!(
        (&record["id"], &record["first_name"]),
        (&made[0]["id"], &json!("Anna"))
    );
    let path = format!("/api/sso/users/{}", made[2]["id"].as_str().unwrap());
    let (_, bob) = isolate.admin(&admin, "GET", &path, &json!(null));
    assert_eq!(
        bob["email"], "bob@example.com",
        "its issuer says the address"
    );
    stage.edge.wait(1);
    assert_eq!(id_of(&isolate, &bare(&stage, "user:bob")), made[2]["id"]);

    // A token for some domains makes and changes nobody whose domain it cannot know.
    let limits = IssueFor {
        email_domains: Some(vec!["example.com".into()]),
        ..IssueFor::default()
    };
    let limited = stage
        .edge
        .limited_api_token(&[Scope::UsersWrite], limits, None);
    for on_existing in ["skip", "update"] {
        let entries = json!([
            {"subject": subject(ISS, "user:new")},
            {"subject": ann, "first_name": "Eve"},
            {"subject": ann, "email": "ann@example.com", "first_name": "Eve"},
        ]);
        for result in bulk(&limited, on_existing, entries) {
            assert_eq!(result["code"], "insufficient_scope", "{result}");
        }
    }
    assert_eq!(
        me(&isolate, &bare(&stage, "user:ann"))["first_name"],
        "Anna"
    );
}

#[test]
fn an_sso_token_is_issued_for_a_user_by_id() {
    let stage = stage(&json!({}));
    let isolate = stage.isolate();
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let id = id_of(&isolate, &bare(&stage, "user:1"));
    let call = |body: &Value| isolate.admin(&admin, "POST", "/api/sso/token", body);
    let (status, answer) = call(&json!({"user_id": id}));
    assert_eq!(status, 200, "{answer}");
    let token = answer["token"].as_str().unwrap();
    assert_eq!(claims_of(token).get("email"), None);
    let seen = isolate.send(&open("/").cookie(&format!("{SSO}={token}")));
    let session = seen.session().unwrap();
    assert_eq!(isolate.me(&session).unwrap()["user"]["id"], json!(id));
    for (bad, status) in [
        (json!({"user_id": id, "email": "a@b.c"}), 400),
        (json!({"user_id": "x"}), 400),
        (json!({"user_id": null}), 400),
        (json!({"user_id": "usr_AAAAAAAAAAAAAAAAAAAAAA"}), 404),
    ] {
        assert_eq!(call(&bad).0, status, "{bad}");
    }
}

#[test]
fn sec_96_the_address_of_a_subject_is_what_its_issuer_may_say_and_said_last() {
    let stage = stage(&json!({"email_domains": ["b.c"]}));
    let isolate = stage.isolate();
    let email = |changes: Value| {
        let token = stage.token(&changes);
        me(&isolate, &token)["email"].clone()
    };
    for untrusted in [
        json!({"email_verified": false}),
        json!({"email_verified": null}),
        json!({"email": "anna@elsewhere.example"}),
        json!({"email": 1}),
        json!({"email": "anna"}),
    ] {
        assert_eq!(email(untrusted.clone()), Value::Null, "{untrusted}");
    }
    stage.edge.wait(60);
    let old = stage.token(&json!({"email": "old@b.c"}));
    assert_eq!(me(&isolate, &old)["email"], "old@b.c");
    stage.edge.wait(60);
    assert_eq!(email(json!({"email": "new@b.c"})), "new@b.c");
    // What an older token says counts no more, here and elsewhere.
    assert_eq!(me(&isolate, &old)["email"], "new@b.c");
    assert_eq!(me(&stage.isolate(), &old)["email"], "new@b.c");
    stage.edge.wait(60);
    // What is not said changes nothing.
    assert_eq!(email(json!({"email": null})), "new@b.c");
    assert_eq!(
        email(json!({"email": "x@b.c", "email_verified": false})),
        Value::Null
    );
}

#[test]
fn subjects_that_are_missing_or_not_printable_are_refused() {
    let stage = stage(&json!({}));
    let isolate = stage.isolate();
    for bad in [
        json!(null),
        json!(""),
        json!("a\nb"),
        json!("\u{200b}"),
        json!("a".repeat(256)),
    ] {
        let token = stage.token(&json!({"sub": bad}));
        assert!(!isolate.send(&by_bearer(&token)).is_forwarded(), "{bad}");
    }
    assert!(
        stage
            .edge
            .shared
            .values
            .borrow()
            .keys()
            .all(|key| !key.starts_with("user"))
    );
}

#[test]
fn sec_96_a_rule_by_domain_is_not_met_without_an_address_and_its_negation_neither() {
    for requirement in [
        json!({"email_domain": "b.c"}),
        json!({"not": {"email_domain": "b.c"}}),
    ] {
        let mut all = with_issuer(&json!({"identity": "subject"}), &json!({}));
        let rules = json!([{"prefix": "/", "require": requirement}]);
        let mut site: Value = serde_json::from_str(&all["EDGEWARD_SITE_APP"]).unwrap();
        site["rules"] = rules;
        all.insert("EDGEWARD_SITE_APP".into(), site.to_string());
        let stage = Stage {
            edge: Edge::with(all),
            key: Private::new(Algorithm::EdDsa.key_type(), "issuer"),
        };
        stage.publish(&[(&stage.key, "k1")]);
        let seen = stage.isolate().send(&by_bearer(&bare(&stage, "user:1")));
        assert!(!seen.is_forwarded(), "{requirement}");
    }
}

#[test]
fn sec_96_two_tables_of_one_issuer_and_other_keys_cannot_name_the_same_subjects() {
    let refused = |other: &Value| {
        let mut all = with_issuer(&json!({"identity": "subject"}), &json!({}));
        all.insert("EDGEWARD_ISSUER_TWIN".into(), table(other));
        edgeward::config::parse(&all).err().map(|errors| {
            let told = errors
                .iter()
                .map(|error| format!("{}: {}", error.path, error.error));
            told.collect::<Vec<_>>().join("\n")
        })
    };
    let other_keys = json!({"identity": "subject", "jwks_url": OTHER_JWKS});
    assert!(refused(&other_keys).unwrap().contains("other keys"));
    assert_eq!(
        refused(&json!({"identity": "subject", "jwks_url": JWKS})),
        None
    );
    assert_eq!(refused(&json!({"jwks_url": OTHER_JWKS})), None);
    for laxer in [
        json!({"identity": "subject", "unverified_email_reason": "they are ours"}),
        json!({"identity": "subject", "email_domains": ["b.c"]}),
        json!({"identity": "subject", "claims": {"email": "mail"}}),
    ] {
        assert!(
            refused(&laxer).unwrap().contains("other addresses"),
            "{laxer}"
        );
    }
    let both = json!({"identity": "subject", "subject_domain": "b.c"});
    assert!(refused(&both).unwrap().contains("exclude each other"));
}

#[test]
fn a_subject_signs_out_like_anybody() {
    let stage = stage(&json!({}));
    let isolate = stage.isolate();
    let token = bare(&stage, "user:1");
    let id = id_of(&isolate, &token);
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let path = format!("/api/sso/users/{id}/logout");
    let seen = isolate.send(&req("POST", &path).api_token(&admin));
    assert_eq!(seen.status(), 204);
    assert!(!isolate.send(&by_bearer(&token)).is_forwarded());
}
