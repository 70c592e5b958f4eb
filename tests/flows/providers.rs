//! Signing in at an `OpenID` Connect provider: what time does to it. The rest runs in workerd (`tests/edge/providers.test.mjs`).

use std::cell::Cell;
use std::rc::Rc;

use edgeward::http::query;
use edgeward::platform::algorithm::Algorithm;
use edgeward::platform::port::Incoming;
use serde_json::{Value, json};

use crate::harness::crypto::Private;
use crate::harness::issuer::claims_at;
use crate::harness::request::{Seen, open, req};
use crate::harness::shared::{Server, Trouble, Verb};
use crate::harness::{Edge, Isolate, bindings};

const ISS: &str = "https://id.example";

/// An edge with one provider, and its key.
pub struct Stage {
    pub edge: Edge,
    pub key: Private,
    reported: Cell<u32>,
}

impl Stage {
    pub fn new() -> Self {
        Self::with(&json!({}))
    }

    /// `settings` are laid over those of the provider.
    pub fn with(settings: &Value) -> Self {
        let mut all = bindings(&json!({
            "sources": ["session"],
            "sso_cookie": null,
            "query": null,
            "login": "provider",
            "providers": ["id"],
            "unauthenticated": "login",
        }));
        let mut table = json!({"preset": "oidc", "issuer": ISS, "client_id": "app", "create_users": true, "grant_roles": ["editor"]});
        let members = table.as_object_mut().unwrap();
        members.extend(settings.as_object().unwrap().clone());
        all.insert("EDGEWARD_PROVIDER_ID".into(), table.to_string());
        all.insert("EDGEWARD_PROVIDER_ID_SECRET".into(), "secret".into());
        let stage = Self {
            edge: Edge::with(all),
            key: Private::new(Algorithm::EdDsa.key_type(), "issuer"),
            reported: Cell::new(0),
        };
        stage.discoverable();
        let jwk = stage.key.jwk(&json!({"kid": "k1"}));
        stage.answer("/jwks", &json!({"keys": [jwk]}));
        stage
    }

    fn discoverable(&self) {
        let document = json!({
            "issuer": ISS,
            "authorization_endpoint": format!("{ISS}/authorize?a=1"),
            "token_endpoint": format!("{ISS}/token"),
            "jwks_uri": format!("{ISS}/jwks"),
        });
        self.answer("/.well-known/openid-configuration", &document);
    }

    /// From now on the provider answers with `status` alone; gives how often it was asked.
    fn counted(&self, status: u16) -> Rc<Cell<u32>> {
        let asked = Rc::new(Cell::new(0));
        let count = Rc::clone(&asked);
        let server: Server = Box::new(move |_| {
            count.set(count.get() + 1);
            Some(Incoming {
                status,
                headers: Vec::new(),
                body: Vec::new(),
            })
        });
        *self.edge.shared.servers.borrow_mut() = Some(server);
        asked
    }

    pub fn answer(&self, path: &str, body: &Value) {
        let mut answers = self.edge.shared.answers.borrow_mut();
        answers.insert(format!("{ISS}{path}"), (200, body.to_string().into()));
    }

    /// The provider reports a sign-out with these claims; `null` for those that it has not. Gives the status.
    fn report(&self, isolate: &Isolate, claims: &Value) -> u16 {
        self.report_at(isolate, "id", claims)
    }

    fn report_at(&self, isolate: &Isolate, name: &str, claims: &Value) -> u16 {
        let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        let now = self.edge.now().seconds();
        self.reported.set(self.reported.get() + 1);
        let jti = format!("l{}", self.reported.get());
        let mut all = claims_at(now, &json!({"jti": jti, "events": event}));
        let members = all.as_object_mut().unwrap();
        members.extend(claims.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        let header = json!({"kid": "k1", "typ": "logout+jwt"});
        let token = self.key.token(Algorithm::EdDsa, &header, &all);
        let report = req("POST", &format!("/api/sso/backchannel/{name}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("logout_token={token}").as_bytes());
        isolate.send(&report).status()
    }

    /// Comes back from the provider, which says these claims.
    pub fn come_back(&self, isolate: &Isolate, begun: &(String, String), claims: &Value) -> Seen {
        let (location, cookie) = begun;
        let of = |name: &str| query::take(location, name).values.remove(0);
        let mut all = claims_at(self.edge.now().seconds(), claims);
        all["nonce"] = json!(of("nonce"));
        let token = self
            .key
            .token(Algorithm::EdDsa, &json!({"kid": "k1"}), &all);
        self.answer(
            "/token",
            &json!({"id_token": token, "access_token": "x", "token_type": "Bearer"}),
        );
        let back = format!("/api/sso/callback/id?code=c&state={}", of("state"));
        isolate.send(&open(&back).cookie(cookie))
    }
}

/// Begins a sign-in: the parameters of the provider's page, and the cookie.
pub fn begin(isolate: &Isolate) -> (String, String) {
    let seen = isolate.send(&open("/api/sso/login/id?return_to=%2Fa"));
    assert_eq!(seen.status(), 303, "{}", seen.body());
    let location = seen.header("location").unwrap();
    assert!(location.starts_with("https://id.example/authorize?a=1&response_type=code&"));
    let cookie = seen.outcome.cookies.last().unwrap().as_str();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    (location.to_owned(), cookie)
}

pub fn session(seen: &Seen) -> Option<String> {
    let mut cookies = seen.outcome.cookies.iter();
    let session = cookies.find(|cookie| cookie.as_str().starts_with("__Host-edgeward=ey"))?;
    session.as_str().split(';').next().map(str::to_owned)
}

#[test]
fn sec_62_a_sign_in_is_over_after_ten_minutes() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    for (seconds, status) in [(599, 303), (600, 410)] {
        let begun = begin(&isolate);
        stage.edge.wait(seconds);
        let seen = stage.come_back(&isolate, &begun, &json!({}));
        assert_eq!(seen.status(), status, "{seconds}: {}", seen.body());
        assert_eq!(session(&seen).is_some(), status == 303);
    }
}

#[test]
fn sec_62_a_response_counts_once_in_all_isolates() {
    let stage = Stage::new();
    let (one, other) = (stage.edge.isolate(), stage.edge.isolate());
    let begun = begin(&one);
    assert!(session(&stage.come_back(&other, &begun, &json!({}))).is_some());
    assert_eq!(stage.come_back(&one, &begun, &json!({})).status(), 410);
}

#[test]
fn endpoints_are_remembered_and_kept_for_a_day_while_the_provider_is_down() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    begin(&isolate);
    stage.edge.shared.answers.borrow_mut().clear();
    stage.edge.wait(599);
    begin(&isolate);
    stage.edge.wait(80_000);
    begin(&isolate);
    stage.edge.wait(10_000);
    let seen = isolate.send(&open("/api/sso/login/id"));
    assert_eq!(seen.status(), 502);
    stage.discoverable();
    stage.edge.wait(2);
    begin(&isolate);
}

#[test]
fn sec_112_a_provider_that_fails_is_not_asked_by_everybody() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    let asked = stage.counted(503);
    for _ in 0..20 {
        let seen = isolate.send(&open("/api/sso/login/id"));
        assert_eq!(seen.status(), 502);
    }
    assert_eq!(asked.get(), 1);
    stage.edge.wait(2);
    assert_eq!(isolate.send(&open("/api/sso/login/id")).status(), 502);
    assert_eq!(asked.get(), 2);
}

#[test]
fn sec_112_whoever_comes_back_with_codes_that_are_none_is_turned_down() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    let begun: Vec<_> = (0..5).map(|_| begin(&isolate)).collect();
    let asked = stage.counted(400);
    stage.edge.shared.limited.set(true);
    for (location, cookie) in &begun {
        let state = query::take(location, "state").values.remove(0);
        let back = format!("/api/sso/callback/id?code=none&state={state}");
        assert_eq!(isolate.send(&open(&back).cookie(cookie)).status(), 429);
    }
    assert_eq!(asked.get(), 1, "the first code, and no other");
    // Who comes back without a code asks the provider nothing, and uses nothing up.
    let (location, cookie) = &begun[0];
    let state = query::take(location, "state").values.remove(0);
    let back = format!("/api/sso/callback/id?error=access_denied&state={state}");
    for _ in 0..2 {
        assert_eq!(isolate.send(&open(&back).cookie(cookie)).status(), 403);
    }
    assert_eq!(asked.get(), 1);
}

#[test]
fn sec_112_whoever_comes_back_while_the_provider_is_down_has_not_guessed() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    stage.edge.shared.limited.set(true);
    for status in [500, 503, 429] {
        let (location, cookie) = begin(&isolate);
        stage.counted(status);
        let state = query::take(&location, "state").values.remove(0);
        let back = format!("/api/sso/callback/id?code=c&state={state}");
        assert_eq!(
            isolate.send(&open(&back).cookie(&cookie)).status(),
            502,
            "{status}"
        );
        *stage.edge.shared.servers.borrow_mut() = None;
    }
}

#[test]
fn sec_112_a_token_endpoint_that_has_failed_is_left_alone_for_two_seconds() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    let begun: Vec<_> = (0..3).map(|_| begin(&isolate)).collect();
    let asked = stage.counted(429);
    let mut back = begun.iter().map(|(location, cookie)| {
        let state = query::take(location, "state").values.remove(0);
        let back = format!("/api/sso/callback/id?code=c&state={state}");
        isolate.send(&open(&back).cookie(cookie)).status()
    });
    assert_eq!((back.next(), back.next()), (Some(502), Some(502)));
    assert_eq!(asked.get(), 1);
    stage.edge.wait(2);
    assert_eq!(back.next(), Some(502));
    assert_eq!(asked.get(), 2);
}

#[test]
fn sec_118_a_copy_of_a_session_that_has_ended_brings_no_id_token_to_light() {
    let stage = Stage::with(&json!({"sign_out_at_provider": true}));
    let document = json!({
        "issuer": ISS,
        "authorization_endpoint": format!("{ISS}/authorize?a=1"),
        "token_endpoint": format!("{ISS}/token"),
        "jwks_uri": format!("{ISS}/jwks"),
        "end_session_endpoint": format!("{ISS}/end"),
    });
    stage.answer("/.well-known/openid-configuration", &document);
    let sign_out = |isolate: &Isolate, session: &str| {
        let page = req("POST", "/api/sso/logout")
            .cookie(session)
            .header("sec-fetch-site", "same-origin")
            .header("accept", "text/html");
        isolate.send(&page)
    };
    let isolate = stage.edge.isolate();
    let [live, dead] = [(); 2].map(|()| {
        let begun = begin(&isolate);
        session(&stage.come_back(&isolate, &begun, &json!({}))).unwrap()
    });
    let away = sign_out(&isolate, &live);
    assert!(away.header("location").unwrap().contains("id_token_hint="));
    let token = stage
        .edge
        .api_token(&[edgeward::model::api_token::Scope::Admin]);
    let me = isolate.me(&dead).unwrap();
    stage.edge.wait(1);
    let path = format!(
        "/api/sso/users/{}/logout",
        me["user"]["id"].as_str().or(me["id"].as_str()).unwrap()
    );
    assert!(isolate.admin(&token, "POST", &path, &json!({})).0 < 300);
    stage.edge.wait(120);
    let seen = sign_out(&stage.edge.isolate(), &dead);
    assert_eq!(
        (seen.status(), seen.header("location")),
        (200, None),
        "{}",
        seen.body()
    );
}

#[test]
fn a_sign_out_while_nothing_of_the_provider_is_known_is_one() {
    let stage = Stage::with(&json!({"sign_out_at_provider": true}));
    let isolate = stage.edge.isolate();
    let begun = begin(&isolate);
    let session = session(&stage.come_back(&isolate, &begun, &json!({}))).unwrap();
    stage.counted(503);
    let isolate = stage.edge.isolate();
    let page = req("POST", "/api/sso/logout")
        .cookie(&session)
        .header("sec-fetch-site", "same-origin")
        .header("accept", "text/html");
    let seen = isolate.send(&page);
    assert_eq!(seen.status(), 200, "{}", seen.body());
    assert!(seen.body().contains("Signed out"), "{}", seen.body());
    assert_eq!(isolate.me(&session), None);
}

#[test]
fn sec_59_a_session_ends_with_its_provider_and_loses_the_role_that_it_may_not_grant_any_more() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    let begun = begin(&isolate);
    let seen = stage.come_back(&isolate, &begun, &json!({"roles": ["editor", "admin"]}));
    let session = session(&seen).unwrap();
    let groups = |isolate: &Isolate| {
        let seen = isolate.send(&open("/a").cookie(&session));
        let origin = seen.is_forwarded().then(|| seen.origin());
        origin.map(|origin| origin.header("x-forwarded-groups").map(str::to_owned))
    };
    assert_eq!(groups(&isolate), Some(Some("editor".to_owned())));
    let table = |name: &str, roles: Value| {
        let table =
            json!({"preset": "oidc", "issuer": ISS, "client_id": "app", "grant_roles": roles});
        (format!("EDGEWARD_PROVIDER_{name}"), table.to_string())
    };
    let less = stage
        .edge
        .deployed(|all| all.extend([table("ID", json!([]))]));
    assert_eq!(groups(&less.isolate()), Some(None));
    let gone = stage.edge.deployed(|all| {
        all.extend([table("OTHER", json!([]))]);
        all.insert("EDGEWARD_PROVIDER_OTHER_SECRET".into(), "s".into());
        let site = all["EDGEWARD_SITE_APP"].replace(r#"["id"]"#, r#"["other"]"#);
        all.insert("EDGEWARD_SITE_APP".into(), site);
    });
    assert_eq!(groups(&gone.isolate()), None);
}

#[test]
fn who_was_signed_out_everywhere_can_sign_in_at_once() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    let begun = begin(&isolate);
    let first = session(&stage.come_back(&isolate, &begun, &json!({}))).unwrap();
    let me = isolate.me(&first).unwrap();
    let token = stage
        .edge
        .api_token(&[edgeward::model::api_token::Scope::Admin]);
    let path = format!(
        "/api/sso/users/{}/logout",
        me["user"]["id"].as_str().or(me["id"].as_str()).unwrap()
    );
    assert!(isolate.admin(&token, "POST", &path, &json!({})).0 < 300);
    stage.edge.wait(1);
    // The provider's clock is behind ours.
    let begun = begin(&isolate);
    let iat = stage.edge.now().seconds() - 5;
    assert!(session(&stage.come_back(&isolate, &begun, &json!({"iat": iat}))).is_some());
}

#[test]
fn sec_51_a_sign_out_that_the_provider_reports_right_after_the_first_sign_in_ends_the_session() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    let begun = begin(&isolate);
    let opened = session(&stage.come_back(&isolate, &begun, &json!({}))).unwrap();
    // KV does not show the user yet: it was asked for them a moment before.
    stage.edge.wait(1);
    assert_eq!(stage.report(&isolate, &json!({})), 200);
    stage.edge.wait(91);
    assert_eq!(isolate.me(&opened), None);
}

/// A stage whose provider's addresses identify people.
fn authoritative() -> Stage {
    let stage = Stage::new();
    let edge = stage.edge.deployed(|all| {
        let table = json!({"preset": "oidc", "issuer": ISS, "client_id": "app", "create_users": true, "email_authoritative": true});
        all.insert("EDGEWARD_PROVIDER_ID".into(), table.to_string());
    });
    Stage { edge, ..stage }
}

/// Signs in with these claims.
fn sign_in(stage: &Stage, isolate: &Isolate, claims: &Value) -> String {
    let begun = begin(isolate);
    let seen = stage.come_back(isolate, &begun, claims);
    session(&seen).unwrap_or_else(|| panic!("{} {}", seen.status(), seen.body()))
}

#[test]
fn sec_51_a_sign_out_that_the_provider_reports_by_the_session_alone_ends_it_at_once_in_every_isolate()
 {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    let opened = sign_in(&stage, &isolate, &json!({"sid": "s1"}));
    stage.edge.wait(1);
    // The isolate that has signed the person in was killed.
    let other = stage.edge.isolate();
    assert_eq!(
        stage.report(&other, &json!({"sub": null, "sid": "s1"})),
        200
    );
    assert_eq!(other.me(&opened), None);
    stage.edge.wait(91);
    assert_eq!(isolate.me(&opened), None);
    let again = sign_in(&stage, &isolate, &json!({"sid": "s2"}));
    assert!(isolate.me(&again).is_some());
}

#[test]
fn sec_54_what_a_provider_reports_of_another_session_or_person_ends_nobody_s() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    let a = sign_in(&stage, &isolate, &json!({"sub": "a", "sid": "of-a"}));
    let b = sign_in(&stage, &isolate, &json!({"sub": "b", "sid": "of-b"}));
    stage.edge.wait(1);
    // Nobody has such a session, or the name is one of something else.
    for sid in ["none", "of-a\n", "a", "OF-A", " of-a"] {
        assert_eq!(
            stage.report(&isolate, &json!({"sub": null, "sid": sid})),
            200,
            "{sid}"
        );
    }
    for bad in [json!(""), json!(7), json!(["of-a"]), json!(null)] {
        assert_eq!(
            stage.report(&isolate, &json!({"sub": null, "sid": bad})),
            400,
            "{bad}"
        );
    }
    stage.edge.wait(91);
    assert!(isolate.me(&a).is_some() && isolate.me(&b).is_some());
    // The session of one with the name of the other: whom it names is who is out.
    assert_eq!(
        stage.report(&isolate, &json!({"sub": "b", "sid": "of-a"})),
        200
    );
    stage.edge.wait(91);
    assert!(isolate.me(&a).is_some());
    assert_eq!(isolate.me(&b), None);
}

#[test]
fn sec_54_a_session_is_named_by_its_own_provider_alone() {
    let stage = Stage::new();
    let other = "https://other.example";
    let edge = stage.edge.deployed(|all| {
        for (name, issuer) in [("OTHER", other), ("SAME", ISS)] {
            let table = json!({"preset": "oidc", "issuer": issuer, "client_id": "app", "create_users": true});
            all.insert(format!("EDGEWARD_PROVIDER_{name}"), table.to_string());
            all.insert(format!("EDGEWARD_PROVIDER_{name}_SECRET"), "secret".into());
        }
        let site = all["EDGEWARD_SITE_APP"].replace(r#"["id"]"#, r#"["id","other","same"]"#);
        all.insert("EDGEWARD_SITE_APP".into(), site);
    });
    let stage = Stage { edge, ..stage };
    let jwk = stage.key.jwk(&json!({"kid": "k1"}));
    let document = json!({
        "issuer": other,
        "authorization_endpoint": format!("{other}/authorize"),
        "token_endpoint": format!("{other}/token"),
        "jwks_uri": format!("{other}/jwks"),
    });
    for (path, body) in [
        ("/.well-known/openid-configuration", document),
        ("/jwks", json!({"keys": [jwk]})),
    ] {
        let mut answers = stage.edge.shared.answers.borrow_mut();
        answers.insert(format!("{other}{path}"), (200, body.to_string().into()));
    }
    let isolate = stage.edge.isolate();
    let opened = sign_in(&stage, &isolate, &json!({"sid": "s1"}));
    stage.edge.wait(1);
    let named = json!({"sub": null, "sid": "s1", "iss": other});
    assert_eq!(stage.report_at(&isolate, "other", &named), 200);
    assert_eq!(
        stage.report_at(&isolate, "same", &json!({"sub": null, "sid": "s1"})),
        200
    );
    assert_eq!(stage.report_at(&isolate, "id", &named), 400);
    stage.edge.wait(91);
    assert!(isolate.me(&opened).is_some());
    assert_eq!(
        stage.report(&isolate, &json!({"sub": null, "sid": "s1"})),
        200
    );
    stage.edge.wait(91);
    assert_eq!(isolate.me(&opened), None);
}

#[test]
fn sec_51_who_is_known_by_an_address_is_out_by_the_subject_that_the_provider_has_signed_in() {
    let stage = authoritative();
    let isolate = stage.edge.isolate();
    let of = |sub: &str, email: &str| json!({"sub": sub, "email": email, "email_verified": true});
    let a = sign_in(&stage, &isolate, &of("s-a", "a@example.com"));
    let b = sign_in(&stage, &isolate, &of("s-b", "b@example.com"));
    // One whose address has changed there, and is another user by it.
    let c = sign_in(&stage, &isolate, &of("s-a", "c@example.com"));
    let d = sign_in(&stage, &isolate, &of("s-a", "a@example.com"));
    stage.edge.wait(1);
    assert_eq!(
        stage.report(&isolate, &json!({"sub": "b@example.com"})),
        200
    );
    assert_eq!(stage.report(&isolate, &json!({"sub": "s-a"})), 200);
    stage.edge.wait(91);
    assert_eq!([&a, &c, &d].map(|one| isolate.me(one)), [None, None, None]);
    assert!(isolate.me(&b).is_some());
}

#[test]
fn sec_51_no_session_opens_whose_end_could_not_be_reported() {
    let stage = Stage::new();
    let noted = |stage: &Stage| {
        let claims = stage.edge.shared.claims.borrow();
        let of_sessions = claims
            .keys()
            .filter(|key| key.starts_with("provider_session:"));
        of_sessions.count()
    };
    let (mut opened, mut refused) = (0, 0);
    for number in 0..24 {
        let isolate = stage.edge.isolate();
        let begun = begin(&isolate);
        let before = noted(&stage);
        stage.edge.shared.make(Trouble::Call(number));
        let seen = stage.come_back(&isolate, &begun, &json!({"sid": format!("s{number}")}));
        stage.edge.shared.make(Trouble::None);
        if session(&seen).is_some() {
            opened += 1;
            assert_eq!(noted(&stage), before + 1, "call {number} failed");
        } else {
            refused += 1;
            assert!(seen.status() >= 500, "{number}: {}", seen.body());
        }
    }
    assert!(opened > 3 && refused > 3, "{opened} {refused}");
}

#[test]
fn sec_51_a_report_that_a_crash_has_cut_short_is_taken_again_and_ends_nothing_later() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    let opened = sign_in(&stage, &isolate, &json!({"sid": "s1"}));
    stage.edge.wait(1);
    let report = json!({"sub": null, "sid": "s1", "jti": "cut"});
    // It was noted that it came; who is meant could not be read.
    stage.edge.shared.make(Trouble::Every(Verb::Changed));
    assert_eq!(stage.report(&isolate, &report), 503);
    stage.edge.shared.make(Trouble::None);
    assert!(isolate.me(&opened).is_some());
    stage.edge.wait(2);
    let later = sign_in(&stage, &isolate, &json!({"sid": "s1"}));
    assert_eq!(stage.report(&isolate, &report), 200);
    assert_eq!(stage.report(&isolate, &report), 400);
    stage.edge.wait(91);
    assert_eq!(isolate.me(&opened), None);
    assert!(isolate.me(&later).is_some());
}

#[test]
fn sec_53_a_page_elsewhere_starts_no_sign_in_in_place_of_a_session() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    let begun = begin(&isolate);
    let opened = session(&stage.come_back(&isolate, &begun, &json!({}))).unwrap();
    let start = || open("/api/sso/login/id?return_to=%2Fa");
    let foreign = || start().header("sec-fetch-site", "cross-site");
    let seen = isolate.send(&foreign().cookie(&opened));
    assert_eq!(seen.status(), 200, "{}", seen.body());
    assert!(seen.body().contains("/api/sso/login/id?return_to=%2Fa"));
    // Who is not signed in loses nothing, and who presses the button has chosen.
    assert_eq!(isolate.send(&foreign()).status(), 303);
    let own = start().header("sec-fetch-site", "same-origin");
    assert_eq!(isolate.send(&own.cookie(&opened)).status(), 303);
}

/// A stage whose `/admin` has these requirements.
fn demanding(require: &Value) -> Stage {
    let stage = Stage::new();
    let edge = stage.edge.deployed(|all| {
        let rules = json!([
            {"prefix": "/admin", "require": require},
            {"prefix": "/", "require": {"authenticated": true}},
        ]);
        all.insert("EDGEWARD_RULES_APP".into(), rules.to_string());
    });
    Stage { edge, ..stage }
}

/// Follows a redirect of ours to the provider: the parameters of its page, and the cookie.
fn led(isolate: &Isolate, seen: &Seen, session: &str) -> (String, String) {
    let to = seen.header("location").unwrap();
    let path = to.strip_prefix("https://site.example").unwrap_or(to);
    let seen = isolate.send(
        &open(path)
            .header("sec-fetch-site", "same-origin")
            .cookie(session),
    );
    assert_eq!(seen.status(), 303, "{}", seen.body());
    let cookie = seen.outcome.cookies.last().unwrap().as_str();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    (seen.header("location").unwrap().to_owned(), cookie)
}

#[test]
fn a_provider_asks_once_more_and_leads_back_to_where_the_person_was() {
    let stage = demanding(&json!({"max_age": 300}));
    let isolate = stage.edge.isolate();
    let begun = begin(&isolate);
    let now = stage.edge.now().seconds();
    let opened =
        session(&stage.come_back(&isolate, &begun, &json!({"auth_time": now - 299}))).unwrap();
    assert!(isolate.send(&open("/admin").cookie(&opened)).is_forwarded());
    stage.edge.wait(1);
    let sent = isolate.send(&open("/admin?x=1").cookie(&opened));
    let begun = led(&isolate, &sent, &opened);
    assert!(begun.0.contains("&max_age=300&prompt=login"), "{}", begun.0);
    let now = stage.edge.now().seconds();
    let back = stage.come_back(&isolate, &begun, &json!({"auth_time": now}));
    let to = back.header("location").unwrap();
    assert_eq!(to, "https://site.example/admin?x=1&edgeward_attempt=2o");
    let anew = session(&back).unwrap();
    let seen = isolate.send(&open("/admin?x=1&edgeward_attempt=2o").cookie(&anew));
    assert_eq!(
        seen.header("location"),
        Some("https://site.example/admin?x=1")
    );
    assert!(
        isolate
            .send(&open("/admin?x=1").cookie(&anew))
            .is_forwarded()
    );
}

#[test]
fn sec_115_a_provider_that_has_asked_nobody_makes_no_fresh_sign_in_and_no_loop() {
    let stage = demanding(&json!({"max_age": 300}));
    let isolate = stage.edge.isolate();
    let old = stage.edge.now().seconds() - 5000;
    for silent in [
        json!({}),
        json!({"auth_time": old}),
        json!({"auth_time": "0"}),
    ] {
        let begun = begin(&isolate);
        let opened = session(&stage.come_back(&isolate, &begun, &silent)).unwrap();
        assert!(isolate.send(&open("/a").cookie(&opened)).is_forwarded());
        let sent = isolate.send(&open("/admin").cookie(&opened));
        let begun = led(&isolate, &sent, &opened);
        let back = stage.come_back(&isolate, &begun, &silent);
        let anew = session(&back).unwrap();
        let to = back.header("location").unwrap();
        let path = to.strip_prefix("https://site.example").unwrap();
        let seen = isolate.send(&open(path).cookie(&anew));
        assert_eq!(
            seen.status(),
            401,
            "{silent}: {:?}",
            seen.header("location")
        );
        assert!(
            seen.body().contains("less than 300 seconds ago"),
            "{}",
            seen.body()
        );
    }
}

#[test]
fn sec_115_somebody_else_at_the_provider_replaces_nobody() {
    let stage = demanding(&json!({"max_age": 60}));
    let isolate = stage.edge.isolate();
    let begun = begin(&isolate);
    let opened = session(&stage.come_back(&isolate, &begun, &json!({}))).unwrap();
    let sent = isolate.send(&open("/admin").cookie(&opened));
    let begun = led(&isolate, &sent, &opened);
    let now = stage.edge.now().seconds();
    let claims = json!({"sub": "somebody-else", "auth_time": now});
    let seen = stage.come_back(&isolate, &begun, &claims);
    assert_eq!((seen.status(), session(&seen)), (403, None));
    assert!(seen.body().contains("other_user"), "{}", seen.body());
    assert!(isolate.send(&open("/").cookie(&opened)).is_forwarded());
}

#[test]
fn sec_115_a_provider_proves_only_methods_that_are_named_after_it() {
    for (amr, said, passes) in [
        ("provider:id", json!([]), true),
        ("provider:id:mfa", json!(["pwd", "mfa"]), true),
        ("provider:id:mfa", json!(["pwd"]), false),
        ("provider:id:mfa", json!("mfa"), false),
        (
            "provider:other:mfa",
            json!(["mfa", "provider:other:mfa"]),
            false,
        ),
    ] {
        let stage = demanding(&json!({"amr": "provider:id"}));
        let edge = stage.edge.deployed(|all| {
            let table = all["EDGEWARD_PROVIDER_ID"].clone();
            all.insert(
                "EDGEWARD_PROVIDER_OTHER".into(),
                table.replace("id.example", "other.example"),
            );
            all.insert("EDGEWARD_PROVIDER_OTHER_SECRET".into(), "secret".into());
            let rules = all["EDGEWARD_RULES_APP"].replace("provider:id", amr);
            all.insert("EDGEWARD_RULES_APP".into(), rules);
        });
        let stage = Stage { edge, ..stage };
        let isolate = stage.edge.isolate();
        let begun = begin(&isolate);
        let opened = session(&stage.come_back(&isolate, &begun, &json!({"amr": said}))).unwrap();
        let seen = isolate.send(&open("/admin").cookie(&opened));
        assert_eq!(seen.is_forwarded(), passes, "{amr} {said}");
    }
}

#[test]
fn who_was_not_signed_in_may_be_asked_once_more_after_that() {
    let stage = demanding(&json!({"max_age": 300}));
    let isolate = stage.edge.isolate();
    let sent = isolate.send(&open("/admin"));
    let begun = led(&isolate, &sent, "a=b");
    assert!(!begun.0.contains("prompt="), "{}", begun.0);
    let back = stage.come_back(&isolate, &begun, &json!({}));
    let opened = session(&back).unwrap();
    let to = back.header("location").unwrap();
    let path = to.strip_prefix("https://site.example").unwrap();
    assert_eq!(path, "/admin?edgeward_attempt=1o");
    let sent = isolate.send(&open(path).cookie(&opened));
    let begun = led(&isolate, &sent, &opened);
    assert!(begun.0.contains("&prompt=login"), "{}", begun.0);
    let back = stage.come_back(&isolate, &begun, &json!({}));
    let anew = session(&back).unwrap();
    let seen = isolate.send(&open("/admin?edgeward_attempt=2o").cookie(&anew));
    assert_eq!(seen.status(), 401, "{:?}", seen.header("location"));
}
