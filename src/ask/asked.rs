//! What a request asks for, as rules see it: host, path and method, and where the client is. Takes
//! the client's address and country from the headers that the CDN alone writes, and nothing else
//! that a client chose.

use std::borrow::Cow;

use crate::answer::denial::Denial;
use crate::answer::reading::Lead;
use crate::http::host::canonical_host;
use crate::http::path::RequestPath;
use crate::http::request::Parts;
use crate::rules::{Asked, Rule};
use crate::site::Site;

/// The host in its one form. Most requests spell it as it is configured, and then nothing is copied.
#[must_use]
pub fn host<'a>(site: &Site, parts: &'a Parts) -> Cow<'a, str> {
    let authority = parts.authority();
    if site.hosts.iter().any(|host| host == authority) {
        return Cow::Borrowed(authority);
    }
    Cow::Owned(canonical_host(authority, parts.scheme()).unwrap_or_default())
}

/// What is asked for, and the rule that decides. A true preflight is asked as the request that it
/// announces, if the rule for that one lets preflights pass; otherwise it is a request like others.
///
/// # Errors
/// [`Denial::AmbiguousPath`] if readings of the path lead to different rules.
pub fn asked<'a>(
    site: &'a Site,
    parts: &'a Parts,
    host: &'a str,
    path: &'a RequestPath<'a>,
) -> Result<(Asked<'a>, &'a Rule), Denial> {
    asked_with(site, parts, parts.method(), host, path)
}

/// The same for a request with this `method`.
///
/// # Errors
/// As [`asked`].
pub fn asked_with<'a>(
    site: &'a Site,
    parts: &'a Parts,
    method: &'a str,
    host: &'a str,
    path: &'a RequestPath<'a>,
) -> Result<(Asked<'a>, &'a Rule), Denial> {
    let found = of_reading(site, parts, method, host, path.reading(), Folding::Usual);
    if path.is_plain() {
        return Ok(found);
    }
    let mut leads = leads(site, parts, method, host, path);
    let Some((reading, first)) = leads.next() else {
        return Ok(found);
    };
    for (other, lead) in leads {
        if lead != first {
            return Err(Denial::AmbiguousPath(first, lead));
        }
        if tells_apart(site, method, reading, other) {
            return Err(Denial::AmbiguousPath(lead, Lead::OtherPlace));
        }
    }
    Ok(found)
}

/// Each reading of `path`, and the rule to which it leads.
pub fn leads<'a>(
    site: &'a Site,
    parts: &'a Parts,
    method: &'a str,
    host: &'a str,
    path: &'a RequestPath<'a>,
) -> impl Iterator<Item = (&'a [u8], Lead)> {
    path.readings().flat_map(move |reading| {
        let foldings = if site.rules.folds_differently(reading) {
            &[Folding::Usual, Folding::Wide][..]
        } else {
            &[Folding::Usual]
        };
        foldings.iter().map(move |folding| {
            let (asked, rule) = of_reading(site, parts, method, host, reading, *folding);
            let lead = if asked.preflight {
                Lead::Preflight(rule.number)
            } else {
                Lead::Rule(rule.number)
            };
            (reading, lead)
        })
    })
}

/// How letters are folded where the origin ignores case.
#[derive(Clone, Copy)]
enum Folding {
    Usual,
    Wide,
}

fn of_reading<'a>(
    site: &'a Site,
    parts: &'a Parts,
    method: &'a str,
    host: &'a str,
    path: &'a [u8],
    folding: Folding,
) -> (Asked<'a>, &'a Rule) {
    let rule_for = |asked: &Asked<'_>| match folding {
        Folding::Usual => site.rules.rule_for(asked),
        Folding::Wide => site.rules.rule_for_folded_widely(asked),
    };
    let mut asked = Asked {
        host,
        path,
        method,
        preflight: false,
        address: None,
        country: None,
    };
    if site.rules.reads_client() {
        asked.address = parts
            .header("cf-connecting-ip")
            .and_then(|text| text.trim().parse().ok());
        asked.country = parts.header("cf-ipcountry").map(str::trim);
    }
    if let Some(method) = preflight(parts) {
        let announced = Asked {
            method,
            preflight: true,
            ..asked
        };
        let rule = rule_for(&announced);
        if rule.preflight {
            return (announced, rule);
        }
    }
    (asked, rule_for(&asked))
}

/// Whether the site's profile treats two readings of a path differently.
fn tells_apart(site: &Site, method: &str, one: &[u8], other: &[u8]) -> bool {
    site.profile.as_ref().is_some_and(|profile| {
        let [one, other] = [one, other].map(String::from_utf8_lossy);
        profile.tells_apart(method, &one, &other)
    })
}

/// The method that a true preflight asks about; `None` for every other request. Only OPTIONS with
/// both headers is one: no page can make a browser send less.
#[must_use]
pub fn preflight(parts: &Parts) -> Option<&str> {
    if parts.method() != "OPTIONS" {
        return None;
    }
    parts.header("origin").filter(|origin| !origin.is_empty())?;
    let method = parts.header("access-control-request-method")?;
    let plain = |b: u8| b.is_ascii_alphabetic() || b == b'-';
    (!method.is_empty() && method.bytes().all(plain)).then_some(method)
}
