//! A credential whose signature and claims were right, and what was made for it.
//!
//! A hit in memory says that a signature matched. Expiry, rules and the user's state are judged again.

use std::cell::{Ref, RefCell};
use std::rc::Rc;

use crate::credential::foreign::ForeignClaims;
use crate::credential::origin_account::Account;
use crate::credential::session::SessionClaims;
use crate::credential::sso_token::SsoClaims;
use crate::http::headers::{HeaderChanges, Standing};
use crate::model::api_token::ApiTokenId;
use crate::model::claim::Granted;
use crate::model::user::{User, UserId};
use crate::platform::shelf::{Growth, Scale, Weigh, block};
use crate::platform::time::Timestamp;

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

    /// Gives back the room that was only needed while it was put together: it is kept.
    pub fn shrink_to_fit(&mut self) {
        self.0.shrink_to_fit();
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
    /// Whether the token is known to be no link (see [`crate::authn::link`]).
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
