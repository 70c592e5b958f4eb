//! What an isolate caches between requests, so that a request with a known credential waits for
//! nothing. Bounded in entries and in bytes ([`crate::platform::shelf`]); never the only copy of
//! anything.
//!
//! A hit means only that the signature matched. Expiry, rules and the user's state are evaluated
//! each time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::credential::origin_account::KnownAccount;
use crate::credential::verified::{CredentialKey, Verified};
use crate::memory::attempts::AttemptMemory;
use crate::memory::issuer_keys::IssuerKeyMemory;
use crate::memory::own_changes::OwnChanges;
use crate::memory::provider::{KnownTokens, ProviderCause};
use crate::memory::refusals::Refusals;
use crate::memory::services::ServiceMemory;
use crate::memory::tally::Tally;
use crate::memory::turns::Turns;
use crate::model::user::{User, UserId};
use crate::platform::algorithm::Algorithm;
use crate::platform::port::Fault;
use crate::platform::shelf::{self, Shelf, Weigh};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::signing_keys::SigningKeys;

/// The user that was read, if there is one, and when.
type ReadUser = (Option<Rc<User>>, Timestamp);

/// The caches of an isolate.
pub struct Cache {
    sessions: RefCell<Shelf<String, (bool, Timestamp)>>,
    credentials: RefCell<Shelf<CredentialKey, Rc<Verified>>>,
    users: RefCell<Shelf<UserId, ReadUser>>,
    accounts: RefCell<Shelf<String, KnownAccount>>,
    admin_access: RefCell<Shelf<String, (Rc<str>, Timestamp)>>,
    provider_tokens: RefCell<Shelf<String, (Rc<KnownTokens>, Timestamp)>>,
    signing_keys: RefCell<BTreeMap<Algorithm, (Rc<SigningKeys>, Timestamp)>>,
    /// Whether the writer of an algorithm's keys was told to keep them.
    kept_keys: RefCell<BTreeMap<Algorithm, bool>>,
    pub issuer_keys: IssuerKeyMemory,
    pub own_changes: OwnChanges,
    pub attempts: AttemptMemory,
    pub turns: Turns,
    pub services: ServiceMemory,
    pub tally: Tally,
    /// What the last look at everything that requests depend on has found.
    pub health: RefCell<Option<Health>>,
    /// Rows about refused admin calls.
    pub refusals: Refusals,
    notes: RefCell<Vec<Note>>,
}

/// A look at everything that requests depend on.
pub struct Health {
    pub begun: Timestamp,
    /// Whether all is well, and the document; `None` while it is under way.
    pub found: Option<(bool, String)>,
}

/// What was found while a request was judged or prepared, besides the result; for the log. The names of site and issuer
/// are those in the configuration.
pub enum Note {
    /// Claims of a token could not be read and therefore grant nothing.
    UnreadableClaims {
        site: String,
        issuer: String,
        /// As the configuration names them.
        claims: Vec<&'static str>,
    },
    /// `only_claims` does not list claims of a token, so it was refused.
    UnlistedClaims {
        site: String,
        issuer: String,
        claims: Vec<String>,
    },
    /// A provider has not renewed a session.
    NotRenewed {
        site: String,
        issuer: String,
        cause: ProviderCause,
    },
    /// The provider's tokens of a session that has ended are still there.
    TokensNotDeleted {
        site: String,
        issuer: String,
        fault: Fault,
    },
    /// A header with roles was not sent, because a role contains what separates them.
    RolesNotSent {
        site: String,
        header: String,
        user: UserId,
        roles: usize,
        /// How many of them contain the separator.
        with_separator: usize,
    },
    /// Something has happened, and its row is not in the audit log.
    NotAudited { request_id: String, fault: Fault },
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            sessions: RefCell::new(Shelf::new(shelf::SESSIONS)),
            credentials: RefCell::new(Shelf::new(shelf::CREDENTIALS)),
            users: RefCell::new(Shelf::new(shelf::USERS)),
            signing_keys: RefCell::default(),
            kept_keys: RefCell::default(),
            accounts: RefCell::new(Shelf::new(shelf::ACCOUNTS)),
            admin_access: RefCell::new(Shelf::new(shelf::ADMIN_ACCESS)),
            provider_tokens: RefCell::new(Shelf::new(shelf::PROVIDER_TOKENS)),
            issuer_keys: IssuerKeyMemory::default(),
            turns: Turns::default(),
            services: ServiceMemory::default(),
            tally: Tally::default(),
            health: RefCell::default(),
            refusals: Refusals::default(),
            notes: RefCell::default(),
            attempts: AttemptMemory::default(),
            own_changes: OwnChanges::default(),
        }
    }
}

impl Cache {
    /// Keeps a note for the log of the request that is under way.
    pub fn note(&self, note: Note) {
        self.notes.borrow_mut().push(note);
    }

    /// Takes what was noted for the log.
    #[must_use]
    pub fn take_notes(&self) -> Vec<Note> {
        std::mem::take(&mut *self.notes.borrow_mut())
    }

    /// A credential that was verified before.
    #[must_use]
    pub fn credential(&self, key: &CredentialKey) -> Option<Rc<Verified>> {
        self.credentials.borrow_mut().get(key).map(Rc::clone)
    }

    /// Caches a verified credential.
    pub fn put_credential(&self, mut key: CredentialKey, verified: Verified) -> Rc<Verified> {
        key.shrink_to_fit();
        let verified = Rc::new(verified);
        self.credentials.borrow_mut().put(key, Rc::clone(&verified));
        verified
    }

    /// The user, if read within `span` before `now`. The inner `None` is a user that does not
    /// exist.
    #[must_use]
    pub fn user(&self, id: &UserId, span: Seconds, now: Timestamp) -> Option<Option<Rc<User>>> {
        let mut users = self.users.borrow_mut();
        let (user, read_at) = users.get(id)?;
        is_fresh(*read_at, span, now).then(|| user.clone())
    }

    /// Caches a user that was read. An unchanged record stays the same object, so that what was
    /// derived from it stays valid.
    pub fn put_user(&self, id: &UserId, user: Option<User>, now: Timestamp) -> Option<Rc<User>> {
        let user = self.own_changes.newest_user(id, user, now);
        let mut users = self.users.borrow_mut();
        let known = users.get(id).and_then(|(known, _)| known.clone());
        let user = user.map(|user| match known {
            Some(known) if known == user => known,
            _ => user,
        });
        users.put(id.clone(), (user.clone(), now));
        user
    }

    /// Caches a user that this isolate changed.
    pub fn put_changed_user(&self, id: &UserId, user: Option<&User>, now: Timestamp) {
        let user = user.map(|user| Rc::new(user.clone()));
        let user = self.own_changes.put_user(id, user, now);
        self.users.borrow_mut().put(id.clone(), (user, now));
    }

    /// Whether the session was ended, if read within `span` before `now`.
    #[must_use]
    pub fn session_ended(&self, id: &str, span: Seconds, now: Timestamp) -> Option<bool> {
        if self.own_changes.has_ended(id) {
            return Some(true);
        }
        let mut sessions = self.sessions.borrow_mut();
        let (ended, at) = sessions.get(id)?;
        // An ended session never becomes valid again.
        (*ended || is_fresh(*at, span, now)).then_some(*ended)
    }

    /// Caches whether a session was ended, for every copy of its cookie.
    pub fn put_session_ended(&self, id: &str, ended: bool, now: Timestamp) {
        self.sessions.borrow_mut().put(id.to_owned(), (ended, now));
    }

    /// The signing keys, if read within `span` before `now`.
    #[must_use]
    pub fn signing_keys(
        &self,
        algorithm: Algorithm,
        span: Seconds,
        now: Timestamp,
    ) -> Option<Rc<SigningKeys>> {
        let keys = self.signing_keys.borrow();
        keys.get(&algorithm)
            .filter(|(_, at)| is_fresh(*at, span, now))
            .map(|(keys, _)| Rc::clone(keys))
    }

    /// Caches the signing keys.
    pub fn put_signing_keys(
        &self,
        algorithm: Algorithm,
        keys: SigningKeys,
        now: Timestamp,
    ) -> Rc<SigningKeys> {
        self.kept_keys
            .borrow_mut()
            .entry(algorithm)
            .or_insert(false);
        let keys = Rc::new(keys);
        let mut known = self.signing_keys.borrow_mut();
        known.remove(&algorithm);
        let share = shelf::SIGNING_KEYS.bytes / shelf::SIGNING_KEYS.number;
        if keys.heap() <= share {
            known.insert(algorithm, (Rc::clone(&keys), now));
        }
        drop(known);
        keys
    }

    /// The algorithms whose keys were read but whose writer was not yet told to keep them.
    pub fn take_unkept_keys(&self) -> Vec<Algorithm> {
        let mut kept = self.kept_keys.borrow_mut();
        let unkept = kept.iter_mut().filter(|(_, kept)| !**kept);
        unkept
            .map(|(algorithm, kept)| {
                *kept = true;
                *algorithm
            })
            .collect()
    }

    /// Records that telling the writer to keep an algorithm's keys failed.
    pub fn retry_keeping_keys(&self, algorithm: Algorithm) {
        self.kept_keys.borrow_mut().insert(algorithm, false);
    }

    /// The cached account of a user at the origin of a site.
    #[must_use]
    pub fn account(&self, site: &str, user: &str) -> Option<KnownAccount> {
        let mut accounts = self.accounts.borrow_mut();
        accounts.get(&account_key(site, user)).cloned()
    }

    /// Caches an account.
    pub fn put_account(&self, site: &str, user: &str, known: KnownAccount) {
        self.accounts
            .borrow_mut()
            .put(account_key(site, user), known);
    }

    /// Marks an account that its origin did not accept.
    pub fn doubt_account(&self, site: &str, user: &str) {
        if let Some(KnownAccount::Account(account)) = self.account(site, user) {
            account.doubted.set(true);
        }
    }

    /// Removes an account.
    pub fn forget_account(&self, site: &str, user: &UserId) {
        self.accounts
            .borrow_mut()
            .pop(&account_key(site, user.as_str()));
    }

    /// The admin's access token at the origin of a site, while it is fresh.
    #[must_use]
    pub fn admin_access(&self, site: &str, now: Timestamp) -> Option<Rc<str>> {
        let mut tokens = self.admin_access.borrow_mut();
        let (token, until) = tokens.get(site)?;
        (now < *until).then(|| Rc::clone(token))
    }

    /// Caches the admin's access token.
    pub fn put_admin_access(&self, site: &str, token: &Rc<str>, until: Timestamp) {
        self.admin_access
            .borrow_mut()
            .put(site.to_owned(), (Rc::clone(token), until));
    }

    /// What is known of the tokens of a provider with this id, if read within `span` before `now`.
    #[must_use]
    pub fn provider_tokens(
        &self,
        id: &str,
        span: Seconds,
        now: Timestamp,
    ) -> Option<Rc<KnownTokens>> {
        let mut tokens = self.provider_tokens.borrow_mut();
        let (known, at) = tokens.get(id)?;
        is_fresh(*at, span, now).then(|| Rc::clone(known))
    }

    /// Caches what is known of the tokens of a provider.
    pub fn put_provider_tokens(&self, id: &str, known: Rc<KnownTokens>, now: Timestamp) {
        let mut tokens = self.provider_tokens.borrow_mut();
        tokens.put(id.to_owned(), (known, now));
    }

    /// Removes the tokens of a session that has ended.
    pub fn forget_provider_tokens(&self, id: &str) {
        self.provider_tokens.borrow_mut().pop(id);
    }

    /// The weight of all entries, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let keys = self.signing_keys.borrow();
        self.sessions.borrow().weight()
            + self.credentials.borrow().weight()
            + self.users.borrow().weight()
            + self.accounts.borrow().weight()
            + self.admin_access.borrow().weight()
            + self.provider_tokens.borrow().weight()
            + keys.values().map(|(keys, _)| keys.heap()).sum::<usize>()
            + self.issuer_keys.weight()
            + self.attempts.weight()
            + self.own_changes.weight()
    }
}

/// Neither part contains a line break.
fn account_key(site: &str, user: &str) -> String {
    format!("{site}\n{user}")
}

/// Nothing is fresh if the clock was set back.
fn is_fresh(at: Timestamp, span: Seconds, now: Timestamp) -> bool {
    at <= now && now < at + span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_26_no_two_triples_share_a_key() {
        let keys = [
            CredentialKey::new("ab", "c", "d"),
            CredentialKey::new("a", "bc", "d"),
            CredentialKey::new("a", "b", "cd"),
            CredentialKey::new("abc", "", "d"),
            CredentialKey::new("", "abc", "d"),
            CredentialKey::new("", "", "abcd"),
            CredentialKey::new("a\0\0\0\u{1}b", "c", "d"),
            CredentialKey::new("a", "\0\0\0\u{1}b", "d"),
        ];
        let different: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
    }

    #[test]
    fn what_was_read_is_known_for_its_span_and_not_longer() {
        let at = Timestamp::from_seconds(1000);
        assert!(is_fresh(at, Seconds(30), at));
        assert!(is_fresh(at, Seconds(30), Timestamp::from_seconds(1029)));
        assert!(!is_fresh(at, Seconds(30), Timestamp::from_seconds(1030)));
        assert!(!is_fresh(at, Seconds(30), Timestamp::from_seconds(999)));
    }
}
