//! Where COPY and MOVE of WebDAV write to (RFC 4918 §9.8, §9.9). Their `Destination` is a path of the
//! origin like the request's own, so it is judged as well.

use crate::answer::denial::Denial;
use crate::ask::asked;
use crate::ask::route;
use crate::http::host::canonical_host;
use crate::http::path::RequestPath;
use crate::http::request::Parts;
use crate::rules::{Asked, Rule};
use crate::site::Site;
use crate::site::config::Config;

/// The header with the path that is written to.
pub const DESTINATION: &str = "destination";

/// The methods that have no use for it. Servers have others that do: BCOPY and BMOVE of IIS, for example.
const IGNORE_DESTINATION: [&str; 17] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "QUERY",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "MKCALENDAR",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "ACL",
];

/// The path that a COPY or MOVE writes to, or another method that may; `None` for every other request. Its host is not looked at:
/// some servers do not do so either and take the path for one of their own, others answer 502. Where
/// the origin has another path than the site, only what is translated on the way has a known path there.
///
/// # Errors
/// [`Denial::Destination`] if the path leads to an endpoint of ours or to another site, or if servers
/// may read another one. Nobody resolves or escapes this path on the way, so it must be in its final form.
pub fn destination<'a>(
    site: &Site,
    parts: &'a Parts,
    config: &Config,
) -> Result<Option<RequestPath<'a>>, Denial> {
    let ignores = |method: &&str| parts.method().eq_ignore_ascii_case(method);
    if IGNORE_DESTINATION.iter().any(ignores) {
        return Ok(None);
    }
    let Some(value) = parts.named(DESTINATION) else {
        return Ok(None);
    };
    resolve(site, parts, config, value)
        .ok_or(Denial::Destination)
        .map(Some)
}

fn resolve<'a>(
    site: &Site,
    parts: &Parts,
    config: &Config,
    value: &'a str,
) -> Option<RequestPath<'a>> {
    let sent = path_of(value)?;
    let is_moved = || {
        let translation = site.translation(parts.scheme(), parts.authority())?;
        translation.to_upstream(value)
    };
    if site.mount != site.base && is_moved().is_none() {
        return None;
    }
    let served = config.served(parts.authority(), parts.scheme())?;
    let (at, path) = route::place(served, sent).ok()?;
    // Two slashes would name a host once the path of the site is cut off.
    let local = sent.get(site.mount.len()..)?;
    if local.starts_with("//") {
        return None;
    }
    match route::resolve_at(site, path) {
        Ok((path, None)) if at.name == site.name && path.as_str() == local => Some(path),
        _ => None,
    }
}

/// What a COPY or MOVE asks for besides its own path with its own method, and the rules that decide: the `destination` with
/// that method, and what it comes to. It reads the path and writes the destination, and MOVE deletes the path, so these are
/// judged as GET, PUT and DELETE: rules that protect a path may know only those.
///
/// # Errors
/// [`Denial::Destination`] if readings of the path lead to different rules.
pub fn asked<'a>(
    site: &'a Site,
    parts: &'a Parts,
    host: &'a str,
    path: &'a RequestPath<'a>,
    destination: &'a RequestPath<'a>,
) -> Result<Vec<(Asked<'a>, &'a Rule)>, Denial> {
    let moves = !parts.method().eq_ignore_ascii_case("COPY");
    let mut all = vec![
        (parts.method(), destination),
        ("PUT", destination),
        ("GET", path),
    ];
    all.extend(moves.then_some(("DELETE", path)));
    all.into_iter()
        .map(|(method, path)| {
            asked::asked_with(site, parts, method, host, path).map_err(|_| Denial::Destination)
        })
        .collect()
}

/// What a request asks for, with what else it asks for, so that the first decides whose credentials are
/// read: where the path itself is public but the destination is not, that is the destination.
#[must_use]
pub fn order<'a>(
    mut asked: (Asked<'a>, &'a Rule),
    mut also: Vec<(Asked<'a>, &'a Rule)>,
) -> ((Asked<'a>, &'a Rule), Vec<(Asked<'a>, &'a Rule)>) {
    if asked.1.is_public()
        && let Some(other) = also.iter_mut().find(|(_, rule)| !rule.is_public())
    {
        std::mem::swap(&mut asked, other);
    }
    (asked, also)
}

/// The path of a `Destination` (RFC 4918 §10.3): of an absolute URL, or an absolute path. `None` for
/// everything that servers read in different ways, such as two values, which a blank divides.
fn path_of(value: &str) -> Option<&str> {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\');
    if !value.bytes().all(plain) {
        return None;
    }
    if value.starts_with('/') {
        return (!value.starts_with("//")).then_some(value);
    }
    let (scheme, rest) = value.split_once("://")?;
    let known = ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    let (authority, path) = rest.split_at_checked(rest.find('/')?)?;
    (known && canonical_host(authority, scheme).is_some()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::bindings;

    fn of(method: &str, value: &str) -> Result<Option<String>, Denial> {
        let config = crate::config::parse(&bindings("{}")).unwrap();
        let site = config.site("site.example", "https", "/").unwrap();
        let parts = Parts::new(method, "https://site.example/a", &[(DESTINATION, value)]).unwrap();
        destination(&site, &parts, &config).map(|path| path.map(|path| path.as_str().to_owned()))
    }

    #[test]
    fn sec_92_a_destination_is_read_as_servers_do_or_refused() {
        for (value, path) in [
            ("https://site.example/b/c.txt", "/b/c.txt"),
            ("http://SITE.example:80/b", "/b"),
            ("https://elsewhere.example/b", "/b"),
            ("/b%20c", "/b%20c"),
            ("https://site.example/", "/"),
            ("https://site.example/caf%C3%A9/", "/caf%C3%A9/"),
        ] {
            assert_eq!(of("MOVE", value), Ok(Some(path.to_owned())), "{value}");
            // Methods of servers that we do not know may have it too.
            assert_eq!(of("BMOVE", value), Ok(Some(path.to_owned())), "{value}");
            assert_eq!(of("PUT", value), Ok(None), "{value}");
        }
        for value in [
            "",
            "b",
            "../b",
            "//site.example/b",
            "https://site.example",
            "https://site.example?/b",
            "https:/b",
            "https:///b",
            "ftp://site.example/b",
            "https://user@site.example/b",
            "https://site.example\\@x/b",
            "https://site.example%2Fa/b",
            "/b, /c",
            "/b\t/c",
            "/b?c",
            "/b#c",
            "/b\\c",
            "/a/../b",
            "/a/./b",
            "/a/%2e%2e/b",
            "/caf\u{e9}",
            "/b%00",
            "/b%zz",
            "/api/sso/token",
            "/API/SSO/x",
            "/a/..%2f..%2fapi/sso/token",
            "/.well-known/jwks.json",
            "https://elsewhere.example/api/sso/users",
        ] {
            for method in ["COPY", "MOVE", "move", "BCOPY"] {
                assert_eq!(of(method, value), Err(Denial::Destination), "{value}");
            }
        }
    }
}
