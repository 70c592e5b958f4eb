//! Signing out: every presented session ends, in every form of the cookie, or the response says
//! that it did not.

use edgeward::model::api_token::Scope;
use serde_json::{Value, json};

use crate::harness::request::{Req, Seen, get, open, req};
use crate::harness::shared::{Trouble, Verb};
use crate::harness::{Edge, Isolate, OWN};

const ANNA: &str = "anna@example.com";
const BERT: &str = "bert@example.com";

fn edge(settings: &Value) -> (Edge, Isolate, String) {
    let edge = Edge::new(settings);
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::Admin]);
    (edge, isolate, api_token)
}

fn logout(sessions: &[String]) -> Req {
    let request = req("POST", "/api/sso/logout").header("origin", "https://site.example");
    sessions
        .iter()
        .fold(request, |request, session| request.cookie(session))
}

/// Which of `sessions` another isolate would still let in.
fn living(edge: &Edge, sessions: &[String]) -> Vec<bool> {
    let elsewhere = edge.isolate();
    let lives = |session: &String| elsewhere.send(&get("/").cookie(session)).is_forwarded();
    sessions.iter().map(lives).collect()
}

fn forms(seen: &Seen) -> (usize, usize) {
    let lines = seen.set_cookies(OWN);
    let partitioned = lines.iter().filter(|line| line.contains("Partitioned"));
    (lines.len(), partitioned.count())
}

#[test]
fn sec_81_every_session_that_was_presented_ends_with_the_sign_out() {
    for emails in [[ANNA, ANNA, ANNA], [ANNA, BERT, ANNA]] {
        let (edge, isolate, api_token) = edge(&json!({}));
        let sessions = emails.map(|email| isolate.sign_in(&api_token, email));
        let kept = isolate.sign_in(&api_token, ANNA);
        for isolate in [&edge.isolate(), &isolate] {
            let seen = isolate.send(&logout(&sessions));
            assert_eq!(seen.status(), 200, "{emails:?}");
            assert_eq!(living(&edge, &sessions), [false; 3], "{emails:?}");
            for session in &sessions {
                assert_eq!(isolate.send(&get("/").cookie(session)).status(), 401);
            }
            assert_eq!(forms(&seen), (2, 1));
        }
        assert!(isolate.me(&kept).is_some(), "it was not presented");
    }
}

#[test]
fn sec_81_a_bad_cookie_beside_it_keeps_no_session_alive() {
    let (edge, isolate, api_token) = edge(&json!({}));
    for bad in [
        "x".to_owned(),
        "a.b.c".to_owned(),
        isolate.issue(&api_token, ANNA),
    ] {
        for first in [true, false] {
            let session = isolate.sign_in(&api_token, ANNA);
            let mut sessions = vec![session.clone(), format!("{OWN}={bad}")];
            if first {
                sessions.reverse();
            }
            assert_eq!(isolate.send(&logout(&sessions)).status(), 200);
            assert_eq!(living(&edge, &[session]), [false], "{bad}");
        }
    }
}

#[test]
fn sec_81_the_session_of_somebody_who_may_not_sign_in_ends_too() {
    let (edge, isolate, api_token) = edge(&json!({}));
    let session = isolate.sign_in(&api_token, ANNA);
    edge.shared
        .values
        .borrow_mut()
        .retain(|key, _| !key.contains("user"));
    let fresh = edge.isolate();
    assert_eq!(fresh.send(&logout(&[session])).status(), 200);
    let ended = edge.shared.values.borrow();
    assert!(ended.keys().any(|key| key.starts_with("session_ended:")));
}

#[test]
fn sec_81_a_sign_out_that_was_not_written_down_is_not_called_one() {
    let (edge, isolate, api_token) = edge(&json!({}));
    let mut answered = 0;
    for failing in 0..20 {
        let sessions = [ANNA, BERT, ANNA].map(|email| isolate.sign_in(&api_token, email));
        let there = edge.isolate();
        edge.shared.make(Trouble::Call(failing));
        let seen = there.send(&logout(&sessions));
        let met = edge.shared.counted() > failing;
        edge.shared.make(Trouble::None);
        if seen.status() == 200 {
            answered += 1;
            assert_eq!(living(&edge, &sessions), [false; 3], "call {failing}");
        } else {
            assert!(met, "call {failing}");
            assert_eq!(seen.status(), 503, "call {failing}");
            assert_eq!(forms(&seen), (0, 0), "the browser may try again");
            assert_eq!(there.send(&logout(&sessions)).status(), 200);
            assert_eq!(living(&edge, &sessions), [false; 3], "call {failing}");
        }
    }
    assert!(answered > 0);
    let sessions = [ANNA, BERT].map(|email| isolate.sign_in(&api_token, email));
    edge.shared.make(Trouble::Every(Verb::KvWrite));
    assert_eq!(isolate.send(&logout(&sessions)).status(), 503);
}

#[test]
fn sec_81_both_forms_of_our_cookie_are_cleared_by_a_sign_out_and_when_two_contradict_each_other() {
    for settings in [
        json!({}),
        json!({"session": {"same_site": "strict"}}),
        json!({"session": {"same_site": "none", "partitioned": true}}),
    ] {
        let (_, isolate, api_token) = edge(&settings);
        let sessions = [ANNA, BERT].map(|email| isolate.sign_in(&api_token, email));
        let seen = isolate.send(&logout(&sessions[..1]));
        assert_eq!(forms(&seen), (2, 1), "{settings}");
        for line in seen.set_cookies(OWN) {
            let gone = line.starts_with(&format!("{OWN}=;")) && line.contains("Max-Age=0");
            assert!(
                gone && line.contains("Secure") && line.contains("Path=/;"),
                "{line}"
            );
            // Browsers take no partitioned cookie in a frame that is not SameSite=None.
            assert!(!line.contains("Partitioned") || line.contains("SameSite=None"));
        }
        let sessions = [ANNA, BERT].map(|email| isolate.sign_in(&api_token, email));
        let both = open("/").cookie(&sessions[0]).cookie(&sessions[1]);
        assert_eq!(forms(&isolate.send(&both)), (2, 1), "{settings}");
        // A new session beside it: the other form goes first, lest it stay or take the new one along.
        let token = isolate.issue(&api_token, ANNA);
        let seen = isolate.send(&both.cookie(&format!("{}={token}", crate::harness::SSO)));
        assert!(seen.session().is_some(), "{settings}");
        let lines = seen.set_cookies(OWN);
        assert!(lines.len() == 2 && lines[0].starts_with(&format!("{OWN}=;")));
    }
}
