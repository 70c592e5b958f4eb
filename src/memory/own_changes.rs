//! What this isolate has changed recently. The store may return the old value for another minute,
//! and a read may have been under way; what is recorded here takes precedence. So a right that is
//! taken away is gone at once in the isolate that took it away.

use std::cell::RefCell;
use std::rc::Rc;

use crate::model::api_token::ApiTokenId;
use crate::model::user::{User, UserId};
use crate::platform::shelf::{self, Shelf};
use crate::platform::time::{Seconds, Timestamp};

/// How far the store may lag behind (docs/storage.md).
pub const STORE_LAG: Seconds = Seconds(60);

/// How long the store may show what was there before when it has lost a write, and the writer has
/// noticed.
const WRITER_LAG: Seconds = Seconds(180);

/// A user as this isolate has left it, `None` when it removed it, and when that was.
type ChangedUser = (Option<Rc<User>>, Timestamp);

/// The changes that this isolate has made.
pub struct OwnChanges {
    users: RefCell<Shelf<UserId, ChangedUser>>,
    ended_sessions: RefCell<Shelf<String, ()>>,
    /// By which version of its record an API token was last switched, and until when it is refused if
    /// that was off; a revoked one for ever.
    switched: RefCell<Shelf<String, (u64, Option<Timestamp>)>>,
}

impl Default for OwnChanges {
    fn default() -> Self {
        Self {
            users: RefCell::new(Shelf::new(shelf::OWN_USERS)),
            ended_sessions: RefCell::new(Shelf::new(shelf::OWN_SESSIONS)),
            switched: RefCell::new(Shelf::new(shelf::OWN_API_TOKENS)),
        }
    }
}

impl OwnChanges {
    /// Notes what a user has become; `None` when it was removed. Gives what counts: the answer to an
    /// older change may come after that to a newer one.
    pub fn put_user(
        &self,
        id: &UserId,
        user: Option<Rc<User>>,
        now: Timestamp,
    ) -> Option<Rc<User>> {
        let mut users = self.users.borrow_mut();
        if let Some((known, _)) = users.get(id) {
            let is_older = match (known, &user) {
                (None, _) => true,
                (Some(known), Some(user)) => known.version > user.version,
                (Some(_), None) => false,
            };
            if is_older {
                return known.clone();
            }
        }
        users.put(id.clone(), (user.clone(), now));
        user
    }

    /// What counts of a user of whom the store shows `read` to a request of `now`: that, or what
    /// this isolate has made of it, if that is newer.
    #[must_use]
    pub fn newest_user(&self, id: &UserId, read: Option<User>, now: Timestamp) -> Option<Rc<User>> {
        let mut users = self.users.borrow_mut();
        match users.get(id) {
            Some((known, at)) if is_newer(known.as_deref(), *at, read.as_ref(), now) => {
                known.clone()
            }
            _ => read.map(Rc::new),
        }
    }

    /// Notes that a session has ended.
    pub fn end_session(&self, id: &str) {
        self.ended_sessions.borrow_mut().put(id.to_owned(), ());
    }

    /// Whether this isolate has ended a session.
    #[must_use]
    pub fn has_ended(&self, id: &str) -> bool {
        self.ended_sessions.borrow_mut().get(id).is_some()
    }

    /// Notes that an API token is revoked, for good.
    pub fn revoke(&self, id: &ApiTokenId) {
        let mut switched = self.switched.borrow_mut();
        switched.put(id.as_str().to_owned(), (u64::MAX, Some(FOR_EVER)));
    }

    /// Notes that an API token was switched on or off, by which its record got `version`. The answer
    /// to an older change may come after that to a newer one.
    pub fn switch(&self, id: &ApiTokenId, active: bool, version: u64, now: Timestamp) {
        let mut switched = self.switched.borrow_mut();
        let known = switched.get(id.as_str()).map(|(version, _)| *version);
        if known.is_none_or(|known| known < version) {
            let until = (!active).then(|| now + WRITER_LAG);
            switched.put(id.as_str().to_owned(), (version, until));
        }
    }

    /// Whether this isolate has revoked an API token, or has switched it off and the store may not
    /// show it yet to a request of `now`.
    #[must_use]
    pub fn has_shut(&self, id: &ApiTokenId, now: Timestamp) -> bool {
        let mut switched = self.switched.borrow_mut();
        let until = switched.get(id.as_str()).and_then(|(_, until)| *until);
        until.is_some_and(|until| now <= until)
    }

    /// What all of it weighs, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.users.borrow().weight()
            + self.ended_sessions.borrow().weight()
            + self.switched.borrow().weight()
    }
}

/// Later than any request.
const FOR_EVER: Timestamp = Timestamp::from_millis(u64::MAX);

/// Whether what this isolate made of a user at `at` is newer than what it has read. Versions only
/// grow, and no id is used again, so a store that loses a write is not believed for however long. A
/// record that is not there is one that the store does not show yet, or that was removed elsewhere.
fn is_newer(known: Option<&User>, at: Timestamp, read: Option<&User>, now: Timestamp) -> bool {
    match (known, read) {
        (None, _) => true,
        // A request that began before the change may have read after it.
        (Some(_), None) => now < at + STORE_LAG,
        (Some(known), Some(read)) => known.version > read.version,
    }
}
