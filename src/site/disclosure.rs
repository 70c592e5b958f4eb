//! How much of each header crosses from JavaScript into the core for a request that may be
//! forwarded. Most headers decide nothing, whatever their value, so neither name nor value crosses.
//! The shell asks once per name and remembers the answer, which therefore holds for every site.

use std::collections::HashSet;
use std::rc::Rc;

use crate::http::request::READ;
use crate::http::reserved::{self, REQUEST_ID, Reserved, is_api_key, is_set_always};
use crate::model::api_token;
use crate::site::tenant::TenantSource;
use crate::site::{Site, Source};

/// The headers with URLs of the site, besides `Origin` and `Destination`, whose values are read
/// anyway.
const TRANSLATED: [&str; 2] = ["if", "referer"];

/// How much the core is told about a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disclosure {
    /// No site depends on it or removes it.
    Nothing,
    /// Only that it is present: some site removes it, whatever its value.
    Name,
    /// Some site reads its value.
    Value,
}

/// What all sites together need to know about headers. Computed once: clients choose header names,
/// so an answer must not cost more the more sites there are.
#[derive(Debug, Default)]
pub struct Disclosures {
    /// The headers whose values some site reads.
    read: HashSet<String>,
    /// The tenant headers in folded form: other spellings of them are removed.
    tenants: HashSet<String>,
    /// The headers that some site removes.
    removed: Reserved,
    /// The names of all sites' own cookies, in lower case. No origin's answer sets one.
    own_cookies: HashSet<String>,
    /// What the names of further ones begin with.
    own_prefixes: HashSet<String>,
}

impl Disclosures {
    /// Collects what `sites` need to know.
    #[must_use]
    pub fn of<'a>(sites: impl IntoIterator<Item = &'a Rc<Site>>) -> Self {
        let mut all = Self::default();
        for site in sites {
            if site.takes(Source::Header) {
                let names = site.token_headers.iter().map(|header| header.name.clone());
                all.read.extend(names);
            }
            if let Some(TenantSource::Header(name)) =
                site.tenants.as_ref().map(|tenants| &tenants.by)
            {
                all.tenants.insert(reserved::fold(name));
                all.read.insert(name.clone());
            }
            all.removed.add(&site.reserved);
            if site.translates() {
                all.read.extend(TRANSLATED.map(str::to_owned));
            }
            let names = site.cookie_names().map(str::to_ascii_lowercase);
            all.own_cookies.extend(names);
            all.own_prefixes
                .insert(site.session.attempts.to_ascii_lowercase());
        }
        all
    }

    /// How much the core is told about the header `name` (in lower case) if its value cannot
    /// contain a credential of ours. Values that can ([`may_hold_a_credential`]) are always
    /// disclosed.
    #[must_use]
    pub fn for_name(&self, name: &str) -> Disclosure {
        if READ.contains(&name) || is_api_key(name) || self.read.contains(name) {
            return Disclosure::Value;
        }
        let is_removed = self.removed.contains(name) || self.is_misspelt(name);
        if (is_removed && !is_set_always(name)) || name == REQUEST_ID {
            Disclosure::Name
        } else {
            Disclosure::Nothing
        }
    }

    /// Whether `name`, in lower case, is that of a cookie of ours, at any site.
    #[must_use]
    pub fn is_own_cookie(&self, name: &str) -> bool {
        self.own_cookies.contains(name)
            || self
                .own_prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix))
    }

    fn is_misspelt(&self, name: &str) -> bool {
        !self.tenants.is_empty() && self.tenants.contains(&*reserved::fold(name))
    }
}

/// Whether the `value` of header `name` may contain a credential of ours: one that begins with
/// `eyJ` or `ewt_`, as it is or percent-encoded, or a parameter in a `Referer`. `head.js` has the
/// same test.
#[must_use]
pub fn may_hold_a_credential(name: &str, value: &str) -> bool {
    (name == "referer" && value.contains('?'))
        || (value.len() >= api_token::LENGTH
            && (value.contains("eyJ") || value.contains(api_token::PREFIX) || value.contains('%')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_knows_an_api_token_by_the_same_length_and_prefix() {
        let shell = include_str!("../edge/head.js");
        let (length, prefix) = (api_token::LENGTH, api_token::PREFIX);
        for line in [
            format!("const SHORTEST = {length};"),
            format!("value.includes(\"{prefix}\")"),
        ] {
            assert!(shell.contains(&line), "{line}");
        }
    }
}
