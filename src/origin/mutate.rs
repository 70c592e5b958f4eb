//! Adds headers to a request: who the caller is, and how the request arrived.

use std::rc::Rc;

use serde_json::Value;

use crate::authn::principal::Principal;
use crate::credential::verified::DerivedCallerHeaders;
use crate::http::headers::{CallerHeaders, HeaderChanges};
use crate::http::request::Parts;
use crate::memory::cache::{Cache, Note};
use crate::model::claim::Reading;
use crate::model::user::Role;
use crate::site::attribute::{Attribute, headers_of};
use crate::site::{SeparatorInGroups, Site};

/// The header that tells an origin below which path people see it.
pub const MOUNT_HEADER: &str = "x-forwarded-prefix";

const ADDRESS: &str = "cf-connecting-ip";
const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Whether the request's header `name` has the value that [`add_forwarding_headers`] gives it, as from a CDN that sets it
/// too.
#[must_use]
pub fn is_told_already(parts: &Parts, name: &str) -> bool {
    match name {
        FORWARDED_FOR => {
            let address = parts.header(ADDRESS);
            address.is_some() && parts.header(FORWARDED_FOR) == address
        }
        FORWARDED_PROTO => parts.header(FORWARDED_PROTO) == Some(parts.scheme()),
        _ => false,
    }
}

/// Adds the `X-Forwarded-*` headers and the site's `upstream_credential`. None of them depends on
/// the caller. What a header says already is not set again: that costs more than to compare it.
pub fn add_forwarding_headers(changes: &mut HeaderChanges, site: &Site, parts: &Parts) {
    if parts.header(ADDRESS).is_some() && !is_told_already(parts, FORWARDED_FOR) {
        changes.copy(FORWARDED_FOR, ADDRESS);
    }
    changes.set("x-forwarded-host", parts.authority());
    if !is_told_already(parts, FORWARDED_PROTO) {
        changes.set(FORWARDED_PROTO, parts.scheme());
    }
    if !site.mount.is_empty() {
        changes.set(MOUNT_HEADER, &site.mount);
    }
    if let Some((header, value)) = &site.upstream_credential {
        changes.set(header, &value.0);
    }
}

/// The headers that say who `principal` is. Made once per credential; the same [`Rc`] until the
/// user's record or the assertion changes.
#[must_use]
pub fn caller_headers(
    site: &Site,
    principal: &Principal,
    assertion: Option<&Rc<str>>,
    cache: &Cache,
) -> Rc<CallerHeaders> {
    let user = principal.user();
    if let Some(known) = &principal.verified().memo().caller_headers
        && Rc::ptr_eq(&known.user, user)
        && known.assertion.as_ref().map(Rc::as_ptr) == assertion.map(Rc::as_ptr)
    {
        return Rc::clone(&known.headers);
    }
    let mut changes = identity(site, principal, cache);
    if let (Some(settings), Some(assertion)) = (&site.assertion, assertion) {
        if settings.prefix.is_empty() {
            changes.set(&settings.header, assertion);
        } else {
            let value = format!("{}{assertion}", settings.prefix);
            changes.set(&settings.header, &value);
        }
    }
    let headers = CallerHeaders::new(changes);
    let caller_headers = DerivedCallerHeaders {
        user: Rc::clone(user),
        assertion: assertion.cloned(),
        headers: Rc::clone(&headers),
    };
    let verified = principal.verified();
    verified.remember(|memo| memo.caller_headers = Some(caller_headers));
    headers
}

fn identity(site: &Site, principal: &Principal, cache: &Cache) -> HeaderChanges {
    let mut changes = HeaderChanges::default();
    let claims = principal.claims();
    let mut tell = |header: &str, attribute: &Attribute| {
        let roles = &principal.user().roles;
        if *attribute == Attribute::Roles && !roles.is_empty() {
            let names = || roles.iter().map(Role::as_str);
            let separator = site.groups_separator;
            if site.separator_in_groups == SeparatorInGroups::Refuse {
                let with_separator = names().filter(|name| name.contains(separator)).count();
                // Whoever splits the value without decoding would read another role's name in it.
                if with_separator > 0 {
                    return cache.note(Note::RolesNotSent {
                        site: site.name.clone(),
                        header: header.to_owned(),
                        user: principal.user().id.clone(),
                        roles: roles.len(),
                        with_separator,
                    });
                }
            }
            return changes.set_list(header, names(), separator);
        }
        let value = value_of(attribute, principal, &claims);
        // An unknown attribute gets no header; the client's own header is removed already.
        if !value.is_empty() {
            changes.set_encoded(header, &value);
        }
    };
    for preset in &site.presets {
        for (header, attribute) in headers_of(*preset) {
            tell(header, &attribute);
        }
    }
    for (header, attribute) in &site.custom_headers {
        tell(header, attribute);
    }
    changes
}

/// The attribute's value for `principal`, whose claims these are; empty if there is none.
fn value_of(attribute: &Attribute, principal: &Principal, claims: &Reading<'_>) -> String {
    let user = principal.user();
    match attribute {
        Attribute::Id => user.id.as_str().to_owned(),
        Attribute::Email => user.address().unwrap_or_default().to_owned(),
        Attribute::Login => user.login().to_owned(),
        Attribute::Username => user.username.as_str().to_owned(),
        Attribute::FirstName => user.first_name.as_str().to_owned(),
        Attribute::LastName => user.last_name.as_str().to_owned(),
        Attribute::Name => user.display_name(),
        // Set as a list, and with each request.
        Attribute::Roles | Attribute::AccessToken => String::new(),
        Attribute::Staff => user.staff.to_string(),
        Attribute::Superuser => user.superuser.to_string(),
        // One with a blank would be read as two.
        Attribute::Scopes => {
            let scopes = principal.scopes().iter().map(AsRef::as_ref);
            let plain: Vec<&str> = scopes.filter(|one: &&str| !one.contains(' ')).collect();
            plain.join(" ")
        }
        Attribute::Tenant => principal.tenant().unwrap_or_default().to_owned(),
        Attribute::Workspace => principal.workspace().unwrap_or_default().to_owned(),
        Attribute::Issuer => principal.issuer().to_owned(),
        Attribute::Claim(path) => path
            .find(claims.members())
            .and_then(shown)
            .unwrap_or_default(),
    }
}

/// A claim as the value of a header: a scalar, or a list of scalars joined by commas. A list with an
/// item that contains a comma would be ambiguous, so it gives no header.
fn shown(value: &Value) -> Option<String> {
    let simple = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    match value {
        Value::Array(items) => {
            let items: Option<Vec<String>> = items
                .iter()
                .map(|item| simple(item).filter(|text| !text.contains(',')))
                .collect();
            items.map(|items| items.join(","))
        }
        other => simple(other),
    }
}
