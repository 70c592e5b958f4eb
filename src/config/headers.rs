//! Which headers of clients a site's origin gets: more that are reserved, and those that are not.

use std::collections::HashMap;

use crate::config::reader::{Field, Reader};
use crate::http::headers::is_token;
use crate::http::reserved::{self, NotLetThrough, Reserved};
use crate::site::Site;
use crate::site::attribute::headers_of;
use crate::site::tenant::TenantSource;

/// Reads names or prefixes (with `*`) of headers that another identity system in front of this
/// origin would set.
pub(super) fn read_reserved(reader: &mut Reader<'_>, field: Field<Vec<String>>) -> Vec<String> {
    let mut headers = Vec::new();
    for text in reader.with_default("reserved_headers", field, Vec::new()) {
        let name = text.to_ascii_lowercase();
        let stem = name.strip_suffix('*');
        let shaped = match stem {
            Some(stem) => stem.len() >= 3 && is_token(stem) && !stem.contains('*'),
            None => is_token(&name) && !name.contains('*'),
        };
        if !shaped {
            reader.error("reserved_headers", format!("{text:?} is neither a header name nor a prefix of at least three characters followed by *"));
        } else if Reserved::new([name.as_str()]).takes_what_is_needed() {
            reader.error(
                "reserved_headers",
                format!("{text:?} would remove a header that every request needs"),
            );
        } else {
            headers.push(name);
        }
    }
    headers
}

/// Reads names of headers that clients may send although they are reserved elsewhere.
pub(super) fn read_client(reader: &mut Reader<'_>, field: Field<Vec<String>>) -> Vec<String> {
    let mut headers = Vec::new();
    for text in reader.with_default("client_headers", field, Vec::new()) {
        let name = text.to_ascii_lowercase();
        let error = if is_token(&name) && !name.contains('*') {
            match reserved::check_let_through(&name) {
                Ok(()) => {
                    headers.push(name);
                    continue;
                }
                Err(NotLetThrough::NotReserved) => "reaches the origin without this setting",
                Err(NotLetThrough::Always) => {
                    "says who is asking or how a request arrived, which servers believe: it cannot be left to clients"
                }
            }
        } else {
            "is not the name of a header"
        };
        reader.error("client_headers", format!("{text:?} {error}"));
    }
    headers
}

/// The headers by which one origin learns of a caller, from all sites in front of it.
#[derive(Default)]
pub(super) struct OfOrigin {
    /// What some of the sites sets: clients of none of them may send it.
    pub reserved: Vec<String>,
    /// What some of the sites reads or reserves, names or prefixes followed by `*`: no site may leave it to its clients.
    read: Vec<String>,
}

/// The headers of all sites, by the host of their origin, whatever its port.
pub(super) fn by_origin(sites: &[(&str, Site)]) -> HashMap<String, OfOrigin> {
    let mut all: HashMap<String, OfOrigin> = HashMap::new();
    for (_, site) in sites {
        let of_origin = all.entry(origin_host(site)).or_default();
        let presets = site.presets.iter().flat_map(|preset| headers_of(*preset));
        let set = site.identity_headers().map(str::to_owned);
        of_origin.reserved.extend(set);
        let tokens = site.token_headers.iter().map(|header| header.name.as_str());
        let tenant = match site.tenants.as_ref().map(|tenants| &tenants.by) {
            Some(TenantSource::Header(header)) => Some(header.as_str()),
            _ => None,
        };
        let reserved = site.reserved_headers.iter().map(String::as_str);
        let read = presets
            .map(|(header, _)| header)
            .chain(tokens)
            .chain(tenant)
            .chain(reserved);
        of_origin.read.extend(read.map(str::to_owned));
    }
    all
}

/// The host of the origin, without its port: behind one name, ports seldom are different applications.
pub(super) fn origin_host(site: &Site) -> String {
    let upstream = site.upstream.as_deref().unwrap_or_default();
    let authority = upstream
        .split_once("://")
        .map_or(upstream, |(_, rest)| rest);
    let host = match authority.strip_prefix('[') {
        Some(literal) => literal.split_once(']').map_or(literal, |(host, _)| host),
        None => authority
            .split_once(':')
            .map_or(authority, |(host, _)| host),
    };
    host.to_ascii_lowercase()
}

/// The error if `site` leaves a header to its clients that its origin believes, by this site's settings or by those of
/// another one with the same origin.
pub(super) fn check_client(site: &Site, of_origin: &OfOrigin) -> Option<String> {
    let all = of_origin.reserved.iter().chain(&of_origin.read);
    let taken = Reserved::new(all.map(String::as_str));
    let wrong = site
        .client_headers
        .iter()
        .find(|header| taken.is_added(header))?;
    Some(format!(
        "{wrong:?} carries identity here: this site, or another one with the same origin, sets, reads or reserves it"
    ))
}
