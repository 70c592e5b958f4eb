//! Our own endpoints: which function answers which.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::reply::Reply;
use crate::ask::ctx::Ctx;
use crate::ask::route::{Endpoint, GatewayPage};
use crate::judge::identify;
use crate::origin::assertion;
use crate::pipeline::outcome::{Outcome, Step, admin_outcome, conclude, refuse_early, reply};
use crate::sign_in::{account, back_channel, by_gateway, by_provider};
use crate::{admin, gateway, profile};

/// Answers a request for `endpoint`.
pub(super) async fn answer(ctx: &Ctx<'_>, endpoint: &Endpoint) -> Outcome {
    match endpoint {
        Endpoint::Token => admin_outcome(ctx, admin::token(ctx).await, Answer::token_refusal),
        Endpoint::Admin(endpoint) => {
            admin_outcome(ctx, admin::handle(ctx, endpoint).await, |denial| {
                Answer::refusal(denial, ctx.request_id)
            })
        }
        Endpoint::Health => reply(ctx, Answer::json(200, &json!({ "status": "ok" }))),
        Endpoint::KeySet => published(ctx, key_set(ctx).await),
        Endpoint::SigningKeyPem => published(ctx, signing_key(ctx).await),
        Endpoint::Mount => reply(ctx, below_mount(ctx)),
        // At the gateway a person may have mistyped an address; elsewhere all of our own paths are for programs.
        Endpoint::Unknown if ctx.site.gateway.is_some() => {
            conclude(ctx, true, Vec::new(), Err(Denial::UnknownEndpoint))
        }
        // A person who looks for what is here finds out who is signed in.
        Endpoint::Unknown
            if ctx.parts.wants_page()
                && ctx.parts.is_read()
                && ctx.path.as_str().trim_end_matches('/') == ctx.site.endpoints =>
        {
            reply(ctx, Answer::see_other(ctx.site.own_path("me")))
        }
        Endpoint::Unknown => {
            let denial = Denial::UnknownEndpoint;
            let answer = Answer::refusal(&denial, ctx.request_id);
            let refused = Reply {
                refused: Some(denial),
                ..Reply::from(answer)
            };
            conclude(ctx, true, Vec::new(), Ok(Step::Reply(refused)))
        }
        Endpoint::Arrive => {
            let reply = by_gateway::arrive(ctx).await.map(Step::Reply);
            conclude(ctx, true, Vec::new(), reply)
        }
        Endpoint::Login | Endpoint::LoginAt(_) | Endpoint::Callback(_) => {
            let reply = match endpoint {
                Endpoint::LoginAt(name) => by_provider::start(ctx, name).await,
                Endpoint::Callback(name) => by_provider::callback(ctx, name).await,
                _ => by_provider::list(ctx),
            };
            conclude(ctx, true, Vec::new(), reply.map(Step::Reply))
        }
        Endpoint::LoggedOut(name) => {
            let reply = match &ctx.site.gateway {
                Some(_) => gateway::logout::returned(ctx, name),
                None => account::logged_out(ctx, name),
            };
            conclude(ctx, true, Vec::new(), reply.map(Step::Reply))
        }
        Endpoint::BackChannel(name) => {
            let reply = back_channel::receive(ctx, name).await;
            conclude(ctx, true, Vec::new(), reply.map(Step::Reply))
        }
        Endpoint::Service(call) => {
            let reply = gateway::protocol::answer(ctx, *call).await;
            conclude(ctx, true, Vec::new(), reply.map(Step::Reply))
        }
        Endpoint::Gateway(page) => {
            let (stale, result) = match identify(ctx).await {
                Ok((authentication, stale)) => {
                    let reply = gateway::page(ctx, *page, &authentication).await;
                    (stale, reply.map(Step::Reply))
                }
                Err(denial) => (Vec::new(), Err(denial)),
            };
            let mut outcome = conclude(ctx, true, stale, result);
            // A wrong password or passkey elsewhere, as on the account page, is no sign-in that has failed.
            if *page != GatewayPage::Login
                && let Some(event) = &mut outcome.event
                && event.code.is_some()
            {
                event.sign_in = None;
            }
            outcome
        }
        Endpoint::Me | Endpoint::Logout | Endpoint::Switch | Endpoint::Exchange => {
            let (stale, result) = match identify(ctx).await {
                Ok((authentication, stale)) => {
                    let reply = match endpoint {
                        Endpoint::Me => account::me(ctx, &authentication).await,
                        Endpoint::Logout => account::logout(ctx, &authentication).await,
                        Endpoint::Switch => account::switch(ctx, &authentication).await,
                        _ => exchange(ctx).await,
                    };
                    (stale, reply.map(Step::Reply))
                }
                Err(denial) => (Vec::new(), Err(denial)),
            };
            conclude(ctx, true, stale, result)
        }
    }
}

async fn exchange(ctx: &Ctx<'_>) -> Result<Reply, Denial> {
    match &ctx.site.profile {
        Some(profile) => profile::exchange(profile, ctx).await.map(Reply::from),
        None => Err(Denial::UnknownEndpoint),
    }
}

/// Behind a mount without its slash, relative links of a page would lead out of the site.
fn below_mount(ctx: &Ctx<'_>) -> Answer {
    let mut to = ctx.site.root_path();
    if let Some(query) = ctx.parts.query() {
        to.push('?');
        to.push_str(query);
    }
    Answer::moved(to)
}

/// An answer that is the same for everybody.
fn published(ctx: &Ctx<'_>, result: Result<Answer, Denial>) -> Outcome {
    match result {
        Ok(answer) => reply(
            ctx,
            answer
                .replacing("cache-control", "public, max-age=60")
                .replacing("vary", "Accept-Encoding"),
        ),
        Err(denial) => {
            let config = &ctx.world.config;
            refuse_early(
                config,
                ctx.parts,
                ctx.received,
                Some(ctx.site),
                &denial,
                ctx.request_id,
            )
        }
    }
}

async fn key_set(ctx: &Ctx<'_>) -> Result<Answer, Denial> {
    admin::only_reads(ctx)?;
    let keys = assertion::key_set(ctx.world, ctx.now).await?;
    Ok(Answer::json(200, &keys))
}

/// The key that signs the site's assertions at this moment, as PEM.
async fn signing_key(ctx: &Ctx<'_>) -> Result<Answer, Denial> {
    admin::only_reads(ctx)?;
    let Some(settings) = &ctx.site.assertion else {
        return Err(Denial::UnknownEndpoint);
    };
    let mut answer =
        Answer::json(200, &Value::Null).replacing("content-type", "application/x-pem-file");
    answer.body = assertion::signing_key_pem(ctx.world, settings.algorithm, ctx.now).await?;
    Ok(answer)
}
