//! Who is calling. A [`Principal`] is made by [`crate::token::authenticate`] alone, out of a
//! credential that was verified and a user that may sign in.

use std::rc::Rc;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::access::Subject;
use crate::cache::Verified;
use crate::config::site::Source;
use crate::time::Timestamp;
use crate::user::User;

/// The authenticated caller. Only [`crate::token`] makes one, after everything was checked:
///
/// ```compile_fail,E0624
/// use std::rc::Rc;
/// use edgeward::cache::Verified;
/// use edgeward::config::site::Source;
///
/// fn forge(user: Rc<edgeward::user::User>, credential: Rc<Verified>) -> edgeward::principal::Principal {
///     edgeward::principal::Principal::new_unchecked(user, Source::Session, credential)
/// }
/// ```
///
/// ```compile_fail,E0616
/// fn become_another(mut principal: edgeward::principal::Principal, other: std::rc::Rc<edgeward::user::User>) {
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
    /// Only [`crate::token`] calls this, after signature, claims and the user's state were checked.
    pub(crate) fn new_unchecked(user: Rc<User>, source: Source, verified: Rc<Verified>) -> Self {
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

    /// What rules see of the caller. Our own credentials carry no scopes and no claims.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        static NO_CLAIMS: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        Subject {
            email: self.user.email.as_str(),
            roles: &self.user.roles,
            scopes: &[],
            claims: &NO_CLAIMS,
            tenant: None,
            workspace: None,
            issuer: "",
        }
    }

    /// When the credential ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.verified.expires_at()
    }
}

/// Something of a principal that an origin can be told.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// The user's id.
    Id,
    /// The address.
    Email,
    /// The username.
    Username,
    /// The given name.
    FirstName,
    /// The family name.
    LastName,
    /// Both names, or the username.
    Name,
    /// The roles, joined by commas.
    Roles,
    /// `true` or `false`.
    Staff,
    /// `true` or `false`.
    Superuser,
}

impl Attribute {
    /// The attribute's value for `user`.
    #[must_use]
    pub fn of(self, user: &User) -> String {
        match self {
            Self::Id => user.id.as_str().to_owned(),
            Self::Email => user.email.as_str().to_owned(),
            Self::Username => user.username.as_str().to_owned(),
            Self::FirstName => user.first_name.as_str().to_owned(),
            Self::LastName => user.last_name.as_str().to_owned(),
            Self::Name => user.display_name(),
            Self::Roles => user
                .roles
                .iter()
                .map(crate::user::Role::as_str)
                .collect::<Vec<_>>()
                .join(","),
            Self::Staff => user.staff.to_string(),
            Self::Superuser => user.superuser.to_string(),
        }
    }
}
