//! Whether a principal may do what it asks for. Pure; never knows HTTP.

use crate::principal::Principal;

/// The policy of a site.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rule {
    /// What happens to somebody who is not signed in.
    pub anonymous: Anonymous,
}

/// What happens to somebody who is not signed in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Anonymous {
    /// Refused.
    Deny,
    /// Refused, and a browser is sent to sign in.
    SignIn,
    /// Let through, without identity.
    Pass,
}

/// Proof that the rule was asked and said yes. Nothing is forwarded without one.
///
/// ```
/// use edgeward::access::{Anonymous, Rule, decide};
/// assert!(decide(Rule { anonymous: Anonymous::Pass }, None).is_ok());
/// assert!(decide(Rule { anonymous: Anonymous::Deny }, None).is_err());
/// ```
///
/// There is no other way to one:
///
/// ```compile_fail,E0451
/// let grant = edgeward::access::Grant { principal: None };
/// ```
pub struct Grant {
    principal: Option<Principal>,
}

impl Grant {
    /// Who was let through; `None` for somebody anonymous.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }
}

/// The rule wants somebody, and there is nobody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignInRequired;

/// Judges `principal` by `rule`.
///
/// # Errors
/// [`SignInRequired`].
pub fn decide(rule: Rule, principal: Option<Principal>) -> Result<Grant, SignInRequired> {
    match (principal, rule.anonymous) {
        (None, Anonymous::Deny | Anonymous::SignIn) => Err(SignInRequired),
        (principal, _) => Ok(Grant { principal }),
    }
}
