//! Tenants: groups of issuers and users that are kept apart at one site.

use std::rc::Rc;

use crate::http::host::canonical_host;
use crate::http::request::Parts;
use crate::http::reserved;
use crate::model::user::Tenant;
use crate::site::Site;
use crate::site::issuer::Issuer;

/// The tenants of a site.
#[derive(Debug)]
pub struct Tenants {
    /// What tells them apart.
    pub by: By,
    /// Each of them.
    pub groups: Vec<Group>,
    /// The issuers of all of them.
    pub issuers: Vec<Rc<Issuer>>,
}

impl Tenants {
    /// Whether `name` is another spelling of the header that names the tenant: an origin that folds
    /// names would take it for that one.
    #[must_use]
    pub fn is_misspelt(&self, name: &str) -> bool {
        matches!(&self.by, By::Header(own) if own != name && reserved::fold(own) == reserved::fold(name))
    }
}

/// What tells tenants apart.
#[derive(Debug)]
pub enum By {
    /// The host of the request.
    Host,
    /// A header of the request.
    Header(String),
    /// A claim of the token.
    Claim,
}

/// One tenant.
#[derive(Debug)]
pub struct Group {
    /// Its name.
    pub name: Tenant,
    /// What tokens are remembered as in it.
    pub kind: String,
    /// The hosts that are its own.
    pub hosts: Vec<String>,
    /// The issuers whose tokens are taken in it.
    pub issuers: Vec<Rc<Issuer>>,
}

/// In which tenant a request is.
#[derive(Clone, Copy, Debug, Default)]
pub enum Tenancy<'a> {
    /// The site has no tenants.
    #[default]
    None,
    /// In this one.
    In(&'a Group),
    /// The credential says it.
    ByClaim(&'a Tenants),
    /// In none that we know: nobody can be signed in.
    Unknown,
}

impl<'a> Tenancy<'a> {
    /// The tenancy of a request.
    #[must_use]
    pub fn of(site: &'a Site, parts: &Parts) -> Self {
        let Some(tenants) = &site.tenants else {
            return Self::None;
        };
        let group = match &tenants.by {
            By::Claim => return Self::ByClaim(tenants),
            By::Header(name) => parts.named(name).and_then(|name| tenants.named(name)),
            By::Host => canonical_host(parts.authority(), parts.scheme()).and_then(|host| {
                tenants
                    .groups
                    .iter()
                    .find(|group| group.hosts.contains(&host))
            }),
        };
        group.map_or(Self::Unknown, Self::In)
    }

    /// The issuers whose tokens are taken.
    #[must_use]
    pub fn issuers(self, site: &'a Site) -> &'a [Rc<Issuer>] {
        match self {
            Self::None => &site.issuers,
            Self::In(group) => &group.issuers,
            Self::ByClaim(tenants) => &tenants.issuers,
            Self::Unknown => &[],
        }
    }

    /// The tenant's name, where the request alone tells it.
    #[must_use]
    pub fn name(self) -> Option<&'a Tenant> {
        match self {
            Self::In(group) => Some(&group.name),
            Self::None | Self::ByClaim(_) | Self::Unknown => None,
        }
    }

    /// What a token is remembered as: what is good in one tenant is not looked up in another.
    #[must_use]
    pub fn kind(self) -> &'a str {
        match self {
            Self::In(group) => &group.kind,
            Self::None | Self::ByClaim(_) | Self::Unknown => "sso",
        }
    }

    /// Whether a user of `tenant` is somebody here.
    #[must_use]
    pub fn admits(self, tenant: Option<&Tenant>) -> bool {
        match (self, tenant) {
            (Self::None, tenant) => tenant.is_none(),
            (Self::In(group), Some(tenant)) => group.name == *tenant,
            (Self::ByClaim(tenants), Some(tenant)) => tenants.named(tenant.as_str()).is_some(),
            (Self::In(_) | Self::ByClaim(_), None) | (Self::Unknown, _) => false,
        }
    }
}

impl Tenants {
    /// The tenant of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name.as_str() == name)
    }
}
