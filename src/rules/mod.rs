//! The policy of a site: its rules, and what they decide about a request. Pure; knows no
//! headers, no tokens and no store. Rules are compiled when the configuration is read; evaluating them never
//! waits, and allocates nothing.
//!
//! A rule *matches* by host, path and method alone. The first rule that matches decides; its
//! requirement is met or not, and no later rule is evaluated.

pub(crate) mod case;
pub mod claim;
mod explain;
pub mod network;
pub mod pattern;
pub mod requirement;
pub mod scope;
pub mod step_up;

use std::fmt;
use std::net::IpAddr;

use crate::http::path::RequestPath;
use crate::model::claim::{NUMBERS, Reading};
use crate::model::user::Role;
use crate::platform::time::Seconds;
pub use crate::rules::explain::explain;
pub(crate) use crate::rules::explain::object;
use crate::rules::pattern::PathPattern;
use crate::rules::requirement::Requirement;

/// A request as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// In its canonical form.
    pub host: &'a str,
    /// A reading of the path that the origin would receive.
    pub path: &'a [u8],
    /// Of a preflight, the method that it announces.
    pub method: &'a str,
    /// Whether it is a genuine preflight ([`crate::ask::asked::preflight`]).
    pub preflight: bool,
    /// As the CDN reports it.
    pub address: Option<IpAddr>,
    /// As the CDN reports it.
    pub country: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// For one of Edgeward's own endpoints, which no rule is about.
    #[must_use]
    pub fn of_our_own(host: &'a str, path: &'a RequestPath<'a>) -> Self {
        Self {
            host,
            path: path.reading(),
            method: "",
            preflight: false,
            address: None,
            country: None,
        }
    }
}

/// An authenticated caller as rules see it.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    pub email: Option<&'a str>,
    pub roles: &'a [Role],
    pub scopes: &'a [String],
    pub claims: Reading<'a>,
    pub tenant: Option<&'a str>,
    pub workspace: Option<&'a str>,
    /// The name of the issuer; empty for Edgeward itself.
    pub issuer: &'a str,
    /// By which methods the caller has signed in, as far as that is known.
    pub methods: &'a [String],
    /// How long ago, if that is known.
    pub age: Option<Seconds>,
}

/// The most steps to match a path against the globs of a site; a step advances one glob by one
/// byte. About three milliseconds; a preflight may need twice as many.
const MAX_STEPS: usize = 1 << 19;

/// The most steps to match all readings of a path against the other patterns of a site.
const MAX_LITERAL_STEPS: usize = 1 << 21;

/// The most globs in the rules of a site: with so many, a path of 2 KB can still be judged.
pub const MAX_GLOBS: usize = 256;

/// The most bytes in all other path patterns of a site.
pub const MAX_LITERALS: usize = 256 * 1024;

/// The policy of a site: its rules in order, and what decides where none matches.
#[derive(Debug)]
pub struct Rules {
    list: Box<[Rule]>,
    /// The longest path that can be judged, in bytes.
    longest_path: usize,
    /// The most steps to match a path against all patterns that are no globs.
    literals: usize,
    /// The rule that decides where no other matches.
    fallback: Rule,
    reads_client: bool,
    /// Whether paths are compared without regard to case; the patterns are folded then.
    ignores_case: bool,
}

/// A rule: which requests it matches, what it demands, and what clients get that do not meet it.
#[derive(Debug)]
pub struct Rule {
    /// The position in the list, from 1; 0 for the rule that decides where no other matches.
    pub number: u16,
    /// For the log and `explain`.
    pub name: Option<Box<str>>,
    /// The first of its patterns as it was written, for the log of a rule without a name.
    pub pattern: Option<Box<str>>,
    /// Empty for all hosts of the site.
    pub hosts: Box<[Box<str>]>,
    /// Empty for all methods. `GET` includes `HEAD`.
    pub methods: Box<[Box<str>]>,
    /// Empty for all paths.
    pub paths: Box<[PathPattern]>,
    pub demand: Demand,
    /// What an anonymous client gets if the rule demands signing in.
    pub unauthenticated: Reaction,
    /// What a signed-in user gets who does not meet the requirement.
    pub unauthorised: Reaction,
    /// Whether the rule allows genuine preflights for the requests that it matches.
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

/// What a client gets that a rule refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reaction {
    /// A page or JSON, whichever the client prefers.
    Deny,
    /// A browser is redirected to the sign-in page; other clients are refused.
    Login,
    /// A page, whatever the client prefers.
    Page,
    /// 403, whatever the reason.
    Forbidden,
    /// 404, to hide that the path exists.
    NotFound,
}

/// The first condition by which a rule does not match a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mismatch {
    Host,
    Method,
    Path,
}

impl Rule {
    /// A rule that matches every request.
    #[must_use]
    pub fn of_everything(demand: Demand, unauthenticated: Reaction) -> Self {
        Self {
            number: 0,
            name: None,
            pattern: None,
            hosts: Box::default(),
            methods: Box::default(),
            paths: Box::default(),
            demand,
            unauthenticated,
            unauthorised: Reaction::Deny,
            preflight: false,
        }
    }

    /// Why the rule does not match; `None` if it does.
    fn mismatch(&self, asked: &Asked<'_>) -> Option<Mismatch> {
        let is_for =
            |method: &str| method == asked.method || (method == "GET" && asked.method == "HEAD");
        if !self.hosts.is_empty() && !self.hosts.iter().any(|host| **host == *asked.host) {
            Some(Mismatch::Host)
        } else if !self.methods.is_empty() && !self.methods.iter().any(|method| is_for(method)) {
            Some(Mismatch::Method)
        } else if !self.paths.is_empty()
            && !self.paths.iter().any(|pattern| pattern.matches(asked.path))
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
    /// Whether any rule admits anonymous requests.
    #[must_use]
    pub fn admit_anonymous(&self) -> bool {
        self.list.iter().any(Rule::admits_anonymous)
    }

    /// Creates a policy: `list` in this order, and `fallback` where none matches.
    #[must_use]
    pub fn new(mut list: Vec<Rule>, fallback: Rule) -> Self {
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
        let patterns = || list.iter().flat_map(|rule| &rule.paths);
        let globs = patterns()
            .filter(|path| path.most_steps().is_none())
            .count();
        let literals = patterns().filter_map(PathPattern::most_steps).sum();
        Self {
            list: list.into(),
            longest_path: MAX_STEPS.checked_div(globs).unwrap_or(usize::MAX),
            literals,
            fallback,
            reads_client,
            ignores_case: false,
        }
    }

    /// The same policy for people who have signed in by one of `methods`, if there is any: whoever is signed in otherwise passes
    /// only where nobody is asked who they are.
    #[must_use]
    pub fn for_methods(mut self, methods: &[String]) -> Self {
        if methods.is_empty() {
            return self;
        }
        let asked = methods.iter().map(|method| Box::from(&**method)).collect();
        let asked = Requirement::Amr(asked);
        for rule in self.list.iter_mut().chain([&mut self.fallback]) {
            match &mut rule.demand {
                Demand::Deny | Demand::Public => {}
                Demand::Authenticated(first) => {
                    *first = Requirement::All([first.clone(), asked.clone()].into());
                }
                Demand::Anonymous(first) => {
                    let nobody = Requirement::Not(Box::new(Requirement::Authenticated));
                    let either = Requirement::Any([nobody, asked.clone()].into());
                    let both = first.take().into_iter().chain([either]);
                    *first = Some(Requirement::All(both.collect()));
                }
            }
        }
        self
    }

    /// The same policy, which compares paths without regard to case. Its patterns must have been made
    /// from [`pattern::folded`] texts.
    #[must_use]
    pub const fn ignoring_case(mut self) -> Self {
        self.ignores_case = true;
        self
    }

    /// Whether `path` is short enough to be judged in each of its readings: the more globs there are,
    /// the shorter it must be.
    #[must_use]
    pub fn can_judge(&self, path: &RequestPath<'_>) -> bool {
        if path.is_plain() {
            return path.as_str().len() <= self.longest_path;
        }
        let (mut count, mut bytes) = (0, 0);
        for reading in path.readings() {
            count += 1;
            bytes += reading.len();
        }
        bytes <= self.longest_path && (count == 1 || count * self.literals <= MAX_LITERAL_STEPS)
    }

    /// The rule that decides about a request. No rule matches a path that is too long to be judged.
    #[must_use]
    pub fn rule_for(&self, asked: &Asked<'_>) -> &Rule {
        if self.ignores_case {
            return self.rule_for_path(asked, &case::fold(asked.path));
        }
        self.rule_for_path(asked, asked.path)
    }

    /// Whether it compares paths without regard to case.
    #[must_use]
    pub const fn ignores_case(&self) -> bool {
        self.ignores_case
    }

    /// `path` as a server folds it that folds more letters than others, if it matters here.
    #[must_use]
    pub fn fold_widely(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.ignores_case.then(|| case::fold_widely(path)).flatten()
    }

    /// Whether some servers fold letters of `path` that others do not, and it matters here.
    #[must_use]
    pub fn folds_differently(&self, path: &[u8]) -> bool {
        self.ignores_case && case::fold_widely(path).is_some()
    }

    /// The rule that decides if the origin folds all letters that any server folds.
    #[must_use]
    pub fn rule_for_folded_widely(&self, asked: &Asked<'_>) -> &Rule {
        match case::fold_widely(asked.path) {
            Some(folded) => self.rule_for_path(asked, &folded),
            None => self.rule_for(asked),
        }
    }

    fn rule_for_path(&self, asked: &Asked<'_>, path: &[u8]) -> &Rule {
        let asked = &Asked { path, ..*asked };
        if asked.path.len() > self.longest_path {
            return &self.fallback;
        }
        self.list
            .iter()
            .find(|rule| rule.mismatch(asked).is_none())
            .unwrap_or(&self.fallback)
    }

    /// The rule that decides where no other matches.
    #[must_use]
    pub const fn fallback(&self) -> &Rule {
        &self.fallback
    }

    /// All rules, the one for what no other matches last.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.list.iter().chain([&self.fallback])
    }

    /// Whether any rule depends on the client's network or country.
    #[must_use]
    pub const fn reads_client(&self) -> bool {
        self.reads_client
    }
}

/// Why a rule refused a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The rule's position in the list; 0 if none matched.
    pub rule: u16,
    /// The reason of a refusal.
    pub failing: Failing,
}

/// The reason of a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failing {
    /// Signing in is required.
    SignIn,
    /// No rule matches, or a rule that denies everyone.
    Denied,
    /// The requirement with this name is not met.
    Requirement(&'static str),
    /// This one is not met, and a sign-in of another kind, or a more recent one, is all that is missing.
    SignInAgain(&'static str),
}

/// Contains no value of the caller.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.rule, self.failing) {
            (0, Failing::Denied) => f.write_str("no rule matches"),
            (0, Failing::SignIn) => f.write_str("signing in is required"),
            (0, Failing::Requirement(name) | Failing::SignInAgain(name)) => {
                write!(f, "requirement {name} is not met")
            }
            (rule, Failing::Denied) => write!(f, "rule {rule} denies everyone"),
            (rule, Failing::SignIn) => write!(f, "rule {rule} requires signing in"),
            (rule, Failing::Requirement(name) | Failing::SignInAgain(name)) => {
                write!(f, "rule {rule}: requirement {name} is not met")
            }
        }
    }
}

impl Refusal {
    /// Whether missing scopes are the reason (RFC 6750 §3.1).
    #[must_use]
    pub fn is_about_scope(&self) -> bool {
        matches!(
            self.failing,
            Failing::Requirement("scope" | "all_scopes" | "access")
        )
    }
}

/// Whether `rule` allows the request of `subject`; for the grant and for [`explain()`].
///
/// # Errors
/// [`Refusal`].
pub(crate) fn evaluate(
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
    // The request that a preflight announces is judged when it arrives, with its credentials.
    if asked.preflight && rule.preflight {
        return Ok(());
    }
    let requirement = match &rule.demand {
        Demand::Public | Demand::Anonymous(None) => return Ok(()),
        // Where no rule matches, anonymous clients learn only that they would have to sign in.
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
        let name = requirement.failing(asked, subject);
        refuse(if requirement.wants_again(asked, subject) {
            Failing::SignInAgain(name)
        } else {
            Failing::Requirement(name)
        })
    }
}

#[cfg(test)]
mod tests;
