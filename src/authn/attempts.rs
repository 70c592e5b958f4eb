//! Guessing at API tokens, or at API keys of others, must cost the guesser more than us. Those that are not good are counted
//! by client address, wherever they are presented. An address that is over the limit is remembered
//! by the isolate for a few seconds and turned down before the store is read.
//!
//! Many may share an address. So a token that was good here lately is looked at all the same: one
//! wrong script in an office does not shut out what works beside it.

use crate::http::client::Client;
use crate::jose::error::TokenError;
use crate::memory::attempts::REFUSED_FOR;
use crate::memory::world::World;
use crate::model::api_token::{ApiToken, ApiTokenId, HashedApiToken, PlainApiToken};
use crate::platform::port::{Counter, Fault};
use crate::platform::time::Timestamp;
use crate::store::api_tokens::ApiTokens;

/// The API token that `client` presents, if it is good and `serves`. Without a client nothing is
/// counted.
///
/// # Errors
/// [`TokenError::ApiToken`], [`TokenError::TooManyAttempts`], or a fault of store or limiter.
pub async fn api_token(
    world: &World,
    client: Option<Client>,
    presented: Option<&str>,
    serves: impl Fn(&ApiToken) -> bool,
    now: Timestamp,
) -> Result<ApiToken, TokenError> {
    let memory = &world.cache.attempts;
    let hash = presented
        .and_then(PlainApiToken::parse)
        .map(|plain| plain.hash());
    let id = hash.as_ref().map(HashedApiToken::id);
    admit(world, client, id.as_ref().map(ApiTokenId::as_str), now)?;
    let found = match &hash {
        Some(hash) => find(world, hash, now).await?,
        None => None,
    };
    if let Some(token) = found.filter(serves) {
        let mut good = memory.good.borrow_mut();
        good.put(token.id.as_str().to_owned(), ());
        return Ok(token);
    }
    if let Some(id) = &id {
        memory.good.borrow_mut().pop(id.as_str());
    }
    Err(note_failure(world, client, TokenError::ApiToken, now).await?)
}

/// Turns down a client that is over the limit, unless what it presents, known by `id`, was good here lately.
///
/// # Errors
/// [`TokenError::TooManyAttempts`].
pub(super) fn admit(
    world: &World,
    client: Option<Client>,
    id: Option<&str>,
    now: Timestamp,
) -> Result<(), TokenError> {
    let memory = &world.cache.attempts;
    if client.is_some_and(|client| memory.refuses(client, now)) {
        let mut good = memory.good.borrow_mut();
        if id.is_none_or(|id| good.get(id).is_none()) {
            return Err(TokenError::TooManyAttempts);
        }
    }
    Ok(())
}

/// Counts a credential that is not good. Gives why it is refused: for that `reason`, or because there were too many.
///
/// # Errors
/// A fault of the limiter.
pub(super) async fn note_failure(
    world: &World,
    client: Option<Client>,
    reason: TokenError,
    now: Timestamp,
) -> Result<TokenError, Fault> {
    let Some(client) = client else {
        return Ok(reason);
    };
    let limit = &*world.platform.limit;
    if limit.allow(Counter::Failures, &client.to_string()).await? {
        return Ok(reason);
    }
    let mut refused = world.cache.attempts.refused.borrow_mut();
    refused.put(client, now + REFUSED_FOR);
    Ok(TokenError::TooManyAttempts)
}

/// The record behind an API token, or `None` when it is unknown, revoked or expired. Asked by
/// [`api_token`] alone, which counts those that are not good.
///
/// # Errors
/// A [`Fault`] of the store.
async fn find(
    world: &World,
    hash: &HashedApiToken,
    now: Timestamp,
) -> Result<Option<ApiToken>, Fault> {
    let found = ApiTokens(&*world.platform.kv).find(&hash.id()).await?;
    // Asked after the store, so that no revocation of the meantime is missed.
    let token = found.filter(|token| !world.cache.own_changes.has_disabled(&token.id, now));
    let Some(token) = token else {
        return Ok(None);
    };
    Ok((hash.is_of(&token) && token.is_good(now)).then_some(token))
}
