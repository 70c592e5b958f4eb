//! SEC-77: two isolates change the same records concurrently, over a store that returns the value
//! of any moment of the last minute, delays writes, rejects second writes, loses some, and
//! sometimes returns nothing. In every order: no revoked right comes back, no record is lost, and
//! an address belongs to one user.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;

use edgeward::jose::jws::Kind;
use edgeward::model::api_token::Scope;
use edgeward::pipeline::{Action, Outcome};
use edgeward::platform::digest::{hex, sha256};
use edgeward::platform::time::{Seconds, Timestamp};
use serde_json::{Value, json};

use crate::harness::request::{Req, get, req};
use crate::harness::shared::Lag;
use crate::harness::{Edge, Isolate, OWN, START, bindings, run, site, step};

/// For each pair of operations.
const INTERLEAVINGS: usize = 1000;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Op {
    Rename,
    TakeRoles,
    Disable,
    EndSessions,
    SignOut,
    Delete,
    Move,
    SyncName,
    Issue,
    Create,
    RenameToken,
    SwitchTokenOff,
    RevokeToken,
    DeleteToken,
    Rotate,
    ReadKeys,
}

const OPS: [Op; 16] = [
    Op::Rename,
    Op::TakeRoles,
    Op::Disable,
    Op::EndSessions,
    Op::SignOut,
    Op::Delete,
    Op::Move,
    Op::SyncName,
    Op::Issue,
    Op::Create,
    Op::RenameToken,
    Op::SwitchTokenOff,
    Op::RevokeToken,
    Op::DeleteToken,
    Op::Rotate,
    Op::ReadKeys,
];

/// One user with a session, one API token, and two isolates that know them.
struct Stage<'a> {
    edge: &'a Edge,
    isolates: [&'a Isolate; 2],
    admin: &'a str,
    id: String,
    email: String,
    session: String,
    token: String,
    token_id: String,
}

impl<'a> Stage<'a> {
    fn new(edge: &'a Edge, isolates: [&'a Isolate; 2], admin: &'a str, number: usize) -> Self {
        edge.shared.lag.set(Lag::None);
        edge.shared.writers.wild.set(false);
        edge.shared.carry();
        let email = format!("u{number}@b.c");
        let user = json!({"email": email, "roles": ["editor"]});
        let (status, made) = isolates[0].admin(admin, "POST", "/api/sso/users", &user);
        assert_eq!(status, 201, "{made}");
        let id = made["id"].as_str().unwrap().to_owned();
        let now = edge.now();
        let claims = json!({
            "iss": "edgeward", "aud": "site.example", "sub": id, "jti": format!("session-{number}"),
            "iat": now.seconds(), "exp": now.seconds() + 3600, "began": now.millis() + 1000,
        });
        let session = format!("{OWN}={}", isolates[0].forge(Kind::Session, &claims));
        let token = edge.api_token(&[Scope::UsersRead]);
        let token_id = hex(&sha256(token.as_bytes())[..16]);
        // All of it is old by now, and nobody remembers how it came to be.
        edge.wait(300);
        edge.shared.carry();
        edge.shared.forget_writers();
        let stage = Self {
            edge,
            isolates,
            admin,
            id,
            email,
            session,
            token,
            token_id,
        };
        for isolate in isolates {
            assert!(stage.is_let_in(isolate) && stage.token_works(isolate));
        }
        edge.shared.calls.borrow_mut().clear();
        edge.shared.lag.set(Lag::Wild);
        edge.shared.writers.wild.set(true);
        stage
    }

    fn request(&self, op: Op) -> Req {
        let user = format!("/api/sso/users/{}", self.id);
        let token = format!("/api/sso/tokens/{}", self.token_id);
        let call =
            |method, path: &str, body: Value| req(method, path).api_token(self.admin).json(&body);
        match op {
            Op::Rename => call("PATCH", &user, json!({"first_name": "New"})),
            Op::TakeRoles => call("PATCH", &user, json!({"roles": []})),
            Op::Disable => call("PATCH", &user, json!({"active": false})),
            Op::EndSessions => call("POST", &format!("{user}/logout"), Value::Null),
            Op::SignOut => req("POST", "/api/sso/logout").cookie(&self.session),
            Op::Delete => call("DELETE", &user, Value::Null),
            Op::Move => call(
                "PATCH",
                &user,
                json!({"email": format!("moved-{}", self.email)}),
            ),
            Op::SyncName => call(
                "POST",
                "/api/sso/users/bulk",
                json!({"users": [{"email": self.email, "last_name": "Synced"}], "on_existing": "update"}),
            ),
            Op::Issue => call("POST", "/api/sso/token", json!({"email": self.email})),
            Op::Create => call("POST", "/api/sso/users", json!({"email": self.email})),
            Op::RenameToken => call("PATCH", &token, json!({"name": "new"})),
            Op::SwitchTokenOff => call("PATCH", &token, json!({"active": false})),
            Op::RevokeToken => call("POST", &format!("{token}/revoke"), Value::Null),
            Op::DeleteToken => call("DELETE", &token, Value::Null),
            Op::Rotate => call("POST", "/api/sso/keys/rotate", Value::Null),
            Op::ReadKeys => get("/.well-known/jwks.json"),
        }
    }

    fn is_let_in(&self, isolate: &Isolate) -> bool {
        let outcome = run(isolate.begin(&get("/").cookie(&self.session))).0;
        matches!(outcome.action, Action::Forward(_))
    }

    fn token_works(&self, isolate: &Isolate) -> bool {
        let call = get("/api/sso/users?limit=1").api_token(&self.token);
        status(&run(isolate.begin(&call)).0) == 200
    }

    /// What the store holds of the user, and who its addresses lead to.
    fn user(&self) -> Option<Value> {
        let text = self.edge.shared.value(&key("user:", &self.id))?;
        serde_json::from_str(&text).ok()
    }

    fn reached_at(&self, email: &str) -> Option<String> {
        self.edge.shared.value(&key("user_email:", email))
    }

    /// The keys that are published, each with the moment until which it is.
    fn kids(&self) -> BTreeMap<String, Timestamp> {
        let text = self.edge.shared.value("signing_keys").unwrap();
        let keys: Value = serde_json::from_str(&text).unwrap();
        let until =
            |key: &Value| Timestamp::from_millis(key["retired_at"].as_u64().unwrap_or(u64::MAX));
        let kids = keys["keys"].as_array().unwrap().iter();
        kids.map(|key| (key["kid"].as_str().unwrap().to_owned(), until(key)))
            .collect()
    }
}

fn key(prefix: &str, name: &str) -> String {
    format!("{prefix}{}", hex(&sha256(name.as_bytes())))
}

fn status(outcome: &Outcome) -> u16 {
    match &outcome.action {
        Action::Answer(answer) => answer.status,
        Action::Forward(_) => 0,
    }
}

fn body(outcome: &Outcome) -> Value {
    match &outcome.action {
        Action::Answer(answer) => serde_json::from_str(&answer.body).unwrap_or_default(),
        Action::Forward(_) => Value::Null,
    }
}

/// Runs both, a step of one or of the other or of a writer at a time, while the clock goes on.
fn interleave(stage: &Stage<'_>, ops: [Op; 2]) -> [Outcome; 2] {
    type Running = Pin<Box<dyn Future<Output = Outcome>>>;
    let begin =
        |at: usize| -> Running { Box::pin(stage.isolates[at].begin(&stage.request(ops[at]))) };
    let shared = &stage.edge.shared;
    let mut running = [Some(begin(0)), None];
    let mut done: [Option<Outcome>; 2] = [None, None];
    for _ in 0..100_000 {
        let choice = shared.draw(8);
        match choice {
            // The second one begins when it likes, also after the first has ended.
            0..=2 if running[1].is_none() && done[1].is_none() => running[1] = Some(begin(1)),
            0..=5 => {
                let at = usize::from(choice > 2);
                if let Some(future) = &mut running[at]
                    && let Some(outcome) = step(future)
                {
                    running[at] = None;
                    let is_well = status(&outcome) < 300;
                    done[at] = Some(outcome);
                    if is_well {
                        assert_taken_away_at_once(stage, ops[at], stage.isolates[at]);
                    }
                }
            }
            6 => shared.carry(),
            _ => stage
                .edge
                .shared
                .now
                .set(stage.edge.now() + Seconds(u32::try_from(shared.draw(3)).unwrap())),
        }
        if let [Some(_), Some(_)] = &done {
            return done.map(Option::unwrap);
        }
    }
    panic!("never ready");
}

/// Where it was taken away it is gone at once, whatever the store shows there.
fn assert_taken_away_at_once(stage: &Stage<'_>, op: Op, isolate: &Isolate) {
    match op {
        Op::Disable | Op::EndSessions | Op::SignOut | Op::Delete => {
            assert!(
                !stage.is_let_in(isolate),
                "{op:?}: still let in where it was done"
            );
        }
        Op::SwitchTokenOff | Op::RevokeToken | Op::DeleteToken => {
            assert!(
                !stage.token_works(isolate),
                "{op:?}: still works where it was done"
            );
        }
        _ => {}
    }
}

/// What two operations came to.
struct End<'a> {
    stage: &'a Stage<'a>,
    ops: [Op; 2],
    outcomes: &'a [Outcome; 2],
}

impl End<'_> {
    /// Whether the operation was answered as done.
    fn done(&self, op: Op) -> bool {
        (0..2).any(|at| self.ops[at] == op && status(&self.outcomes[at]) < 300)
    }

    fn told(&self) -> String {
        let answers = self.outcomes.each_ref().map(|one| (status(one), body(one)));
        format!("{:?} {answers:?} {:?}", self.ops, self.stage.user())
    }

    /// No record is lost, and an address is one user.
    fn assert_records_are_whole(&self) {
        let stage = self.stage;
        let user = stage.user();
        let told = self.told();
        match &user {
            None => assert!(self.ops.contains(&Op::Delete), "lost: {told}"),
            Some(user) => {
                assert!(!self.done(Op::Delete), "came back: {told}");
                let email = user["email"].as_str().unwrap();
                let reached = stage.reached_at(email);
                assert_eq!(reached, Some(stage.id.clone()), "not reached: {told}");
            }
        }
        let moved = format!("moved-{}", stage.email);
        for email in [&stage.email, &moved] {
            let Some(id) = stage.reached_at(email) else {
                continue;
            };
            let reached = stage.edge.shared.value(&key("user:", &id));
            let reached = reached.unwrap_or_else(|| panic!("leads to nobody: {told}"));
            let reached: Value = serde_json::from_str(&reached).unwrap();
            assert_eq!(reached["email"], email.as_str(), "leads to another: {told}");
        }
        if let Some(user) = user.filter(|_| self.done(Op::Move)) {
            assert_eq!(user["email"], moved.as_str(), "{told}");
        }
        let values = stage.edge.shared.values.borrow();
        let users = values.iter().filter(|(key, _)| key.starts_with("user:"));
        let emails: Vec<String> = users
            .map(|(_, (text, _))| serde_json::from_str::<Value>(text).unwrap())
            .map(|user| user["email"].as_str().unwrap().to_owned())
            .filter(|email| *email == stage.email || *email == moved)
            .collect();
        let distinct: BTreeSet<&String> = emails.iter().collect();
        assert_eq!(
            distinct.len(),
            emails.len(),
            "two users of one address: {told}"
        );
        drop(values);
        if !self.ops.contains(&Op::DeleteToken) {
            let record = format!("api_token:{}", stage.token_id);
            let record = stage.edge.shared.value(&record);
            assert!(record.is_some(), "the record of a token is lost: {told}");
        }
    }

    /// No right comes back, and no change undoes another one.
    fn assert_changes_hold(&self) {
        let stage = self.stage;
        let told = self.told();
        if let Some(user) = stage.user() {
            let is = |member: &str, value: Value| assert_eq!(user[member], value, "{told}");
            if self.done(Op::TakeRoles) {
                is("roles", json!([]));
            }
            if self.done(Op::Disable) {
                is("active", json!(false));
            }
            if self.done(Op::Rename) {
                is("first_name", json!("New"));
            }
            if self.done(Op::EndSessions) || self.done(Op::Disable) {
                let after = user["sessions_valid_after"].as_u64().unwrap();
                assert!(after > START.millis(), "{told}");
            }
        }
        let ending = [Op::Disable, Op::EndSessions, Op::SignOut, Op::Delete];
        let is_over = ending.into_iter().any(|op| self.done(op));
        let shutting = [Op::SwitchTokenOff, Op::RevokeToken, Op::DeleteToken];
        let is_shut = shutting.into_iter().any(|op| self.done(op));
        for isolate in stage.isolates {
            assert!(
                !(is_over && stage.is_let_in(isolate)),
                "let in again: {told}"
            );
            assert!(
                !(is_shut && stage.token_works(isolate)),
                "works again: {told}"
            );
        }
    }

    /// Every key of `before` whose time is not over is there, and every new one.
    fn assert_keys_are_kept(&self, before: &BTreeMap<String, Timestamp>) {
        let told = self.told();
        let now = self.stage.kids();
        let time = self.stage.edge.now();
        let mut kept = before.iter().filter(|(_, until)| time < **until);
        assert!(
            kept.all(|(kid, _)| now.contains_key(kid)),
            "signing keys are lost: {told}"
        );
        let new = now.keys().filter(|kid| !before.contains_key(*kid)).count();
        let rotations = (0..2).filter(|at| self.ops[*at] == Op::Rotate);
        let rotated = rotations
            .clone()
            .filter(|at| status(&self.outcomes[*at]) < 300);
        // One whose answer was a fault may have been made.
        let fitting = rotated.count()..=rotations.count();
        assert!(fitting.contains(&new), "{new} new keys: {told}");
        for (at, outcome) in self.outcomes.iter().enumerate() {
            if self.ops[at] == Op::ReadKeys && status(outcome) == 200 {
                let published = body(outcome);
                let mut kids = published["keys"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|key| key["kid"].as_str().unwrap());
                assert!(
                    kids.all(|kid| now.contains_key(kid)),
                    "a key of nobody's was published: {told}"
                );
            }
        }
    }
}

/// A site that needs no signature for each session, beside one that has signing keys made.
fn edge() -> Edge {
    let mut bindings = bindings(&json!({"assertion": null}));
    let other = json!({"hosts": ["keys.example"], "audience": "keys"});
    bindings.insert("EDGEWARD_SITE_KEYS".into(), site(&other));
    Edge::with(bindings)
}

fn all_interleavings_of(first: Op) {
    let begin = OPS.iter().position(|op| *op == first).unwrap();
    for second in &OPS[begin..] {
        let edge = edge();
        let (here, there) = (edge.isolate(), edge.isolate());
        let admin = edge.api_token(&[Scope::Admin]);
        edge.shared
            .calm
            .borrow_mut()
            .extend(edge.shared.values.borrow().keys().cloned());
        // The first keys are made, and kept.
        run(here.begin(&get("/.well-known/jwks.json")));
        edge.run_tasks();
        for number in 0..INTERLEAVINGS {
            let stage = Stage::new(&edge, [&here, &there], &admin, number);
            let kids = stage.kids();
            let ops = [first, *second];
            let outcomes = interleave(&stage, ops);
            for outcome in &outcomes {
                let status = status(outcome);
                assert!(
                    matches!(status, 200..=204 | 401 | 403 | 404 | 409 | 422 | 503),
                    "{ops:?}: {status}"
                );
            }
            // The writers go on, over a store that is no better, and in the end it is.
            for round in 0..48_u32 {
                edge.shared.writers.wild.set(round < 24);
                edge.shared.carry();
                edge.wait(5);
            }
            edge.shared.lag.set(Lag::None);
            edge.shared.carry();
            let end = End {
                stage: &stage,
                ops,
                outcomes: &outcomes,
            };
            end.assert_records_are_whole();
            end.assert_changes_hold();
            end.assert_keys_are_kept(&kids);
            // Keys whose time is over go at the next rotation; old users are of no further use.
            forget_old(&edge);
        }
    }
}

/// A store that only grows would make each run slower than the one before.
fn forget_old(edge: &Edge) {
    edge.shared.forget_writers();
    edge.shared
        .retain(|key| key == "signing_keys" || edge.shared.calm.borrow().contains(key));
}

macro_rules! interleavings {
    ($($name:ident: $op:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            all_interleavings_of(Op::$op);
        }
    )*};
}

interleavings! {
    sec_77_renaming_undoes_nothing: Rename,
    sec_77_roles_that_were_taken_stay_taken: TakeRoles,
    sec_77_who_is_disabled_stays_disabled: Disable,
    sec_77_sessions_that_were_ended_stay_ended: EndSessions,
    sec_77_a_session_that_was_signed_out_stays_signed_out: SignOut,
    sec_77_who_is_deleted_stays_deleted: Delete,
    sec_77_an_address_that_moves_is_one_user: Move,
    sec_77_a_sync_undoes_nothing: SyncName,
    sec_77_issuing_makes_one_user: Issue,
    sec_77_creating_makes_one_user: Create,
    sec_77_renaming_an_api_token_undoes_nothing: RenameToken,
    sec_77_an_api_token_that_was_switched_off_stays_off: SwitchTokenOff,
    sec_77_an_api_token_that_was_revoked_stays_revoked: RevokeToken,
    sec_77_an_api_token_that_was_deleted_stays_deleted: DeleteToken,
    sec_77_no_rotation_is_lost: Rotate,
    sec_77_a_store_that_shows_no_keys_makes_no_others: ReadKeys,
}
