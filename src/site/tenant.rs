//! Tenants: isolated groups of issuers and users at one site.

use std::rc::Rc;

use crate::http::host::canonical_host;
use crate::http::request::Parts;
use crate::http::reserved;
use crate::jose::error::TokenError;
use crate::model::user::Tenant;
use crate::site::Site;
use crate::site::issuer::Issuer;

/// The tenants of a site.
#[derive(Debug)]
pub struct Tenants {
    pub by: TenantSource,
    pub groups: Vec<Group>,
    /// The issuers of all tenants.
    pub issuers: Vec<Rc<Issuer>>,
}

impl Tenants {
    /// Whether `name` is another spelling of the tenant header, which an origin that folds names
    /// would treat as the same.
    #[must_use]
    pub fn is_misspelt(&self, name: &str) -> bool {
        matches!(&self.by, TenantSource::Header(own) if own != name && reserved::fold(own) == reserved::fold(name))
    }
}

/// How the tenant of a request is determined.
#[derive(Debug)]
pub enum TenantSource {
    /// By the host of the request.
    Host,
    /// By the value of this header.
    Header(String),
    /// By a claim of the token.
    Claim,
}

/// A tenant.
#[derive(Debug)]
pub struct Group {
    pub name: Tenant,
    /// The kind under which its tokens are cached, so that they are not found from another tenant.
    pub kind: String,
    /// The same for API keys.
    pub key_kind: String,
    /// Its own hosts.
    pub hosts: Vec<String>,
    /// The issuers that it accepts.
    pub issuers: Vec<Rc<Issuer>>,
}

/// The tenant of a request.
#[derive(Clone, Copy, Debug, Default)]
pub enum Tenancy<'a> {
    /// The site has no tenants.
    #[default]
    None,
    In(&'a Group),
    /// The credential names the tenant.
    ByClaim(&'a Tenants),
    /// The request names a tenant that the site does not have.
    Unknown,
    /// The request names no tenant: nobody can be signed in.
    Unnamed,
}

impl<'a> Tenancy<'a> {
    /// Determines the tenant of a request.
    #[must_use]
    pub fn of(site: &'a Site, parts: &Parts) -> Self {
        let Some(tenants) = &site.tenants else {
            return Self::None;
        };
        let group = match &tenants.by {
            TenantSource::Claim => return Self::ByClaim(tenants),
            TenantSource::Header(name) => match parts.named(name) {
                None => return Self::Unnamed,
                Some(name) if name.trim().is_empty() => return Self::Unnamed,
                Some(name) => tenants.named(name),
            },
            TenantSource::Host => {
                canonical_host(parts.authority(), parts.scheme()).and_then(|host| {
                    tenants
                        .groups
                        .iter()
                        .find(|group| group.hosts.contains(&host))
                })
            }
        };
        group.map_or(Self::Unknown, Self::In)
    }

    /// Whether a credential can count at all in this tenant.
    ///
    /// # Errors
    /// [`TokenError::UnknownTenant`] or [`TokenError::NoTenant`].
    pub const fn require(self) -> Result<(), TokenError> {
        match self {
            Self::None | Self::In(_) | Self::ByClaim(_) => Ok(()),
            Self::Unknown => Err(TokenError::UnknownTenant),
            Self::Unnamed => Err(TokenError::NoTenant),
        }
    }

    /// The issuers whose tokens are accepted.
    #[must_use]
    pub fn issuers(self, site: &'a Site) -> &'a [Rc<Issuer>] {
        match self {
            Self::None => &site.issuers,
            Self::In(group) => &group.issuers,
            Self::ByClaim(tenants) => &tenants.issuers,
            Self::Unknown | Self::Unnamed => &[],
        }
    }

    /// The tenant's name, if the request alone determines it.
    #[must_use]
    pub fn name(self) -> Option<&'a Tenant> {
        match self {
            Self::In(group) => Some(&group.name),
            Self::None | Self::ByClaim(_) | Self::Unknown | Self::Unnamed => None,
        }
    }

    /// The kind under which a token is cached: a token that is valid in one tenant must not be
    /// found from another.
    #[must_use]
    pub fn kind(self) -> &'a str {
        match self {
            Self::In(group) => &group.kind,
            Self::None | Self::ByClaim(_) | Self::Unknown | Self::Unnamed => "sso",
        }
    }

    /// The kind under which an API key is cached: each tenant's issuer says for itself whose a key is.
    #[must_use]
    pub fn key_kind(self) -> &'a str {
        match self {
            Self::In(group) => &group.key_kind,
            Self::None | Self::ByClaim(_) | Self::Unknown | Self::Unnamed => "api token",
        }
    }

    /// Whether a user of `tenant` may be signed in here.
    #[must_use]
    pub fn admits(self, tenant: Option<&Tenant>) -> bool {
        match (self, tenant) {
            (Self::None, tenant) => tenant.is_none(),
            (Self::In(group), Some(tenant)) => group.name == *tenant,
            (Self::ByClaim(tenants), Some(tenant)) => tenants.named(tenant.as_str()).is_some(),
            (Self::In(_) | Self::ByClaim(_), None) | (Self::Unknown | Self::Unnamed, _) => false,
        }
    }
}

impl Tenants {
    /// The tenant with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name.as_str() == name)
    }
}
