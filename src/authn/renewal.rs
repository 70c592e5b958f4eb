//! The tokens that a provider has given: what is kept of them, and how sessions are renewed with them.

use serde_json::{Map, Value};

use crate::ask::ctx::Ctx;
use crate::model::claim::Granted;
use crate::platform::digest::random_text;
use crate::platform::port::Fault;
use crate::platform::time::Seconds;
use crate::site::provider::Provider;
use crate::store::provider_tokens::{MAX_ID_TOKEN, ProviderTokens, TokenRecord};

/// The record with this id.
fn record<'a>(ctx: &'a Ctx<'_>, id: &'a str) -> TokenRecord<'a> {
    TokenRecord {
        platform: &ctx.world.platform,
        keys: &ctx.world.config.keys.key,
        id,
        now: ctx.now,
    }
}

/// What is kept of the answer of a token endpoint with these claims of the ID token; `None` where nothing is needed.
pub(super) fn gather(
    ctx: &Ctx<'_>,
    provider: &Provider,
    answer: &Map<String, Value>,
    claims: &Map<String, Value>,
) -> Option<ProviderTokens> {
    if !provider.sign_out {
        return None;
    }
    let of = |map: &Map<String, Value>, name: &str, limit: usize| {
        let text = map.get(name).and_then(Value::as_str);
        text.filter(|text| text.len() <= limit).map(str::to_owned)
    };
    Some(ProviderTokens {
        iss: of(claims, "iss", MAX_ID_TOKEN)?,
        sub: of(claims, "sub", MAX_ID_TOKEN)?,
        nonce: of(claims, "nonce", MAX_ID_TOKEN),
        id_token: of(answer, "id_token", MAX_ID_TOKEN),
        refreshed_at: ctx.now,
        ..ProviderTokens::default()
    })
}

/// Keeps the tokens of a sign-in, for as long as a session that began with it may last; with what it has granted.
///
/// # Errors
/// A [`Fault`] of the store.
pub async fn keep(
    ctx: &Ctx<'_>,
    mut tokens: ProviderTokens,
    granted: &Granted,
) -> Result<Granted, Fault> {
    let id = random_text(&*ctx.world.platform.entropy);
    let longest = ctx.world.config.sites().map(|site| site.session.absolute);
    let at_sites = longest.max().filter(|_| ctx.site.gateway.is_some());
    let at_sites = at_sites.unwrap_or(Seconds(0));
    tokens.ends_at = ctx.now + ctx.site.session.absolute + at_sites;
    record(ctx, &id).put(&tokens).await?;
    Ok(Granted {
        tokens: Some(id),
        ..granted.clone()
    })
}

/// Deletes the tokens of a session that has ended. Returns the ID token.
pub async fn forget(ctx: &Ctx<'_>, id: &str) -> Option<String> {
    let record = record(ctx, id);
    let held = record.find().await;
    let _ = record.remove().await;
    held.ok()??.tokens.id_token
}
