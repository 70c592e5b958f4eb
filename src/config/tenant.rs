//! Tenants as they are written: isolated groups of issuers and users at one site.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Deserialize;

use crate::config::issuer;
use crate::config::named::Tables;
use crate::config::reader::{Reader, table};
use crate::config::site::may_decide;
use crate::http::host::canonical_host;
use crate::model::user::Tenant;
use crate::site::issuer::Issuer;
use crate::site::tenant::{Group, TenantSource, Tenants};

table! {
    /// `tenants`.
    #[cfg_attr(feature = "schema", schemars(extend("required" = ["by", "groups"])))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    issuers: &Tables<Issuer>,
    reader: &mut Reader<'_>,
) -> Option<Tenants> {
    reader.reject_unknown(&raw.unknown);
    let by = reader.required("by", raw.by);
    let header = reader.optional("header", raw.header);
    let error = match (by, &header) {
        (Some(RawBy::Header), None) => "is required with by = \"header\"",
        (Some(RawBy::Host | RawBy::Claim), Some(_)) => "has no meaning without by = \"header\"",
        _ => "",
    };
    reader.check("header", error.is_empty(), error);
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
    let mut all_assigned = true;
    let mut all_read = true;
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
        let by_host = by == Some(RawBy::Host);
        let error = match (by, own.is_empty()) {
            (Some(RawBy::Host), true) => "must list the hosts of this tenant, since by = \"host\"",
            (Some(RawBy::Header | RawBy::Claim), false) => "has no meaning without by = \"host\"",
            _ => "",
        };
        reader.check("hosts", error.is_empty(), error);
        all_assigned &= !(by_host && own.is_empty());
        let mut known = Vec::new();
        for text in own.iter().filter(|_| by_host) {
            let taken = |host: &String| groups.iter().any(|group| group.hosts.contains(host));
            let host = canonical_host(text, "https").filter(|host| hosts.contains(host));
            match host {
                Some(host) if !taken(&host) => known.push(host),
                found => {
                    all_assigned = false;
                    let why = match found {
                        Some(_) => "is in two tenants",
                        None => "is not a host of this site: write it as in hosts, without a path",
                    };
                    reader.error("hosts", format!("{text:?} {why}"));
                }
            }
        }
        let issuers = issuer::issuers_named(raw.issuers, issuers, &mut reader);
        all_read &= issuers.is_some();
        let issuers = issuers.unwrap_or_default();
        for issuer in &issuers {
            if !all.iter().any(|known| Rc::ptr_eq(known, issuer)) {
                all.push(Rc::clone(issuer));
            }
        }
        groups.push(Group {
            kind: format!("sso of {name}"),
            key_kind: format!("api token of {name}"),
            name: tenant,
            hosts: known,
            issuers,
        });
    }
    // Only where every tenant has its hosts; otherwise those errors are the cause.
    if by == Some(RawBy::Host) && all_assigned {
        let assigned = |host: &&String| groups.iter().any(|group| group.hosts.contains(*host));
        for host in hosts.iter().filter(|host| !assigned(host)) {
            reader.error("groups", format!("no tenant has the host {host}"));
        }
    }
    if by == Some(RawBy::Claim) {
        issuer::check_distinct(&all, reader, "groups");
    }
    all_read.then_some(())?;
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
