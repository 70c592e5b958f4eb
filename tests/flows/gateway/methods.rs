//! A site that takes only some of the gateway's methods: what its people are offered, and what its sessions have to prove.

use edgeward::http::query;
use edgeward::platform::algorithm::Algorithm;
use serde_json::{Value, json};

use super::phone::{self, Phone, add};
use super::step_up::arrive;
use super::{GATEWAY, Gateway, Jar, PASSWORD, with_gateway};
use crate::harness::crypto::Private;
use crate::harness::issuer::claims_at;
use crate::harness::request::Seen;

const ADA: &str = "ada@example.com";
const SITE: &str = "site.example";
const OTHER: &str = "other.example";
const ISS: &str = "https://id.example";

/// A gateway with passwords, passkeys and two providers, and a site that takes these of them; another one takes all.
struct Stage {
    gateway: Gateway,
    key: Private,
}

impl Stage {
    fn new(site: &Value) -> Self {
        let mut all = with_gateway(&json!({"passkeys": {}, "providers": ["id", "two"]}));
        for name in ["ID", "TWO"] {
            let table =
                json!({"preset": "oidc", "issuer": ISS, "client_id": "app", "create_users": true});
            all.insert(format!("EDGEWARD_PROVIDER_{name}"), table.to_string());
            all.insert(format!("EDGEWARD_PROVIDER_{name}_SECRET"), "secret".into());
        }
        let mut own: Value = serde_json::from_str(&all["EDGEWARD_SITE_APP"]).unwrap();
        let members = own.as_object_mut().unwrap();
        members.extend(site.as_object().unwrap().clone());
        all.insert("EDGEWARD_SITE_APP".into(), own.to_string());
        let gateway = Gateway::of(all);
        gateway.user(ADA, &json!({}));
        let key = Private::new(Algorithm::EdDsa.key_type(), "issuer");
        let stage = Self { gateway, key };
        let url = |path: &str| format!("{ISS}{path}");
        let discovery = json!({
            "issuer": ISS, "authorization_endpoint": url("/authorize"),
            "token_endpoint": url("/token"), "jwks_uri": url("/jwks"),
        });
        stage.answer("/.well-known/openid-configuration", &discovery);
        let jwk = stage.key.jwk(&json!({"kid": "k1"}));
        stage.answer("/jwks", &json!({"keys": [jwk]}));
        stage
    }

    fn answer(&self, path: &str, body: &Value) {
        let mut answers = self.gateway.edge.shared.answers.borrow_mut();
        answers.insert(format!("{ISS}{path}"), (200, body.to_string().into()));
    }

    /// The provider, to which the browser was sent, signs the person in with these claims and sends the browser back.
    fn signs_in(&self, browser: &mut Jar<'_>, sent: &Seen, claims: &Value) -> Seen {
        let to = sent.header("location").unwrap().to_owned();
        assert!(to.starts_with(ISS), "{to}");
        let of = |name: &str| query::take(&to, name).values.remove(0);
        let now = self.gateway.edge.now().seconds();
        let mut all = claims_at(now, claims);
        all["nonce"] = json!(of("nonce"));
        let token = self
            .key
            .token(Algorithm::EdDsa, &json!({"kid": "k1"}), &all);
        self.answer("/token", &json!({"id_token": token, "access_token": "x"}));
        let back = query::decode(&of("redirect_uri"));
        let path = back.rsplit_once("/api/").unwrap().1;
        let back = format!("/api/{path}?code=c&state={}", of("state"));
        browser.is_led = true;
        browser.open(GATEWAY, &back)
    }
}

fn with_password(browser: &mut Jar<'_>) -> Seen {
    let fields = [("username", ADA), ("password", PASSWORD)];
    browser.submit(GATEWAY, "/login/", &fields)
}

#[test]
fn sec_115_a_site_that_takes_only_passkeys_offers_nothing_else_and_lets_no_other_session_in() {
    let stage = Stage::new(&json!({"amr": ["passkey"]}));
    let mut browser = stage.gateway.browser();
    // Signed in at the gateway with a password, which is enough for another site.
    let sent = browser.open(OTHER, "/");
    browser.follow(&sent, OTHER);
    let seen = with_password(&mut browser);
    assert!(arrive(&mut browser, seen).is_forwarded());
    let mut phone = Phone::new("phone");
    add(&mut browser, &mut phone);
    let sent = browser.open(SITE, "/a");
    let page = browser.follow(&sent, SITE);
    assert_eq!(page.status(), 200, "{:?}", page.header("location"));
    assert!(page.body().contains("data-passkey"), "{}", page.body());
    assert!(!page.body().contains("name=\"password\""));
    assert!(!page.body().contains("/api/sso/login/"));
    // A password that is sent all the same, or a way in past that page, opens a session that the site takes for none.
    let mut other = browser.moved(&stage.gateway.isolate);
    other.fields.clone_from(&browser.fields);
    let seen = with_password(&mut other);
    let seen = arrive(&mut other, seen);
    assert!(!seen.is_forwarded());
    for path in ["/", "/a", "/a/b?c=d"] {
        assert!(!other.open(SITE, path).is_forwarded(), "{path}");
    }
    let seen = phone::sign_in_on_page(&mut browser, &phone, &["return_to", "state"]);
    let seen = arrive(&mut browser, seen);
    assert_eq!(seen.origin().url, "https://origin.example/a");
    assert!(browser.open(OTHER, "/").is_forwarded());
}

#[test]
fn with_one_provider_left_and_nothing_to_enter_there_is_no_page() {
    let stage = Stage::new(&json!({"amr": ["provider:id"]}));
    let mut browser = stage.gateway.browser();
    let sent = browser.open(SITE, "/a?b=c");
    let sent = browser.follow(&sent, SITE);
    let to = sent.header("location").unwrap_or_default().to_owned();
    assert!(to.starts_with("/api/sso/login/id?"), "{to} {}", sent.body());
    let sent = browser.follow(&sent, GATEWAY);
    let seen = stage.signs_in(&mut browser, &sent, &json!({}));
    let seen = arrive(&mut browser, seen);
    assert_eq!(seen.origin().url, "https://origin.example/a?b=c");
    // The others have a page.
    let mut other = stage.gateway.browser();
    let sent = other.open(OTHER, "/");
    assert!(
        other
            .follow(&sent, OTHER)
            .body()
            .contains("name=\"password\"")
    );
}

#[test]
fn sec_115_a_session_of_another_provider_is_none_and_what_a_provider_does_not_say_makes_no_loop() {
    let stage = Stage::new(&json!({"amr": ["provider:id:mfa"]}));
    let mut browser = stage.gateway.browser();
    // By the other provider, which may say anything.
    let sent = browser.open(GATEWAY, "/api/sso/login/two");
    let claims = json!({"amr": ["mfa", "provider:id:mfa"]});
    stage.signs_in(&mut browser, &sent, &claims);
    let sent = browser.open(SITE, "/a");
    let sent = browser.follow(&sent, SITE);
    let to = sent.header("location").unwrap_or_default().to_owned();
    assert!(to.starts_with("/api/sso/login/id?"), "{to} {}", sent.body());
    // By the right one, which does not say how, twice.
    let sent = browser.follow(&sent, GATEWAY);
    let mut seen = stage.signs_in(&mut browser, &sent, &json!({}));
    let mut asked = 0;
    let mut host = GATEWAY.to_owned();
    for _ in 0..20 {
        assert!(!seen.is_forwarded());
        let Some(to) = seen.header("location").map(str::to_owned) else {
            break;
        };
        if to.starts_with(ISS) {
            asked += 1;
            seen = stage.signs_in(&mut browser, &seen, &json!({}));
            host = GATEWAY.to_owned();
            continue;
        }
        seen = browser.follow(&seen, &host);
        if let Some(rest) = to.strip_prefix("https://") {
            host = rest[..rest.find('/').unwrap()].to_owned();
        }
    }
    assert!(
        asked <= 2 && seen.status() >= 400,
        "{asked} {}",
        seen.status()
    );
    assert!(seen.body().contains("provider:id:mfa"), "{}", seen.body());
    // And if it says so, the person is in.
    let sent = browser.open(SITE, "/a");
    let sent = browser.follow(&sent, SITE);
    let sent = browser.follow(&sent, GATEWAY);
    let seen = stage.signs_in(&mut browser, &sent, &json!({"amr": ["mfa"]}));
    assert!(arrive(&mut browser, seen).is_forwarded());
}

#[test]
fn sec_115_where_nobody_need_be_signed_in_a_session_of_another_method_is_no_identity() {
    let rules = json!([
        {"prefix": "/open", "anonymous_ok": true},
        {"prefix": "/public", "public": true},
        {"prefix": "/", "require": {"authenticated": true}},
    ]);
    let stage = Stage::new(&json!({"amr": ["provider:id"], "rules": rules}));
    // A site that took passwords before: its sessions are still there.
    let before = stage.gateway.edge.deployed(|all| {
        let mut own: Value = serde_json::from_str(&all["EDGEWARD_SITE_APP"]).unwrap();
        own.as_object_mut().unwrap().remove("amr");
        all.insert("EDGEWARD_SITE_APP".into(), own.to_string());
    });
    let isolate = before.isolate();
    let mut browser = Jar::new(&isolate);
    let sent = browser.open(SITE, "/");
    browser.follow(&sent, SITE);
    let seen = with_password(&mut browser);
    assert!(arrive(&mut browser, seen).is_forwarded());
    assert!(browser.open(SITE, "/open").is_forwarded());
    let mut browser = browser.moved(&stage.gateway.isolate);
    assert!(!browser.open(SITE, "/").is_forwarded());
    assert!(!browser.open(SITE, "/open").is_forwarded());
    let public = browser.open(SITE, "/public");
    assert_eq!(public.origin().header("x-forwarded-email"), None);
    assert!(stage.gateway.browser().open(SITE, "/open").is_forwarded());
}

#[test]
fn what_a_rule_asks_for_as_well_is_offered_alone() {
    let rules = json!([
        {"prefix": "/admin", "require": {"amr": ["passkey", "password"]}},
        {"prefix": "/", "require": {"authenticated": true}},
    ]);
    let stage =
        Stage::new(&json!({"amr": ["passkey", "provider:id", "provider:two"], "rules": rules}));
    let mut browser = stage.gateway.browser();
    let sent = browser.open(SITE, "/");
    let page = browser.follow(&sent, SITE);
    assert!(page.body().contains("/api/sso/login/two") && page.body().contains("data-passkey"));
    assert!(!page.body().contains("name=\"password\""));
    let sent = browser.open(GATEWAY, "/api/sso/login/id");
    stage.signs_in(&mut browser, &sent, &json!({}));
    let sent = browser.open(SITE, "/");
    let seen = browser.follow(&sent, SITE);
    assert!(arrive(&mut browser, seen).is_forwarded());
    let sent = browser.open(SITE, "/admin");
    let page = browser.follow(&sent, SITE);
    assert!(page.body().contains("data-passkey"), "{}", page.body());
    assert!(!page.body().contains("/api/sso/login/") && !page.body().contains("name=\"password\""));
}
