//! The two names of an application: the public one, and the one by which its origin knows itself. A
//! URL that says one of them is made to say the other, all other text stays as it is. Knows no
//! header, no site and no rule.
//!
//! What goes to the origin is compared strictly: a page elsewhere must never pass for one of the
//! application's own. So the authority is compared whole, and what only looks like it (userinfo, a
//! longer host, a trailing dot, another port) is foreign.

use std::borrow::Cow;

/// Where an application is: scheme, authority, and the path below which it is, empty for all paths.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place<'a> {
    scheme: &'a str,
    authority: &'a str,
    prefix: &'a str,
    /// `scheme://authority`, where that is there as one text.
    origin: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// The place `scheme://authority` with `prefix`, which is empty or begins with a slash and does
    /// not end with one.
    #[must_use]
    pub const fn new(scheme: &'a str, authority: &'a str, prefix: &'a str) -> Self {
        Self {
            scheme,
            authority,
            prefix,
            origin: None,
        }
    }

    /// The place at `origin`, which is `scheme://authority`.
    #[must_use]
    pub fn at(origin: &'a str, prefix: &'a str) -> Option<Self> {
        let (scheme, authority) = split_scheme(origin)?;
        Some(Self {
            origin: Some(origin),
            ..Self::new(scheme, authority, prefix)
        })
    }

    /// The host without its port, as cookies have it.
    #[must_use]
    pub fn host(&self) -> &'a str {
        split_port(self.scheme, self.authority).0
    }

    fn has_authority(&self, scheme: &str, authority: &str) -> bool {
        let (host, port) = split_port(self.scheme, self.authority);
        let (other, other_port) = split_port(scheme, authority);
        host.eq_ignore_ascii_case(other) && port == other_port
    }

    /// What follows `scheme://authority` in `url`, if it begins with exactly that: most URLs that name the place do.
    fn strip_from<'u>(&self, url: &'u str) -> Option<&'u str> {
        let authority = url.strip_prefix(self.scheme)?.strip_prefix("://")?;
        let rest = authority.strip_prefix(self.authority)?;
        matches!(rest.bytes().next(), None | Some(b'/' | b'?' | b'#')).then_some(rest)
    }

    fn followed_by(&self, prefix: &str, rest: &str) -> String {
        [self.scheme, "://", self.authority, prefix, rest].concat()
    }

    /// The origin with `prefix`.
    fn with(&self, prefix: &str) -> Cow<'a, str> {
        match self.origin {
            Some(origin) if prefix.is_empty() => Cow::Borrowed(origin),
            _ => Cow::Owned(self.followed_by(prefix, "")),
        }
    }
}

/// The public name of an application, and the name that its origin knows.
#[derive(Clone, Copy, Debug)]
pub struct Translation<'a> {
    public: Place<'a>,
    upstream: Place<'a>,
}

/// The first bytes of a text, and what stands instead of them at the other side.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replaced<'a> {
    /// How many bytes, all of them ASCII.
    pub length: usize,
    pub by: Cow<'a, str>,
}

impl Replaced<'_> {
    /// The whole text, made of `text`.
    #[must_use]
    pub fn apply_to(&self, text: &str) -> Option<String> {
        Some([&self.by, text.get(self.length..)?].concat())
    }
}

impl<'a> Translation<'a> {
    /// Between these places.
    #[must_use]
    pub const fn between(public: Place<'a>, upstream: Place<'a>) -> Self {
        Self { public, upstream }
    }

    /// The host of the origin.
    #[must_use]
    pub fn upstream_host(&self) -> &'a str {
        self.upstream.host()
    }

    /// What the origin gets of a `url` that a client sent: an origin, a URL or a path. `None` if it
    /// stays as it is, which everything does that does not name exactly the public origin.
    #[must_use]
    pub fn to_upstream(&self, url: &str) -> Option<Replaced<'a>> {
        let Self { public, upstream } = self;
        if url.starts_with('/') {
            let moved = public.prefix != upstream.prefix && is_path(url);
            return (moved && is_below(url, public.prefix)).then_some(Replaced {
                length: public.prefix.len(),
                by: Cow::Borrowed(upstream.prefix),
            });
        }
        let rest = public.strip_from(url).or_else(|| {
            let url = Url::split(url)?;
            let is_public =
                url.scheme == public.scheme && public.has_authority(url.scheme, url.authority);
            is_public.then_some(url.rest)
        })?;
        let length = url.len() - rest.len();
        // An origin has no path. A page of the host that is not below the prefix has no other name.
        Some(if !rest.is_empty() && is_below(rest, public.prefix) {
            Replaced {
                length: length + public.prefix.len(),
                by: upstream.with(upstream.prefix),
            }
        } else {
            Replaced {
                length,
                by: upstream.with(""),
            }
        })
    }

    /// What a client gets of a `url` in an answer of the origin; `None` if it stays as it is.
    #[must_use]
    pub fn to_public(&self, url: &str) -> Option<String> {
        let Self { public, upstream } = self;
        if is_path(url) {
            return self.path_to_public(url);
        }
        // A reference without a scheme (RFC 3986 §4.2).
        let relative = url.strip_prefix("//").map(|rest| {
            let (authority, rest) = split_authority(rest);
            Url {
                scheme: upstream.scheme,
                authority,
                rest,
            }
        });
        let url = relative.or_else(|| Url::split(url))?;
        if self.names_upstream(&url) {
            let path = self.path_to_public(url.rest);
            return Some(public.followed_by("", path.as_deref().unwrap_or(url.rest)));
        }
        // An application may know its public host, but not the path below which it is.
        let is_public = url.scheme.eq_ignore_ascii_case(public.scheme)
            && public.has_authority(public.scheme, url.authority);
        let path = self.path_to_public(url.rest).filter(|_| is_public)?;
        Some(public.followed_by("", &path))
    }

    /// The public origin, if `text` is the upstream's.
    #[must_use]
    pub fn origin_to_public(&self, text: &str) -> Option<String> {
        let url = Url::split(text)?;
        (url.rest.is_empty() && self.names_upstream(&url)).then(|| self.public.followed_by("", ""))
    }

    /// The public path of a path at the origin, with what follows it; `None` if it is the same, or if
    /// it has the public prefix already.
    #[must_use]
    pub fn path_to_public(&self, path: &str) -> Option<String> {
        let (public, upstream) = (self.public.prefix, self.upstream.prefix);
        let is_public = !public.is_empty() && is_below(path, public);
        let is_moved = is_below(path, upstream) && (!is_public || upstream.len() > public.len());
        let rest = path.get(upstream.len()..).filter(|_| is_moved)?;
        (public != upstream).then(|| match public {
            "" => rooted(rest),
            _ => [public, rest].concat(),
        })
    }

    /// Whether a URL of the origin's answer names the origin. An application that does not know of
    /// TLS in front of it writes `http` before its own host, so the scheme may be the other one.
    fn names_upstream(&self, url: &Url<'_>) -> bool {
        ["http", "https"]
            .iter()
            .any(|scheme| url.scheme.eq_ignore_ascii_case(scheme))
            && self.upstream.has_authority(url.scheme, url.authority)
    }
}

/// What is left of a path when its beginning is cut off, as a path of the host. Two slashes at its beginning would name another
/// host; to browsers a backslash is one, and they drop tabs (WHATWG URL §4.4).
fn rooted(rest: &str) -> String {
    let mut read = rest.bytes().filter(|byte| !byte.is_ascii_control());
    match (read.next(), read.next()) {
        (Some(b'/' | b'\\'), Some(b'/' | b'\\')) => ["/.", rest].concat(),
        (Some(b'/'), _) => rest.to_owned(),
        _ => ["/", rest].concat(),
    }
}

/// A URL with an authority (RFC 3986 §3).
struct Url<'a> {
    scheme: &'a str,
    authority: &'a str,
    /// Path, query and fragment.
    rest: &'a str,
}

impl<'a> Url<'a> {
    fn split(url: &'a str) -> Option<Self> {
        let (scheme, rest) = split_scheme(url)?;
        let (authority, rest) = split_authority(rest);
        Some(Self {
            scheme,
            authority,
            rest,
        })
    }
}

/// The scheme of a URL, and what follows `://`.
fn split_scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    Some((scheme, rest.strip_prefix("//")?))
}

fn split_authority(text: &str) -> (&str, &str) {
    let end = text.find(['/', '?', '#']).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Host and port, which is empty where it is the scheme's own (RFC 9110 §4.2.3).
fn split_port<'a>(scheme: &str, authority: &'a str) -> (&'a str, &'a str) {
    let default = if scheme.eq_ignore_ascii_case("https") {
        "443"
    } else {
        "80"
    };
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host, if port == default { "" } else { port })
        }
        _ => (authority, ""),
    }
}

/// Whether `text` is a path without a host. Browsers read `/\` as `//`.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.starts_with("//") && !text.starts_with("/\\")
}

/// Whether `rest`, a path with what follows it, is below `prefix`, by whole segments.
fn is_below(rest: &str, prefix: &str) -> bool {
    rest.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: Place<'_> = Place::new("https", "app.example.com", "");
    const UPSTREAM: Place<'_> = Place::new("http", "10.0.0.7:8080", "");
    const PLAIN: Translation<'_> = Translation::between(PUBLIC, UPSTREAM);

    fn moved<'a>(mount: &'a str, base: &'a str) -> Translation<'a> {
        Translation::between(
            Place::new("https", "app.example.com", mount),
            Place::new("https", "in.example", base),
        )
    }

    fn sent(translation: &Translation<'_>, url: &str) -> Option<String> {
        translation.to_upstream(url)?.apply_to(url)
    }

    #[test]
    fn sec_93_what_only_looks_like_the_public_origin_stays_foreign() {
        for foreign in [
            "null",
            "",
            "https://app.example.com.evil",
            "https://app.example.com.evil/",
            "https://app.example.com@evil",
            "https://app.example.com@evil/https://app.example.com",
            "https://user@app.example.com/",
            "https://user:x@app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com:0443",
            "https://app.example.com:443x",
            "https://app.example.com.",
            "https://app.example.com\\@evil",
            "https://app.example.com%2f",
            "https://app.example.com https://app.example.com",
            "https://app.example.com, https://evil",
            "https://evil, https://app.example.com",
            "https://xapp.example.com",
            "https://x.app.example.com",
            "http://app.example.com",
            "http://app.example.com:443",
            "HTTPS://app.example.com",
            "wss://app.example.com",
            "https:app.example.com",
            "https:/app.example.com",
            "https:///app.example.com",
            "//app.example.com/",
            "app.example.com",
            " https://app.example.com",
            "https://evil/https://app.example.com/",
            "https://evil?https://app.example.com",
            "https://evil#https://app.example.com",
            "https://\u{ff41}pp.example.com",
            "/path",
        ] {
            assert_eq!(PLAIN.to_upstream(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn the_public_origin_becomes_the_upstreams_and_what_follows_stays() {
        for (url, expected) in [
            ("https://app.example.com", "http://10.0.0.7:8080"),
            ("https://APP.example.COM", "http://10.0.0.7:8080"),
            ("https://app.example.com:443", "http://10.0.0.7:8080"),
            ("https://app.example.com:/", "http://10.0.0.7:8080/"),
            (
                "https://app.example.com/a%2fb//c?d=https://app.example.com#é",
                "http://10.0.0.7:8080/a%2fb//c?d=https://app.example.com#é",
            ),
            ("https://app.example.com?x", "http://10.0.0.7:8080?x"),
        ] {
            assert_eq!(sent(&PLAIN, url).as_deref(), Some(expected), "{url}");
        }
        let local = Translation::between(
            Place::at("http://[::1]:8787", "").unwrap(),
            Place::at("https://o.example", "").unwrap(),
        );
        assert_eq!(
            sent(&local, "http://[::1]:8787/a").as_deref(),
            Some("https://o.example/a")
        );
        assert_eq!(sent(&local, "http://[::1]/a"), None);
    }

    #[test]
    fn a_prefix_is_replaced_by_whole_segments() {
        let both = moved("/x", "/b");
        for (url, expected) in [
            ("https://app.example.com", Some("https://in.example")),
            ("https://app.example.com/x", Some("https://in.example/b")),
            (
                "https://app.example.com/x/p?q",
                Some("https://in.example/b/p?q"),
            ),
            // Same origin, but no page of this application.
            ("https://app.example.com/xy", Some("https://in.example/xy")),
            ("/x/p", Some("/b/p")),
            ("/xy", None),
            ("//x/p", None),
        ] {
            assert_eq!(sent(&both, url).as_deref(), expected, "{url}");
        }
        assert_eq!(sent(&moved("", "/b"), "/p").as_deref(), Some("/b/p"));
        assert_eq!(sent(&moved("/x", ""), "/x/p").as_deref(), Some("/p"));
    }

    #[test]
    fn what_names_the_upstream_in_an_answer_becomes_public() {
        for (url, expected) in [
            (
                "http://10.0.0.7:8080/next?a#b",
                Some("https://app.example.com/next?a#b"),
            ),
            ("http://10.0.0.7:8080", Some("https://app.example.com")),
            // It does not know of the TLS in front of it, or believes that there is some.
            (
                "https://10.0.0.7:8080/next",
                Some("https://app.example.com/next"),
            ),
            ("//10.0.0.7:8080/next", Some("https://app.example.com/next")),
            ("http://10.0.0.7/", None),
            ("http://10.0.0.7:8080.evil/", None),
            ("http://x@10.0.0.7:8080/", None),
            ("ftp://10.0.0.7:8080/", None),
            ("https://app.example.com/next", None),
            ("https://login.example/?next=http://10.0.0.7:8080/", None),
            ("/next", None),
            ("next", None),
            ("?next", None),
            ("", None),
        ] {
            assert_eq!(PLAIN.to_public(url).as_deref(), expected, "{url}");
        }
        let secure = moved("", "");
        for (url, expected) in [
            (
                "http://IN.example/next",
                Some("https://app.example.com/next"),
            ),
            ("https://in.example:443/", Some("https://app.example.com/")),
            ("http://in.example:443/", None),
        ] {
            assert_eq!(secure.to_public(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_path_of_an_answer_gets_the_public_prefix_once() {
        let both = moved("/x", "/b");
        for (url, expected) in [
            ("/b/next", Some("/x/next")),
            ("/b", Some("/x")),
            ("/b?q", Some("/x?q")),
            ("/x/next", None),
            ("/bb/next", None),
            ("//b/next", None),
            ("/\\b/next", None),
            (
                "https://in.example/b/next",
                Some("https://app.example.com/x/next"),
            ),
            (
                "https://in.example/x/next",
                Some("https://app.example.com/x/next"),
            ),
            (
                "https://in.example/other",
                Some("https://app.example.com/other"),
            ),
            (
                "https://app.example.com/b/next",
                Some("https://app.example.com/x/next"),
            ),
            ("https://app.example.com/x/next", None),
            ("https://elsewhere.example/b/next", None),
        ] {
            assert_eq!(both.to_public(url).as_deref(), expected, "{url}");
        }
        let mounted = moved("/x", "");
        assert_eq!(mounted.to_public("/next").as_deref(), Some("/x/next"));
        assert_eq!(mounted.to_public("/x"), None);
        assert_eq!(
            mounted.to_public("https://in.example").as_deref(),
            Some("https://app.example.com/x")
        );
        // SEC-48: no path of the origin becomes another host's, or no path at all.
        let whole = moved("", "/b");
        for (url, expected) in [
            ("/b//evil.example/", "/.//evil.example/"),
            ("/b/\\evil.example/", "/./\\evil.example/"),
            ("/b/\t/evil.example/", "/./\t/evil.example/"),
            ("/b", "/"),
            ("/b?q", "/?q"),
            ("/b#f", "/#f"),
            ("/b/next", "/next"),
            ("https://in.example/b", "https://app.example.com/"),
            (
                "https://in.example/b//evil.example",
                "https://app.example.com/.//evil.example",
            ),
        ] {
            assert_eq!(whole.to_public(url).as_deref(), Some(expected), "{url}");
        }
        // Where the base begins with the mount, the longer one tells.
        let inner = moved("/x", "/x/y");
        assert_eq!(inner.to_public("/x/y/z").as_deref(), Some("/x/z"));
        assert_eq!(inner.to_public("/x/z"), None);
        assert_eq!(moved("/x", "/x").to_public("/x/z"), None);
    }

    #[test]
    fn an_origin_gets_no_path() {
        let both = moved("/x", "/b");
        assert_eq!(
            both.origin_to_public("https://in.example").as_deref(),
            Some("https://app.example.com")
        );
        for other in [
            "*",
            "null",
            "https://in.example/",
            "https://app.example.com",
            "https://in.example.evil",
        ] {
            assert_eq!(both.origin_to_public(other), None, "{other}");
        }
    }
}
