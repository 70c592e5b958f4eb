//! The head of a request as the core sees it: method, URL and headers, taken in one snapshot,
//! without the body. Knows no site, no credential and no rule.

use std::ops::Range;

use crate::http::accept;

/// The headers whose values the core reads at every site. Sites add those that they name
/// (`site::disclosure`).
pub const READ: [&str; 18] = [
    "accept",
    "access-control-request-method",
    "authorization",
    "cf-connecting-ip",
    "cf-ipcountry",
    RAY,
    "cookie",
    "destination",
    "origin",
    "purpose",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-purpose",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-moz",
    "x-purpose",
];

/// The header with the CDN's id of the request: a new value each time, which decides nothing.
pub const RAY: &str = "cf-ray";

/// Whether `text` has the form of a CDN request id.
#[must_use]
pub fn is_ray(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The head of a request: method and URL, and the headers that the core is told of
/// (`site::disclosure`); for Edgeward's own endpoints, every header. Header names are in
/// lower case; repeated headers are joined with `, ` as in the Fetch standard.
pub struct Parts {
    text: String,
    method: Range<usize>,
    scheme: Range<usize>,
    authority: Range<usize>,
    path: Range<usize>,
    query: Option<Range<usize>>,
    has_fragment: bool,
    headers: Vec<(Range<usize>, Range<usize>)>,
    /// Where each header of [`READ`] is in `headers`: a request asks for many of them, and few are there.
    known: [Option<usize>; READ.len()],
    wants_page: bool,
}

/// The snapshot is malformed, or the URL is not an absolute `http` URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the head of the request is malformed")]
pub struct Malformed;

impl Parts {
    /// Parses a snapshot: method, URL, then name and value of each header, one per line. No header
    /// value can contain a line break (RFC 9110 §5.5), so nothing needs escaping.
    ///
    /// # Errors
    /// [`Malformed`] if a line is missing or the URL has no scheme or host.
    pub fn from_snapshot(text: String) -> Result<Self, Malformed> {
        let (method, url, headers, known) = {
            let mut rest = lines(&text);
            let method = rest.next().ok_or(Malformed)?;
            let url = rest.next().ok_or(Malformed)?;
            let mut headers = Vec::with_capacity(24);
            let mut known = [None; READ.len()];
            while let Some(name) = rest.next() {
                let place = text.get(name.clone()).and_then(position);
                if let Some(place) = place.and_then(|at| known.get_mut(at)) {
                    place.get_or_insert(headers.len());
                }
                headers.push((name, rest.next().ok_or(Malformed)?));
            }
            (method, url, headers, known)
        };
        let whole = text.get(url.clone()).ok_or(Malformed)?;
        let scheme_end = memchr::memchr(b':', whole.as_bytes())
            .filter(|at| whole.get(at + 1..at + 3) == Some("//"))
            .ok_or(Malformed)?;
        let after = scheme_end + 3;
        let rest = whole.get(after..).ok_or(Malformed)?;
        let fragment = rest.find('#');
        let rest = fragment.and_then(|at| rest.get(..at)).unwrap_or(rest);
        let authority_len = rest.find(['/', '?']).unwrap_or(rest.len());
        let start = url.start + after;
        let end = start + rest.len();
        let question = rest.find('?').map(|at| start + at);
        let authority = start..start + authority_len;
        let path = authority.end..question.unwrap_or(end);
        if authority.is_empty() || text.get(authority.clone()).is_some_and(|a| a.contains('@')) {
            return Err(Malformed);
        }
        let mut parts = Self {
            method,
            scheme: url.start..url.start + scheme_end,
            authority,
            path,
            query: question.map(|at| at + 1..end),
            has_fragment: fragment.is_some(),
            headers,
            known,
            text,
            wants_page: false,
        };
        parts.wants_page = parts.asks_for_page();
        Ok(parts)
    }

    /// Builds a request head from its parts, for callers without a snapshot.
    ///
    /// # Errors
    /// As [`Parts::from_snapshot`].
    pub fn new(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Self, Malformed> {
        let mut text = format!("{method}\n{url}");
        for (name, value) in headers {
            text.push('\n');
            text.push_str(&name.to_ascii_lowercase());
            text.push('\n');
            text.push_str(value);
        }
        Self::from_snapshot(text)
    }

    /// The method, as sent.
    #[must_use]
    pub fn method(&self) -> &str {
        self.slice(&self.method)
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.slice(&self.scheme)
    }

    /// Host and, if given, port.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.slice(&self.authority)
    }

    /// The path as it was sent; decisions use the canonical one ([`crate::http::path`]).
    #[must_use]
    pub fn path(&self) -> &str {
        self.slice(&self.path)
    }

    /// The query without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_ref().map(|query| self.slice(query))
    }

    /// Whether the URL has a fragment, so that it does not end with path and query.
    #[must_use]
    pub const fn has_fragment(&self) -> bool {
        self.has_fragment
    }

    /// The value of header `name`, which must be one of [`READ`].
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        debug_assert!(READ.contains(&name), "{name} is missing in READ");
        self.named(name)
    }

    /// The value of a header (in lower case) that the configuration names or, at Edgeward's own
    /// endpoints, of any header.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&str> {
        match position(name) {
            Some(at) => {
                let (_, value) = self.headers.get((*self.known.get(at)?)?)?;
                Some(self.slice(value))
            }
            None => self
                .headers()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| value),
        }
    }

    /// The CDN's request id, if there is a valid one.
    #[must_use]
    pub fn ray(&self) -> Option<&str> {
        self.header(RAY).filter(|ray| is_ray(ray))
    }

    /// All headers, in the order of the snapshot.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (self.slice(name), self.slice(value)))
    }

    /// Whether a browser is navigating to a page: `Sec-Fetch-Mode` says so or, from clients that do
    /// not send it, `Accept` asks for HTML. Only a GET counts: nothing else may trigger what a
    /// navigation does (open a session, redirect).
    #[must_use]
    pub fn is_navigation(&self) -> bool {
        self.method() == "GET" && self.wants_page()
    }

    /// Whether the client prefers a page to JSON: by `Sec-Fetch-Mode`, then by `Accept`, never by
    /// `User-Agent`.
    #[must_use]
    pub const fn wants_page(&self) -> bool {
        self.wants_page
    }

    fn asks_for_page(&self) -> bool {
        match self.header("sec-fetch-mode") {
            Some(mode) => mode == "navigate",
            None => self.header("accept").is_some_and(accept::prefers_page),
        }
    }

    /// Whether the request is speculative, in case somebody follows a link: `Sec-Purpose` (Fetch
    /// standard, `prefetch` and its parameters) or one of its predecessors.
    #[must_use]
    pub fn is_speculative(&self) -> bool {
        ["sec-purpose", "purpose", "x-purpose", "x-moz"]
            .iter()
            .filter_map(|name| self.header(name))
            .flat_map(|value| value.split([';', ',']))
            .any(|word| {
                let word = word.trim();
                ["prefetch", "prerender", "preview"]
                    .iter()
                    .any(|purpose| word.eq_ignore_ascii_case(purpose))
            })
    }

    /// Whether the method only retrieves something (RFC 9110 §9.3.1, §9.3.2), so that the same address can be opened again.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self.method(), "GET" | "HEAD")
    }

    /// Whether the method retrieves no content (RFC 9110 §9.3.2, §9.3.7), so that the request must
    /// not use up anything meant to be seen later.
    #[must_use]
    pub fn only_looks(&self) -> bool {
        matches!(self.method(), "HEAD" | "OPTIONS")
    }

    /// Whether the client asks for a WebSocket (RFC 6455 §4.1).
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.header("upgrade")
            .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    }

    fn slice(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }
}

/// Where `name` is in [`READ`].
fn position(name: &str) -> Option<usize> {
    READ.iter().position(|known| *known == name)
}

/// The range of each line. A single pass, instead of a new search for each line.
fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', text.as_bytes())
        .chain(std::iter::once(text.len()))
        .map(move |end| std::mem::replace(&mut start, end + 1)..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_taken_apart_without_copying() {
        let parts = Parts::from_snapshot(
            "GET\nhttps://a.example:8443/p/q?x=1&y\naccept\n*/*\ncookie\n".into(),
        )
        .unwrap();
        assert_eq!(parts.method(), "GET");
        assert_eq!(parts.scheme(), "https");
        assert_eq!(parts.authority(), "a.example:8443");
        assert_eq!(parts.path(), "/p/q");
        assert_eq!(parts.query(), Some("x=1&y"));
        assert_eq!(parts.header("accept"), Some("*/*"));
        assert_eq!(parts.header("cookie"), Some(""));
        assert_eq!(parts.header("authorization"), None);
    }

    #[test]
    fn a_header_is_found_by_its_name_whether_it_is_read_at_every_site_or_not() {
        for name in READ.into_iter().chain(["x-other"]) {
            let headers = [("x-first", "0"), (name, "1"), (name, "2"), ("x-last", "3")];
            let parts = Parts::new("GET", "http://a/", &headers).unwrap();
            assert_eq!(parts.named(name), Some("1"), "{name}");
            assert_eq!(parts.named("x-last"), Some("3"), "{name}");
            for other in READ.into_iter().filter(|other| *other != name) {
                assert_eq!(parts.header(other), None, "{name}: {other}");
            }
        }
    }

    #[test]
    fn a_url_without_path_or_with_a_fragment_is_understood() {
        let parts = Parts::new("GET", "http://a?b", &[]).unwrap();
        assert_eq!((parts.path(), parts.query()), ("", Some("b")));
        let parts = Parts::new("GET", "http://a/b#c?d", &[]).unwrap();
        assert_eq!((parts.path(), parts.query()), ("/b", None));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in [
            "",
            "GET",
            "GET\n/relative",
            "GET\nhttp://",
            "GET\nhttp://u@h/",
            "GET\nhttp://h/\nname",
            "GET\nhttp://h/\n",
            "GET\n\nname\nvalue",
        ] {
            assert!(Parts::from_snapshot(text.into()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_request_ahead_of_time_is_told_by_its_purpose() {
        let is = |name: &str, value: &str| {
            Parts::new("GET", "http://a/", &[(name, value)])
                .unwrap()
                .is_speculative()
        };
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch; anonymous-client-ip"),
            ("sec-purpose", "Prefetch, x"),
            ("purpose", "prefetch"),
            ("x-moz", "prefetch"),
            ("x-purpose", "preview"),
        ] {
            assert!(is(name, value), "{name}: {value}");
        }
        for (name, value) in [
            ("sec-purpose", ""),
            ("sec-purpose", "prefetched"),
            ("accept", "prefetch"),
        ] {
            assert!(!is(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn a_navigation_is_told_by_sec_fetch_mode_then_accept_and_only_for_get() {
        let is = |method: &str, headers: &[(&str, &str)]| {
            Parts::new(method, "http://a/", headers)
                .unwrap()
                .is_navigation()
        };
        assert!(is("GET", &[("sec-fetch-mode", "navigate")]));
        assert!(is("GET", &[("accept", "text/html,*/*")]));
        assert!(!is(
            "GET",
            &[("sec-fetch-mode", "cors"), ("accept", "text/html")]
        ));
        assert!(!is(
            "GET",
            &[("accept", "*/*"), ("user-agent", "Mozilla/5.0")]
        ));
        assert!(!is("HEAD", &[("sec-fetch-mode", "navigate")]));
        assert!(!is("POST", &[("sec-fetch-mode", "navigate")]));
    }
}
