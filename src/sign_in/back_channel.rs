//! A provider tells that somebody has signed out there (`OpenID` Connect Back-Channel Logout 1.0). Comes from the provider's
//! server, so it has no cookie: the signed token says everything.

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::{EventKind, Happened};
use crate::answer::reply::Reply;
use crate::ask::ctx::Ctx;
use crate::ask::form::Form;
use crate::authn::provider;
use crate::credential::attempt::LIFETIME;
use crate::jose::error::TokenError;
use crate::model::user::subject::Handle;
use crate::people;
use crate::platform::digest::{hex, random_text, sha256};
use crate::sign_in::by_provider::LEASE;
use crate::site::Source;
use crate::site::issuer::UserIdentity;

/// `/api/sso/backchannel/{name}`: ends every session of the person, here, at the gateway and at every site.
///
/// # Errors
/// [`Denial::LogoutToken`], or a fault, after which the provider may send the same token again.
pub async fn receive(ctx: &Ctx<'_>, name: &str) -> Result<Reply, Denial> {
    let provider = ctx.site.provider(name);
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
    // An address tells nobody by their subject.
    if provider.issuer.identity != UserIdentity::Subject {
        return Err(refused(TokenError::UnknownUser));
    }
    let read = provider::read_logout_token(ctx, provider, &token).await;
    let told = read.map_err(refused)?;
    let (world, now) = (ctx.world, ctx.now);
    // Once: whoever has a token must not end later sessions with it.
    let id = ["logout\n", name, "\n", &told.id].concat();
    let key = [LEASE, &hex(&sha256(id.as_bytes()))].concat();
    let mine = random_text(&*world.platform.entropy);
    let once = &world.platform.once;
    let hold = crate::platform::time::Seconds(2 * LIFETIME.0);
    if once.acquire(&key, &mine, hold, now).await? != mine {
        return Err(refused(TokenError::Conflict));
    }
    let ended = async {
        let handle = Handle::Subject(&told.subject);
        // KV may not have somebody yet who has just come for the first time.
        let user = people::newest_by(world, None, handle).await?;
        if let Some(user) = &user {
            people::end_sessions(world, &user.id, None, now).await?;
        }
        Ok::<_, Denial>(user)
    };
    let user = match ended.await {
        Ok(user) => user,
        Err(denial) => {
            once.release(&key).await?;
            return Err(denial);
        }
    };
    // Nobody who has never been here has a session to be ended.
    let mut reply = Reply::from(Answer::empty(200));
    reply.happened = user.map(|user| Happened {
        kind: EventKind::SignedOut,
        user: user.id.to_string(),
        source: Source::Session,
    });
    Ok(reply)
}
