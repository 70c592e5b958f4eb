//! A sign-in at a provider: its endpoints, the exchange of the code, and what the ID token must say besides what the tokens
//! of every issuer must (Core 1.0 §3.1.3). The token is verified as those of other issuers are.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha384, Sha512};

use crate::answer::denial::Denial;
use crate::ask::ctx::Ctx;
use crate::authn::principal::Principal;
use crate::authn::{attempts, binding, client_assertion, foreign, github, jwks, renewal, validity};
use crate::credential::attempt::Attempt;
use crate::credential::verified::{Claims, Verified};
use crate::http::client::Client;
use crate::http::host::fetchable_host;
use crate::http::query;
use crate::jose::error::TokenError;
use crate::jose::json::StrictObject;
use crate::jose::jws::UntrustedJws;
use crate::jose::jwt;
use crate::memory::issuer_keys::KeysCause;
use crate::memory::provider::{Endpoints, ProviderCause};
use crate::memory::turns::{self, TurnKey};
use crate::memory::world::World;
use crate::model::claim::leads_through;
use crate::model::user::Name;
use crate::model::user::subject::IssuerSubject;
use crate::platform::algorithm::Algorithm;
use crate::platform::digest::sha256;
use crate::platform::port::{Fault, Incoming, Outgoing};
use crate::platform::time::{Seconds, Timestamp};
use crate::site::issuer::{Issuer, KeySource, RemoteKeys};
use crate::site::provider::{ClientAuthentication, Provider};
use crate::site::tenant::Tenancy;
use crate::site::{Site, Source};
use crate::store::provider_tokens::ProviderTokens;

/// How long a provider may take for one answer, in milliseconds.
const TIMEOUT: u32 = 10_000;
/// How long a provider is not asked again after it has failed.
const FAILED_FOR: Seconds = Seconds(2);
/// How long ago an ID token may have been made.
const MAX_AGE: Seconds = Seconds(600);
/// The longest URL of an endpoint.
const MAX_URL: usize = 1024;
/// Core 1.0 §2.
const MAX_SUBJECT: usize = 255;

/// The endpoints of a provider, from memory while they are fresh, or while it cannot be reached and they are not too old.
/// Of the requests of an isolate that need them at once, one asks.
///
/// # Errors
/// Why there are none that may be used.
pub async fn endpoints(
    world: &World,
    provider: &Provider,
    now: Timestamp,
) -> Result<Rc<Endpoints>, ProviderCause> {
    let issuer = &provider.issuer;
    let KeySource::Remote(remote) = &issuer.keys else {
        return Err(ProviderCause::Keys);
    };
    if provider.github.is_some() {
        return Ok(Rc::new(github::endpoints(remote)));
    }
    let memory = &world.cache.issuer_keys;
    let known = |age: Seconds| {
        let known = memory.state(issuer).endpoints;
        let known = known.filter(|(_, asked_at)| now < *asked_at + age);
        known.map(|(endpoints, _)| endpoints)
    };
    let look = || {
        if let Some(fresh) = known(remote.ttl) {
            return Some(Ok(fresh));
        }
        let failed = memory.state(issuer).endpoints_failed;
        let (cause, _) = failed.filter(|(_, at)| now < *at + FAILED_FOR)?;
        Some(known(remote.stale).ok_or(cause))
    };
    let fetch = async || {
        let asked = ask(world, remote).await.map(Rc::new);
        memory.change(issuer, |state| match &asked {
            Ok(endpoints) => {
                state.endpoints = Some((Rc::clone(endpoints), now));
                state.endpoints_failed = None;
            }
            Err(cause) => state.endpoints_failed = Some((*cause, now)),
        });
        Ok(asked.or_else(|cause| known(remote.stale).ok_or(cause)))
    };
    let turn = TurnKey::Endpoints(issuer.name.clone());
    let shared = Box::pin(turns::share(world, turn, look, fetch)).await;
    shared.unwrap_or(Err(ProviderCause::Discovery(KeysCause::Overloaded)))
}

async fn ask(world: &World, remote: &RemoteKeys) -> Result<Endpoints, ProviderCause> {
    let document = jwks::document(world, remote, &remote.url).await;
    let document = document.and_then(|document| jwks::discovery(&document, remote));
    let document = document.map_err(ProviderCause::Discovery)?;
    let loopback = remote.loopback.as_deref();
    let find = |name: &'static str| {
        let url = document.get(name).and_then(Value::as_str);
        let usable = |url: &&str| url.len() <= MAX_URL && fetchable_host(url, loopback).is_some();
        let url = url.filter(usable).map(str::to_owned);
        url.ok_or(ProviderCause::NoEndpoint(name))
    };
    let says_iss = document.get("authorization_response_iss_parameter_supported");
    Ok(Endpoints {
        authorization: find("authorization_endpoint")?,
        token: find("token_endpoint")?,
        userinfo: find("userinfo_endpoint").ok(),
        end_session: find("end_session_endpoint").ok(),
        says_iss: says_iss == Some(&Value::Bool(true)),
    })
}

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
    let (id, claims, tokens) = match claims(ctx, response).await {
        Ok(claims) => claims,
        Err(cause @ ProviderCause::Refused(..)) => {
            // Anybody can come back with a code that the provider has never given.
            let (client, reason) = (Some(Client::of(ctx.parts)), TokenError::ApiToken);
            let noted = attempts::note_failure(ctx.world, client, reason, ctx.now);
            return Err(match noted.await? {
                TokenError::TooManyAttempts => TokenError::TooManyAttempts.into(),
                _ => failed(cause),
            });
        }
        Err(cause) => return Err(failed(cause)),
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
    let admitted = admit_person(ctx, ctx.site, issuer, (id, claims), names, made_after);
    Ok((Box::pin(admitted).await.map_err(refused)?, tokens))
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

const TOKEN: &str = "token endpoint";
pub(super) const USERINFO: &str = "userinfo endpoint";

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

/// Exchanges a grant at the token endpoint.
pub(super) async fn redeem(
    world: &World,
    provider: &Provider,
    url: &str,
    grant: &[(&str, &str)],
    now: Timestamp,
) -> Result<Map<String, Value>, ProviderCause> {
    let mut fields = grant.to_vec();
    let mut headers = vec![
        ("accept", "application/json"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let assertion;
    match &provider.authentication {
        ClientAuthentication::Basic(credential) => headers.push(("authorization", &credential.0)),
        ClientAuthentication::Post(secret) => {
            fields.push(("client_id", &provider.client_id));
            fields.push(("client_secret", &secret.0));
        }
        ClientAuthentication::Assertion(key) => {
            let audience = if key.for_endpoint {
                url
            } else {
                &provider.issuer.issuer
            };
            let signed = client_assertion::sign(world, provider, key, audience, now).await;
            assertion = signed.map_err(|_| ProviderCause::ClientKey)?;
            fields.push(("client_id", &provider.client_id));
            if key.team.is_some() {
                fields.push(("client_secret", &assertion));
            } else {
                fields.push(("client_assertion_type", client_assertion::TYPE));
                fields.push(("client_assertion", &assertion));
            }
        }
        ClientAuthentication::None => fields.push(("client_id", &provider.client_id)),
    }
    let body = form(&fields);
    let request = Outgoing {
        method: "POST",
        url,
        headers: &headers,
        body: Some(&body),
        limit: jwks::MAX_DOCUMENT,
        timeout: TIMEOUT,
    };
    let answer = send(world, provider, TOKEN, request).await?;
    let said = serde_json::from_slice::<StrictObject>(&answer.body).ok();
    let said = said.as_ref().and_then(|said| said.0.get("error")?.as_str());
    // GitHub's errors have the status 200.
    if answer.status != 200 || said.is_some() {
        let error = known_error(said.unwrap_or_default());
        return Err(ProviderCause::Refused(answer.status, error));
    }
    object(TOKEN, &answer)
}

async fn userinfo(
    world: &World,
    provider: &Provider,
    endpoints: &Endpoints,
    access_token: &str,
) -> Result<Map<String, Value>, ProviderCause> {
    let url = endpoints.userinfo.as_deref();
    let url = url.ok_or(ProviderCause::NoEndpoint("userinfo_endpoint"))?;
    let answer = get(world, provider, USERINFO, url, access_token).await?;
    object(USERINFO, &answer)
}

/// The answer to a request with an access token.
pub(super) async fn get(
    world: &World,
    provider: &Provider,
    what: &'static str,
    url: &str,
    access_token: &str,
) -> Result<Incoming, ProviderCause> {
    let authorization = ["Bearer ", access_token].concat();
    let request = Outgoing {
        method: "GET",
        url,
        headers: &[
            ("accept", "application/json"),
            ("authorization", &authorization),
            // GitHub answers nobody without one.
            ("user-agent", "edgeward"),
        ],
        body: None,
        limit: jwks::MAX_DOCUMENT,
        timeout: TIMEOUT,
    };
    send(world, provider, what, request).await
}

async fn send(
    world: &World,
    provider: &Provider,
    what: &'static str,
    request: Outgoing<'_>,
) -> Result<Incoming, ProviderCause> {
    let loopback = match &provider.issuer.keys {
        KeySource::Remote(remote) => remote.loopback.as_deref(),
        KeySource::Secrets(_) | KeySource::Fixed(_) => None,
    };
    let answer = jwks::answer_to(world, loopback, request).await;
    let answer = answer.map_err(|cause| ProviderCause::Endpoint(what, cause))?;
    // A redirect may lead anywhere.
    if (300..400).contains(&answer.status) {
        let cause = KeysCause::Redirect(answer.status);
        return Err(ProviderCause::Endpoint(what, cause));
    }
    Ok(answer)
}

pub(super) fn object(
    what: &'static str,
    answer: &Incoming,
) -> Result<Map<String, Value>, ProviderCause> {
    if answer.status != 200 {
        let cause = KeysCause::Status(answer.status);
        return Err(ProviderCause::Endpoint(what, cause));
    }
    let object: Result<StrictObject, _> = serde_json::from_slice(&answer.body);
    object
        .map(|object| object.0)
        .map_err(|_| ProviderCause::Form(what))
}

/// Fields as a form, or as a query.
#[must_use]
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields
        .iter()
        .map(|(name, value)| [name, "=", &query::encode(value)].concat());
    let pairs: Vec<String> = pairs.collect();
    pairs.join("&")
}

/// The error of a provider, if it is one that standards know: any other text may be anything.
#[must_use]
pub fn known_error(text: &str) -> &'static str {
    const KNOWN: [&str; 21] = [
        "access_denied",
        "account_selection_required",
        "bad_verification_code",
        "consent_required",
        "incorrect_client_credentials",
        "interaction_required",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "login_required",
        "redirect_uri_mismatch",
        "registration_not_supported",
        "request_not_supported",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unmet_authentication_requirements",
        "unsupported_grant_type",
        "unsupported_response_type",
        "user_cancelled_authorize",
    ];
    let known = KNOWN.into_iter().find(|known| *known == text);
    known.unwrap_or("unknown")
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

/// A logout token of a provider (Back-Channel Logout 1.0 §2.4): whom it is about, and its `jti`.
pub struct LoggedOut {
    pub subject: IssuerSubject,
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
    let sub = jwt::text(&claims, "sub")?.ok_or(TokenError::MissingClaim("sub"))?;
    let iss = jwt::text(&claims, "iss")?.ok_or(TokenError::MissingClaim("iss"))?;
    Ok(LoggedOut {
        subject: IssuerSubject::parse(iss, sub).ok_or(TokenError::ClaimForm("sub"))?,
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

/// Adds claims that the ID token lacks. That an address is verified is about the address beside it only.
fn add(provider: &Provider, claims: &mut Map<String, Value>, more: Map<String, Value>) {
    let mapping = &provider.issuer.claims;
    let has_address = mapping.email.find(claims).is_some();
    let about_another =
        |name: &str| has_address && leads_through(mapping.email_verified.as_str(), name);
    for (name, value) in more {
        if !about_another(&name) && !claims.contains_key(&name) {
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

    #[test]
    fn only_errors_that_standards_know_are_told() {
        assert_eq!(known_error("access_denied"), "access_denied");
        for other in ["", "ACCESS_DENIED", "x\ny", "<b>"] {
            assert_eq!(known_error(other), "unknown", "{other}");
        }
    }
}
