//! What this isolate itself has changed lately. The store may show it what was there before for
//! another minute, and a read may have been under way; neither counts over what is known here. So
//! what is taken away is gone at once where it was taken away.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;

use crate::time::{Seconds, Timestamp};
use crate::token::api_token::ApiTokenId;
use crate::user::{User, UserId};

/// So many changes of each kind are known; a record that is changed has some hundred bytes.
const MAX_CHANGES: NonZeroUsize = NonZeroUsize::new(2048).unwrap();

/// So long the store may be behind (docs/storage.md).
pub const STORE_LAG: Seconds = Seconds(60);

/// A user as this isolate has left it, `None` when it removed it, and when that was.
type ChangedUser = (Option<Rc<User>>, Timestamp);

/// The changes that this isolate has made.
pub struct OwnChanges {
    users: RefCell<LruCache<UserId, ChangedUser>>,
    ended_sessions: RefCell<LruCache<String, ()>>,
    revoked: RefCell<LruCache<ApiTokenId, ()>>,
    switched_off: RefCell<LruCache<ApiTokenId, Timestamp>>,
}

impl Default for OwnChanges {
    fn default() -> Self {
        Self {
            users: RefCell::new(LruCache::new(MAX_CHANGES)),
            ended_sessions: RefCell::new(LruCache::new(MAX_CHANGES)),
            revoked: RefCell::new(LruCache::new(MAX_CHANGES)),
            switched_off: RefCell::new(LruCache::new(MAX_CHANGES)),
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

    /// Notes that an API token is revoked.
    pub fn revoke(&self, id: &ApiTokenId) {
        self.revoked.borrow_mut().put(id.clone(), ());
    }

    /// Notes that an API token was switched on or off.
    pub fn switch(&self, id: &ApiTokenId, active: bool, now: Timestamp) {
        let mut off = self.switched_off.borrow_mut();
        if active {
            off.pop(id);
        } else {
            off.put(id.clone(), now);
        }
    }

    /// Whether this isolate has revoked an API token, or has switched it off and the store may not
    /// show it yet to a request of `now`.
    #[must_use]
    pub fn has_shut(&self, id: &ApiTokenId, now: Timestamp) -> bool {
        let is_lately = |at: &Timestamp| now < *at + STORE_LAG;
        self.revoked.borrow_mut().get(id).is_some()
            || self
                .switched_off
                .borrow_mut()
                .get(id)
                .is_some_and(is_lately)
    }
}

/// No id is used again, so a user that was removed here comes back nowhere.
fn is_newer(known: Option<&User>, read: Option<&User>) -> bool {
    match (known, read) {
        (None, _) | (Some(_), None) => true,
        (Some(known), Some(read)) => known.version > read.version,
    }
}
