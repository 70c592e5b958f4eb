//! The URL of the request for the origin.

use crate::http::path::RequestPath;
use crate::site::{HostHeader, Site};

/// The URL for the path that was judged, below `base`. The path is not normalised again. The origin
/// always gets the URL's host as `Host`; to preserve the public host, the URL has that one, and
/// [`resolve_override`] names the host to connect to.
#[must_use]
pub fn url(base: String, path: &RequestPath<'_>, query: Option<&str>) -> String {
    let query = query.filter(|query| !query.is_empty());
    let mut url = base;
    url.reserve(path.as_str().len() + query.map_or(0, |query| query.len() + 1));
    url.push_str(path.as_str());
    if let Some(query) = query {
        url.push('?');
        url.push_str(query);
    }
    url
}

/// Scheme, authority and base path of [`url`]. It stands in the place of the site's mount.
#[must_use]
pub fn base(site: &Site, authority: &str) -> String {
    let mut base = match site.host_header {
        HostHeader::Rewrite => upstream(site).to_owned(),
        HostHeader::Preserve => with_host(upstream(site), authority),
    };
    base.push_str(&site.base);
    base
}

/// The host to connect to instead of the URL's if the public host is preserved.
#[must_use]
pub fn resolve_override(site: &Site) -> Option<String> {
    (site.host_header == HostHeader::Preserve).then(|| host_and_port(upstream(site)).1.to_owned())
}

/// The origin. The gateway has none; every path there is ours, so no request for it comes here, and one that did would
/// lead nowhere.
fn upstream(site: &Site) -> &str {
    site.upstream.as_deref().unwrap_or_default()
}

/// `upstream` with the host of `authority`, and its own scheme and port.
fn with_host(upstream: &str, authority: &str) -> String {
    let (scheme, _, port) = host_and_port(upstream);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    };
    format!("{scheme}://{host}{port}")
}

/// Scheme, host, and port with its colon.
fn host_and_port(upstream: &str) -> (&str, &str, &str) {
    let (scheme, authority) = upstream.split_once("://").unwrap_or(("https", upstream));
    let at = authority
        .rfind(':')
        .filter(|at| !authority.get(*at..).is_some_and(|rest| rest.contains(']')));
    let (host, port) = authority
        .split_at_checked(at.unwrap_or(authority.len()))
        .unwrap_or((authority, ""));
    (scheme, host, port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::site;

    fn to(settings: &str, path: &str, query: Option<&str>) -> (String, Option<String>) {
        let site = site(settings);
        let path = RequestPath::parse(path).unwrap();
        (
            url(base(&site, "site.example:8443"), &path, query),
            resolve_override(&site),
        )
    }

    #[test]
    fn the_host_is_the_upstreams_or_the_public_one() {
        assert_eq!(
            to("{}", "/a/%20", Some("x=%2F&y")),
            ("https://origin.example/a/%20?x=%2F&y".into(), None)
        );
        assert_eq!(
            to("{}", "/", Some("")),
            ("https://origin.example/".into(), None)
        );
        assert_eq!(
            to(
                r#"{"host_header": "preserve", "upstream": "https://origin.example:444"}"#,
                "/a",
                None
            ),
            (
                "https://site.example:444/a".into(),
                Some("origin.example".into())
            )
        );
    }
}
