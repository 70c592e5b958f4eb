//! The configuration of the Worker, free of errors.

use std::collections::HashMap;
use std::rc::Rc;

use serde::Deserialize;

use crate::http::host::canonical_host;
use crate::jose::hmac::Keyring;
use crate::platform::algorithm::Algorithm;
use crate::platform::time::Seconds;
use crate::site::Site;
use crate::site::disclosure::Disclosures;

/// One thing wrong with the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    /// Where: the binding's name, then members with dots.
    pub path: String,
    /// What, and what to do.
    pub error: String,
}

/// A configuration without errors.
#[derive(Debug)]
pub struct Config {
    /// `iss` of every token of ours.
    pub issuer: String,
    /// How long an isolate may go on with what it knows of a user.
    pub user_cache: Seconds,
    /// What is logged.
    pub log: Log,
    /// The secrets.
    pub keys: Keyrings,
    /// What is allowed and yet surely not meant. Logged when an isolate starts.
    pub notes: Vec<ConfigError>,
    /// How much the core is told of each header.
    pub disclosures: Disclosures,
    pub(crate) hosts: HashMap<String, Rc<Site>>,
}

/// The secrets by purpose.
#[derive(Clone, Debug)]
pub struct Keyrings {
    /// Sign sessions.
    pub session: Keyring,
    /// Sign SSO tokens.
    pub token: Keyring,
    /// Seal private keys at rest.
    pub key: Keyring,
}

/// What is logged.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Log {
    /// Sign-ins, sign-outs, denials, faults and admin calls.
    Notable,
    /// Every request as well.
    All,
}

impl Config {
    /// The algorithms that assertions are signed with: those of all sites, or the usual one.
    #[must_use]
    pub fn assertion_algorithms(&self) -> Vec<Algorithm> {
        let sites = self.hosts.values();
        let mut all: Vec<Algorithm> = sites
            .filter_map(|site| Some(site.assertion.as_ref()?.algorithm))
            .collect();
        all.sort_unstable();
        all.dedup();
        if all.is_empty() {
            all.push(Algorithm::Es256);
        }
        all
    }

    /// The site called `name`, without case.
    #[must_use]
    pub fn site_named(&self, name: &str) -> Option<Rc<Site>> {
        self.hosts
            .values()
            .find(|site| site.name.eq_ignore_ascii_case(name))
            .map(Rc::clone)
    }

    /// The site, where there is one only.
    #[must_use]
    pub fn only_site(&self) -> Option<Rc<Site>> {
        let mut sites = self.hosts.values();
        let first = sites.next()?;
        sites
            .all(|site| site.name == first.name)
            .then(|| Rc::clone(first))
    }

    /// The site that serves `authority`, a host with or without a port as it came in a request.
    #[must_use]
    pub fn site(&self, authority: &str, scheme: &str) -> Option<Rc<Site>> {
        // Most requests spell the host as it is configured.
        if let Some(site) = self.hosts.get(authority) {
            return Some(Rc::clone(site));
        }
        self.hosts
            .get(&canonical_host(authority, scheme)?)
            .map(Rc::clone)
    }

    /// Each site once.
    pub fn sites(&self) -> impl Iterator<Item = &Rc<Site>> {
        self.hosts
            .iter()
            .filter(|(host, site)| site.hosts.first() == Some(host))
            .map(|(_, site)| site)
    }
}
