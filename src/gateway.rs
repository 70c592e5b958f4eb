//! A request from start to finish. Knows the order of the steps, and nothing else.
//!
//! The future that [`handle`] gives is ready at its first poll when everything it needs is in the
//! isolate's memory: the platform then forwards without having waited for anything.

use std::rc::Rc;

use crate::access;
use crate::account::{self, Reply};
use crate::admin::{self, Call};
use crate::answer::Answer;
use crate::config::Site;
use crate::config::raw::Log;
use crate::config::site::Source;
use crate::denial::Denial;
use crate::event::{Event, Name};
use crate::login::{self, Arrival, Visit};
use crate::origin::{self, Context, Forward};
use crate::port::Body;
use crate::request::Parts;
use crate::route::{self, Endpoint, Target};
use crate::same_origin;
use crate::session::{self, SetCookie};
use crate::time::Timestamp;
use crate::token::{self, Authentication, assertion, source};
use crate::world::World;

/// What becomes of a request.
pub struct Outcome {
    /// Forwarded or answered.
    pub action: Action,
    /// Cookies for the response, whichever it is.
    pub cookies: Vec<SetCookie>,
    /// A line for the log.
    pub event: Option<Event>,
}

/// Forwarded or answered.
pub enum Action {
    /// Goes to the origin.
    Forward(Forward),
    /// Is answered here.
    Answer(Answer),
}

/// Handles one request.
pub async fn handle(
    world: Rc<World>,
    parts: Parts,
    body: Rc<dyn Body>,
    request_id: String,
    now: Timestamp,
) -> Outcome {
    // 1. The snapshot was taken; from here on nothing else of the request is looked at.
    // 2. Host and path lead to a site, or to one of our own endpoints.
    let Target {
        site,
        path,
        endpoint,
    } = match route::route(&world.config, &parts) {
        Ok(target) => target,
        Err((denial, site)) => {
            return astray(&world, &parts, site.as_deref(), &denial, &request_id);
        }
    };
    let call = Call {
        world: &world,
        site: &site,
        parts: &parts,
        body: &*body,
        now,
    };
    // What is not on the way to an origin is boxed, so that a request that is has a small future.
    match &endpoint {
        Some(Endpoint::Token) => {
            return admin_outcome(
                Box::pin(admin::token(&call)).await,
                &site,
                request_id,
                Answer::token_refusal,
            );
        }
        Some(Endpoint::Admin(admin)) => {
            return admin_outcome(
                Box::pin(admin::handle(&call, admin)).await,
                &site,
                request_id,
                Answer::refusal,
            );
        }
        Some(Endpoint::Health) => {
            return answered(Answer::json(200, &serde_json::json!({ "status": "ok" })));
        }
        Some(Endpoint::KeySet) => {
            return match Box::pin(key_set(&world, &parts, now)).await {
                Ok(answer) => answered(answer),
                Err(denial) => astray(&world, &parts, Some(&site), &denial, &request_id),
            };
        }
        Some(Endpoint::Unknown) => return answered(Answer::refusal(&Denial::UnknownEndpoint)),
        Some(Endpoint::Me | Endpoint::Logout | Endpoint::Switch) | None => {}
    }

    // 3. and 4. The credentials, and who is behind them.
    let presented = source::present(&parts, &site);
    let authentication =
        token::authenticate(&world, &site, &presented, parts.is_navigation(), now).await;
    let visit = Visit {
        site: &site,
        parts: &parts,
        path: &path,
        presented: &presented,
        request_id: &request_id,
        now,
    };
    let cookies = stale_cookies(&site, &authentication);
    let result = match &endpoint {
        Some(endpoint) => Box::pin(own(&world, &visit, &authentication, &*body, endpoint))
            .await
            .map(Step::Reply),
        None => site_request(&world, &visit, authentication).await,
    };
    concluded(&world, &visit, endpoint.is_some(), cookies, result)
}

/// Step 8: what a step came to, as the platform carries it out. Whatever it is, cookies that have
/// had their time are cleared.
fn concluded(
    world: &World,
    visit: &Visit<'_>,
    own_endpoint: bool,
    stale: Vec<SetCookie>,
    result: Result<Step, Denial>,
) -> Outcome {
    let event = |name, status| Event {
        event: name,
        site: Some(visit.site.name.clone()),
        request_id: visit.request_id.to_owned(),
        status,
        ..Event::default()
    };
    match result {
        Ok(Step::Forward(forward, cookies, signed_in)) => {
            let name = if signed_in.is_some() {
                Name::SignedIn
            } else {
                Name::Forwarded
            };
            let log = signed_in.is_some() || world.config.log == Log::All;
            let (user, source) = signed_in.unzip();
            Outcome {
                action: Action::Forward(*forward),
                cookies: merged(stale, cookies),
                event: log.then(|| Event {
                    user,
                    source,
                    ..event(name, None)
                }),
            }
        }
        Ok(Step::Reply(reply)) => {
            let status = Some(reply.answer.status);
            Outcome {
                event: reply.happened.map(|(name, user, source)| Event {
                    user: Some(user),
                    source: Some(source),
                    ..event(name, status)
                }),
                cookies: merged(stale, reply.cookies),
                action: Action::Answer(reply.answer),
            }
        }
        Err(denial) => {
            let answer = if own_endpoint {
                refuse_own(world, visit, &denial)
            } else {
                login::refuse(world, visit, &denial)
            };
            let name = if denial.row().status >= 500 {
                Name::Fault
            } else {
                Name::Denied
            };
            Outcome {
                event: Some(Event {
                    reason: Some(denial.reason()),
                    ..event(name, Some(answer.status))
                }),
                action: Action::Answer(answer),
                cookies: stale,
            }
        }
    }
}

enum Step {
    Forward(
        Box<Forward>,
        Vec<SetCookie>,
        Option<(String, crate::config::site::Source)>,
    ),
    Reply(Reply),
}

/// Methods that are about the connection, or that show a request to a page (RFC 9110 §9.3).
const REFUSED_METHODS: [&str; 3] = ["TRACE", "CONNECT", "TRACK"];

/// Steps 4 to 6 for a path of the site.
async fn site_request(
    world: &World,
    visit: &Visit<'_>,
    authentication: Authentication,
) -> Result<Step, Denial> {
    let Visit {
        site,
        parts,
        path,
        presented,
        request_id,
        now,
    } = *visit;
    if REFUSED_METHODS
        .iter()
        .any(|refused| parts.method().eq_ignore_ascii_case(refused))
    {
        return Err(Denial::MethodRefused);
    }
    let lets_pass = login::lets_pass(visit, &authentication);
    let arrival = login::arrive(world, visit, &authentication).await?;
    let absence = authentication.absence();
    let principal = match authentication.result {
        Err(_) if lets_pass => None,
        result => result.map_err(Denial::from)?,
    };
    let opened = |cookies: &[SetCookie]| {
        let signed_in = principal
            .as_ref()
            .filter(|_| cookies.iter().any(|cookie| session::opens(cookie, site)));
        signed_in.map(|principal| (principal.user().id.to_string(), principal.source()))
    };
    let mut cookies = match arrival {
        Arrival::Answer(answer, cookies) => {
            let happened = opened(&cookies).map(|(user, source)| (Name::SignedIn, user, source));
            return Ok(Step::Reply(Reply {
                answer,
                cookies,
                happened,
            }));
        }
        Arrival::Proceed(cookies) => cookies,
    };
    let signed_in = opened(&cookies);

    // 5. May it?
    match principal.as_ref().map(crate::principal::Principal::source) {
        Some(Source::Session | Source::SsoCookie) => same_origin::check(parts, site)?,
        Some(Source::Query) if !parts.is_navigation() => same_origin::check_named(parts, site)?,
        Some(Source::Query | Source::Bearer) | None => {}
    }
    let grant = access::decide(site.rule, principal).map_err(|access::SignInRequired| absence)?;

    // 6. What the origin gets.
    let signed = match (&site.assertion, grant.principal()) {
        (Some(settings), Some(principal)) => {
            Some(assertion::for_principal(world, site, settings, principal, now).await?)
        }
        _ => None,
    };
    if let Some(principal) = grant.principal()
        && let crate::cache::Claims::Session(claims) = &principal.verified().claims
    {
        cookies.extend(session::renew(&world.config, site, claims, now));
    }
    let context = Context {
        assertion: signed.as_deref(),
        request_id,
    };
    let forward = origin::prepare(
        &grant,
        site,
        parts,
        path,
        presented.clean_query.as_ref(),
        &context,
    );
    // 7. The platform streams it.
    Ok(Step::Forward(Box::new(forward), cookies, signed_in))
}

async fn own(
    world: &World,
    visit: &Visit<'_>,
    authentication: &Authentication,
    body: &dyn Body,
    endpoint: &Endpoint,
) -> Result<Reply, Denial> {
    match endpoint {
        Endpoint::Me => account::me(world, visit, authentication).await,
        Endpoint::Logout => account::logout(world, visit, authentication).await,
        Endpoint::Switch => account::switch(world, visit, body).await,
        Endpoint::Token
        | Endpoint::Admin(_)
        | Endpoint::Health
        | Endpoint::KeySet
        | Endpoint::Unknown => Err(Denial::UnknownEndpoint),
    }
}

/// A refusal at one of our own endpoints leads nobody to sign in: it is not where a person goes.
fn refuse_own(world: &World, visit: &Visit<'_>, denial: &Denial) -> Answer {
    if visit.parts.wants_page() && visit.path.as_str() != "/api/sso/me" {
        return Answer::refusal_page(
            denial,
            Some(visit.site),
            visit.request_id,
            None,
            &*world.platform.entropy,
        );
    }
    Answer::refusal(denial)
}

/// Cookies that were presented and will never be honoured again.
fn stale_cookies(site: &Site, authentication: &Authentication) -> Vec<SetCookie> {
    let mut cookies = Vec::new();
    if authentication.clear_session {
        cookies.push(session::clear(site));
    }
    if authentication.clear_sso_cookie {
        cookies.extend(session::clear_sso(site));
    }
    cookies
}

/// What a later step says of a cookie stands instead of what an earlier one said.
fn merged(earlier: Vec<SetCookie>, later: Vec<SetCookie>) -> Vec<SetCookie> {
    let mut all: Vec<SetCookie> = earlier
        .into_iter()
        .filter(|cookie| !later.iter().any(|other| other.name() == cookie.name()))
        .collect();
    all.extend(later);
    all
}

async fn key_set(world: &World, parts: &Parts, now: Timestamp) -> Result<Answer, Denial> {
    if !matches!(parts.method(), "GET" | "HEAD") {
        return Err(Denial::MethodNotAllowed("GET, HEAD"));
    }
    let keys = assertion::key_set(world, now).await?;
    Ok(Answer::json(200, &keys)
        .replacing("cache-control", "public, max-age=60")
        .replacing("vary", "Accept-Encoding"))
}

fn admin_outcome(
    outcome: admin::Outcome,
    site: &Site,
    request_id: String,
    refusal: impl Fn(&Denial) -> Answer,
) -> Outcome {
    let reason = outcome.result.as_ref().err().map(Denial::reason);
    let answer = outcome.result.unwrap_or_else(|denial| refusal(&denial));
    let event = Event {
        event: if answer.status >= 500 {
            Name::Fault
        } else {
            Name::AdminCall
        },
        site: Some(site.name.clone()),
        request_id,
        reason,
        status: Some(answer.status),
        api_token: outcome.caller,
        call: Some(outcome.call),
        ..Event::default()
    };
    Outcome {
        action: Action::Answer(answer),
        cookies: Vec::new(),
        event: Some(event),
    }
}

/// A request that ends before anybody is asked for: no site, no readable path, no keys.
fn astray(
    world: &World,
    parts: &Parts,
    site: Option<&Site>,
    denial: &Denial,
    request_id: &str,
) -> Outcome {
    let answer = match site {
        Some(site) if parts.wants_page() => Answer::refusal_page(
            denial,
            Some(site),
            request_id,
            None,
            &*world.platform.entropy,
        ),
        _ => Answer::refusal(denial),
    };
    let event = Event {
        event: if answer.status >= 500 {
            Name::Fault
        } else {
            Name::Denied
        },
        site: site.map(|site| site.name.clone()),
        request_id: request_id.to_owned(),
        reason: Some(denial.reason()),
        status: Some(answer.status),
        ..Event::default()
    };
    Outcome {
        action: Action::Answer(answer),
        cookies: Vec::new(),
        event: Some(event),
    }
}

fn answered(answer: Answer) -> Outcome {
    Outcome {
        action: Action::Answer(answer),
        cookies: Vec::new(),
        event: None,
    }
}
