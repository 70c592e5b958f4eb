//! Tenants as they are written: isolated groups of issuers and users at one site.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Deserialize;

use crate::config::issuer;
use crate::config::reader::{Reader, table};
use crate::config::site::may_decide;
use crate::http::host::canonical_host;
use crate::model::user::Tenant;
use crate::site::issuer::Issuer;
use crate::site::tenant::{Group, TenantSource, Tenants};

table! {
    /// `tenants`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("required" = ["by", "groups"])))]
    pub struct RawTenants {
        /// How the tenant of a request is determined.
        pub(super) by: Field<RawBy>,
        /// With `by = "header"`: the header with the tenant's name.
        pub(super) header: Field<String>,
        /// The tenants by name.
        pub(super) groups: Field<BTreeMap<String, RawGroup>>,
    }
}

/// `tenants.by`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RawBy {
    /// By the host of the request.
    Host,
    /// By a header of the request.
    Header,
    /// By a claim of the token.
    Claim,
}

table! {
    /// One of `tenants.groups`.
    pub struct RawGroup {
        /// With `by = "host"`: its own hosts.
        pub(super) hosts: Field<Vec<String>>,
        /// The issuers that it accepts.
        pub(super) issuers: Field<Vec<String>>,
    }
}

/// Validates `raw`; errors go to `reader`, which is that of the table.
pub(super) fn read(
    raw: RawTenants,
    hosts: &[String],
    issuers: &[Rc<Issuer>],
    reader: &mut Reader<'_>,
) -> Option<Tenants> {
    reader.reject_unknown(&raw.unknown);
    let by = reader.required("by", raw.by);
    let header = reader.optional("header", raw.header);
    reader.check(
        "header",
        (by == Some(RawBy::Header)) == header.is_some(),
        "is required with by = \"header\", and allowed with that only",
    );
    let header = header.map(|header| header.to_ascii_lowercase());
    reader.check(
        "header",
        header.as_deref().is_none_or(may_decide),
        "cannot be used here: Edgeward ignores this header in its decisions",
    );
    let given = reader.required("groups", raw.groups)?;
    reader.check("groups", !given.is_empty(), "must name at least one tenant");
    let mut groups: Vec<Group> = Vec::new();
    let mut all: Vec<Rc<Issuer>> = Vec::new();
    for (name, raw) in given {
        let mut reader = reader.table("groups");
        let Some(tenant) = Tenant::parse(&name) else {
            reader.error(
                &name,
                "is not a tenant name (lower-case letters, digits, - and _)",
            );
            continue;
        };
        let mut reader = reader.table(&name);
        reader.reject_unknown(&raw.unknown);
        let own = reader.with_default("hosts", raw.hosts, Vec::new());
        let own: Vec<String> = own
            .iter()
            .filter_map(|host| canonical_host(host, "https"))
            .collect();
        let taken = |host: &String| groups.iter().any(|group| group.hosts.contains(host));
        let fine = own.iter().all(|host| hosts.contains(host) && !taken(host));
        reader.check(
            "hosts",
            fine,
            "must be hosts of this site, each in one tenant only",
        );
        reader.check(
            "hosts",
            own.is_empty() != (by == Some(RawBy::Host)),
            "are required with by = \"host\", and allowed with that only",
        );
        let issuers = issuer::issuers_named(raw.issuers, issuers, &mut reader);
        for issuer in &issuers {
            if !all.iter().any(|known| Rc::ptr_eq(known, issuer)) {
                all.push(Rc::clone(issuer));
            }
        }
        groups.push(Group {
            kind: format!("sso of {name}"),
            key_kind: format!("api token of {name}"),
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
            "must assign every host of the site to a tenant",
        );
    }
    if by == Some(RawBy::Claim) {
        issuer::check_distinct(&all, reader, "groups");
    }
    Some(Tenants {
        by: match by? {
            RawBy::Host => TenantSource::Host,
            RawBy::Header => TenantSource::Header(header?),
            RawBy::Claim => TenantSource::Claim,
        },
        groups,
        issuers: all,
    })
}
