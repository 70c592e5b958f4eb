//! Who is calling. A [`Principal`] is made by [`crate::authn::authenticate`] alone, out of a
//! credential that was verified and a user that may sign in.

use std::rc::Rc;

use crate::credential::verified::Verified;
use crate::model::claim::Reading;
use crate::model::user::{Role, Tenant, User};
use crate::platform::time::Timestamp;
use crate::rules::Subject;
use crate::site::Source;

/// The authenticated caller. Only [`crate::authn`] makes one, after everything was checked:
///
/// ```compile_fail,E0624
/// use std::rc::Rc;
/// use edgeward::credential::verified::Verified;
/// use edgeward::site::Source;
///
/// fn forge(user: Rc<edgeward::model::user::User>, credential: Rc<Verified>) -> edgeward::authn::principal::Principal {
///     edgeward::authn::principal::Principal::new_unchecked(user, Source::Session, credential)
/// }
/// ```
///
/// ```compile_fail,E0616
/// fn become_another(mut principal: edgeward::authn::principal::Principal, other: std::rc::Rc<edgeward::model::user::User>) {
///     principal.user = other;
/// }
/// ```
#[derive(Clone)]
pub struct Principal {
    user: Rc<User>,
    source: Source,
    verified: Rc<Verified>,
}

impl Principal {
    /// Only [`crate::authn`] calls this, after signature, claims and the user's state were checked.
    pub(super) fn new_unchecked(user: Rc<User>, source: Source, verified: Rc<Verified>) -> Self {
        Self {
            user,
            source,
            verified,
        }
    }

    /// For tests of other rooms.
    #[cfg(test)]
    pub(crate) const fn of_test(user: Rc<User>, source: Source, verified: Rc<Verified>) -> Self {
        Self {
            user,
            source,
            verified,
        }
    }

    /// The user's record.
    #[must_use]
    pub fn user(&self) -> &Rc<User> {
        &self.user
    }

    /// Where the credential was.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// The credential.
    #[must_use]
    pub fn verified(&self) -> &Rc<Verified> {
        &self.verified
    }

    /// What rules see of the caller at this moment.
    #[must_use]
    pub fn subject(&self, now: Timestamp) -> Subject<'_> {
        let proof = self.verified.proof();
        let at = proof.and_then(|proof| proof.at);
        Subject {
            email: self.user.address(),
            roles: self.roles(),
            scopes: self.scopes(),
            claims: self.claims(),
            tenant: self.tenant(),
            workspace: self.workspace(),
            issuer: self.issuer(),
            methods: proof.map_or(&[], |proof| &proof.methods),
            age: at.map(|at| now.since(at)),
        }
    }

    /// The roles: the user's own, and those that the token's issuer has granted.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        &self.user.roles
    }

    /// The scopes that the token of another issuer has brought.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        self.verified
            .granted()
            .map_or(&[], |granted| &granted.scopes)
    }

    /// The claims that the token of another issuer has brought, as far as they are kept.
    #[must_use]
    pub fn claims(&self) -> Reading<'_> {
        Reading::new(self.verified.granted().map(|granted| &granted.claims))
    }

    /// The tenant: the one that the user is of, or the one that the token names at a site that does
    /// not tell tenants apart.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        let own = self.user.tenant.as_ref().map(Tenant::as_str);
        own.or_else(|| self.verified.granted()?.tenant.as_deref())
    }

    /// The workspace that the token of another issuer names.
    #[must_use]
    pub fn workspace(&self) -> Option<&str> {
        self.verified.granted()?.workspace.as_deref()
    }

    /// The name of the issuer in the configuration; `edgeward` for what we have issued.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.verified
            .granted()
            .map_or("edgeward", |granted| &granted.issuer)
    }

    /// When the credential ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.verified.expires_at()
    }
}
