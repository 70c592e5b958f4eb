//! What an isolate remembers between requests, so that a request whose credential it has seen waits
//! for nothing. Bounded in number and in bytes ([`crate::memory`]); never the only place where
//! anything is kept.
//!
//! A hit says that a signature matched. Expiry, rules and the user's state are judged again.

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::claim::Granted;
use crate::memory::{self, Growth, Scale, Shelf, Weigh, block};
use crate::origin::mutate::{HeaderChanges, Standing};
use crate::own_changes::OwnChanges;
use crate::profile::label_studio::account::{Account, Known};
use crate::session::SessionClaims;
use crate::store::signing_keys::SigningKeys;
use crate::time::{Seconds, Timestamp};
use crate::token::algorithm::Algorithm;
use crate::token::api_token::ApiTokenId;
use crate::token::attempts;
use crate::token::issue::SsoClaims;
use crate::token::issuer::ForeignClaims;
use crate::token::jwks;
use crate::user::{User, UserId};

/// A credential, what it was presented as, and for which site. It is kept as it is, so what is found under it
/// is this credential's and no other's.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct CredentialKey(String);

impl CredentialKey {
    /// The key for `credential` presented as `kind` at `site`. Lengths come first, so that no two
    /// different triples give the same text.
    #[must_use]
    pub fn new(site: &str, kind: &str, credential: &str) -> Self {
        let mut text = String::with_capacity(site.len() + kind.len() + credential.len() + 24);
        for field in [site, kind] {
            text.push_str(&field.len().to_string());
            text.push(':');
            text.push_str(field);
        }
        text.push_str(credential);
        Self(text)
    }
}

/// A credential whose signature and claims were right when they were looked at.
pub struct Verified {
    /// What it says.
    pub claims: Claims,
    /// The identity headers and the assertion that were made for it.
    memo: RefCell<Memo>,
    growth: Growth,
}

/// The claims of a verified credential.
pub enum Claims {
    /// Of our own cookie.
    Session(SessionClaims),
    /// Of an SSO token.
    Sso(SsoClaims),
    /// Of a token of another issuer.
    Foreign(ForeignClaims),
    /// Of an API token that acts as a user.
    ApiToken(ActingClaims),
}

/// What is known of an API token that acts as a user.
pub struct ActingClaims {
    /// Which token it is.
    pub id: ApiTokenId,
    /// Whom it acts as.
    pub user: UserId,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When its record was read.
    pub read_at: Timestamp,
}

/// What was made for a principal and can be sent again while it is fresh.
#[derive(Default)]
pub struct Memo {
    /// Whether the token is known to be no link (see [`crate::token::link`]).
    pub no_link: bool,
    /// The user's record, and the same with what an issuer has granted.
    pub user: Option<(Rc<User>, Rc<User>)>,
    /// What the origin is told at every request.
    pub standing: Option<StandingHeaders>,
    /// The signed assertion, from the same record.
    pub assertion: Option<SignedAssertion>,
    /// What the origin of a site with a profile is told, from the same record.
    pub origin: Option<OriginCredential>,
}

/// A credential of a user at an origin, and for whom and until when it can be sent.
pub struct OriginCredential {
    /// The record it was made from.
    pub user: Rc<User>,
    /// From then on a new one is made.
    pub fresh_until: Timestamp,
    /// The account there.
    pub account: Rc<Account>,
    /// The header that carries it.
    pub headers: Rc<HeaderChanges>,
}

/// What an origin is told at every request of a caller, and what that was made from.
pub struct StandingHeaders {
    /// The record.
    pub user: Rc<User>,
    /// The assertion.
    pub assertion: Option<Rc<str>>,
    /// The headers.
    pub headers: Rc<Standing>,
}

/// An assertion, and for whom and until when it can be sent.
#[derive(Clone)]
pub struct SignedAssertion {
    /// The record it was made from.
    pub user: Rc<User>,
    /// From then on a new one is made.
    pub fresh_until: Timestamp,
    /// The token.
    pub token: Rc<str>,
}

impl Verified {
    /// A credential that was just verified.
    #[must_use]
    pub fn new(claims: Claims) -> Self {
        Self {
            claims,
            memo: RefCell::default(),
            growth: Growth::default(),
        }
    }

    /// What was made for it.
    #[must_use]
    pub fn memo(&self) -> Ref<'_, Memo> {
        self.memo.borrow()
    }

    /// Remembers what was made for it, and weighs that.
    pub fn remember(&self, change: impl FnOnce(&mut Memo)) {
        let mut memo = self.memo.borrow_mut();
        change(&mut memo);
        self.growth.set(memo.heap());
    }

    /// What it weighs with all that was made for it.
    #[must_use]
    pub fn weight(&self) -> usize {
        block(size_of::<Self>()) + self.heap() + self.growth.bytes()
    }

    /// When it ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        match &self.claims {
            Claims::Session(claims) => claims.expires_at,
            Claims::Sso(claims) => claims.expires_at,
            Claims::Foreign(claims) => claims.expires_at,
            Claims::ApiToken(claims) => claims.expires_at,
        }
    }

    /// What a token of another issuer has brought, directly or into a session.
    #[must_use]
    pub fn granted(&self) -> Option<&Rc<Granted>> {
        match &self.claims {
            Claims::Session(claims) => claims.granted.as_ref(),
            Claims::Foreign(claims) => Some(&claims.granted),
            Claims::Sso(_) | Claims::ApiToken(_) => None,
        }
    }
}

impl Weigh for Verified {
    fn heap(&self) -> usize {
        match &self.claims {
            Claims::Session(claims) => claims.heap(),
            Claims::Sso(claims) => claims.heap(),
            Claims::Foreign(claims) => claims.heap(),
            Claims::ApiToken(claims) => claims.id.heap() + claims.user.heap(),
        }
    }

    fn lies_on(&self, scale: Option<&Scale>) {
        self.growth.lies_on(scale);
    }
}

impl Weigh for Memo {
    fn heap(&self) -> usize {
        let merged = self.user.as_ref();
        let users = [
            merged.map(|(user, _)| user),
            merged.map(|(_, user)| user),
            self.standing.as_ref().map(|standing| &standing.user),
            self.assertion.as_ref().map(|assertion| &assertion.user),
            self.origin.as_ref().map(|origin| &origin.user),
        ];
        let standing = self.standing.as_ref().map_or(0, |standing| {
            standing.assertion.heap() + standing.headers.heap()
        });
        let origin = self
            .origin
            .as_ref()
            .map_or(0, |origin| origin.account.heap() + origin.headers.heap());
        let assertion = self.assertion.as_ref().map_or(0, |signed| {
            // As a rule the headers hold the same one.
            let shared = self.standing.as_ref().and_then(|s| s.assertion.as_ref());
            let is_same = shared.is_some_and(|other| Rc::ptr_eq(other, &signed.token));
            if is_same { 0 } else { signed.token.heap() }
        });
        once_each(users) + standing + origin + assertion
    }
}

/// What records weigh of which several may be the same.
fn once_each(users: [Option<&Rc<User>>; 5]) -> usize {
    let there = || users.into_iter().flatten();
    let is_new = |index: usize, user: &Rc<User>| {
        let mut before = there().take(index);
        !before.any(|other| Rc::ptr_eq(other, user))
    };
    let each = there().enumerate();
    each.filter(|(index, user)| is_new(*index, user))
        .map(|(_, user)| user.heap())
        .sum()
}

impl Weigh for CredentialKey {
    fn heap(&self) -> usize {
        self.0.heap()
    }
}

/// What was read of a user, if there is one, and when.
type ReadUser = (Option<Rc<User>>, Timestamp);

/// The isolate's memory.
pub struct Cache {
    sessions: RefCell<Shelf<String, (bool, Timestamp)>>,
    credentials: RefCell<Shelf<CredentialKey, Rc<Verified>>>,
    users: RefCell<Shelf<UserId, ReadUser>>,
    accounts: RefCell<Shelf<String, Known>>,
    admin_access: RefCell<Shelf<String, (Rc<str>, Timestamp)>>,
    signing_keys: RefCell<BTreeMap<Algorithm, (Rc<SigningKeys>, Timestamp)>>,
    /// Whether the writer of an algorithm's keys was asked to keep them.
    kept_keys: RefCell<BTreeMap<Algorithm, bool>>,
    /// The keys of issuers.
    pub issuer_keys: jwks::Memory,
    /// What this isolate itself has changed.
    pub own_changes: OwnChanges,
    /// Attempts at API tokens.
    pub attempts: attempts::Memory,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            sessions: RefCell::new(Shelf::new(memory::SESSIONS)),
            credentials: RefCell::new(Shelf::new(memory::CREDENTIALS)),
            users: RefCell::new(Shelf::new(memory::USERS)),
            signing_keys: RefCell::default(),
            kept_keys: RefCell::default(),
            accounts: RefCell::new(Shelf::new(memory::ACCOUNTS)),
            admin_access: RefCell::new(Shelf::new(memory::ADMIN_ACCESS)),
            issuer_keys: jwks::Memory::default(),
            attempts: attempts::Memory::default(),
            own_changes: OwnChanges::default(),
        }
    }
}

impl Cache {
    /// A credential seen before.
    #[must_use]
    pub fn credential(&self, key: &CredentialKey) -> Option<Rc<Verified>> {
        self.credentials.borrow_mut().get(key).map(Rc::clone)
    }

    /// Remembers a credential.
    pub fn put_credential(&self, mut key: CredentialKey, verified: Verified) -> Rc<Verified> {
        key.0.shrink_to_fit();
        let verified = Rc::new(verified);
        self.credentials.borrow_mut().put(key, Rc::clone(&verified));
        verified
    }

    /// What is known of a user, if it was read within `span` before `now`. The inner `None` is a
    /// user that does not exist.
    #[must_use]
    pub fn user(&self, id: &UserId, span: Seconds, now: Timestamp) -> Option<Option<Rc<User>>> {
        let mut users = self.users.borrow_mut();
        let (user, read_at) = users.get(id)?;
        is_fresh(*read_at, span, now).then(|| user.clone())
    }

    /// Remembers what was read of a user. A record that has not changed keeps its place in memory,
    /// so that what was made from it stays good.
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

    /// Remembers what this isolate has made of a user.
    pub fn put_changed_user(&self, id: &UserId, user: Option<&User>, now: Timestamp) {
        let user = user.map(|user| Rc::new(user.clone()));
        let user = self.own_changes.put_user(id, user, now);
        self.users.borrow_mut().put(id.clone(), (user, now));
    }

    /// Whether the session was ended, if that was asked within `span` before `now`.
    #[must_use]
    pub fn session_ended(&self, id: &str, span: Seconds, now: Timestamp) -> Option<bool> {
        if self.own_changes.has_ended(id) {
            return Some(true);
        }
        let mut sessions = self.sessions.borrow_mut();
        let (ended, at) = sessions.get(id)?;
        // What has ended does not begin again.
        (*ended || is_fresh(*at, span, now)).then_some(*ended)
    }

    /// Remembers whether a session was ended: of the session, and so of every copy of its cookie.
    pub fn put_session_ended(&self, id: &str, ended: bool, now: Timestamp) {
        self.sessions.borrow_mut().put(id.to_owned(), (ended, now));
    }

    /// The signing keys, if they were read within `span` before `now`.
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

    /// Remembers the signing keys.
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
        let share = memory::SIGNING_KEYS.bytes / memory::SIGNING_KEYS.number;
        if keys.heap() <= share {
            known.insert(algorithm, (Rc::clone(&keys), now));
        }
        drop(known);
        keys
    }

    /// The algorithms whose keys were read and not yet asked to be kept.
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

    /// Notes that keeping the keys of an algorithm did not work.
    pub fn keep_keys_again(&self, algorithm: Algorithm) {
        self.kept_keys.borrow_mut().insert(algorithm, false);
    }

    /// What is known of a user's account at the origin of a site.
    #[must_use]
    pub fn account(&self, site: &str, user: &str) -> Option<Known> {
        let mut accounts = self.accounts.borrow_mut();
        accounts.get(&account_key(site, user)).cloned()
    }

    /// Remembers what is known of an account.
    pub fn put_account(&self, site: &str, user: &str, known: Known) {
        self.accounts
            .borrow_mut()
            .put(account_key(site, user), known);
    }

    /// Notes that an origin did not take an account.
    pub fn doubt_account(&self, site: &str, user: &str) {
        if let Some(Known::Account(account)) = self.account(site, user) {
            account.doubted.set(true);
        }
    }

    /// Forgets an account.
    pub fn forget_account(&self, site: &str, user: &UserId) {
        self.accounts
            .borrow_mut()
            .pop(&account_key(site, user.as_str()));
    }

    /// The access token of the admin at the origin of a site, while it is fresh.
    #[must_use]
    pub fn admin_access(&self, site: &str, now: Timestamp) -> Option<Rc<str>> {
        let mut tokens = self.admin_access.borrow_mut();
        let (token, until) = tokens.get(site)?;
        (now < *until).then(|| Rc::clone(token))
    }

    /// Remembers it.
    pub fn put_admin_access(&self, site: &str, token: &Rc<str>, until: Timestamp) {
        self.admin_access
            .borrow_mut()
            .put(site.to_owned(), (Rc::clone(token), until));
    }

    /// What all of it weighs, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let keys = self.signing_keys.borrow();
        self.sessions.borrow().weight()
            + self.credentials.borrow().weight()
            + self.users.borrow().weight()
            + self.accounts.borrow().weight()
            + self.admin_access.borrow().weight()
            + keys.values().map(|(keys, _)| keys.heap()).sum::<usize>()
            + self.issuer_keys.weight()
            + self.attempts.weight()
            + self.own_changes.weight()
    }
}

/// Neither holds a line break.
fn account_key(site: &str, user: &str) -> String {
    format!("{site}\n{user}")
}

/// A clock that was set back makes nothing fresh.
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
