//! Removes our credentials and reserved headers from a request before anything is added.

use std::borrow::Cow;

use crate::ask::source::{self, Presented};
use crate::ask::webdav::DESTINATION;
use crate::credential::stray;
use crate::http::cookies::Remainder;
use crate::http::headers::HeaderChanges;
use crate::http::request::Parts;
use crate::http::reserved::{is_api_key, is_set_always};
use crate::model::api_token;
use crate::origin::{mutate, response};
use crate::site::translate::{Replaced, Translation};
use crate::site::{Site, Source};

/// What [`strip`] removes.
#[derive(Default)]
pub struct Stripped {
    /// Changes that depend on no header value, so many requests share them.
    pub changes: HeaderChanges,
    /// Headers that lose only a part of their value.
    pub own: HeaderChanges,
}

/// Removes reserved headers and our credentials. All other headers stay untouched.
#[must_use]
pub fn strip(site: &Site, parts: &Parts, presented: &Presented<'_>) -> Stripped {
    let mut stripped = Stripped {
        changes: HeaderChanges::with_capacity(256),
        ..Stripped::default()
    };
    let names = site.translation(parts.scheme(), parts.authority());
    for (name, value) in parts.headers() {
        let changes = &mut stripped.changes;
        if is_set_always(name) || mutate::is_told_already(parts, name) {
            // `mutate` overwrites it, or it says what `mutate` would.
        } else if site.reserved.contains(name)
            || site
                .tenants
                .as_ref()
                .is_some_and(|tenants| tenants.is_misspelt(name))
        {
            changes.remove(name);
        } else if name == "cookie" {
            if presented.cookies_left == Remainder::Nothing {
                changes.remove(name);
            }
        } else if name == "referer" {
            match referer_left(site, value) {
                None => changes.remove(name),
                Some(Cow::Borrowed(left)) if left.len() == value.len() => {
                    translate(&mut stripped.changes, names.as_ref(), name, value);
                }
                Some(left) => {
                    let named = names.as_ref().and_then(|names| names.to_upstream(&left));
                    let named = named.and_then(|named| named.apply_to(&left));
                    stripped.own.set(name, named.as_deref().unwrap_or(&left));
                }
            }
        } else if (name == "authorization" && presented.authorization_is_ours)
            || (is_api_key(name)
                && (value.contains(api_token::PREFIX) || site.takes_keys_of_others()))
            || is_token_header(site, name, value)
            || stray::is_in(value)
        {
            changes.remove(name);
        } else if matches!(name, "origin" | DESTINATION) {
            translate(&mut stripped.changes, names.as_ref(), name, value);
        } else if name == "if"
            && let Some(names) = &names
        {
            let named = response::in_brackets(value, |url| names.to_upstream(url)?.apply_to(url));
            if let Some(named) = named {
                stripped.own.set(name, &named);
            }
        }
    }
    stripped
}

/// Gives the origin its own name instead of the public one at the beginning of a header. The change depends on
/// nothing that follows there, so requests share it.
fn translate(
    changes: &mut HeaderChanges,
    names: Option<&Translation<'_>>,
    name: &str,
    value: &str,
) {
    if let Some(Replaced { length, by }) = names.and_then(|names| names.to_upstream(value)) {
        changes.rebase(name, length, &by);
    }
}

/// The part of a `Referer` that the origin may see; `None` for nothing. It is a URL, so our
/// credentials are removed from it as from the request's own URL.
fn referer_left<'a>(site: &Site, value: &'a str) -> Option<Cow<'a, str>> {
    let (place, query) = match value.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (value, None),
    };
    if stray::is_in(place) {
        return None;
    }
    let Some(query) = query else {
        return Some(Cow::Borrowed(value));
    };
    let clean = source::clean_query(site, query);
    Some(if *clean == *query {
        Cow::Borrowed(value)
    } else if clean.is_empty() {
        Cow::Borrowed(place)
    } else {
        Cow::Owned(format!("{place}?{clean}"))
    })
}

/// Whether the site takes tokens in this header, and it holds one.
fn is_token_header(site: &Site, name: &str, value: &str) -> bool {
    site.takes(Source::Header)
        && site.token_headers.iter().any(|header| {
            header.name == name
                // A repeated header arrives as one, joined by commas.
                && (header.prefix.is_empty()
                    || value.split(',').any(|piece| header.token(piece).is_some()))
        })
}
