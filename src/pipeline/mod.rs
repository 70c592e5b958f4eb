//! A request from start to finish. Knows the order of the steps, and nothing else.
//!
//! The future that [`handle`] gives is ready at its first poll when everything it needs is in the
//! isolate's memory: the platform then forwards without having waited for anything.

pub mod outcome;
pub mod repeat;

use crate::access::grant;
use std::rc::Rc;

use crate::access::cors;
use crate::access::same_origin;
use crate::admin;
use crate::admin::Call;
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::Name;
use crate::answer::reply::Reply;
use crate::ask::asked;
use crate::ask::route;
use crate::ask::route::{Endpoint, Target};
use crate::ask::source;
use crate::ask::visit::Visit;
use crate::authn;
use crate::authn::{Authentication, jwks};
use crate::credential::session;
use crate::credential::session::SetCookie;
use crate::http::request::Parts;
use crate::memory::world::World;
use crate::origin;
use crate::origin::Context;
use crate::origin::assertion;
pub use crate::pipeline::outcome::{Action, Outcome};
use crate::pipeline::outcome::{Forwarded, Step, admin_outcome, answered, astray, concluded};
use crate::pipeline::repeat::Repeat;
use crate::platform::port::Body;
use crate::platform::time::Timestamp;
use crate::profile;
use crate::profile::Verdict;
use crate::rules::Asked;
use crate::sign_in::account;
use crate::sign_in::arrive;
use crate::sign_in::arrive::Arrival;

/// Handles one request.
pub async fn handle(
    world: Rc<World>,
    parts: Parts,
    body: Rc<dyn Body>,
    request_id: String,
    now: Timestamp,
) -> Outcome {
    // 1. The snapshot was taken; from here on nothing else of the request is looked at.
    let parts = Rc::new(parts);
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
        Some(Endpoint::SigningKeyPem) => {
            return match Box::pin(signing_key(&world, &site, &parts, now)).await {
                Ok(answer) => answered(answer),
                Err(denial) => astray(&world, &parts, Some(&site), &denial, &request_id),
            };
        }
        Some(Endpoint::Unknown) => return answered(Answer::refusal(&Denial::UnknownEndpoint)),
        Some(Endpoint::Me | Endpoint::Logout | Endpoint::Switch | Endpoint::Exchange) | None => {}
    }

    // Which rule decides, before anybody is looked for: a rule matches by what is asked, not by whom.
    let host = asked::host(&site, &parts);
    let (asked, rule) = match &endpoint {
        None => asked::asked(&site, &parts, &host, &path),
        Some(_) => (Asked::of_our_own(&host, &path), site.rules.otherwise()),
    };

    // 3. and 4. The credentials, and who is behind them.
    let presented = source::present(&parts, &site);
    let is_anonymous = asked.preflight || (rule.is_public() && !parts.is_navigation());
    let visit = Visit {
        site: &site,
        parts: &parts,
        path: &path,
        asked,
        rule,
        presented: &presented,
        request_id: &request_id,
        now,
    };
    // Before anything is claimed or opened.
    if !is_anonymous && !presented.query.is_empty() && parts.is_speculative() {
        let refused = Err(Denial::Speculative);
        return concluded(&world, &visit, endpoint.is_some(), Vec::new(), refused);
    }
    let authentication = if is_anonymous {
        authn::Authentication::anonymous()
    } else {
        authn::authenticate(&world, &site, &presented, parts.is_navigation(), now).await
    };
    jwks::refresh_later(&world, now);
    let dead = if authentication.clear_session {
        presented.session.len()
    } else {
        0
    };
    let stale = session::stale(&site, dead, authentication.clear_sso_cookie);
    let result = match &endpoint {
        Some(endpoint) => Box::pin(own(&world, &visit, &authentication, &*body, endpoint))
            .await
            .map(Step::Reply),
        None => site_request(&world, &visit, authentication).await,
    };
    assertion::keep_keys_later(&world);
    concluded(&world, &visit, endpoint.is_some(), stale, result)
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
        ref asked,
        rule,
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
    if let (true, Some(cors)) = (asked.preflight, &site.cors) {
        return cors::answer_preflight(cors, parts).map(|answer| Step::Reply(answer.into()));
    }
    let lets_pass = arrive::lets_pass(visit, &authentication);
    let arrival = arrive::arrive(world, visit, &authentication).await?;
    let absence = match &authentication.result {
        Ok(_) => authentication.absence(),
        Err(error) => Denial::from(*error),
    };
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
    let acting = principal.as_ref().filter(|_| !rule.is_public());
    if let Some(principal) = acting {
        same_origin::check_by_source(principal.source(), parts, site)?;
    }
    let grant = grant::decide(rule, asked, principal)
        .map_err(|refusal| Denial::of_rule(refusal, absence))?;

    // What the application itself needs, where the site says which one it is.
    let told = match &site.profile {
        None => None,
        Some(profile) => match profile::judge(profile, world, visit, grant.principal()).await? {
            Verdict::Forward(told) => Some(told),
            Verdict::Reply(reply) => return Ok(Step::Reply(reply.with(cookies))),
        },
    };

    // 6. What the origin gets.
    let signed = match (&site.assertion, grant.principal()) {
        (Some(settings), Some(principal)) => {
            Some(assertion::for_principal(world, site, settings, principal, now).await?)
        }
        _ => None,
    };
    if let Some(principal) = grant.principal()
        && let crate::credential::verified::Claims::Session(claims) = &principal.verified().claims
    {
        cookies.extend(session::renew(&world.config, site, claims, now));
    }
    let context = Context {
        assertion: signed.as_ref(),
        request_id,
        told: told.as_ref(),
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
    Ok(Step::Forward(Forwarded {
        repeat: grant
            .principal()
            .and_then(|principal| Repeat::of(visit, principal, &forward)),
        forward: Box::new(forward),
        cookies,
        signed_in,
    }))
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
        Endpoint::Logout => account::logout(world, visit).await,
        Endpoint::Switch => account::switch(world, visit, body).await,
        Endpoint::Exchange => match &visit.site.profile {
            Some(profile) => profile::exchange(profile, world, visit, body)
                .await
                .map(Reply::from),
            None => Err(Denial::UnknownEndpoint),
        },
        Endpoint::Token
        | Endpoint::Admin(_)
        | Endpoint::Health
        | Endpoint::KeySet
        | Endpoint::SigningKeyPem
        | Endpoint::Unknown => Err(Denial::UnknownEndpoint),
    }
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

/// The key that signs the site's assertions at this moment, as PEM.
async fn signing_key(
    world: &World,
    site: &crate::site::Site,
    parts: &Parts,
    now: Timestamp,
) -> Result<Answer, Denial> {
    if !matches!(parts.method(), "GET" | "HEAD") {
        return Err(Denial::MethodNotAllowed("GET, HEAD"));
    }
    let Some(settings) = &site.assertion else {
        return Err(Denial::UnknownEndpoint);
    };
    let mut answer = Answer::json(200, &serde_json::Value::Null)
        .replacing("content-type", "application/x-pem-file")
        .replacing("cache-control", "public, max-age=60")
        .replacing("vary", "Accept-Encoding");
    answer.body = assertion::signing_key_pem(world, settings.algorithm, now).await?;
    Ok(answer)
}
