//! Whether somebody may do what is asked for: the rules of a site, and what they say of a caller.
//! Pure; never knows HTTP, a token or the store. Rules are compiled when the configuration is read;
//! asking them waits for nothing and allocates nothing (but for a path with escapes).
//!
//! A rule *matches* by host, path and method alone; the first that matches decides, and what it
//! demands then holds or not. No later rule is asked.

pub mod claim;
mod explain;
pub mod network;
pub mod pattern;
pub mod requirement;
pub mod scope;

use std::fmt;
use std::net::IpAddr;

use crate::http::path::CanonicalPath;
use crate::model::claim::{NUMBERS, Reading};
use crate::model::user::Role;
pub use crate::rules::explain::explain;
pub(crate) use crate::rules::explain::object;
use crate::rules::pattern::{DecodedPath, PathPattern};
use crate::rules::requirement::Requirement;

/// What is asked for, as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The host in its one form.
    pub host: &'a str,
    /// The path that the origin would get.
    pub path: &'a CanonicalPath<'a>,
    /// The method; of a preflight, the one that it asks for.
    pub method: &'a str,
    /// Whether it is a true preflight (see [`crate::ask::asked::preflight`]).
    pub preflight: bool,
    /// The client's address, as the CDN saw it.
    pub address: Option<IpAddr>,
    /// The client's country, as the CDN knows it.
    pub country: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// For one of our own endpoints, which no rule is asked about.
    #[must_use]
    pub const fn of_our_own(host: &'a str, path: &'a CanonicalPath<'a>) -> Self {
        Self {
            host,
            path,
            method: "",
            preflight: false,
            address: None,
            country: None,
        }
    }
}

/// Who is asking, as rules see them.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The address.
    pub email: &'a str,
    /// The roles.
    pub roles: &'a [Role],
    /// The scopes.
    pub scopes: &'a [String],
    /// What else the credential says.
    pub claims: Reading<'a>,
    /// The tenant.
    pub tenant: Option<&'a str>,
    /// The workspace.
    pub workspace: Option<&'a str>,
    /// Who says so; empty for ourselves.
    pub issuer: &'a str,
}

/// The most steps that the rules of a site take to find the one for a path, by globs; a step moves
/// one glob by one byte. Some three milliseconds; a preflight may take them twice.
const MAX_STEPS: usize = 1 << 19;

/// The most globs that the rules of a site may have: a path of 2 KB is judged by as many.
pub const MAX_GLOBS: usize = 256;

/// The most bytes that all other paths of a site's rules may have.
pub const MAX_LITERALS: usize = 256 * 1024;

/// The policy of a site.
#[derive(Debug)]
pub struct Rules {
    list: Box<[Rule]>,
    /// The longest path that is judged.
    longest_path: usize,
    /// What decides where no rule matches.
    otherwise: Rule,
    reads_client: bool,
}

/// One rule: what it is for, what it demands, and what a client gets that does not meet it.
#[derive(Debug)]
pub struct Rule {
    /// Its place in the list, from 1; 0 is what decides where no rule matches.
    pub number: u16,
    /// What its deployer calls it.
    pub name: Option<Box<str>>,
    /// The hosts it is for; all of the site's when empty.
    pub hosts: Box<[Box<str>]>,
    /// The methods it is for; all when empty. `GET` stands for `HEAD` too.
    pub methods: Box<[Box<str>]>,
    /// The paths it is for; all when empty.
    pub paths: Box<[PathPattern]>,
    /// Who passes.
    pub demand: Demand,
    /// What somebody gets who is not signed in and would have to be.
    pub unauthenticated: Reaction,
    /// What somebody gets for whom signing in is not enough.
    pub unauthorised: Reaction,
    /// Whether true preflights for what it is for pass.
    pub preflight: bool,
}

/// Whom a rule lets pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Demand {
    /// No one.
    Deny,
    /// Everyone, without identity: no credential is read and none is forwarded.
    Public,
    /// Everyone who meets the requirement, signed in or not.
    Anonymous(Option<Requirement>),
    /// Signed-in users who meet the requirement.
    Authenticated(Requirement),
}

/// What a client gets that a rule turns away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reaction {
    /// The refusal, as a page or as JSON, whichever the client takes.
    Deny,
    /// A browser is sent to sign in; others get the refusal.
    Login,
    /// The refusal as a page, whatever the client takes.
    Page,
    /// 403, whatever the reason.
    Forbidden,
    /// 404, as if there were nothing.
    NotFound,
}

/// The first thing in which a rule is not for a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mismatch {
    /// Other hosts.
    Host,
    /// Other methods.
    Method,
    /// Other paths.
    Path,
}

impl Rule {
    /// A rule for everything.
    #[must_use]
    pub fn of_everything(demand: Demand, unauthenticated: Reaction) -> Self {
        Self {
            number: 0,
            name: None,
            hosts: Box::default(),
            methods: Box::default(),
            paths: Box::default(),
            demand,
            unauthenticated,
            unauthorised: Reaction::Deny,
            preflight: false,
        }
    }

    /// `path`: the one that is asked for, decoded.
    fn mismatch(&self, asked: &Asked<'_>, path: &DecodedPath<'_>) -> Option<Mismatch> {
        let is_for =
            |method: &str| method == asked.method || (method == "GET" && asked.method == "HEAD");
        if !self.hosts.is_empty() && !self.hosts.iter().any(|host| **host == *asked.host) {
            Some(Mismatch::Host)
        } else if !self.methods.is_empty() && !self.methods.iter().any(|method| is_for(method)) {
            Some(Mismatch::Method)
        } else if !self.paths.is_empty() && !self.paths.iter().any(|pattern| pattern.matches(path))
        {
            Some(Mismatch::Path)
        } else {
            None
        }
    }

    /// Whether everyone passes without identity, so that no credential need be read.
    #[must_use]
    pub const fn is_public(&self) -> bool {
        matches!(self.demand, Demand::Public)
    }

    /// Whether anonymous requests may pass.
    #[must_use]
    pub const fn admits_anonymous(&self) -> bool {
        matches!(self.demand, Demand::Public | Demand::Anonymous(_))
    }

    /// The requirement, besides being signed in.
    #[must_use]
    pub const fn requirement(&self) -> Option<&Requirement> {
        match &self.demand {
            Demand::Anonymous(Some(requirement)) | Demand::Authenticated(requirement) => {
                Some(requirement)
            }
            Demand::Deny | Demand::Public | Demand::Anonymous(None) => None,
        }
    }
}

impl Rules {
    /// Whether any of them lets anonymous requests pass.
    #[must_use]
    pub fn admit_anonymous(&self) -> bool {
        self.list.iter().any(Rule::admits_anonymous)
    }

    /// `list` in this order, and `otherwise` where none matches.
    #[must_use]
    pub fn new(mut list: Vec<Rule>, otherwise: Rule) -> Self {
        let mut numbers = 0..NUMBERS;
        for rule in &mut list {
            if let Demand::Anonymous(Some(asks)) | Demand::Authenticated(asks) = &mut rule.demand {
                asks.number_claims(&mut numbers);
            }
        }
        let asks = |r: &Requirement| matches!(r, Requirement::Network(_) | Requirement::Country(_));
        let reads_client = list
            .iter()
            .any(|rule| rule.requirement().is_some_and(|r| r.has(&asks)));
        let globs = list.iter().flat_map(|rule| &rule.paths);
        let globs = globs.filter(|path| path.most_steps().is_none()).count();
        Self {
            list: list.into(),
            longest_path: MAX_STEPS.checked_div(globs).unwrap_or(usize::MAX),
            otherwise,
            reads_client,
        }
    }

    /// Whether `path` is short enough to be judged: the more globs there are, the shorter.
    #[must_use]
    pub fn can_judge(&self, path: &CanonicalPath<'_>) -> bool {
        path.as_str().len() <= self.longest_path
    }

    /// The rule that decides. A path that is too long to be judged is one that no rule is for.
    #[must_use]
    pub fn rule_for(&self, asked: &Asked<'_>) -> &Rule {
        if !self.can_judge(asked.path) {
            return &self.otherwise;
        }
        let path = DecodedPath::of(asked.path);
        self.list
            .iter()
            .find(|rule| rule.mismatch(asked, &path).is_none())
            .unwrap_or(&self.otherwise)
    }

    /// What decides where no rule matches.
    #[must_use]
    pub const fn otherwise(&self) -> &Rule {
        &self.otherwise
    }

    /// Every rule, and what decides where none matches.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.list.iter().chain([&self.otherwise])
    }

    /// Whether any of them asks where the client is.
    #[must_use]
    pub const fn reads_client(&self) -> bool {
        self.reads_client
    }
}

/// Why a rule said no.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The rule's place in the list; 0 when none matched.
    pub rule: u16,
    /// What stood in the way.
    pub failing: Failing,
}

/// What stood in the way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failing {
    /// Somebody would have to be signed in.
    SignIn,
    /// No rule matches, or one that lets nobody pass.
    Denied,
    /// This requirement does not hold.
    Requirement(&'static str),
}

/// Without any value of a caller.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.rule, self.failing) {
            (0, Failing::Denied) => f.write_str("no rule matches"),
            (0, Failing::SignIn) => f.write_str("somebody must be signed in"),
            (0, Failing::Requirement(name)) => write!(f, "{name} does not hold"),
            (rule, Failing::Denied) => write!(f, "rule {rule} lets nobody pass"),
            (rule, Failing::SignIn) => write!(f, "rule {rule} wants somebody signed in"),
            (rule, Failing::Requirement(name)) => write!(f, "rule {rule}: {name} does not hold"),
        }
    }
}

impl Refusal {
    /// Whether scopes are what is missing (RFC 6750 §3.1).
    #[must_use]
    pub fn is_about_scope(&self) -> bool {
        matches!(
            self.failing,
            Failing::Requirement("scope" | "all_scopes" | "access")
        )
    }
}

/// Whether `rule` lets `subject` pass; for the grant, and for [`explain()`].
///
/// # Errors
/// [`Refusal`].
pub(crate) fn judge(
    rule: &Rule,
    asked: &Asked<'_>,
    subject: Option<&Subject<'_>>,
) -> Result<(), Refusal> {
    let refuse = |failing| {
        Err(Refusal {
            rule: rule.number,
            failing,
        })
    };
    // What a preflight asks for is asked for again, with credentials.
    if asked.preflight && rule.preflight {
        return Ok(());
    }
    let requirement = match &rule.demand {
        Demand::Public | Demand::Anonymous(None) => return Ok(()),
        // Where no rule matches, whoever is not signed in learns no more than that.
        Demand::Deny if rule.number == 0 && subject.is_none() => return refuse(Failing::SignIn),
        Demand::Deny => return refuse(Failing::Denied),
        Demand::Authenticated(_) if subject.is_none() => return refuse(Failing::SignIn),
        Demand::Anonymous(Some(requirement)) | Demand::Authenticated(requirement) => requirement,
    };
    if requirement.holds(asked, subject) == Some(true) {
        Ok(())
    } else if subject.is_none() && requirement.is_about_subject() {
        refuse(Failing::SignIn)
    } else {
        refuse(Failing::Requirement(requirement.failing(asked, subject)))
    }
}

#[cfg(test)]
mod tests;
