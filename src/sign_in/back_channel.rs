//! A provider tells that somebody has signed out there (`OpenID` Connect Back-Channel Logout 1.0). Comes from the provider's
//! server, so it has no cookie: the signed token says everything.

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::{EventKind, Happened};
use crate::answer::reply::Reply;
use crate::ask::audited;
use crate::ask::ctx::Ctx;
use crate::ask::form::Form;
use crate::authn::provider::{self, LoggedOut};
use crate::credential::attempt::LIFETIME;
use crate::jose::error::TokenError;
use crate::model::proof::OF_PROVIDER;
use crate::model::user::UserId;
use crate::model::user::subject::{Handle, IssuerSubject};
use crate::people;
use crate::platform::digest::{hex, sha256};
use crate::platform::time::{Seconds, Timestamp};
use crate::sign_in::by_provider::LEASE;
use crate::site::Source;
use crate::site::issuer::UserIdentity;
use crate::site::provider::Provider;
use crate::store::provider_sessions::{Named, ProviderSessions};

/// What the lease of a logout token holds once what it asks for is done.
const DONE: &str = "done";

/// `/api/sso/backchannel/{name}`: ends every session of the person, here, at the gateway and at every site.
///
/// # Errors
/// [`Denial::LogoutToken`], or a fault, after which the provider may send the same token again.
pub async fn receive(ctx: &Ctx<'_>, name: &str) -> Result<Reply, Denial> {
    let provider = ctx.site.own_provider(name);
    // GitHub has no keys, and signs no logout token.
    let provider = provider.filter(|provider| provider.github.is_none());
    let provider = provider.ok_or(Denial::UnknownEndpoint)?;
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let token = Form::read(ctx).await?.text("logout_token");
    let refused = |error| match error {
        TokenError::Fault(fault) => Denial::Fault(fault),
        error => Denial::LogoutToken(name.to_owned(), error),
    };
    let read = provider::read_logout_token(ctx, provider, &token).await;
    let told = read.map_err(refused)?;
    let (world, now) = (ctx.world, ctx.now);
    // Once: whoever has a token must not end later sessions with it. The lease says when it came first. Until what it asks for is
    // done it may come again, as after a crash, and ends nothing that has begun since.
    let id = ["logout\n", name, "\n", &told.id].concat();
    let key = [LEASE, &hex(&sha256(id.as_bytes()))].concat();
    let once = &world.platform.once;
    let hold = Seconds(2 * LIFETIME.0);
    let moment = now.millis().to_string();
    let came = once.acquire(&key, &moment, hold, now).await?;
    let Ok(first) = came.parse() else {
        return Err(refused(TokenError::Conflict));
    };
    let users = meant(ctx, provider, &told).await.map_err(refused)?;
    for user in &users {
        people::end_sessions(world, user, None, Timestamp::from_millis(first)).await?;
        audited::signed_out(ctx, user, &[OF_PROVIDER, name].concat()).await;
    }
    once.replace(&key, &came, DONE, hold, now).await?;
    // Nobody who has never been here has a session to be ended.
    let mut reply = Reply::from(Answer::empty(200));
    reply.happened = users.first().map(|user| Happened {
        kind: EventKind::SignedOut,
        user: user.to_string(),
        source: Source::Session,
        method: "",
    });
    Ok(reply)
}

/// Whom a logout token is about.
async fn meant(
    ctx: &Ctx<'_>,
    provider: &Provider,
    told: &LoggedOut,
) -> Result<Vec<UserId>, TokenError> {
    if told.claim == "sub" && provider.issuer.identity == UserIdentity::Subject {
        let subject = IssuerSubject::parse(&told.iss, &told.value);
        let subject = subject.ok_or(TokenError::ClaimForm("sub"))?;
        // KV may not have somebody yet who has just come for the first time.
        let user = people::newest_by(ctx.world, None, Handle::Subject(&subject)).await?;
        return Ok(user.into_iter().map(|user| user.id).collect());
    }
    let sessions = ProviderSessions {
        once: &*ctx.world.platform.once,
        now: ctx.now,
    };
    let named = Named {
        provider: provider.name(),
        iss: &told.iss,
        claim: told.claim,
        value: &told.value,
    };
    Ok(sessions.users(named).await?)
}
