//! Hosts, origins, and the URLs that may be fetched.

use crate::http::outside;

/// The canonical host of a URL that was validated before.
#[must_use]
pub fn host_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    canonical_host(authority, scheme)
}

/// The canonical form of a host: lower case, no trailing dot, no default port (RFC 9110 §4.2.3).
/// `None` if it is not a host. An internationalised name must be in its ASCII form (RFC 5891), as
/// clients send it.
#[must_use]
pub fn canonical_host(authority: &str, scheme: &str) -> Option<String> {
    let lower = authority.to_ascii_lowercase();
    let (host, port) = match lower.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (lower.as_str(), None),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let plain = match address {
        Some(address) => address
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.'),
        None => host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_'),
    };
    let is_dotted_wrong = host.starts_with('.') || host.ends_with('.') || host.contains("..");
    if host.is_empty() || !plain || is_dotted_wrong {
        return None;
    }
    let default = if scheme == "https" { 443 } else { 80 };
    match port {
        None | Some("") => Some(host.to_owned()),
        // `parse` alone takes a sign, too.
        Some(port) if !port.bytes().all(|b| b.is_ascii_digit()) => None,
        Some(port) => match port.parse::<u16>().ok()? {
            port if port == default => Some(host.to_owned()),
            port => Some(format!("{host}:{port}")),
        },
    }
}

/// The canonical form of `scheme://host[:port]`; `None` for anything else. Unless `plaintext` is
/// set, `http` is allowed for loopback hosts only.
#[must_use]
pub fn origin(text: &str, plaintext: bool) -> Option<String> {
    let (scheme, authority) = text.split_once("://")?;
    let host = canonical_host(authority.strip_suffix('/').unwrap_or(authority), scheme)?;
    let allowed = match scheme {
        "https" => true,
        "http" => plaintext || is_loopback(&host),
        _ => false,
    };
    allowed.then(|| format!("{scheme}://{host}"))
}

/// Whether `host` is a loopback host.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_address = name
        .parse()
        .is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback());
    is_address || name == "localhost" || name.ends_with(".localhost") || host.starts_with("[::1]")
}

/// Whether `host` is on this machine or in a network for tests: a loopback host, or below `.test`, which no public name is (RFC
/// 6761 §6.2).
#[must_use]
pub fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    is_loopback(host) || name.rsplit('.').next() == Some("test")
}

/// The host of a URL that may be fetched: https, to a host with a public name, not an address, and
/// without anything that parsers read differently. `None` for any other URL, except those at the
/// origin `loopback`.
#[must_use]
pub fn fetchable_host(url: &str, loopback: Option<&str>) -> Option<String> {
    if let Some(origin) = loopback
        && let Ok((scheme, host)) = outside::split(url)
        && origin == format!("{scheme}://{host}")
    {
        return Some(host);
    }
    outside::public_host(url).ok()
}
