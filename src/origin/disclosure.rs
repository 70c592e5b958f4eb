//! What the platform tells the core of the headers of a request that may be forwarded. Most headers decide
//! nothing, whatever they say, so neither name nor value crosses. The platform asks once per name and
//! remembers the answer, which therefore holds for every site of the configuration.

use crate::http::request::READ;
use crate::http::reserved::is_set_always;
use crate::origin::strip::is_api_key;
use crate::site::Source;
use crate::site::config::Config;
use crate::site::tenant::By;

/// How much the core is told of a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disclosure {
    /// Nothing: no site decides by it, and none removes it.
    Nothing,
    /// That it is there: some site removes it, whatever it says.
    Name,
    /// Name and value: some site reads it.
    Value,
}

/// How much the core is told of the header `name` (lower-case), whose value cannot hold a credential of ours.
/// Of a value that can ([`may_hold_a_credential`]) it is told in any case.
#[must_use]
pub fn disclosure_of(config: &Config, name: &str) -> Disclosure {
    if READ.contains(&name) || is_api_key(name) {
        return Disclosure::Value;
    }
    let mut disclosure = Disclosure::Nothing;
    for site in config.sites() {
        let is_read = site.takes(Source::Header)
            && site.token_headers.iter().any(|header| header.name == name);
        let tenants = site.tenants.as_ref();
        if is_read
            || tenants.is_some_and(|tenants| matches!(&tenants.by, By::Header(own) if own == name))
        {
            return Disclosure::Value;
        }
        let is_removed = site.reserved.contains(name)
            || tenants.is_some_and(|tenants| tenants.is_misspelt(name));
        if is_removed && !is_set_always(name) {
            disclosure = Disclosure::Name;
        }
    }
    disclosure
}

/// No credential of ours is shorter, in characters.
const SHORTEST: usize = 53;

/// Whether `value` of the header `name` may hold a credential of ours: one begins with `eyJ` or
/// `ewt_`, as it is or percent-encoded, or it is a parameter in a `Referer`. `head.js` has the same test.
#[must_use]
pub fn may_hold_a_credential(name: &str, value: &str) -> bool {
    (name == "referer" && value.contains('?'))
        || (value.len() >= SHORTEST
            && (value.contains("eyJ") || value.contains("ewt_") || value.contains('%')))
}
