//! Credentials in combination, tampered with, and at the wrong site.

use edgeward::model::api_token::Scope;
use serde_json::json;

use crate::harness::request::{Req, Seen, get, open, req};
use crate::harness::{Edge, Isolate, OWN, SSO, bindings, claims_of, site, tampered};

/// Session, hand-over (the application's cookie or a link) and bearer: good, bad or not there; then
/// who an API client is, and who a person's browser is. Each credential is another user's: anna's
/// session, bert's hand-over, carl's bearer token.
const TABLE: [(&str, &str, &str); 27] = [
    ("good good good", "bert", "bert"),
    ("good good bad", "bert", "bert"),
    ("good good none", "bert", "bert"),
    ("good bad good", "anna", "anna"),
    ("good bad bad", "anna", "anna"),
    ("good bad none", "anna", "anna"),
    ("good none good", "anna", "anna"),
    ("good none bad", "anna", "anna"),
    ("good none none", "anna", "anna"),
    ("bad good good", "401", "bert"),
    ("bad good bad", "401", "bert"),
    ("bad good none", "401", "bert"),
    ("bad bad good", "401", "401"),
    ("bad bad bad", "401", "401"),
    ("bad bad none", "401", "401"),
    ("bad none good", "401", "401"),
    ("bad none bad", "401", "401"),
    ("bad none none", "401", "401"),
    ("none good good", "bert", "bert"),
    ("none good bad", "bert", "bert"),
    ("none good none", "bert", "bert"),
    ("none bad good", "401", "401"),
    ("none bad bad", "401", "401"),
    ("none bad none", "401", "401"),
    ("none none good", "carl", "carl"),
    ("none none bad", "401", "401"),
    ("none none none", "401", "401"),
];

fn edge() -> (Edge, Isolate, String) {
    let edge = Edge::new(&json!({"query": {"single_use": false, "user_switch": "replace"}}));
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::Admin]);
    (edge, isolate, api_token)
}

/// The credential itself, a tampered one, or none.
fn in_state(state: &str, good: &str) -> Option<String> {
    match state {
        "good" => Some(good.to_owned()),
        "bad" => Some(tampered(good)),
        _ => None,
    }
}

fn who(isolate: &Isolate, seen: &Seen) -> String {
    match seen.status() {
        0 => {
            let origin = seen.origin();
            let email = origin.header("remote-email").unwrap();
            email.split_once('@').unwrap().0.to_owned()
        }
        // The clean address; whoever was signed in before still is.
        303 => match seen.session() {
            Some(session) => {
                let me = isolate.me(&session).unwrap();
                let email = me["user"]["email"].as_str().unwrap();
                email.split_once('@').unwrap().0.to_owned()
            }
            None => "anna".to_owned(),
        },
        status => status.to_string(),
    }
}

#[test]
fn sec_43_each_combination_of_credentials_has_one_answer() {
    let (_, isolate, api_token) = edge();
    let session = isolate.sign_in(&api_token, "anna@b.c");
    let bert = isolate.issue(&api_token, "bert@b.c");
    let carl = isolate.issue(&api_token, "carl@b.c");
    for (states, program, person) in TABLE {
        let [own, handed, bearer] = states.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{states}");
        };
        let with = |request: Req| {
            let request = match in_state(own, session.split_once('=').unwrap().1) {
                Some(value) => request.cookie(&format!("{OWN}={value}")),
                None => request,
            };
            match in_state(bearer, &carl) {
                Some(token) => request.bearer(&token),
                None => request,
            }
        };
        // What was a link counts nowhere else, and the other way round.
        let link = isolate.issue(&api_token, "bert@b.c");
        let by_cookie = |request: Req| match in_state(handed, &bert) {
            Some(token) => with(request.cookie(&format!("{SSO}={token}"))),
            None => with(request),
        };
        let by_link = |kind: fn(&str) -> Req| match in_state(handed, &link) {
            Some(token) => with(kind(&format!("/?token={token}"))),
            None => with(kind("/")),
        };
        assert_eq!(
            who(&isolate, &isolate.send(&by_cookie(get("/")))),
            program,
            "cookie, program: {states}"
        );
        assert_eq!(
            who(&isolate, &isolate.send(&by_link(get))),
            program,
            "link, program: {states}"
        );
        assert_eq!(
            who(&isolate, &isolate.send(&by_cookie(open("/")))),
            person,
            "cookie, person: {states}"
        );
        assert_eq!(
            who(&isolate, &isolate.send(&by_link(open))),
            person,
            "link, person: {states}"
        );
    }
}

#[test]
fn sec_43_a_credential_whose_time_is_over_counts_as_none() {
    let (edge, isolate, api_token) = edge();
    let session = isolate.sign_in(&api_token, "anna@b.c");
    let old = isolate.issue(&api_token, "bert@b.c");
    edge.wait(600);
    let carl = isolate.issue(&api_token, "carl@b.c");
    let both = |request: Req| request.cookie(&session).cookie(&format!("{SSO}={old}"));
    assert_eq!(who(&isolate, &isolate.send(&both(get("/")))), "anna");
    assert_eq!(who(&isolate, &isolate.send(&both(open("/")))), "anna");
    let next = get("/").cookie(&format!("{SSO}={old}")).bearer(&carl);
    assert_eq!(who(&isolate, &isolate.send(&next)), "carl");
    edge.wait(12 * 3600);
    let carl = isolate.issue(&api_token, "carl@b.c");
    let seen = isolate.send(&both(get("/")).bearer(&carl));
    assert_eq!(who(&isolate, &seen), "carl");
    assert!(seen.clears(OWN) && seen.clears(SSO));
    let seen = isolate.send(&both(get("/")).bearer(&old));
    assert_eq!(seen.refusal(), (401, "token_expired".into()));
}

#[test]
fn sec_22_a_tampered_signature_is_refused_at_every_entry() {
    let (edge, isolate, api_token) = edge();
    let token = isolate.issue(&api_token, "anna@b.c");
    let session = isolate.sign_in(&api_token, "anna@b.c");
    let forged_session = format!("{OWN}={}", tampered(session.split_once('=').unwrap().1));
    let forged = tampered(&token);
    let form = format!("token={forged}&return_to=%2F");
    let switch = req("POST", "/api/sso/switch").body(form.as_bytes());
    let call = req("POST", "/api/sso/token").json(&json!({"email": "a@b.c"}));
    // Past half of the idle lifetime, so that a good one would be renewed.
    edge.wait(4 * 3600);
    for isolate in [&isolate, &edge.isolate()] {
        for request in [
            get("/").cookie(&forged_session),
            open("/").cookie(&forged_session),
            get("/").cookie(&format!("{SSO}={forged}")),
            open("/").cookie(&format!("{SSO}={forged}")),
            get(&format!("/?token={forged}")),
            open(&format!("/?token={forged}")),
            get("/").bearer(&forged),
            get("/api/sso/me").cookie(&forged_session),
            get("/api/sso/me").bearer(&forged),
            switch.clone(),
            switch.clone().cookie(&session),
            call.clone().api_token(&tampered_api_token(&api_token)),
        ] {
            let seen = isolate.send(&request);
            assert_eq!((seen.status(), seen.session()), (401, None), "{request:?}");
        }
    }
    // Logging out with a forged session ends nobody's.
    let seen = isolate.send(&req("POST", "/api/sso/logout").cookie(&forged_session));
    assert_eq!(seen.status(), 200);
    assert!(isolate.send(&get("/").cookie(&session)).is_forwarded());
    assert!(
        edge.isolate()
            .send(&get("/").cookie(&session))
            .is_forwarded()
    );
}

/// Another token with a right checksum.
fn tampered_api_token(token: &str) -> String {
    let mut body = token[..47].to_owned();
    let last = if body.ends_with('A') { 'B' } else { 'A' };
    body.pop();
    body.push(last);
    let sum = edgeward::platform::digest::hex(&edgeward::platform::digest::sha256(body.as_bytes()));
    format!("{body}{}", &sum[..6])
}

fn two_sites() -> Edge {
    let mut bindings = bindings(&json!({}));
    let other = json!({"hosts": ["other.example"]});
    bindings.insert("EDGEWARD_SITE_OTHER".into(), site(&other));
    Edge::with(bindings)
}

#[test]
fn sec_26_what_was_verified_for_one_site_is_not_verified_for_another() {
    let edge = two_sites();
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::Admin]);
    let token = isolate.issue(&api_token, "anna@b.c");
    let session = isolate.sign_in(&api_token, "anna@b.c");
    for _ in 0..2 {
        assert!(isolate.send(&get("/").bearer(&token)).is_forwarded());
        assert!(isolate.send(&get("/").cookie(&session)).is_forwarded());
        assert_eq!(
            isolate
                .send(&get("/").at("other.example").bearer(&token))
                .status(),
            401
        );
        assert_eq!(
            isolate
                .send(&get("/").at("other.example").cookie(&session))
                .status(),
            401
        );
    }
}

#[test]
fn sec_26_what_is_remembered_of_a_credential_is_judged_again_each_time() {
    let (edge, isolate, api_token) = edge();
    let token = isolate.issue(&api_token, "anna@b.c");
    assert!(isolate.send(&get("/").bearer(&token)).is_forwarded());
    // Remembered as a bearer token, it is still no session.
    let as_session = get("/").cookie(&format!("{OWN}={token}"));
    assert_eq!(isolate.send(&as_session).status(), 401);
    // Nor is a token that begins with the remembered one.
    assert_eq!(
        isolate
            .send(&get("/").bearer(&format!("{token}A")))
            .status(),
        401
    );
    edge.wait(599);
    assert!(isolate.send(&get("/").bearer(&token)).is_forwarded());
    edge.wait(1);
    assert_eq!(
        isolate.send(&get("/").bearer(&token)).refusal(),
        (401, "token_expired".into())
    );
}

#[test]
fn sec_26_two_users_on_one_isolate_are_never_taken_for_one_another() {
    let (edge, isolate, api_token) = edge();
    let sessions: Vec<(String, String)> = (0..50)
        .map(|n| format!("user{n}@b.c"))
        .map(|email| (isolate.sign_in(&api_token, &email), email))
        .collect();
    let mut assertions = std::collections::BTreeSet::new();
    for round in 0..3 {
        for (session, email) in &sessions {
            let origin = isolate.send(&get("/").cookie(session)).origin();
            assert_eq!(origin.header("remote-email"), Some(email.as_str()));
            let assertion = origin.header("x-edgeward-assertion").unwrap().to_owned();
            assert_eq!(claims_of(&assertion)["email"], email.as_str());
            assertions.insert(assertion);
        }
        edge.wait(10 * round);
    }
    assert_eq!(assertions.len(), sessions.len());
}
