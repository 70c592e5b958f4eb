//! Sites that share a host, each below a path of its own.

use std::rc::Rc;

use crate::http::path::RequestPath;
use crate::jose::jws::UntrustedJws;
use crate::rules::case;
use crate::site::issuer::{Issuer, is_of_any};
use crate::site::{Site, Source};

/// Where our own endpoints live unless a site says otherwise.
pub const ENDPOINTS: &str = "/api/sso";

/// The longest mount, and the longest path of our own endpoints.
pub const LONGEST: usize = 128;

/// The one form of a path that a setting names as a prefix: without the slash at its end, and empty for
/// `/`. `None` for a path that some server may read as another one.
#[must_use]
pub fn prefix(text: &str) -> Option<&str> {
    let prefix = text.strip_suffix('/').unwrap_or(text);
    let plain = |segment: &str| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
        !segment.is_empty()
            && segment.bytes().all(fine)
            && !segment.starts_with('.')
            && !segment.ends_with('.')
    };
    let mut segments = prefix.split('/');
    let fits = segments.next() == Some("") && prefix.len() <= LONGEST && segments.all(plain);
    fits.then_some(prefix)
}

/// Whether `path` is `prefix` or lies below it.
#[must_use]
pub fn is_below(path: &[u8], prefix: &str) -> bool {
    path.strip_prefix(prefix.as_bytes())
        .is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}

/// The sites at one host.
#[derive(Debug, Default)]
pub struct Served {
    /// The longest mount first.
    sites: Vec<Rc<Site>>,
    /// Whether the origin of one of them ignores case.
    ignores_case: bool,
}

/// The readings of a path lead to different sites, by their names; `None` is no site.
pub type Divided = (Option<String>, Option<String>);

impl Served {
    /// Adds a site.
    pub fn add(&mut self, site: Rc<Site>) {
        self.ignores_case |= site.rules.ignores_case();
        let shorter = |other: &Rc<Site>| other.mount.len() < site.mount.len();
        let at = self.sites.iter().position(shorter);
        self.sites.insert(at.unwrap_or(self.sites.len()), site);
    }

    /// The sites.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Site>> {
        self.sites.iter()
    }

    /// The site, if it has the host to itself.
    #[must_use]
    pub fn whole(&self) -> Option<&Rc<Site>> {
        match self.sites.as_slice() {
            [site] if site.mount.is_empty() => Some(site),
            _ => None,
        }
    }

    /// The site that serves `path`: the one with the longest mount that holds it.
    #[must_use]
    pub fn find(&self, path: &[u8]) -> Option<&Rc<Site>> {
        self.sites.iter().find(|site| {
            if site.mount.is_empty() {
                return true;
            }
            let head = path.get(..site.mount.len());
            let same = if self.ignores_case {
                head.is_some_and(|head| head.eq_ignore_ascii_case(site.mount.as_bytes()))
            } else {
                head == Some(site.mount.as_bytes())
            };
            same && matches!(path.get(site.mount.len()), None | Some(b'/'))
        })
    }

    /// The site to which every reading of `path` leads; `None` if that is no site.
    ///
    /// # Errors
    /// Two sites to which it leads.
    pub fn find_of_all(&self, path: &RequestPath<'_>) -> Result<Option<&Rc<Site>>, Divided> {
        let sent = self.find(path.as_str().as_bytes());
        if path.is_plain() || self.whole().is_some() {
            return Ok(sent);
        }
        let name = |site: Option<&Rc<Site>>| site.map(|site| site.name.clone());
        for reading in path.readings() {
            let widely = self
                .ignores_case
                .then(|| case::fold_widely(reading))
                .flatten()
                .map(|folded| name(self.find(&folded)));
            for found in [Some(name(self.find(reading))), widely]
                .into_iter()
                .flatten()
            {
                if found != name(sent) {
                    return Err((name(sent), found));
                }
            }
        }
        Ok(sent)
    }
}

/// What the other sites at a site's hosts keep in cookies. Browsers send it to every site whose path it
/// fits, so it is taken off there.
#[derive(Debug, Default)]
pub struct Neighbours {
    cookies: Vec<String>,
    /// What the names of further ones begin with.
    prefixes: Vec<String>,
    /// Cookies with tokens of other issuers: the name, and the issuers.
    tokens: Vec<(String, Vec<Rc<Issuer>>)>,
}

impl Neighbours {
    /// Adds what `site` keeps.
    pub fn add(&mut self, site: &Site) {
        self.cookies.extend(site.cookie_names().map(str::to_owned));
        self.prefixes.push(site.session.attempts.clone());
        let sso = site.sso_cookie.as_ref();
        if let Some(sso) = sso.filter(|_| site.takes(Source::SsoCookie)) {
            let issuers = site.all_issuers().to_vec();
            self.tokens.push((sso.name.clone(), issuers));
        }
    }

    /// Whether the cookie is a neighbour's. One with a token of ours is recognised by the token, whatever its
    /// name is.
    #[must_use]
    pub fn own(&self, name: &str, value: &str) -> bool {
        self.cookies.iter().any(|cookie| cookie == name)
            || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
            || self.tokens.iter().any(|(cookie, issuers)| {
                cookie == name
                    && UntrustedJws::parse(value).is_ok_and(|token| {
                        is_of_any(issuers.iter().map(|issuer| &**issuer), &token)
                    })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_read_alike_by_every_server() {
        for (text, read) in [
            ("", ""),
            ("/", ""),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("/label-studio/v1.2_~/A", "/label-studio/v1.2_~/A"),
        ] {
            assert_eq!(prefix(text), Some(read), "{text}");
        }
        let long = format!("/{}", "a".repeat(LONGEST));
        for bad in [
            "a", "//", "/a//", "/a//b", "//a", "/.", "/..", "/a/../b", "/.a", "/a.", "/a/b.",
            "/a%20b", "/a;b", "/a?b", "/a#b", "/a\\b", "/a b", "/\u{e9}", "/a:b", "/a@b", "/a*",
            "/(S(a))", &long,
        ] {
            assert_eq!(prefix(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_prefix_holds_whole_segments() {
        for path in ["/a", "/a/", "/a/b"] {
            assert!(is_below(path.as_bytes(), "/a"), "{path}");
        }
        for path in ["/", "", "/ab", "/a.b", "/A", "/b/a"] {
            assert!(!is_below(path.as_bytes(), "/a"), "{path}");
        }
        assert!(is_below(b"/x", ""));
    }
}
