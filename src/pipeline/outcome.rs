//! What becomes of a request: the answer or the request to the origin, the cookies that go back
//! with it, and the line in the log. Decides nothing of who may do what.

use crate::access::cors;
use crate::admin;
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::{Event, EventKind, SignedIn};
use crate::answer::reply::Reply;
use crate::ask::ctx::Ctx;
use crate::authn;
use crate::credential::session::SetCookie;
use crate::http::request::Parts;
use crate::memory::cache::Note;
use crate::memory::world::World;
use crate::origin::Forward;
use crate::sign_in::refuse;
use crate::site::Site;
use crate::site::config::Log;

/// What becomes of a request.
pub struct Outcome {
    /// Forwarded or answered.
    pub action: Action,
    /// Cookies for the response, whichever it is.
    pub cookies: Vec<SetCookie>,
    /// A line for the log.
    pub event: Option<Event>,
    /// Further lines for the log.
    pub notes: Vec<Event>,
    /// `Strict-Transport-Security` for a forwarded response that is made anew for its cookies anyway.
    pub hsts: Option<String>,
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
        let told = authn::report::of_refusal(ctx, denial);
        // What a browser asks ahead is turned down on purpose.
        let fails = denial.row().status >= 500 && *denial != Denial::Speculative;
        Event {
            event: if fails {
                EventKind::Fault
            } else {
                EventKind::Denied
            },
            site: Some(ctx.site.name.clone()),
            request_id: ctx.request_id.to_owned(),
            status,
            reason: Some(denial.reason()),
            source: told.as_ref().map(|told| told.source),
            issuer: told.as_ref().and_then(|told| told.issuer.clone()),
            kid: told.and_then(|told| told.kid),
            ..Event::default()
        }
    };
    let event = |name, status| Event {
        event: name,
        site: Some(ctx.site.name.clone()),
        request_id: ctx.request_id.to_owned(),
        status,
        ..Event::default()
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
        })) => {
            let name = if signed_in.is_some() {
                EventKind::SignedIn
            } else {
                EventKind::Forwarded
            };
            let log = signed_in.is_some() || world.config.log == Log::All;
            let (user, source) = signed_in
                .map(|SignedIn { user, source }| (user, source))
                .unzip();
            Outcome {
                notes: Vec::new(),
                hsts: None,
                action: Action::Forward(*forward),
                cookies: merge(stale, cookies),
                event: log.then(|| Event {
                    user,
                    source,
                    ..event(name, None)
                }),
            }
        }
        Ok(Step::Reply(reply)) => {
            let status = Some(reply.answer.status);
            let refused = reply.refused.map(|denial| refusal(&denial, status));
            let happened = reply.happened.map(|happened| Event {
                user: Some(happened.user),
                source: Some(happened.source),
                ..event(happened.kind, status)
            });
            Outcome {
                notes: Vec::new(),
                hsts: None,
                event: refused.or(happened),
                cookies: merge(stale, reply.cookies),
                action: Action::Answer(readable(reply.answer)),
            }
        }
        Err(denial) => {
            let (answer, kept) = if own_endpoint {
                (refuse_own(ctx, &denial), Vec::new())
            } else {
                refuse::refuse(ctx, &denial)
            };
            Outcome {
                notes: Vec::new(),
                hsts: None,
                event: Some(refusal(&denial, Some(answer.status))),
                action: Action::Answer(readable(answer)),
                // Whoever tries again after a failure of ours must have what it takes.
                cookies: match denial {
                    Denial::Fault(_) => Vec::new(),
                    _ => stale.into_iter().chain(kept).collect(),
                },
            }
        }
    }
}

/// A refusal at one of our own endpoints leads nobody to sign in: it is not where a person goes.
pub(super) fn refuse_own(ctx: &Ctx<'_>, denial: &Denial) -> Answer {
    let own = ctx.path.as_str().strip_prefix(&*ctx.site.endpoints);
    if ctx.parts.wants_page() && own != Some("/me") {
        return Answer::refusal_page(denial, Some(ctx.site), ctx.request_id, None);
    }
    Answer::refusal(denial)
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
    let reason = outcome.result.as_ref().err().map(Denial::reason);
    let answer = outcome.result.unwrap_or_else(|denial| refusal(&denial));
    let event = Event {
        event: if answer.status >= 500 {
            EventKind::Fault
        } else {
            EventKind::AdminCall
        },
        site: Some(ctx.site.name.clone()),
        request_id: ctx.request_id.to_owned(),
        reason,
        status: Some(answer.status),
        api_token: outcome.caller,
        call: Some(outcome.call),
        ..Event::default()
    };
    Outcome {
        notes: Vec::new(),
        hsts: None,
        action: Action::Answer(answer),
        cookies: Vec::new(),
        event: Some(event),
    }
}

/// A request that ends before anybody is asked for: no site, no readable path, no keys.
pub(crate) fn refuse_early(
    parts: &Parts,
    site: Option<&Site>,
    denial: &Denial,
    request_id: &str,
) -> Outcome {
    let answer = if parts.wants_page() {
        Answer::refusal_page(denial, site, request_id, None)
    } else {
        Answer::refusal(denial)
    };
    let event = Event {
        event: if answer.status >= 500 {
            EventKind::Fault
        } else {
            EventKind::Denied
        },
        site: site.map(|site| site.name.clone()),
        request_id: request_id.to_owned(),
        reason: Some(denial.reason()),
        status: Some(answer.status),
        ..Event::default()
    };
    Outcome {
        notes: Vec::new(),
        hsts: None,
        action: Action::Answer(answer),
        cookies: Vec::new(),
        event: Some(event),
    }
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
            reason: Some(format!(
                "provider {issuer}: the tokens of a session that has ended are not deleted: {fault}"
            )),
            issuer: Some(issuer),
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

/// An answer that is not worth a line.
pub(crate) fn reply_silently(answer: Answer) -> Outcome {
    Outcome {
        notes: Vec::new(),
        hsts: None,
        action: Action::Answer(answer),
        cookies: Vec::new(),
        event: None,
    }
}
