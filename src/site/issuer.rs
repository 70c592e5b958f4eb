//! Other issuers: whose tokens a site accepts, how they are verified, and what they may state.

use serde::Deserialize;
use serde_json::Value;

use crate::http::host::fetchable_host;
use crate::jose::jws::UntrustedJws;
use crate::jose::key::KeySet;
use crate::model::claim::{ClaimPath, ListPath};
use crate::model::user::Role;
use crate::platform::algorithm::Algorithm;
use crate::platform::time::Seconds;
use crate::site::UpstreamCredential;

/// A validated issuer.
#[derive(Debug)]
pub struct Issuer {
    /// The binding's name after `EDGEWARD_ISSUER_`, in lower case.
    pub name: String,
    /// The `iss` of its tokens, as configured; [`TENANT_ID`] in it stands for one of several tenants.
    pub issuer: String,
    /// Every `iss` that its tokens may have; compared exactly.
    pub names: Vec<IssuerName>,
    /// One of these must be in `aud`.
    pub audience: Vec<String>,
    /// The accepted signature algorithms.
    pub algorithms: Vec<Algorithm>,
    /// The tolerated difference between its clock and ours.
    pub leeway: Seconds,
    /// The `typ` that its tokens must have, in lower case.
    pub typ: Option<String>,
    /// The longest accepted `exp` − `iat`.
    pub max_lifetime: Seconds,
    pub required_claims: Vec<RequiredClaim>,
    pub keys: KeySource,
    /// Its endpoint that says whose an API key is.
    pub verification: Option<Verification>,
    /// The claims from which the user's properties are read.
    pub claims: Mapping,
    /// What is assumed if a claim is missing.
    pub defaults: Defaults,
    /// Whether a token must state that the e-mail address is verified.
    pub email_verified: bool,
    /// Whether the text `"true"` states that as well.
    pub email_verified_as_text: bool,
    /// Whether whole numbers stand for texts, in `sub` and in the claims of tenant and workspace.
    pub numbers_as_text: bool,
    /// For users without an e-mail address: their `sub` at this domain becomes the address.
    pub subject_domain: Option<String>,
    /// The domains of the e-mail addresses that it may name; `None` for any.
    pub email_domains: Option<Vec<String>>,
    pub identity: UserIdentity,
    /// Whether a token for an unknown user creates one.
    pub create_users: bool,
    pub grant_roles: Vec<Role>,
    pub grant_staff: bool,
    /// The claims that a session keeps; `None` for those that its site uses.
    pub keep_claims: Option<Vec<String>>,
    /// If its tokens may lack `iss`, `aud` and `iat`: every claim that one may have.
    pub only_claims: Option<Vec<String>>,
}

/// What stands for the tenant's id in an issuer of Entra ID.
pub const TENANT_ID: &str = "{tenantid}";

/// An `iss` that an issuer's tokens may have.
#[derive(Debug, Eq, PartialEq)]
pub struct IssuerName {
    pub iss: String,
    /// What `tid` must be in tokens of this name.
    pub tenant_id: Option<String>,
}

/// A claim that a token must have.
#[derive(Debug)]
pub struct RequiredClaim {
    pub path: ClaimPath,
    /// It must be one of these; without them, anything but `null` and an empty text.
    pub values: Option<Vec<Value>>,
}

impl RequiredClaim {
    /// Whether a value of the claim is accepted.
    #[must_use]
    pub fn accepts(&self, value: &Value) -> bool {
        self.values
            .as_ref()
            .is_none_or(|values| values.contains(value))
    }
}

/// An endpoint that says whose an API key is.
#[derive(Debug)]
pub struct Verification {
    pub url: String,
    pub form: Form,
    /// How long an answer counts.
    pub ttl: Seconds,
    /// The only loopback origin that may be asked.
    pub loopback: Option<String>,
}

/// How such an endpoint is asked.
#[derive(Debug)]
pub enum Form {
    /// As USSO's SDK does.
    Usso,
    /// RFC 7662, with the `Authorization` header of the client.
    Introspection(UpstreamCredential),
}

/// What identifies an issuer's users.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum UserIdentity {
    /// The address.
    Email,
    /// The issuer and its `sub`.
    Subject,
}

/// Where the keys for an issuer's signatures come from.
#[derive(Debug)]
pub enum KeySource {
    /// Shared secrets; any of them may match.
    Secrets(SharedSecrets),
    /// A public key in the configuration.
    Fixed(KeySet),
    /// Public keys that the issuer publishes.
    Remote(RemoteKeys),
}

/// Shared secrets. Their `Debug` output does not show them.
pub struct SharedSecrets(pub Vec<Vec<u8>>);

impl std::fmt::Debug for SharedSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedSecrets")
    }
}

/// Public keys that the issuer publishes.
#[derive(Debug)]
pub struct RemoteKeys {
    /// The `iss` of the issuer; a discovery document must name it too.
    pub issuer: String,
    pub url: String,
    /// What the URL returns.
    pub document: Document,
    /// How long fetched keys are fresh.
    pub ttl: Seconds,
    /// How long they are used if the issuer cannot be reached.
    pub stale: Seconds,
    /// How long to wait before asking again for an unknown key.
    pub cooldown: Seconds,
    /// The only loopback origin that may be asked.
    pub loopback: Option<String>,
}

/// The kind of document at the URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Document {
    KeySet,
    /// An `OpenID` discovery document, which names the URL of the key set.
    Discovery,
    /// A single key in PEM, in DER, or as a JWK.
    Key,
}

/// The claims from which a user's properties are read.
#[derive(Debug)]
pub struct Mapping {
    pub email: ClaimPath,
    /// Whether the address belongs to the user.
    pub email_verified: ClaimPath,
    pub username: ClaimPath,
    pub first_name: ClaimPath,
    pub last_name: ClaimPath,
    pub roles: ListPath,
    pub staff: ClaimPath,
    pub scopes: ListPath,
    pub tenant: ClaimPath,
    pub workspace: ClaimPath,
}

/// What is assumed if a token does not state it.
#[derive(Debug, Default)]
pub struct Defaults {
    pub roles: Vec<Role>,
    pub scopes: Vec<String>,
    pub tenant: Option<String>,
    pub workspace: Option<String>,
}

/// Whether a token is of one of `issuers`, as far as its unverified claims say so: they name one, or none where one of them
/// lets its tokens lack a name.
pub fn is_of_any<'a>(
    issuers: impl Iterator<Item = &'a Issuer> + Clone,
    token: &UntrustedJws<'_>,
) -> bool {
    let mut lax = issuers.clone();
    token.names_issuer_among(issuers.flat_map(Issuer::isses))
        || (lax.any(|issuer| issuer.lets_lack("iss")) && token.names_no_issuer())
}

impl Issuer {
    /// Every `iss` that its tokens may have.
    pub fn isses(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| name.iss.as_str())
    }

    /// Whether every token has the claim `name`.
    #[must_use]
    pub fn requires(&self, name: &str) -> bool {
        let mut required = self.required_claims.iter();
        required.any(|required| required.path.as_str() == name)
    }

    /// Whether a token is accepted without `name`, one of `iss`, `aud` and `iat`, which bind it to an issuer, a place and a
    /// time.
    #[must_use]
    pub fn lets_lack(&self, name: &str) -> bool {
        self.only_claims.is_some() && !self.requires(name)
    }

    /// Whether both identify users by the subjects of one issuer.
    fn shares_subjects(&self, other: &Self) -> bool {
        let by_subject = |one: &Self| one.identity == UserIdentity::Subject;
        by_subject(self)
            && by_subject(other)
            && self
                .isses()
                .any(|iss| other.isses().any(|theirs| theirs == iss))
    }

    /// Whether they identify users by the same subjects, but do not accept the same addresses for them. A user has one record,
    /// so what the laxer one accepts would count at the sites of the other.
    #[must_use]
    pub fn accepts_other_addresses(&self, other: &Self) -> bool {
        let policy = |one: &Self| {
            (
                one.email_verified,
                one.email_verified_as_text,
                one.email_domains.clone(),
                one.claims.email.as_str(),
                one.claims.email_verified.as_str(),
            )
        };
        self.shares_subjects(other) && policy(self) != policy(other)
    }

    /// Whether who holds its keys could make tokens of the same subjects as `other` with other keys.
    #[must_use]
    pub fn could_forge(&self, other: &Self) -> bool {
        self.shares_subjects(other)
            && !match (&self.keys, &other.keys) {
                (KeySource::Secrets(mine), KeySource::Secrets(theirs)) => mine.0 == theirs.0,
                (KeySource::Fixed(mine), KeySource::Fixed(theirs)) => mine == theirs,
                (KeySource::Remote(mine), KeySource::Remote(theirs)) => mine.url == theirs.url,
                _ => false,
            }
    }

    /// The host that its keys are fetched from.
    #[must_use]
    pub fn remote_host(&self) -> Option<String> {
        match &self.keys {
            KeySource::Remote(remote) => fetchable_host(&remote.url, remote.loopback.as_deref()),
            KeySource::Secrets(_) | KeySource::Fixed(_) => None,
        }
    }
}
