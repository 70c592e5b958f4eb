//! One credential: signature and claims, or the memory of them.

use crate::ask::ctx::Ctx;
use crate::authn::principal::Principal;
use crate::authn::{attempts, foreign, others_key, validity};
use crate::credential::session;
use crate::credential::sso_token;
use crate::credential::verified::{ActingClaims, Claims, CredentialKey, Verified};
use crate::jose::error::TokenError;
use crate::jose::jws::UntrustedJws;
use crate::model::api_token::{self, ApiToken};
use crate::platform::time::Timestamp;
use crate::site::Source;
use crate::store::api_tokens::ApiTokens;

/// Verifies one credential: signature and claims, or the memory of them; then what changes with
/// time.
///
/// # Errors
/// Why it is not accepted.
pub async fn verify(
    ctx: &Ctx<'_>,
    source: Source,
    credential: &str,
) -> Result<Principal, TokenError> {
    let Ctx {
        world, site, now, ..
    } = *ctx;
    let tenancy = ctx.presented.tenancy;
    tenancy.require()?;
    let kind = match source {
        Source::Session => "session",
        Source::ApiKey => tenancy.key_kind(),
        Source::SsoCookie | Source::Query | Source::Bearer | Source::Header => tenancy.kind(),
    };
    let key = CredentialKey::new(&site.name, kind, credential);
    let known = world.cache.credential(&key);
    let verified =
        if let Some(known) = known.filter(|known| validity::is_still_known(world, known, now)) {
            known
        } else if source == Source::ApiKey && !credential.starts_with(api_token::PREFIX) {
            Box::pin(others_key::verify(ctx, key, credential)).await?
        } else {
            let claims = match source {
                Source::Session => {
                    session::read(&world.config, site, credential, now).map(Claims::Session)?
                }
                Source::ApiKey => Claims::ApiToken(Box::pin(acting(ctx, credential)).await?),
                _ if is_foreign(ctx, credential)? => {
                    let read = foreign::read(world, site, tenancy, credential, now);
                    Claims::Foreign(Box::pin(read).await?)
                }
                _ if !site.own_tokens => return Err(TokenError::OwnToken),
                _ => sso_token::read(&world.config, site, credential, now).map(Claims::Sso)?,
            };
            world.cache.put_credential(key, Verified::new(claims))
        };
    validity::check_current(ctx, source, verified).await
}

/// Whether a token is of another issuer: the site takes some, and it is not of one of our kinds.
fn is_foreign(ctx: &Ctx<'_>, credential: &str) -> Result<bool, TokenError> {
    if ctx.presented.tenancy.issuers(ctx.site).is_empty() {
        return Ok(false);
    }
    Ok(!UntrustedJws::parse(credential)?.names_our_kind())
}

/// When an API token ends that has no end: the last second of the year 9999.
const NO_END: Timestamp = Timestamp::from_seconds(253_402_300_799);

/// The API token of ours, as the user that it acts as.
async fn acting(ctx: &Ctx<'_>, credential: &str) -> Result<ActingClaims, TokenError> {
    let Ctx { world, now, .. } = *ctx;
    // Without a client, attempts are not counted.
    let client = ctx.presented.client.filter(|_| !ctx.is_dry());
    let acts = |token: &ApiToken| token.acts_as.is_some();
    let token = attempts::api_token(world, client, Some(credential), acts, now).await?;
    if !ctx.is_dry() {
        // A failure to note the use is no reason to refuse a good call.
        let _ = ApiTokens(&*world.platform.kv)
            .note_use(&token.id, now)
            .await;
    }
    Ok(ActingClaims {
        id: token.id,
        user: token.acts_as.ok_or(TokenError::ApiToken)?,
        expires_at: token.expires_at.unwrap_or(NO_END),
        read_at: now,
    })
}
