//! A sign-in at a provider: the exchange of the code, and what the ID token must say besides what the tokens
//! of every issuer must (Core 1.0 §3.1.3). The token is verified as those of other issuers are.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha384, Sha512};

use crate::answer::denial::Denial;
use crate::ask::ctx::Ctx;
use crate::authn::principal::Principal;
use crate::authn::provider_calls::{TOKEN, is_of_everybody, redeem, userinfo};
use crate::authn::{attempts, binding, foreign, github, renewal, validity};
use crate::credential::attempt::Attempt;
use crate::credential::verified::{Claims, Verified};
use crate::http::client::Client;
use crate::jose::error::TokenError;
use crate::jose::jws::UntrustedJws;
use crate::jose::jwt;
use crate::memory::provider::{Endpoints, ProviderCause};
use crate::memory::world::World;
use crate::model::claim::leads_through;
use crate::model::user::{Name, UserId};
use crate::platform::algorithm::Algorithm;
use crate::platform::digest::sha256;
use crate::platform::port::Fault;
use crate::platform::time::{Seconds, Timestamp};
use crate::site::issuer::{Issuer, UserIdentity};
use crate::site::provider::Provider;
use crate::site::tenant::Tenancy;
use crate::site::{Site, Source};
use crate::store::provider_sessions::{Named, ProviderSessions};
use crate::store::provider_tokens::ProviderTokens;

/// How long ago an ID token may have been made.
const MAX_AGE: Seconds = Seconds(600);
/// Core 1.0 §2.
const MAX_SUBJECT: usize = 255;

/// Turns down a client that has come back with too many codes that were none.
///
/// # Errors
/// [`TokenError::TooManyAttempts`].
pub fn admit(ctx: &Ctx<'_>) -> Result<(), TokenError> {
    attempts::admit(ctx.world, Some(Client::of(ctx.parts)), None, ctx.now)
}

/// A code that a provider has given, and the sign-in that it belongs to.
pub struct Response<'a> {
    pub provider: &'a Provider,
    pub endpoints: &'a Endpoints,
    pub attempt: &'a Attempt,
    /// The URI to which the code was sent.
    pub redirect_uri: &'a str,
    pub code: &'a str,
    /// First and last name, as the person's browser says them: for a new user, and nothing else.
    pub names: [Option<Name>; 2],
}

/// Who has signed in, and the provider's tokens if they are kept.
///
/// # Errors
/// [`Denial::Provider`] if the provider has not answered as it should, [`Denial::ProviderAccount`] if the person may not sign
/// in here, or a fault.
pub async fn sign_in(
    ctx: &Ctx<'_>,
    response: &Response<'_>,
) -> Result<(Principal, Option<ProviderTokens>), Denial> {
    let issuer = &response.provider.issuer;
    let name = || issuer.name.clone();
    let failed = |cause| Denial::Provider(name(), cause);
    // Whoever comes back with codes that are none must not keep a provider at its limits.
    let known = ctx.world.cache.issuer_keys.state(issuer).sign_in_failed;
    if let Some((_, cause)) = known.filter(|(at, _)| ctx.now < *at + FAILED_FOR) {
        return Err(failed(cause));
    }
    let (id, claims, tokens) = match claims(ctx, response).await {
        Ok(claims) => claims,
        Err(cause @ ProviderCause::Refused(..)) if !is_of_everybody(cause) => {
            // Anybody can come back with a code that the provider has never given.
            let (client, reason) = (Some(Client::of(ctx.parts)), TokenError::ApiToken);
            let noted = attempts::note_failure(ctx.world, client, reason, ctx.now);
            return Err(match noted.await? {
                TokenError::TooManyAttempts => TokenError::TooManyAttempts.into(),
                _ => failed(cause),
            });
        }
        Err(cause) => {
            if let ProviderCause::Refused(status, _) = cause
                && (status >= 500 || status == 429)
            {
                let failed = Some((ctx.now, cause));
                let issuers = &ctx.world.cache.issuer_keys;
                issuers.change(issuer, |state| state.sign_in_failed = failed);
            }
            return Err(failed(cause));
        }
    };
    let refused = |error| match error {
        TokenError::Fault(Fault::IssuerKeys) => failed(ProviderCause::Keys),
        TokenError::Fault(fault) => Denial::Fault(fault),
        error if is_about_person(response.provider, error) => {
            Denial::ProviderAccount(name(), error)
        }
        error => failed(ProviderCause::IdToken(error)),
    };
    // The nonce shows that it was made after the sign-in had begun, whatever the provider's clock says.
    let made_after = response.attempt.began_at;
    let names = &response.names;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let named = (text("iss"), [("sid", text("sid")), ("sub", text("sub"))]);
    let admitted = admit_person(ctx, ctx.site, issuer, (id, claims), names, made_after);
    let principal = Box::pin(admitted).await.map_err(refused)?;
    // Before there is a session: none begins that the provider could not end.
    Box::pin(note(ctx, response.provider, named, &principal.user().id)).await?;
    Ok((principal, tokens))
}

/// Notes whom the provider's logout tokens mean by these claims, as far as the user's record does not say it.
async fn note(
    ctx: &Ctx<'_>,
    provider: &Provider,
    (iss, named): (Option<String>, [(&'static str, Option<String>); 2]),
    user: &UserId,
) -> Result<(), Fault> {
    // GitHub signs no logout token.
    let Some(iss) = iss.filter(|_| provider.github.is_none()) else {
        return Ok(());
    };
    let is_known = provider.issuer.identity == UserIdentity::Subject;
    // A session of the gateway leads to others that begin as late as when it ends.
    let longest = ctx.world.config.sites().map(|site| site.session.absolute.0);
    let hold = Seconds(longest.max().unwrap_or_default().saturating_mul(2));
    let sessions = ProviderSessions {
        once: &*ctx.world.platform.once,
        now: ctx.now,
    };
    for (claim, value) in named {
        let Some(value) = value.filter(|_| claim == "sid" || !is_known) else {
            continue;
        };
        let named = Named {
            provider: provider.name(),
            iss: &iss,
            claim,
            value: &value,
        };
        sessions.note(named, user, hold).await?;
    }
    Ok(())
}

/// Who the claims of an ID token of this name are about, if they may be at `site`, where people sign in with it; such a site
/// has no tenants. `names` are theirs if the claims have none. The token was made after `made_after`.
///
/// # Errors
/// Why not, or a fault.
pub(super) async fn admit_person(
    ctx: &Ctx<'_>,
    site: &Site,
    issuer: &Rc<Issuer>,
    (id, claims): (String, Map<String, Value>),
    names: &[Option<Name>; 2],
    made_after: Timestamp,
) -> Result<Principal, TokenError> {
    let mut claims = foreign::judge(ctx.world, site, Tenancy::None, issuer, claims, id, ctx.now)?;
    if issuer.email_domains.is_some() && claims.email.is_none() {
        return Err(TokenError::EmailDomain);
    }
    for (known, said) in claims.names.iter_mut().zip(names) {
        *known = known.take().or_else(|| said.clone());
    }
    claims.issued_at = claims.issued_at.max(made_after);
    let verified = Rc::new(Verified::new(Claims::Foreign(claims)));
    validity::check_current(ctx, Source::SsoCookie, verified).await
}

/// Whether an ID token is right, but the person may not sign in here.
pub(super) fn is_about_person(provider: &Provider, error: TokenError) -> bool {
    let issuer = &provider.issuer;
    match error {
        TokenError::UnknownUser
        | TokenError::DisabledUser
        | TokenError::Ended
        | TokenError::EmailUnverified
        | TokenError::EmailDomain
        | TokenError::OtherTenant
        | TokenError::ClaimsTooLong => true,
        // Of a tenant that is not listed.
        TokenError::Issuer => issuer.names.iter().any(|name| name.tenant_id.is_some()),
        TokenError::MissingClaim(name) | TokenError::ClaimValue(name) => {
            issuer.requires(name) || name == issuer.claims.email.as_str()
        }
        _ => false,
    }
}

/// The claims of the ID token that a code is exchanged for, the token's name, and what is kept of the tokens.
async fn claims(
    ctx: &Ctx<'_>,
    response: &Response<'_>,
) -> Result<(String, Map<String, Value>, Option<ProviderTokens>), ProviderCause> {
    let answer = exchange(ctx.world, response, ctx.now).await?;
    let (provider, nonce) = (response.provider, response.attempt.nonce());
    if let Some(organizations) = &provider.github {
        let token = answer.get("access_token").and_then(Value::as_str);
        let token = token.ok_or(ProviderCause::Form(TOKEN))?;
        let claims = github::claims(ctx.world, response, token, organizations, ctx.now).await?;
        let tokens = renewal::gather(ctx, provider, &answer, &claims)?;
        return Ok((foreign::id_of(token), claims, tokens));
    }
    let read = read(ctx, provider, response.endpoints, &answer, (&nonce, true));
    let (id, claims) = Box::pin(read).await?;
    let tokens = renewal::gather(ctx, provider, &answer, &claims);
    Ok((id, claims, tokens?))
}

/// The ID token's name, and its claims with those that are read elsewhere, of the answer of a token endpoint. `nonce`: that of
/// the sign-in, and whether this is the sign-in.
pub(super) async fn read(
    ctx: &Ctx<'_>,
    provider: &Provider,
    endpoints: &Endpoints,
    answer: &Map<String, Value>,
    nonce: (&str, bool),
) -> Result<(String, Map<String, Value>), ProviderCause> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let token = text("id_token").ok_or(ProviderCause::Form(TOKEN))?;
    let access_token = text("access_token");
    let verified = verify(ctx, provider, nonce, token, access_token).await;
    let mut claims = verified.map_err(ProviderCause::IdToken)?;
    if provider.access_token_claims {
        let token = access_token.ok_or(ProviderCause::Form(TOKEN))?;
        let more = read_access_token(ctx, provider, token, &claims).await;
        add(
            provider,
            &mut claims,
            more.map_err(ProviderCause::AccessToken)?,
        );
    }
    if provider.userinfo {
        let token = access_token.ok_or(ProviderCause::Form(TOKEN))?;
        let more = userinfo(ctx.world, provider, endpoints, token).await?;
        if more.get("sub") != claims.get("sub") {
            return Err(ProviderCause::OtherSubject);
        }
        add(provider, &mut claims, more);
    }
    Ok((foreign::id_of(token), claims))
}

/// Exchanges the code (RFC 6749 §4.1.3).
async fn exchange(
    world: &World,
    response: &Response<'_>,
    now: Timestamp,
) -> Result<Map<String, Value>, ProviderCause> {
    let verifier = response.attempt.verifier();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", response.code),
        ("redirect_uri", response.redirect_uri),
        ("code_verifier", &verifier),
    ];
    let url = &response.endpoints.token;
    Box::pin(redeem(world, response.provider, url, &fields, now)).await
}

/// The claims of the ID token, with the checks of Core 1.0 §3.1.3.7 and §3.1.3.8 that are about this sign-in. Issuer,
/// audience and time are checked as those of every issuer's token.
async fn verify(
    ctx: &Ctx<'_>,
    provider: &Provider,
    (nonce, is_sign_in): (&str, bool),
    token: &str,
    access_token: Option<&str>,
) -> Result<Map<String, Value>, TokenError> {
    let issuer = &provider.issuer;
    let jws = UntrustedJws::parse(token)?;
    let algorithm = jws.algorithm_among(&issuer.algorithms, None)?;
    let claims = foreign::verified(ctx.world, issuer, &jws, None, ctx.now).await?;
    let sub = jwt::text(&claims, "sub")?.ok_or(TokenError::MissingClaim("sub"))?;
    if sub.is_empty() || sub.len() > MAX_SUBJECT {
        return Err(TokenError::ClaimForm("sub"));
    }
    let must_be = |name: &'static str, expected: &str| match jwt::text(&claims, name)? {
        None => Err(TokenError::MissingClaim(name)),
        Some(value) if value == expected => Ok(()),
        Some(_) => Err(TokenError::ClaimValue(name)),
    };
    // Core 1.0 §12.2: a renewed one need not have it.
    if is_sign_in || claims.contains_key("nonce") {
        must_be("nonce", nonce)?;
    }
    let is_for_others = matches!(claims.get("aud"), Some(Value::Array(many)) if many.len() > 1);
    if is_for_others || claims.contains_key("azp") {
        must_be("azp", &provider.client_id)?;
    }
    let earliest = |age: Seconds| ctx.now - Seconds(age.0 + issuer.leeway.0);
    let issued_at = jwt::date(&claims, "iat")?.ok_or(TokenError::MissingClaim("iat"))?;
    if issued_at < earliest(MAX_AGE) {
        return Err(TokenError::ClaimValue("iat"));
    }
    if let Some(max_age) = provider.max_age.filter(|_| is_sign_in) {
        let signed_in = jwt::date(&claims, "auth_time")?;
        let signed_in = signed_in.ok_or(TokenError::MissingClaim("auth_time"))?;
        if signed_in < earliest(max_age) {
            return Err(TokenError::ClaimValue("auth_time"));
        }
    }
    if claims.contains_key("at_hash") {
        let access_token = access_token.ok_or(TokenError::ClaimValue("at_hash"))?;
        must_be("at_hash", &half_hash(algorithm, access_token))?;
    }
    Ok(claims)
}

/// A logout token of a provider (Back-Channel Logout 1.0 §2.4): whom or which session it is about, and its `jti`.
pub struct LoggedOut {
    pub iss: String,
    /// `sub`, or `sid` where it has none.
    pub claim: &'static str,
    pub value: String,
    pub id: String,
}

/// Reads a logout token, with the checks of Back-Channel Logout 1.0 §2.6.
///
/// # Errors
/// Why it is none of this provider for us.
pub async fn read_logout_token(
    ctx: &Ctx<'_>,
    provider: &Provider,
    token: &str,
) -> Result<LoggedOut, TokenError> {
    let issuer = &provider.issuer;
    let jws = UntrustedJws::parse(token)?;
    // A token without a type of its own is told from an ID token by its claims.
    let own_type = Some("logout+jwt");
    let typed = jws.algorithm_among(&issuer.algorithms, own_type);
    let typ = own_type.filter(|_| typed != Err(TokenError::Type));
    let claims = foreign::verified(ctx.world, issuer, &jws, typ, ctx.now).await?;
    binding::check_place(issuer, &claims)?;
    let leeway = issuer.leeway;
    let issued_at = jwt::date(&claims, "iat")?.ok_or(TokenError::MissingClaim("iat"))?;
    if issued_at > ctx.now + leeway {
        return Err(TokenError::NotYet);
    }
    if issued_at < ctx.now - Seconds(MAX_AGE.0 + leeway.0) {
        return Err(TokenError::ClaimValue("iat"));
    }
    let expires_at = jwt::date(&claims, "exp")?.ok_or(TokenError::MissingClaim("exp"))?;
    if ctx.now >= expires_at + leeway {
        return Err(TokenError::Expired);
    }
    let id = jwt::text(&claims, "jti")?.ok_or(TokenError::MissingClaim("jti"))?;
    let events = claims.get("events").and_then(Value::as_object);
    let event = events.and_then(|events| events.get(LOGOUT_EVENT)?.as_object());
    event.ok_or(TokenError::ClaimValue("events"))?;
    // With it, an ID token would pass for one.
    if claims.contains_key("nonce") {
        return Err(TokenError::ClaimValue("nonce"));
    }
    let iss = jwt::text(&claims, "iss")?.ok_or(TokenError::MissingClaim("iss"))?;
    // Of a person all sessions end, whichever it names.
    let (claim, value) = match (jwt::text(&claims, "sub")?, jwt::text(&claims, "sid")?) {
        (Some(sub), _) => ("sub", sub),
        (None, Some(sid)) => ("sid", sid),
        (None, None) => return Err(TokenError::MissingClaim("sub")),
    };
    if value.is_empty() {
        return Err(TokenError::ClaimForm(claim));
    }
    Ok(LoggedOut {
        iss: iss.to_owned(),
        claim,
        value: value.to_owned(),
        id: id.to_owned(),
    })
}

/// The member of `events` that says what a logout token is.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The left half of a hash, by the algorithm of the signature (Core 1.0 §3.1.3.6).
fn half_hash(algorithm: Algorithm, text: &str) -> String {
    let whole: Vec<u8> = match algorithm {
        Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 | Algorithm::Hs384 => {
            Sha384::digest(text).to_vec()
        }
        Algorithm::Rs512
        | Algorithm::Ps512
        | Algorithm::Es512
        | Algorithm::Hs512
        | Algorithm::EdDsa => Sha512::digest(text).to_vec(),
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 | Algorithm::Hs256 => {
            sha256(text.as_bytes()).to_vec()
        }
    };
    let half = whole.get(..whole.len() / 2).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(half)
}

/// The claims of an access token that is a JWT by the same keys, given to us for the same person.
async fn read_access_token(
    ctx: &Ctx<'_>,
    provider: &Provider,
    token: &str,
    of_id_token: &Map<String, Value>,
) -> Result<Map<String, Value>, TokenError> {
    let jws = UntrustedJws::parse(token)?;
    let claims = foreign::verified(ctx.world, &provider.issuer, &jws, None, ctx.now).await?;
    for name in ["iss", "sub"] {
        if claims.get(name) != of_id_token.get(name) {
            return Err(TokenError::ClaimValue(name));
        }
    }
    if jwt::text(&claims, "azp")? != Some(&*provider.client_id) {
        return Err(TokenError::ClaimValue("azp"));
    }
    if jwt::text(&claims, "typ")?.is_some_and(|typ| !typ.eq_ignore_ascii_case("bearer")) {
        return Err(TokenError::ClaimValue("typ"));
    }
    let expires_at = jwt::date(&claims, "exp")?.ok_or(TokenError::MissingClaim("exp"))?;
    if ctx.now >= expires_at + provider.issuer.leeway {
        return Err(TokenError::Expired);
    }
    Ok(claims)
}

/// For how long a token endpoint that has failed is not asked again by this isolate.
const FAILED_FOR: Seconds = Seconds(2);

/// What is about the sign-in, and therefore counts in the ID token alone (Core 1.0 §2).
const OF_SIGN_IN: [&str; 4] = ["auth_time", "amr", "acr", "sid"];

/// Adds claims that the ID token lacks. That an address is verified is about the address beside it only.
fn add(provider: &Provider, claims: &mut Map<String, Value>, more: Map<String, Value>) {
    let mapping = &provider.issuer.claims;
    let has_address = mapping.email.find(claims).is_some();
    let about_another =
        |name: &str| has_address && leads_through(mapping.email_verified.as_str(), name);
    for (name, value) in more {
        let is_of_sign_in = OF_SIGN_IN.contains(&name.as_str());
        if !is_of_sign_in && !about_another(&name) && !claims.contains_key(&name) {
            claims.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_the_access_token_is_that_of_the_algorithm() {
        // Core 1.0, example of A.3, and its first half by hand.
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        let hash = half_hash(Algorithm::Rs256, token);
        assert_eq!(hash, "77QmUPtjPfzWtF2AnpK9RQ");
        assert_eq!(half_hash(Algorithm::Es384, token).len(), 32);
        assert_eq!(half_hash(Algorithm::EdDsa, token).len(), 43);
    }
}
