//! Renewing sessions with refresh tokens: what a killed runtime, another person's failure and a later deployment leave of
//! it. The rest runs in workerd (`tests/edge/provider_tokens.test.mjs`).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use edgeward::model::user::UserId;
use edgeward::platform::algorithm::Algorithm;
use edgeward::platform::port::Incoming;
use edgeward::platform::time::Seconds;
use edgeward::store::provider_sessions::{Named, ProviderSessions};
use edgeward::store::tickets::{SIGN_IN, Ticket, TicketFor, Tickets};
use serde_json::{Value, json};

use crate::harness::crypto::Private;
use crate::harness::issuer::claims_at;
use crate::harness::request::{open, req};
use crate::harness::shared::{Server, Trouble, Verb};
use crate::harness::{Isolate, run, step, tampered};
use crate::providers::{Stage, begin, session};

/// Later than half of `session.idle`, when a session is due, and sooner than its end.
const DUE: u32 = 5 * 3600;
/// Longer than whoever asks the provider has the record.
const BUSY: u32 = 61;

/// A provider that rotates refresh tokens.
struct Rotating {
    stage: Stage,
    /// The refresh tokens that came, in this order.
    came: Rc<RefCell<Vec<String>>>,
}

impl Rotating {
    fn new() -> Self {
        Self::with(&json!({}))
    }

    /// `settings` are laid over those of the provider.
    fn with(settings: &Value) -> Self {
        let mut all = json!({"offline": true, "claims": {"roles": "roles"}});
        let members = all.as_object_mut().unwrap();
        members.extend(settings.as_object().unwrap().clone());
        let stage = Stage::with(&all);
        let came = Rc::<RefCell<Vec<String>>>::default();
        let (shared, seen) = (Rc::clone(&stage.edge.shared), Rc::clone(&came));
        let answer: Server = Box::new(move |request| {
            let (status, mut body) = shared.answers.borrow().get(request.url).cloned()?;
            if request.url.ends_with("/token") {
                let form = request.body.unwrap_or_default();
                let sent = form
                    .split('&')
                    .find_map(|pair| pair.strip_prefix("refresh_token="));
                seen.borrow_mut().extend(sent.map(str::to_owned));
                let mut members: Value = serde_json::from_slice(&body).unwrap();
                members["refresh_token"] = json!(format!("refresh-{}", seen.borrow().len()));
                body = members.to_string().into();
            }
            Some(Incoming {
                status,
                headers: Vec::new(),
                body,
            })
        });
        *stage.edge.shared.servers.borrow_mut() = Some(answer);
        Self { stage, came }
    }

    /// Signs a person in who is an editor; gives the session.
    fn sign_in(&self, isolate: &Isolate, name: &str) -> String {
        let begun = begin(isolate);
        let claims = person(name, &["editor"]);
        session(&self.stage.come_back(isolate, &begun, &claims)).unwrap()
    }

    /// What comes of a refresh token from now on: an ID token with these claims.
    fn renews(&self, claims: &Value) {
        self.answer(&self.id_token(&self.stage.key, "k1", claims));
    }

    fn answer(&self, id_token: &str) {
        let answer = json!({"id_token": id_token, "access_token": "a", "token_type": "Bearer"});
        self.stage.answer("/token", &answer);
    }

    /// Refuses refresh tokens from now on.
    fn refuses(&self, status: u16, error: &str) {
        let mut answers = self.stage.edge.shared.answers.borrow_mut();
        let token = "https://id.example/token".to_owned();
        let body = json!({ "error": error }).to_string();
        answers.insert(token, (status, body.into()));
    }

    fn id_token(&self, key: &Private, kid: &str, claims: &Value) -> String {
        let claims = claims_at(self.stage.edge.now().seconds(), claims);
        key.token(Algorithm::EdDsa, &json!({"kid": kid}), &claims)
    }

    /// How often a refresh token came that had come before.
    fn reused(&self) -> usize {
        let came = self.came.borrow();
        came.len() - came.iter().collect::<BTreeSet<_>>().len()
    }
}

fn person(name: &str, roles: &[&str]) -> Value {
    json!({"sub": name, "email": format!("{name}@example.com"), "roles": roles})
}

/// The roles of which the origin is told; `None` if the session opens nothing.
fn roles(isolate: &Isolate, session: &str) -> Option<String> {
    let seen = isolate.send(&open("/a").cookie(session));
    let origin = seen.is_forwarded().then(|| seen.origin());
    origin.map(|origin| {
        origin
            .header("x-forwarded-groups")
            .unwrap_or_default()
            .to_owned()
    })
}

#[test]
fn sec_118_what_fails_for_one_person_is_not_put_off_for_another() {
    let provider = Rotating::new();
    let isolate = provider.stage.edge.isolate();
    let (one, two) = (
        provider.sign_in(&isolate, "one"),
        provider.sign_in(&isolate, "two"),
    );
    provider.stage.edge.wait(DUE);
    let good = provider.id_token(&provider.stage.key, "k1", &person("one", &["editor"]));
    provider.answer(&tampered(&good));
    assert_eq!(roles(&isolate, &one), Some("editor".to_owned()));
    assert_eq!(provider.came.borrow().len(), 1);
    // That person's session is left alone for a while, and nobody else's.
    assert_eq!(roles(&isolate, &one), Some("editor".to_owned()));
    assert_eq!(provider.came.borrow().len(), 1);
    provider.renews(&person("two", &[]));
    assert_eq!(roles(&isolate, &two), Some(String::new()));
    assert_eq!(provider.came.borrow().len(), 2);
}

#[test]
fn sec_118_a_provider_that_limits_us_or_knows_us_no_more_is_asked_once() {
    for (status, error) in [
        (429, "x"),
        (503, "x"),
        (401, "invalid_client"),
        (400, "unauthorized_client"),
    ] {
        let provider = Rotating::new();
        let isolate = provider.stage.edge.isolate();
        let sessions = ["one", "two"].map(|name| provider.sign_in(&isolate, name));
        provider.stage.edge.wait(DUE);
        provider.refuses(status, error);
        for session in sessions {
            assert_eq!(
                roles(&isolate, &session),
                Some("editor".to_owned()),
                "{status} {error}"
            );
        }
        assert_eq!(provider.came.borrow().len(), 1, "{status} {error}");
    }
}

#[test]
fn sec_118_a_sign_out_of_a_session_that_is_due_asks_the_provider_nothing() {
    let provider = Rotating::new();
    let isolate = provider.stage.edge.isolate();
    let session = provider.sign_in(&isolate, "one");
    provider.stage.edge.wait(DUE);
    provider.refuses(400, "invalid_grant");
    let sign_out = req("POST", "/api/sso/logout").cookie(&session);
    let seen = isolate.send(&sign_out.header("sec-fetch-site", "same-origin"));
    assert_eq!(seen.status(), 200, "{}", seen.body());
    assert!(provider.came.borrow().is_empty());
    assert_eq!(roles(&provider.stage.edge.isolate(), &session), None);
}

#[test]
fn sec_118_all_sessions_end_whichever_call_of_the_platform_has_failed() {
    for call in 0.. {
        let provider = Rotating::with(&json!({"if_refused": "end_all"}));
        let edge = &provider.stage.edge;
        let isolate = edge.isolate();
        let sessions = [(); 2].map(|()| provider.sign_in(&isolate, "one"));
        edge.wait(DUE);
        provider.refuses(400, "invalid_grant");
        edge.shared.make(Trouble::Call(call));
        let _ = isolate.send(&open("/a").cookie(&sessions[0]));
        let made = edge.shared.counted();
        edge.shared.make(Trouble::None);
        edge.wait(BUSY);
        let refused = provider.came.borrow().len();
        let again = provider.sign_in(&isolate, "one");
        edge.wait(1);
        provider.refuses(400, "invalid_grant");
        let isolate = edge.isolate();
        assert_eq!(roles(&isolate, &sessions[0]), None, "call {call}");
        if refused == 1 && provider.came.borrow().len() == 1 {
            // They were to end then, and nothing that began later.
            assert!(isolate.me(&again).is_some(), "call {call}");
        }
        edge.wait(BUSY);
        assert_eq!(isolate.me(&sessions[1]), None, "call {call}");
        if call >= made {
            break;
        }
    }
}

#[test]
fn a_session_that_is_kept_although_the_provider_has_refused_it_is_not_looked_up_by_each_request() {
    let provider = Rotating::with(&json!({"if_refused": "keep"}));
    let edge = &provider.stage.edge;
    let isolate = edge.isolate();
    let session = provider.sign_in(&isolate, "one");
    edge.wait(DUE);
    provider.refuses(400, "invalid_grant");
    assert_eq!(roles(&isolate, &session), Some("editor".to_owned()));
    let before = edge.shared.count(Verb::Changed);
    for _ in 0..5 {
        assert_eq!(roles(&isolate, &session), Some("editor".to_owned()));
    }
    assert_eq!(edge.shared.count(Verb::Changed), before);
    assert_eq!(provider.came.borrow().len(), 1);
}

#[test]
fn an_access_token_that_does_not_say_how_long_it_lasts_is_sent_as_long_as_nobody_can_renew_it() {
    for offline in [false, true] {
        let mut provider = Rotating::with(&json!({ "offline": offline }));
        provider.stage.edge = provider.stage.edge.deployed(|all| {
            let mut site: Value = serde_json::from_str(&all["EDGEWARD_SITE_APP"]).unwrap();
            site["custom_headers"] = json!({"x-token": "provider:access_token"});
            all.insert("EDGEWARD_SITE_APP".into(), site.to_string());
        });
        let isolate = provider.stage.edge.isolate();
        let begun = begin(&isolate);
        let answer = provider
            .stage
            .come_back(&isolate, &begun, &person("one", &[]));
        let session = session(&answer).unwrap();
        let sent = || {
            let seen = isolate.send(&open("/a").cookie(&session));
            seen.origin().header("x-token").map(str::to_owned)
        };
        assert_eq!(sent().as_deref(), Some("x"));
        let renewed = json!({"access_token": "b", "token_type": "Bearer", "expires_in": 300});
        provider.stage.answer("/token", &renewed);
        provider.stage.edge.wait(600);
        assert_eq!(sent().as_deref(), Some(if offline { "b" } else { "x" }));
    }
}

#[test]
fn sec_118_a_role_that_the_provider_may_not_grant_any_more_does_not_come_back_with_a_renewal() {
    let provider = Rotating::new();
    let edge = &provider.stage.edge;
    let isolate = edge.isolate();
    let session = provider.sign_in(&isolate, "one");
    edge.wait(DUE);
    provider.renews(&person("one", &["editor"]));
    assert_eq!(roles(&isolate, &session), Some("editor".to_owned()));
    let less = edge.deployed(|all| {
        let table = &all["EDGEWARD_PROVIDER_ID"];
        let table = table.replace(r#"["editor"]"#, "[]");
        all.insert("EDGEWARD_PROVIDER_ID".into(), table);
    });
    assert_eq!(roles(&less.isolate(), &session), Some(String::new()));
    assert_eq!(provider.came.borrow().len(), 1);
}

#[test]
fn sec_118_a_runtime_that_is_killed_while_the_answer_is_checked_has_kept_its_refresh_token() {
    let mut checked = 0;
    for steps in 0.. {
        let provider = Rotating::new();
        let edge = &provider.stage.edge;
        let isolate = edge.isolate();
        let session = provider.sign_in(&isolate, "one");
        edge.wait(DUE);
        // The provider signs with another key by now, so its keys are fetched in the midst of it.
        let next = Private::new(Algorithm::EdDsa.key_type(), "next");
        let jwk = next.jwk(&json!({"kid": "k2"}));
        provider.stage.answer("/jwks", &json!({"keys": [jwk]}));
        provider.answer(&provider.id_token(&next, "k2", &person("one", &[])));
        edge.shared.calls.borrow_mut().clear();
        let mut request = Box::pin(isolate.begin(&open("/a").cookie(&session)));
        let ended = (0..steps).any(|_| step(&mut request).is_some());
        drop(request);
        let calls = edge.shared.calls.borrow().clone();
        let fetches: Vec<_> = calls
            .iter()
            .filter(|call| call.verb == Verb::Fetch)
            .collect();
        let is_checked = fetches.iter().any(|call| call.key.ends_with("/jwks"));
        edge.wait(BUSY);
        let isolate = edge.isolate();
        assert_eq!(
            roles(&isolate, &session),
            Some(String::new()),
            "after {steps} steps"
        );
        if is_checked {
            checked += 1;
            assert_eq!(provider.reused(), 0, "after {steps} steps");
        }
        if ended {
            break;
        }
    }
    assert!(checked > 2, "{checked}");
}

#[test]
fn sec_51_whom_a_provider_means_is_forgotten_with_their_session_and_is_never_a_crowd() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    let of = Named {
        provider: "id",
        iss: "https://id.example",
        claim: "sid",
        value: "s",
    };
    let sessions = || ProviderSessions {
        once: &*isolate.world.platform.once,
        now: stage.edge.now(),
    };
    let user = |number: usize| UserId::parse(&format!("usr_{number:022}")).unwrap();
    let users = || run(sessions().users(of)).0.unwrap();
    for number in [1, 2, 1] {
        run(sessions().note(of, &user(number), Seconds(60)))
            .0
            .unwrap();
        stage.edge.wait(20);
    }
    assert_eq!(users(), [user(2), user(1)]);
    // The last one holds the lease for longer than the others are in it.
    run(sessions().note(of, &user(3), Seconds(600))).0.unwrap();
    stage.edge.wait(20);
    assert_eq!(users(), [user(1), user(3)]);
    stage.edge.wait(60);
    assert_eq!(users(), [user(3)]);
    for number in 10..50 {
        run(sessions().note(of, &user(number), Seconds(600)))
            .0
            .unwrap();
    }
    assert_eq!(users().len(), 32);
    assert_eq!(users().last(), Some(&user(49)));
}

#[test]
fn sec_118_a_ticket_that_was_used_does_not_name_the_tokens() {
    let stage = Stage::new();
    let isolate = stage.edge.isolate();
    let now = stage.edge.now();
    let tickets = Tickets::of(&isolate.world.platform, now);
    let purpose = TicketFor::Site("app".to_owned());
    let mut ticket = Ticket::new(purpose, "https://site.example/", now + SIGN_IN);
    ticket.granted = Some(json!({"tokens": "the-record"}));
    let token = run(tickets.issue(ticket)).0.unwrap();
    let held = || {
        let claims = stage.edge.shared.claims.borrow();
        let of_tickets = claims.iter().filter(|(key, _)| key.starts_with("ticket:"));
        of_tickets
            .map(|(_, (text, _))| text.clone())
            .collect::<String>()
    };
    assert!(held().contains("the-record"));
    let used = run(tickets.use_up(&token, |_| Ok(()))).0.unwrap();
    assert_eq!(used.granted, Some(json!({"tokens": "the-record"})));
    assert!(
        held().contains(r#""used":true"#) && !held().contains("the-record"),
        "{}",
        held()
    );
}
