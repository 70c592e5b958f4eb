//! What is taken off a request before anything is added.

use std::borrow::Cow;

use crate::ask::source;
use crate::ask::source::{API_KEY, bearer, cookie_pair, pieces};
use crate::credential::stray;
use crate::http::headers::HeaderChanges;
use crate::http::request::Parts;
use crate::http::reserved;
use crate::http::reserved::is_set_always;
use crate::jose::jws::UntrustedJws;
use crate::model::api_token;
use crate::site::Site;
use crate::site::Source;

/// Removes reserved headers and our credentials. What is left is not touched at all.
pub fn strip(changes: &mut HeaderChanges, site: &Site, parts: &Parts) {
    for (name, value) in parts.headers() {
        if is_set_always(name) {
            // Written over.
        } else if site.reserved.contains(name)
            || site
                .tenants
                .as_ref()
                .is_some_and(|tenants| tenants.is_misspelt(name))
        {
            changes.remove(name);
        } else if name == "cookie" {
            strip_cookies(changes, site, value);
        } else if (name == "authorization" && is_ours(site, value))
            || (is_api_key(name) && value.contains(api_token::PREFIX))
            || is_token_header(site, name, value)
            || stray::is_in(value)
        {
            changes.remove(name);
        }
    }
}

/// Whether some server takes `name` for the header of API keys.
fn is_api_key(name: &str) -> bool {
    name == API_KEY || (name.len() == API_KEY.len() && reserved::fold(name) == API_KEY)
}

fn strip_cookies(changes: &mut HeaderChanges, site: &Site, value: &str) {
    let sso = site.sso_cookie.as_ref().map(|cookie| cookie.name.as_str());
    let own = [&site.session.cookie, &site.session.trip];
    let names = [Some(own[0].as_str()), Some(own[1].as_str()), sso];
    match without_cookies(value, |name, value| {
        names.contains(&Some(name)) || stray::is_in(value)
    }) {
        None => {}
        Some(rest) if rest.is_empty() => changes.remove("cookie"),
        Some(rest) => changes.set("cookie", &rest),
    }
}

/// What an origin may be told of the header `name`, whose `value` the core does not know (see
/// [`crate::http::request::WITHHELD`]): the value, another one, or nothing. For the shell, which asks it of
/// values that may hold a credential. A `Referer` is a URL, so what goes from a URL goes from it.
#[must_use]
pub fn withheld<'a>(site: &Site, name: &str, value: &'a str) -> Option<Cow<'a, str>> {
    if name != "referer" {
        return (!stray::is_in(value)).then_some(Cow::Borrowed(value));
    }
    let (place, query) = match value.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (value, None),
    };
    if stray::is_in(place) {
        return None;
    }
    let Some(query) = query else {
        return Some(Cow::Borrowed(value));
    };
    let clean = source::clean_query(site, query);
    Some(if *clean == *query {
        Cow::Borrowed(value)
    } else if clean.is_empty() {
        Cow::Borrowed(place)
    } else {
        Cow::Owned(format!("{place}?{clean}"))
    })
}

/// The `Cookie` header without the cookies whose name and value are `ours`, every other one byte for byte and
/// in its place. `None` when there is nothing to take out.
///
/// Two `Cookie` headers arrive joined by a comma, though RFC 6265bis §5.8.1 allows one only. A pair
/// that begins after a comma is looked at too, so that a second header hides nothing.
#[must_use]
pub fn without_cookies(header: &str, ours: impl Fn(&str, &str) -> bool) -> Option<String> {
    let is_ours = |pair: &str| cookie_pair(pair).is_some_and(|(name, value)| ours(name, value));
    let commas = memchr::memchr(b',', header.as_bytes()).is_some();
    let hides_ours = |pair: &str| is_ours(pair) || (commas && pieces(pair, b',').any(is_ours));
    let mut rest = String::new();
    let mut found = false;
    for pair in pieces(header, b';') {
        if hides_ours(pair) {
            found = true;
            continue;
        }
        if rest.is_empty() {
            rest.reserve(header.len());
            rest.push_str(pair.trim_start_matches([' ', '\t']));
        } else {
            rest.push(';');
            rest.push_str(pair);
        }
    }
    found.then_some(rest)
}

/// Whether an `Authorization` header is for us: the site takes bearer tokens, or it holds something
/// that only we hand out. Everything else is between the client and the origin.
fn is_ours(site: &Site, value: &str) -> bool {
    // Two headers arrive joined by a comma.
    let handed_out = |piece: &str| {
        piece.starts_with(api_token::PREFIX)
            || UntrustedJws::parse(piece).is_ok_and(|token| token.names_our_kind())
    };
    (site.takes(Source::Bearer) && bearer(value).is_some())
        || value.split([' ', '\t', ',', '"', '=', ':']).any(handed_out)
}

/// Whether a header is one in which the site takes tokens, and holds one.
fn is_token_header(site: &Site, name: &str, value: &str) -> bool {
    site.takes(Source::Header)
        && site.token_headers.iter().any(|header| {
            header.name == name
                // Two headers arrive joined by a comma.
                && (header.prefix.is_empty()
                    || value.split(',').any(|piece| header.token(piece).is_some()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(header: &str) -> Option<String> {
        without_cookies(header, |name, _| name == "e" || name == "t")
    }

    #[test]
    fn sec_40_our_cookies_go_and_the_others_keep_bytes_and_order() {
        for (header, rest) in [
            ("e=1", Some("")),
            ("a=1; e=2; b=3", Some("a=1; b=3")),
            ("e=2; a=1", Some("a=1")),
            ("a=1; e=2", Some("a=1")),
            ("a=1;e=2;b=3", Some("a=1;b=3")),
            ("a=1;  b=\"x y\" ; t=3;c", Some("a=1;  b=\"x y\" ;c")),
            ("e=1; e=2; t=3", Some("")),
            ("a=e; b=t=1; c=; =d; ee=1; E=2", None),
            ("a=1, e=2; b=3", Some("b=3")),
            ("e = 2; a=é", Some("a=é")),
            ("", None),
        ] {
            assert_eq!(without(header).as_deref(), rest, "{header}");
        }
    }

    proptest::proptest! {
        #[test]
        fn other_cookies_stay_byte_for_byte_and_in_order(
            pairs in proptest::collection::vec("[a-d]{0,2}=?[ -+\\--:<>-~é]{0,6}", 0..8),
            ours in proptest::collection::vec(0_usize..9, 1..3),
        ) {
            // Pairs as a client writes them; none of them is ours.
            let others: Vec<String> = pairs.into_iter().map(|p| p.trim().to_owned()).collect();
            let mut all = others.clone();
            for at in ours {
                all.insert(at.min(all.len()), "e=secret".into());
            }
            let rest = without(&all.join("; ")).unwrap();
            proptest::prop_assert!(!rest.contains("secret"));
            let kept: Vec<&str> = rest.split(';').map(|p| p.strip_prefix(' ').unwrap_or(p)).collect();
            let expected: Vec<&str> = others.iter().map(String::as_str).skip_while(|p| p.is_empty()).collect();
            let kept: Vec<&str> = kept.into_iter().skip_while(|p| p.is_empty()).collect();
            proptest::prop_assert_eq!(kept, expected);
        }
    }
}
