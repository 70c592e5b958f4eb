//! Whether a request that a browser signs by itself may do something: cookies go along wherever a
//! request comes from, so the request must come from a page that may act here.

use crate::config::Site;
use crate::config::site::canonical_host;
use crate::denial::Denial;
use crate::request::Parts;

/// Checks a request made with an ambient credential. Safe methods pass (RFC 9110 §9.2.1), but for a
/// WebSocket, which a page of any origin may open and read.
///
/// # Errors
/// [`Denial::CrossOrigin`].
pub fn check(parts: &Parts, site: &Site) -> Result<(), Denial> {
    let safe = matches!(parts.method(), "GET" | "HEAD" | "OPTIONS");
    let allowed = match parts.header("origin") {
        _ if safe && !parts.is_websocket() => true,
        Some(origin) => is_own(parts, origin) || site.trusted_origins.iter().any(|t| t == origin),
        // Every browser names the origin of a WebSocket.
        None if parts.is_websocket() => false,
        // A client without either header is no browser, and has no cookies that it was tricked
        // into sending.
        None => parts
            .header("sec-fetch-site")
            .is_none_or(|from| from == "same-origin" || from == "none"),
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
    }
}
