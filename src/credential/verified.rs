//! A verified credential, and what was derived from it.
//!
//! A cache hit means only that the signature matched. Expiry, rules and the user's state are
//! evaluated each time.

use std::cell::{Ref, RefCell};
use std::rc::Rc;

use crate::credential::foreign::ForeignClaims;
use crate::credential::origin_account::Account;
use crate::credential::session::SessionClaims;
use crate::credential::sso_token::SsoClaims;
use crate::http::headers::{CallerHeaders, HeaderChanges};
use crate::model::api_token::ApiTokenId;
use crate::model::claim::Granted;
use crate::model::proof::Proof;
use crate::model::user::{User, UserId};
use crate::platform::digest::{hex, sha256};
use crate::platform::shelf::{Growth, Scale, Weigh, block};
use crate::platform::time::Timestamp;
use crate::site::Site;

/// The cache key of a credential: the whole credential, its kind, and the site, so that no other
/// credential is found under it.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct CredentialKey(String);

impl CredentialKey {
    /// The key of `credential`, presented as `kind` at `site`. Lengths come first, so that no two
    /// different triples have the same key.
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

    /// Frees the spare capacity before the key is cached.
    pub fn shrink_to_fit(&mut self) {
        self.0.shrink_to_fit();
    }
}

/// A credential whose signature and claims were valid when they were verified.
pub struct Verified {
    pub claims: Claims,
    memo: RefCell<Memo>,
    growth: Growth,
}

/// The claims of a verified credential.
pub enum Claims {
    Session(SessionClaims),
    Sso(SsoClaims),
    Foreign(ForeignClaims),
    ApiToken(ActingClaims),
}

impl Claims {
    /// The name under which a token is known to be ended before its time; `None` for what is no token of a sign-in. A hash,
    /// because an issuer chooses the ids of its tokens.
    #[must_use]
    pub fn token_name(&self, site: &Site) -> Option<String> {
        let (realm, id) = match self {
            Self::Sso(claims) => (&site.name, &claims.id),
            Self::Foreign(claims) => (&claims.granted.issuer, &claims.id),
            Self::Session(_) | Self::ApiToken(_) => return None,
        };
        Some(hex(&sha256(format!("token\n{realm}\n{id}").as_bytes())))
    }
}

/// An API token that acts as a user.
pub struct ActingClaims {
    pub id: ApiTokenId,
    /// The user that it acts as.
    pub user: UserId,
    /// When it expires.
    pub expires_at: Timestamp,
    pub read_at: Timestamp,
}

/// What was derived from a credential and can be used again while it is fresh.
#[derive(Default)]
pub struct Memo {
    /// Whether the token is known not to be a link (see [`crate::authn::link`]).
    pub no_link: bool,
    /// The user's record, and the record merged with what an issuer granted.
    pub user: Option<(Rc<User>, Rc<User>)>,
    /// The headers that the origin gets with every request.
    pub caller_headers: Option<DerivedCallerHeaders>,
    pub assertion: Option<SignedAssertion>,
    /// For a site with a profile, the credential for its origin.
    pub origin: Option<OriginCredential>,
}

/// A credential for the origin of a site with a profile.
pub struct OriginCredential {
    /// The record that it was derived from.
    pub user: Rc<User>,
    /// When it is replaced by a new one.
    pub fresh_until: Timestamp,
    pub account: Rc<Account>,
    pub headers: Rc<HeaderChanges>,
}

/// The headers that an origin gets with every request of a caller, and what they were derived from.
pub struct DerivedCallerHeaders {
    pub user: Rc<User>,
    pub assertion: Option<Rc<str>>,
    pub headers: Rc<CallerHeaders>,
}

/// A signed assertion.
#[derive(Clone)]
pub struct SignedAssertion {
    /// The record that it was derived from.
    pub user: Rc<User>,
    /// When it is replaced by a new one.
    pub fresh_until: Timestamp,
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

    /// What was derived from it.
    #[must_use]
    pub fn memo(&self) -> Ref<'_, Memo> {
        self.memo.borrow()
    }

    /// Keeps what was derived from it, and weighs that.
    pub fn remember(&self, change: impl FnOnce(&mut Memo)) {
        let mut memo = self.memo.borrow_mut();
        change(&mut memo);
        self.growth.set(memo.heap());
    }

    /// Its weight in bytes, including what was derived from it.
    #[must_use]
    pub fn weight(&self) -> usize {
        block(size_of::<Self>()) + self.heap() + self.growth.bytes()
    }

    /// When it was issued; of an API token, when it was read.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        match &self.claims {
            Claims::Session(claims) => claims.issued_at,
            Claims::Sso(claims) => claims.issued_at,
            Claims::Foreign(claims) => claims.issued_at,
            Claims::ApiToken(claims) => claims.read_at,
        }
    }

    /// When it expires.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        match &self.claims {
            Claims::Session(claims) => claims.expires_at,
            Claims::Sso(claims) => claims.expires_at,
            Claims::Foreign(claims) => claims.expires_at,
            Claims::ApiToken(claims) => claims.expires_at,
        }
    }

    /// Whether its first use makes the user whom it stands for.
    #[must_use]
    pub fn would_create(&self) -> bool {
        matches!(&self.claims, Claims::Foreign(claims) if claims.known_user().is_none())
    }

    /// What a token of another issuer added, directly or through the session it opened.
    #[must_use]
    pub fn granted(&self) -> Option<&Rc<Granted>> {
        match &self.claims {
            Claims::Session(claims) => claims.granted.as_ref(),
            Claims::Foreign(claims) => Some(&claims.granted),
            Claims::Sso(_) | Claims::ApiToken(_) => None,
        }
    }
}

impl Verified {
    /// How and when the person has signed in, as far as it proves that. SSO tokens and API tokens prove nothing of it: an
    /// application or a program presents them.
    #[must_use]
    pub fn proof(&self) -> Option<&Rc<Proof>> {
        match &self.claims {
            Claims::Session(claims) => claims.proof.as_ref(),
            Claims::Foreign(claims) => claims.proof.as_ref(),
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

    fn attach(&self, scale: Option<&Scale>) {
        self.growth.attach(scale);
    }
}

impl Weigh for Memo {
    fn heap(&self) -> usize {
        let merged = self.user.as_ref();
        let users = [
            merged.map(|(user, _)| user),
            merged.map(|(_, user)| user),
            self.caller_headers
                .as_ref()
                .map(|caller_headers| &caller_headers.user),
            self.assertion.as_ref().map(|assertion| &assertion.user),
            self.origin.as_ref().map(|origin| &origin.user),
        ];
        let caller_headers = self.caller_headers.as_ref().map_or(0, |caller_headers| {
            caller_headers.assertion.heap() + caller_headers.headers.heap()
        });
        let origin = self
            .origin
            .as_ref()
            .map_or(0, |origin| origin.account.heap() + origin.headers.heap());
        let assertion = self.assertion.as_ref().map_or(0, |signed| {
            // Usually the headers contain the same assertion.
            let shared = self
                .caller_headers
                .as_ref()
                .and_then(|s| s.assertion.as_ref());
            let is_same = shared.is_some_and(|other| Rc::ptr_eq(other, &signed.token));
            if is_same { 0 } else { signed.token.heap() }
        });
        once_each(users) + caller_headers + origin + assertion
    }
}

/// The weight of records of which several may be the same one.
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
