//! Tenants: groups of issuers and users that are kept apart at one site.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Deserialize;

use super::Site;
use super::issuer::Issuer;
use super::raw::{Reader, table};
use super::site::{canonical_host, may_decide};
use crate::origin::reserved;
use crate::request::Parts;
use crate::user::Tenant;

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

table! {
    /// `tenants`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("required" = ["by", "groups"])))]
    pub struct RawTenants {
        /// What tells them apart.
        pub(super) by: Field<RawBy>,
        /// The header that names a tenant.
        pub(super) header: Field<String>,
        /// Each tenant by its name.
        pub(super) groups: Field<BTreeMap<String, RawGroup>>,
    }
}

/// `tenants.by`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RawBy {
    /// By host.
    Host,
    /// By header.
    Header,
    /// By claim.
    Claim,
}

table! {
    /// One of `tenants.groups`.
    pub struct RawGroup {
        /// The hosts that are its own.
        pub(super) hosts: Field<Vec<String>>,
        /// The issuers whose tokens are taken in it.
        pub(super) issuers: Field<Vec<String>>,
    }
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
        Self::told(site, parts.authority(), parts.scheme(), |name| {
            parts.named(name)
        })
    }

    /// The same for a request that is only thought of, with what its header would say.
    #[must_use]
    pub fn of_host(site: &'a Site, host: &str, tenant: Option<&str>) -> Self {
        Self::told(site, host, "https", |_| tenant)
    }

    fn told<'h>(
        site: &'a Site,
        authority: &str,
        scheme: &str,
        header: impl Fn(&str) -> Option<&'h str>,
    ) -> Self {
        let Some(tenants) = &site.tenants else {
            return Self::None;
        };
        let group = match &tenants.by {
            By::Claim => return Self::ByClaim(tenants),
            By::Header(name) => header(name).and_then(|name| tenants.named(name)),
            By::Host => canonical_host(authority, scheme).and_then(|host| {
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

    /// Checks `raw`; what is wrong goes to `reader`, which is that of the table.
    pub(super) fn read(
        raw: RawTenants,
        hosts: &[String],
        issuers: &[Rc<Issuer>],
        reader: &mut Reader<'_>,
    ) -> Option<Self> {
        reader.unknown(&raw.unknown);
        let by = reader.required("by", raw.by);
        let header = reader.maybe("header", raw.header);
        reader.check(
            "header",
            (by == Some(RawBy::Header)) == header.is_some(),
            "goes with by = \"header\", and only with that",
        );
        let header = header.map(|header| header.to_ascii_lowercase());
        reader.check(
            "header",
            header.as_deref().is_none_or(may_decide),
            "cannot be used here: Edgeward ignores this header when it decides",
        );
        let given = reader.required("groups", raw.groups)?;
        reader.check("groups", !given.is_empty(), "must name at least one tenant");
        let mut groups: Vec<Group> = Vec::new();
        let mut all: Vec<Rc<Issuer>> = Vec::new();
        for (name, raw) in given {
            let mut reader = reader.within("groups");
            let Some(tenant) = Tenant::parse(&name) else {
                reader.error(
                    &name,
                    "is no name of a tenant (small letters, digits, - and _)",
                );
                continue;
            };
            let mut reader = reader.within(&name);
            reader.unknown(&raw.unknown);
            let own = reader.or("hosts", raw.hosts, Vec::new());
            let own: Vec<String> = own
                .iter()
                .filter_map(|host| canonical_host(host, "https"))
                .collect();
            let taken = |host: &String| groups.iter().any(|group| group.hosts.contains(host));
            let fine = own.iter().all(|host| hosts.contains(host) && !taken(host));
            reader.check(
                "hosts",
                fine,
                "must be hosts of this site, each of one tenant only",
            );
            reader.check(
                "hosts",
                own.is_empty() != (by == Some(RawBy::Host)),
                "go with by = \"host\", and only with that",
            );
            let issuers = super::issuers_named(raw.issuers, issuers, &mut reader);
            for issuer in &issuers {
                if !all.iter().any(|known| Rc::ptr_eq(known, issuer)) {
                    all.push(Rc::clone(issuer));
                }
            }
            groups.push(Group {
                kind: format!("sso of {name}"),
                name: tenant,
                hosts: own,
                issuers,
            });
        }
        if by == Some(RawBy::Host) {
            let all_known = hosts
                .iter()
                .all(|host| groups.iter().any(|group| group.hosts.contains(host)));
            reader.check(
                "groups",
                all_known,
                "must say of each host of the site whose it is",
            );
        }
        if by == Some(RawBy::Claim) {
            super::check_distinct(&all, reader, "groups");
        }
        Some(Self {
            by: match by? {
                RawBy::Host => By::Host,
                RawBy::Header => By::Header(header?),
                RawBy::Claim => By::Claim,
            },
            groups,
            issuers: all,
        })
    }
}
