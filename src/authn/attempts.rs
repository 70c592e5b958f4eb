//! Guessing at API tokens must cost the guesser more than us. Tokens that are not good are counted
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
    if client.is_some_and(|client| memory.refuses(client, now)) {
        let mut good = memory.good.borrow_mut();
        let was_good = |id: &ApiTokenId| good.get(id.as_str()).is_some();
        if !id.as_ref().is_some_and(was_good) {
            return Err(TokenError::TooManyAttempts);
        }
    }
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
    let Some(client) = client else {
        return Err(TokenError::ApiToken);
    };
    let limit = &*world.platform.limit;
    if limit.allow(Counter::Failures, &client.to_string()).await? {
        return Err(TokenError::ApiToken);
    }
    let mut refused = memory.refused.borrow_mut();
    refused.put(client, now + REFUSED_FOR);
    Err(TokenError::TooManyAttempts)
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
