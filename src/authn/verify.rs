//! One credential: signature and claims, or the memory of them.

use crate::authn::place::Place;
use crate::authn::principal::Principal;
use crate::authn::{attempts, foreign, standing};
use crate::credential::session;
use crate::credential::sso_token;
use crate::credential::verified::{ActingClaims, Claims, CredentialKey, Verified};
use crate::jose::error::TokenError;
use crate::jose::jws::UntrustedJws;
use crate::memory::world::World;
use crate::model::api_token::ApiToken;
use crate::platform::time::Timestamp;
use crate::site::Source;
use crate::store::api_tokens::ApiTokens;

/// Verifies one credential: signature and claims, or the memory of them; then what changes with
/// time.
///
/// # Errors
/// Why it is not accepted.
pub async fn verify(
    world: &World,
    at: Place<'_>,
    source: Source,
    credential: &str,
) -> Result<Principal, TokenError> {
    let Place { site, now, .. } = at;
    let kind = match source {
        Source::Session => "session",
        Source::ApiKey => "api token",
        Source::SsoCookie | Source::Query | Source::Bearer | Source::Header => at.tenancy.kind(),
    };
    let key = CredentialKey::new(&site.name, kind, credential);
    let known = world.cache.credential(&key);
    let verified =
        if let Some(known) = known.filter(|known| standing::is_still_known(world, known, now)) {
            known
        } else {
            let claims = match source {
                Source::Session => {
                    session::read(&world.config, site, credential, now).map(Claims::Session)?
                }
                Source::ApiKey => Claims::ApiToken(Box::pin(acting(world, at, credential)).await?),
                _ if is_foreign(at, credential)? => {
                    let read = foreign::read(world, site, at.tenancy, credential, now);
                    Claims::Foreign(Box::pin(read).await?)
                }
                _ => sso_token::read(&world.config, site, credential, now).map(Claims::Sso)?,
            };
            world.cache.put_credential(key, Verified::new(claims))
        };
    standing::judge(world, at, source, verified).await
}

/// Whether a token is of another issuer: the site takes some, and it is not of one of our kinds.
fn is_foreign(at: Place<'_>, credential: &str) -> Result<bool, TokenError> {
    if at.tenancy.issuers(at.site).is_empty() {
        return Ok(false);
    }
    Ok(!UntrustedJws::parse(credential)?.names_our_kind())
}

/// When an API token ends that has no end: the last second of the year 9999.
const NO_END: Timestamp = Timestamp::from_seconds(253_402_300_799);

/// The API token behind `x-api-key`, as the user that it acts as.
async fn acting(
    world: &World,
    at: Place<'_>,
    credential: &str,
) -> Result<ActingClaims, TokenError> {
    let Place { client, now, .. } = at;
    let acts = |token: &ApiToken| token.acts_as.is_some();
    let token = attempts::api_token(world, client, Some(credential), acts, now).await?;
    // Keeping the books is no reason to turn a good call down.
    let _ = ApiTokens(&*world.platform.kv)
        .note_use(&token.id, now)
        .await;
    Ok(ActingClaims {
        id: token.id,
        user: token.acts_as.ok_or(TokenError::ApiToken)?,
        expires_at: token.expires_at.unwrap_or(NO_END),
        read_at: now,
    })
}
