//! A request that may pass, on its way to the origin of its site (step 6).

use crate::answer::denial::Denial;
use crate::ask::ctx::Ctx;
use crate::authn::renewal;
use crate::credential::session;
use crate::credential::verified::Claims;
use crate::judge::Judgement;
use crate::origin::{self, Context, assertion};
use crate::pipeline::outcome::{Forwarded, Step};
use crate::profile::{self, Verdict};

/// What the origin gets of a request that was judged.
///
/// # Errors
/// What the application of a site with a profile refuses, or a fault.
pub(super) async fn forward(ctx: &Ctx<'_>, judgement: Judgement) -> Result<Step, Denial> {
    let judged = match judgement {
        Judgement::Passes(judged) => judged,
        Judgement::Answered(reply) => return Ok(Step::Reply(reply)),
    };
    let Ctx {
        world, site, now, ..
    } = *ctx;
    // What the application itself needs, where the site says which one it is.
    let told = match &site.profile {
        None => None,
        Some(profile) => match profile::gate(profile, ctx, judged.grant().principal()).await? {
            Verdict::Forward(told) => Some(told),
            Verdict::Reply(reply) => {
                let (_, cookies, signed_in) = judged.into_parts();
                let mut reply = reply.with(cookies);
                if reply.happened.is_none() {
                    reply.happened = signed_in.map(Into::into);
                }
                return Ok(Step::Reply(reply));
            }
        },
    };
    let (grant, mut cookies, signed_in) = judged.into_parts();
    let signed = match (&site.assertion, grant.principal()) {
        (Some(settings), Some(principal)) => {
            Some(assertion::for_principal(world, site, settings, principal, now).await?)
        }
        _ => None,
    };
    if let Some(principal) = grant.principal()
        && let Claims::Session(claims) = &principal.verified().claims
    {
        cookies.extend(session::renew(&world.config, site, claims, now));
    }
    let access_token = match grant.principal() {
        Some(principal) if site.sends_access_token => renewal::access_token(ctx, principal).await?,
        _ => None,
    };
    let context = Context {
        access_token: access_token.as_deref(),
        assertion: signed.as_ref(),
        request_id: ctx.request_id,
        told: told.as_ref(),
        cache: &world.cache,
    };
    let forward = origin::prepare(&grant, site, ctx.parts, ctx.path, ctx.presented, &context);
    Ok(Step::Forward(Forwarded {
        forward: Box::new(forward),
        cookies,
        signed_in,
    }))
}
