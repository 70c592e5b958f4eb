//! Signing out everywhere, and the sessions of a person.

use serde_json::json;

use super::{GATEWAY, Gateway};

#[test]
fn sec_54_signing_out_ends_the_gateway_every_site_and_tells_every_service() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let (wiki, _) = gateway.service("wiki", &json!({}));
    let (shop, _) = gateway.service("shop", &json!({"dialect": "flat"}));
    let mut browser = gateway.signed_in("ada@example.com");
    for host in ["site.example", "other.example"] {
        let sent = browser.open(host, "/page");
        let back = browser.follow(&sent, host);
        let arrived = browser.follow(&back, GATEWAY);
        let marked = browser.follow(&arrived, host);
        assert!(browser.follow(&marked, host).is_forwarded());
    }
    gateway.edge.wait(2);
    // Another site's page cannot do it.
    browser.is_led = true;
    assert_eq!(browser.open(GATEWAY, "/logout/").status(), 200);
    assert_eq!(
        browser
            .post(GATEWAY, "/logout/", &[], "cross-site")
            .status(),
        403
    );
    assert_eq!(browser.open(GATEWAY, "/account/").status(), 200);
    let seen = browser.post(GATEWAY, "/logout/", &[], "same-origin");
    assert_eq!(seen.status(), 200);
    assert_eq!(
        browser.open(GATEWAY, "/account/").header("location"),
        Some("/login/")
    );
    for host in ["site.example", "other.example"] {
        assert_eq!(browser.open(host, "/page").status(), 303, "{host}");
    }
    let delivered = |service: &str| {
        gateway.edge.shared.outboxes.deliver_all();
        let all = gateway.edge.shared.outboxes.delivered.borrow();
        let mine = all.iter().filter(|(to, _)| to == service);
        mine.map(|(_, event)| event.body.clone())
            .collect::<Vec<_>>()
    };
    let fields = json!({"type": "deauthenticate", "user_identy": "ada@example.com"});
    assert_eq!(delivered(&wiki).last(), Some(&fields));
    let flat = json!({"type": "deauthenticate", "username": "ada@example.com"});
    assert_eq!(delivered(&shop).last(), Some(&flat));
}

#[test]
fn a_service_signs_a_person_out_everywhere_but_is_not_told_itself() {
    let gateway = Gateway::new(&json!({}));
    gateway.user("ada@example.com", &json!({}));
    let (wiki, token) = gateway.service("wiki", &json!({}));
    let (shop, _) = gateway.service("shop", &json!({}));
    let mut browser = gateway.signed_in("ada@example.com");
    gateway.edge.wait(2);
    let asked = [("token", &*token), ("user_identy", "ada@example.com")];
    assert_eq!(
        gateway.service_call("/sso/deauthenticate/", &asked),
        (200, json!({"ok": true}))
    );
    assert_eq!(
        browser.open(GATEWAY, "/account/").header("location"),
        Some("/login/")
    );
    let outboxes = &gateway.edge.shared.outboxes;
    let kinds = |service: &str| {
        let all = outboxes.waiting(service);
        all.iter()
            .map(|event| event.kind.clone())
            .collect::<Vec<_>>()
    };
    assert!(!kinds(&wiki).contains(&"deauthenticate".to_owned()));
    assert_eq!(
        kinds(&shop).last().map(String::as_str),
        Some("deauthenticate")
    );
}

#[test]
fn a_person_sees_and_ends_their_own_sessions_only() {
    let gateway = Gateway::new(&json!({}));
    let ada = gateway.user("ada@example.com", &json!({}));
    gateway.user("eve@example.com", &json!({}));
    let mut first = gateway.signed_in("ada@example.com");
    let mut second = gateway.signed_in("ada@example.com");
    let mut eve = gateway.signed_in("eve@example.com");
    gateway.edge.run_tasks();
    let path = format!("/api/sso/users/{ada}/sessions");
    let (_, listed) = gateway.call("GET", &path, &json!({}));
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{listed}");
    let page = first.open(GATEWAY, "/account/");
    assert_eq!(page.body().matches("name=\"session\"").count(), 2);
    assert_eq!(page.body().matches("this browser").count(), 1);
    // Which of them is the second browser's?
    let mine = session_of(&page);
    let other = sessions
        .iter()
        .map(|s| s["id"].as_str().unwrap())
        .find(|id| *id != mine)
        .unwrap();
    eve.open(GATEWAY, "/account/");
    eve.submit(
        GATEWAY,
        "/account/",
        &[("action", "end"), ("session", other)],
    );
    assert_eq!(
        second.open(GATEWAY, "/account/").status(),
        200,
        "not Eve's to end"
    );
    first.open(GATEWAY, "/account/");
    first.submit(
        GATEWAY,
        "/account/",
        &[("action", "end"), ("session", other)],
    );
    assert_eq!(
        second.open(GATEWAY, "/account/").header("location"),
        Some("/login/")
    );
    assert_eq!(first.open(GATEWAY, "/account/").status(), 200);
}

/// The id of the session that the page marks as its own.
fn session_of(page: &crate::harness::request::Seen) -> String {
    let body = page.body();
    let at = body.find("this browser").unwrap();
    let rest = &body[at..];
    let marker = "name=\"session\" value=\"";
    let start = rest.find(marker).unwrap() + marker.len();
    rest[start..start + 22].to_owned()
}

/// The sessions that the account page lists, over all its pages.
fn listed(browser: &mut super::jar::Jar<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut path = "/account/".to_owned();
    loop {
        let page = browser.open(GATEWAY, &path);
        assert_eq!(page.status(), 200);
        let on_page: Vec<String> = between(page.body(), "name=\"session\" value=\"", "\"");
        assert!(on_page.len() <= 50, "{}", on_page.len());
        found.extend(on_page);
        match between(page.body(), "href=\"/account/?sessions=", "\" rel=\"next\"").first() {
            Some(cursor) => path = format!("/account/?sessions={cursor}"),
            None => return found,
        }
    }
}

fn between(text: &str, before: &str, after: &str) -> Vec<String> {
    let parts = text.split(before).skip(1);
    parts
        .map(|part| part[..part.find(after).unwrap()].to_owned())
        .collect()
}

#[test]
fn sec_54_a_person_sees_and_ends_hundreds_of_sessions() {
    let gateway = Gateway::new(&json!({}));
    let ada = gateway.user("ada@example.com", &json!({}));
    gateway.user("eve@example.com", &json!({}));
    let mut browsers: Vec<_> = (0..250)
        .map(|_| gateway.signed_in("ada@example.com"))
        .collect();
    let mut eve = gateway.signed_in("eve@example.com");
    gateway.edge.run_tasks();
    let path = format!("/api/sso/users/{ada}/sessions");
    let by_api = || {
        let (mut found, mut cursor) = (std::collections::BTreeSet::new(), String::new());
        loop {
            let (status, page) =
                gateway.call("GET", &format!("{path}?limit=100{cursor}"), &json!({}));
            assert_eq!(status, 200, "{page}");
            let on_page = page["sessions"].as_array().unwrap();
            assert!(on_page.len() <= 100);
            found.extend(
                on_page
                    .iter()
                    .map(|one| one["id"].as_str().unwrap().to_owned()),
            );
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    };
    let all = by_api();
    assert_eq!(all.len(), 250);
    let shown = listed(&mut browsers[0]);
    assert_eq!(shown.len(), 250);
    assert_eq!(
        shown
            .iter()
            .cloned()
            .collect::<std::collections::BTreeSet<_>>(),
        all
    );
    // A cursor of one person shows nothing of theirs to another.
    let page = browsers[0].open(GATEWAY, "/account/");
    let cursor = between(page.body(), "href=\"/account/?sessions=", "\" rel=\"next\"");
    let seen = eve.open(GATEWAY, &format!("/account/?sessions={}", cursor[0]));
    assert!(all.iter().all(|id| !seen.body().contains(id)));
    // One far down the list.
    let last = shown.last().unwrap();
    browsers[0].open(GATEWAY, "/account/");
    browsers[0].submit(
        GATEWAY,
        "/account/",
        &[("action", "end"), ("session", last)],
    );
    assert!(!by_api().contains(last));
    let (first, others) = browsers.split_first_mut().unwrap();
    first.open(GATEWAY, "/account/");
    first.submit(GATEWAY, "/account/", &[("action", "end_all")]);
    for browser in others {
        let seen = browser.open(GATEWAY, "/account/");
        assert_eq!(seen.header("location"), Some("/login/"));
    }
    assert_eq!(by_api().len(), 0);
    assert_eq!(eve.open(GATEWAY, "/account/").status(), 200);
    // Those that have ended are not in the way of a new one.
    gateway.edge.wait(1);
    let mut again = gateway.signed_in("ada@example.com");
    gateway.edge.run_tasks();
    assert_eq!(listed(&mut again).len(), 1);
    assert_eq!(
        gateway
            .call("POST", &format!("/api/sso/users/{ada}/logout"), &json!({}))
            .0,
        204
    );
    assert_eq!(by_api().len(), 0);
}
