//! Where a request carries credentials, and which. Reads; judges nothing.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::credential::stray;
use crate::credential::verified::Verified;
use crate::http::client::Client;
use crate::http::cookies::{self, Remainder};
use crate::http::query;
use crate::http::request::Parts;
use crate::http::reserved::API_KEY;
use crate::jose::jws::UntrustedJws;
use crate::model::api_token;
use crate::model::user::User;
use crate::site::issuer::is_of_any;
use crate::site::tenant::Tenancy;
use crate::site::{Site, Source};

/// The parameter in which a browser that comes back from the sign-in page says how often it was
/// sent there. Ours alone; it never reaches an origin.
pub const ATTEMPT: &str = "edgeward_attempt";

/// How a browser came to be at an address, as the value of [`ATTEMPT`] tells.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rounds {
    /// How often it was sent to the sign-in page.
    pub count: u32,
    /// The answer before this request gave it a session.
    pub opened: bool,
    /// A page of ours led it on, after another site had led it there or after it had declined to be signed in by a link. No
    /// round trip begins with that, or the next link of a stranger would seem to end it.
    pub led_on: bool,
}

const OPENED: char = 'o';
const LED_ON: char = 'r';

impl Rounds {
    /// Reads all values of [`ATTEMPT`]. A digit alone is what earlier versions wrote, where 0 said that a person had declined.
    pub(super) fn read(values: &[String]) -> Self {
        let mut all = Self::default();
        for value in values {
            let digits = value.trim_end_matches([OPENED, LED_ON]);
            let flags = value.get(digits.len()..).unwrap_or_default();
            all.count = all.count.max(digits.parse().unwrap_or(0));
            all.opened |= flags.contains(OPENED);
            all.led_on |= flags.contains(LED_ON) || value == "0";
        }
        all
    }
}

impl std::fmt::Display for Rounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.count)?;
        for (flag, is_set) in [(OPENED, self.opened), (LED_ON, self.led_on)] {
            if is_set {
                write!(f, "{flag}")?;
            }
        }
        Ok(())
    }
}

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
    /// API tokens, ours and those whose issuer says whose they are.
    pub api_key: Vec<&'a str>,
    /// Who presents them, where an API token is among them.
    pub client: Option<Client>,
    /// Where the browser was sent to sign in from, as [`crate::credential::session::begin_trip`] noted it.
    pub trip: Vec<&'a str>,
    /// The browser's id.
    pub browser: Vec<&'a str>,
    /// The proof that a user has signed in with this browser before.
    pub device: Vec<&'a str>,
    /// Sign-ins at a provider that are under way: the end of each cookie's name, and its value.
    pub attempts: Vec<(&'a str, &'a str)>,
    /// What the origin gets of the `Cookie` header.
    pub cookies_left: Remainder,
    /// Whether the `Authorization` header is for us, so that the origin does not get it.
    pub authorization_is_ours: bool,
    /// In which tenant the request is.
    pub tenancy: Tenancy<'a>,
    /// The query without the credential and without our own marker.
    pub clean_query: Option<Cow<'a, str>>,
    /// How the browser came here.
    pub rounds: Rounds,
    /// Whether `clean_query` differs from what came.
    pub query_changed: bool,
    /// The source whose credential was refused, for the log.
    pub refused: Cell<Option<Source>>,
    /// Who was found to be asking, for the log. Proves nothing: what may pass is up to a principal.
    pub caller: OnceCell<Caller>,
}

/// Who is asking, as far as the log tells it.
pub struct Caller {
    pub user: Rc<User>,
    /// Where the credential was.
    pub source: Source,
    /// The credential.
    pub verified: Rc<Verified>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.user.id, self.source)
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
        read_cookies(&mut presented, site, header);
    }
    if let Some(value) = parts.header("authorization") {
        presented.authorization_is_ours = is_ours(site, value);
    }
    if site.takes(Source::Bearer) {
        let token = parts.header("authorization").and_then(bearer);
        presented
            .bearer
            .extend(token.filter(|token| !is_key(site, token)));
    }
    if site.takes(Source::Header) {
        let named = site.token_headers.iter().filter_map(|header| {
            let value = parts.named(&header.name)?;
            header.token(value)
        });
        presented.header.extend(named);
    }
    if site.takes(Source::ApiKey) {
        let named = parts.named(API_KEY).map(str::trim);
        // As at the admin API, and as clients of Django's REST framework send theirs.
        let scheme = parts.header("authorization").and_then(token_scheme);
        let scheme = scheme.filter(|value| value.starts_with(api_token::PREFIX));
        let bearer = parts.header("authorization").and_then(bearer);
        let bearer = bearer.filter(|token| is_key(site, token));
        // Other keys are between the client and the application, unless an issuer says whose they are.
        let counts = |value: &&str| {
            value.starts_with(api_token::PREFIX)
                || (!value.is_empty() && site.takes_keys_of_others())
        };
        let named = named.filter(counts);
        presented
            .api_key
            .extend(named.into_iter().chain(scheme).chain(bearer));
        presented.client = (!presented.api_key.is_empty()).then(|| Client::of(parts));
    }
    if let Some(query) = parts.query() {
        read_query(&mut presented, site, query);
    }
    presented
}

impl<'a> Presented<'a> {
    /// What was found in `source`.
    pub fn of(&'a self, source: Source) -> impl Iterator<Item = &'a str> {
        let (found, query): (&[&str], &[String]) = match source {
            Source::Session => (&self.session, &[]),
            Source::SsoCookie => (&self.sso_cookie, &[]),
            Source::Query => (&[], &self.query),
            Source::Bearer => (&self.bearer, &[]),
            Source::Header => (&self.header, &[]),
            Source::ApiKey => (&self.api_key, &[]),
        };
        found
            .iter()
            .copied()
            .chain(query.iter().map(String::as_str))
    }

    /// What was found in `source`, if that is one credential.
    #[must_use]
    pub fn only(&'a self, source: Source) -> Option<&'a str> {
        let mut found = self.of(source);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }
}

/// Whether a bearer token is an API key: one of ours, or an opaque one where bearer tokens are taken and an issuer says
/// whose keys are.
fn is_key(site: &Site, token: &str) -> bool {
    let opaque = || {
        site.takes(Source::Bearer)
            && site.takes_keys_of_others()
            && !token.is_empty()
            && UntrustedJws::parse(token).is_err()
    };
    site.takes(Source::ApiKey) && (token.starts_with(api_token::PREFIX) || opaque())
}

/// Finds our cookies and the application's, and what the origin gets of the others. Empty values are none
/// (RFC 6265bis §5.8.3).
fn read_cookies<'a>(presented: &mut Presented<'a>, site: &Site, header: &'a str) {
    let sso = site.sso_cookie.as_ref().map(|cookie| cookie.name.as_str());
    let takes_session = site.takes(Source::Session);
    let takes_sso = site.takes(Source::SsoCookie);
    let Presented {
        session,
        sso_cookie,
        trip,
        browser,
        device,
        attempts,
        ..
    } = presented;
    let left = cookies::read(header, |pair| {
        let (found, is_read) = if pair.name == site.session.cookie {
            (&mut *session, takes_session)
        } else if Some(pair.name) == sso {
            (&mut *sso_cookie, takes_sso)
        } else if pair.name == site.session.trip {
            (&mut *trip, true)
        } else if pair.name == site.session.browser {
            (&mut *browser, true)
        } else if pair.name == site.session.device {
            (&mut *device, true)
        } else if let Some(name) = pair.name.strip_prefix(&*site.session.attempts) {
            if !pair.behind_comma {
                attempts.push((name, pair.value));
            }
            return true;
        } else {
            return site.neighbours.own(pair.name, pair.value) || stray::is_in(pair.text);
        };
        if is_read && !pair.behind_comma && !pair.value.is_empty() {
            found.push(pair.value);
        }
        true
    });
    presented.cookies_left = left;
}

/// Whether an `Authorization` header is for us: the site takes bearer tokens, or it holds something
/// that only we hand out, be it as a name or password of `Basic` (RFC 7617 §2). Everything else is between
/// the client and the origin.
fn is_ours(site: &Site, value: &str) -> bool {
    let handed_out = |text: &str| {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
            .any(|piece| {
                piece.starts_with(api_token::PREFIX)
                    || UntrustedJws::parse(piece).is_ok_and(|token| token.names_our_kind())
            })
    };
    // Two headers arrive joined by a comma.
    handed_out(value)
        || value.split(',').map(str::trim).any(|one| {
            (site.takes(Source::Bearer) && bearer(one).is_some())
                || basic(one).is_some_and(|text| handed_out(&text))
        })
}

/// Name and password of an `Authorization: Basic` header, with a colon between.
fn basic(authorization: &str) -> Option<String> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    let encoded = encoded.trim().trim_end_matches('=');
    let is_basic = scheme.eq_ignore_ascii_case("basic");
    let bytes = is_basic.then(|| STANDARD_NO_PAD.decode(encoded).ok())??;
    Some(String::from_utf8_lossy(&bytes).into_owned())
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
        // The name is a common one, so what is not for us belongs to the application.
        if taken.values.iter().any(|value| is_for_us(site, value)) {
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
    if memchr::memmem::find(query.as_bytes(), ATTEMPT.as_bytes()).is_some() {
        let taken = query::take(&rest, ATTEMPT);
        presented.rounds = Rounds::read(&taken.values);
        rest = Cow::Owned(taken.rest.into_owned());
    }
    if let Some(without) = stray::strip(&rest) {
        rest = Cow::Owned(without);
    }
    presented.query_changed = *rest != *query;
    presented.clean_query = Some(rest);
}

/// Whether a value of the query parameter is for us: a token of a kind of ours, or of an issuer whose tokens the site
/// accepts, as far as its unverified text says so.
fn is_for_us(site: &Site, value: &str) -> bool {
    // Blanks around it, or the word of the scheme before it, make it no credential, but it is one in a log.
    let value = value.trim();
    let value = bearer(value).unwrap_or(value);
    UntrustedJws::parse(value).is_ok_and(|token| {
        let issuers = site.all_issuers().iter();
        token.names_our_kind() || is_of_any(issuers.map(|issuer| &**issuer), &token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_token_follows_the_scheme_token_or_bearer() {
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
        assert_eq!(of(&[("authorization", "Bearer ewt_a")]), ["ewt_a"]);
        assert_eq!(of(&[("authorization", "bearer ewt_a ")]), ["ewt_a"]);
        for other in ["Token 0123", "Bearer 0123", "ewt_a", "Token", "Bearer"] {
            assert_eq!(of(&[("authorization", other)]), [""; 0], "{other}");
        }
    }

    #[test]
    fn sec_40_an_authorization_header_with_something_of_ours_is_told_however_it_is_written() {
        let is_ours = |sources: &str, value: &str| {
            let settings = format!(r#"{{"sources": {sources}}}"#);
            is_ours(&crate::config::tests::site(&settings), value)
        };
        let in_basic = |text: &str| {
            use base64::engine::general_purpose::STANDARD;
            [STANDARD.encode(text), STANDARD_NO_PAD.encode(text)]
                .map(|encoded| format!("Basic {encoded}"))
        };
        let mut ours = vec![
            "Token ewt_a".to_owned(),
            "Token 'ewt_a'".to_owned(),
            "Token;ewt_a".to_owned(),
            "Basic eDp5, Token ewt_a".to_owned(),
        ];
        ours.extend(in_basic("user:ewt_a"));
        ours.extend(in_basic("ewt_a:"));
        for value in ours {
            assert!(is_ours(r#"["session"]"#, &value), "{value}");
        }
        let mut others = vec![
            "Basic eDp5".to_owned(),
            "Bearer x.y.z".to_owned(),
            "Basic %".to_owned(),
        ];
        others.extend(in_basic("user:secret"));
        for value in others {
            assert!(!is_ours(r#"["session"]"#, &value), "{value}");
        }
        // Where bearer tokens are taken, one behind another header is one too.
        assert!(is_ours(r#"["bearer"]"#, "Basic eDp5, Bearer x.y.z"));
        assert!(!is_ours(r#"["bearer"]"#, "Basic eDp5"));
    }

    #[test]
    fn what_is_written_about_rounds_is_read_back_and_anything_else_is_none() {
        let read = |values: &[&str]| {
            let values: Vec<_> = values.iter().map(|&value| value.to_owned()).collect();
            Rounds::read(&values)
        };
        for count in [1, 2, 17] {
            for (opened, led_on) in [(false, false), (true, false), (false, true), (true, true)] {
                let rounds = Rounds {
                    count,
                    opened,
                    led_on,
                };
                assert_eq!(read(&[&rounds.to_string()]), rounds);
            }
        }
        assert!(read(&["0"]).led_on);
        assert_eq!(read(&["3", "2o"]).to_string(), "3o");
        for nothing in ["", "-1", "x", "1x", "99999999999999999999"] {
            assert_eq!(read(&[nothing]), Rounds::default(), "{nothing}");
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
