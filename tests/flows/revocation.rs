//! How soon a revoked right is gone: at once in the isolate that revoked it, and everywhere within
//! 90 seconds (60 of the store and 30 of an isolate). Two isolates in two locations share a store
//! that keeps returning, for another minute, what each location has read or not found.

use edgeward::model::api_token::Scope;
use edgeward::pipeline::Action;
use serde_json::{Value, json};

use crate::harness::ports::Location;
use crate::harness::request::{Req, get, open, req};
use crate::harness::shared::{Lag, Verb};
use crate::harness::{Edge, Isolate, SSO, step};

const BOUND: u32 = 90;
const ANNA: &str = "anna@example.com";

struct Two {
    edge: Edge,
    here: Isolate,
    there: Isolate,
    /// Another isolate at the same place as `there`.
    neighbour: Isolate,
    admin: String,
    session: String,
    id: String,
}

fn two(lag: Lag) -> Two {
    let edge = Edge::new(&json!({"query": {"single_use": false, "user_switch": "replace"}}));
    edge.shared.lag.set(lag);
    let place = Location::default();
    let (here, there) = (edge.isolate(), edge.isolate_at(&place));
    let neighbour = edge.isolate_at(&place);
    let admin = edge.api_token(&[Scope::Admin]);
    let session = here.sign_in(&admin, ANNA);
    let id = here.me(&session).unwrap()["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    Two {
        edge,
        here,
        there,
        neighbour,
        admin,
        session,
        id,
    }
}

impl Two {
    fn honoured(&self, isolate: &Isolate) -> bool {
        isolate.send(&get("/").cookie(&self.session)).is_forwarded()
    }

    fn admin(&self, method: &str, path: &str, body: &Value) {
        let path = path.replace("ID", &self.id);
        let (status, body) = self.here.admin(&self.admin, method, &path, body);
        assert!(status < 300, "{status} {body}");
    }
}

/// Ways to end the session of `Two`.
type Ending = (&'static str, fn(&Two));

const ENDINGS: [Ending; 5] = [
    ("log out", |two| {
        let seen = two
            .here
            .send(&req("POST", "/api/sso/logout").cookie(&two.session));
        assert_eq!(seen.status(), 200);
    }),
    ("disable", |two| {
        two.admin("PATCH", "/api/sso/users/ID", &json!({"active": false}));
    }),
    ("disable in bulk", |two| {
        let users = json!({"users": [{"email": ANNA, "active": false}], "on_existing": "update"});
        two.admin("POST", "/api/sso/users/bulk", &users);
    }),
    ("delete", |two| {
        two.admin("DELETE", "/api/sso/users/ID", &Value::Null);
    }),
    ("end all sessions", |two| {
        two.admin("POST", "/api/sso/users/ID/logout", &Value::Null);
    }),
];

#[test]
fn sec_51_a_revocation_holds_at_once_where_it_was_made_and_everywhere_at_90_seconds() {
    let mut longest = 0;
    for (name, end) in ENDINGS {
        // The other place has read everything at the last moment before; an isolate there begins to
        // be asked so many seconds after.
        for begin in [0, 1, 29, 30, 31, 45, 59] {
            let two = two(Lag::Elsewhere);
            two.edge.wait(2);
            assert!(two.honoured(&two.here) && two.honoured(&two.neighbour));
            end(&two);
            for second in 0..=BOUND {
                assert!(!two.honoured(&two.here), "{name}: here after {second} s");
                if second >= begin && two.honoured(&two.there) {
                    assert!(second < BOUND, "{name}: elsewhere after {second} s");
                    longest = longest.max(second);
                }
                two.edge.wait(1);
            }
        }
    }
    // The simulation lags indeed, as far as it can.
    assert_eq!(longest, BOUND - 2);
}

#[test]
fn sec_51_a_disabled_user_is_refused_on_every_source() {
    let two = two(Lag::Elsewhere);
    two.edge.wait(2);
    let [token, link, opened] = [(), (), ()].map(|()| two.here.issue(&two.admin, ANNA));
    let requests: Vec<Req> = vec![
        get("/").cookie(&two.session),
        open("/").cookie(&two.session),
        get("/").cookie(&format!("{SSO}={token}")),
        open("/").cookie(&format!("{SSO}={token}")),
        get(&format!("/?token={link}")),
        open(&format!("/?token={opened}")),
        get("/").bearer(&token),
        get("/api/sso/me").cookie(&two.session),
    ];
    for request in &requests {
        assert!(matches!(two.there.send(request).status(), 0 | 200 | 303));
    }
    // A token's times are whole seconds.
    two.edge.wait(1);
    two.admin("PATCH", "/api/sso/users/ID", &json!({"active": false}));
    two.edge.wait(BOUND);
    for isolate in [&two.here, &two.there] {
        for request in &requests {
            let seen = isolate.send(request);
            assert_eq!(seen.status(), 403, "{request:?}");
            assert_eq!(seen.session(), None);
        }
    }
    // Being let in again brings back no session from before.
    two.admin("PATCH", "/api/sso/users/ID", &json!({"active": true}));
    two.edge.wait(BOUND);
    for isolate in [&two.here, &two.there] {
        assert_eq!(isolate.send(&get("/").cookie(&two.session)).status(), 401);
        assert_eq!(isolate.send(&get("/").bearer(&token)).status(), 401);
    }
    assert!(
        two.here
            .send(&get("/").cookie(&two.here.sign_in(&two.admin, ANNA)))
            .is_forwarded()
    );
}

#[test]
fn sec_59_a_changed_role_is_told_at_once_here_and_everywhere_at_90_seconds() {
    let groups = |two: &Two, isolate: &Isolate| {
        let origin = isolate.send(&get("/").cookie(&two.session)).origin();
        let assertion = origin.header("x-edgeward-assertion").unwrap().to_owned();
        let claims = crate::harness::claims_of(&assertion);
        let header = origin.header("x-forwarded-groups").unwrap().to_owned();
        assert_eq!(
            claims["roles"].as_array().unwrap().len(),
            header.split(',').filter(|g| !g.is_empty()).count()
        );
        header
    };
    for phase in [0, 29, 59] {
        let two = two(Lag::Elsewhere);
        two.edge.wait(2);
        two.admin(
            "PATCH",
            "/api/sso/users/ID",
            &json!({"roles": ["owner", "editor"]}),
        );
        assert_eq!(groups(&two, &two.here), "owner,editor");
        two.edge.wait(BOUND);
        assert_eq!(groups(&two, &two.there), "owner,editor");
        two.edge.wait(phase);
        groups(&two, &two.there);
        two.admin("PATCH", "/api/sso/users/ID", &json!({"roles": ["editor"]}));
        for _ in 0..BOUND {
            assert_eq!(groups(&two, &two.here), "editor");
            groups(&two, &two.there);
            two.edge.wait(1);
        }
        assert_eq!(groups(&two, &two.there), "editor");
    }
}

#[test]
fn a_revoked_api_token_is_refused_at_once_here_and_everywhere_at_90_seconds() {
    type Change = (&'static str, &'static str, Value);
    let changes: [Change; 3] = [
        ("POST", "/revoke", Value::Null),
        ("PATCH", "", json!({"active": false})),
        ("DELETE", "", Value::Null),
    ];
    for (method, path, body) in changes {
        let two = two(Lag::Elsewhere);
        let body_of_new = json!({"name": "x", "scopes": ["users:read"]});
        let (_, made) = two
            .here
            .admin(&two.admin, "POST", "/api/sso/tokens", &body_of_new);
        let token = made["token"].as_str().unwrap();
        let works = |isolate: &Isolate| {
            isolate
                .send(&get("/api/sso/users").api_token(token))
                .status()
                == 200
        };
        two.edge.wait(2);
        assert!(works(&two.here) && works(&two.there));
        two.edge.wait(2);
        let id = made["id"].as_str().unwrap();
        two.admin(method, &format!("/api/sso/tokens/{id}{path}"), &body);
        for _ in 0..BOUND {
            assert!(!works(&two.here), "{method}");
            works(&two.there);
            two.edge.wait(1);
        }
        assert!(!works(&two.there), "{method}");
    }
}

#[test]
fn a_user_made_again_with_the_same_address_is_another_user() {
    let two = two(Lag::None);
    two.edge.wait(2);
    two.admin("DELETE", "/api/sso/users/ID", &Value::Null);
    let session = two.here.sign_in(&two.admin, ANNA);
    let me = two.here.me(&session).unwrap();
    assert_ne!(me["user"]["id"], two.id.as_str());
    assert!(!two.honoured(&two.here) && !two.honoured(&two.there));
}

#[test]
fn what_was_taken_away_is_not_asked_for_at_every_request() {
    let two = two(Lag::None);
    two.edge.wait(2);
    two.admin("POST", "/api/sso/users/ID/logout", &Value::Null);
    two.honoured(&two.there);
    let before = two.edge.shared.count(Verb::KvRead);
    for _ in 0..29 {
        assert!(!two.honoured(&two.there));
        two.edge.wait(1);
    }
    assert_eq!(two.edge.shared.count(Verb::KvRead), before);
}

#[test]
fn a_revocation_holds_everywhere_at_90_seconds_even_where_a_place_does_not_see_its_own_writes() {
    for (name, end) in ENDINGS {
        for phase in [0, 20, 40, 59] {
            let two = two(Lag::Everywhere);
            two.edge.wait(2);
            two.honoured(&two.there);
            two.edge.wait(phase);
            two.honoured(&two.here);
            end(&two);
            assert!(!two.honoured(&two.here), "{name}");
            for _ in 0..BOUND {
                two.honoured(&two.here);
                two.honoured(&two.there);
                two.edge.wait(1);
            }
            assert!(
                !two.honoured(&two.here) && !two.honoured(&two.there),
                "{name}, phase {phase}"
            );
        }
    }
}

#[test]
fn sec_77_a_read_that_was_under_way_when_something_ended_is_not_remembered_over_it() {
    for (name, end) in ENDINGS {
        // The read has its answer at one of its steps before or after the ending.
        for steps in 0..12 {
            let two = two(Lag::None);
            two.edge.wait(60);
            let mut reading = Box::pin(two.here.begin(&get("/").cookie(&two.session)));
            let mut is_done = false;
            for _ in 0..steps {
                is_done = is_done || step(&mut reading).is_some();
            }
            // The store goes on showing what it showed.
            two.edge.shared.lag.set(Lag::Everywhere);
            end(&two);
            while !is_done {
                is_done = step(&mut reading).is_some();
            }
            for _ in 0..BOUND {
                assert!(!two.honoured(&two.here), "{name}, after {steps} steps");
                two.edge.wait(1);
            }
        }
    }
}

#[test]
fn sec_77_a_request_whose_reads_wait_while_its_session_ends_here_is_refused() {
    for (name, end) in ENDINGS {
        // After the first step it waits for both reads; after the second it has been judged.
        for steps in 0..=1 {
            let two = two(Lag::None);
            two.edge.wait(60);
            let mut reading = Box::pin(two.here.begin(&get("/").cookie(&two.session)));
            for _ in 0..steps {
                assert!(step(&mut reading).is_none(), "{name}: it waits still");
            }
            two.edge.shared.lag.set(Lag::Everywhere);
            end(&two);
            let outcome = loop {
                if let Some(outcome) = step(&mut reading) {
                    break outcome;
                }
            };
            let is_forwarded = matches!(outcome.action, Action::Forward(_));
            assert!(!is_forwarded, "{name}, after {steps} steps");
        }
    }
}

#[test]
fn sec_51_a_token_from_before_a_sign_out_opens_no_session_that_outlives_it() {
    let signs_out = |two: &Two| two.admin("POST", "/api/sso/users/ID/logout", &Value::Null);
    let disables_and_enables = |two: &Two| {
        for active in [false, true] {
            two.admin("PATCH", "/api/sso/users/ID", &json!({ "active": active }));
        }
    };
    let endings: [Ending; 2] = [
        ("end all sessions", signs_out),
        ("disable", disables_and_enables),
    ];
    for (name, end) in endings {
        let mut opened = 0;
        for second in [1, 29, 30, 59, 60, 88] {
            let two = two(Lag::Elsewhere);
            let token = two.here.issue(&two.admin, ANNA);
            two.edge.wait(2);
            assert!(two.honoured(&two.there));
            end(&two);
            two.edge.wait(second);
            let seen = two.there.send(&open("/").cookie(&format!("{SSO}={token}")));
            let Some(session) = seen.session() else {
                continue;
            };
            opened += 1;
            two.edge.wait(BOUND);
            for isolate in [&two.here, &two.there, &two.edge.isolate()] {
                let seen = isolate.send(&get("/").cookie(&session));
                assert!(!seen.is_forwarded(), "{name}, opened after {second} s");
            }
        }
        assert!(opened > 1, "{name}: the other isolate lags indeed");
    }
}

#[test]
fn sec_77_an_api_token_that_acts_as_a_user_ends_at_once_where_it_was_revoked() {
    let settings = json!({"sources": ["session", "sso_cookie", "api_key"], "query": null});
    for (method, path, body) in [
        ("POST", "/revoke", Value::Null),
        ("PATCH", "", json!({"active": false})),
        ("DELETE", "", Value::Null),
    ] {
        let edge = Edge::new(&settings);
        let isolate = edge.isolate();
        let admin = edge.api_token(&[Scope::Admin]);
        let (_, user) = isolate.admin(&admin, "POST", "/api/sso/users", &json!({"email": ANNA}));
        let robot = json!({"name": "robot", "acts_as": user["id"]});
        let (_, robot) = isolate.admin(&admin, "POST", "/api/sso/tokens", &robot);
        let works = || {
            let key = robot["token"].as_str().unwrap();
            isolate
                .send(&get("/").header("x-api-key", key))
                .is_forwarded()
        };
        assert!(works());
        edge.shared.lag.set(Lag::Everywhere);
        let path = format!("/api/sso/tokens/{}{path}", robot["id"].as_str().unwrap());
        let (status, _) = isolate.admin(&admin, method, &path, &body);
        assert!(status < 300);
        for _ in 0..BOUND {
            assert!(!works(), "{method}");
            edge.wait(1);
        }
    }
}
