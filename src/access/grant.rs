//! The proof that a rule allowed a request.

use crate::authn::principal::Principal;
use crate::platform::time::Timestamp;
use crate::rules::{self, Asked, Refusal, Rule};

/// Proof that a rule allowed the request. Nothing is forwarded without one.
///
/// ```
/// use edgeward::access::grant::decide;
/// use edgeward::platform::time::Timestamp;
/// use edgeward::rules::{Asked, Demand, Reaction, Rule};
/// use edgeward::http::path::RequestPath;
///
/// let path = RequestPath::parse("/").unwrap();
/// let asked = Asked { host: "a", path: path.reading(), method: "GET", preflight: false, address: None, country: None };
/// let now = Timestamp::from_seconds(0);
/// assert!(decide(&Rule::of_everything(Demand::Public, Reaction::Deny), &asked, None, now).is_ok());
/// assert!(decide(&Rule::of_everything(Demand::Deny, Reaction::Deny), &asked, None, now).is_err());
/// ```
///
/// There is no other way to make one:
///
/// ```compile_fail,E0451
/// let grant = edgeward::access::grant::Grant { principal: None };
/// ```
pub struct Grant {
    principal: Option<Principal>,
}

impl Grant {
    /// The authenticated caller; `None` for an anonymous one.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }
}

/// Judges `principal` by `rule`, the one that [`crate::rules::Rules::rule_for`] found.
///
/// # Errors
/// [`Refusal`].
pub fn decide(
    rule: &Rule,
    asked: &Asked<'_>,
    principal: Option<Principal>,
    now: Timestamp,
) -> Result<Grant, Refusal> {
    let subject = principal.as_ref().map(|principal| principal.subject(now));
    rules::evaluate(rule, asked, subject.as_ref())?;
    // Public paths are forwarded without identity. So are preflights: browsers send them without
    // credentials, so credentials on one are ignored.
    let is_anonymous = rule.is_public() || (asked.preflight && rule.preflight);
    Ok(Grant {
        principal: principal.filter(|_| !is_anonymous),
    })
}
