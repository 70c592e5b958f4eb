//! The search for users, and the rebuild of what it looks in: the index may be wrong, the answer never is.

use edgeward::model::api_token::Scope;
use edgeward::platform::port::Listed;
use serde_json::{Value, json};

use crate::admin::{edge, make_user};
use crate::harness::shared::{Lag, Trouble, Verb};
use crate::harness::{Edge, Isolate};

/// The ids that a search finds.
fn ids(isolate: &Isolate, admin: &str, query: &str) -> Vec<String> {
    let path = format!("/api/sso/users?{query}");
    let (status, page) = isolate.admin(admin, "GET", &path, &Value::Null);
    assert_eq!(status, 200, "{query}: {page}");
    let users = page["users"].as_array().unwrap().iter();
    users
        .map(|user| user["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Rebuilds the directory; what all steps together have done.
fn rebuild(isolate: &Isolate, admin: &str) -> (u64, u64) {
    let (mut body, mut done) = (json!({}), (0, 0));
    loop {
        let (status, step) = isolate.admin(admin, "POST", "/api/sso/users/reindex", &body);
        assert_eq!(status, 200, "{step}");
        done.0 += step["listed"].as_u64().unwrap();
        done.1 += step["removed"].as_u64().unwrap();
        if step["cursor"].is_null() {
            return done;
        }
        body = json!({"cursor": step["cursor"]});
    }
}

fn plant(edge: &Edge, id: &str, tenant: &str, version: u64, text: &str) {
    let user = Listed {
        id: id.into(),
        tenant: tenant.into(),
        version,
        text: Some(text.into()),
        made: false,
    };
    edge.shared.entries.put(&user, None);
}

#[test]
fn whoever_is_created_changed_or_deleted_is_found_as_such_at_once() {
    let (_, isolate, admin) = edge();
    let ada = make_user(
        &isolate,
        &admin,
        &json!({"email": "ada@b.c", "username": "countess", "first_name": "Ada", "last_name": "King"}),
    );
    for query in ["search=ad", "search=count", "search=king+ada"] {
        assert_eq!(ids(&isolate, &admin, query), [&*ada], "{query}");
    }
    let path = format!("/api/sso/users/{ada}");
    isolate.admin(
        &admin,
        "PATCH",
        &path,
        &json!({"last_name": "Lovelace", "email": "ada@d.e"}),
    );
    assert_eq!(ids(&isolate, &admin, "search=love"), [&*ada]);
    assert_eq!(ids(&isolate, &admin, "search=ada%40d"), [&*ada]);
    for gone in ["search=king", "search=ada%40b"] {
        assert!(ids(&isolate, &admin, gone).is_empty(), "{gone}");
    }
    isolate.admin(&admin, "DELETE", &path, &Value::Null);
    assert!(ids(&isolate, &admin, "search=ada").is_empty());
}

#[test]
fn a_change_that_no_search_could_notice_costs_the_directory_nothing() {
    let (edge, isolate, admin) = edge();
    let id = make_user(&isolate, &admin, &json!({"email": "ada@b.c"}));
    edge.shared.entries.lose();
    let path = format!("/api/sso/users/{id}");
    isolate.admin(
        &admin,
        "PATCH",
        &path,
        &json!({"roles": ["x"], "active": false}),
    );
    assert!(edge.shared.entries.ids().is_empty());
    isolate.admin(&admin, "PATCH", &path, &json!({"first_name": "Ada"}));
    assert_eq!(edge.shared.entries.ids(), [&*id]);
}

#[test]
fn sec_125_what_the_index_says_of_others_or_of_long_ago_is_not_shown() {
    let (edge, isolate, admin) = edge();
    let plain = make_user(&isolate, &admin, &json!({"email": "ada@b.c"}));
    let theirs = make_user(
        &isolate,
        &admin,
        &json!({"email": "adam@b.c", "tenant": "acme"}),
    );
    assert_eq!(ids(&isolate, &admin, "search=ada"), [&*plain]);
    assert_eq!(ids(&isolate, &admin, "search=ada&tenant=acme"), [&*theirs]);
    assert!(ids(&isolate, &admin, "search=ada&tenant=acm").is_empty());
    // The index has the users of each other's tenant, a name that a user had once, and users who never were.
    plant(&edge, &theirs, "", 9, "adam@b.c\nadam@b.c\n\n");
    assert_eq!(ids(&isolate, &admin, "search=ada"), [&*plain]);
    plant(&edge, &plain, "acme", 9, "ada@b.c\nada@b.c\n\n");
    assert!(ids(&isolate, &admin, "search=ada&tenant=acme").is_empty());
    plant(&edge, &plain, "", 10, "old@b.c\nold@b.c\n\n");
    assert!(ids(&isolate, &admin, "search=old").is_empty());
    for id in ["usr_AAAAAAAAAAAAAAAAAAAAAA", "", "x\ny"] {
        plant(&edge, id, "", 1, "ghost@b.c\nghost\n\n");
    }
    assert!(ids(&isolate, &admin, "search=ghost").is_empty());
}

#[test]
fn sec_125_a_deleted_user_is_not_shown_even_if_the_index_was_not_told() {
    let (edge, isolate, admin) = edge();
    let id = make_user(&isolate, &admin, &json!({"email": "ada@b.c"}));
    isolate.admin(
        &admin,
        "DELETE",
        &format!("/api/sso/users/{id}"),
        &Value::Null,
    );
    plant(&edge, &id, "", 99, "ada@b.c\nada@b.c\n\n");
    assert_eq!(edge.shared.entries.ids(), [&*id]);
    for isolate in [&isolate, &edge.isolate()] {
        assert!(ids(isolate, &admin, "search=ada").is_empty());
    }
}

#[test]
fn a_user_is_found_by_the_new_name_while_the_store_shows_the_old_one() {
    let (edge, isolate, admin) = edge();
    let id = make_user(
        &isolate,
        &admin,
        &json!({"email": "ada@b.c", "last_name": "King"}),
    );
    let elsewhere = edge.isolate();
    edge.shared.lag.set(Lag::Everywhere);
    assert_eq!(ids(&elsewhere, &admin, "search=king"), [&*id]);
    let path = format!("/api/sso/users/{id}");
    isolate.admin(&admin, "PATCH", &path, &json!({"last_name": "Lovelace"}));
    assert_eq!(ids(&elsewhere, &admin, "search=love"), [&*id]);
    assert!(ids(&elsewhere, &admin, "search=king").is_empty());
}

#[test]
fn without_the_directory_only_the_search_is_refused() {
    let (edge, isolate, admin) = edge();
    make_user(&isolate, &admin, &json!({"email": "ada@b.c"}));
    let search = |status: u16, code: &str| {
        for (method, path) in [("GET", "users?search=a"), ("POST", "users/reindex")] {
            let answer = isolate.admin(&admin, method, &format!("/api/sso/{path}"), &json!({}));
            assert_eq!(
                (answer.0, answer.1["code"].as_str()),
                (status, Some(code)),
                "{path}"
            );
        }
        make_user(&isolate, &admin, &json!({"email": format!("{code}@b.c")}));
        assert!(!ids(&isolate, &admin, "limit=9").is_empty());
    };
    edge.shared.make(Trouble::Every(Verb::Directory));
    search(503, "temporarily_unavailable");
    edge.shared.make(Trouble::None);
    edge.shared.has_no_directory.set(true);
    search(409, "no_directory");
}

#[test]
fn a_search_says_what_it_cannot_be_combined_with() {
    let (edge, isolate, admin) = edge();
    for (query, code) in [
        ("search=", "invalid_request"),
        ("search=%20%20", "invalid_request"),
        (&*format!("search={}", "a".repeat(257)), "invalid_request"),
        ("search=a&email=a@b.c", "invalid_request"),
        (
            "search=a&issuer=https://i.example&subject=x",
            "invalid_request",
        ),
        ("search=a&limit=0", "invalid_request"),
        ("search=a&limit=101", "invalid_request"),
        ("search=a&tenant=%0A", "invalid_request"),
        ("search=a&cursor=x", "invalid_cursor"),
        ("search=a&search=b", "invalid_request"),
    ] {
        let path = format!("/api/sso/users?{query}");
        let (status, body) = isolate.admin(&admin, "GET", &path, &Value::Null);
        assert_eq!(
            (status, body["code"].as_str()),
            (400, Some(code)),
            "{query}"
        );
    }
    for body in [
        json!({"cursor": "x"}),
        json!({"cursor": "YzE6eA"}),
        json!({"from": 1}),
    ] {
        let (status, _) = isolate.admin(&admin, "POST", "/api/sso/users/reindex", &body);
        assert_eq!(status, 400, "{body}");
    }
    // A text goes to the index as it came.
    let reader = edge.api_token(&[Scope::UsersRead]);
    assert!(ids(&isolate, &reader, "search=%25_%27%22&limit=7").is_empty());
    let searched = edge.shared.entries.searched.borrow().clone();
    assert_eq!(searched, Some(json!(["", "%_'\"", 7])));
}

#[test]
fn a_search_is_read_page_by_page() {
    let (_, isolate, admin) = edge();
    for n in 0..7 {
        make_user(&isolate, &admin, &json!({"email": format!("u{n}@b.c")}));
    }
    let (mut found, mut pages, mut cursor) = (std::collections::BTreeSet::new(), 0, String::new());
    loop {
        let path = format!("/api/sso/users?search=u&limit=3{cursor}");
        let (_, page) = isolate.admin(&admin, "GET", &path, &Value::Null);
        pages += 1;
        let users = page["users"].as_array().unwrap().iter();
        found.extend(users.map(|user| user["email"].to_string()));
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((found.len(), pages), (7, 3));
}

#[test]
fn sec_126_a_rebuild_finds_everybody_and_forgets_whoever_is_gone() {
    let (edge, isolate, admin) = edge();
    let search = || {
        isolate
            .admin(&admin, "GET", "/api/sso/users?search=ada", &Value::Null)
            .1
    };
    let ada = make_user(&isolate, &admin, &json!({"email": "ada@b.c"}));
    let adam = make_user(
        &isolate,
        &admin,
        &json!({"email": "adam@b.c", "tenant": "acme"}),
    );
    assert_eq!(search()["indexed_at"], Value::Null);
    edge.shared.entries.lose();
    plant(
        &edge,
        "usr_AAAAAAAAAAAAAAAAAAAAAA",
        "acme",
        1,
        "ghost@b.c\nghost\n\n",
    );
    assert!(ids(&isolate, &admin, "search=ada").is_empty());
    assert_eq!(rebuild(&isolate, &admin), (2, 1));
    assert_eq!(ids(&isolate, &admin, "search=ada"), [&*ada]);
    assert_eq!(ids(&isolate, &admin, "search=ada&tenant=acme"), [&*adam]);
    assert_eq!(edge.shared.entries.ids().len(), 2);
    assert_eq!(
        search()["indexed_at"],
        json!(edge.shared.now.get().seconds())
    );
    assert_eq!(rebuild(&isolate, &admin), (2, 0));
}

#[test]
fn sec_126_a_rebuild_loses_nobody_whom_the_store_does_not_list_yet() {
    let (edge, isolate, admin) = edge();
    make_user(&isolate, &admin, &json!({"email": "ada@b.c"}));
    // The store loses the record, and the writer still has it.
    let bob = make_user(&isolate, &admin, &json!({"email": "bob@b.c"}));
    let key = edge.shared.values.borrow().iter().find_map(|(key, _)| {
        let is_bobs = edge
            .shared
            .value(key)
            .is_some_and(|text| text.contains("bob@b.c"));
        (key.starts_with("user:") && is_bobs).then(|| key.clone())
    });
    edge.shared.values.borrow_mut().remove(&key.unwrap());
    assert_eq!(rebuild(&isolate, &admin), (2, 0));
    assert_eq!(ids(&isolate, &admin, "search=bob"), [&*bob]);
}

#[test]
fn sec_126_others_write_while_a_rebuild_goes_on() {
    let (edge, isolate, admin) = edge();
    let old = make_user(&isolate, &admin, &json!({"email": "old@b.c"}));
    let (_, first) = isolate.admin(&admin, "POST", "/api/sso/users/reindex", &json!({}));
    let new = make_user(&isolate, &admin, &json!({"email": "new@b.c"}));
    let path = format!("/api/sso/users/{old}");
    isolate.admin(&admin, "PATCH", &path, &json!({"first_name": "Eve"}));
    // The very step that has read the old record is made again, as if its answer was lost.
    let mut body = json!({"cursor": first["cursor"]});
    loop {
        let (status, step) = isolate.admin(&admin, "POST", "/api/sso/users/reindex", &body);
        assert_eq!((status, &step["removed"]), (200, &json!(0)));
        if step["cursor"].is_null() {
            break;
        }
        body["cursor"] = step["cursor"].clone();
    }
    assert_eq!(ids(&isolate, &admin, "search=eve"), [&*old]);
    assert_eq!(ids(&isolate, &admin, "search=new"), [&*new]);
    // A record as the store has shown it before replaces no newer one.
    plant(&edge, &old, "", 1, "old@b.c\nold@b.c\n\n");
    assert_eq!(ids(&isolate, &admin, "search=eve"), [&*old]);
}
