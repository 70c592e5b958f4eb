//! The hand-over ends: whatever cookies a browser holds or refuses, a person is signed in or learns the likely cause.

use edgeward::model::api_token::Scope;
use serde_json::{Value, json};

use crate::harness::request::{Req, Seen, get, open, req};
use crate::harness::{Edge, Isolate, OWN, SSO, tampered};

const ANNA: &str = "anna@example.com";
const BERT: &str = "bert@example.com";

struct Place {
    edge: Edge,
    isolate: Isolate,
    api_token: String,
}

impl Place {
    fn new(settings: &Value) -> Self {
        let edge = Edge::new(settings);
        Self {
            isolate: edge.isolate(),
            api_token: edge.api_token(&[Scope::Admin]),
            edge,
        }
    }

    fn token(&self, email: &str) -> String {
        self.isolate.issue(&self.api_token, email)
    }

    fn sign_in(&self, email: &str) -> String {
        self.isolate.sign_in(&self.api_token, email)
    }

    fn send(&self, request: &Req) -> Seen {
        self.isolate.send(request)
    }

    fn email(&self, cookie: &str) -> Option<String> {
        let me = self.isolate.me(cookie)?;
        Some(me["user"]["email"].as_str().unwrap().to_owned())
    }
}

const PAGE: &str = "https://portal.example/login";

fn with_login(settings: &Value) -> Value {
    let mut all = json!({"unauthenticated": "login", "login_url": PAGE});
    let members = all.as_object_mut().unwrap();
    members.extend(settings.as_object().unwrap().clone());
    all
}

/// The address in the `content` of a page that goes on by itself.
fn onward(seen: &Seen) -> Option<String> {
    let (_, rest) = seen
        .body()
        .split_once(r#"<meta http-equiv="refresh" content="0;url="#)?;
    Some(rest.split('"').next()?.replace("&#38;", "&"))
}

/// The address that the first button of a page leads to.
fn button(seen: &Seen) -> Option<String> {
    let (_, rest) = seen.body().split_once(r#"<a class="button" href=""#)?;
    Some(rest.split('"').next()?.replace("&#38;", "&"))
}

/// The address in `url` to which the sign-in page leads back.
fn return_address(url: &str) -> String {
    let url = url.strip_prefix(PAGE).unwrap_or_else(|| panic!("{url}"));
    let value = url.strip_prefix("?return_to=").unwrap();
    edgeward::http::query::decode(value)
}

#[derive(Clone, Copy, PartialEq)]
enum By {
    Link,
    Cookie,
}

/// What a browser does with cookies.
#[derive(Clone, Copy, PartialEq)]
enum Keeps {
    Nothing,
    /// Not our session, as when the jar is full.
    OldOnes,
    /// All, but sends `Strict` ones only with navigations that began at the site.
    Strictly,
}

/// A browser at a site whose application signs in without a question.
struct Visitor<'a> {
    place: &'a Place,
    by: By,
    keeps: Keeps,
    /// Headers of each request.
    headers: Vec<(&'static str, &'static str)>,
    jar: Vec<(String, String, bool)>,
    /// Every request to the site.
    urls: Vec<String>,
}

impl<'a> Visitor<'a> {
    fn new(place: &'a Place, by: By, keeps: Keeps) -> Self {
        Self {
            place,
            by,
            keeps,
            headers: Vec::new(),
            jar: Vec::new(),
            urls: Vec::new(),
        }
    }

    /// Follows from `url`, which another site leads to, until a page is there; `None` after ten requests.
    fn follow(&mut self, url: &str) -> Option<Seen> {
        let (mut url, mut began_here) = (url.to_owned(), false);
        for _ in 0..10 {
            self.urls.push(url.clone());
            let mut request = open("/");
            request.url.clone_from(&url);
            let from = if began_here {
                "same-origin"
            } else {
                "cross-site"
            };
            request = request.header("sec-fetch-site", from);
            for (name, value) in &self.headers {
                request = request.header(name, value);
            }
            for (name, value, strict) in &self.jar {
                if began_here || !strict || self.keeps != Keeps::Strictly {
                    request = request.cookie(&format!("{name}={value}"));
                }
            }
            let seen = self.place.send(&request);
            self.keep(&seen);
            if let Some(to) = onward(&seen) {
                (url, began_here) = (to, true);
                continue;
            }
            if seen.status() != 303 {
                return Some(seen);
            }
            let to = seen.header("location").unwrap().to_owned();
            if !to.starts_with(PAGE) {
                url = to;
                continue;
            }
            url = return_address(&to);
            began_here = false;
            let token = self.place.token(ANNA);
            match self.by {
                By::Link => {
                    let separator = if url.contains('?') { '&' } else { '?' };
                    url = format!("{url}{separator}token={token}");
                }
                By::Cookie if self.keeps == Keeps::Nothing => {}
                By::Cookie => self.jar.push((SSO.into(), token, false)),
            }
        }
        None
    }

    fn keep(&mut self, seen: &Seen) {
        for cookie in &seen.outcome.cookies {
            let (pair, attributes) = cookie.as_str().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.jar.retain(|(known, _, _)| known != name);
            let is_refused = match self.keeps {
                Keeps::Nothing => true,
                Keeps::OldOnes => name == OWN,
                Keeps::Strictly => false,
            };
            if !value.is_empty() && !is_refused {
                let strict = attributes.contains("SameSite=Strict");
                self.jar.push((name.to_owned(), value.to_owned(), strict));
            }
        }
    }
}

const DEEP: &str = "https://site.example/deep?a=%2F&b";

fn allowing() -> Value {
    json!({"query": {"single_use": true, "user_switch": "confirm", "stranger_link": "allow"}})
}

#[test]
fn l4_whoever_keeps_cookies_is_signed_in_and_has_a_clean_address() {
    for strict in [false, true] {
        for by in [By::Link, By::Cookie] {
            let mut settings = with_login(&allowing());
            if strict {
                settings["session"] = json!({"same_site": "strict"});
            }
            let place = Place::new(&settings);
            let mut visitor = Visitor::new(&place, by, Keeps::Strictly);
            let seen = visitor.follow(DEEP).expect("an end");
            assert!(seen.is_forwarded(), "{:?} {}", visitor.urls, seen.body());
            assert_eq!(visitor.urls.last().unwrap(), DEEP);
            assert_eq!(seen.origin().header("x-forwarded-email"), Some(ANNA));
            // And from another site once more, without the sign-in page.
            visitor.urls.clear();
            let seen = visitor.follow(DEEP).expect("an end");
            assert!(seen.is_forwarded(), "{:?}", visitor.urls);
            assert_eq!(visitor.urls.last().unwrap(), DEEP);
            assert!(visitor.urls.iter().all(|url| !url.contains("token=")));
        }
    }
}

#[test]
fn l4_where_no_cookie_sticks_a_page_within_four_requests_names_the_cause() {
    /// What it is, the site's settings, which cookies stick, further headers, and the cause that is named.
    type Case = (
        &'static str,
        Value,
        Keeps,
        &'static [(&'static str, &'static str)],
        &'static str,
    );
    let cases: [Case; 6] = [
        (
            "blocked",
            json!({}),
            Keeps::Nothing,
            &[],
            "blocks the cookies",
        ),
        ("dropped", json!({}), Keeps::OldOnes, &[], "cookies"),
        (
            "strict",
            json!({"session": {"same_site": "strict"}}),
            Keeps::Nothing,
            &[],
            "blocks the cookies",
        ),
        (
            "frame",
            json!({"login_in_frames": true}),
            Keeps::Nothing,
            &[("sec-fetch-dest", "iframe")],
            "in a frame",
        ),
        (
            "http",
            json!({"http": "serve"}),
            Keeps::Nothing,
            &[],
            "over http",
        ),
        (
            "strict cookie of the application",
            json!({"sso_cookie": {"name": SSO, "same_site": "strict"}}),
            Keeps::Nothing,
            &[],
            "blocks the cookies",
        ),
    ];
    for (what, more, keeps, headers, cause) in cases {
        for by in [By::Link, By::Cookie] {
            for start in ["/deep", "/deep?token=T"] {
                if by == By::Cookie && start.contains("token") {
                    continue;
                }
                let mut settings = with_login(&allowing());
                let members = settings.as_object_mut().unwrap();
                members.extend(more.as_object().unwrap().clone());
                let place = Place::new(&settings);
                let mut visitor = Visitor::new(&place, by, keeps);
                visitor.headers = headers.to_vec();
                let scheme = if what == "http" { "http" } else { "https" };
                let start = start.replacen('T', &place.token(ANNA), 1);
                let end = visitor.follow(&format!("{scheme}://site.example{start}"));
                let urls = &visitor.urls;
                let seen = end.unwrap_or_else(|| panic!("{what} never ends: {urls:?}"));
                // Whoever comes from another site is led on once by each of two pages of ours: before the sign-in page, and
                // with the link, since a session may be withheld that the link must not replace unasked.
                let most = if what == "strict" && by == By::Link {
                    5
                } else {
                    4
                };
                assert!(urls.len() <= most, "{what}: {urls:?}");
                assert!(
                    seen.body().contains("sign_in_loop"),
                    "{what}: {}",
                    seen.body()
                );
                assert!(seen.body().contains(cause), "{what}: {}", seen.body());
                let again = button(&seen).expect("a button");
                assert_eq!(
                    return_address(&again),
                    format!("{scheme}://site.example/deep"),
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn a_full_jar_is_named() {
    let place = Place::new(&with_login(&json!({})));
    for cookies in [
        (0..60)
            .map(|i| format!("c{i}=1"))
            .collect::<Vec<_>>()
            .join("; "),
        format!("big={}", "x".repeat(7000)),
    ] {
        let seen = place.send(&open("/a?edgeward_attempt=1o").cookie(&cookies));
        assert_eq!(seen.status(), 401);
        assert!(
            seen.body().contains("cookies of this site,"),
            "{}",
            seen.body()
        );
    }
}

#[test]
fn only_a_navigation_from_another_site_without_the_strict_cookie_is_led_on_and_once() {
    let place = Place::new(&with_login(&json!({"session": {"same_site": "strict"}})));
    let from = |site: &str| open("/a?x").header("sec-fetch-site", site);
    let seen = place.send(&from("cross-site"));
    assert_eq!(seen.status(), 200);
    assert_eq!(seen.header("cache-control"), Some("no-store"));
    assert_eq!(
        onward(&seen).as_deref(),
        Some("https://site.example/a?x&edgeward_attempt=0r")
    );
    assert_eq!(button(&seen), onward(&seen));
    assert_eq!(
        place.send(&open("/a")).status(),
        200,
        "a browser that does not tell"
    );
    let session = place.sign_in(ANNA);
    for (what, request, status) in [
        ("own", from("same-origin"), 303),
        ("typed", from("none"), 303),
        ("same site", from("same-site"), 303),
        (
            "again",
            open("/a?edgeward_attempt=0r").header("sec-fetch-site", "cross-site"),
            303,
        ),
        ("again, untold", open("/a?edgeward_attempt=0r"), 303),
        (
            "bad session",
            from("cross-site").cookie(&tampered(&session)),
            303,
        ),
        ("signed in", from("cross-site").cookie(&session), 0),
        (
            "frame",
            from("cross-site").header("sec-fetch-dest", "iframe"),
            401,
        ),
        (
            "head",
            req("HEAD", "/a").header("sec-fetch-mode", "navigate"),
            303,
        ),
        (
            "form",
            req("POST", "/a")
                .header("sec-fetch-mode", "navigate")
                .header("sec-fetch-site", "cross-site"),
            401,
        ),
        (
            "script",
            get("/a").header("sec-fetch-site", "cross-site"),
            401,
        ),
    ] {
        let seen = place.send(&request);
        assert_eq!(seen.status(), status, "{what}: {}", seen.body());
        assert_eq!(onward(&seen), None, "{what}");
    }
    let lax = Place::new(&with_login(&json!({})));
    assert_eq!(lax.send(&from("cross-site")).status(), 303);
    let hidden = Place::new(&json!({
        "unauthenticated": null,
        "session": {"same_site": "strict"},
        "rules": [{"prefix": "/", "require": {"authenticated": true}, "unauthenticated": "not_found"}],
    }));
    assert_eq!(hidden.send(&from("cross-site")).status(), 404);
}

/// A `Strict` session is withheld from what another site begins, and a page of ours that leads on makes that look like this
/// site's own.
#[test]
fn sec_42_a_stranger_s_link_replaces_no_strict_session_unasked() {
    for stranger_link in ["allow", "ask"] {
        let mut settings = with_login(&json!({"session": {"same_site": "strict"}}));
        settings["query"] = json!({
            "single_use": true, "user_switch": "confirm", "stranger_link": stranger_link,
        });
        let place = Place::new(&settings);
        let (anna, bert) = (place.sign_in(ANNA), place.token("bert@example.com"));
        let link = format!("/page?token={bert}");
        let from = |site: &'static str, url: &str| open(url).header("sec-fetch-site", site);

        // Without the cookie, as browsers send it: led on to the same link, with nothing used up.
        let seen = place.send(&from("cross-site", &link));
        assert_eq!(seen.session(), None, "{stranger_link}");
        let next = onward(&seen).expect("a page that leads on");
        let local = next
            .strip_prefix("https://site.example")
            .unwrap()
            .to_owned();
        // Now with it, and asked.
        let seen = place.send(&from("same-origin", &local).cookie(&anna));
        assert_eq!((seen.status(), seen.session()), (200, None));
        assert!(seen.body().contains("Switch user?"), "{}", seen.body());
        // The application's own redirect looks like this site's, too.
        let seen = place.send(&from("same-origin", &link).cookie(&anna));
        assert!(seen.body().contains("Switch user?"), "{}", seen.body());
        // A stranger who writes our marker gains nothing, nor where the browser does not tell where it comes from.
        for request in [
            from("cross-site", &format!("{link}&edgeward_attempt=0r")),
            open(&format!("{link}&edgeward_attempt=0r")),
        ] {
            let seen = place.send(&request);
            assert_eq!((seen.status(), seen.session()), (200, None));
            assert!(seen.body().contains("Sign in?"), "{}", seen.body());
        }
        // Whoever is signed in nowhere is signed in, or asked, as the site says.
        let seen = place.send(&from("same-origin", &local));
        assert_eq!(seen.session().is_some(), stranger_link == "allow");
    }
}

/// A stranger's page must not begin a trip by way of the page that leads on.
#[test]
fn no_trip_begins_with_a_navigation_that_a_page_of_ours_has_led_on() {
    let place = Place::new(&with_login(&json!({"session": {"same_site": "strict"}})));
    let trip = format!("{OWN}-trip");
    let seen = place.send(&open("/a").header("sec-fetch-site", "same-origin"));
    assert!(seen.set_cookie(&trip).is_some());
    let led_on = open("/a?edgeward_attempt=0r").header("sec-fetch-site", "same-origin");
    let seen = place.send(&led_on);
    assert_eq!(seen.status(), 303);
    assert_eq!(seen.set_cookie(&trip), None);
}

#[test]
fn c1_a_stale_cookie_beside_a_good_one_of_the_same_user_holds_up_nobody() {
    let domain = json!({"sso_cookie": {"name": SSO, "domain": "site.example"}});
    for settings in [with_login(&json!({})), with_login(&domain)] {
        let place = Place::new(&settings);
        let expired = place.token(ANNA);
        place.edge.wait(700);
        let good = place.token(ANNA);
        for stale in [expired.clone(), tampered(&good), "x".to_owned()] {
            for pair in [[&stale, &good], [&good, &stale]] {
                let cookies = pair.map(|value| format!("{SSO}={value}"));
                let request = |request: Req| request.cookie(&cookies[0]).cookie(&cookies[1]);
                let seen = place.send(&request(open("/a")));
                assert!(seen.is_forwarded(), "{stale}: {}", seen.body());
                assert_eq!(seen.origin().header("x-forwarded-email"), Some(ANNA));
                assert_eq!(place.email(&seen.session().unwrap()).as_deref(), Some(ANNA));
                assert!(seen.clears(SSO));
                // A script's request opens no session, so the good one has to stay.
                let seen = place.send(&request(get("/a")));
                assert_eq!(seen.origin().header("x-forwarded-email"), Some(ANNA));
                let kept = seen.set_cookies(SSO);
                let is_good = |line: &&str| line.starts_with(&format!("{SSO}={good};"));
                if settings.get("sso_cookie").is_some() {
                    assert!(
                        kept[0].starts_with(&format!("{SSO}=;")) && !kept[0].contains("Domain=")
                    );
                    assert!(is_good(&kept[1]) && kept[1].contains("Domain=site.example"));
                } else {
                    assert!(kept.is_empty(), "{kept:?}");
                }
            }
        }
    }
}

#[test]
fn c1_a_stale_session_beside_a_good_one_is_cleared_and_the_good_one_stays() {
    for partitioned in [false, true] {
        let place = Place::new(&json!({
            "session": {"same_site": "none", "partitioned": partitioned, "idle": 100},
        }));
        let old = place.sign_in(ANNA);
        place.edge.wait(101);
        let good = place.sign_in(ANNA);
        for pair in [[&old, &good], [&good, &old]] {
            let seen = place.send(&get("/a").cookie(pair[0]).cookie(pair[1]));
            assert_eq!(seen.origin().header("x-forwarded-email"), Some(ANNA));
            let lines = seen.set_cookies(OWN);
            assert_eq!(lines.len(), 2);
            // To a browser that knows no partitions both are one cookie.
            assert!(lines[0].starts_with(&format!("{OWN}=;")));
            assert_eq!(lines[0].contains("Partitioned"), !partitioned);
            assert_eq!(lines[1].contains("Partitioned"), partitioned);
            let kept = lines[1].split(';').next().unwrap();
            assert_eq!(place.email(kept).as_deref(), Some(ANNA));
            assert!(lines[1].contains("Max-Age=100"), "{lines:?}");
        }
    }
}

#[test]
fn c1_two_cookies_that_are_both_good_but_of_different_users_stop() {
    let place = Place::new(&json!({}));
    let (anna, bert) = (place.token(ANNA), place.token(BERT));
    let sessions = [place.sign_in(ANNA), place.sign_in(BERT)];
    let expired = "x";
    for order in [
        [&anna, &bert, expired],
        [&anna, expired, &bert],
        [expired, &bert, &anna],
    ] {
        let request = order.iter().fold(get("/a"), |request, value| {
            request.cookie(&format!("{SSO}={value}"))
        });
        assert_eq!(place.send(&request).status(), 401, "{order:?}");
    }
    let seen = place.send(&get("/a").cookie(&sessions[0]).cookie(&sessions[1]));
    assert_eq!(seen.status(), 401);
    // A client names its credential itself.
    let good = place.token(ANNA);
    let seen = place.send(&get(&format!("/a?token={good}&token={}", tampered(&good))));
    assert_eq!(seen.status(), 401);
}

#[test]
fn l1_looking_at_a_link_uses_nothing_up_and_opens_nothing() {
    for single_use in [true, false] {
        let place = Place::new(&json!({
            "query": {"single_use": single_use, "user_switch": "confirm"},
        }));
        let token = place.token(ANNA);
        for method in ["HEAD", "OPTIONS"] {
            for mode in ["navigate", "cors"] {
                let looked = req(method, &format!("/p?token={token}"))
                    .header("sec-fetch-mode", mode)
                    .header("origin", "https://site.example");
                let seen = place.send(&looked);
                assert!(seen.session().is_none(), "{method} {mode}");
                let cookie = req(method, "/p").cookie(&format!("{SSO}={}", place.token(ANNA)));
                assert!(
                    place
                        .send(&cookie.header("sec-fetch-mode", mode))
                        .session()
                        .is_none()
                );
            }
        }
        let seen = place.send(&open(&format!("/p?token={token}")));
        assert_eq!(seen.status(), 303, "{}", seen.body());
        assert_eq!(place.email(&seen.session().unwrap()).as_deref(), Some(ANNA));
    }
}

fn keeping() -> Value {
    json!({"sso_cookie": {"name": SSO, "keep": true}})
}

#[test]
fn a_kept_cookie_stays_until_it_expires() {
    let place = Place::new(&keeping());
    let sso = format!("{SSO}={}", place.token(ANNA));
    let seen = place.send(&open("/a").cookie(&sso));
    let session = seen.session().unwrap();
    assert!(!seen.clears(SSO));
    for _ in 0..3 {
        place.edge.wait(100);
        let seen = place.send(&open("/a").cookie(&session).cookie(&sso));
        assert!(seen.is_forwarded() && seen.outcome.cookies.is_empty());
    }
    place.edge.wait(400);
    let seen = place.send(&open("/a").cookie(&session).cookie(&sso));
    assert!(seen.is_forwarded() && seen.clears(SSO));
}

#[test]
fn sec_51_a_kept_cookie_does_not_undo_a_sign_out_or_a_switch() {
    for sources in [
        json!(["session", "sso_cookie", "query"]),
        json!(["sso_cookie", "session", "query"]),
    ] {
        let mut settings = keeping();
        settings["sources"] = sources;
        let place = Place::new(&settings);
        let sso = format!("{SSO}={}", place.token(ANNA));
        let anna = place.send(&open("/a").cookie(&sso)).session().unwrap();
        place.edge.wait(5);
        // Bert signs in by a link, which asks first.
        let fields = format!("token={}&return_to=%2Fa", place.token(BERT));
        let switch = req("POST", "/api/sso/switch")
            .header("sec-fetch-site", "same-origin")
            .header("origin", "https://site.example")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(fields.as_bytes());
        let bert = place.send(&switch.cookie(&anna)).session().unwrap();
        let seen = place.send(&open("/a").cookie(&bert).cookie(&sso));
        assert_eq!(seen.origin().header("x-forwarded-email"), Some(BERT));
        // A later sign-in at the application is news.
        place.edge.wait(5);
        let later = format!("{SSO}={}", place.token(ANNA));
        let seen = place.send(&open("/a").cookie(&bert).cookie(&later));
        assert_eq!(seen.origin().header("x-forwarded-email"), Some(ANNA));
        // And over with the sign-out, even if the browser does not clear the cookie; in another isolate too.
        let out = req("POST", "/api/sso/logout")
            .header("sec-fetch-site", "same-origin")
            .header("origin", "https://site.example");
        let seen = place.send(&out.cookie(&later).cookie(&seen.session().unwrap()));
        assert_eq!(seen.status(), 200);
        assert!(seen.clears(SSO) && seen.clears(OWN));
        for isolate in [&place.isolate, &place.edge.isolate()] {
            let seen = isolate.send(&open("/a").cookie(&later));
            assert_eq!(seen.status(), 401);
            assert!(seen.session().is_none() && seen.clears(SSO));
        }
    }
}

#[test]
fn sec_51_a_kept_token_that_was_ended_counts_nowhere() {
    let mut settings = keeping();
    settings["sources"] = json!(["session", "sso_cookie", "query", "bearer"]);
    let place = Place::new(&settings);
    let token = place.token(ANNA);
    let sso = format!("{SSO}={token}");
    let anna = place.send(&open("/a").cookie(&sso)).session().unwrap();
    assert!(place.send(&get("/a").bearer(&token)).is_forwarded());
    let out = req("POST", "/api/sso/logout")
        .header("sec-fetch-site", "same-origin")
        .header("origin", "https://site.example");
    assert_eq!(place.send(&out.cookie(&sso).cookie(&anna)).status(), 200);
    for isolate in [&place.isolate, &place.edge.isolate()] {
        assert_eq!(isolate.send(&get("/a").bearer(&token)).status(), 401);
    }
}

#[test]
fn a_frame_gets_a_page_whose_button_opens_the_whole_window() {
    let place = Place::new(&with_login(&json!({})));
    let framed = |dest: &str| open("/a?x").header("sec-fetch-dest", dest);
    for dest in ["iframe", "frame", "embed", "object", "fencedframe"] {
        let seen = place.send(&framed(dest));
        assert_eq!(seen.status(), 401, "{dest}");
        assert!(
            seen.body().contains(r#" target="_top">Sign in</a>"#),
            "{}",
            seen.body()
        );
        assert_eq!(
            return_address(&button(&seen).unwrap()),
            "https://site.example/a?x"
        );
        let policy = seen.header("content-security-policy").unwrap();
        assert!(policy.ends_with("frame-ancestors *"), "{policy}");
        assert_eq!(seen.header("x-frame-options"), None);
    }
    assert_eq!(place.send(&framed("document")).status(), 303);
    let listed = Place::new(&with_login(
        &json!({"frame_ancestors": ["https://portal.example"]}),
    ));
    let seen = listed.send(&framed("iframe"));
    let policy = seen.header("content-security-policy").unwrap();
    assert!(
        policy.ends_with("frame-ancestors https://portal.example"),
        "{policy}"
    );
    let letting = Place::new(&with_login(&json!({"login_in_frames": true})));
    assert_eq!(letting.send(&framed("iframe")).status(), 303);
}

#[test]
fn sec_86_plain_http_leads_to_https_before_any_token_is_looked_at() {
    let place = Place::new(&json!({}));
    let token = place.token(ANNA);
    let plain = |method: &str, path: &str| {
        let mut request = req(method, path).header("sec-fetch-mode", "navigate");
        request.url = format!("http://site.example{path}");
        request
    };
    let path = format!("/a%2Fb?token={token}&x=%20");
    for method in ["GET", "HEAD"] {
        let seen = place.send(&plain(method, &path).cookie(&format!("{SSO}={token}")));
        assert_eq!(seen.status(), 308);
        let expected = format!("https://site.example{path}");
        assert_eq!(seen.header("location"), Some(expected.as_str()));
        assert!(seen.outcome.cookies.is_empty());
        assert_eq!(seen.header("strict-transport-security"), None);
    }
    for method in ["POST", "PUT", "OPTIONS"] {
        for path in ["/a", "/api/sso/token"] {
            let seen = place.send(&plain(method, path).header("accept", "*/*"));
            assert_eq!(seen.status(), 400, "{method}");
            assert!(seen.body().contains("https_required"));
        }
    }
    // Nothing was used up.
    let seen = place.send(&open(&path));
    assert_eq!(seen.status(), 303);
    assert!(seen.session().is_some());
    let serving = Place::new(&json!({"http": "serve"}));
    assert_eq!(serving.send(&plain("GET", "/a")).status(), 401);
    for host in [
        "localhost:8787",
        "127.0.0.1",
        "app.localhost",
        "app.example.test:8443",
        "[::1]:80",
    ] {
        let local = Place::new(&json!({"hosts": [host]}));
        let mut request = get("/a");
        request.url = format!("http://{host}/a");
        assert_eq!(local.send(&request).status(), 401, "{host}");
    }
}

#[test]
fn sec_86_browsers_are_told_to_use_https_with_our_answers_and_our_cookies() {
    let hsts = |seen: &Seen| {
        let own = seen.header("strict-transport-security").map(str::to_owned);
        own.or_else(|| seen.outcome.hsts.clone())
    };
    let year = Some("max-age=31536000".to_owned());
    let place = Place::new(&json!({}));
    let signed_in = place.send(&open("/a").cookie(&format!("{SSO}={}", place.token(ANNA))));
    assert!(signed_in.is_forwarded());
    assert_eq!(hsts(&signed_in), year);
    let session = signed_in.session().unwrap();
    assert_eq!(
        hsts(&place.send(&open("/a").cookie(&session))),
        None,
        "the hot path"
    );
    for request in [get("/a"), open("/a"), get("/api/sso/health"), get("/%00")] {
        assert_eq!(hsts(&place.send(&request)), year);
    }
    for (settings, expected) in [
        (json!({"hsts": "off"}), None),
        (json!({"http": "serve"}), None),
        (
            json!({"hsts": "max-age=63072000; includeSubDomains; preload"}),
            Some("max-age=63072000; includeSubDomains; preload".to_owned()),
        ),
    ] {
        assert_eq!(hsts(&Place::new(&settings).send(&get("/a"))), expected);
    }
    let local = Place::new(&json!({"hosts": ["app.localhost"]}));
    assert_eq!(hsts(&local.send(&get("/a").at("app.localhost"))), None);
}

#[test]
fn every_button_leads_back_to_where_the_person_was() {
    let place = Place::new(&with_login(&json!({})));
    let session = place.sign_in(ANNA);
    let back =
        |seen: &Seen| return_address(&button(seen).unwrap_or_else(|| panic!("{}", seen.body())));
    // A page of a site that refuses, and after too many rounds.
    let refusing = Place::new(&with_login(&json!({
        "unauthenticated": null,
        "rules": [{"prefix": "/", "require": {"authenticated": true}, "unauthenticated": "page"}],
    })));
    assert_eq!(
        back(&refusing.send(&open("/a?x=1"))),
        "https://site.example/a?x=1"
    );
    assert_eq!(
        back(&place.send(&open("/a?x=1&edgeward_attempt=3"))),
        "https://site.example/a?x=1"
    );
    // A form that was sent: to the page that it is on.
    let form = req("POST", "/save")
        .header("sec-fetch-mode", "navigate")
        .header("referer", "https://site.example/edit?id=1");
    assert_eq!(back(&place.send(&form)), "https://site.example/edit?id=1");
    // Signing out, by our own page and back.
    let asks = place.send(
        &open("/api/sso/logout")
            .header("referer", "https://site.example/p?x")
            .cookie(&session),
    );
    assert!(
        asks.body().contains(r#"name="return_to" value="/p?x""#),
        "{}",
        asks.body()
    );
    assert!(
        asks.body().contains(r#"href="/p?x">Stay signed in"#),
        "{}",
        asks.body()
    );
    let out = req("POST", "/api/sso/logout")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-site", "same-origin")
        .header("origin", "https://site.example")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(b"return_to=%2Fp%3Fx")
        .cookie(&session);
    assert_eq!(back(&place.send(&out)), "https://site.example/p?x");
    for elsewhere in [
        "return_to=%2F%2Fevil.example",
        "return_to=https://evil.example/",
        "",
    ] {
        let mut other = out.clone();
        other.body = elsewhere.into();
        assert_eq!(back(&place.send(&other)), "https://site.example/");
    }
}

#[test]
fn sec_119_a_link_for_somebody_else_names_the_host_that_it_came_from_and_nothing_else_of_it() {
    let place = Place::new(&with_login(&json!({})));
    let (anna, bert) = (place.sign_in(ANNA), place.token("bert@example.com"));
    let asks = |from: &str| {
        let request = open(&format!("/page?token={bert}"))
            .header("sec-fetch-site", "cross-site")
            .header("referer", from);
        let seen = place.send(&request.cookie(&anna));
        assert_eq!((seen.status(), seen.session()), (200, None), "{from}");
        seen.body().to_owned()
    };
    let told = "The link came from <strong>";
    assert!(asks("https://shop.test:8443/a?b").contains("<strong>shop.test:8443</strong>"));
    for from in [
        "https://site.example/page",
        "https://<b>x</b>/",
        "https://user@shop.test/",
        "https:///x",
        "shop.test",
        &format!("https://{}.test/", "x".repeat(300)),
    ] {
        assert!(!asks(from).contains(told), "{from}");
    }
    let body = asks("https://shop.test/");
    let (stay, switch) = (body.find("Stay signed in<"), body.find("Switch user<"));
    assert!(stay.is_some() && stay < switch, "{body}");
}
