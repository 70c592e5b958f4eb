//! Where sites live: their hosts, the paths below which they live there, and what sites at one host must not share.

use std::collections::HashMap;

use crate::ask::route;
use crate::config::reader::{Field, Reader};
use crate::http::host::{canonical_host, host_of, origin};
use crate::site::config::ConfigError;
use crate::site::mount::{ENDPOINTS, Neighbours, Served, is_below, prefix};
use crate::site::{Login, Site};

/// Reads the hosts of a site, and the path that all of them are followed by.
pub(super) fn read_hosts(
    reader: &mut Reader<'_>,
    field: Field<Vec<String>>,
) -> Option<(Vec<String>, String)> {
    let given = reader.required("hosts", field)?;
    reader.check("hosts", !given.is_empty(), "must name at least one host");
    let mut read: Vec<(String, &str)> = Vec::new();
    for text in &given {
        if text.contains("://") {
            reader.error(
                "hosts",
                format!("{text:?} must be written without a scheme: host, host:port or host/path"),
            );
            continue;
        }
        let (authority, path) = split_path(text);
        match (canonical_host(authority, "https"), prefix(path)) {
            (Some(host), Some(mount)) => read.push((host, mount)),
            (None, _) => reader.error("hosts", format!("{text:?} is not a host (host or host:port; write an international name in its xn-- form)")),
            (_, None) => reader.error("hosts", format!("{text:?} does not name a path that every server reads alike: host/path, with segments of letters, digits, - . _ ~ that neither begin nor end with a dot, at most 128 characters in all")),
        }
    }
    let (_, mount) = *read.first()?;
    if let Some((host, other)) = read.iter().find(|(_, other)| *other != mount) {
        let first = read.first().map_or("", |(host, _)| host);
        reader.error(
            "hosts",
            format!("must name the same path at every host, and {first}{mount} and {host}{other} do not; make a site of its own for each path"),
        );
        return None;
    }
    let whole = read.len() == given.len();
    let mount = mount.to_owned();
    whole.then(|| (read.into_iter().map(|(host, _)| host).collect(), mount))
}

/// Reads the hosts of the gateway, which has each of them to itself.
pub(super) fn read_whole_hosts(
    reader: &mut Reader<'_>,
    field: Field<Vec<String>>,
) -> Option<Vec<String>> {
    let (hosts, mount) = read_hosts(reader, field)?;
    reader.check(
        "hosts",
        mount.is_empty(),
        "must be whole hosts: the gateway cannot live below a path, where other applications share its cookies",
    );
    Some(hosts)
}

/// Reads scheme and authority of an origin, and its base path.
pub(super) fn read_upstream(text: &str, plaintext: bool) -> Option<(String, String)> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = split_path(rest);
    let origin = origin(&format!("{scheme}://{authority}"), plaintext)?;
    Some((origin, prefix(path)?.to_owned()))
}

fn split_path(text: &str) -> (&str, &str) {
    let slash = text.find('/').unwrap_or(text.len());
    text.split_at_checked(slash).unwrap_or((text, ""))
}

/// Reads the path of a site's own endpoints.
pub(super) fn read_endpoints(reader: &mut Reader<'_>, field: Field<String>) -> String {
    let given = reader.with_default("endpoints", field, ENDPOINTS.to_owned());
    if let Some(path) = prefix(&given).filter(|path| !path.is_empty()) {
        return path.to_owned();
    }
    reader.error(
        "endpoints",
        "must be a path such as \"/api/sso\", with segments of letters, digits, - . _ ~ that neither begin nor end with a dot, at most 128 characters in all",
    );
    given
}

/// What every site must know of the others at its hosts.
pub(super) fn neighbours(sites: &[(&str, Site)]) -> Vec<Neighbours> {
    let of = |site: &Site| {
        let mut all = Neighbours::default();
        for (_, other) in sites {
            if other.name != site.name && share_a_host(site, other) {
                all.add(other);
            }
        }
        all
    };
    sites.iter().map(|(_, site)| of(site)).collect()
}

fn share_a_host(one: &Site, other: &Site) -> bool {
    one.hosts.iter().any(|host| other.hosts.contains(host))
}

/// Reports what two sites at one host cannot both have.
pub(super) fn check(sites: &[(&str, Site)], errors: &mut Vec<ConfigError>) {
    let mut reject = |binding: &str, setting: &str, error: String| {
        errors.push(ConfigError {
            path: format!("{binding}.{setting}"),
            error,
        });
    };
    for (number, (binding, site)) in sites.iter().enumerate() {
        for (other_binding, other) in sites.iter().skip(number + 1) {
            if !share_a_host(site, other) {
                continue;
            }
            if site.gateway.is_some() || other.gateway.is_some() {
                let (gateway, site) = if site.gateway.is_some() {
                    (site, other)
                } else {
                    (other, site)
                };
                let host = gateway.hosts.iter().find(|host| site.hosts.contains(host));
                reject(
                    other_binding,
                    "hosts",
                    format!(
                        "{} already belongs to site {}; nothing else may live at a host of the gateway, whose pages take passwords",
                        host.map_or("", String::as_str),
                        if gateway.name == other.name {
                            &site.name
                        } else {
                            &gateway.name
                        },
                    ),
                );
                continue;
            }
            let shared = site
                .cookie_names()
                .find(|name| other.cookie_names().any(|theirs| theirs == *name));
            if let Some(name) = shared.filter(|_| !site.mount.eq_ignore_ascii_case(&other.mount)) {
                reject(
                    other_binding,
                    "session.cookie",
                    format!(
                        "must differ from that of site {}, which is at the same host: {name} would be a cookie of both",
                        site.name
                    ),
                );
            }
            for (binding, site, other) in [(binding, site, other), (other_binding, other, site)] {
                let sso = site.sso_cookie.as_ref().map(|sso| sso.name.as_str());
                if let Some(name) = other.cookie_names().find(|name| Some(*name) == sso) {
                    reject(
                        binding,
                        "sso_cookie.name",
                        format!(
                            "must differ from {name}, a cookie of site {}, which is at the same host",
                            other.name
                        ),
                    );
                }
                if let Some(path) = covered(site, &other.mount) {
                    reject(
                        binding,
                        "endpoints",
                        format!(
                            "{path} and the path {} of site {} hide one another; choose another path for endpoints",
                            other.mount, other.name
                        ),
                    );
                }
            }
        }
    }
}

/// The endpoint of `site` that the mount of another site at its host hides, or that hides it.
fn covered(site: &Site, mount: &str) -> Option<String> {
    let mount = mount.to_ascii_lowercase();
    let outer = site.mount.to_ascii_lowercase();
    // A mount that is not within this site takes nothing away from it.
    if mount.len() <= outer.len() || !is_below(mount.as_bytes(), &outer) {
        return None;
    }
    let taken = route::taken(&site.endpoints).into_iter();
    let mut paths = taken.map(|path| [&outer, path].concat().to_ascii_lowercase());
    paths.find(|path| is_below(path.as_bytes(), &mount) || is_below(mount.as_bytes(), path))
}

/// Reports a sign-in page that lies within its own site, which would redirect to it from there.
pub(super) fn check_sign_in(
    binding: &str,
    site: &Site,
    hosts: &HashMap<String, Served>,
) -> Option<ConfigError> {
    let Some(Login::Page { url, .. }) = &site.login else {
        return None;
    };
    let (_, path) = split_path(url.split_once("://")?.1);
    let path = path.split(['?', '#']).next()?;
    let found = hosts.get(&host_of(url)?)?.find(path.as_bytes())?;
    (found.name == site.name).then(|| ConfigError {
        path: format!("{binding}.login_url"),
        error: "must not be on a host of this site, unless another site there has its path: the sign-in page itself would redirect to it".into(),
    })
}
