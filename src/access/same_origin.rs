//! Protection against cross-site requests. A browser attaches cookies to a request whichever page
//! makes it, so the request must come from a page that may act on this site.

use crate::answer::denial::Denial;
use crate::http::host::canonical_host;
use crate::http::request::Parts;
use crate::site::{Site, Source};

/// Checks a request by the source of its credential: sent automatically by a browser, part of a URL
/// that anybody can write, or set deliberately by the client.
///
/// # Errors
/// [`Denial::CrossOrigin`].
pub fn check_by_source(source: Source, parts: &Parts, site: &Site) -> Result<(), Denial> {
    match source {
        Source::Session | Source::SsoCookie => check(parts, site),
        Source::Query if !parts.is_navigation() => check_named(parts, site),
        // The CDN derives these from a cookie of its own, so they are ambient as well.
        Source::Header
            if site
                .token_headers
                .iter()
                .any(|header| header.name.starts_with("cf-access-")) =>
        {
            check(parts, site)
        }
        Source::Query | Source::Bearer | Source::Header | Source::ApiKey => Ok(()),
    }
}

/// Checks a request made with an ambient credential. Safe methods pass (RFC 9110 §9.2.1), except a
/// WebSocket handshake: a page of any origin may open a WebSocket and read from it.
///
/// `Sec-Fetch-Site` decides if the browser sends it: no page can set it, and it also covers
/// redirects. `Origin` alone would refuse a site's own form, for which it is `null` if the page has
/// `Referrer-Policy: no-referrer`.
///
/// # Errors
/// [`Denial::CrossOrigin`].
pub fn check(parts: &Parts, site: &Site) -> Result<(), Denial> {
    let named = || {
        parts.header("origin").map(|origin| {
            is_own(parts, origin) || site.trusted_origins.iter().any(|trusted| trusted == origin)
        })
    };
    let allowed = if parts.is_websocket() {
        // Every browser sends `Origin` with a WebSocket handshake.
        named().unwrap_or(false)
    } else if matches!(parts.method(), "GET" | "HEAD" | "OPTIONS") {
        true
    } else {
        match parts.header("sec-fetch-site") {
            Some("same-origin" | "none") => true,
            Some(_) => named().unwrap_or(false),
            // A client that sends neither header is not a browser, so no page can make it send
            // cookies.
            None => named().unwrap_or(true),
        }
    };
    if allowed {
        Ok(())
    } else {
        Err(Denial::CrossOrigin)
    }
}

/// Checks a request that carries its credential in the URL. Anybody who can write a link can make a
/// browser request it, so pages of other origins are refused. Clients other than browsers pass.
///
/// # Errors
/// [`Denial::CrossOrigin`].
pub fn check_named(parts: &Parts, site: &Site) -> Result<(), Denial> {
    let trusted = |origin: &str| site.trusted_origins.iter().any(|trusted| trusted == origin);
    let allowed = match (parts.header("origin"), parts.header("sec-fetch-site")) {
        (Some(origin), _) if is_own(parts, origin) || trusted(origin) => true,
        (_, Some("same-origin" | "none")) | (None, None) => true,
        (Some(_), _) | (None, Some(_)) => false,
    };
    if allowed {
        Ok(())
    } else {
        Err(Denial::CrossOrigin)
    }
}

fn is_own(parts: &Parts, origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    scheme == parts.scheme()
        && canonical_host(authority, scheme) == canonical_host(parts.authority(), parts.scheme())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::site;

    #[test]
    fn sec_42_a_page_elsewhere_makes_no_request_with_a_token_in_its_url() {
        let site = site(r#"{"trusted_origins": ["https://app.example.com"]}"#);
        let check = |headers: &[(&str, &str)]| {
            check_named(
                &Parts::new("GET", "https://site.example/x", headers).unwrap(),
                &site,
            )
            .is_ok()
        };
        assert!(check(&[]));
        assert!(check(&[("sec-fetch-site", "same-origin")]));
        assert!(check(&[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://app.example.com")
        ]));
        assert!(check(&[
            ("upgrade", "websocket"),
            ("origin", "https://site.example")
        ]));
        assert!(!check(&[("sec-fetch-site", "cross-site")]));
        assert!(!check(&[("sec-fetch-site", "same-site")]));
        assert!(!check(&[("origin", "https://evil.example")]));
        assert!(!check(&[("origin", "null")]));
    }

    #[test]
    fn sec_42_a_link_is_followed_from_anywhere_and_used_by_no_page_elsewhere() {
        let site = site("{}");
        let check = |mode: &str| {
            let headers = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode)];
            let parts = Parts::new("GET", "https://site.example/x", &headers).unwrap();
            check_by_source(Source::Query, &parts, &site)
        };
        assert_eq!(check("navigate"), Ok(()));
        assert_eq!(check("no-cors"), Err(Denial::CrossOrigin));
        assert_eq!(check("cors"), Err(Denial::CrossOrigin));
    }

    #[test]
    fn sec_45_a_websocket_or_an_unsafe_method_wants_an_origin_that_may_act_here() {
        let site = site(r#"{"trusted_origins": ["https://app.example.com"]}"#);
        let check = |method: &str, headers: &[(&str, &str)]| {
            check(
                &Parts::new(method, "https://site.example/x", headers).unwrap(),
                &site,
            )
            .is_ok()
        };
        let socket = ("upgrade", "websocket");
        assert!(check("GET", &[]));
        assert!(check("GET", &[("origin", "https://evil.example")]));
        assert!(!check("GET", &[socket]));
        assert!(!check("GET", &[socket, ("origin", "https://evil.example")]));
        assert!(!check(
            "GET",
            &[("upgrade", "WebSocket"), ("origin", "null")]
        ));
        assert!(check("GET", &[socket, ("origin", "https://site.example")]));
        assert!(check(
            "GET",
            &[socket, ("origin", "https://app.example.com")]
        ));
        assert!(check("POST", &[]));
        assert!(check("POST", &[("origin", "https://site.example:443")]));
        for origin in [
            "null",
            "http://site.example",
            "https://site.example.evil.net",
            "https://xsite.example",
            "",
            "site.example",
        ] {
            assert!(!check("POST", &[("origin", origin)]), "{origin}");
        }
        assert!(!check("DELETE", &[("sec-fetch-site", "cross-site")]));
        assert!(!check("PUT", &[("sec-fetch-site", "same-site")]));
        assert!(check("PUT", &[("sec-fetch-site", "same-origin")]));
        // The form of a page with `Referrer-Policy: no-referrer`.
        assert!(check(
            "POST",
            &[("sec-fetch-site", "same-origin"), ("origin", "null")]
        ));
        // A frame in a sandbox.
        assert!(!check(
            "POST",
            &[("sec-fetch-site", "cross-site"), ("origin", "null")]
        ));
        let trusted = ("origin", "https://app.example.com");
        assert!(check("POST", &[("sec-fetch-site", "cross-site"), trusted]));
        assert!(!check("GET", &[socket, ("sec-fetch-site", "same-origin")]));
    }
}
