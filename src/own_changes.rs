//! What this isolate has changed recently. The store may return the old value for another minute,
//! and a read may have been under way; what is recorded here takes precedence. So a right that is
//! taken away is gone at once in the isolate that took it away.

use std::cell::RefCell;
use std::rc::Rc;

use crate::memory::{self, Shelf};
use crate::time::{Seconds, Timestamp};
use crate::token::api_token::ApiTokenId;
use crate::user::{User, UserId};

/// How far the store may lag behind (docs/storage.md).
pub const STORE_LAG: Seconds = Seconds(60);

/// A user as this isolate has left it, `None` when it removed it, and when that was.
type ChangedUser = (Option<Rc<User>>, Timestamp);

/// The changes that this isolate has made.
pub struct OwnChanges {
    users: RefCell<Shelf<UserId, ChangedUser>>,
    ended_sessions: RefCell<Shelf<String, ()>>,
    /// API tokens that are refused, and until when; a revoked one for ever.
    shut: RefCell<Shelf<String, Timestamp>>,
}

impl Default for OwnChanges {
    fn default() -> Self {
        Self {
            users: RefCell::new(Shelf::new(memory::OWN_USERS)),
            ended_sessions: RefCell::new(Shelf::new(memory::OWN_SESSIONS)),
            shut: RefCell::new(Shelf::new(memory::OWN_API_TOKENS)),
        }
    }
}

impl OwnChanges {
    /// Notes what a user is from now on; `None` when there is none any more.
    pub fn put_user(&self, id: &UserId, user: Option<Rc<User>>, now: Timestamp) {
        self.users.borrow_mut().put(id.clone(), (user, now));
    }

    /// What counts of a user of whom the store shows `read` to a request of `now`: that, or what
    /// this isolate has made of it, if that is newer.
    #[must_use]
    pub fn newest_user(&self, id: &UserId, read: Option<User>, now: Timestamp) -> Option<Rc<User>> {
        let mut users = self.users.borrow_mut();
        match users.get(id) {
            // A request that began before the change may have read after it.
            Some((known, at))
                if now < *at + STORE_LAG && is_newer(known.as_deref(), read.as_ref()) =>
            {
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
        self.shut_until(id, FOR_EVER);
    }

    /// Notes that an API token was switched on or off.
    pub fn switch(&self, id: &ApiTokenId, active: bool, now: Timestamp) {
        if !active {
            self.shut_until(id, now + STORE_LAG);
        } else if !self.has_shut(id, FOR_EVER) {
            self.shut.borrow_mut().pop(id.as_str());
        }
    }

    fn shut_until(&self, id: &ApiTokenId, until: Timestamp) {
        let mut shut = self.shut.borrow_mut();
        let until = shut
            .get(id.as_str())
            .map_or(until, |known| until.max(*known));
        shut.put(id.as_str().to_owned(), until);
    }

    /// Whether this isolate has revoked an API token, or has switched it off and the store may not
    /// show it yet to a request of `now`.
    #[must_use]
    pub fn has_shut(&self, id: &ApiTokenId, now: Timestamp) -> bool {
        let mut shut = self.shut.borrow_mut();
        shut.get(id.as_str()).is_some_and(|until| now <= *until)
    }

    /// What all of it weighs, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.users.borrow().weight()
            + self.ended_sessions.borrow().weight()
            + self.shut.borrow().weight()
    }
}

/// Later than any request.
const FOR_EVER: Timestamp = Timestamp::from_millis(u64::MAX);

/// No id is used again, so a user that was removed here comes back nowhere.
fn is_newer(known: Option<&User>, read: Option<&User>) -> bool {
    match (known, read) {
        (None, _) | (Some(_), None) => true,
        (Some(known), Some(read)) => known.version > read.version,
    }
}
