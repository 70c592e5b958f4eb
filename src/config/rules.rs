//! The rules of a site as they are written, and their conversion to [`crate::rules`].

use serde::Deserialize;
use serde_json::Value;

use crate::config::raw::RawUnauthenticated;
use crate::config::reader::{
    Bindings, Field, GATEWAY, ISSUER, PROVIDER, RULES, Reader, Texts, table,
};
use crate::http::host::canonical_host;
use crate::model::proof::{LINK, OF_ISSUER, OF_PROVIDER, PASSKEY, PASSWORD};
use crate::model::user::{Role, parse_domain};
use crate::rules::claim::ClaimRequirement;
use crate::rules::network::Network;
use crate::rules::pattern::{self, PathPattern, PatternError};
use crate::rules::requirement::{Requirement, Requirement as R, is_country};
use crate::rules::scope::Access;
use crate::rules::{Demand, MAX_GLOBS, MAX_LITERALS, Reaction, Rule, Rules};

/// The deepest nesting of requirements.
const MAX_DEPTH: usize = 8;
/// The most requirements in one rule.
const MAX_REQUIREMENTS: usize = 100;
/// The most rules of a site.
const MAX_RULES: usize = 500;

table! {
    /// A rule: which requests it matches, who is allowed, and what others get.
    pub struct RawRule {
        /// The name of the rule in the log and in `explain`.
        name: Field<String>,
        /// The hosts it matches, each one of the site's; defaults to all.
        host: Field<Texts>,
        /// The methods it matches; defaults to all. `GET` includes `HEAD`.
        method: Field<Texts>,
        /// Paths it matches exactly.
        path: Field<Texts>,
        /// Paths it matches with everything below them.
        prefix: Field<Texts>,
        /// Paths it matches: `*` stands for part of a segment, `**` for any number of segments.
        glob: Field<Texts>,
        /// Everyone is allowed, without identity: no credential is read and none is forwarded.
        public: Field<bool>,
        /// Anonymous clients are allowed too, if they meet the requirements (if any).
        anonymous_ok: Field<bool>,
        /// Everyone is denied.
        deny: Field<bool>,
        /// What a signed-in user must meet.
        require: Field<RawRequirement>,
        /// What an anonymous client gets where signing in is required; defaults to the site's
        /// setting.
        unauthenticated: Field<RawReaction>,
        /// What a signed-in user gets who does not meet the requirements.
        unauthorised: Field<RawReaction>,
        /// Whether CORS preflights for the requests it matches are allowed.
        preflight: Field<bool>,
    }
}

/// What a client gets that a rule refuses.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawReaction {
    /// 401 or 403, as a page or JSON, whichever the client prefers.
    Deny,
    /// Browsers are redirected to `login_url`; other clients get 401 or 403.
    Login,
    /// 401 or 403 as a page, whatever the client prefers.
    Page,
    /// 403, whatever the reason.
    Forbidden,
    /// 404, to hide that the path exists.
    NotFound,
}

impl From<RawReaction> for Reaction {
    fn from(raw: RawReaction) -> Self {
        match raw {
            RawReaction::Deny => Self::Deny,
            RawReaction::Login => Self::Login,
            RawReaction::Page => Self::Page,
            RawReaction::Forbidden => Self::Forbidden,
            RawReaction::NotFound => Self::NotFound,
        }
    }
}

table! {
    /// Requirements. All of them must be met; of a list, one item suffices.
    pub struct RawRequirement {
        /// The caller is signed in.
        authenticated: Field<bool>,
        /// The caller has one of these roles.
        role: Field<Texts>,
        /// The caller has all of these roles.
        all_roles: Field<Texts>,
        /// The caller has one of these scopes; compared exactly.
        scope: Field<Texts>,
        /// The caller has all of these scopes; compared exactly.
        all_scopes: Field<Texts>,
        /// One of these accesses, `action:path?filter`, is covered by a scope of the caller.
        access: Field<Texts>,
        /// A claim of the caller's token.
        claim: Field<RawClaim>,
        /// The caller's tenant is one of these.
        tenant: Field<Texts>,
        /// The caller's workspace is one of these.
        workspace: Field<Texts>,
        /// The caller's e-mail address is in one of these domains.
        email_domain: Field<Texts>,
        /// The client is in one of these networks: `192.0.2.0/24`, `2001:db8::/32`, or an address.
        network: Field<Texts>,
        /// The client is in one of these countries: two letters, as the CDN reports them.
        country: Field<Texts>,
        /// The caller has signed in by one of these methods: `password`, `passkey`, `link`, `provider:<name>`,
        /// `provider:<name>:<value of amr>` or `issuer:<name>:<value of amr>`.
        amr: Field<Texts>,
        /// The caller has signed in less than so many seconds ago, from 60 to 30 days.
        max_age: Field<u32>,
        /// These requirements, together, are not met.
        not: Field<Box<RawRequirement>>,
        /// One of these is met.
        any: Field<Vec<Field<RawRequirement>>>,
        /// All of these are met.
        all: Field<Vec<Field<RawRequirement>>>,
    }
}

table! {
    /// A claim.
    #[cfg_attr(feature = "schema", schemars(extend("required" = ["path"])))]
    pub struct RawClaim {
        /// The path of the claim: names separated by dots.
        path: Field<String>,
        /// The required value, or a list of allowed ones; without it, the claim must be true.
        value: Field<Value>,
    }
}

/// What the rules of a site refer to.
pub(super) struct Around<'a> {
    /// The site's binding after `EDGEWARD_SITE_`.
    pub binding: &'a str,
    pub hosts: &'a [String],
    /// Whether the site has a sign-in page.
    pub has_login: bool,
    /// Whether Edgeward answers preflights itself.
    pub has_cors: bool,
    /// Whether the origin takes upper and lower case in paths for the same.
    pub ignores_case: bool,
    pub bindings: &'a Bindings,
}

/// Reads the rules of a site, from its table or from bindings of their own, or the single rule that
/// `unauthenticated` stands for.
pub(super) fn read(
    reader: &mut Reader<'_>,
    field: Field<Vec<Field<RawRule>>>,
    unauthenticated: Field<RawUnauthenticated>,
    around: &Around<'_>,
) -> Option<Rules> {
    let cased = |rules: Rules| {
        if around.ignores_case {
            rules.ignoring_case()
        } else {
            rules
        }
    };
    let own = own_bindings(around.bindings, around.binding);
    let in_table = field.is_given();
    if in_table && !own.is_empty() {
        reader.error(
            "rules",
            format!("are also given in {RULES}{}", around.binding),
        );
    }
    let given = in_table || !own.is_empty();
    let default = if given {
        reader.optional("unauthenticated", unauthenticated)
    } else {
        reader.required("unauthenticated", unauthenticated)
    };
    reader.check(
        "login_url",
        default != Some(RawUnauthenticated::Login) || around.has_login,
        "is required with unauthenticated = \"login\"",
    );
    if !given {
        let (demand, reaction) = match default? {
            RawUnauthenticated::Deny => (somebody(), Reaction::Deny),
            RawUnauthenticated::Login => (somebody(), Reaction::Login),
            RawUnauthenticated::Pass => (Demand::Anonymous(None), Reaction::Deny),
        };
        let mut rule = Rule::of_everything(demand, reaction);
        rule.preflight = around.has_cors;
        return Some(cased(Rules::new(Vec::new(), rule)));
    }
    reader.check(
        "unauthenticated",
        default != Some(RawUnauthenticated::Pass),
        "\"pass\" has no effect with rules; write a rule with anonymous_ok = true",
    );
    let reaction = match default {
        Some(RawUnauthenticated::Login) => Reaction::Login,
        _ => Reaction::Deny,
    };
    let mut list = Vec::new();
    if let Some(raw) = reader.optional("rules", field) {
        read_list(&mut reader.table("rules"), raw, reaction, around, &mut list);
    }
    for binding in own {
        let text = around.bindings.get(&binding).map_or("", String::as_str);
        let mut reader = reader.at(&binding);
        match serde_json::from_str::<Vec<Field<RawRule>>>(text) {
            Ok(raw) => read_list(&mut reader, raw, reaction, around, &mut list),
            Err(_) => reader.reject("is not a list of rules"),
        }
    }
    reader.check("rules", list.len() <= MAX_RULES, "has more than 500 rules");
    let patterns = || list.iter().flat_map(|rule| &rule.paths);
    let literals: usize = patterns().filter_map(PathPattern::most_steps).sum();
    let globs = patterns().filter(|path| path.most_steps().is_none());
    reader.check(
        "rules",
        globs.count() <= MAX_GLOBS,
        "has more than 256 globs, all of which are tried for every path; use prefixes",
    );
    reader.check(
        "rules",
        literals <= MAX_LITERALS,
        "has more than 256 KB of paths",
    );
    let fallback = Rule::of_everything(Demand::Deny, reaction);
    Some(cased(Rules::new(list, fallback)))
}

const fn somebody() -> Demand {
    Demand::Authenticated(Requirement::Authenticated)
}

/// `EDGEWARD_RULES_APP`, and its continuation in `EDGEWARD_RULES_APP__2`, `__3`, …: the size of a
/// variable is limited to 5 KB.
fn own_bindings(bindings: &Bindings, site: &str) -> Vec<String> {
    let first = format!("{RULES}{site}");
    let more = (2..).map(|number| format!("{first}__{number}"));
    std::iter::once(first.clone())
        .chain(more)
        .take_while(|name| bindings.contains_key(name))
        .collect()
}

fn read_list(
    reader: &mut Reader<'_>,
    raw: Vec<Field<RawRule>>,
    default: Reaction,
    around: &Around<'_>,
    list: &mut Vec<Rule>,
) {
    for (index, field) in raw.into_iter().enumerate() {
        let place = (index + 1).to_string();
        let Some(raw) = reader.optional(&place, field) else {
            continue;
        };
        let number = u16::try_from(list.len() + 1).unwrap_or(u16::MAX);
        let rule = read_rule(&mut reader.table(&place), raw, number, default, around);
        list.extend(rule);
    }
}

fn read_rule(
    reader: &mut Reader<'_>,
    raw: RawRule,
    number: u16,
    default: Reaction,
    around: &Around<'_>,
) -> Option<Rule> {
    reader.reject_unknown(&raw.unknown);
    let hosts = one_of(
        reader,
        "host",
        raw.host,
        |host| {
            let host = canonical_host(host, "https")?;
            around.hosts.contains(&host).then(|| host.into())
        },
        "is not a host of this site",
    );
    let methods = one_of(
        reader,
        "method",
        raw.method,
        |method| {
            let plain = method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
            (plain && !method.is_empty()).then(|| method.into())
        },
        "is not a method (methods are case-sensitive: GET)",
    );
    let (paths, pattern) = read_paths(reader, [raw.path, raw.prefix, raw.glob], around);
    let mut reaction = |name: &str, field| {
        let reaction = reader.optional(name, field).map(Reaction::from);
        reader.check(
            name,
            reaction != Some(Reaction::Login) || around.has_login,
            "\"login\" requires the site's login_url",
        );
        reaction
    };
    let unauthenticated = reaction("unauthenticated", raw.unauthenticated).unwrap_or(default);
    let unauthorised = reaction("unauthorised", raw.unauthorised).unwrap_or(Reaction::Deny);
    let preflight = reader.with_default("preflight", raw.preflight, false);
    let name = reader.optional("name", raw.name).map(Into::into);
    let demand = {
        let mut is = |name: &str, field| {
            let value = reader.optional(name, field);
            reader.check(
                name,
                value != Some(false),
                "has no effect when false; remove it",
            );
            value.is_some()
        };
        let public = is("public", raw.public);
        let deny = is("deny", raw.deny);
        let anonymous_ok = is("anonymous_ok", raw.anonymous_ok);
        let required = raw.require.is_given();
        let mut budget = MAX_REQUIREMENTS;
        let requirement = reader.optional("require", raw.require).and_then(|raw| {
            read_requirement(
                &mut reader.table("require"),
                raw,
                1,
                &mut budget,
                around.bindings,
            )
        });
        match (public, deny, anonymous_ok, required) {
            (true, false, false, false) => Demand::Public,
            (false, true, false, false) => Demand::Deny,
            (false, false, true, false) => Demand::Anonymous(None),
            (false, false, true, true) => Demand::Anonymous(Some(requirement?)),
            (false, false, false, true) => Demand::Authenticated(requirement?),
            (false, false, false, false) => {
                reader.error(
                    "require",
                    "is required, or one of public, anonymous_ok and deny: a rule must say who is allowed",
                );
                return None;
            }
            _ => {
                reader.reject("contradicts itself: use public or deny alone, anonymous_ok alone or with require");
                return None;
            }
        }
    };
    Some(Rule {
        number,
        name,
        pattern,
        hosts: hosts?,
        methods: methods?,
        paths,
        demand,
        unauthenticated,
        unauthorised,
        preflight,
    })
}

/// The patterns of a rule: exact paths, prefixes and globs.
fn read_paths(
    reader: &mut Reader<'_>,
    [path, prefix, glob]: [Field<Texts>; 3],
    around: &Around<'_>,
) -> (Box<[PathPattern]>, Option<Box<str>>) {
    let (mut paths, mut first) = (Vec::new(), None);
    for (name, field, make) in [
        (
            "path",
            path,
            PathPattern::exact as fn(&str) -> Result<PathPattern, PatternError>,
        ),
        ("prefix", prefix, PathPattern::prefix),
        ("glob", glob, PathPattern::glob),
    ] {
        for text in texts(reader, name, field).unwrap_or_default() {
            let text_of_pattern = if around.ignores_case {
                pattern::folded(&text)
            } else {
                Ok(text.clone())
            };
            match text_of_pattern.and_then(|text| make(&text)) {
                Ok(pattern) => {
                    paths.push(pattern);
                    first.get_or_insert_with(|| text.into());
                }
                Err(error) => reader.error(name, format!("{text:?} {error}")),
            }
        }
    }
    (paths.into(), first)
}

/// Reads one text or a non-empty list of non-empty texts.
fn texts(reader: &mut Reader<'_>, name: &str, field: Field<Texts>) -> Option<Vec<String>> {
    let Texts(texts) = reader.optional(name, field)?;
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        reader.error(name, "must not be empty");
        return None;
    }
    Some(texts)
}

/// Converts each text by `make`; empty if the setting is absent, `None` if any text is wrong.
fn one_of<T>(
    reader: &mut Reader<'_>,
    name: &str,
    field: Field<Texts>,
    make: impl Fn(&str) -> Option<T>,
    error: &str,
) -> Option<Box<[T]>> {
    if !field.is_given() {
        return Some(Box::default());
    }
    let texts = texts(reader, name, field)?;
    let mut made = Vec::with_capacity(texts.len());
    for text in &texts {
        match make(text) {
            Some(one) => made.push(one),
            None => reader.error(name, format!("{text:?} {error}")),
        }
    }
    (made.len() == texts.len()).then(|| made.into())
}

fn read_requirement(
    reader: &mut Reader<'_>,
    raw: RawRequirement,
    depth: usize,
    budget: &mut usize,
    bindings: &Bindings,
) -> Option<Requirement> {
    reader.reject_unknown(&raw.unknown);
    if depth > MAX_DEPTH {
        reader.reject("is nested too deeply: at most 8 levels");
        return None;
    }
    let any_text = |text: &str| Some(text.into());
    let mut all = Vec::new();
    let mut fine = raw.unknown.is_empty();
    let given = raw.authenticated.is_given();
    let authenticated = reader.optional("authenticated", raw.authenticated);
    fine &= given == authenticated.is_some();
    if let Some(on) = authenticated {
        reader.check("authenticated", on, "has no effect when false; remove it");
        all.push(Requirement::Authenticated);
    }
    macro_rules! list {
        ($($name:literal, $field:expr, $make:expr, $error:literal => $variant:expr;)*) => {$(
            if $field.is_given() {
                match one_of(reader, $name, $field, $make, $error) {
                    Some(list) => all.push($variant(list)),
                    None => fine = false,
                }
            }
        )*};
    }
    list! {
        "role", raw.role, Role::parse, "is not a role" => Requirement::Role;
        "all_roles", raw.all_roles, Role::parse, "is not a role" => Requirement::AllRoles;
        "scope", raw.scope, any_text, "" => Requirement::Scope;
        "all_scopes", raw.all_scopes, any_text, "" => Requirement::AllScopes;
        "access", raw.access, Access::parse, "is not of the form action:path?filter with an action of none, read, create, update, delete, manage, admin, owner, * and superadmin" => Requirement::Access;
        "tenant", raw.tenant, any_text, "" => Requirement::Tenant;
        "workspace", raw.workspace, any_text, "" => Requirement::Workspace;
        "email_domain", raw.email_domain, domain, "is not a domain (write it without @)" => Requirement::EmailDomain;
        "network", raw.network, Network::parse, "is not a network (192.0.2.0/24, 2001:db8::/32 or an address; host bits must be zero)" => Requirement::Network;
        "country", raw.country, country, "is not a two-letter country (ISO 3166-1, or T1)" => Requirement::Country;
    }
    fine &= read_sign_in(reader, raw.amr, raw.max_age, bindings, &mut all);
    if raw.claim.is_given() {
        match reader
            .optional("claim", raw.claim)
            .and_then(|raw| read_claim(&mut reader.table("claim"), raw))
        {
            Some(claim) => all.push(Requirement::Claim(claim)),
            None => fine = false,
        }
    }
    if raw.not.is_given() {
        match reader.optional("not", raw.not).and_then(|raw| {
            read_requirement(&mut reader.table("not"), *raw, depth + 1, budget, bindings)
        }) {
            // Whoever is not known to have signed in so would pass.
            Some(inner) if inner.has(&|r| matches!(r, R::Amr(_) | R::MaxAge(_))) => {
                reader.error("not", "must not have amr or max_age in it");
                fine = false;
            }
            Some(inner) => all.push(Requirement::Not(Box::new(inner))),
            None => fine = false,
        }
    }
    for (name, field, make) in [
        (
            "any",
            raw.any,
            Requirement::Any as fn(Box<[Requirement]>) -> Requirement,
        ),
        ("all", raw.all, Requirement::All),
    ] {
        if field.is_given() {
            match read_several(reader, name, field, depth, budget, bindings) {
                Some(list) => all.push(make(list)),
                None => fine = false,
            }
        }
    }
    let Some(left) = budget.checked_sub(all.len()) else {
        reader.reject("has more than 100 requirements");
        return None;
    };
    *budget = left;
    if fine && all.is_empty() {
        reader.reject("requires nothing");
    }
    if !fine {
        return None;
    }
    match all.len() {
        0 => None,
        1 => all.pop(),
        _ => Some(Requirement::All(all.into())),
    }
}

/// How and when the caller has signed in; gives whether that is right.
fn read_sign_in(
    reader: &mut Reader<'_>,
    amr: Field<Texts>,
    max_age: Field<u32>,
    bindings: &Bindings,
    all: &mut Vec<Requirement>,
) -> bool {
    let mut fine = true;
    if amr.is_given() {
        let known = |text: &str| is_method(text, bindings).then(|| text.into());
        let error = "is no method: password, passkey and link are those of the gateway; others are provider:<name>, provider:<name>:<amr> and issuer:<name>:<amr>, whose table must exist";
        match one_of(reader, "amr", amr, known, error) {
            Some(methods) => all.push(Requirement::Amr(methods)),
            None => fine = false,
        }
    }
    if max_age.is_given() {
        let age = reader.optional("max_age", max_age);
        fine &= age.is_some();
        reader.check(
            "max_age",
            age.is_none_or(|age| (60..=30 * 86_400).contains(&age)),
            "must be from 60 seconds to 30 days",
        );
        all.push(Requirement::MaxAge(age.unwrap_or_default()));
    }
    fine
}

fn read_several(
    reader: &mut Reader<'_>,
    name: &str,
    field: Field<Vec<Field<RawRequirement>>>,
    depth: usize,
    budget: &mut usize,
    bindings: &Bindings,
) -> Option<Box<[Requirement]>> {
    let given = reader.optional(name, field)?;
    reader.check(name, !given.is_empty(), "must not be empty");
    let count = given.len();
    let mut reader = reader.table(name);
    let mut read = Vec::new();
    for (index, field) in given.into_iter().enumerate() {
        let place = (index + 1).to_string();
        let Some(raw) = reader.optional(&place, field) else {
            continue;
        };
        read.extend(read_requirement(
            &mut reader.table(&place),
            raw,
            depth + 1,
            budget,
            bindings,
        ));
    }
    (count > 0 && read.len() == count).then(|| read.into())
}

fn read_claim(reader: &mut Reader<'_>, raw: RawClaim) -> Option<ClaimRequirement> {
    reader.reject_unknown(&raw.unknown);
    let path = reader.required("path", raw.path);
    let value = reader.optional("value", raw.value);
    let claim = ClaimRequirement::new(&path?, value);
    reader.check(
        "path",
        claim.is_some(),
        "must be non-empty names separated by dots",
    );
    claim
}

/// Whether people can sign in by this method, as far as the tables that are there tell.
fn is_method(text: &str, bindings: &Bindings) -> bool {
    let is_there = |prefix: &str, name: &str| {
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        plain && bindings.contains_key(&[prefix, &name.to_ascii_uppercase()].concat())
    };
    if let Some(rest) = text.strip_prefix(OF_PROVIDER) {
        let (name, value) = rest.split_once(':').unwrap_or((rest, "x"));
        return is_there(PROVIDER, name) && is_value(value);
    }
    if let Some((name, value)) = text
        .strip_prefix(OF_ISSUER)
        .and_then(|rest| rest.split_once(':'))
    {
        return is_there(ISSUER, name) && is_value(value);
    }
    [PASSWORD, PASSKEY, LINK].contains(&text) && bindings.contains_key(GATEWAY)
}

fn is_value(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

fn domain(text: &str) -> Option<Box<str>> {
    parse_domain(text).map(Into::into)
}

fn country(text: &str) -> Option<Box<str>> {
    let letters = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    (letters && is_country(text)).then(|| text.into())
}
