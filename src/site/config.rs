//! The valid configuration of the Worker.

use std::collections::HashMap;
use std::rc::Rc;

use serde::Deserialize;

use crate::http::host::canonical_host;
use crate::jose::hmac::Keyring;
use crate::platform::algorithm::Algorithm;
use crate::platform::time::Seconds;
use crate::site::Site;
use crate::site::disclosure::Disclosures;
use crate::site::gateway::Gateway;
use crate::site::mount::Served;

/// An error in the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    /// The binding's name, then members, separated by dots.
    pub path: String,
    /// What is wrong, and what to do about it.
    pub error: String,
}

/// A valid configuration.
#[derive(Debug)]
pub struct Config {
    /// The `iss` of every token that Edgeward issues.
    pub issuer: String,
    /// How long an isolate may use what it has read about a user.
    pub user_cache: Seconds,
    /// For how many days the audit log of a month is kept after its end.
    pub audit_days: u32,
    pub log: Logging,
    pub keys: Keyrings,
    /// Settings that are valid but surely not intended. Logged when an isolate starts.
    pub notes: Vec<ConfigError>,
    /// The same for the same settings, whatever the secrets are.
    pub digest: String,
    /// How much the core is told about each header.
    pub disclosures: Disclosures,
    pub(crate) hosts: HashMap<String, Served>,
}

/// The key rings, by purpose.
#[derive(Clone, Debug)]
pub struct Keyrings {
    /// Signs sessions.
    pub session: Keyring,
    /// Signs SSO tokens.
    pub token: Keyring,
    /// Encrypts private keys at rest.
    pub key: Keyring,
}

/// What is logged, and what of it may hold personal data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Logging {
    pub lines: Log,
    pub path: LogPath,
    pub address: LogAddress,
}

/// What lines tell of a path. None has a query, and none has a JWT or an API token in a path.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LogPath {
    /// `*` in the place of each segment that looks like a secret or holds an email address.
    Masked,
    /// Every segment.
    Full,
    /// Nothing.
    None,
}

/// What lines tell of a client's address.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LogAddress {
    /// Its network: /24 of an IPv4 address, /48 of an IPv6 address.
    Prefix,
    /// The whole address.
    Full,
    /// Nothing.
    None,
}

/// What is logged.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Log {
    /// Sign-ins, sign-outs, denials, faults and admin calls.
    Notable,
    /// Every other request as well.
    All,
}

impl Config {
    /// The algorithms of all sites' assertions, or the default one.
    #[must_use]
    pub fn assertion_algorithms(&self) -> Vec<Algorithm> {
        let mut all: Vec<Algorithm> = self
            .sites()
            .filter_map(|site| Some(site.assertion.as_ref()?.algorithm))
            .collect();
        all.sort_unstable();
        all.dedup();
        if all.is_empty() {
            all.push(Algorithm::Es256);
        }
        all
    }

    /// The site with this name, ignoring case.
    #[must_use]
    pub fn site_named(&self, name: &str) -> Option<Rc<Site>> {
        self.sites()
            .find(|site| site.name.eq_ignore_ascii_case(name))
            .map(Rc::clone)
    }

    /// The gateway, if there is one.
    #[must_use]
    pub fn gateway(&self) -> Option<(&Rc<Site>, &Gateway)> {
        self.sites()
            .find_map(|site| Some((site, site.gateway.as_ref()?)))
    }

    /// The site, if there is exactly one besides the gateway.
    #[must_use]
    pub fn only_site(&self) -> Option<Rc<Site>> {
        let mut sites = self.sites().filter(|site| site.gateway.is_none());
        let first = sites.next()?;
        sites.next().is_none().then(|| Rc::clone(first))
    }

    /// The sites at `authority`, the host of a request with or without a port.
    #[must_use]
    pub fn served(&self, authority: &str, scheme: &str) -> Option<&Served> {
        // Most requests spell the host as it is configured.
        if let Some(served) = self.hosts.get(authority) {
            return Some(served);
        }
        self.hosts.get(&canonical_host(authority, scheme)?)
    }

    /// The site that serves a path at `authority`. Only for what decides nothing: readings of a path may lead to
    /// different sites.
    #[must_use]
    pub fn site(&self, authority: &str, scheme: &str, path: &str) -> Option<Rc<Site>> {
        self.served(authority, scheme)?
            .find(path.as_bytes())
            .map(Rc::clone)
    }

    /// All sites, each once.
    pub fn sites(&self) -> impl Iterator<Item = &Rc<Site>> {
        self.hosts.iter().flat_map(|(host, served)| {
            served
                .iter()
                .filter(move |site| site.hosts.first() == Some(host))
        })
    }
}
