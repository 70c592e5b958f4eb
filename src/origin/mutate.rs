//! What is added to a request: who is asking, and how the request came.

use crate::http::headers::HeaderChanges;
use crate::model::claim::Reading;
use crate::model::user::Role;
use crate::site::attribute::headers_of;
use serde_json::Value;
use std::rc::Rc;

use crate::authn::principal::Principal;
use crate::credential::verified::StandingHeaders;
use crate::http::request::Parts;
use crate::site::Site;
use crate::site::attribute::Attribute;

/// Adds what the site tells its origin of this request alone.
pub fn of_request(changes: &mut HeaderChanges, parts: &Parts, request_id: &str) {
    if let Some(address) = parts.header("cf-connecting-ip") {
        changes.set("x-forwarded-for", address);
    }
    // With a Ray the origin has the request's name already.
    if parts.ray().is_none() {
        changes.set("x-request-id", request_id);
    }
}

/// What the site tells its origin at every request of `principal`: who that is, and by which host.
/// Made once, and the same [`Rc`] until the record, the assertion or the host is another.
#[must_use]
pub fn standing(
    site: &Site,
    parts: &Parts,
    principal: Option<&Principal>,
    assertion: Option<&Rc<str>>,
) -> Rc<HeaderChanges> {
    let Some(principal) = principal else {
        return made(site, parts, None, None).complete();
    };
    let user = principal.user();
    if let Some(standing) = &principal.verified().memo().standing
        && Rc::ptr_eq(&standing.user, user)
        && standing.assertion.as_ref().map(Rc::as_ptr) == assertion.map(Rc::as_ptr)
        && standing.authority == parts.authority()
        && standing.scheme == parts.scheme()
    {
        return Rc::clone(&standing.changes);
    }
    let changes = made(site, parts, Some(principal), assertion).complete();
    let standing = StandingHeaders {
        user: Rc::clone(user),
        assertion: assertion.cloned(),
        authority: parts.authority().to_owned(),
        scheme: parts.scheme().to_owned(),
        changes: Rc::clone(&changes),
    };
    let verified = principal.verified();
    verified.remember(|memo| memo.standing = Some(standing));
    changes
}

fn made(
    site: &Site,
    parts: &Parts,
    principal: Option<&Principal>,
    assertion: Option<&Rc<str>>,
) -> HeaderChanges {
    let mut changes = principal.map_or_else(HeaderChanges::default, |principal| {
        identity(site, principal)
    });
    if let (Some(settings), Some(assertion)) = (&site.assertion, assertion) {
        changes.set(&settings.header, assertion);
    }
    changes.set("x-forwarded-host", parts.authority());
    changes.set("x-forwarded-proto", parts.scheme());
    if let Some((header, value)) = &site.upstream_credential {
        changes.set(header, &value.0);
    }
    changes
}

fn identity(site: &Site, principal: &Principal) -> HeaderChanges {
    let mut changes = HeaderChanges::default();
    let claims = principal.claims();
    let mut tell = |header: &str, attribute: &Attribute| {
        let value = value_of(attribute, principal, &claims);
        // What is not known of a user is not said: the client's own header has been removed already.
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

/// The attribute's value for `principal`, whose claims these are; empty when it has none.
fn value_of(attribute: &Attribute, principal: &Principal, claims: &Reading<'_>) -> String {
    let user = principal.user();
    match attribute {
        Attribute::Id => user.id.as_str().to_owned(),
        Attribute::Email => user.email.as_str().to_owned(),
        Attribute::Username => user.username.as_str().to_owned(),
        Attribute::FirstName => user.first_name.as_str().to_owned(),
        Attribute::LastName => user.last_name.as_str().to_owned(),
        Attribute::Name => user.display_name(),
        Attribute::Roles => user
            .roles
            .iter()
            .map(Role::as_str)
            .collect::<Vec<_>>()
            .join(","),
        Attribute::Staff => user.staff.to_string(),
        Attribute::Superuser => user.superuser.to_string(),
        Attribute::Scopes => principal.scopes().join(" "),
        Attribute::Tenant => principal.tenant().unwrap_or_default().to_owned(),
        Attribute::Workspace => principal.workspace().unwrap_or_default().to_owned(),
        Attribute::Issuer => principal.issuer().to_owned(),
        Attribute::Claim(path) => path
            .find(claims.members())
            .and_then(shown)
            .unwrap_or_default(),
    }
}

/// A claim as the text of a header: what is simple, or a list of it, joined by commas. A list with
/// an item that holds a comma could be read in two ways, so it is not said.
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
