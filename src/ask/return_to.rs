//! Where a browser goes when it comes back.

use std::rc::Rc;

use crate::ask::route::endpoint_of;
use crate::ask::source::{ATTEMPT, Rounds, clean_query};
use crate::http::path::RequestPath;
use crate::http::query;
use crate::http::request::Parts;
use crate::site::Site;
use crate::site::config::Config;

/// A URL on one of a site's own hosts, to which a browser may be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// The URL that was asked for at `site`, without credentials and markers.
    #[must_use]
    pub fn of_request(
        parts: &Parts,
        site: &Site,
        path: &RequestPath<'_>,
        clean_query: Option<&str>,
    ) -> Self {
        let origin = format!("{}://{}", parts.scheme(), parts.authority());
        Self::of(origin, &site.mount, path, clean_query)
    }

    fn of(origin: String, mount: &str, path: &RequestPath<'_>, query: Option<&str>) -> Self {
        let mut url = origin;
        url.push_str(mount);
        // Two slashes at the beginning would name a host wherever the path stands alone, so a dot segment, which
        // every client resolves, is put before them (WHATWG URL §4.5 does the same for URLs without a host).
        if mount.is_empty() && path.as_str().starts_with("//") {
            url.push_str("/.");
        }
        url.push_str(path.as_str());
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            url.push('?');
            url.push_str(query);
        }
        Self(url)
    }

    /// Reads a path with a query, as our own pages carry it. Nothing that could name another host
    /// is one: it begins with exactly one slash and holds no backslash and no control character. Nor is a path of
    /// another site at the host.
    #[must_use]
    pub fn parse_local(text: &str, parts: &Parts, site: &Site, config: &Config) -> Option<Self> {
        let (path, query) = read_local(text)?;
        let served = config.served(parts.authority(), parts.scheme())?;
        let found = served.find_of_all(&path).ok()??;
        let origin = format!("{}://{}", parts.scheme(), parts.authority());
        (found.name == site.name).then(|| Self::of(origin, "", &path, query))
    }

    /// Reads a URL at one of the configured sites, as a site sends it to the gateway: its host is exactly one that
    /// Edgeward serves, and the rest is what [`Self::parse_local`] takes. `scheme`: that of the request, in which the
    /// site is reached as well.
    #[must_use]
    pub fn parse_at_site(text: &str, scheme: &str, config: &Config) -> Option<(Rc<Site>, Self)> {
        let rest = text.strip_prefix(scheme)?.strip_prefix("://")?;
        let slash = rest.find('/')?;
        let (host, local) = rest.split_at_checked(slash)?;
        let (path, query) = read_local(local)?;
        let site = config.hosts.get(host)?.find_of_all(&path).ok()??;
        let url = Self::of(format!("{scheme}://{host}"), "", &path, query);
        site.gateway.is_none().then(|| (Rc::clone(site), url))
    }

    /// Scheme and authority.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.0.strip_suffix(self.local()).unwrap_or(&self.0)
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Path and query.
    #[must_use]
    pub fn local(&self) -> &str {
        let after = self.0.find("://").map_or(0, |at| at + 3);
        let slash = self
            .0
            .get(after..)
            .and_then(|rest| rest.find('/'))
            .map_or(after, |at| after + at);
        self.0.get(slash..).unwrap_or("/")
    }

    /// The URL.
    #[must_use]
    pub fn into_url(self) -> String {
        self.0
    }

    /// The site's first page.
    #[must_use]
    pub fn root(parts: &Parts, site: &Site) -> Self {
        let (scheme, authority) = (parts.scheme(), parts.authority());
        Self(format!("{scheme}://{authority}{}", site.root_path()))
    }

    /// The page from which a browser came, if it is one of this site's own that is not at one of our endpoints; otherwise the
    /// root. `head`: with every header.
    #[must_use]
    pub fn of_referrer(head: &Parts, site: &Site, config: &Config) -> Self {
        let local = head
            .named("referer")
            .and_then(|url| url.strip_prefix(head.scheme())?.strip_prefix("://"))
            .and_then(|rest| rest.strip_prefix(head.authority()));
        let is_here = |text: &&str| Self::parse_local(text, head, site, config).is_some();
        let Some((path, query)) = local.filter(is_here).and_then(read_local) else {
            return Self::root(head, site);
        };
        let below = path.as_str().strip_prefix(&*site.mount).unwrap_or_default();
        if endpoint_of(site, below).is_some() {
            return Self::root(head, site);
        }
        let query = query.map(|query| clean_query(site, query));
        let origin = format!("{}://{}", head.scheme(), head.authority());
        Self::of(origin, "", &path, query.as_deref())
    }

    /// The URL, saying how the browser came there; unchanged if there is nothing to say.
    #[must_use]
    pub fn with_rounds(&self, rounds: Rounds) -> Self {
        if rounds == Rounds::default() {
            return self.clone();
        }
        let separator = if self.0.contains('?') { '&' } else { '?' };
        Self(format!("{}{separator}{ATTEMPT}={rounds}", self.0))
    }

    /// The same URL, saying that a session was opened, if it says how often the browser was sent to the sign-in page.
    #[must_use]
    pub fn opened(self) -> Self {
        let Some((place, query)) = self.0.split_once('?') else {
            return self;
        };
        let taken = query::take(query, ATTEMPT);
        let rounds = Rounds::read(&taken.values);
        if rounds.count == 0 {
            return self;
        }
        let rest = if taken.rest.is_empty() { "" } else { "?" };
        let clean = Self(format!("{place}{rest}{}", taken.rest));
        clean.with_rounds(Rounds {
            opened: true,
            ..rounds
        })
    }
}

/// A path with a query as the protocol of a service carries it; `/` for anything that could lead elsewhere. `base`: the
/// service's own base URL, which may stand before the path.
#[must_use]
pub fn local_or_root(text: &str, base: &str) -> String {
    let local = text
        .strip_prefix(base)
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(text);
    // What a service does with it is not known, so it must be read alike by everybody.
    let path = local.split('?').next().unwrap_or_default();
    // Where its one form has fewer segments, there were empty or dot segments, which may name a host for some.
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    let is_plain = RequestPath::parse_strictly(path)
        .is_ok_and(|canonical| slashes(canonical.as_str()) == slashes(path));
    if is_plain && read_local(local).is_some() && local.len() <= MAX {
        return local.to_owned();
    }
    "/".to_owned()
}

/// The most bytes of a path that is kept for a service.
const MAX: usize = 4096;

/// A path and a query. Nothing that could name another host is one: it begins with exactly one slash and holds no
/// backslash, no control character and no fragment.
fn read_local(text: &str) -> Option<(RequestPath<'_>, Option<&str>)> {
    let (path, query) = text
        .split_once('?')
        .map_or((text, None), |(path, query)| (path, Some(query)));
    let local = path.starts_with('/') && !path.starts_with("//");
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#');
    let path = RequestPath::parse(path).ok()?;
    // A path that begins with two slashes is written with a dot segment before them (see `ReturnTo::of`).
    let empty_segment = text.starts_with("/.//");
    let names_a_host = |reading: &[u8]| match reading {
        [b'/', b'/', ..] => !empty_segment,
        [b'/', b'\\', ..] => true,
        _ => false,
    };
    (local && plain && !path.readings().any(names_a_host)).then_some((path, query))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Parts {
        Parts::new("GET", "https://site.example/a/b?x=1", &[]).unwrap()
    }

    #[test]
    fn a_return_address_is_always_on_the_own_host() {
        let config = crate::config::parse(&crate::config::tests::bindings("{}")).unwrap();
        let site = config.site("site.example", "https", "/").unwrap();
        let parse = |text: &str| ReturnTo::parse_local(text, &parts(), &site, &config).map(|r| r.0);
        assert_eq!(
            parse("/a?b=%2F").as_deref(),
            Some("https://site.example/a?b=%2F")
        );
        assert_eq!(parse("/").as_deref(), Some("https://site.example/"));
        for bad in [
            "",
            "a",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nSet-Cookie: x",
            "/a b",
            "/%5cevil",
            "/a#b",
            "/\t/evil.example",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_local_part_is_what_follows_the_host() {
        let path = RequestPath::parse("/a/b").unwrap();
        let url = ReturnTo::of_request(
            &parts(),
            &crate::config::tests::site("{}"),
            &path,
            Some("x=1"),
        );
        assert_eq!(url.local(), "/a/b?x=1");
        assert_eq!(
            url.with_rounds(Rounds {
                count: 2,
                ..Rounds::default()
            })
            .as_str(),
            "https://site.example/a/b?x=1&edgeward_attempt=2"
        );
        assert_eq!(url.with_rounds(Rounds::default()), url);
    }

    #[test]
    fn a_url_tells_that_a_session_was_opened_only_beside_the_number_of_rounds() {
        for (url, expected) in [
            (
                "https://a/b?edgeward_attempt=2",
                "https://a/b?edgeward_attempt=2o",
            ),
            (
                "https://a/b?x=%2f&edgeward_attempt=1&y",
                "https://a/b?x=%2f&y&edgeward_attempt=1o",
            ),
            ("https://a/b?x=1", "https://a/b?x=1"),
            ("https://a/b", "https://a/b"),
        ] {
            assert_eq!(ReturnTo(url.into()).opened().as_str(), expected);
        }
    }

    #[test]
    fn only_a_page_of_this_site_is_returned_to_by_its_referrer() {
        let settings = r#"{"sources": ["session"]}"#;
        let config = crate::config::parse(&crate::config::tests::bindings(settings)).unwrap();
        let site = config.site("site.example", "https", "/").unwrap();
        for (referrer, expected) in [
            (
                "https://site.example/a%2Fb?x=1",
                "https://site.example/a%2Fb?x=1",
            ),
            (
                "https://site.example/a?edgeward_attempt=1&x",
                "https://site.example/a?x",
            ),
            ("https://site.example", "https://site.example/"),
            (
                "https://site.example/api/sso/logout",
                "https://site.example/",
            ),
            (
                "https://site.example//evil.example/",
                "https://site.example/",
            ),
            (
                "https://site.example.evil.example/a",
                "https://site.example/",
            ),
            ("https://evil.example/a", "https://site.example/"),
            ("http://site.example/a", "https://site.example/"),
            ("", "https://site.example/"),
        ] {
            let head = Parts::new("GET", "https://site.example/z", &[("referer", referrer)]);
            let place = ReturnTo::of_referrer(&head.unwrap(), &site, &config);
            assert_eq!(place.as_str(), expected, "{referrer}");
        }
    }
}
