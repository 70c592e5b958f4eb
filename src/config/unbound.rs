//! `unbound_tokens_reason`: an issuer whose tokens may lack `iss`, `aud` and `iat`, which bind a token to an issuer, a place
//! and a time. Everything else that its secret signs looks like such a token too, so each condition here closes one way in.

use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::config::reader::{Bindings, Field, GLOBAL, ISSUER, Reader, SITE};
use crate::config::{SECRETS, number};
use crate::model::user::Role;
use crate::platform::time::Seconds;
use crate::site::config::ConfigError;
use crate::site::issuer::{Issuer, KeySource, Mapping, RequiredClaim};
use crate::site::mount::Served;
use crate::site::{Site, Source};

/// The longest lifetime, in seconds, of tokens that do not say since when they count.
const MAX_LIFETIME: Seconds = Seconds(600);
/// What binds a token.
const BINDING: [&str; 3] = ["iss", "aud", "iat"];

/// What the rest of the issuer's table says.
pub(super) struct Table<'a> {
    /// The settings that were given of those which do not go together with this one.
    pub(super) excluded: Vec<&'static str>,
    pub(super) max_lifetime: Seconds,
    pub(super) required: &'a [RequiredClaim],
    pub(super) roles: &'a [Role],
    pub(super) staff: bool,
    pub(super) claims: Option<&'a Mapping>,
    /// The claim that identifies its users.
    pub(super) identified_by: Option<&'static str>,
}

/// Reads `unbound_tokens_reason` and `only_claims`: every claim that a token may have, if it may lack the three.
pub(super) fn read(
    reader: &mut Reader<'_>,
    reason: Field<String>,
    only: Field<Vec<String>>,
    table: &Table<'_>,
) -> Option<Vec<String>> {
    const REASON: &str = "unbound_tokens_reason";
    if !reason.is_given() {
        reader.check(
            "only_claims",
            !only.is_given(),
            "has no meaning without unbound_tokens_reason: iss and aud tell what a token is for; remove it",
        );
        return None;
    }
    let reason = reader.optional(REASON, reason);
    reader.check(
        REASON,
        reason.is_none_or(|text| text.trim().len() >= 10),
        "must explain why tokens that name no issuer, audience or time can be trusted",
    );
    for name in &table.excluded {
        reader.error(
            name,
            "cannot be combined with unbound_tokens_reason, which is for a shared secret or one key in public_key alone; with other keys a token has to have iss, aud and iat",
        );
    }
    let requires = |name: &str| table.required.iter().any(|one| one.path.as_str() == name);
    reader.check(
        REASON,
        !BINDING.into_iter().all(requires),
        "has no meaning if required_claims names iss, aud and iat; remove it together with only_claims",
    );
    reader.check(
        "max_lifetime",
        table.max_lifetime <= MAX_LIFETIME || requires("iat"),
        "must be at most 600 seconds for tokens that may lack iat; write max_lifetime = 600, or \"iat\" into required_claims",
    );
    reader.check(
        "grant_staff",
        !table.staff,
        "must be false with unbound_tokens_reason; set staff in the users' records",
    );
    reader.check(
        "grant_roles",
        !table.roles.iter().any(|role| role.as_str().contains('*')),
        "must name each role with unbound_tokens_reason, without *",
    );
    if !only.is_given() {
        reader.error(
            "only_claims",
            "is required with unbound_tokens_reason: name every claim that a token may have, such as [\"email\", \"iat\", \"exp\"]",
        );
    }
    let Some(only) = reader.optional("only_claims", only) else {
        // The table has an error, and lets no claim in.
        return Some(Vec::new());
    };
    let required = table.required.iter().map(|required| required.path.as_str());
    for name in required.chain(["exp"]).chain(table.identified_by) {
        if !lists(&only, name) {
            reader.error(
                "only_claims",
                format!("lacks {name}, which every token has; add it"),
            );
        }
    }
    let scopes = table.claims.map(|claims| claims.scopes.claim().as_str());
    reader.check(
        "only_claims",
        !scopes.is_some_and(|scopes| lists(&only, scopes)),
        "must not name the claim of the scopes, in which a token could grant any; write those that all tokens have into defaults.scopes",
    );
    Some(only)
}

/// Whether one of `names` is the claim that `path` is in: claims may have dots in their names.
fn lists(names: &[String], path: &str) -> bool {
    names.iter().any(|name| {
        let rest = path.strip_prefix(name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// What concerns more than the issuer's own table: it serves one site, where links work once, and nothing else has its
/// secret or key.
pub(super) fn check(
    issuers: &[Rc<Issuer>],
    hosts: &HashMap<String, Served>,
    bindings: &Bindings,
    errors: &mut Vec<ConfigError>,
) {
    let mut report = |path: String, error: String| errors.push(ConfigError { path, error });
    // One that has several hosts is there for each of them.
    let mut sites: Vec<&Rc<Site>> = hosts.values().flat_map(Served::iter).collect();
    sites.sort_by(|a, b| a.name.cmp(&b.name));
    sites.dedup_by(|a, b| a.name == b.name);
    let unbound = |issuer: &&Rc<Issuer>| issuer.only_claims.is_some();
    for issuer in issuers.iter().filter(unbound) {
        let name = &issuer.name;
        let path = format!("{ISSUER}{}", name.to_ascii_uppercase());
        let is_this = |other: &Rc<Issuer>| Rc::ptr_eq(other, issuer);
        let serves = |site: &&&Rc<Site>| site.all_issuers().iter().any(is_this);
        let served: Vec<_> = sites.iter().filter(serves).collect();
        if served.len() > 1 {
            let names: Vec<&str> = served.iter().map(|site| site.name.as_str()).collect();
            report(
                format!("{path}.unbound_tokens_reason"),
                format!(
                    "its tokens name no site, and they would count at several: {}; write a table with a secret or key of its own for each",
                    names.join(", ")
                ),
            );
        }
        for site in served {
            check_site(site, issuer, &mut report);
        }
        for (name, binding) in shared_secrets(&path, bindings) {
            report(
                format!("{path}.secret"),
                format!(
                    "{binding} has the secret {name} too, so what is signed for the one would count for the other; create a secret for this issuer alone"
                ),
            );
        }
        for other in issuers.iter().filter(|other| !is_this(other)) {
            if let (KeySource::Fixed(mine), KeySource::Fixed(theirs)) = (&issuer.keys, &other.keys)
                && mine.shares_key(theirs)
            {
                report(
                    format!("{path}.public_key"),
                    format!(
                        "is that of {ISSUER}{} too, so a token for the one would count for the other; create a key for this issuer alone",
                        other.name.to_ascii_uppercase()
                    ),
                );
            }
        }
    }
}

fn check_site(site: &Site, issuer: &Rc<Issuer>, report: &mut impl FnMut(String, String)) {
    let (path, name) = (
        format!("{SITE}{}", site.name.to_ascii_uppercase()),
        &issuer.name,
    );
    let first = site.all_issuers().iter().find(|one| one.lets_lack("iss"));
    if issuer.lets_lack("iss") && first.is_some_and(|first| !Rc::ptr_eq(first, issuer)) {
        report(
            format!("{path}.issuers"),
            format!(
                "contains two issuers with unbound_tokens_reason, and nothing tells whose a token without iss is; require iss in the tokens of {name}"
            ),
        );
    }
    let groups = site.tenants.iter().flat_map(|tenants| &tenants.groups);
    let lists_it = groups.filter(|group| group.issuers.iter().any(|one| Rc::ptr_eq(one, issuer)));
    if lists_it.count() > 1 {
        report(
            format!("{path}.tenants.groups"),
            format!(
                "lists {name} in two tenants, and its tokens name no audience; write a table with a secret or key of its own for each"
            ),
        );
    }
    let query = site.query.as_ref().filter(|_| site.takes(Source::Query));
    if query.is_some_and(|query| !query.single_use) {
        report(
            format!("{path}.query.single_use"),
            format!("must be true, as {name} has unbound_tokens_reason"),
        );
    }
}

/// The issuer's secrets that something else has too, by name or by value, as text or decoded: the name, and the other binding.
fn shared_secrets<'a>(own: &str, bindings: &'a Bindings) -> Vec<(String, &'a str)> {
    let table = bindings.get(own).map(|text| serde_json::from_str(text));
    let Some(Ok(Value::Object(table))) = table else {
        return Vec::new();
    };
    let mut mine = Vec::new();
    collect_named(table.get("secret"), bindings, &mut mine);
    let mut shared = Vec::new();
    for (binding, text) in bindings {
        if !binding.starts_with(GLOBAL) || binding == own {
            continue;
        }
        let is_secret = |prefix: &&str| binding.strip_prefix(*prefix).and_then(number).is_some();
        let mut theirs = Vec::new();
        if SECRETS.iter().any(is_secret) {
            theirs.push(binding.as_str());
        } else {
            let table: Option<Value> = serde_json::from_str(text).ok();
            collect_named(table.as_ref(), bindings, &mut theirs);
        }
        let forms = |name: &str| bindings.get(name).map_or_else(Vec::new, |text| forms(text));
        for name in &mine {
            let is_same = |other: &&str| forms(other).iter().any(|one| forms(name).contains(one));
            if theirs.iter().any(is_same) {
                shared.push(((*name).to_owned(), binding.as_str()));
            }
        }
    }
    shared
}

/// The names of Worker secrets anywhere in `value`.
fn collect_named<'a>(value: Option<&Value>, bindings: &'a Bindings, found: &mut Vec<&'a str>) {
    match value {
        Some(Value::String(text)) => {
            let binding = bindings.get_key_value(text).map(|(name, _)| name.as_str());
            found.extend(binding.filter(|name| !name.starts_with(GLOBAL)));
        }
        Some(Value::Array(items)) => {
            for item in items {
                collect_named(Some(item), bindings, found);
            }
        }
        Some(Value::Object(members)) => {
            for member in members.values() {
                collect_named(Some(member), bindings, found);
            }
        }
        _ => {}
    }
}

/// The bytes that a secret may stand for.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let text = text.trim();
    let decoded = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    let mut forms = vec![text.as_bytes().to_vec()];
    forms.extend(decoded);
    forms
}

#[cfg(test)]
mod tests;
