//! What becomes of a request: the answer or the request to the origin, the cookies that go back
//! with it, and the line in the log. Decides nothing of who may do what.

use crate::access::cors;
use crate::admin;
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::{Event, EventKind, Happened, SignedIn};
use crate::answer::metrics;
use crate::answer::page::Ways;
use crate::answer::reply::Reply;
use crate::ask::ctx::{self, Ctx};
use crate::authn;
use crate::credential::session::SetCookie;
use crate::http::request::Parts;
use crate::memory::cache::Note;
use crate::memory::tally::Tally;
use crate::memory::world::World;
use crate::origin::Forward;
use crate::platform::port::Received;
use crate::sign_in::refuse;
use crate::site::Site;
use crate::site::config::{Config, Log};

/// What becomes of a request.
pub struct Outcome {
    /// Forwarded or answered.
    pub action: Action,
    /// The number of the site; 0 if there is none.
    pub site: u16,
    /// Cookies for the response, whichever it is.
    pub cookies: Vec<SetCookie>,
    /// A line for the log.
    pub event: Option<Event>,
    /// A line to be written once the origin has answered, with what it has answered.
    pub forwarded: Option<Event>,
    /// Further lines for the log.
    pub notes: Vec<Event>,
    /// `Strict-Transport-Security` for a forwarded response that is made anew for its cookies anyway.
    pub hsts: Option<String>,
}

impl Outcome {
    /// Counts it, but for what only the origin's answer tells.
    pub fn count(&self, tally: &Tally) {
        let answered = matches!(self.action, Action::Answer(_));
        metrics::count(tally, self.site, self.event.as_ref(), answered);
        for note in &self.notes {
            metrics::count(tally, self.site, Some(note), false);
        }
    }

    /// An answer, with its line in the log.
    fn answered(site: u16, answer: Answer, event: Option<Event>) -> Self {
        Self {
            site,
            action: Action::Answer(answer),
            cookies: Vec::new(),
            event,
            forwarded: None,
            notes: Vec::new(),
            hsts: None,
        }
    }
}

/// Forwarded or answered.
pub enum Action {
    /// Goes to the origin.
    Forward(Forward),
    /// Is answered here.
    Answer(Answer),
}

/// What the steps for a path of a site, or one of our endpoints, came to.
pub(crate) enum Step {
    /// To the origin, with cookies for the way back, and who was signed in by it.
    Forward(Forwarded),
    /// Answered here.
    Reply(Reply),
}

/// A request on its way to the origin.
pub(crate) struct Forwarded {
    /// What the origin gets.
    pub forward: Box<Forward>,
    /// Cookies for the way back.
    pub cookies: Vec<SetCookie>,
    /// Who was signed in by it.
    pub signed_in: Option<SignedIn>,
}

/// What every line tells of a request, its rule and who is asking.
pub(super) fn about(ctx: &Ctx<'_>, own_endpoint: bool) -> Event {
    let logging = &ctx.world.config.log;
    let path = [&ctx.site.mount, ctx.path.as_str()].concat();
    let event = Event::about(logging, ctx.parts, Some(ctx.site), &path, ctx.request_id);
    let event = if own_endpoint {
        event
    } else {
        event.by(ctx.rule)
    };
    match ctx.presented.caller.get() {
        None => event,
        Some(caller) => Event {
            user: Some(caller.user.id.to_string()),
            source: Some(caller.source),
            issuer: caller.verified.granted().map(|one| one.issuer.clone()),
            ..event
        },
    }
}

/// Whether every request has a line.
fn logs_all(world: &World) -> bool {
    world.config.log.lines == Log::All
}

/// Step 8: what a step came to, as the platform carries it out. Whatever it is, cookies that have
/// had their time are cleared.
pub(crate) fn conclude(
    ctx: &Ctx<'_>,
    own_endpoint: bool,
    stale: Vec<SetCookie>,
    result: Result<Step, Denial>,
) -> Outcome {
    let world = ctx.world;
    let refusal = |denial: &Denial, status| {
        let event = about(ctx, own_endpoint).denied(denial, status);
        match authn::report::of_refusal(ctx, denial) {
            None => event,
            Some(told) => Event {
                source: Some(told.source),
                issuer: told.issuer,
                kid: told.kid,
                ..event
            },
        }
    };
    let happened = |happened: Happened, status| Event {
        event: happened.kind,
        status,
        user: Some(happened.user),
        source: Some(happened.source),
        sign_in: (happened.kind == EventKind::SignedIn).then_some((happened.method, "ok")),
        ..about(ctx, own_endpoint)
    };
    let readable = |answer| {
        if own_endpoint {
            answer
        } else {
            cors::readable(answer, ctx.site, ctx.parts)
        }
    };
    match result {
        Ok(Step::Forward(Forwarded {
            forward,
            cookies,
            signed_in,
        })) => Outcome {
            notes: Vec::new(),
            hsts: None,
            site: ctx.site.number,
            action: Action::Forward(*forward),
            cookies: merge(stale, cookies),
            event: signed_in.map(|signed_in| happened(signed_in.into(), None)),
            forwarded: logs_all(world).then(|| about(ctx, own_endpoint)),
        },
        Ok(Step::Reply(reply)) => {
            let status = reply.answer.status;
            let refused = reply.refused.map(|denial| refusal(&denial, status));
            let event = refused.or_else(|| Some(happened(reply.happened?, Some(status))));
            let event = event.or_else(|| answered(ctx, own_endpoint, status));
            Outcome {
                cookies: merge(stale, reply.cookies),
                ..Outcome::answered(ctx.site.number, readable(reply.answer), event)
            }
        }
        Err(denial) => {
            let (answer, kept) = if own_endpoint {
                refuse::refuse_own(ctx, &denial)
            } else {
                refuse::refuse(ctx, &denial)
            };
            let event = Some(refusal(&denial, answer.status));
            Outcome {
                // Whoever tries again after a failure of ours must have what it takes.
                cookies: match denial {
                    Denial::Fault(_) => Vec::new(),
                    _ => stale.into_iter().chain(kept).collect(),
                },
                ..Outcome::answered(ctx.site.number, readable(answer), event)
            }
        }
    }
}

/// The line of an answer that nothing else tells of.
fn answered(ctx: &Ctx<'_>, own_endpoint: bool, status: u16) -> Option<Event> {
    logs_all(ctx.world).then(|| Event {
        event: EventKind::Answered,
        status: Some(status),
        ..about(ctx, own_endpoint)
    })
}

/// What a later step says of a cookie stands instead of what an earlier one said.
fn merge(earlier: Vec<SetCookie>, later: Vec<SetCookie>) -> Vec<SetCookie> {
    let mut all: Vec<SetCookie> = earlier
        .into_iter()
        .filter(|cookie| !later.iter().any(|other| other.is_same(cookie)))
        .collect();
    all.extend(later);
    all
}

/// A call of the admin API, and its line.
pub(crate) fn admin_outcome(
    ctx: &Ctx<'_>,
    outcome: admin::CallOutcome,
    refusal: impl Fn(&Denial) -> Answer,
) -> Outcome {
    let about = Event {
        api_token: outcome.caller,
        call: Some(outcome.call),
        ..about(ctx, true)
    };
    let (answer, event) = match outcome.result {
        Ok(answer) => (answer, about),
        Err(denial) => {
            let answer = refusal(&denial);
            let event = about.denied(&denial, answer.status);
            (answer, event)
        }
    };
    let event = Event {
        event: if answer.status >= 500 {
            EventKind::Fault
        } else {
            EventKind::AdminCall
        },
        status: Some(answer.status),
        ..event
    };
    Outcome::answered(ctx.site.number, answer, Some(event))
}

/// A request that ends before anybody is asked for: no site, no readable path, no keys.
pub(crate) fn refuse_early(
    config: &Config,
    parts: &Parts,
    received: &dyn Received,
    site: Option<&Site>,
    denial: &Denial,
    request_id: &str,
) -> Outcome {
    let answer = if parts.wants_page() {
        let words = ctx::words(site, parts, Some(received));
        let ways = Ways::on(denial.row().status, words, site, parts.is_read());
        Answer::refusal_page(denial, site, words, request_id, ways)
    } else {
        Answer::refusal(denial, request_id)
    };
    let about = Event::about(&config.log, parts, site, parts.path(), request_id);
    let event = about.denied(denial, answer.status);
    Outcome::answered(site.map_or(0, |site| site.number), answer, Some(event))
}

/// What was found about a request besides its result, as lines for the log.
pub(super) fn notes(world: &World) -> Vec<Event> {
    let lines = world.cache.take_notes().into_iter().map(|note| match note {
        Note::UnreadableClaims {
            site,
            issuer,
            claims,
        } => Event {
            event: EventKind::ClaimsUnreadable,
            site: Some(site),
            reason: Some(format!(
                "claims of issuer {issuer} could not be read and grant nothing: {}",
                claims.join(", ")
            )),
            ..Event::default()
        },
        Note::UnlistedClaims {
            site,
            issuer,
            claims,
        } => Event {
            event: EventKind::ClaimsUnlisted,
            site: Some(site),
            reason: Some(format!(
                "claims of issuer {issuer} are not in only_claims, so the token was refused: {}",
                claims.join(", ")
            )),
            ..Event::default()
        },
        Note::NotRenewed {
            site,
            issuer,
            cause,
        } => Event {
            event: EventKind::SessionNotRenewed,
            site: Some(site),
            reason: Some(format!("provider {issuer}: {cause}")),
            issuer: Some(issuer),
            ..Event::default()
        },
        Note::TokensNotDeleted {
            site,
            issuer,
            fault,
        } => Event {
            event: EventKind::Fault,
            site: Some(site),
            fault: Some(fault.kind()),
            reason: Some(format!(
                "provider {issuer}: the tokens of a session that has ended are not deleted: {fault}"
            )),
            issuer: Some(issuer),
            ..Event::default()
        },
        Note::NotAudited { request_id, fault } => Event {
            event: EventKind::Fault,
            fault: Some(fault.kind()),
            reason: Some(format!("a row is missing from the audit log: {fault}")),
            request_id,
            ..Event::default()
        },
        Note::RolesNotSent {
            site,
            header,
            user,
            roles,
            with_separator,
        } => Event {
            event: EventKind::RolesNotSent,
            site: Some(site),
            user: Some(user.as_str().to_owned()),
            reason: Some(format!(
                "the header {header} is not sent: {with_separator} of {roles} roles contain the groups_separator"
            )),
            ..Event::default()
        },
    });
    let failures = world.cache.issuer_keys.take_failures().into_iter();
    let failures = failures.map(|failure| Event {
        event: EventKind::IssuerKeysFailed,
        reason: Some(format!("{}: {}", failure.host, failure.cause)),
        issuer: Some(failure.issuer),
        ..Event::default()
    });
    lines.chain(failures).collect()
}

/// An answer that is the same for everybody, and worth a line only where each request has one.
pub(crate) fn reply(ctx: &Ctx<'_>, answer: Answer) -> Outcome {
    let event = answered(ctx, true, answer.status);
    Outcome::answered(ctx.site.number, answer, event)
}

/// The same before it is known who asks for what.
pub(super) fn reply_early(
    config: &Config,
    parts: &Parts,
    site: &Site,
    answer: Answer,
    request_id: &str,
) -> Outcome {
    let event = (config.log.lines == Log::All).then(|| Event {
        event: EventKind::Answered,
        status: Some(answer.status),
        ..Event::about(&config.log, parts, Some(site), parts.path(), request_id)
    });
    Outcome::answered(site.number, answer, event)
}
