//! The profile of Label Studio, with an in-memory Label Studio that answers as the real one was
//! observed to answer.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgeward::jose::hmac::{HmacAlgorithm, Keyring};
use edgeward::model::api_token::Scope;
use edgeward::platform::algorithm::{Algorithm, KeyType};
use edgeward::platform::port::{Incoming, Outgoing};
use serde_json::{Value, json};

use crate::harness::crypto::Private;
use crate::harness::issuer::{claims_at, reason, table};
use crate::harness::request::{Req, Seen, get, open, req};
use crate::harness::shared::Verb;
use crate::harness::{Edge, Isolate, bindings, claims_of, step};

const SECRET_KEY: &str = "pZ3vX8qLm1Rt6Yw0Kb5Nc9Jd4Hf7Gs2A";
const ADMIN: u64 = 1;

#[derive(Clone)]
struct Member {
    id: u64,
    email: String,
    organization: Option<u64>,
    active: bool,
    removed: bool,
    password: String,
    pat: Option<String>,
}

/// What a Label Studio knows.
#[derive(Default)]
struct Studio {
    members: RefCell<Vec<Member>>,
    made: Cell<u64>,
    /// Does not take a token that it has just made.
    forgetful: Cell<bool>,
    down: Cell<bool>,
    edge: RefCell<Option<Rc<crate::harness::shared::Shared>>>,
}

fn sign(claims: &Value) -> String {
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let input = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let ring = Keyring::new([(1, SECRET_KEY.as_bytes().to_vec())]).unwrap();
    let signature = ring.sign(HmacAlgorithm::Hs256, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

impl Studio {
    fn now(&self) -> u64 {
        self.edge.borrow().as_ref().unwrap().now.get().seconds()
    }

    fn add(&self, email: &str) -> u64 {
        let id = u64::try_from(self.members.borrow().len()).unwrap() + 1;
        self.members.borrow_mut().push(Member {
            id,
            email: email.into(),
            organization: Some(1),
            active: true,
            removed: false,
            password: String::new(),
            pat: None,
        });
        id
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Member)) {
        change(&mut self.members.borrow_mut()[usize::try_from(id).unwrap() - 1]);
    }

    fn member(&self, id: u64) -> Member {
        self.members.borrow()[usize::try_from(id).unwrap() - 1].clone()
    }

    fn of(&self, token: &str, kind: &str) -> Option<u64> {
        let claims = claims_of(token);
        let right = sign(&claims) == token
            && claims["token_type"] == kind
            && claims["exp"].as_u64()? > self.now()
            && claims["jti"].is_string();
        let id: u64 = claims["user_id"].as_str()?.parse().ok()?;
        let member = self.members.borrow().iter().find(|m| m.id == id).cloned()?;
        (right && member.active).then_some(id)
    }

    fn make_pat(&self, id: u64) -> String {
        let number = self.made.get() + 1;
        self.made.set(number);
        let exp = self.now() + 6_000_000_000;
        sign(
            &json!({"token_type": "refresh", "exp": exp, "iat": self.now(), "jti": number.to_string(), "user_id": id.to_string()}),
        )
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each request")]
    fn answer(&self, request: &Outgoing<'_>) -> Option<Incoming> {
        if self.down.get() {
            return None;
        }
        let header = |name: &str| {
            let mut all = request.headers.iter().filter(|(known, _)| *known == name);
            all.next().map(|(_, value)| *value)
        };
        let bearer = header("authorization").and_then(|h| h.strip_prefix("Bearer "));
        let session = header("cookie").and_then(|c| c.strip_prefix("sessionid="));
        let who = bearer
            .and_then(|token| self.of(token, "access"))
            .or(session.and_then(|id| id.parse().ok()));
        let reply = |status, body: Value| {
            Some(Incoming {
                status,
                headers: Vec::new(),
                body: body.to_string().into_bytes(),
            })
        };
        let show = |member: &Member| json!({"id": member.id, "email": if member.removed { "Deleted" } else { &member.email }, "active_organization": member.organization, "more": {"x": [1]}});
        let path = request
            .url
            .strip_prefix("https://origin.example")
            .expect("only the upstream");
        let body = request.body.unwrap_or_default();
        let json_body: Value = serde_json::from_str(body).unwrap_or_default();
        let no = || reply(401, json!({"detail": "no"}));
        let account = path
            .strip_prefix("/api/users/")
            .and_then(|rest| rest.strip_suffix('/'))
            .and_then(|id| id.parse::<u64>().ok());
        match (request.method, path) {
            ("POST", "/api/token/refresh/") => {
                let pat = json_body["refresh"].as_str().unwrap();
                let id = claims_of(pat)["user_id"].as_str().unwrap().parse().unwrap();
                let member = self.member(id);
                if member.pat.as_deref() != Some(pat)
                    || !member.active
                    || (self.forgetful.get() && id != ADMIN)
                {
                    return no();
                }
                let access = sign(
                    &json!({"token_type": "access", "exp": self.now() + 300, "iat": self.now(), "jti": "a", "user_id": id.to_string()}),
                );
                reply(200, json!({"access": access}))
            }
            ("POST", "/user/login/") => {
                let field = |name: &str| {
                    body.split('&')
                        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
                        .unwrap()
                        .replace("%40", "@")
                };
                assert_eq!(
                    header("cookie").unwrap(),
                    format!("csrftoken={}", field("csrfmiddlewaretoken"))
                );
                assert_eq!(field("csrfmiddlewaretoken").len(), 32);
                let members = self.members.borrow();
                let member = members.iter().find(|member| {
                    member.email == field("email")
                        && member.password == field("password")
                        && member.active
                });
                let mut answer = reply(if member.is_some() { 302 } else { 200 }, Value::Null)?;
                if let Some(member) = member {
                    answer
                        .headers
                        .push(("set-cookie".into(), "csrftoken=x; Path=/".into()));
                    answer.headers.push((
                        "set-cookie".into(),
                        format!("sessionid={}; HttpOnly", member.id),
                    ));
                }
                Some(answer)
            }
            _ if who.is_none() => no(),
            ("GET", "/api/current-user/whoami") => match self.member(who?) {
                member if member.organization.is_none() => reply(500, Value::Null),
                member => reply(200, show(&member)),
            },
            ("POST", "/api/users/") => {
                assert_eq!(who, Some(ADMIN));
                let email = json_body["email"].as_str().unwrap();
                if self
                    .members
                    .borrow()
                    .iter()
                    .any(|member| member.email == email)
                {
                    return reply(400, json!({"validation_errors": {"email": ["exists"]}}));
                }
                assert!(json_body["username"].is_string() && json_body["active_organization"] == 1);
                let id = self.add(email);
                reply(201, show(&self.member(id)))
            }
            ("GET", "/api/users/") => {
                let all: Vec<Value> = self.members.borrow().iter().map(show).collect();
                reply(200, json!(all))
            }
            ("POST", "/api/token/") => {
                let id = who?;
                if self.member(id).pat.is_some() {
                    return reply(409, json!({}));
                }
                let pat = self.make_pat(id);
                self.change(id, |member| member.pat = Some(pat.clone()));
                reply(201, json!({"token": pat}))
            }
            ("GET", "/api/token/") => {
                let pat = self.member(who?).pat;
                let cut: Vec<Value> = pat
                    .iter()
                    .map(|pat| json!({"token": pat.rsplit_once('.').unwrap().0}))
                    .collect();
                reply(200, json!(cut))
            }
            ("POST", "/api/token/blacklist/") => {
                let named = json_body["refresh"].as_str().unwrap().to_owned();
                self.change(who?, |member| {
                    assert!(member.pat.take().unwrap().starts_with(&named));
                });
                Some(Incoming {
                    status: 204,
                    headers: Vec::new(),
                    body: Vec::new(),
                })
            }
            (method, _) if account.is_some() => {
                assert_eq!(who, Some(ADMIN));
                let id = account?;
                if usize::try_from(id).unwrap() > self.members.borrow().len() {
                    return reply(404, json!({}));
                }
                if method == "PATCH" {
                    self.change(id, |member| {
                        member.organization = json_body["active_organization"].as_u64();
                    });
                }
                reply(200, show(&self.member(id)))
            }
            ("POST", path) if path.starts_with("/admin/users/user/") => {
                assert_eq!(who, Some(ADMIN));
                let id = path.split('/').nth(4).unwrap().parse().unwrap();
                let password = body
                    .split('&')
                    .next()
                    .unwrap()
                    .strip_prefix("password1=")
                    .unwrap();
                self.change(id, |member| member.password = password.to_owned());
                reply(302, Value::Null)
            }
            other => panic!("an unexpected call: {other:?}"),
        }
    }
}

/// An edge in front of a Label Studio that has an admin.
fn edge(mode: &str) -> (Edge, Rc<Studio>) {
    edge_with(mode, |_| {})
}

/// The same, with further settings and bindings.
fn edge_with(mode: &str, change: impl FnOnce(&mut BTreeMap<String, String>)) -> (Edge, Rc<Studio>) {
    let studio = Rc::new(Studio::default());
    let label_studio = match mode {
        "mint" => {
            json!({"mode": "mint", "secret": "STUDIO", "admin_user": ADMIN, "admins": ["superuser"]})
        }
        _ => json!({"mode": "pat", "secret": "STUDIO", "admins": ["superuser"]}),
    };
    let settings = json!({"label_studio": label_studio, "assertion": null, "custom_headers": null, "identity_headers": null});
    let mut bindings = bindings(&settings);
    bindings.insert("STUDIO".into(), SECRET_KEY.into());
    let shared = Rc::clone(&Edge::with(crate::harness::bindings(&json!({}))).shared);
    studio.edge.replace(Some(Rc::clone(&shared)));
    assert_eq!(studio.add("admin@example.com"), ADMIN);
    let pat = studio.make_pat(ADMIN);
    studio.change(ADMIN, |member| member.pat = Some(pat.clone()));
    if mode == "pat" {
        bindings.insert("STUDIO".into(), pat);
    }
    change(&mut bindings);
    let edge = Edge::with(bindings);
    studio.edge.replace(Some(Rc::clone(&edge.shared)));
    let answering = Rc::clone(&studio);
    edge.shared
        .servers
        .replace(Some(Box::new(move |request| answering.answer(request))));
    (edge, studio)
}

/// The token that the origin is told.
fn told(seen: &Seen) -> String {
    let origin = seen.origin();
    let bearer = origin.header("authorization").expect("a credential");
    bearer.strip_prefix("Bearer ").unwrap().to_owned()
}

/// Whom the origin sees.
fn seen_as(studio: &Studio, seen: &Seen) -> Option<u64> {
    studio.of(&told(seen), "access")
}

fn fetches(edge: &Edge, part: &str) -> usize {
    let calls = edge.shared.calls.borrow();
    let fetched = calls.iter().filter(|call| call.verb == Verb::Fetch);
    fetched.filter(|call| call.key.contains(part)).count()
}

fn signed_in(edge: &Edge, isolate: &Isolate, email: &str) -> String {
    let token = isolate.issue(&edge.api_token(&[Scope::Admin]), email);
    let seen = isolate.send(&open("/").cookie(&format!("ls_auth_token={token}")));
    seen.session().expect("a session")
}

#[test]
fn the_first_request_makes_the_user_and_the_next_ones_wait_for_nothing() {
    for mode in ["mint", "pat"] {
        let (edge, studio) = edge(mode);
        let isolate = edge.isolate();
        let session = signed_in(&edge, &isolate, "Ada@Example.com");
        let member = studio.member(2);
        assert_eq!(
            (member.email.as_str(), member.organization),
            ("ada@example.com", Some(1))
        );
        isolate.send(&get("/").cookie(&session));
        let before = edge.shared.calls.borrow().len();
        for second in 0..25 {
            let seen = isolate.send(&get(&format!("/projects/?n={second}")).cookie(&session));
            assert_eq!(seen.polls, 1, "something was waited for");
            assert_eq!(seen_as(&studio, &seen), Some(2));
            edge.wait(1);
        }
        assert_eq!(
            edge.shared.calls.borrow().len(),
            before,
            "a port was called"
        );
        // Another isolate knows the user from the store.
        let made = fetches(&edge, "POST https://origin.example/api/users/");
        let other = edge.isolate().send(&get("/projects/").cookie(&session));
        assert_eq!(seen_as(&studio, &other), Some(2));
        assert_eq!(
            fetches(&edge, "POST https://origin.example/api/users/"),
            made
        );
        assert!(edge.shared.written_too_often().is_empty());
    }
}

#[test]
fn a_minted_token_is_short_says_nothing_of_when_it_was_made_and_is_sent_again_while_fresh() {
    let (edge, studio) = edge("mint");
    let isolate = edge.isolate();
    let session = signed_in(&edge, &isolate, "a@b.c");
    let request = get("/api/projects").cookie(&session);
    let first = told(&isolate.send(&request));
    let claims = claims_of(&first);
    let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    assert_eq!(names, ["exp", "jti", "token_type", "user_id"]);
    assert_eq!(claims["exp"], edge.now().seconds() + 60);
    edge.wait(14);
    assert_eq!(told(&isolate.send(&request)), first);
    // However late it is sent, an origin whose clock is 40 seconds ahead takes it.
    assert!(claims["exp"].as_u64().unwrap() > edge.now().seconds() + 40);
    edge.wait(1);
    let next = isolate.send(&request);
    assert_ne!(told(&next), first);
    assert_eq!(seen_as(&studio, &next), Some(2));
}

#[test]
fn of_many_first_requests_at_once_one_makes_the_user_and_all_are_the_same() {
    for mode in ["mint", "pat"] {
        let (edge, studio) = edge(mode);
        let token = edge
            .isolate()
            .issue(&edge.api_token(&[Scope::Admin]), "a@b.c");
        let isolates: Vec<Isolate> = (0..6).map(|_| edge.isolate()).collect();
        let mut under_way: Vec<_> = isolates
            .iter()
            .map(|isolate| {
                let request = get("/api/projects").bearer(&token);
                (request.clone(), Some(Box::pin(isolate.begin(&request))))
            })
            .collect();
        let mut done = 0;
        for _ in 0..5000 {
            for (request, future) in &mut under_way {
                if let Some(outcome) = future.as_mut().and_then(step) {
                    *future = None;
                    done += 1;
                    let seen = Seen {
                        request: request.clone(),
                        outcome,
                        polls: 0,
                    };
                    assert!(seen.is_forwarded(), "{:?}", seen.outcome.event);
                    assert_eq!(seen_as(&studio, &seen), Some(2), "{mode}");
                }
            }
        }
        assert_eq!(done, 6, "{mode}");
        assert_eq!(studio.members.borrow().len(), 2);
        let passwords = fetches(&edge, "/password/");
        assert_eq!(passwords, usize::from(mode == "pat"));
    }
}

#[test]
fn a_user_that_is_there_is_found_however_the_address_is_spelt() {
    for mode in ["mint", "pat"] {
        let (edge, studio) = edge(mode);
        let id = studio.add("ada@example.com");
        studio.add("ADA2@example.com");
        let isolate = edge.isolate();
        let session = signed_in(&edge, &isolate, "ada@example.com");
        assert_eq!(
            seen_as(&studio, &isolate.send(&get("/").cookie(&session))),
            Some(id)
        );
        assert_eq!(studio.members.borrow().len(), 3);
    }
}

#[test]
fn sec_96_a_subject_gets_no_account_by_the_address_beside_it() {
    let key = Private::new(KeyType::Ed25519, "issuer");
    let (edge, studio) = edge_with("mint", |bindings| {
        let issuer = json!({
            "identity": "subject",
            "jwks_url": null,
            "public_key": key.jwk(&json!({"kid": "k1"})),
        });
        bindings.insert("EDGEWARD_ISSUER_ID".into(), table(&issuer));
        let site = bindings.get_mut("EDGEWARD_SITE_APP").unwrap();
        let mut settings: Value = serde_json::from_str(site).unwrap();
        settings["issuers"] = json!(["id"]);
        settings["sources"] = json!(["session", "sso_cookie", "query", "bearer"]);
        *site = settings.to_string();
    });
    studio.add("anna@b.c");
    let isolate = edge.isolate();
    for email in [json!("anna@b.c"), json!(null)] {
        let claims = claims_at(edge.now().seconds(), &json!({"email": email}));
        let token = key.token(Algorithm::EdDsa, &json!({"kid": "k1"}), &claims);
        let seen = isolate.send(&get("/projects/").bearer(&token));
        assert!(reason(&seen).contains("no e-mail address identifies the user"));
    }
    assert_eq!(studio.members.borrow().len(), 2);
}

#[test]
fn a_user_made_by_a_token_of_another_issuer_is_made_in_label_studio_too() {
    for mode in ["mint", "pat"] {
        let key = Private::new(KeyType::Secret, "portal");
        let (edge, studio) = edge_with(mode, |bindings| {
            let Private::Secret(secret) = &key else {
                unreachable!()
            };
            let secret = String::from_utf8(secret.clone()).unwrap();
            bindings.insert("PORTAL_SECRET".into(), secret);
            let issuer = json!({
                "algorithms": ["HS256"],
                "jwks_url": null,
                "secret": "PORTAL_SECRET",
                "claims": {"email": "user_email"},
                "unverified_email_reason": "the portal has confirmed each of them",
                "email_domains": ["portal.example"],
            });
            bindings.insert("EDGEWARD_ISSUER_ID".into(), table(&issuer));
            let site = bindings.get_mut("EDGEWARD_SITE_APP").unwrap();
            let mut settings: Value = serde_json::from_str(site).unwrap();
            settings["issuers"] = json!(["id"]);
            *site = settings.to_string();
        });
        let isolate = edge.isolate();
        let token = |email: &str| {
            let said = json!({"email": null, "email_verified": null, "user_email": email});
            let claims = claims_at(edge.now().seconds(), &said);
            key.token(Algorithm::Hs256, &json!({}), &claims)
        };
        let link = open(&format!(
            "/projects/?token={}&page=2",
            token("Ada@Portal.example")
        ));
        let arrived = isolate.send(&link);
        assert_eq!(
            arrived.header("location"),
            Some("https://site.example/projects/?page=2")
        );
        let session = arrived.session().expect("a session");
        let seen = isolate.send(&get("/projects/?page=2").cookie(&session));
        assert_eq!(seen_as(&studio, &seen), Some(2), "{mode}");
        let member = studio.member(2);
        assert_eq!(
            (member.email.as_str(), member.organization),
            ("ada@portal.example", Some(1))
        );
        // As a bearer, and in another isolate, it is the same user.
        let bearer = get("/api/projects").bearer(&token("ada@portal.example"));
        let seen = edge.isolate().send(&bearer);
        assert_eq!(seen_as(&studio, &seen), Some(2), "{mode}");
        assert_eq!(studio.members.borrow().len(), 2);
        // Nobody becomes the admin of Label Studio by a token of an issuer for another domain.
        let seen = isolate.send(&get("/api/projects").bearer(&token("admin@example.com")));
        assert_eq!(seen.status(), 401, "{}", reason(&seen));
        assert_eq!(studio.members.borrow().len(), 2);
    }
}

#[test]
fn whoever_the_origin_shut_out_is_refused_and_not_let_in_again() {
    for mode in ["mint", "pat"] {
        let (edge, studio) = edge(mode);
        let deactivated = studio.add("gone@example.com");
        studio.change(deactivated, |member| member.active = false);
        let removed = studio.add("removed@example.com");
        studio.change(removed, |member| {
            member.removed = true;
            member.organization = None;
        });
        let isolate = edge.isolate();
        for email in ["gone@example.com", "removed@example.com"] {
            let token = isolate.issue(&edge.api_token(&[Scope::Admin]), email);
            let seen = isolate.send(&get("/api/projects").bearer(&token));
            assert_eq!(
                seen.refusal(),
                (403, "account_refused".into()),
                "{mode} {email}"
            );
            let before = edge.shared.count(Verb::Fetch);
            let again = isolate.send(&get("/api/projects").bearer(&token));
            assert_eq!(again.status(), 403);
            assert_eq!(
                edge.shared.count(Verb::Fetch),
                before,
                "it was asked again at once"
            );
        }
        assert_eq!(studio.member(removed).organization, None);
    }
}

#[test]
fn a_user_without_an_organization_gets_one() {
    for mode in ["mint", "pat"] {
        let (edge, studio) = edge(mode);
        let id = studio.add("ada@example.com");
        studio.change(id, |member| member.organization = None);
        let isolate = edge.isolate();
        let session = signed_in(&edge, &isolate, "ada@example.com");
        assert_eq!(studio.member(id).organization, Some(1));
        // Later too, once the origin has failed over it.
        studio.change(id, |member| member.organization = None);
        edge.wait(10);
        let seen = isolate.send(&get("/").cookie(&session));
        let whom = whom(&seen);
        edgeward::profile::note_refusal(&isolate.world, &whom, 500, "");
        assert!(isolate.send(&get("/").cookie(&session)).is_forwarded());
        assert_eq!(studio.member(id).organization, Some(1));
    }
}

fn whom(seen: &Seen) -> String {
    let edgeward::pipeline::Action::Forward(forward) = &seen.outcome.action else {
        panic!("answered")
    };
    forward.rules().unwrap().whom.as_deref().unwrap().to_owned()
}

#[test]
fn a_person_whom_the_origin_led_to_its_sign_in_form_goes_back_with_an_account_that_works() {
    let (edge, studio) = edge("mint");
    let isolate = edge.isolate();
    let session = signed_in(&edge, &isolate, "ada@example.com");
    // Deleted there, and the number given to nobody.
    studio.change(2, |member| member.email = "somebody@else.example".into());
    edge.wait(10);
    let seen = isolate.send(&open("/user/login/?next=/projects/%3Fa%3D1").cookie(&session));
    assert_eq!(seen.status(), 303);
    assert_eq!(
        seen.header("location"),
        Some("https://site.example/projects/?a=1")
    );
    assert_eq!(
        seen_as(&studio, &isolate.send(&get("/").cookie(&session))),
        Some(3)
    );
    for (next, location) in [
        ("", "/"),
        ("?next=https://evil.example/", "/"),
        ("?next=//evil.example/", "/"),
        ("?next=/user/login/", "/"),
        ("?next=/logout", "/"),
        ("?next=/admin/", "/"),
    ] {
        let seen = isolate.send(&open(&format!("/user/login/{next}")).cookie(&session));
        assert_eq!(
            (seen.status(), seen.header("location")),
            (303, Some(location)),
            "{next}"
        );
    }
}

#[test]
fn sec_75_whoever_signs_in_as_the_account_of_the_configured_token_does_not_end_that_token() {
    let (edge, studio) = edge("pat");
    let isolate = edge.isolate();
    let token = studio.member(ADMIN).pat;
    let handed = isolate.issue(&edge.api_token(&[Scope::Admin]), "admin@example.com");
    let seen = isolate.send(&open("/").cookie(&format!("ls_auth_token={handed}")));
    assert_eq!(seen.status(), 403);
    assert!(token.is_some() && studio.member(ADMIN).pat == token);
    let ada = signed_in(&edge, &isolate, "ada@example.com");
    assert!(isolate.send(&get("/").cookie(&ada)).is_forwarded());
}

#[test]
fn an_address_that_goes_to_another_user_takes_no_account_along() {
    let (edge, studio) = edge("mint");
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let ada = signed_in(&edge, &isolate, "ada@example.com");
    let id = isolate.me(&ada).unwrap()["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (status, _) = isolate.admin(
        &admin,
        "PATCH",
        &format!("/api/sso/users/{id}"),
        &json!({"email": "ada@other.example"}),
    );
    assert_eq!(status, 200);
    edge.wait(61);
    let bob = signed_in(&edge, &isolate, "ada@example.com");
    assert_eq!(
        seen_as(&studio, &isolate.send(&get("/").cookie(&bob))),
        Some(2)
    );
    assert_eq!(
        seen_as(&studio, &isolate.send(&get("/").cookie(&ada))),
        Some(3)
    );
    assert_eq!(studio.member(3).email, "ada@other.example");
}

#[test]
fn a_disabled_user_is_refused_at_once_and_nothing_is_asked_of_the_origin() {
    for mode in ["mint", "pat"] {
        let (edge, _studio) = edge(mode);
        let isolate = edge.isolate();
        let admin = edge.api_token(&[Scope::Admin]);
        let session = signed_in(&edge, &isolate, "ada@example.com");
        let id = isolate.me(&session).unwrap()["user"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        isolate.admin(
            &admin,
            "PATCH",
            &format!("/api/sso/users/{id}"),
            &json!({"active": false}),
        );
        let before = edge.shared.count(Verb::Fetch);
        assert_eq!(isolate.send(&get("/").cookie(&session)).status(), 403);
        assert_eq!(edge.shared.count(Verb::Fetch), before);
    }
}

#[test]
fn sec_74_a_clients_own_credentials_for_the_origin_never_reach_it() {
    let (edge, studio) = edge("mint");
    let isolate = edge.isolate();
    let session = signed_in(&edge, &isolate, "ada@example.com");
    let admins = sign(
        &json!({"token_type": "access", "exp": edge.now().seconds() + 60, "jti": "x", "user_id": "1"}),
    );
    let request = req("POST", "/api/projects")
        .cookie(&session)
        .cookie("sessionid=stolen; csrftoken=c; other=1")
        .header("x-api-key", "legacy")
        .header("x_api_key", "legacy")
        .header("origin", "https://site.example")
        .header("authorization", &format!("Token {admins}"));
    let seen = isolate.send(&request);
    let origin = seen.origin();
    assert_eq!(seen_as(&studio, &seen), Some(2));
    for name in ["cookie", "x-api-key", "x_api_key", "origin"] {
        assert_eq!(origin.header(name), None, "{name}");
    }
    // With `bearer` among the sources, it is not even for us.
    let bearer = get("/").cookie(&session).bearer(&admins);
    let seen = isolate.send(&bearer);
    assert!(!seen.is_forwarded() || seen_as(&studio, &seen) == Some(2));
    // A page elsewhere may not act, whatever becomes of the header afterwards.
    let elsewhere = req("POST", "/api/projects")
        .cookie(&session)
        .header("origin", "https://evil.example");
    assert_eq!(
        isolate.send(&elsewhere).refusal(),
        (403, "cross_origin".into())
    );
}

#[test]
fn sec_73_members_do_not_do_what_only_admins_shall() {
    let (edge, studio) = edge("mint");
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let member = signed_in(&edge, &isolate, "ada@example.com");
    let boss = signed_in(&edge, &isolate, "boss@example.com");
    let id = isolate.me(&boss).unwrap()["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    isolate.admin(
        &admin,
        "PATCH",
        &format!("/api/sso/users/{id}"),
        &json!({"superuser": true}),
    );
    let own = studio.member(2).id;
    for (method, path) in [
        ("POST", "/api/jwt/settings".to_owned()),
        ("POST", "/api/users.json".into()),
        ("GET", "/api/invite".into()),
        ("PATCH", "/api/users/1/".into()),
        ("PATCH", format!("/api/users/{}.json", own + 1)),
        ("POST", "/api/users/1/avatar/".into()),
        ("DELETE", "/api/organizations/1/memberships/1/".into()),
        ("GET", "/admin/".into()),
    ] {
        let request = |session: &str| req(method, &path).cookie(session);
        assert_eq!(
            isolate.send(&request(&member)).refusal(),
            (403, "admin_only".into()),
            "{path}"
        );
        assert!(isolate.send(&request(&boss)).is_forwarded(), "{path}");
    }
    for path in [
        format!("/api/users/{own}/"),
        format!("/api/users/{own}.json"),
    ] {
        assert!(
            isolate
                .send(&req("PATCH", &path).cookie(&member))
                .is_forwarded(),
            "{path}"
        );
    }
}

#[test]
fn signing_out_of_the_application_signs_out_of_the_edge() {
    let (edge, _studio) = edge("mint");
    let isolate = edge.isolate();
    for path in ["/logout", "/logout/"] {
        let session = signed_in(&edge, &isolate, "ada@example.com");
        // A link elsewhere asks first.
        let asked = isolate.send(
            &open(path)
                .cookie(&session)
                .header("sec-fetch-site", "cross-site"),
        );
        assert_eq!(asked.status(), 200);
        assert!(isolate.me(&session).is_some());
        let out = isolate.send(
            &open(path)
                .cookie(&session)
                .header("sec-fetch-site", "same-origin"),
        );
        assert!(out.clears("__Host-edgeward"), "{path}");
        assert!(isolate.me(&session).is_none());
    }
}

#[test]
fn sec_81_signing_out_of_the_application_ends_every_session_that_was_presented() {
    let (edge, _studio) = edge("mint");
    let isolate = edge.isolate();
    let sessions =
        ["ada@example.com", "bert@example.com"].map(|email| signed_in(&edge, &isolate, email));
    let out = isolate.send(
        &open("/logout")
            .cookie(&sessions[0])
            .cookie(&sessions[1])
            .header("sec-fetch-site", "same-origin"),
    );
    assert_eq!(out.set_cookies("__Host-edgeward").len(), 2);
    for session in &sessions {
        assert!(edge.isolate().me(session).is_none());
    }
}

#[test]
fn a_file_is_asked_for_by_nobody() {
    let (edge, _studio) = edge("mint");
    let isolate = edge.isolate();
    let session = signed_in(&edge, &isolate, "ada@example.com");
    isolate.send(&get("/").cookie(&session));
    let seen = isolate.send(&get("/react-app/main.js?v=1").cookie(&session));
    assert_eq!(
        (seen.polls, seen.origin().header("authorization")),
        (1, None)
    );
    assert_eq!(seen.origin().header("cookie"), None);
    assert_eq!(isolate.send(&get("/react-app/main.js?v=1")).status(), 401);
}

#[test]
fn no_answer_of_the_origin_is_a_fault_and_lets_nobody_in() {
    for mode in ["mint", "pat"] {
        let (edge, studio) = edge(mode);
        let isolate = edge.isolate();
        let token = isolate.issue(&edge.api_token(&[Scope::Admin]), "a@b.c");
        studio.down.set(true);
        let seen = isolate.send(&get("/").bearer(&token));
        assert_eq!(seen.refusal(), (503, "temporarily_unavailable".into()));
        studio.down.set(false);
        edge.wait(31);
        assert!(isolate.send(&get("/").bearer(&token)).is_forwarded());
    }
}

#[test]
fn a_personal_access_token_is_kept_encrypted_and_its_access_tokens_are_refreshed_in_time() {
    let (edge, studio) = edge("pat");
    let isolate = edge.isolate();
    let session = signed_in(&edge, &isolate, "ada@example.com");
    let pat = studio.member(2).pat.unwrap();
    let all = format!(
        "{:?}{:?}",
        edge.shared.values.borrow(),
        edge.shared.claims.borrow()
    );
    assert!(!all.contains(&pat) && !all.contains(&studio.member(2).password));
    let request: Req = get("/api/projects").cookie(&session);
    for _ in 0..40 {
        edge.wait(30);
        let seen = isolate.send(&request);
        let exp = claims_of(&told(&seen))["exp"].as_u64().unwrap();
        assert!(exp >= edge.now().seconds() + 55, "it ends too soon");
    }
    let refreshed = fetches(&edge, "/api/token/refresh/");
    assert!((5..=12).contains(&refreshed), "{refreshed}");
    assert_eq!(fetches(&edge, "/password/"), 1);
}

#[test]
fn a_revoked_personal_access_token_is_replaced_once() {
    let (edge, studio) = edge("pat");
    let isolate = edge.isolate();
    let other = edge.isolate();
    let session = signed_in(&edge, &isolate, "ada@example.com");
    let request = get("/api/projects").cookie(&session);
    assert!(other.send(&request).is_forwarded());
    for round in 1..=3 {
        studio.change(2, |member| member.pat = None);
        edge.wait(250);
        assert_eq!(seen_as(&studio, &isolate.send(&request)), Some(2));
        assert_eq!(seen_as(&studio, &other.send(&request)), Some(2));
        assert_eq!(
            fetches(&edge, "/password/"),
            1 + round,
            "one for both isolates"
        );
    }
}

#[test]
fn a_personal_access_token_that_the_user_made_gives_way() {
    let (edge, studio) = edge("pat");
    let id = studio.add("ada@example.com");
    let own = studio.make_pat(id);
    studio.change(id, |member| member.pat = Some(own.clone()));
    let isolate = edge.isolate();
    let session = signed_in(&edge, &isolate, "ada@example.com");
    assert_eq!(
        seen_as(&studio, &isolate.send(&get("/").cookie(&session))),
        Some(id)
    );
    assert_ne!(studio.member(id).pat, Some(own));
}

#[test]
fn an_origin_that_forgets_what_it_made_is_a_fault_and_no_loop() {
    let (edge, studio) = edge("pat");
    studio.forgetful.set(true);
    let isolate = edge.isolate();
    let token = isolate.issue(&edge.api_token(&[Scope::Admin]), "a@b.c");
    for _ in 0..20 {
        assert_eq!(isolate.send(&get("/").bearer(&token)).status(), 503);
    }
    assert_eq!(fetches(&edge, "/password/"), 1);
    studio.forgetful.set(false);
    edge.wait(31);
    assert!(isolate.send(&get("/").bearer(&token)).is_forwarded());
}

#[test]
fn the_admin_api_makes_accounts_before_the_users_come() {
    for mode in ["mint", "pat"] {
        let (edge, studio) = edge(mode);
        let isolate = edge.isolate();
        let admin = edge.api_token(&[Scope::Admin]);
        let (status, made) = isolate.admin(
            &admin,
            "POST",
            "/api/sso/users",
            &json!({"email": "one@example.com"}),
        );
        assert_eq!((status, &made["accounts"]["app"]["id"]), (201, &json!(2)));
        let users: Vec<Value> = (0..5)
            .map(|n| json!({"email": format!("bulk{n}@example.com")}))
            .collect();
        let (status, bulk) = isolate.admin(
            &admin,
            "POST",
            "/api/sso/users/bulk",
            &json!({"users": users}),
        );
        assert_eq!((status, &bulk["created"]), (200, &json!(5)));
        assert!(
            bulk["results"]
                .as_array()
                .unwrap()
                .iter()
                .all(|result| result["accounts"]["app"]["id"].is_u64())
        );
        assert_eq!(studio.members.borrow().len(), 7);
        // With the origin down the users are made, and it is told.
        studio.down.set(true);
        let (status, made) = isolate.admin(
            &admin,
            "POST",
            "/api/sso/users",
            &json!({"email": "two@example.com"}),
        );
        assert_eq!(status, 201);
        assert!(made["accounts"]["app"]["error"].is_string());
    }
}

#[test]
fn deleting_a_user_forgets_the_account_and_keeps_it_at_the_origin() {
    let (edge, studio) = edge("pat");
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let session = signed_in(&edge, &isolate, "ada@example.com");
    let kept = || {
        edge.shared
            .values
            .borrow()
            .keys()
            .filter(|key| key.starts_with("origin_account:"))
            .count()
    };
    assert_eq!(kept(), 1);
    let id = isolate.me(&session).unwrap()["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    isolate.send(&req("DELETE", &format!("/api/sso/users/{id}")).api_token(&admin));
    assert_eq!((kept(), studio.members.borrow().len()), (0, 2));
    assert_eq!(isolate.send(&get("/").cookie(&session)).status(), 401);
}
