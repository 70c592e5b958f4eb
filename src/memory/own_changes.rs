//! What this isolate recently changed. The store may return the old value for another minute, and a
//! read may have been in progress; what is recorded here takes precedence. So a right that is
//! revoked is gone at once in the isolate that revoked it.

use std::cell::RefCell;
use std::rc::Rc;

use crate::model::api_token::ApiTokenId;
use crate::model::user::{User, UserId};
use crate::platform::shelf::{self, Shelf};
use crate::platform::time::{Seconds, Timestamp};

/// How far the store may be behind (docs/storage.md).
pub const STORE_LAG: Seconds = Seconds(60);

/// How long the store may return an old value if it lost a write and the writer has to repeat it.
const WRITER_LAG: Seconds = Seconds(180);

/// A user as this isolate left it (`None` if deleted), and when.
type ChangedUser = (Option<Rc<User>>, Timestamp);

/// The changes that this isolate has made.
pub struct OwnChanges {
    users: RefCell<Shelf<UserId, ChangedUser>>,
    ended_sessions: RefCell<Shelf<String, ()>>,
    /// By API token: the version of its record when it was last enabled or disabled, and until when
    /// it is refused if it was disabled; a revoked one is refused for good.
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
    /// Records a changed user; `None` for a deleted one. Returns the newest state: the response to
    /// an older change may arrive after that to a newer one.
    pub fn put_user(
        &self,
        id: &UserId,
        user: Option<Rc<User>>,
        now: Timestamp,
    ) -> Option<Rc<User>> {
        let mut users = self.users.borrow_mut();
        if let Some((known, at)) = users.get(id) {
            let is_older = match (known, &user) {
                (None, _) => !is_restored(user.as_deref(), *at),
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

    /// The newest state of a user of whom the store returned `read` to a request of `now`: that, or
    /// what this isolate made of it.
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

    /// Records that a session was ended.
    pub fn end_session(&self, id: &str) {
        self.ended_sessions.borrow_mut().put(id.to_owned(), ());
    }

    /// Whether this isolate has ended a session.
    #[must_use]
    pub fn has_ended(&self, id: &str) -> bool {
        self.ended_sessions.borrow_mut().get(id).is_some()
    }

    /// Records that an API token was revoked, for good.
    pub fn revoke(&self, id: &ApiTokenId) {
        let mut switched = self.switched.borrow_mut();
        switched.put(id.as_str().to_owned(), (u64::MAX, Some(FOR_EVER)));
    }

    /// Records that an API token was enabled or disabled, which brought its record to `version`.
    /// The response to an older change may arrive after that to a newer one.
    pub fn switch(&self, id: &ApiTokenId, active: bool, version: u64, now: Timestamp) {
        let mut switched = self.switched.borrow_mut();
        let known = switched.get(id.as_str()).map(|(version, _)| *version);
        if known.is_none_or(|known| known < version) {
            let until = (!active).then(|| now + WRITER_LAG);
            switched.put(id.as_str().to_owned(), (version, until));
        }
    }

    /// Whether this isolate revoked an API token, or disabled it so recently that the store may not
    /// show it yet.
    #[must_use]
    pub fn has_disabled(&self, id: &ApiTokenId, now: Timestamp) -> bool {
        let mut switched = self.switched.borrow_mut();
        let until = switched.get(id.as_str()).and_then(|(_, until)| *until);
        until.is_some_and(|until| now <= until)
    }

    /// The weight of all entries, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.users.borrow().weight()
            + self.ended_sessions.borrow().weight()
            + self.switched.borrow().weight()
    }
}

/// Later than the time of any request.
const FOR_EVER: Timestamp = Timestamp::from_millis(u64::MAX);

/// Whether a user who was deleted at `at` has been restored from a backup since: only that makes a version which is a time.
fn is_restored(user: Option<&User>, at: Timestamp) -> bool {
    user.is_some_and(|user| user.version > at.millis())
}

/// Whether a user that this isolate changed at `at` is newer than what it read. Versions only grow
/// and ids are never reused, so a store that lost a write is never believed. A missing record is
/// one that the store does not show yet, or that was deleted elsewhere.
fn is_newer(known: Option<&User>, at: Timestamp, read: Option<&User>, now: Timestamp) -> bool {
    match (known, read) {
        (None, _) => !is_restored(read, at),
        // A request that started before the change may have read after it.
        (Some(_), None) => now < at + STORE_LAG,
        (Some(known), Some(read)) => known.version > read.version,
    }
}
