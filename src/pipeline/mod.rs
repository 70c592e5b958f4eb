//! A request from start to finish. Knows the order of the steps, and nothing else.
//!
//! The future that [`handle`] gives is ready at its first poll when everything it needs is in the
//! isolate's memory: the platform then forwards without having waited for anything.

mod deliver;
mod endpoint;
pub mod outcome;
mod transport;
pub mod watch;

use std::rc::Rc;

use crate::answer::denial::Denial;
use crate::ask::ctx::{Ctx, Purpose};
use crate::ask::route::{self, Target};
use crate::ask::{asked, source, webdav};
use crate::authn::jwks;
use crate::http::request::Parts;
use crate::judge;
use crate::memory::world::World;
use crate::origin::assertion;
pub use crate::pipeline::outcome::{Action, Outcome};
use crate::pipeline::outcome::{conclude, refuse_early};
use crate::platform::port::Received;
use crate::platform::time::Timestamp;
use crate::rules::Asked;
use crate::sign_in::browsing;
use crate::site::Site;

/// Handles one request.
pub async fn handle(
    world: Rc<World>,
    parts: Parts,
    received: Rc<dyn Received>,
    request_id: String,
    now: Timestamp,
) -> Outcome {
    // 1. The snapshot was taken; from here on nothing else of the request is looked at.
    // 2. Host and path lead to a site, or to one of our own endpoints, which are told every header.
    let whole;
    let routed = route::route(&world.config, &parts);
    let is_own = matches!(&routed, Ok(Target::Own { .. }));
    let (parts, routed) = match is_own
        .then(|| browsing::whole_head_of(&*received))
        .flatten()
    {
        Some(head) => {
            whole = head;
            (&whole, route::route(&world.config, &whole))
        }
        None => (&parts, routed),
    };
    let early = |site: Option<&Site>, denial: &Denial| {
        refuse_early(&world.config, parts, &*received, site, denial, &request_id)
    };
    let (site, path, endpoint) = match routed {
        Ok(Target::Site { site, path }) => (site, path, None),
        Ok(Target::Own {
            site,
            path,
            endpoint,
        }) => (site, path, Some(endpoint)),
        Err((denial, site)) => {
            let outcome = early(site.as_deref(), &denial);
            return match &site {
                Some(site) => transport::tell(site, parts, outcome),
                None => outcome,
            };
        }
    };
    // Which rule decides, before anybody is looked for: a rule matches by what is asked, not by whom.
    let host = asked::host(&site, parts);
    if let Some(outcome) = transport::lead_to_https(
        &world.config,
        &site,
        (parts, &*received),
        &host,
        &request_id,
    ) {
        return outcome;
    }
    let asked = match &endpoint {
        None => asked::asked(&site, parts, &host, &path),
        Some(_) => Ok((Asked::of_our_own(&host, &path), site.rules.fallback())),
    };
    let destination = match &endpoint {
        None => webdav::destination(&site, parts, &world.config),
        Some(_) => Ok(None),
    };
    let also = match &destination {
        Ok(Some(destination)) => webdav::asked(&site, parts, &host, &path, destination),
        Ok(None) => Ok(Vec::new()),
        Err(denial) => Err(denial.clone()),
    };
    let ((asked, rule), also) = match asked.and_then(|asked| Ok(webdav::order(asked, also?))) {
        Ok(all) => all,
        Err(denial) => {
            let outcome = early(Some(&site), &denial);
            return transport::tell(&site, parts, outcome);
        }
    };
    // 3. The credentials.
    let presented = source::present(parts, &site);
    let ctx = Ctx {
        purpose: match &endpoint {
            Some(endpoint) if endpoint.is_sign_out() => Purpose::SignOut,
            _ => Purpose::Serve,
        },
        world: &world,
        site: &site,
        parts,
        path: &path,
        received: &*received,
        asked,
        rule,
        also: &also,
        presented: &presented,
        request_id: &request_id,
        now,
    };
    let mut outcome = if let Some(endpoint) = &endpoint {
        // What is not on the way to an origin is boxed, so that a request that is has a small future.
        Box::pin(endpoint::answer(&ctx, endpoint)).await
    } else {
        // 4. and 5. Who is it, and may it?
        let (stale, judged) = judge::judge(&ctx).await;
        // 6. What the origin gets. 7. The platform streams it.
        let result = match judged {
            Ok(judged) => deliver::forward(&ctx, judged).await,
            Err(denial) => Err(denial),
        };
        // 8. What becomes of it, and its line in the log.
        conclude(&ctx, false, stale, result)
    };
    outcome.notes = outcome::notes(&world);
    jwks::refresh_later(&world, now);
    assertion::keep_keys_later(&world);
    transport::tell(&site, parts, outcome)
}
