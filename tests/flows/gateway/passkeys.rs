//! Passkeys at the gateway: adding one, signing in with it, and the attacks on both.

use edgeward::http::query;
use edgeward::passkey::PasskeyError;
use edgeward::platform::algorithm::Algorithm;
use serde_json::{Value, json};

use super::phone::{self, Phone, add, options, post, refusal, sign_in};
use super::{GATEWAY, Gateway, form, with_gateway};
use crate::harness::crypto::Private;
use crate::harness::issuer::claims_at;
use crate::harness::request::{Seen, req};
use crate::harness::step;

const ADA: &str = "ada@example.com";

fn gateway() -> Gateway {
    Gateway::new(&json!({"passkeys": {}}))
}

/// A gateway, the id of a user, and the user's passkey.
fn with_passkey() -> (Gateway, String, Phone) {
    let gateway = gateway();
    let id = gateway.user(ADA, &json!({}));
    let mut phone = Phone::new("phone");
    let seen = add(&mut gateway.signed_in(ADA), &mut phone);
    assert_eq!(
        seen.header("location"),
        Some("/account/"),
        "{}",
        seen.body()
    );
    (gateway, id, phone)
}

fn is_signed_in(seen: &Seen) -> bool {
    seen.header("location") == Some("/account/") && seen.session().is_some()
}

#[track_caller]
fn refused(seen: &Seen, error: PasskeyError) {
    assert_eq!(refusal(seen), error.to_string());
}

#[test]
fn a_passkey_is_added_and_signs_in_without_a_password() {
    let (gateway, id, phone) = with_passkey();
    let mut browser = gateway.browser();
    let seen = sign_in(&mut browser, &phone);
    assert!(is_signed_in(&seen), "{}", seen.body());
    let event = seen.outcome.event.as_ref().unwrap();
    assert_eq!(event.user.as_deref(), Some(&*id));
    let page = browser.open(GATEWAY, "/account/");
    assert!(page.body().contains("last used") && page.body().contains("synced"));
    assert!(
        page.body()
            .contains(&format!("data-user=\"{}\"", phone.handle))
    );
    // The handle tells nobody who it is, and stays the same.
    let mut other = Phone::new("key");
    add(&mut browser, &mut other);
    assert_eq!(other.handle, phone.handle);
    assert_eq!(other.handle.len(), 43);
    assert!(!other.handle.contains(id.strip_prefix("usr_").unwrap()));
}

#[test]
fn a_passkey_leads_on_to_where_the_person_was_going() {
    let (gateway, _, phone) = with_passkey();
    let mut browser = gateway.browser();
    let sent = browser.open("site.example", "/deep?x=1");
    let page = browser.follow(&sent, "site.example");
    assert_eq!(page.status(), 200);
    let seen = phone::sign_in_on_page(&mut browser, &phone, &["return_to", "state"]);
    let arrived = browser.follow(&seen, GATEWAY);
    let to = arrived.header("location").unwrap();
    assert!(to.starts_with("https://site.example/deep?x=1"), "{to}");
}

#[test]
fn sec_110_an_assertion_works_once() {
    let (gateway, _, phone) = with_passkey();
    let mut browser = gateway.browser();
    let (asked, csrf) = options(&mut browser, "sign_in");
    let fields = phone.asserts(&asked);
    assert!(is_signed_in(&post(&mut browser, "/login/", &csrf, &fields)));
    for _ in 0..2 {
        let again = post(&mut browser, "/login/", &csrf, &fields);
        refused(&again, PasskeyError::UsedChallenge);
    }
}

#[test]
fn sec_110_of_a_thousand_posts_of_one_assertion_one_opens_a_session() {
    let (gateway, _, phone) = with_passkey();
    let mut browser = gateway.browser();
    let (asked, csrf) = options(&mut browser, "sign_in");
    let mut fields = phone.asserts(&asked);
    fields.push(("csrf", csrf));
    let pairs: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let mut request =
        form(req("POST", "/login/").at(GATEWAY), &pairs).header("sec-fetch-site", "same-origin");
    for ((_, name), value) in &browser.cookies {
        request = request.cookie(&format!("{name}={value}"));
    }
    let isolates = [gateway.edge.isolate(), gateway.edge.isolate()];
    let mut posts: Vec<_> = (0..1000)
        .map(|at| Box::pin(isolates[at % 2].begin(&request)))
        .collect();
    let mut opened = 0;
    while !posts.is_empty() {
        posts.retain_mut(|post| match step(post) {
            None => true,
            Some(outcome) => {
                let session = |cookie: &edgeward::credential::session::SetCookie| {
                    cookie.as_str().starts_with("__Host-edgeward=")
                };
                opened += usize::from(outcome.cookies.iter().any(session));
                false
            }
        });
    }
    assert_eq!(opened, 1);
}

#[test]
fn sec_110_a_challenge_is_for_one_browser_one_session_one_ceremony_and_five_minutes() {
    let (gateway, _, mut phone) = with_passkey();
    let (mut mine, mut other) = (gateway.browser(), gateway.browser());
    let (asked, _) = options(&mut mine, "sign_in");
    let (_, csrf) = options(&mut other, "sign_in");
    let seen = post(&mut other, "/login/", &csrf, &phone.asserts(&asked));
    refused(&seen, PasskeyError::ForeignChallenge);
    // A challenge for another ceremony.
    let mut ada = gateway.signed_in(ADA);
    let (to_register, csrf) = options(&mut ada, "register");
    let (to_sign_in, _) = options(&mut ada, "sign_in");
    let seen = post(&mut ada, "/login/", &csrf, &phone.asserts(&to_register));
    refused(&seen, PasskeyError::ForeignChallenge);
    let mut new = Phone::new("new");
    new.handle.clone_from(&phone.handle);
    let mut crossed = to_register.clone();
    crossed["challenge"] = to_sign_in["challenge"].clone();
    let mut fields = new.creates(&crossed);
    fields.push(("action", "add_passkey".into()));
    let seen = post(&mut ada, "/account/", &csrf, &fields);
    refused(&seen, PasskeyError::ForeignChallenge);
    // Another session of the same browser.
    let mut fields = new.creates(&to_register);
    fields.push(("action", "add_passkey".into()));
    ada.open(GATEWAY, "/login/?again=1");
    let again = [("username", ADA), ("password", super::PASSWORD)];
    ada.submit(GATEWAY, "/login/", &again);
    let seen = post(&mut ada, "/account/", &csrf, &fields);
    refused(&seen, PasskeyError::ForeignChallenge);
    // A forged state: another challenge, a later end.
    let (asked, csrf) = options(&mut mine, "sign_in");
    let state = asked["challenge"].as_str().unwrap().to_owned();
    let parts: Vec<&str> = state.split('.').collect();
    for forged in [
        format!("{}.{}.{}", "A".repeat(43), parts[1], parts[2]),
        format!("{}.9999999999999.{}", parts[0], parts[2]),
        format!("{}.{}.1~AAAA", parts[0], parts[1]),
    ] {
        let mut asked = asked.clone();
        asked["challenge"] = json!(forged);
        let seen = post(&mut mine, "/login/", &csrf, &phone.asserts(&asked));
        refused(&seen, PasskeyError::ForeignChallenge);
    }
    // Its end, to the second.
    gateway.edge.wait(299);
    let (late, _) = options(&mut mine, "sign_in");
    let seen = post(&mut mine, "/login/", &csrf, &phone.asserts(&asked));
    assert!(is_signed_in(&seen), "{}", seen.body());
    gateway.edge.wait(300);
    phone.counter = 0;
    let seen = post(&mut mine, "/login/", &csrf, &phone.asserts(&late));
    refused(&seen, PasskeyError::ExpiredChallenge);
}

#[test]
fn sec_53_a_form_of_another_page_neither_signs_in_nor_adds() {
    let (gateway, _, phone) = with_passkey();
    let mut browser = gateway.browser();
    let (asked, csrf) = options(&mut browser, "sign_in");
    let fields = phone.asserts(&asked);
    let mut all: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let seen = browser.post(GATEWAY, "/login/", &all, "same-origin");
    assert_eq!(
        (seen.status(), seen.session()),
        (403, None),
        "no form token"
    );
    all.push(("csrf", &csrf));
    let seen = browser.post(GATEWAY, "/login/", &all, "cross-site");
    assert_eq!((seen.status(), seen.session()), (403, None));
    let asked = [("csrf", &*csrf), ("for", "sign_in")];
    assert_eq!(
        browser
            .post(GATEWAY, "/passkey/", &asked, "cross-site")
            .status(),
        403
    );
    assert_eq!(
        browser
            .post(GATEWAY, "/passkey/", &asked[1..], "same-origin")
            .status(),
        403
    );
}

#[test]
fn sec_110_nobody_signs_in_as_somebody_else() {
    let (gateway, _, phone) = with_passkey();
    gateway.user("bob@example.com", &json!({}));
    let mut bobs = Phone::new("bob's");
    add(&mut gateway.signed_in("bob@example.com"), &mut bobs);
    let attempt = |change: &dyn Fn(&mut Phone)| {
        let mut thief = Phone::new("bob's");
        thief.handle.clone_from(&bobs.handle);
        change(&mut thief);
        sign_in(&mut gateway.browser(), &thief)
    };
    assert!(is_signed_in(&attempt(&|_| {})));
    let swapped = attempt(&|thief| thief.handle.clone_from(&phone.handle));
    refused(&swapped, PasskeyError::UserHandle);
    let theirs = attempt(&|thief| thief.id.clone_from(&phone.id));
    refused(&theirs, PasskeyError::UserHandle);
    let both = attempt(&|thief| {
        thief.id.clone_from(&phone.id);
        thief.handle.clone_from(&phone.handle);
    });
    refused(&both, PasskeyError::Signature);
    refused(
        &attempt(&|thief| thief.id = vec![7; 32]),
        PasskeyError::Unknown,
    );
    refused(
        &attempt(&|thief| thief.handle.clear()),
        PasskeyError::UserHandle,
    );
    let elsewhere = attempt(&|thief| thief.origin = "https://site.example".into());
    refused(&elsewhere, PasskeyError::Origin);
    let other_rp = attempt(&|thief| thief.rp_id = "example".into());
    refused(&other_rp, PasskeyError::RpId);
    let unverified = attempt(&|thief| thief.flags = phone::ALL & !4);
    refused(&unverified, PasskeyError::UserVerification);
    let absent = attempt(&|thief| thief.flags = phone::ALL & !1);
    refused(&absent, PasskeyError::UserPresence);
    let moved = attempt(&|thief| thief.flags = 1 | 4);
    refused(&moved, PasskeyError::BackupEligibility);
    assert!(is_signed_in(&sign_in(&mut gateway.browser(), &phone)));
}

#[test]
fn sec_110_a_copy_of_a_passkey_that_counts_is_refused() {
    let gateway = gateway();
    gateway.user(ADA, &json!({}));
    let mut phone = Phone::new("phone");
    phone.counter = 5;
    add(&mut gateway.signed_in(ADA), &mut phone);
    for (counter, passes) in [
        (5, false),
        (6, true),
        (6, false),
        (1, false),
        (0, false),
        (9, true),
    ] {
        phone.counter = counter;
        let seen = sign_in(&mut gateway.browser(), &phone);
        if passes {
            assert!(is_signed_in(&seen), "{counter}: {}", seen.body());
        } else {
            refused(&seen, PasskeyError::Cloned);
        }
    }
    // At the same time, with a challenge each: whatever the order, one passes.
    phone.counter = 10;
    let mut prepared = Vec::new();
    for _ in 0..2 {
        let mut browser = gateway.browser();
        let (asked, csrf) = options(&mut browser, "sign_in");
        let mut fields = phone.asserts(&asked);
        fields.push(("csrf", csrf));
        let pairs: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let mut request = form(req("POST", "/login/").at(GATEWAY), &pairs)
            .header("sec-fetch-site", "same-origin");
        for ((_, name), value) in &browser.cookies {
            request = request.cookie(&format!("{name}={value}"));
        }
        prepared.push(request);
    }
    let isolates = [gateway.edge.isolate(), gateway.edge.isolate()];
    let mut posts: Vec<_> = prepared
        .iter()
        .zip(&isolates)
        .map(|(request, isolate)| Box::pin(isolate.begin(request)))
        .collect();
    let mut reasons = Vec::new();
    while !posts.is_empty() {
        posts.retain_mut(|post| match step(post) {
            None => true,
            Some(outcome) => {
                reasons.push(outcome.event.and_then(|event| event.reason));
                false
            }
        });
    }
    reasons.sort();
    let cloned = format!("passkey: {}", PasskeyError::Cloned);
    assert_eq!(reasons, [None, Some(cloned)]);
}

#[test]
fn a_disabled_or_deleted_user_has_no_passkey() {
    let (gateway, id, phone) = with_passkey();
    let path = format!("/api/sso/users/{id}");
    gateway.call("PATCH", &path, &json!({"active": false}));
    refused(
        &sign_in(&mut gateway.browser(), &phone),
        PasskeyError::UserDisabled,
    );
    gateway.call("PATCH", &path, &json!({"active": true}));
    assert!(is_signed_in(&sign_in(&mut gateway.browser(), &phone)));
    gateway.call("DELETE", &path, &Value::Null);
    refused(
        &sign_in(&mut gateway.browser(), &phone),
        PasskeyError::Unknown,
    );
    gateway.edge.shared.carry();
    assert!(gateway.edge.shared.held_with("passkey").is_empty());
}

#[test]
fn a_removed_passkey_is_refused_and_the_last_way_in_stays() {
    let (gateway, id, phone) = with_passkey();
    let mut ada = gateway.signed_in(ADA);
    let mut key = Phone::new("key");
    key.flags = 1 | 4;
    add(&mut ada, &mut key);
    let change = |ada: &mut super::Jar<'_>, action: &str, phone: &Phone, name: &str| {
        ada.open(GATEWAY, "/account/");
        let csrf = phone::csrf(ada);
        let id = phone
            .asserts(&json!({"challenge": "", "publicKey": {}}))
            .swap_remove(1)
            .1;
        let fields = [
            ("action", action.into()),
            ("id", id),
            ("passkey_name", name.into()),
        ];
        post(ada, "/account/", &csrf, &fields)
    };
    assert_eq!(
        change(&mut ada, "name_passkey", &key, " My <b>key ").status(),
        303
    );
    let page = ada.open(GATEWAY, "/account/");
    assert!(page.body().contains("My &#60;b&#62;key"), "{}", page.body());
    refused(
        &change(&mut ada, "name_passkey", &key, "  "),
        PasskeyError::Form,
    );
    assert_eq!(change(&mut ada, "remove_passkey", &key, "").status(), 303);
    refused(
        &change(&mut ada, "remove_passkey", &key, ""),
        PasskeyError::Unknown,
    );
    refused(
        &sign_in(&mut gateway.browser(), &key),
        PasskeyError::Unknown,
    );
    // Without a password, the other one is all that is left.
    gateway.call(
        "DELETE",
        &format!("/api/sso/users/{id}/password"),
        &Value::Null,
    );
    gateway.edge.wait(1);
    let mut ada = gateway.browser();
    assert!(is_signed_in(&sign_in(&mut ada, &phone)));
    let seen = change(&mut ada, "remove_passkey", &phone, "");
    refused(&seen, PasskeyError::LastWay);
    assert!(
        seen.body().contains("last way to sign in"),
        "{}",
        seen.body()
    );
    add(&mut ada, &mut key);
    assert_eq!(change(&mut ada, "remove_passkey", &phone, "").status(), 303);
    refused(
        &change(&mut ada, "remove_passkey", &key, ""),
        PasskeyError::LastWay,
    );
    // A removed credential may be registered again.
    assert_eq!(add(&mut ada, &mut Phone::new("phone")).status(), 303);
}

#[test]
fn sec_110_a_credential_is_of_one_user() {
    let (gateway, _, mut phone) = with_passkey();
    gateway.user("eve@example.com", &json!({}));
    let mut eve = gateway.signed_in("eve@example.com");
    refused(&add(&mut eve, &mut phone), PasskeyError::Registered);
    let mut ada = gateway.signed_in(ADA);
    refused(&add(&mut ada, &mut phone), PasskeyError::Registered);
    // The id that a form names is the one that is attested.
    let (asked, csrf) = options(&mut eve, "register");
    let mut new = Phone::new("new");
    let mut fields = new.creates(&asked);
    fields[1].1 = Phone::new("x")
        .asserts(&json!({"challenge": "", "publicKey": {}}))
        .swap_remove(1)
        .1;
    fields.push(("action", "add_passkey".into()));
    refused(
        &post(&mut eve, "/account/", &csrf, &fields),
        PasskeyError::CredentialId,
    );
    // A user can have twenty.
    for at in 0..20 {
        let seen = add(&mut eve, &mut Phone::new(&format!("eve {at}")));
        assert_eq!(seen.status(), 303, "{at}");
    }
    refused(&add(&mut eve, &mut new), PasskeyError::TooMany);
}

#[test]
fn sec_111_passkeys_are_changed_right_after_a_sign_in() {
    let (gateway, _, phone) = with_passkey();
    let mut ada = gateway.signed_in(ADA);
    let (asked, csrf) = options(&mut ada, "register");
    gateway.edge.wait(300);
    let page = ada.open(GATEWAY, "/account/");
    assert!(page.body().contains("/login/?again=1"));
    assert!(!page.body().contains("remove_passkey"));
    let mut new = Phone::new("new");
    let mut fields = new.creates(&asked);
    fields.push(("action", "add_passkey".into()));
    refused(
        &post(&mut ada, "/account/", &csrf, &fields),
        PasskeyError::NotFresh,
    );
    let seen = post(&mut ada, "/passkey/", &csrf, &[("for", "register".into())]);
    refused(&seen, PasskeyError::NotFresh);
    assert_eq!(
        ada.open(GATEWAY, "/login/").status(),
        303,
        "goes on at once"
    );
    assert!(is_signed_in(&sign_in(&mut ada, &phone)));
    assert_eq!(add(&mut ada, &mut new).status(), 303);
    // Nobody adds one without a session.
    let mut nobody = gateway.browser();
    let (_, csrf) = options(&mut nobody, "sign_in");
    let seen = post(
        &mut nobody,
        "/passkey/",
        &csrf,
        &[("for", "register".into())],
    );
    refused(&seen, PasskeyError::NotFresh);
}

/// A person at a gateway with one provider, which says that it has asked them so many seconds ago, or nothing; gives what becomes
/// of the question for a new passkey.
fn after_a_provider(asked: Option<u64>) -> (u16, String) {
    let iss = "https://id.example";
    let mut all = with_gateway(&json!({"passkeys": {}, "providers": ["id"]}));
    let table = json!({"preset": "oidc", "issuer": iss, "client_id": "app", "create_users": true});
    all.insert("EDGEWARD_PROVIDER_ID".into(), table.to_string());
    all.insert("EDGEWARD_PROVIDER_ID_SECRET".into(), "secret".into());
    let gateway = Gateway::of(all);
    let key = Private::new(Algorithm::EdDsa.key_type(), "issuer");
    let answer = |path: &str, body: &Value| {
        let mut answers = gateway.edge.shared.answers.borrow_mut();
        answers.insert(format!("{iss}{path}"), (200, body.to_string().into()));
    };
    let url = |path: &str| format!("{iss}{path}");
    let discovery = json!({
        "issuer": iss, "authorization_endpoint": url("/authorize"),
        "token_endpoint": url("/token"), "jwks_uri": url("/jwks"),
    });
    answer("/.well-known/openid-configuration", &discovery);
    answer("/jwks", &json!({"keys": [key.jwk(&json!({"kid": "k1"}))]}));
    let mut ada = gateway.browser();
    let sent = ada.open(GATEWAY, "/api/sso/login/id");
    let to = sent.header("location").unwrap();
    let of = |name: &str| query::take(to, name).values.remove(0);
    let now = gateway.edge.now().seconds();
    let mut claims = json!({"nonce": of("nonce")});
    if let Some(ago) = asked {
        claims["auth_time"] = json!(now - ago);
    }
    let token = key.token(
        Algorithm::EdDsa,
        &json!({"kid": "k1"}),
        &claims_at(now, &claims),
    );
    answer("/token", &json!({"id_token": token, "access_token": "x"}));
    let back = format!("/api/sso/callback/id?code=c&state={}", of("state"));
    let seen = ada.open(GATEWAY, &back);
    assert!(seen.session().is_some(), "{}", seen.body());
    let (_, csrf) = options(&mut ada, "sign_in");
    let seen = post(&mut ada, "/passkey/", &csrf, &[("for", "register".into())]);
    (seen.status(), seen.body().to_owned())
}

#[test]
fn sec_111_a_provider_that_may_have_asked_nobody_lets_nobody_add_a_passkey() {
    for (asked, expected) in [
        (None, 400),
        (Some(300), 400),
        (Some(299), 200),
        (Some(0), 200),
    ] {
        let (status, body) = after_a_provider(asked);
        assert_eq!(status, expected, "{asked:?}: {body}");
    }
}

#[test]
fn without_passkeys_no_page_has_a_script() {
    let without = Gateway::new(&json!({}));
    without.user(ADA, &json!({}));
    let mut ada = without.signed_in(ADA);
    for path in ["/login/?again=1", "/account/"] {
        let page = ada.open(GATEWAY, path);
        assert!(!page.body().contains("<script") && !page.body().contains("webauthn"));
        assert!(
            !page
                .header("content-security-policy")
                .unwrap()
                .contains("script-src")
        );
    }
    let csrf = phone::csrf(&ada);
    let seen = post(&mut ada, "/passkey/", &csrf, &[("for", "sign_in".into())]);
    assert_eq!(seen.status(), 404);
    assert_eq!(ada.open(GATEWAY, "/passkey.js").status(), 404);
    let with = gateway();
    let mut browser = with.browser();
    let page = browser.open(GATEWAY, "/login/");
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("script-src 'self'; connect-src 'self'; "),
        "{policy}"
    );
    assert!(page.body().contains("autocomplete=\"username webauthn\""));
    assert!(page.body().contains("data-passkey=\"sign_in\" hidden"));
    let script = browser.open(GATEWAY, "/passkey.js");
    assert_eq!(
        script.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert!(script.outcome.cookies.is_empty());
}

#[test]
fn the_rp_id_is_a_host_of_the_gateway_or_above_one() {
    let errors = |rp_id: &str, hosts: &Value| {
        let settings = json!({"hosts": hosts, "passkeys": {"rp_id": rp_id}});
        edgeward::config::parse(&with_gateway(&settings)).is_err()
    };
    let hosts = json!(["login.example.com", "sso.other.example"]);
    for fine in ["login.example.com", "example.com", "other.example"] {
        assert!(!errors(fine, &hosts), "{fine}");
    }
    for bad in [
        "com",
        "evil.example",
        "ogin.example.com",
        "x.login.example.com",
        "",
        ".example.com",
        "Example.com",
    ] {
        assert!(errors(bad, &hosts), "{bad}");
    }
    assert!(errors("127.0.0.1", &json!(["127.0.0.1"])));
    assert!(!errors("localhost", &json!(["localhost"])));
    // At the other host there are none.
    let gateway = Gateway::new(&json!({"hosts": [GATEWAY, "sso.other.example"], "passkeys": {}}));
    let mut browser = gateway.browser();
    assert!(
        browser
            .open(GATEWAY, "/login/")
            .body()
            .contains("data-passkey")
    );
    assert!(
        !browser
            .open("sso.other.example", "/login/")
            .body()
            .contains("data-passkey")
    );
}

#[test]
fn no_log_and_no_key_of_the_store_has_a_credential_id() {
    let (gateway, _, phone) = with_passkey();
    sign_in(&mut gateway.browser(), &phone);
    gateway.edge.shared.carry();
    let id = edgeward::platform::digest::hex(&phone.id);
    for key in gateway.edge.shared.values.borrow().keys() {
        assert!(!key.contains(&id) && !key.contains(&phone.handle), "{key}");
    }
}
