//! Where the readings of a path lead, for the log and for `explain`.

use std::fmt;

/// Where a reading of a path leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lead {
    /// To what the rule with this number decides; 0 for what no rule matches.
    Rule(u16),
    /// To what the rule with this number decides about preflights.
    Preflight(u16),
    /// To one of Edgeward's own endpoints.
    Endpoint,
    /// To another one than a reading before.
    OtherEndpoint,
    /// To a path of the application.
    Application,
    /// To a path that the site's profile treats in another way, within the same rule.
    OtherPlace,
    /// To the site with this name.
    Site(String),
    /// To a path at the host at which no site lives.
    NoSite,
    /// Out of the base path of the site's `upstream`.
    OutsideUpstream,
}

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(0) => f.write_str("no rule"),
            Self::Rule(number) => write!(f, "rule {number}"),
            Self::Preflight(number) => write!(f, "preflights of rule {number}"),
            Self::Endpoint => f.write_str("an endpoint of Edgeward"),
            Self::OtherEndpoint => f.write_str("another endpoint of Edgeward"),
            Self::Application => f.write_str("the application"),
            Self::Site(name) => write!(f, "site {name}"),
            Self::NoSite => f.write_str("no site"),
            Self::OutsideUpstream => f.write_str("a path outside of the site's upstream"),
            Self::OtherPlace => f.write_str("another kind of path of the application"),
        }
    }
}
