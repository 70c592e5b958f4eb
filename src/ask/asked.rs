//! What a request asks for, as rules see it: host, path and method, and where the client is. Takes
//! the client's address and country from the headers that the CDN alone writes, and nothing else
//! that a client chose.

use std::borrow::Cow;

use crate::http::host::canonical_host;
use crate::http::path::CanonicalPath;
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
#[must_use]
pub fn asked<'a>(
    site: &'a Site,
    parts: &'a Parts,
    host: &'a str,
    path: &'a CanonicalPath<'a>,
) -> (Asked<'a>, &'a Rule) {
    let mut asked = Asked {
        host,
        path,
        method: parts.method(),
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
        let rule = site.rules.rule_for(&announced);
        if rule.preflight {
            return (announced, rule);
        }
    }
    (asked, site.rules.rule_for(&asked))
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
