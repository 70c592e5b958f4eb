//! Where a request carries credentials, and which. Reads; judges nothing.

use std::borrow::Cow;

use crate::credential::stray;
use crate::http::client::Client;
use crate::http::query;
use crate::http::request::Parts;
use crate::model::api_token;
use crate::site::Site;
use crate::site::Source;
use crate::site::tenant::Tenancy;

/// The header in which an API token acts as a user.
pub const API_KEY: &str = "x-api-key";

/// The parameter in which a browser that comes back from the sign-in page says how often it was
/// sent there. Ours alone; it never reaches an origin.
pub const ATTEMPT: &str = "edgeward_attempt";

/// The value of [`ATTEMPT`] by which a person comes who has declined to be signed in by a link: no
/// round trip begins with that, or the next link of a stranger would seem to end it.
pub const DECLINED: &str = "0";

/// So many credentials of one source are looked at. A cookie may be there twice, for two paths or as
/// partitioned; hundreds fit into one head, and each costs a signature.
pub const MAX_OF_ONE_SOURCE: usize = 4;

/// The raw credentials of a request, by source. A source that the site does not take is empty.
#[derive(Debug, Default)]
pub struct Presented<'a> {
    /// Values of our own cookie.
    pub session: Vec<&'a str>,
    /// Values of the application's cookie.
    pub sso_cookie: Vec<&'a str>,
    /// Values of the query parameter.
    pub query: Vec<String>,
    /// The bearer token.
    pub bearer: Vec<&'a str>,
    /// Tokens in headers that the site names.
    pub header: Vec<&'a str>,
    /// Our API tokens in `x-api-key`.
    pub api_key: Vec<&'a str>,
    /// Who presents them, where an API token is among them.
    pub client: Option<Client>,
    /// Where the browser was sent to sign in from, as [`crate::credential::session::begin_trip`] noted it. Read
    /// only beside a credential in the query.
    pub trip: Vec<&'a str>,
    /// In which tenant the request is.
    pub tenancy: Tenancy<'a>,
    /// The query without the credential and without our own marker.
    pub clean_query: Option<Cow<'a, str>>,
    /// How often the browser has come back from the sign-in page without a credential.
    pub attempt: u32,
    /// Whether the person has just declined to be signed in by a link.
    pub declined: bool,
    /// Whether `clean_query` differs from what came.
    pub query_changed: bool,
}

impl Presented<'_> {
    /// How many credentials there are.
    #[must_use]
    pub fn count(&self) -> usize {
        let in_headers = [
            &self.session,
            &self.sso_cookie,
            &self.bearer,
            &self.header,
            &self.api_key,
        ];
        self.query.len() + in_headers.iter().map(|found| found.len()).sum::<usize>()
    }
}

/// Finds the credentials of `parts` at `site`.
#[must_use]
pub fn present<'a>(parts: &'a Parts, site: &'a Site) -> Presented<'a> {
    let mut presented = Presented {
        tenancy: Tenancy::of(site, parts),
        ..Presented::default()
    };
    if let Some(header) = parts.header("cookie") {
        if site.takes(Source::Session) {
            presented.session = cookie_values(header, &site.session.cookie).collect();
        }
        if let Some(sso) = site
            .sso_cookie
            .as_ref()
            .filter(|_| site.takes(Source::SsoCookie))
        {
            presented.sso_cookie = cookie_values(header, &sso.name).collect();
        }
    }
    if site.takes(Source::Bearer) {
        presented
            .bearer
            .extend(parts.header("authorization").and_then(bearer));
    }
    if site.takes(Source::Header) {
        let named = site.token_headers.iter().filter_map(|header| {
            let value = parts.header(&header.name)?;
            header.token(value)
        });
        presented.header.extend(named);
    }
    if site.takes(Source::ApiKey) {
        let named = parts.header(API_KEY).map(str::trim);
        // As at the admin API, and as clients of Django's REST framework send theirs.
        let scheme = parts.header("authorization").and_then(token_scheme);
        // Other keys are between the client and the application.
        let ours = |value: &&str| value.starts_with(api_token::PREFIX);
        presented
            .api_key
            .extend(named.into_iter().chain(scheme).filter(ours));
        presented.client = (!presented.api_key.is_empty()).then(|| Client::of(parts));
    }
    if let Some(query) = parts.query() {
        read_query(&mut presented, site, query);
    }
    // Only a link is compared with it; other requests are spared the search.
    if let Some(header) = parts
        .header("cookie")
        .filter(|_| !presented.query.is_empty())
    {
        presented.trip = cookie_values(header, &site.session.trip).collect();
    }
    presented
}

/// The values of all cookies with exactly this name (RFC 6265bis §5.8.3). Empty ones are none.
pub fn cookie_values<'a>(header: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    pieces(header, b';')
        .filter_map(move |pair| {
            let (found, value) = cookie_pair(pair)?;
            (found == name).then_some(value)
        })
        .filter(|value| !value.is_empty())
}

/// Name and value of a pair of a `Cookie` header, without the blanks around them.
#[must_use]
pub fn cookie_pair(pair: &str) -> Option<(&str, &str)> {
    let (name, value) = pair.split_at_checked(memchr::memchr(b'=', pair.as_bytes())?)?;
    Some((unpadded(name), unpadded(value.get(1..)?)))
}

/// What stands between the `separator`s, as `str::split` gives it. Every request goes through this,
/// with cookies of any length.
pub fn pieces(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, after) = match memchr::memchr(separator, text.as_bytes()) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)),
            None => (text, None),
        };
        rest = after;
        Some(piece)
    })
}

fn unpadded(text: &str) -> &str {
    match text.as_bytes() {
        [b' ' | b'\t', ..] | [.., b' ' | b'\t'] => text.trim_matches([' ', '\t']),
        _ => text,
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 §2.1). The scheme's case is free
/// (RFC 9110 §11.1).
#[must_use]
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn token_scheme(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("token").then(|| token.trim())
}

/// Whether `query` reaches the origin as it is: no credential is in it, no marker of ours, and it is
/// not empty.
#[must_use]
pub fn passes_unchanged(site: &Site, query: &str) -> bool {
    let mut presented = Presented::default();
    read_query(&mut presented, site, query);
    !query.is_empty() && !presented.query_changed && presented.query.is_empty()
}

/// `query` as an origin may see it: without the site's credential, our marker, and any credential of
/// ours in another parameter.
#[must_use]
pub fn clean_query<'a>(site: &Site, query: &'a str) -> Cow<'a, str> {
    let mut presented = Presented::default();
    read_query(&mut presented, site, query);
    presented.clean_query.unwrap_or(Cow::Borrowed(""))
}

fn read_query<'a>(presented: &mut Presented<'a>, site: &Site, query: &'a str) {
    let mut rest = Cow::Borrowed(query);
    if let Some(settings) = site.query.as_ref().filter(|_| site.takes(Source::Query)) {
        let taken = query::take(query, &settings.parameter);
        // The name is a common one. A value that cannot be a JWT belongs to the application.
        if taken.values.iter().all(String::is_empty)
            || taken.values.iter().any(|value| is_compact(value))
        {
            // The same one several times is one. One more than may be there shows that there are too
            // many; a query has room for thousands.
            for value in taken.values {
                if presented.query.len() > MAX_OF_ONE_SOURCE {
                    break;
                }
                if !value.is_empty() && !presented.query.contains(&value) {
                    presented.query.push(value);
                }
            }
            rest = taken.rest;
        }
    }
    if memchr::memmem::find(query.as_bytes(), crate::ask::source::ATTEMPT.as_bytes()).is_some() {
        let taken = query::take(&rest, crate::ask::source::ATTEMPT);
        presented.declined = taken
            .values
            .iter()
            .any(|value| value == crate::ask::source::DECLINED);
        presented.attempt = taken
            .values
            .iter()
            .filter_map(|n| n.parse().ok())
            .max()
            .unwrap_or(0);
        rest = Cow::Owned(taken.rest.into_owned());
    }
    if let Some(without) = stray::without(&rest) {
        rest = Cow::Owned(without);
    }
    presented.query_changed = *rest != *query;
    presented.clean_query = Some(rest);
}

fn is_compact(value: &str) -> bool {
    value.bytes().filter(|byte| *byte == b'.').count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_50_only_the_exact_name_is_read_and_every_occurrence_of_it() {
        let values = |header: &'static str| cookie_values(header, "__Host-e").collect::<Vec<_>>();
        assert_eq!(values("a=1; __Host-e=x; b=2"), ["x"]);
        assert_eq!(values("__Host-e=x;__Host-e=y"), ["x", "y"]);
        assert_eq!(values("__Host-e = x ; c"), ["x"]);
        assert_eq!(values("__Host-e=a=b=="), ["a=b=="]);
        assert_eq!(
            values("__host-e=x; __HOST-E=y; e=z; x__Host-e=w; __Host-e; =__Host-e=q"),
            [""; 0]
        );
        assert_eq!(values("__Host-e="), [""; 0]);
    }

    #[test]
    fn an_api_token_follows_the_scheme_token_and_nothing_else_does() {
        let of = |headers: &[(&str, &str)]| {
            let site = crate::config::tests::site(r#"{"sources": ["api_key"]}"#);
            let parts = Parts::new("GET", "https://site.example/", headers).unwrap();
            present(&parts, &site)
                .api_key
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&[("authorization", "Token ewt_a")]), ["ewt_a"]);
        assert_eq!(of(&[("authorization", "token  ewt_a ")]), ["ewt_a"]);
        assert_eq!(
            of(&[("x-api-key", "ewt_a"), ("authorization", "Token ewt_b")]),
            ["ewt_a", "ewt_b"]
        );
        for other in ["Token 0123", "Bearer ewt_a", "ewt_a", "Token"] {
            assert_eq!(of(&[("authorization", other)]), [""; 0], "{other}");
        }
    }

    #[test]
    fn a_bearer_token_follows_its_scheme_in_any_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bEARER  abc "), Some("abc"));
        assert_eq!(bearer("Token abc"), None);
        assert_eq!(bearer("Bearer"), None);
    }
}
