//! Issuers other than us: whose tokens a site takes, how they are checked, and what they may say.

use crate::http::host::fetchable_host;
use crate::jose::key::KeySet;
use crate::model::claim::ClaimPath;
use crate::model::user::Role;
use crate::platform::algorithm::Algorithm;
use crate::platform::time::Seconds;

/// An issuer, checked.
#[derive(Debug)]
pub struct Issuer {
    /// The binding's name after `EDGEWARD_ISSUER_`, in lower case.
    pub name: String,
    /// Exact `iss`.
    pub issuer: String,
    /// One of these must be in `aud`.
    pub audience: Vec<String>,
    /// What its tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// How far its clock and ours may differ.
    pub leeway: Seconds,
    /// The `typ` that its tokens must have, in lower case.
    pub typ: Option<String>,
    /// The longest `exp` − `iat`.
    pub max_lifetime: Seconds,
    /// Claims that must be there.
    pub required_claims: Vec<ClaimPath>,
    /// What its signatures are checked with.
    pub keys: KeySource,
    /// Where its tokens say what.
    pub claims: Mapping,
    /// What is assumed when they do not.
    pub defaults: Defaults,
    /// Whether an address must be said to be verified.
    pub email_verified: bool,
    /// The domain of the addresses of those who have none: `sub` at this domain.
    pub subject_domain: Option<String>,
    /// The domains of the addresses that it may name; any, when it is not said.
    pub email_domains: Option<Vec<String>>,
    /// Whether a token for an unknown address makes a user.
    pub create_users: bool,
    /// The roles that it may grant.
    pub grant_roles: Vec<Role>,
    /// Whether it may say who is staff.
    pub grant_staff: bool,
    /// The claims that are kept for rules and headers; all when it is not said.
    pub keep_claims: Option<Vec<String>>,
}

/// What signatures are checked with.
#[derive(Debug)]
pub enum KeySource {
    /// Shared secrets; any of them.
    Secrets(SharedSecrets),
    /// A key in the configuration.
    Fixed(KeySet),
    /// Keys that the issuer publishes.
    Remote(RemoteKeys),
}

/// Shared secrets. Their `Debug` shows nothing.
pub struct SharedSecrets(pub Vec<Vec<u8>>);

impl std::fmt::Debug for SharedSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedSecrets")
    }
}

/// Keys that the issuer publishes.
#[derive(Debug)]
pub struct RemoteKeys {
    /// Exact `iss`; a discovery document must name it too.
    pub issuer: String,
    /// Where.
    pub url: String,
    /// What is there.
    pub document: Document,
    /// How long they count as fresh.
    pub ttl: Seconds,
    /// How long they are used when the issuer cannot be asked.
    pub stale: Seconds,
    /// How long to wait before asking again for a key that is not known.
    pub cooldown: Seconds,
    /// The one origin on this machine that may be asked.
    pub loopback: Option<String>,
}

/// What is at the URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Document {
    /// A key set.
    KeySet,
    /// A discovery document, which names the key set.
    Discovery,
    /// One key: PEM, DER or JWK.
    Key,
}

/// Where a token says what.
#[derive(Debug)]
pub struct Mapping {
    /// The address.
    pub email: ClaimPath,
    /// Whether the address is the person's.
    pub email_verified: ClaimPath,
    /// The username.
    pub username: ClaimPath,
    /// The given name.
    pub first_name: ClaimPath,
    /// The family name.
    pub last_name: ClaimPath,
    /// The roles.
    pub roles: ClaimPath,
    /// Whether it is staff.
    pub staff: ClaimPath,
    /// The scopes.
    pub scopes: ClaimPath,
    /// The tenant.
    pub tenant: ClaimPath,
    /// The workspace.
    pub workspace: ClaimPath,
}

/// What is assumed when a token does not say it.
#[derive(Debug, Default)]
pub struct Defaults {
    /// The roles.
    pub roles: Vec<Role>,
    /// The scopes.
    pub scopes: Vec<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// The workspace.
    pub workspace: Option<String>,
}

impl Issuer {
    /// The host that is asked for keys.
    #[must_use]
    pub fn remote_host(&self) -> Option<String> {
        match &self.keys {
            KeySource::Remote(remote) => fetchable_host(&remote.url, remote.loopback.as_deref()),
            KeySource::Secrets(_) | KeySource::Fixed(_) => None,
        }
    }
}
