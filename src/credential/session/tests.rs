use serde_json::json;

use super::*;
use crate::config::tests::{bindings, site};
use crate::jose::hmac::Keyring;

const NOW: Timestamp = Timestamp::from_millis(1_780_000_000_250);

struct Counted(std::cell::Cell<u8>);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.set(self.0.get() + 1);
        bytes.fill(self.0.get());
    }
}

fn entropy() -> Counted {
    Counted(std::cell::Cell::new(0))
}

fn user() -> UserId {
    UserId::parse("usr_0123456789abcdefghijkl").unwrap()
}

fn config(settings: &str) -> Config {
    crate::config::parse(&bindings(settings)).unwrap()
}

/// The value of `cookie`, and the rest of the line.
fn split(cookie: &SetCookie) -> (String, String) {
    let (pair, attributes) = cookie.as_str().split_once("; ").unwrap();
    let (name, value) = pair.split_once('=').unwrap();
    (value.to_owned(), format!("{name}=…; {attributes}"))
}

fn opened(settings: &str) -> (Config, std::rc::Rc<Site>, SessionClaims, SetCookie) {
    let (config, site) = (config(settings), site(settings));
    let (claims, cookie) = open(
        &Written::nowhere(),
        &config,
        &site,
        &user(),
        by_token(),
        &entropy(),
        NOW,
    );
    (config, site, claims, cookie)
}

fn by_token() -> OpenedBy<'static> {
    OpenedBy {
        token_issued_at: Some(NOW),
        ..OpenedBy::default()
    }
}

#[test]
fn sec_50_our_cookie_is_set_with_these_attributes_and_no_other() {
    for (settings, line) in [
        (
            "{}",
            "__Host-edgeward=…; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=28800",
        ),
        (
            r#"{"session": {"cookie": "__Host-x", "same_site": "strict", "idle": 60}}"#,
            "__Host-x=…; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=60",
        ),
        (
            r#"{"session": {"same_site": "none"}}"#,
            "__Host-edgeward=…; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=28800",
        ),
        (
            r#"{"session": {"same_site": "none", "partitioned": true}}"#,
            "__Host-edgeward=…; HttpOnly; SameSite=None; Partitioned; Secure; Path=/; Max-Age=28800",
        ),
    ] {
        let (_, site, _, cookie) = opened(settings);
        assert_eq!(split(&cookie).1, line);
        assert!(opens(&cookie, &site) && !opens(&clear(&site), &site));
        assert_eq!(cookie.name(), site.session.cookie);
    }
}

const GONE: &str = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";

#[test]
fn sec_51_our_cookie_is_cleared_with_the_attributes_it_was_set_with() {
    for settings in [
        "{}",
        r#"{"session": {"cookie": "__Host-x", "same_site": "strict"}}"#,
        r#"{"session": {"same_site": "none", "partitioned": true}}"#,
    ] {
        let (_, site, _, cookie) = opened(settings);
        let set = split(&cookie).1;
        let (kept, _) = set.split_once("; Max-Age").unwrap();
        let expected = format!("{}; {GONE}", kept.replace('…', ""));
        assert_eq!(clear(&site).as_str(), expected);
    }
    let all = "__Host-edgeward=; HttpOnly; SameSite=None; Partitioned; Secure; Path=/";
    let site = site(r#"{"session": {"same_site": "none", "partitioned": true}}"#);
    assert_eq!(clear(&site).as_str(), format!("{all}; {GONE}"));
}

#[test]
fn sec_51_the_application_s_cookie_is_cleared_as_the_application_set_it() {
    for (settings, line) in [
        (
            r#"{"name": "ls_auth_token"}"#,
            "ls_auth_token=; HttpOnly; SameSite=Lax; Secure; Path=/",
        ),
        (
            r#"{"name": "t", "secure": false}"#,
            "t=; HttpOnly; SameSite=Lax; Path=/",
        ),
        (
            r#"{"name": "t", "http_only": false}"#,
            "t=; SameSite=Lax; Secure; Path=/",
        ),
        (
            r#"{"name": "t", "same_site": "strict"}"#,
            "t=; HttpOnly; SameSite=Strict; Secure; Path=/",
        ),
        (
            r#"{"name": "t", "path": "/a b"}"#,
            "t=; HttpOnly; SameSite=Lax; Secure; Path=/a b",
        ),
        (
            r#"{"name": "t", "domain": "example.com"}"#,
            "t=; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=example.com",
        ),
        (
            r#"{"name": "t", "same_site": "none", "partitioned": true}"#,
            "t=; HttpOnly; SameSite=None; Partitioned; Secure; Path=/",
        ),
    ] {
        let site = site(&format!(r#"{{"sso_cookie": {settings}}}"#));
        let all = clear_sso(&site);
        assert_eq!(all[0].as_str(), format!("{line}; {GONE}"));
        assert_eq!(all[0].name(), site.sso_cookie.as_ref().unwrap().name);
        // One without `Domain` may be left from before.
        let host_only = line.replace("; Domain=example.com", "");
        let others: Vec<_> = all[1..].iter().map(SetCookie::as_str).collect();
        if host_only == line {
            assert!(others.is_empty(), "{others:?}");
        } else {
            assert_eq!(others, [format!("{host_only}; {GONE}")]);
        }
    }
    let none = r#"{"sources": ["session"], "sso_cookie": {"name": "t"}}"#;
    assert_eq!(clear_sso(&site(none)).len(), 1);
}

#[test]
fn what_was_written_is_read_back() {
    let (config, site, claims, cookie) = opened("{}");
    let (value, _) = split(&cookie);
    let read = read(&config, &site, &value, NOW).unwrap();
    assert_eq!(
        (&read.id, &read.user, read.began_at),
        (&claims.id, &claims.user, NOW)
    );
    assert_eq!(read.expires_at.seconds(), NOW.seconds() + 28_800);
}

#[test]
fn sec_52_each_session_has_an_id_of_its_own() {
    let (config, site, entropy) = (config("{}"), site("{}"), entropy());
    let one = open(
        &Written::nowhere(),
        &config,
        &site,
        &user(),
        by_token(),
        &entropy,
        NOW,
    )
    .0;
    let two = open(
        &Written::nowhere(),
        &config,
        &site,
        &user(),
        by_token(),
        &entropy,
        NOW,
    )
    .0;
    assert_ne!(one.id, two.id);
    assert_eq!(one.id.len(), 22);
}

#[test]
fn a_session_is_renewed_after_half_of_its_idle_time_and_never_past_its_end() {
    let settings = r#"{"session": {"idle": 1000, "absolute": 1800}}"#;
    let (config, site, claims, _) = opened(settings);
    let at = |seconds: u32| NOW + Seconds(seconds);
    assert_eq!(renew(&config, &site, &claims, at(499)), None);
    let renewed = renew(&config, &site, &claims, at(500)).unwrap();
    assert!(renewed.as_str().ends_with("; Max-Age=1000"));
    let renewed = read(&config, &site, &split(&renewed).0, at(500)).unwrap();
    assert_eq!(
        (&renewed.id, renewed.began_at),
        (&claims.id, claims.began_at)
    );
    let last = renew(&config, &site, &renewed, at(1000)).unwrap();
    assert!(
        last.as_str().ends_with("; Max-Age=800"),
        "{}",
        last.as_str()
    );
    let last = read(&config, &site, &split(&last).0, at(1000)).unwrap();
    assert_eq!(last.expires_at.seconds(), at(1800).seconds());
    assert_eq!(renew(&config, &site, &last, at(1001)), None);
}

#[test]
fn a_session_ends_by_the_clock_even_where_its_cookie_says_otherwise() {
    let (config, _, _, cookie) = opened("{}");
    let (value, _) = split(&cookie);
    // The site's absolute lifetime was reduced meanwhile.
    let short = site(r#"{"session": {"idle": 60, "absolute": 600}}"#);
    let at = |seconds: u32| read(&config, &short, &value, NOW + Seconds(seconds));
    assert!(matches!(at(10), Ok(_) | Err(TokenError::Lifetime)));
    assert!(at(600).is_err());
}

/// A cookie that we signed, with one claim changed; `null` removes it.
fn with(name: &str, value: &Value) -> Result<SessionClaims, TokenError> {
    let (config, site, ..) = opened("{}");
    let mut claims = json!({
        "iss": "edgeward",
        "aud": "site.example",
        "sub": user().as_str(),
        "jti": "a",
        "iat": NOW.seconds(),
        "exp": NOW.seconds() + 28_800,
        "began": NOW.millis(),
    });
    let members = claims.as_object_mut().unwrap();
    members.insert(name.into(), value.clone());
    members.retain(|_, value| !value.is_null());
    let token = jws::sign(
        Kind::Session,
        HmacAlgorithm::Hs256,
        &config.keys.session,
        &claims,
    );
    read(&config, &site, &token, NOW)
}

#[test]
fn each_claim_is_looked_at() {
    assert!(with("other", &json!(1)).is_ok());
    for (name, value, error) in [
        ("iss", json!("other"), TokenError::Issuer),
        ("aud", json!("other.example"), TokenError::Audience),
        ("sub", json!("anna"), TokenError::Claims),
        ("sub", json!(null), TokenError::MissingClaim("sub")),
        ("jti", json!(""), TokenError::MissingClaim("jti")),
        ("jti", json!(7), TokenError::ClaimForm("jti")),
        ("iat", json!(NOW.seconds() + 60), TokenError::NotYet),
        ("exp", json!(NOW.seconds()), TokenError::Expired),
        ("exp", json!(null), TokenError::MissingClaim("exp")),
        ("exp", json!(NOW.seconds() + 43_201), TokenError::Lifetime),
        ("began", json!(null), TokenError::Claims),
        ("began", json!("1"), TokenError::Claims),
        ("began", json!(-1), TokenError::Claims),
        (
            "began",
            json!(NOW.millis() - 43_200_000),
            TokenError::Expired,
        ),
    ] {
        assert_eq!(with(name, &value).err(), Some(error), "{name} {value}");
    }
}

#[test]
fn retiring_a_secret_ends_what_it_signed_and_a_newer_one_is_waited_for() {
    let (config, site, _, cookie) = opened("{}");
    let (value, _) = split(&cookie);
    let other = |number: u32| {
        let secret = b"hT5rEw2qAz8xSc4vFd6bGn1mJk9lPo3i".to_vec();
        let mut other = crate::config::parse(&bindings("{}")).unwrap();
        other.keys.session = Keyring::new([(number, secret)]).unwrap();
        read(&other, &site, &value, NOW).err()
    };
    assert!(read(&config, &site, &value, NOW).is_ok());
    assert_eq!(other(2), Some(TokenError::Ended));
    assert_eq!(other(1), Some(TokenError::Signature));
}

/// The bindings of a site with the longest that is accepted of what goes into a cookie.
fn longest(issuer: usize, audience: usize, cookie: usize) -> crate::config::reader::Bindings {
    let settings = json!({
        "audience": "a".repeat(audience),
        "session": {"cookie": format!("__Host-{}", "c".repeat(cookie)), "same_site": "none", "partitioned": true, "idle": 2_592_000, "absolute": 2_592_000},
    });
    let mut all = bindings(&settings.to_string());
    all.insert(
        "EDGEWARD".into(),
        json!({"issuer": "i".repeat(issuer)}).to_string(),
    );
    let secret = all.remove("EDGEWARD_SESSION_SECRET_1").unwrap();
    all.insert("EDGEWARD_SESSION_SECRET_4294967295".into(), secret);
    all
}

#[test]
fn the_longest_cookie_is_one_that_browsers_keep() {
    for (issuer, audience, cookie) in [
        (1, 1, 1),
        (300, 300, 300),
        (1, 1500, 1),
        (1500, 1, 1),
        (1, 1, 1500),
    ] {
        let config = crate::config::parse(&longest(issuer, audience, cookie)).unwrap();
        let site = config.site("site.example", "https", "/").unwrap();
        let mut granted = Granted::default();
        let length = |granted: &Granted| serde_json::to_string(granted).unwrap().len();
        granted.issuer = "i".repeat(site.room - length(&granted));
        assert_eq!(length(&granted), site.room);
        granted.tokens = Some("t".repeat(22));
        let proof = Proof {
            methods: vec!["provider:".into(), "m".repeat(MAX_METHODS)],
            at: Some(NOW),
        };
        let by = OpenedBy {
            token_issued_at: Some(NOW),
            granted: Some(&Rc::new(granted)),
            proof: Some(&Rc::new(proof)),
        };
        let (_, cookie) = open(
            &Written::nowhere(),
            &config,
            &site,
            &user(),
            by,
            &entropy(),
            NOW,
        );
        let length = cookie.as_str().len();
        assert!(length <= MAX_COOKIE, "{length}");
        assert!(
            length > MAX_COOKIE - 60 || site.room == MAX_CARRIED,
            "{length}"
        );
    }
}

#[test]
fn what_leaves_no_room_in_a_cookie_is_named() {
    for (lengths, path) in [
        ((2500, 20, 20), "EDGEWARD.issuer"),
        ((20, 2500, 20), "EDGEWARD_SITE_APP.audience"),
        ((20, 20, 3500), "EDGEWARD_SITE_APP.session.cookie"),
    ] {
        let (issuer, audience, cookie) = lengths;
        let bindings = longest(issuer, audience, cookie);
        assert_eq!(crate::config::tests::paths(&bindings), [path]);
    }
}
