//! Plain http: it leads to https before anything of a request is looked at, and browsers are told not to use it again.

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::http::host::is_local;
use crate::http::request::Parts;
use crate::pipeline::outcome::{Action, Outcome, refuse_early, reply_early};
use crate::platform::port::Received;
use crate::site::config::Config;
use crate::site::{PlainHttp, Site};

/// The answer to a request over plain http, `None` if it is served. A redirect keeps every byte of the URL, and the method with
/// it (RFC 9110 §15.4.9). What else was sent in the clear is not to be sent once more.
pub(super) fn lead_to_https(
    config: &Config,
    site: &Site,
    (parts, received): (&Parts, &dyn Received),
    host: &str,
    request_id: &str,
) -> Option<Outcome> {
    if parts.scheme() != "http" || site.http == PlainHttp::Serve || is_local(host) {
        return None;
    }
    if !matches!(parts.method(), "GET" | "HEAD") {
        return Some(refuse_early(
            config,
            parts,
            received,
            Some(site),
            &Denial::HttpsRequired,
            request_id,
        ));
    }
    let mut url = format!("https://{host}{}", parts.path());
    if let Some(query) = parts.query() {
        url.push('?');
        url.push_str(query);
    }
    let answer = Answer::moved(url);
    Some(reply_early(config, parts, site, answer, request_id))
}

/// Tells browsers to use https only (RFC 6797 §7.2), with every answer of our own and with responses that get a cookie of ours:
/// others stay as they are, which costs nothing.
pub(super) fn tell(site: &Site, parts: &Parts, mut outcome: Outcome) -> Outcome {
    let Some(hsts) = &site.hsts else {
        return outcome;
    };
    if parts.scheme() != "https" {
        return outcome;
    }
    match &mut outcome.action {
        Action::Forward(_) if outcome.cookies.is_empty() => return outcome,
        _ if is_local(parts.authority()) => return outcome,
        Action::Forward(_) => outcome.hsts = Some(hsts.clone()),
        Action::Answer(answer) => answer
            .headers
            .push(("strict-transport-security", hsts.clone())),
    }
    outcome
}
