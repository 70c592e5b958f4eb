//! CORS (Fetch standard, §3.2): the answer to a preflight, and what pages of the listed origins may
//! read. Grants nothing: the rules decide whether a request passes.

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::http::request::Parts;
use crate::http::reserved::REQUEST_ID;
use crate::site::Site;
use crate::site::cors::Cors;

/// The origin of the request, if the site lists it.
fn listed<'a>(cors: &Cors, parts: &'a Parts) -> Option<&'a str> {
    parts
        .header("origin")
        .filter(|origin| cors.origins.iter().any(|known| known == origin))
}

/// The answer to a preflight that the rules allow.
///
/// # Errors
/// [`Denial::CrossOrigin`] for a page of an origin that is not listed.
pub fn answer_preflight(cors: &Cors, parts: &Parts) -> Result<Answer, Denial> {
    let origin = listed(cors, parts).ok_or(Denial::CrossOrigin)?;
    let mut answer = Answer::empty(204)
        .with("access-control-allow-origin", origin)
        .with("access-control-allow-methods", cors.methods.as_str())
        .with("access-control-allow-headers", cors.headers.as_str())
        .with("access-control-max-age", cors.max_age.as_str())
        .with(
            "vary",
            "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        );
    if cors.credentials {
        answer = answer.with("access-control-allow-credentials", "true");
    }
    Ok(answer)
}

/// Makes our own answer at a path of the site readable for pages of listed origins, so that a
/// script can learn why its request was refused.
#[must_use]
pub fn readable(answer: Answer, site: &Site, parts: &Parts) -> Answer {
    let Some(cors) = &site.cors else {
        return answer;
    };
    let known = answer
        .headers
        .iter()
        .any(|(name, _)| *name == "access-control-allow-origin");
    if known {
        return answer;
    }
    let mut answer = answer.with("vary", "Origin");
    if let Some(origin) = listed(cors, parts) {
        answer = answer.with("access-control-allow-origin", origin);
        if cors.credentials {
            answer = answer.with("access-control-allow-credentials", "true");
        }
        if answer.headers.iter().any(|(name, _)| *name == REQUEST_ID) {
            answer = answer.with("access-control-expose-headers", REQUEST_ID);
        }
    }
    answer
}

/// Removed from the origin's response on a site with `cors`: there Edgeward alone sets these.
const CORS_HEADERS: [&str; 6] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "access-control-max-age",
];

/// The changes to the headers of the origin's response, one a line: `-` removes a header, `+` sets
/// and `&` appends one, with the value in the next line; `f` adds a frame policy, also in the next
/// line. Empty, and so free of cost, on a site with neither `cors` nor `frame_ancestors`.
#[must_use]
pub fn response_changes(site: &Site, parts: &Parts) -> String {
    let mut lines = String::new();
    let mut line = |kind: char, name: &str, value: Option<&str>| {
        lines.push(kind);
        lines.push_str(name);
        lines.push('\n');
        if let Some(value) = value {
            lines.push_str(value);
            lines.push('\n');
        }
    };
    if let Some(cors) = &site.cors {
        for name in CORS_HEADERS {
            line('-', name, None);
        }
        line('&', "vary", Some("Origin"));
        if let Some(origin) = listed(cors, parts) {
            line('+', "access-control-allow-origin", Some(origin));
            if cors.credentials {
                line('+', "access-control-allow-credentials", Some("true"));
            }
            if !cors.expose.is_empty() {
                line('+', "access-control-expose-headers", Some(&cors.expose));
            }
        }
    }
    if !site.frame_ancestors.is_empty() {
        let policy = format!("frame-ancestors 'self' {}", site.frame_ancestors.join(" "));
        line('f', "", Some(&policy));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::asked::preflight;
    use crate::config::tests::site;

    fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
        Parts::new(method, "https://site.example/x", headers).unwrap()
    }

    #[test]
    fn sec_39_only_a_true_preflight_is_one() {
        let origin = ("origin", "https://spa.example");
        let method = ("access-control-request-method", "POST");
        assert_eq!(
            preflight(&parts("OPTIONS", &[origin, method])),
            Some("POST")
        );
        for (verb, headers) in [
            ("OPTIONS", vec![]),
            ("OPTIONS", vec![origin]),
            ("OPTIONS", vec![method]),
            ("OPTIONS", vec![("origin", ""), method]),
            (
                "OPTIONS",
                vec![origin, ("access-control-request-method", "")],
            ),
            (
                "OPTIONS",
                vec![origin, ("access-control-request-method", "GET, POST")],
            ),
            ("options", vec![origin, method]),
            ("GET", vec![origin, method]),
            (
                "POST",
                vec![origin, method, ("x-http-method-override", "OPTIONS")],
            ),
        ] {
            assert_eq!(
                preflight(&parts(verb, &headers)),
                None,
                "{verb} {headers:?}"
            );
        }
    }

    #[test]
    fn only_listed_origins_are_named_and_each_exactly() {
        let site =
            site(r#"{"cors": {"origins": ["https://SPA.example:443"], "credentials": true}}"#);
        let cors = site.cors.as_ref().unwrap();
        let ask = |origin: &str| answer_preflight(cors, &parts("OPTIONS", &[("origin", origin)]));
        let answer = ask("https://spa.example").unwrap();
        assert!(
            answer
                .headers
                .contains(&("access-control-allow-origin", "https://spa.example".into()))
        );
        assert!(
            answer
                .headers
                .contains(&("access-control-allow-credentials", "true".into()))
        );
        for other in [
            "https://spa.example.evil.net",
            "https://xspa.example",
            "http://spa.example",
            "null",
            "*",
            "https://spa.example:8443",
            "https://SPA.example",
            "https://spa.example/",
        ] {
            assert_eq!(ask(other).unwrap_err(), Denial::CrossOrigin, "{other}");
            let lines = response_changes(&site, &parts("GET", &[("origin", other)]));
            assert!(
                !lines.contains("+access") && lines.contains("&vary\nOrigin\n"),
                "{other}"
            );
        }
    }

    #[test]
    fn a_site_that_sets_neither_pays_nothing() {
        let parts = parts("GET", &[("origin", "https://spa.example")]);
        assert_eq!(response_changes(&site("{}"), &parts).capacity(), 0);
    }
}
