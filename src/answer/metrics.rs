//! What is counted, and under which names. Outcomes are the events of the log, codes those of the refusals: a metric has no
//! words of its own for them. No label comes from a client.

use crate::answer::denial::CODES;
use crate::answer::event::{Event, EventKind};
use crate::memory::tally::{SLOTS, Tally};
use crate::site::Source;
use crate::site::config::Config;

const REQUESTS: &str = "edgeward_requests_total";
const DENIALS: &str = "edgeward_denials_total";
const SIGN_INS: &str = "edgeward_signins_total";
const FAULTS: &str = "edgeward_faults_total";
/// Counted where keys are fetched (`authn::jwks`).
pub const KEY_FETCHES: &str = "edgeward_key_fetches_total";

/// Every metric, a line each: its name, its type, and what it is. Where isolates are added up, the buckets of a histogram are
/// counted each for itself, without those below it.
pub const FAMILIES: &str = "\
edgeward_requests_total counter Requests by what became of them.
edgeward_denials_total counter Refusals by the code that the client got, those of faults included.
edgeward_signins_total counter Sign-ins that succeeded or failed.
edgeward_faults_total counter Failures by what has failed.
edgeward_key_fetches_total counter Fetches of the keys of an issuer or a provider.
edgeward_request_duration_seconds histogram Seconds from the request to the head of its answer.
edgeward_events_waiting gauge Events that a service is still to be told.
edgeward_events_dead gauge Events that were given up.
edgeward_build_info gauge The version of Edgeward.";

/// The outcomes of a request, which are the first counters of each site; those of the codes follow.
const OUTCOMES: [EventKind; 7] = [
    EventKind::Forwarded,
    EventKind::Answered,
    EventKind::Denied,
    EventKind::Fault,
    EventKind::SignedIn,
    EventKind::SignedOut,
    EventKind::AdminCall,
];
const _: () = assert!(OUTCOMES.len() + CODES.len() <= SLOTS);

/// Counts what an event says. `is_answer`: it is the line of a request that was answered here; without a line, nothing else
/// happened.
pub fn count(tally: &Tally, site: u16, event: Option<&Event>, is_answer: bool) {
    if is_answer {
        let kind = event.map_or(EventKind::Answered, |event| event.event);
        if let Some(slot) = OUTCOMES.iter().position(|one| *one == kind) {
            tally.add_at_site(site, slot);
        }
    }
    let Some(event) = event else {
        return;
    };
    if let Some(Ok(slot)) = event.code.map(|code| CODES.binary_search(&code)) {
        tally.add_at_site(site, OUTCOMES.len() + slot);
    }
    if let Some(kind) = event.fault {
        tally.add(FAULTS, kind, "");
    }
    let by_token = |source: &Source| matches!(source, Source::Query | Source::SsoCookie);
    let ended = match (event.code, event.source) {
        (Some("token_expired" | "token_invalid"), Some(source)) if by_token(&source) => {
            Some((source.name(), "refused"))
        }
        _ => event.sign_in,
    };
    if let Some((method, result)) = ended {
        tally.add(SIGN_INS, method, result);
    }
}

/// Takes what was counted since the last time: a line with the names of the sites by their number, and then a line for each
/// series. JavaScript has counted `forwarded` by the number of the site, and how often the core has failed (`panics`).
#[must_use]
pub fn take(config: &Config, tally: &Tally, forwarded: &[u32], panics: u32) -> String {
    let (mut sites, others) = tally.take();
    sites.resize(sites.len().max(forwarded.len() * SLOTS), 0);
    let own = sites.chunks_mut(SLOTS).filter_map(<[u32]>::first_mut);
    for (count, more) in own.zip(forwarded) {
        *count += more;
    }
    let mut names = vec!["other"; 1 + config.sites().count()];
    for site in config.sites() {
        if let Some(name) = names.get_mut(usize::from(site.number)) {
            *name = &site.name;
        }
    }
    let mut lines = names.join(" ");
    lines.push('\n');
    for (name, slots) in names.iter().zip(sites.chunks(SLOTS)) {
        for (slot, count) in slots.iter().enumerate() {
            let (family, label, value) = match OUTCOMES.get(slot) {
                Some(outcome) => (REQUESTS, "outcome", outcome.name()),
                None => match CODES.get(slot - OUTCOMES.len()) {
                    Some(code) => (DENIALS, "code", *code),
                    None => break,
                },
            };
            line(
                &mut lines,
                family,
                &[("site", name), (label, value)],
                *count,
            );
        }
    }
    for one in others {
        let result = ("result", one.result);
        let labels = match one.family {
            FAULTS => [("kind", &*one.label), ("", "")],
            KEY_FETCHES => [("issuer", &*one.label), result],
            _ => [("method", &*one.label), result],
        };
        line(&mut lines, one.family, &labels, one.count);
    }
    line(&mut lines, FAULTS, &[("kind", "panic")], panics);
    let labels = [("site", "other"), ("outcome", EventKind::Fault.name())];
    line(&mut lines, REQUESTS, &labels, panics);
    lines
}

/// Adds a series with its value, unless that is 0. A label without a name is none. The names in a configuration have nothing
/// that would have to be escaped.
fn line(lines: &mut String, family: &str, labels: &[(&str, &str)], value: u32) {
    if value == 0 {
        return;
    }
    lines.push_str(family);
    let mut before = "{";
    for (name, value) in labels.iter().filter(|(name, _)| !name.is_empty()) {
        lines.push_str(&[before, name, "=\"", value, "\""].concat());
        before = ",";
    }
    lines.push_str(&["} ", &value.to_string(), "\n"].concat());
}
