//! What the platform tells the core of the headers of a request that may be forwarded. Most headers decide
//! nothing, whatever they say, so neither name nor value crosses. The platform asks once per name and
//! remembers the answer, which therefore holds for every site of the configuration.

use std::collections::HashSet;
use std::rc::Rc;

use crate::http::request::READ;
use crate::http::reserved::{self, Reserved, is_api_key, is_set_always};
use crate::site::tenant::TenantSource;
use crate::site::{Site, Source};

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

/// What all sites together want to know of headers. Worked out once: clients choose names, so an answer must
/// not cost more the more sites there are.
#[derive(Debug, Default)]
pub struct Disclosures {
    /// Whose values some site reads.
    read: HashSet<String>,
    /// The tenant headers among these in their folded form: other spellings are removed.
    tenants: HashSet<String>,
    /// What some site removes.
    removed: Reserved,
}

impl Disclosures {
    /// What `sites` want to know.
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
        }
        all
    }

    /// How much the core is told of the header `name` (lower-case), whose value cannot hold a credential of
    /// ours. Of a value that can ([`may_hold_a_credential`]) it is told in any case.
    #[must_use]
    pub fn for_name(&self, name: &str) -> Disclosure {
        if READ.contains(&name) || is_api_key(name) || self.read.contains(name) {
            return Disclosure::Value;
        }
        let is_removed = self.removed.contains(name) || self.is_misspelt(name);
        if is_removed && !is_set_always(name) {
            Disclosure::Name
        } else {
            Disclosure::Nothing
        }
    }

    fn is_misspelt(&self, name: &str) -> bool {
        !self.tenants.is_empty() && self.tenants.contains(&*reserved::fold(name))
    }
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
