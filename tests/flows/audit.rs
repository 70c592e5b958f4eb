//! SEC-121, SEC-122: nothing that is audited happens without its row, the log holds no secret, and nobody fills it.

use edgeward::model::api_token::{IssueFor, Scope};
use edgeward::pipeline::Action;
use serde_json::{Value, json};

use crate::admin::{edge, make_user};
use crate::gateway::{GATEWAY, Gateway, PASSWORD};
use crate::harness::request::{get, open, req};
use crate::harness::shared::{Lag, Trouble, Verb};
use crate::harness::{Edge, SSO};

const UNAVAILABLE: &str = "temporarily_unavailable";

/// Every call that changes something, with a good body. `USER`, `TOKEN` and `SERVICE` stand for ids.
fn acts() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let mut acts = acts_on_users();
    acts.extend(acts_on_services());
    acts.push(("DELETE", "users/USER", Value::Null, "user.deleted"));
    acts
}

fn acts_on_users() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let null = Value::Null;
    vec![
        ("POST", "users", json!({"email": "n@b.c"}), "user.created"),
        (
            "POST",
            "users/bulk",
            json!({"users": [{"email": "m@b.c"}]}),
            "user.created",
        ),
        ("POST", "users/reindex", json!({}), "users.indexed"),
        (
            "PATCH",
            "users/USER",
            json!({"first_name": "Eve"}),
            "user.changed",
        ),
        (
            "PATCH",
            "users/USER",
            json!({"active": false}),
            "user.disabled",
        ),
        (
            "PATCH",
            "users/USER",
            json!({"active": true}),
            "user.enabled",
        ),
        ("POST", "users/USER/logout", null.clone(), "sessions.ended"),
        (
            "PUT",
            "users/USER/password",
            json!({"password": "another good one"}),
            "password.set",
        ),
        (
            "DELETE",
            "users/USER/password",
            null.clone(),
            "password.removed",
        ),
        (
            "POST",
            "users/USER/password-link",
            json!({}),
            "password.link",
        ),
        (
            "POST",
            "tokens",
            json!({"name": "x", "scopes": ["users:read"]}),
            "api_token.created",
        ),
        (
            "PATCH",
            "tokens/TOKEN",
            json!({"active": false}),
            "api_token.changed",
        ),
        (
            "POST",
            "tokens/TOKEN/revoke",
            null.clone(),
            "api_token.revoked",
        ),
        ("DELETE", "tokens/TOKEN", null.clone(), "api_token.deleted"),
        ("POST", "keys/rotate", null, "keys.rotated"),
        (
            "POST",
            "backup/restore",
            json!({"records": []}),
            "backup.restored",
        ),
    ]
}

fn acts_on_services() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    vec![
        (
            "POST",
            "services",
            json!({"name": "s", "base_url": "https://s2.example", "dialect": "fields"}),
            "service.created",
        ),
        (
            "PATCH",
            "services/SERVICE",
            json!({"enabled": false}),
            "service.changed",
        ),
        (
            "POST",
            "services/SERVICE/rotate",
            json!({"what": "token"}),
            "service.rotated",
        ),
        (
            "POST",
            "services/SERVICE/events/resend",
            json!({}),
            "events.resent",
        ),
        (
            "POST",
            "services/SERVICE/events/discard",
            json!({"state": "waiting"}),
            "events.discarded",
        ),
        ("DELETE", "services/SERVICE", Value::Null, "service.deleted"),
    ]
}

/// A gateway with a user, a service and a second API token, and the calls with their ids.
fn stage() -> (Gateway, impl Fn(&str) -> String) {
    let gateway = Gateway::new(&json!({}));
    let user = gateway.user("ada@example.com", &json!({}));
    let (service, _) = gateway.service("one", &json!({}));
    let (_, token) = gateway.call(
        "POST",
        "/api/sso/tokens",
        &json!({"name": "second", "scopes": ["users:read"]}),
    );
    let token = token["id"].as_str().unwrap().to_owned();
    gateway.edge.wait(2);
    let path = move |path: &str| {
        let path = path.replace("USER", &user).replace("TOKEN", &token);
        format!("/api/sso/{}", path.replace("SERVICE", &service))
    };
    (gateway, path)
}

/// Everything that is kept, but for what reading leaves behind.
fn kept(edge: &Edge) -> String {
    let mut values = edge.shared.values.borrow().clone();
    values.retain(|key, _| !key.starts_with("use:"));
    format!("{values:?}")
}

#[test]
fn sec_121_every_admin_act_has_its_intent_before_and_its_outcome_after() {
    let (gateway, path) = stage();
    for (method, call, body, action) in acts() {
        gateway.edge.shared.audit.clear();
        gateway.edge.wait(2);
        let (status, answer) = gateway.call(method, &path(call), &body);
        assert!(status < 300, "{method} {call}: {status} {answer}");
        let rows = gateway.edge.shared.audit.rows();
        assert!(rows.len() >= 2, "{method} {call}: {rows:?}");
        assert_eq!(rows[0]["result"], "intended", "{call}");
        for row in &rows[1..] {
            assert_eq!((&row["result"], &row["of"]), (&json!("done"), &json!(1)));
            assert_eq!(row["action"], action, "{method} {call}: {row}");
            assert_eq!(row["actor"].as_str().unwrap().len(), 32);
            assert_eq!(row["request_id"], "request-1");
        }
        let target = call.contains('/')
            && !["users/bulk", "users/reindex", "backup/restore"].contains(&call)
            && !call.starts_with("keys");
        assert!(
            !target || rows[0].get("user").or(rows[0].get("object")).is_some(),
            "{call}: the intent says of whom: {}",
            rows[0]
        );
    }
}

#[test]
fn sec_121_an_act_without_its_intent_is_refused_and_does_not_happen() {
    let (gateway, path) = stage();
    // Nothing is waiting that would be carried out later.
    gateway.edge.shared.carry();
    for (method, call, body, _) in acts() {
        gateway.edge.wait(2);
        let before = kept(&gateway.edge);
        gateway.edge.shared.make(Trouble::Every(Verb::Audit));
        let (status, answer) = gateway.call(method, &path(call), &body);
        gateway.edge.shared.make(Trouble::None);
        assert_eq!(
            (status, &answer["code"]),
            (503, &json!(UNAVAILABLE)),
            "{method} {call}"
        );
        gateway.edge.shared.carry();
        assert_eq!(kept(&gateway.edge), before, "{method} {call}");
    }
}

#[test]
fn sec_121_whatever_fails_of_an_act_its_intent_is_there_before_anything_is_changed() {
    for (method, call, body, _) in acts() {
        let mut failing = 0;
        loop {
            let (gateway, path) = stage();
            if call == "users/USER" && body == json!({"active": true}) {
                gateway.call(method, &path(call), &json!({"active": false}));
            }
            gateway.edge.shared.audit.clear();
            gateway.edge.shared.carry();
            let before = kept(&gateway.edge);
            gateway.edge.shared.make(Trouble::Call(failing));
            let (status, _) = gateway.call(method, &path(call), &body);
            let is_over = gateway.edge.shared.counted() <= failing;
            gateway.edge.shared.make(Trouble::None);
            gateway.edge.shared.carry();
            let rows = gateway.edge.shared.audit.rows();
            if rows.is_empty() {
                assert!(status >= 500 || status == 401, "{method} {call}: {status}");
                assert_eq!(kept(&gateway.edge), before, "{method} {call}, {failing}");
            }
            if is_over {
                break;
            }
            failing += 1;
            assert!(failing < 200, "{method} {call} never ends");
        }
    }
}

#[test]
fn sec_121_a_user_whom_another_call_has_made_first_is_not_told_as_made() {
    let edge = Edge::new(&json!({}));
    edge.shared.lag.set(Lag::Elsewhere);
    let (here, there) = (edge.isolate(), edge.isolate());
    let admin = edge.api_token(&[Scope::Admin]);
    // The other place goes on seeing nobody at this address.
    let path = "/api/sso/users?email=a%40b.c";
    there.admin(&admin, "GET", path, &Value::Null);
    here.issue(&admin, "a@b.c");
    there.issue(&admin, "a@b.c");
    let rows = edge.shared.audit.about("user.created");
    let results: Vec<_> = rows.iter().map(|row| row["result"].as_str()).collect();
    let expected = ["intended", "done", "intended", "unchanged"];
    assert_eq!(results, expected.map(Some));
}

#[test]
fn sec_121_an_outcome_that_cannot_be_written_leaves_the_intent_and_a_line() {
    let (edge, isolate, admin) = edge();
    let id = make_user(&isolate, &admin, &json!({"email": "a@b.c"}));
    edge.shared.audit.clear();
    let call = req("PATCH", &format!("/api/sso/users/{id}"))
        .api_token(&admin)
        .json(&json!({"active": false}));
    let mut failing = 0;
    loop {
        edge.shared.audit.clear();
        edge.shared.make(Trouble::Call(failing));
        let seen = isolate.send(&call);
        edge.shared.make(Trouble::None);
        let rows = edge.shared.audit.rows();
        if rows.len() == 1 && seen.status() == 200 {
            assert_eq!(rows[0]["result"], "intended");
            let told = seen.outcome.notes.iter();
            let told: Vec<_> = told.filter_map(|line| line.reason.clone()).collect();
            assert!(told[0].contains("audit log"), "{told:?}");
            assert_eq!(seen.outcome.notes[0].request_id, "request-1");
            assert_eq!(seen.outcome.notes[0].fault, Some("audit"));
            return;
        }
        failing += 1;
        assert!(failing < 50, "no outcome failed");
    }
}

#[test]
fn sec_121_a_token_and_a_sign_in_that_cannot_be_audited_are_refused_and_a_sign_out_is_not() {
    let (edge, isolate, admin) = edge();
    // A token that has come in one way is not taken in another.
    let [cookie, link, form] = ["anna"; 3].map(|_| isolate.issue(&admin, "anna@example.com"));
    let session = isolate.sign_in(&admin, "anna@example.com");
    edge.shared.make(Trouble::Every(Verb::Audit));
    let issue = req("POST", "/api/sso/token")
        .api_token(&admin)
        .json(&json!({"email": "anna@example.com"}));
    let refused = isolate.send(&issue);
    assert_eq!(refused.status(), 503);
    assert!(!refused.body().contains("eyJ"), "{}", refused.body());
    for request in [
        open("/").cookie(&format!("{SSO}={cookie}")),
        open(&format!("/?token={link}")),
        req("POST", "/api/sso/switch")
            .header("origin", "https://site.example")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={form}&return_to=%2F").as_bytes()),
    ] {
        let seen = isolate.send(&request);
        assert_eq!(seen.status(), 503, "{}", request.url);
        assert!(seen.session().is_none(), "{}", request.url);
        assert!(!seen.is_forwarded());
    }
    // Nobody loses the session that is there, and everybody can leave.
    assert!(isolate.send(&get("/").cookie(&session)).is_forwarded());
    let out = req("POST", "/api/sso/logout")
        .header("origin", "https://site.example")
        .cookie(&session);
    let seen = isolate.send(&out);
    assert_eq!(seen.status(), 200, "{}", seen.body());
    assert!(seen.outcome.notes.iter().any(|line| {
        let reason = line.reason.as_deref().unwrap_or_default();
        reason.contains("audit log")
    }));
    edge.shared.make(Trouble::None);
    assert_eq!(isolate.me(&session), None);
}

#[test]
fn sec_121_what_people_do_at_the_gateway_has_rows_and_nothing_happens_without() {
    let gateway = Gateway::new(&json!({}));
    let id = gateway.user("ada@example.com", &json!({}));
    let audit = &gateway.edge.shared.audit;
    let mut browser = gateway.browser();
    browser.open(GATEWAY, "/login/");
    let sign_in = [("username", "ada@example.com"), ("password", PASSWORD)];
    gateway.edge.shared.make(Trouble::Every(Verb::Audit));
    let seen = browser.submit(GATEWAY, "/login/", &sign_in);
    assert_eq!(seen.status(), 503);
    assert!(seen.session().is_none());
    gateway.edge.shared.make(Trouble::None);
    audit.clear();
    browser.open(GATEWAY, "/login/");
    assert_eq!(browser.submit(GATEWAY, "/login/", &sign_in).status(), 303);
    let row = &audit.about("signed_in")[0];
    assert_eq!(
        (&row["user"], &row["method"]),
        (&json!(id), &json!("password"))
    );
    gateway.edge.wait(2);
    // A new password, first without the log.
    browser.open(GATEWAY, "/password/");
    let new = [("current", PASSWORD), ("new", "an even better horse")];
    gateway.edge.shared.make(Trouble::Every(Verb::Audit));
    assert_eq!(browser.submit(GATEWAY, "/password/", &new).status(), 503);
    gateway.edge.shared.make(Trouble::None);
    gateway.edge.wait(2);
    audit.clear();
    browser.open(GATEWAY, "/password/");
    let seen = browser.submit(GATEWAY, "/password/", &new);
    assert_eq!(seen.status(), 200, "{}", seen.body());
    let rows = audit.about("password.set");
    assert_eq!(
        (&rows[0]["result"], &rows[1]["result"]),
        (&json!("intended"), &json!("done"))
    );
    assert_eq!(audit.about("signed_in").len(), 1);
    gateway.edge.wait(2);
    // Leaving works without the log.
    gateway.edge.shared.make(Trouble::Every(Verb::Audit));
    let seen = browser.submit(GATEWAY, "/logout/", &[]);
    assert!(seen.status() < 400, "{}", seen.status());
    gateway.edge.shared.make(Trouble::None);
    assert_eq!(audit.about("signed_out").len(), 0);
    gateway.edge.wait(2);
    browser.open(GATEWAY, "/login/");
    let again = [
        ("username", "ada@example.com"),
        ("password", "an even better horse"),
    ];
    assert_eq!(browser.submit(GATEWAY, "/login/", &again).status(), 303);
    browser.submit(GATEWAY, "/logout/", &[]);
    assert_eq!(audit.about("signed_out")[0]["user"], json!(id));
}

#[test]
fn a_user_switch_says_from_whom_to_whom() {
    let (edge, isolate, admin) = edge();
    let session = isolate.sign_in(&admin, "anna@example.com");
    let token = isolate.issue(&admin, "ben@example.com");
    edge.shared.audit.clear();
    let request = req("POST", "/api/sso/switch")
        .header("origin", "https://site.example")
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .cookie(&session)
        .body(format!("token={token}&return_to=%2F").as_bytes());
    assert_eq!(isolate.send(&request).status(), 303);
    let row = edge.shared.audit.about("user.switched").remove(0);
    assert_eq!(row["after"]["user"], row["user"]);
    assert_ne!(row["before"]["user"], row["user"]);
    assert_eq!(
        (&row["source"], &row["site"]),
        (&json!("query"), &json!("app"))
    );
}

#[test]
fn sec_122_no_row_holds_an_address_a_name_or_a_secret() {
    let (gateway, path) = stage();
    for (method, call, body, _) in acts() {
        gateway.edge.wait(2);
        let body = if call == "users/USER" && method == "PATCH" {
            json!({"email": "canary@example.com", "first_name": "Canary", "active": body.get("active")})
        } else {
            body
        };
        gateway.call(method, &path(call), &body);
    }
    // What is asked for is not written as it came either.
    gateway.call("DELETE", "/api/sso/users/canary@example.com", &Value::Null);
    let mut browser = gateway.browser();
    browser.open(GATEWAY, "/login/?canary=canary");
    let rows = format!("{:?}", gateway.edge.shared.audit.rows());
    for canary in [
        "@",
        "anary",
        "second",
        PASSWORD,
        "another good one",
        "argon2",
        "whsec_",
        "ewt_",
        "https:",
        "eyJ",
        "sha256",
    ] {
        assert!(!rows.contains(canary), "{canary} is in {rows}");
    }
}

#[test]
fn sec_122_refused_calls_do_not_fill_the_log_and_are_counted() {
    let (edge, isolate, _) = edge();
    let reader = edge.api_token(&[Scope::UsersRead]);
    for _ in 0..200 {
        for token in ["ewt_wrong", &reader] {
            let call = req("POST", "/api/sso/keys/rotate").api_token(token);
            assert!(isolate.send(&call).status() >= 401);
        }
        isolate.send(&req("DELETE", "/api/sso/users/usr_x"));
        isolate.send(&req("POST", "/api/sso/token"));
    }
    let rows = edge.shared.audit.about("admin.refused");
    let mut codes: Vec<_> = rows.iter().map(|row| row["result"].as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), rows.len(), "one row for each code: {rows:?}");
    assert!(codes.contains(&Some("insufficient_scope")), "{codes:?}");
    assert_eq!(edge.shared.audit.rows().len(), rows.len());
    edge.wait(10);
    let call = req("POST", "/api/sso/keys/rotate").api_token(&reader);
    isolate.send(&call);
    let last = edge.shared.audit.about("admin.refused").pop().unwrap();
    assert_eq!(
        (&last["result"], &last["left_out"]),
        (&json!("insufficient_scope"), &json!(199))
    );
    assert_eq!(last["actor"].as_str().unwrap().len(), 32);
}

#[test]
fn sec_122_a_row_is_bounded_however_much_a_call_changes() {
    let (edge, isolate, admin) = edge();
    let id = make_user(&isolate, &admin, &json!({"email": "a@b.c"}));
    let roles: Vec<String> = (0..450)
        .map(|n| format!("role-with-a-long-name-{n}"))
        .collect();
    let (status, answer) = isolate.admin(
        &admin,
        "PATCH",
        &format!("/api/sso/users/{id}"),
        &json!({ "roles": roles }),
    );
    assert_eq!(status, 200, "{answer}");
    let row = edge.shared.audit.about("user.changed").pop().unwrap();
    assert!(row.to_string().len() < 1500);
    assert!(row["after"]["roles"].as_str().unwrap().ends_with("(cut)"));
}

#[test]
fn sec_122_a_forwarded_request_makes_no_call_of_the_log() {
    let (edge, isolate, admin) = edge();
    let token = isolate.issue(&admin, "anna@example.com");
    let session = isolate.sign_in(&admin, "anna@example.com");
    edge.shared.calls.borrow_mut().clear();
    for request in [
        get("/").cookie(&session),
        open("/a").cookie(&session),
        get("/").bearer(&token),
        get("/"),
        get("/api/sso/me").cookie(&session),
    ] {
        isolate.send(&request);
    }
    let calls = edge.shared.calls.borrow();
    assert!(calls.iter().all(|call| call.verb != Verb::Audit));
}

#[test]
fn sec_122_explaining_and_watching_write_no_row() {
    let (edge, isolate, admin) = edge();
    let token = isolate.issue(&admin, "anna@example.com");
    edge.shared.audit.clear();
    let body = json!({"url": format!("https://site.example/?token={token}"), "credential": {"query": token}});
    isolate.admin(&admin, "POST", "/api/sso/explain", &body);
    assert!(edge.shared.audit.rows().is_empty());
}

#[test]
fn sec_122_who_may_not_read_the_log_does_not() {
    let (edge, isolate, admin) = edge();
    make_user(&isolate, &admin, &json!({"email": "a@b.c"}));
    let limit = IssueFor {
        email_domains: Some(vec!["example.com".into()]),
        roles: None,
    };
    let limited = edge.limited_api_token(&[Scope::AuditRead, Scope::Admin], limit, None);
    let writer = edge.api_token(&[Scope::UsersRead, Scope::UsersWrite, Scope::TokensWrite]);
    let reader = edge.api_token(&[Scope::AuditRead]);
    for path in ["audit", "audit/export", "audit/verify"] {
        let call = |token: &str| {
            let seen = isolate.send(&get(&format!("/api/sso/{path}")).api_token(token));
            (seen.status(), seen.body().to_owned())
        };
        assert_eq!(call(&limited).0, 403, "{path}");
        assert_eq!(call(&writer).0, 403, "{path}");
        assert_eq!(call("").0, 401, "{path}");
        assert_eq!(call(&reader).0, 200, "{path}");
        let (status, _) = isolate.admin(&admin, "POST", &format!("/api/sso/{path}"), &json!({}));
        assert_eq!(status, 405);
    }
    // And it reads nothing else, nor makes a token that does.
    let (status, _) = isolate.admin(&reader, "GET", "/api/sso/users", &Value::Null);
    assert_eq!(status, 403);
}

#[test]
fn sec_122_rows_of_a_tenant_are_in_a_log_of_its_own() {
    let edge = Edge::new(
        &json!({"tenants": {"by": "host", "groups": {"acme": {"hosts": ["site.example"]}}}}),
    );
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let token = isolate.issue(&admin, "anna@example.com");
    isolate.send(&open("/").cookie(&format!("{SSO}={token}")));
    let names = edge.shared.audit.names();
    assert_eq!(names, ["2026-05", "2026-05:acme"]);
    let rows = |query: &str| {
        let (status, page) = isolate.admin(
            &admin,
            "GET",
            &format!("/api/sso/audit{query}"),
            &Value::Null,
        );
        assert_eq!(status, 200, "{page}");
        page["rows"].as_array().unwrap().clone()
    };
    assert!(rows("").iter().all(|row| row["action"] == "user.created"));
    let of_tenant = rows("?tenant=acme&order=oldest");
    assert_eq!(of_tenant[0]["action"], "sso_token.issued");
    assert_eq!(of_tenant[1]["action"], "signed_in");
    assert!(rows("?tenant=other").is_empty());
}

#[test]
fn pages_lead_through_all_months_in_both_orders_without_a_gap() {
    let (edge, isolate, admin) = edge();
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(make_user(
            &isolate,
            &admin,
            &json!({"email": format!("u{number}@b.c")}),
        ));
        edge.wait(20 * 86_400);
    }
    let admin = edge.api_token(&[Scope::AuditRead]);
    for order in ["newest", "oldest"] {
        let mut found = Vec::new();
        let mut cursor = String::new();
        for _ in 0..100 {
            let query = format!("/api/sso/audit?limit=3&order={order}&action=user.created{cursor}");
            let (status, page) = isolate.admin(&admin, "GET", &query, &Value::Null);
            assert_eq!(status, 200, "{page}");
            let rows = page["rows"].as_array().unwrap();
            if rows.is_empty() && (order == "oldest" || page["cursor"].is_null()) {
                break;
            }
            found.extend(
                rows.iter()
                    .filter_map(|row| Some(row["user"].as_str()?.to_owned())),
            );
            let Some(next) = page["cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        if order == "newest" {
            found.reverse();
        }
        assert_eq!(found, ids, "{order}");
    }
    // The cursor of the one order is none of the other.
    let (_, page) = isolate.admin(
        &admin,
        "GET",
        "/api/sso/audit?limit=1&order=oldest",
        &Value::Null,
    );
    let cursor = page["cursor"].as_str().unwrap();
    let (status, answer) = isolate.admin(
        &admin,
        "GET",
        &format!("/api/sso/audit?cursor={cursor}"),
        &Value::Null,
    );
    assert_eq!((status, &answer["code"]), (400, &json!("invalid_cursor")));
}

#[test]
fn a_filter_that_is_misspelt_is_an_error_and_not_a_longer_list() {
    let (_, isolate, admin) = edge();
    for query in [
        "userr=x",
        "user=x",
        "action=x",
        "from=x",
        "until=-1",
        "limit=0",
        "limit=101",
        "order=x",
        "cursor=x",
        "tenant=A",
        "user=usr_a&user=usr_b",
        "from=99999999999999999999",
    ] {
        let (status, answer) = isolate.admin(
            &admin,
            "GET",
            &format!("/api/sso/audit?{query}"),
            &Value::Null,
        );
        assert_eq!(status, 400, "{query}: {answer}");
    }
}

#[test]
fn an_export_is_a_row_and_lists_everything_as_lines() {
    let (edge, isolate, admin) = edge();
    for number in 0..3 {
        make_user(
            &isolate,
            &admin,
            &json!({"email": format!("u{number}@b.c")}),
        );
    }
    edge.wait(61);
    let seen = isolate.send(&get("/api/sso/audit/export").api_token(&admin));
    assert_eq!(seen.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = seen
        .body()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 7);
    assert_eq!(lines[6]["action"], "audit.exported");
    assert_eq!(seen.header("x-audit-cursor"), None);
    assert!(matches!(&seen.outcome.action, Action::Answer(_)));
    // An export that cannot be noted is none.
    edge.shared.make(Trouble::Every(Verb::Audit));
    let seen = isolate.send(&get("/api/sso/audit/export").api_token(&admin));
    assert_eq!(seen.status(), 503);
}
