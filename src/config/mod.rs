//! The configuration: variables and secrets of the Worker become typed values with resolved
//! references.
//!
//! All errors are reported at once, each with its path; a configuration with an error serves
//! nobody. What has no safe default must be written.

mod brand;
mod cors;
pub mod gateway;
mod headers;
pub mod issuer;
pub mod label_studio;
mod mounts;
mod named;
pub mod provider;
pub mod raw;
pub mod reader;
pub mod rules;
#[cfg(feature = "schema")]
pub mod schema;
pub mod secret;
pub mod site;
pub mod tenant;
mod unbound;
mod verification;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::config::headers::OfOrigin;
use crate::config::named::Tables;
use crate::config::raw::RawEdgeward;
use crate::config::reader::{
    Bindings, GATEWAY, GLOBAL, ISSUER, PROVIDER, RULES, Reader, SECRET, SITE,
};
use crate::credential::session;
use crate::http::host::fetchable_host;
use crate::jose::hmac::Keyring;
use crate::model::proof::{OF_PROVIDER, PASSKEY, PASSWORD};
use crate::model::user::Role;
use crate::platform::digest::{hex, sha256};
use crate::platform::time::Seconds;
use crate::rules::requirement::Requirement;
use crate::site::Login;
pub use crate::site::Site;
use crate::site::Source;
use crate::site::config::{Config, ConfigError, Keyrings, Log, LogAddress, LogPath, Logging};
use crate::site::disclosure::Disclosures;
use crate::site::issuer::{Issuer, Verification};
use crate::site::mount::Served;
use crate::site::provider::Provider;

/// The prefixes of the names of our secrets; a number follows.
pub const SECRETS: [&str; 3] = [
    "EDGEWARD_SESSION_SECRET_",
    "EDGEWARD_TOKEN_SECRET_",
    "EDGEWARD_KEY_SECRET_",
];
/// Our bindings that are not settings.
pub const RESOURCES: [&str; 13] = [
    "EDGEWARD_KV",
    "EDGEWARD_ONCE",
    "EDGEWARD_RECORD",
    "EDGEWARD_OUTBOX",
    "EDGEWARD_AUDIT",
    "EDGEWARD_ATTEMPTS",
    "EDGEWARD_DIRECTORY",
    "EDGEWARD_METRICS",
    "EDGEWARD_ANALYTICS",
    "EDGEWARD_EMAIL",
    "EDGEWARD_LIMIT",
    "EDGEWARD_FAILURE_LIMIT",
    "EDGEWARD_SIGN_IN_LIMIT",
];

/// Parses all bindings of the Worker.
///
/// # Errors
/// Everything that is wrong, in the order of the bindings' names.
pub fn parse(bindings: &Bindings) -> Result<Config, Vec<ConfigError>> {
    let mut errors = Vec::new();
    for name in bindings.keys().filter(|name| name.starts_with(GLOBAL)) {
        let error = match name.strip_prefix(RULES) {
            Some(site) if !is_rules_of_site(bindings, site) => {
                "names no configured site, or skips a number"
            }
            None if is_secret_of_nobody(bindings, name) => {
                "is the secret of no provider: its table is missing"
            }
            None if !is_known(name) => "no such setting",
            _ => continue,
        };
        errors.push(ConfigError {
            path: name.clone(),
            error: error.into(),
        });
    }
    let global = read_global(bindings, &mut errors);
    let keys = read_keys(bindings, &mut errors);
    let ours = global.as_ref().map_or("", |(issuer, ..)| issuer);
    let issuers = read_issuers(bindings, ours, &mut errors);
    let providers = read_providers(bindings, ours, &issuers, &mut errors);
    let hosts = read_sites(bindings, ours, &issuers, &providers, &mut errors);
    unbound::check(&issuers.read, &hosts, bindings, &mut errors);
    let fetched = issuers.read.iter().map(|issuer| (ISSUER, issuer));
    let others = providers
        .read
        .iter()
        .map(|provider| (PROVIDER, &provider.issuer));
    for (prefix, issuer) in fetched.chain(others) {
        let serves = |host: Option<String>| host.is_some_and(|host| hosts.contains_key(&host));
        let verifies_at =
            |asked: &Verification| fetchable_host(&asked.url, asked.loopback.as_deref());
        let path = format!("{prefix}{}", issuer.name.to_ascii_uppercase());
        if serves(issuer.remote_host()) {
            errors.push(ConfigError {
                path: path.clone(),
                error: "fetches its keys from a host that Edgeward itself serves: use the host name of that origin".into(),
            });
        }
        if serves(issuer.verification.as_ref().and_then(verifies_at)) {
            errors.push(ConfigError {
                path: format!("{path}.verify.url"),
                error: "is at a host that Edgeward itself serves: use the host name of that origin"
                    .into(),
            });
        }
    }
    match (global, keys) {
        (Some((issuer, user_cache, audit_days, log)), Some(keys)) if errors.is_empty() => {
            Ok(Config {
                issuer,
                user_cache,
                audit_days,
                log,
                keys,
                notes: notes(&hosts),
                digest: digest(bindings),
                disclosures: Disclosures::of(hosts.values().flat_map(Served::iter)),
                hosts,
            })
        }
        _ => Err(errors),
    }
}

/// Tells configurations apart without telling what they are: the beginning of a hash of the settings, without any secret.
fn digest(bindings: &Bindings) -> String {
    let is_table = |name: &str| {
        let prefixes = [SITE, ISSUER, RULES];
        name == GLOBAL
            || name == GATEWAY
            || prefixes.iter().any(|prefix| name.starts_with(prefix))
            || (name.starts_with(PROVIDER) && !name.ends_with(SECRET))
    };
    let mut text = String::new();
    for (name, value) in bindings.iter().filter(|(name, _)| is_table(name)) {
        text.push_str(&[name, "=", value, "\n"].concat());
    }
    let mut digest = hex(&sha256(text.as_bytes()));
    digest.truncate(12);
    digest
}

fn is_known(name: &str) -> bool {
    let numbered = |prefix: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|n| number(n).is_some())
    };
    name == GLOBAL
        || name == GATEWAY
        || RESOURCES.contains(&name)
        || SECRETS.iter().any(|prefix| numbered(prefix))
        || [SITE, ISSUER, PROVIDER]
            .iter()
            .any(|prefix| name.strip_prefix(prefix).is_some_and(is_site_name))
}

/// Whether `name` is that of a provider's secret, and there is no such provider.
fn is_secret_of_nobody(bindings: &Bindings, name: &str) -> bool {
    let table = name.strip_suffix(SECRET);
    name.starts_with(PROVIDER) && table.is_some_and(|table| !bindings.contains_key(table))
}

/// Whether `name` is a site, or a site followed by `__2`, `__3`, …, without a gap.
fn is_rules_of_site(bindings: &Bindings, name: &str) -> bool {
    let is_there = |prefix: &str, name: &str| bindings.contains_key(&format!("{prefix}{name}"));
    let continued = |(site, count): (&str, &str)| {
        let count = number(count).filter(|count| *count > 1)?;
        let before = match count {
            2 => site.to_owned(),
            _ => format!("{site}__{}", count - 1),
        };
        Some(is_there(SITE, site) && is_there(RULES, &before))
    };
    is_there(SITE, name) || name.rsplit_once("__").and_then(continued) == Some(true)
}

/// Claims that a site's assertions repeat although not every caller has them. An application that finds people by such a
/// claim takes all who lack it for the same person.
fn claims_that_may_lack(site: &Site) -> Vec<ConfigError> {
    let names = site
        .assertion
        .iter()
        .flat_map(|assertion| &assertion.claims);
    let lacking = names.filter_map(|name| {
        let issuers = site.speakers();
        let mut lack: Vec<String> = issuers
            .filter(|issuer| !issuer.requires(name))
            .map(|issuer| format!("issuer {} does not require it (required_claims)", issuer.name))
            .collect();
        if site.own_tokens {
            lack.push("tokens of Edgeward itself have none (own_tokens = false refuses them)".into());
        }
        (!lack.is_empty()).then(|| ConfigError {
            path: format!("{SITE}{}.assertion.claims", site.name.to_ascii_uppercase()),
            error: format!(
                "an assertion may lack {name}, and an application that finds people by it would take all of them for one: {}",
                lack.join("; ")
            ),
        })
    });
    lacking.collect()
}

/// Where a site sends its origin the access token of a provider, and nobody signs in at one.
fn access_token_of_nobody(site: &Site) -> Option<ConfigError> {
    let is_lacking = site.sends_access_token && site.providers.is_empty();
    is_lacking.then(|| ConfigError {
        path: format!("{SITE}{}.custom_headers", site.name.to_ascii_uppercase()),
        error: "sends provider:access_token, but nobody signs in at a provider here, so the header is never sent: add login = \"provider\" with providers, or login = \"gateway\" with a gateway that has some".into(),
    })
}

/// Rules that no caller can meet, claims that assertions may lack, and headers that nobody has.
fn notes(hosts: &HashMap<String, Served>) -> Vec<ConfigError> {
    let mut notes = Vec::new();
    let sites = || hosts.values().flat_map(Served::iter);
    for site in sites() {
        for rule in site.rules.iter() {
            let mut note = |error: String| {
                let name = site.name.to_ascii_uppercase();
                let path = format!("{SITE}{name}.rules.{}", rule.number);
                notes.push(ConfigError { path, error });
            };
            let Some(requirement) = rule.requirement() else {
                continue;
            };
            for name in requirement.unmeetable(&site.provides()) {
                note(format!(
                    "requires {name}, which no issuer of this site provides, so nobody can meet it"
                ));
            }
            if wants_role_of_a_record(site, requirement) {
                note("requires a role that is in grant_roles of no provider and no issuer of this site, so only users who have it in their own record can meet it".into());
            }
        }
    }
    notes.extend(sites().flat_map(|site| claims_that_may_lack(site)));
    notes.extend(sites().filter_map(|site| access_token_of_nobody(site)));
    notes.sort_by(|a, b| a.path.cmp(&b.path));
    notes.dedup();
    notes
}

/// Whether a requirement of a site where people sign in with a provider is about a role that only a user's record can grant.
fn wants_role_of_a_record(site: &Site, requirement: &Requirement) -> bool {
    let is_granted = |role: &Role| site.speakers().any(|one| one.grant_roles.contains(role));
    let is_at_provider = site.gateway.is_none() && !site.own_providers().is_empty();
    is_at_provider
        && requirement.has(&|inner| match inner {
            Requirement::Role(roles) => !roles.iter().any(is_granted),
            Requirement::AllRoles(roles) => !roles.iter().all(is_granted),
            _ => false,
        })
}

fn is_site_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Parses a secret's number: 1, 2, …, without leading zeros.
fn number(text: &str) -> Option<u32> {
    text.parse()
        .ok()
        .filter(|n: &u32| *n > 0 && n.to_string() == text)
}

fn read_global(
    bindings: &Bindings,
    errors: &mut Vec<ConfigError>,
) -> Option<(String, Seconds, u32, Logging)> {
    let raw: RawEdgeward = match bindings.get(GLOBAL) {
        None => RawEdgeward::default(),
        Some(text) => Reader::new(GLOBAL, errors).object(text)?,
    };
    let mut reader = Reader::new(GLOBAL, errors);
    reader.reject_unknown(&raw.unknown);
    let issuer = reader.with_default("issuer", raw.issuer, "edgeward".to_owned());
    reader.check("issuer", !issuer.is_empty(), "must not be empty");
    let user_cache = reader.with_default("user_cache", raw.user_cache, 30);
    reader.check(
        "user_cache",
        (1..=60).contains(&user_cache),
        "must be from 1 to 60 seconds",
    );
    let audit_days = reader.with_default("audit_days", raw.audit_days, 400);
    reader.check(
        "audit_days",
        (1..=3650).contains(&audit_days),
        "must be from 1 to 3650 days",
    );
    let log = Logging {
        lines: reader.with_default("log", raw.log, Log::Notable),
        path: reader.with_default("log_path", raw.log_path, LogPath::Masked),
        address: reader.with_default("log_address", raw.log_address, LogAddress::Prefix),
    };
    Some((issuer, Seconds(user_cache), audit_days, log))
}

fn read_keys(bindings: &Bindings, errors: &mut Vec<ConfigError>) -> Option<Keyrings> {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    let mut rings = SECRETS.iter().map(|prefix| {
        let mut secrets = Vec::new();
        for (name, value) in bindings {
            let Some(number) = name.strip_prefix(*prefix).and_then(number) else {
                continue;
            };
            let mut error = secret::weakness(value)
                .map(|weak| format!("{weak}; the admin command makes one: `secret rotate`"));
            if let Some(other) = seen.insert(value, name) {
                error = Some(format!("is the same as {other}; all secrets must differ"));
            }
            match error {
                Some(error) => errors.push(ConfigError {
                    path: name.clone(),
                    error,
                }),
                None => secrets.push((number, value.clone().into_bytes())),
            }
        }
        let ring = Keyring::new(secrets);
        let any = bindings.keys().any(|name| {
            name.strip_prefix(*prefix)
                .is_some_and(|n| number(n).is_some())
        });
        if !any {
            errors.push(ConfigError {
                path: format!("{prefix}1"),
                error: format!("is missing; {}", secret::HOW_TO_SET),
            });
        }
        ring
    });
    let (session, token, key) = (rings.next()?, rings.next()?, rings.next()?);
    Some(Keyrings {
        session: session?,
        token: token?,
        key: key?,
    })
}

fn read_issuers(bindings: &Bindings, ours: &str, errors: &mut Vec<ConfigError>) -> Tables<Issuer> {
    let mut issuers = Tables {
        read: Vec::new(),
        failed: Vec::new(),
    };
    for (binding, text) in bindings {
        let Some(name) = binding
            .strip_prefix(ISSUER)
            .filter(|name| is_site_name(name))
        else {
            continue;
        };
        let mut reader = Reader::new(binding, errors);
        let name = name.to_ascii_lowercase();
        let read = issuer::read_table(&name, text, ours, bindings, &mut reader);
        check_subjects(read.as_deref(), &issuers.read, &mut reader);
        issuers.add(name, read);
    }
    issuers
}

/// Reports an issuer that names the subjects of another one by other rules.
fn check_subjects(read: Option<&Issuer>, others: &[Rc<Issuer>], reader: &mut Reader<'_>) {
    let doubles = |other: &Rc<Issuer>| read.is_some_and(|new| new.could_forge(other));
    reader.check(
        "issuer",
        !others.iter().any(doubles),
        "is that of another table with other keys, which could name its subjects (identity = \"subject\")",
    );
    let differs = |other: &Rc<Issuer>| read.is_some_and(|new| new.accepts_other_addresses(other));
    reader.check(
        "issuer",
        !others.iter().any(differs),
        "is that of another table that accepts other addresses for the same subjects (identity = \"subject\"); give both the same email_domains, unverified_email_reason and claims",
    );
}

fn read_providers(
    bindings: &Bindings,
    ours: &str,
    issuers: &Tables<Issuer>,
    errors: &mut Vec<ConfigError>,
) -> Tables<Provider> {
    let mut known = issuers.read.clone();
    let mut providers = Tables {
        read: Vec::new(),
        failed: Vec::new(),
    };
    for (binding, text) in bindings {
        let Some(name) = binding
            .strip_prefix(PROVIDER)
            .filter(|name| is_site_name(name) && !name.ends_with(SECRET))
        else {
            continue;
        };
        let mut reader = Reader::new(binding, errors);
        let name = name.to_ascii_lowercase();
        if issuers.read.iter().any(|issuer| issuer.name == name) {
            reader.reject("has the name of an issuer; sessions would not tell them apart");
        }
        let read = provider::read(&name, text, ours, bindings, &mut reader);
        let issuer = read.as_ref().map(|read| Rc::clone(&read.issuer));
        check_subjects(issuer.as_deref(), &known, &mut reader);
        known.extend(issuer);
        providers.add(name, read);
    }
    providers
}

fn read_sites(
    bindings: &Bindings,
    ours: &str,
    issuers: &Tables<Issuer>,
    providers: &Tables<Provider>,
    errors: &mut Vec<ConfigError>,
) -> HashMap<String, Served> {
    let mut sites = Vec::new();
    let mut any = false;
    for (binding, text) in bindings {
        let Some(name) = binding.strip_prefix(SITE).filter(|name| is_site_name(name)) else {
            continue;
        };
        any = true;
        let mut reader = Reader::new(binding, errors);
        let Some(raw) = reader.object(text) else {
            continue;
        };
        let site = site::read(
            &name.to_ascii_lowercase(),
            raw,
            bindings,
            issuers,
            providers,
            &mut reader,
        );
        sites.extend(site.map(|site| (binding.as_str(), site)));
    }
    if let Some(text) = bindings.get(GATEWAY) {
        let mut reader = Reader::new(GATEWAY, errors);
        let raw = reader.object(text);
        let mut gateway = raw.and_then(|raw| gateway::read(raw, bindings, providers, &mut reader));
        share_providers(gateway.as_mut(), &mut sites);
        let unknown = gateway
            .iter()
            .flat_map(|gateway| methods_of_nobody(gateway, &sites));
        let unknown: Vec<_> = unknown.collect();
        if sites
            .iter()
            .any(|(_, site): &(&str, Site)| site.name == gateway::NAME)
        {
            reader.reject(
                "no site may be named GATEWAY as well: rename the table EDGEWARD_SITE_GATEWAY",
            );
        }
        errors.extend(unknown);
        sites.extend(gateway.map(|site| (GATEWAY, site)));
        any = true;
    }
    if !any {
        errors.push(ConfigError {
            path: format!("{SITE}…"),
            error: "no site is configured; add a table [vars.EDGEWARD_SITE_APP]".into(),
        });
    }
    check_room(ours, &mut sites, errors);
    by_host(sites, errors)
}

/// Who signs in at the gateway with a provider does so for its sites: they take what it says, and the gateway's session
/// carries what they use.
fn share_providers(gateway: Option<&mut Site>, sites: &mut [(&str, Site)]) {
    let Some(gateway) = gateway.filter(|gateway| !gateway.providers.is_empty()) else {
        return;
    };
    for (_, site) in sites {
        if matches!(site.login, Some(Login::Gateway)) {
            site.providers.clone_from(&gateway.providers);
            gateway.used_claims.extend_from_slice(&site.used_claims);
        }
    }
}

/// The least room for what a token adds to a session.
const LEAST_ROOM: usize = 512;

/// Finds out how much room session cookies have. What the gateway's session carries has to fit those of its sites.
fn check_room(ours: &str, sites: &mut [(&str, Site)], errors: &mut Vec<ConfigError>) {
    let mut least = usize::MAX;
    for (binding, site) in sites.iter_mut() {
        site.room = session::room(ours, site);
        if matches!(site.login, Some(Login::Gateway)) {
            least = least.min(site.room);
        }
        if site.room < LEAST_ROOM {
            let parts = [
                (ours.len(), GLOBAL, ".issuer"),
                (site.audience.len(), *binding, ".audience"),
                (site.session.cookie.len(), *binding, ".session.cookie"),
                (site.mount.len(), *binding, ".hosts"),
            ];
            let longest = parts.iter().max_by_key(|(length, ..)| *length);
            errors.extend(longest.map(|(length, binding, name)| ConfigError {
                path: [*binding, *name].concat(),
                error: format!("is {length} bytes long, which leaves no room in a session's cookie: browsers keep 4,096 bytes"),
            }));
        }
    }
    for (_, site) in sites.iter_mut().filter(|(_, site)| site.gateway.is_some()) {
        site.room = site.room.min(least);
    }
}

/// Methods that sites name and the gateway does not have.
fn methods_of_nobody(gateway: &Site, sites: &[(&str, Site)]) -> Vec<ConfigError> {
    let own = gateway.gateway.as_ref();
    let has = |name: &str, given: Option<bool>| (given == Some(true)).then(|| name.to_owned());
    let password = has(PASSWORD, own.map(|own| own.passwords));
    let passkey = has(PASSKEY, own.map(|own| own.passkeys.is_some()));
    let providers = gateway.providers.iter();
    let providers = providers.map(|provider| [OF_PROVIDER, provider.name()].concat());
    let all: Vec<_> = password
        .into_iter()
        .chain(passkey)
        .chain(providers)
        .collect();
    let mut unknown = Vec::new();
    for (binding, site) in sites {
        for method in &site.methods {
            let is_of = |known: &String| {
                let rest = method.strip_prefix(known.as_str());
                let is_provider = known.starts_with(OF_PROVIDER);
                rest.is_some_and(|rest| rest.is_empty() || (is_provider && rest.starts_with(':')))
            };
            if !all.iter().any(is_of) {
                unknown.push(ConfigError {
                    path: format!("{binding}.amr"),
                    error: format!("names {method:?}; the gateway has {}", all.join(", ")),
                });
            }
        }
    }
    unknown
}

/// By issuer, the longest time for which any site accepts a link. A token of another issuer is
/// valid at each site that accepts the issuer, so whether it is a link is decided for all of them.
fn link_ages(sites: &[(&str, Site)]) -> BTreeMap<String, Seconds> {
    let mut ages = BTreeMap::new();
    for (_, site) in sites {
        let Some(query) = site.query.as_ref().filter(|_| site.takes(Source::Query)) else {
            continue;
        };
        for issuer in site.all_issuers() {
            let age = ages.entry(issuer.name.clone()).or_insert(query.max_age);
            *age = (*age).max(query.max_age);
        }
    }
    ages
}

/// Sites by host. Sites may share an origin, so the identity headers of one are reserved at all with the same origin.
fn by_host(sites: Vec<(&str, Site)>, errors: &mut Vec<ConfigError>) -> HashMap<String, Served> {
    let by_origin = headers::by_origin(&sites);
    let none = OfOrigin::default();
    let link_ages = link_ages(&sites);
    mounts::check(&sites, errors);
    let neighbours = mounts::neighbours(&sites);
    let mut all: Vec<(&str, Rc<Site>)> = Vec::new();
    let mut hosts: HashMap<String, Served> = HashMap::new();
    let mut audiences: HashMap<String, String> = HashMap::new();
    for ((binding, mut site), neighbours) in sites.into_iter().zip(neighbours) {
        if let Some(other) = audiences.insert(site.audience.clone(), site.name.clone()) {
            errors.push(ConfigError {
                path: format!("{binding}.audience"),
                error: format!(
                    "is also the audience of site {other}; a token for one site must not be valid at another"
                ),
            });
        }
        let of_origin = by_origin.get(&headers::origin_host(&site)).unwrap_or(&none);
        if let Some(error) = headers::check_client(&site, of_origin) {
            errors.push(ConfigError {
                path: format!("{binding}.client_headers"),
                error,
            });
        }
        site.reserve(&of_origin.reserved);
        site.number = u16::try_from(all.len() + 1).unwrap_or_default();
        site.neighbours = neighbours;
        site.link_ages.clone_from(&link_ages);
        let site = Rc::new(site);
        all.push((binding, Rc::clone(&site)));
        for host in &site.hosts {
            let served = hosts.entry(host.clone()).or_default();
            // Nobody tells two sites apart by the case of a path.
            let same = |other: &&Rc<Site>| other.mount.eq_ignore_ascii_case(&site.mount);
            if let Some(other) = served.iter().find(same)
                && other.gateway.is_none()
                && site.gateway.is_none()
            {
                errors.push(ConfigError {
                    path: format!("{binding}.hosts"),
                    error: format!(
                        "{host}{} already belongs to site {}",
                        site.mount, other.name
                    ),
                });
            }
            served.add(Rc::clone(&site));
        }
    }
    let wrong = |(binding, site): &(&str, Rc<Site>)| mounts::check_sign_in(binding, site, &hosts);
    errors.extend(all.iter().filter_map(wrong));
    hosts
}

#[cfg(test)]
pub(crate) mod tests;
