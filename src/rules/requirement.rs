//! A condition on the caller or on where a request comes from, or a combination of conditions.
//!
//! There are three results: met, not met, and unknown (no valid address, no country). `not` does
//! not turn unknown into met.

use std::fmt;

use crate::model::user::{Role, is_same_domain};
use crate::rules::claim::ClaimRequirement;
use crate::rules::network::Network;
use crate::rules::scope::Access;
use crate::rules::{Asked, Subject};

/// A list of which one item suffices.
pub type OneOf = Box<[Box<str>]>;

/// A compiled requirement.
#[derive(Clone, Debug, PartialEq)]
pub enum Requirement {
    /// The caller is signed in.
    Authenticated,
    /// The caller has one of these roles.
    Role(Box<[Role]>),
    /// The caller has all of these roles.
    AllRoles(Box<[Role]>),
    /// The caller has one of these scopes; compared exactly.
    Scope(OneOf),
    /// The caller has all of these scopes; compared exactly.
    AllScopes(OneOf),
    /// The caller's scopes, in USSO's form, cover one of these.
    Access(Box<[Access]>),
    Claim(ClaimRequirement),
    Tenant(OneOf),
    Workspace(OneOf),
    /// The caller's e-mail address is in one of these domains.
    EmailDomain(OneOf),
    /// The client's address is in one of these networks.
    Network(Box<[Network]>),
    /// The client is in one of these countries.
    Country(OneOf),
    /// The caller has signed in by one of these methods.
    Amr(OneOf),
    /// The caller has signed in less than so many seconds ago.
    MaxAge(u32),
    Not(Box<Requirement>),
    Any(Box<[Requirement]>),
    All(Box<[Requirement]>),
}

impl Requirement {
    /// The name of its setting.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Authenticated => "authenticated",
            Self::Role(_) => "role",
            Self::AllRoles(_) => "all_roles",
            Self::Scope(_) => "scope",
            Self::AllScopes(_) => "all_scopes",
            Self::Access(_) => "access",
            Self::Claim(_) => "claim",
            Self::Tenant(_) => "tenant",
            Self::Workspace(_) => "workspace",
            Self::EmailDomain(_) => "email_domain",
            Self::Network(_) => "network",
            Self::Country(_) => "country",
            Self::Amr(_) => "amr",
            Self::MaxAge(_) => "max_age",
            Self::Not(_) => "not",
            Self::Any(_) => "any",
            Self::All(_) => "all",
        }
    }

    /// Whether the requirement is met; `None` if that is unknown. An anonymous caller has no roles,
    /// scopes, claims, tenant or address.
    #[must_use]
    pub fn holds(&self, asked: &Asked<'_>, subject: Option<&Subject<'_>>) -> Option<bool> {
        self.holds_for(asked, subject, false)
    }

    /// Whether it is not met, and would be if the caller signed in once more, by whatever method it asks for. None of the
    /// requirements that such a sign-in meets stands below `not`.
    #[must_use]
    pub fn wants_again(&self, asked: &Asked<'_>, subject: Option<&Subject<'_>>) -> bool {
        subject.is_some()
            && self.holds(asked, subject) != Some(true)
            && self.holds_for(asked, subject, true) == Some(true)
    }

    /// `anew`: as if the caller had just signed in by every method.
    fn holds_for(
        &self,
        asked: &Asked<'_>,
        subject: Option<&Subject<'_>>,
        anew: bool,
    ) -> Option<bool> {
        let who = |holds: &dyn Fn(&Subject<'_>) -> bool| Some(subject.is_some_and(holds));
        match self {
            Self::Authenticated => Some(subject.is_some()),
            Self::Role(roles) => who(&|s| roles.iter().any(|role| s.roles.contains(role))),
            Self::AllRoles(roles) => who(&|s| roles.iter().all(|role| s.roles.contains(role))),
            Self::Scope(scopes) => who(&|s| scopes.iter().any(|scope| has(s.scopes, scope))),
            Self::AllScopes(scopes) => who(&|s| scopes.iter().all(|scope| has(s.scopes, scope))),
            Self::Access(wanted) => who(&|s| {
                let mut pairs = wanted
                    .iter()
                    .flat_map(|access| s.scopes.iter().map(move |scope| (access, scope)));
                pairs.any(|(access, scope)| access.is_covered_by(scope))
            }),
            Self::Claim(claim) => who(&|s| claim.holds(&s.claims)),
            Self::Tenant(tenants) => {
                who(&|s| s.tenant.is_some_and(|tenant| is_one_of(tenants, tenant)))
            }
            Self::Workspace(workspaces) => who(&|s| {
                s.workspace
                    .is_some_and(|workspace| is_one_of(workspaces, workspace))
            }),
            Self::EmailDomain(domains) => {
                let Some(subject) = subject else {
                    return Some(false);
                };
                // Of a user without an address nobody knows, so `not` lets nobody pass by it.
                let domain = domain_of(subject.email?);
                Some(domain.is_some_and(|domain| {
                    domains.iter().any(|known| is_same_domain(known, domain))
                }))
            }
            Self::Network(networks) => {
                let address = asked.address?;
                Some(networks.iter().any(|network| network.contains(address)))
            }
            Self::Country(countries) => {
                let country = asked.country.filter(|country| is_country(country))?;
                Some(
                    countries
                        .iter()
                        .any(|known| known.eq_ignore_ascii_case(country)),
                )
            }
            Self::Amr(methods) => {
                who(&|s| anew || s.methods.iter().any(|method| is_one_of(methods, method)))
            }
            Self::MaxAge(seconds) => who(&|s| anew || s.age.is_some_and(|age| age.0 < *seconds)),
            Self::Not(inner) => inner.holds_for(asked, subject, anew).map(|held| !held),
            Self::Any(inner) => settle(
                inner.iter().map(|r| r.holds_for(asked, subject, anew)),
                true,
            ),
            Self::All(inner) => settle(
                inner.iter().map(|r| r.holds_for(asked, subject, anew)),
                false,
            ),
        }
    }

    /// The name of the requirement that is not met: within `all`, the first one.
    #[must_use]
    pub fn failing(&self, asked: &Asked<'_>, subject: Option<&Subject<'_>>) -> &'static str {
        match self {
            Self::All(inner) => inner
                .iter()
                .find(|r| r.holds(asked, subject) != Some(true))
                .map_or(self.name(), |r| r.failing(asked, subject)),
            Self::Any(inner) if inner.len() == 1 => inner
                .first()
                .map_or(self.name(), |r| r.failing(asked, subject)),
            other => other.name(),
        }
    }

    /// Numbers the requirements on claims, so that each is evaluated once for a credential.
    pub(super) fn number_claims(&mut self, numbers: &mut impl Iterator<Item = u8>) {
        match self {
            Self::Claim(claim) => claim.set_number(numbers.next()),
            Self::Not(inner) => inner.number_claims(numbers),
            Self::Any(inner) | Self::All(inner) => {
                inner.iter_mut().for_each(|r| r.number_claims(numbers));
            }
            _ => {}
        }
    }

    /// The claims that it and the requirements inside it are about.
    #[must_use]
    pub fn claims(&self) -> Vec<&str> {
        match self {
            Self::Claim(claim) => vec![claim.path()],
            Self::Not(inner) => inner.claims(),
            Self::Any(inner) | Self::All(inner) => inner.iter().flat_map(Self::claims).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether `test` holds for this requirement or one inside it.
    pub fn has(&self, test: &dyn Fn(&Self) -> bool) -> bool {
        test(self)
            || match self {
                Self::Not(inner) => inner.has(test),
                Self::Any(inner) | Self::All(inner) => inner.iter().any(|r| r.has(test)),
                _ => false,
            }
    }

    /// Whether it depends on the caller, so that signing in may help.
    #[must_use]
    pub fn is_about_subject(&self) -> bool {
        self.has(&|r| {
            !matches!(
                r,
                Self::Network(_) | Self::Country(_) | Self::Not(_) | Self::Any(_) | Self::All(_)
            )
        })
    }

    /// The names of the requirements that no caller can meet, because no issuer provides what they
    /// are about; empty if it can be met.
    #[must_use]
    pub fn unmeetable(&self, provided: &Provided) -> Vec<&'static str> {
        let lacks = match self {
            Self::Scope(_) | Self::AllScopes(_) | Self::Access(_) => !provided.scopes,
            Self::Claim(_) => !provided.claims,
            Self::Tenant(_) => !provided.tenant,
            Self::Workspace(_) => !provided.workspace,
            Self::Amr(_) | Self::MaxAge(_) => !provided.sign_ins,
            Self::All(inner) => return inner.iter().flat_map(|r| r.unmeetable(provided)).collect(),
            Self::Any(inner) => {
                let each: Vec<Vec<_>> = inner.iter().map(|r| r.unmeetable(provided)).collect();
                return if each.iter().all(|names| !names.is_empty()) {
                    each.concat()
                } else {
                    Vec::new()
                };
            }
            _ => false,
        };
        if lacks { vec![self.name()] } else { Vec::new() }
    }
}

/// What the issuers of a site, taken together, can state about a caller.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Provided {
    pub scopes: bool,
    pub claims: bool,
    pub tenant: bool,
    pub workspace: bool,
    /// How and when the caller has signed in.
    pub sign_ins: bool,
}

/// Kleene's `any` (`decisive` is true) or `all` (false): one decisive result decides; otherwise an
/// unknown one makes the result unknown.
fn settle(answers: impl Iterator<Item = Option<bool>>, decisive: bool) -> Option<bool> {
    let mut told = true;
    for answer in answers {
        match answer {
            Some(held) if held == decisive => return Some(decisive),
            Some(_) => {}
            None => told = false,
        }
    }
    told.then_some(!decisive)
}

fn has(scopes: &[String], scope: &str) -> bool {
    scopes.iter().any(|held| held == scope)
}

fn is_one_of(known: &OneOf, text: &str) -> bool {
    known.iter().any(|one| **one == *text)
}

/// The part after the only `@` of an address; `None` for any other text.
fn domain_of(email: &str) -> Option<&str> {
    let (local, domain) = email.split_once('@')?;
    (!local.is_empty() && !domain.is_empty() && !domain.contains('@')).then_some(domain)
}

/// Whether `text` is a known country: two letters (ISO 3166-1), or a letter and a digit as for Tor.
/// The CDN reports `XX` if it does not know.
pub(crate) fn is_country(text: &str) -> bool {
    text.len() == 2
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
        && !text.eq_ignore_ascii_case("xx")
}

/// As it was configured, without the value of a claim.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let list = |f: &mut fmt::Formatter<'_>, items: &mut dyn Iterator<Item = &str>| {
            for (index, item) in items.enumerate() {
                f.write_str(if index == 0 { " " } else { " | " })?;
                f.write_str(item)?;
            }
            Ok(())
        };
        match self {
            Self::Role(roles) | Self::AllRoles(roles) => {
                list(f, &mut roles.iter().map(Role::as_str))
            }
            Self::Scope(texts)
            | Self::AllScopes(texts)
            | Self::Tenant(texts)
            | Self::Workspace(texts)
            | Self::EmailDomain(texts)
            | Self::Amr(texts)
            | Self::Country(texts) => list(f, &mut texts.iter().map(|text| &**text)),
            Self::Access(wanted) => list(f, &mut wanted.iter().map(Access::as_str)),
            Self::Claim(claim) => list(f, &mut std::iter::once(claim.path())),
            Self::Network(networks) => networks
                .iter()
                .try_for_each(|network| write!(f, " {network}")),
            Self::MaxAge(seconds) => write!(f, " {seconds}"),
            Self::Authenticated | Self::Not(_) | Self::Any(_) | Self::All(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::path::RequestPath;
    use crate::model::claim::Reading;
    use serde_json::{Map, json};

    fn texts(list: &[&str]) -> OneOf {
        list.iter().map(|text| Box::from(*text)).collect()
    }

    struct Caller {
        email: Option<&'static str>,
        roles: Vec<Role>,
        scopes: Vec<String>,
        claims: Map<String, serde_json::Value>,
    }

    fn caller(email: impl Into<Option<&'static str>>) -> Caller {
        Caller {
            email: email.into(),
            roles: ["editor", "staff"]
                .iter()
                .filter_map(|r| Role::parse(r))
                .collect(),
            scopes: vec!["read:files".into(), "openid".into()],
            claims: json!({"plan": "gold"}).as_object().unwrap().clone(),
        }
    }

    fn asks(
        requirement: &Requirement,
        caller: Option<&Caller>,
        address: Option<&str>,
        country: Option<&str>,
    ) -> Option<bool> {
        let path = RequestPath::parse("/").unwrap();
        let asked = Asked {
            host: "site.example",
            path: path.reading(),
            method: "GET",
            preflight: false,
            address: address.and_then(|text| text.parse().ok()),
            country,
        };
        let subject = caller.map(|caller| Subject {
            email: caller.email,
            roles: &caller.roles,
            scopes: &caller.scopes,
            claims: Reading::from(&caller.claims),
            tenant: Some("acme"),
            workspace: None,
            issuer: "",
            methods: &[],
            age: None,
        });
        requirement.holds(&asked, subject.as_ref())
    }

    fn role(names: &[&str]) -> Box<[Role]> {
        names.iter().filter_map(|r| Role::parse(r)).collect()
    }

    #[test]
    fn each_requirement_asks_for_one_thing() {
        let somebody = caller("ada@example.com");
        for (requirement, expected) in [
            (Requirement::Authenticated, true),
            (Requirement::Role(role(&["admin", "editor"])), true),
            (Requirement::Role(role(&["Editor"])), false),
            (Requirement::AllRoles(role(&["editor", "staff"])), true),
            (Requirement::AllRoles(role(&["editor", "admin"])), false),
            (Requirement::Scope(texts(&["openid"])), true),
            (Requirement::Scope(texts(&["open"])), false),
            (Requirement::AllScopes(texts(&["openid", "x"])), false),
            (
                Requirement::Access(Box::new([Access::parse("read:files").unwrap()])),
                true,
            ),
            (
                Requirement::Access(Box::new([Access::parse("update:files").unwrap()])),
                false,
            ),
            (
                Requirement::Claim(ClaimRequirement::new("plan", Some(json!("gold"))).unwrap()),
                true,
            ),
            (
                Requirement::Claim(ClaimRequirement::new("plan", Some(json!("tin"))).unwrap()),
                false,
            ),
            (Requirement::Tenant(texts(&["acme"])), true),
            (Requirement::Tenant(texts(&["ACME", "acm"])), false),
            (Requirement::Workspace(texts(&["w"])), false),
            (Requirement::EmailDomain(texts(&["example.com"])), true),
        ] {
            assert_eq!(
                asks(&requirement, Some(&somebody), None, None),
                Some(expected),
                "{requirement}"
            );
            assert_eq!(
                asks(&requirement, None, None, None),
                Some(false),
                "{requirement}"
            );
        }
    }

    #[test]
    fn sec_58_a_domain_is_what_follows_the_only_at_sign() {
        let rule = Requirement::EmailDomain(texts(&["example.com"]));
        for good in ["a@example.com", "a@EXAMPLE.com"] {
            assert_eq!(
                asks(&rule, Some(&caller(good)), None, None),
                Some(true),
                "{good}"
            );
        }
        for bad in [
            "a@evil.net@example.com",
            "a@example.com@evil.net",
            "@example.com",
            "example.com",
            "a@",
            "a@xexample.com",
            "a@example.com.evil.net",
            "a@sub.example.com",
            "a@example.com.",
            "a@example.com ",
            "",
        ] {
            assert_eq!(
                asks(&rule, Some(&caller(bad)), None, None),
                Some(false),
                "{bad}"
            );
        }
    }

    #[test]
    fn sec_47_what_cannot_be_told_holds_neither_way() {
        let office = Requirement::Network(Box::new([Network::parse("192.0.2.0/24").unwrap()]));
        let home = Requirement::Country(texts(&["DE"]));
        assert_eq!(asks(&office, None, Some("192.0.2.9"), None), Some(true));
        assert_eq!(asks(&home, None, None, Some("DE")), Some(true));
        let no_country = ["", "D", "DEU", "DE, US", "XX", "--"];
        for country in no_country.map(Some).into_iter().chain([None]) {
            assert_eq!(asks(&home, None, None, country), None, "{country:?}");
            let not = Requirement::Not(Box::new(home.clone()));
            assert_eq!(asks(&not, None, None, country), None);
        }
        for address in [None, Some("unknown"), Some("192.0.2.9, 1.2.3.4"), Some("")] {
            assert_eq!(asks(&office, None, address, None), None);
            let not = Requirement::Not(Box::new(office.clone()));
            assert_eq!(asks(&not, None, address, None), None);
            let either = Requirement::Any(Box::new([office.clone(), Requirement::Authenticated]));
            assert_eq!(asks(&either, None, address, None), None);
            assert_eq!(
                asks(&either, Some(&caller("a@b.c")), address, None),
                Some(true)
            );
            let both = Requirement::All(Box::new([office.clone(), Requirement::Authenticated]));
            assert_eq!(asks(&both, None, address, None), Some(false));
        }
    }

    #[test]
    fn what_no_issuer_gives_is_named() {
        let scope = Requirement::Scope(texts(&["x"]));
        let tenant = Requirement::Tenant(texts(&["x"]));
        let provided = Provided {
            tenant: true,
            ..Provided::default()
        };
        assert_eq!(scope.unmeetable(&provided), ["scope"]);
        assert!(tenant.unmeetable(&provided).is_empty());
        assert!(
            Requirement::Any(Box::new([scope.clone(), tenant.clone()]))
                .unmeetable(&provided)
                .is_empty()
        );
        assert_eq!(
            Requirement::All(Box::new([scope.clone(), tenant])).unmeetable(&provided),
            ["scope"]
        );
        assert!(
            Requirement::Not(Box::new(scope))
                .unmeetable(&provided)
                .is_empty()
        );
    }
}
