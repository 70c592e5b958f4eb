//! API keys and opaque tokens that others hand out: an issuer's endpoint says whose they are, by USSO's form or by
//! introspection (RFC 7662). What it says is read like the claims of a token, and remembered for the time that the issuer's
//! table states, so a key that is revoked there ends here within that time.
//!
//! Nothing but a clear yes lets anybody in. A key is sent to that endpoint alone, and is in no log and no store.

use std::cell::Cell;
use std::rc::Rc;

use serde_json::{Map, Value, json};

use crate::ask::ctx::Ctx;
use crate::authn::{attempts, foreign, jwks, validity};
use crate::credential::stray;
use crate::credential::verified::{Claims, CredentialKey, Verified};
use crate::http::query;
use crate::jose::error::TokenError;
use crate::jose::json::StrictObject;
use crate::jose::jwt;
use crate::memory::turns::{self, TurnKey};
use crate::platform::digest::{hex, sha256};
use crate::platform::port::{Fault, Incoming, Outgoing};
use crate::platform::time::Seconds;
use crate::site::issuer::{Form, Issuer, Verification};

/// The longest key that is asked about, in bytes.
const MAX_KEY: usize = 4096;
/// How long a key that is not good is refused without asking again.
const REFUSED_FOR: Seconds = Seconds(10);
/// How long nothing is asked again after the endpoint has failed.
const FAILED_FOR: Seconds = Seconds(2);
/// An endpoint's answer that it is asked too often (RFC 6585 §4).
const TOO_MANY_REQUESTS: u16 = 429;

/// Whom a key stands for, of which this isolate does not know that it is good.
///
/// # Errors
/// [`TokenError::ApiToken`] and others for a key that is not good, or a fault if nobody knows.
pub async fn verify(
    ctx: &Ctx<'_>,
    key: CredentialKey,
    credential: &str,
) -> Result<Rc<Verified>, TokenError> {
    let Ctx { world, now, .. } = *ctx;
    let memory = &world.cache.attempts;
    let mut verifying = ctx.presented.tenancy.issuers(ctx.site).iter();
    let found = verifying.find_map(|issuer| Some((issuer, issuer.verification.as_ref()?)));
    let (issuer, verification) = found.ok_or(TokenError::ApiToken)?;
    if credential.len() > MAX_KEY {
        return Err(TokenError::TooLong);
    }
    // Whoever gets it could use it here.
    if stray::is_in(credential) {
        return Err(TokenError::OwnCredential);
    }
    // What an issuer says is judged for a tenant, so its outcome is the tenant's alone.
    let tenant = ctx.presented.tenancy.key_kind();
    let id = format!("{}\n{tenant}\n{credential}", issuer.name);
    let id = hex(&sha256(id.as_bytes()));
    let endpoint = endpoint_id(issuer);
    let has_asked = Cell::new(false);
    let client = ctx.presented.client.filter(|_| !ctx.is_dry());
    attempts::admit(world, client, Some(&id), now)?;
    let look = || {
        let known = world.cache.credential(&key);
        if let Some(known) = known.filter(|known| validity::is_still_known(world, known, now)) {
            return Some(Ok(known));
        }
        let outcome = memory.outcome(&id, now);
        outcome
            .or_else(|| memory.outcome(&endpoint, now))
            .map(|is_fault| {
                Err(if is_fault {
                    TokenError::Fault(Fault::Verification)
                } else {
                    TokenError::ApiToken
                })
            })
    };
    let fetch = async || {
        world.platform.background.admit()?;
        has_asked.set(true);
        let outcome = match ask(ctx, issuer, verification, credential, &id).await {
            Ok(claims) => {
                memory.good.borrow_mut().put(id.clone(), ());
                let verified = Verified::new(Claims::Foreign(claims));
                // It is in no URL, so it is no link.
                verified.remember(|memo| memo.no_link = true);
                return Ok(Ok(world.cache.put_credential(key.clone(), verified)));
            }
            Err(error) => error,
        };
        let is_fault = matches!(outcome, TokenError::Fault(_));
        let hold = if is_fault { FAILED_FOR } else { REFUSED_FOR };
        let mut outcomes = memory.outcomes.borrow_mut();
        outcomes.put(id.clone(), (is_fault, now + hold));
        Ok(Err(outcome))
    };
    let verified = Box::pin(turns::share(world, TurnKey::Key(id.clone()), look, fetch)).await?;
    match verified {
        // Whoever tries new keys at an endpoint that fails is counted too, or nothing would slow them down.
        Err(error @ TokenError::Fault(Fault::Verification)) => {
            if !has_asked.get() || memory.good.borrow_mut().get(&id).is_some() {
                return Err(error);
            }
            Err(attempts::note_failure(world, client, error, now).await?)
        }
        Err(error) if !matches!(error, TokenError::Fault(_)) => {
            memory.good.borrow_mut().pop(&id);
            Err(attempts::note_failure(world, client, error, now).await?)
        }
        verified => verified,
    }
}

/// What an endpoint's own failures are remembered by; that of a key has no blank.
fn endpoint_id(issuer: &Issuer) -> String {
    format!("endpoint of {}", issuer.name)
}

/// What the endpoint says of a key.
async fn ask(
    ctx: &Ctx<'_>,
    issuer: &Rc<Issuer>,
    verification: &Verification,
    key: &str,
    id: &str,
) -> Result<crate::credential::foreign::ForeignClaims, TokenError> {
    let Ctx { world, now, .. } = *ctx;
    let url = &verification.url;
    let loopback = verification.loopback.as_deref();
    jwks::may_ask(world, loopback, url).ok_or(Fault::Verification)?;
    let mut headers = vec![("accept", "application/json")];
    let body = match &verification.form {
        Form::Usso => {
            headers.push(("content-type", "application/json"));
            json!({ "api_key": key }).to_string()
        }
        Form::Introspection(authorization) => {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
            headers.push(("authorization", &authorization.0));
            let token = query::encode(key);
            format!("token={token}&token_type_hint=access_token")
        }
    };
    let request = Outgoing {
        method: "POST",
        url,
        headers: &headers,
        body: Some(&body),
        limit: jwks::MAX_DOCUMENT,
        timeout: jwks::TIMEOUT,
    };
    let asked = world.platform.fetch.fetch(request).await.ok();
    let Some(answer) = asked.filter(|answer| answer.status != TOO_MANY_REQUESTS) else {
        // That has to do with no key in particular, so the next one would fare no better.
        let mut outcomes = world.cache.attempts.outcomes.borrow_mut();
        outcomes.put(endpoint_id(issuer), (true, now + FAILED_FOR));
        return Err(Fault::Verification.into());
    };
    let mut claims = read(&verification.form, &answer)?;
    let ttl = Seconds(verification.ttl.0.min(issuer.max_lifetime.0));
    let until = now + ttl;
    settle(issuer, &verification.form, &mut claims)?;
    // The key has its own times. What is known of it ends with the first of its end and ours.
    if jwt::date(&claims, "exp")?.is_some_and(|end| end <= now) {
        return Err(TokenError::Expired);
    }
    let end = jwt::date(&claims, "exp")?.map_or(until, |end| end.min(until));
    claims.insert("iat".into(), json!(now.seconds()));
    claims.insert("exp".into(), json!(end.seconds()));
    let tenancy = ctx.presented.tenancy;
    let mut foreign = foreign::judge(world, ctx.site, tenancy, issuer, claims, id.to_owned(), now)?;
    // It is asked at every use, so it would always be the newest.
    foreign.says_email = false;
    foreign.expires_at = end;
    foreign.good_until = end;
    Ok(foreign)
}

/// The object that an answer has, if it says yes.
fn read(form: &Form, answer: &Incoming) -> Result<Map<String, Value>, TokenError> {
    match (form, answer.status) {
        (_, 200) => {}
        (Form::Usso, 400 | 401 | 403 | 404 | 422) | (Form::Introspection(_), 400) => {
            return Err(TokenError::ApiToken);
        }
        // Nothing is said of the key: a redirect may lead anywhere, and 401 is about our own secret.
        _ => return Err(Fault::Verification.into()),
    }
    let body: StrictObject =
        serde_json::from_slice(&answer.body).map_err(|_| Fault::Verification)?;
    let mut claims = body.0;
    // Whatever form it has, an answer that says that the key is not active, or no access token, is no yes.
    match claims.get("active") {
        None | Some(Value::Bool(true)) => {}
        Some(Value::Bool(false) | Value::Null) => return Err(TokenError::ApiToken),
        Some(_) => return Err(Fault::Verification.into()),
    }
    claims.retain(|_, value| !value.is_null());
    let used_for = claims.get("token_use").and_then(Value::as_str);
    if used_for.is_some_and(|used| !["access", "access_token"].contains(&used)) {
        return Err(TokenError::ApiToken);
    }
    if matches!(form, Form::Introspection(_)) {
        let says = |name: &str, expected: &str| {
            let said = claims.get(name).and_then(Value::as_str);
            said.is_some_and(|said| said.eq_ignore_ascii_case(expected))
        };
        if !claims.contains_key("active") {
            return Err(Fault::Verification.into());
        }
        // A refresh token may be active, too; and who presents a token that is bound to a key has to prove that key.
        if !says("token_type", "Bearer") || claims.contains_key("cnf") {
            return Err(TokenError::ApiToken);
        }
    }
    Ok(claims)
}

/// Adds what an answer may leave out. Introspection may name no audience; then the client that has the token must be one.
fn settle(issuer: &Issuer, form: &Form, claims: &mut Map<String, Value>) -> Result<(), TokenError> {
    if !claims.contains_key("iss") {
        claims.insert("iss".into(), json!(issuer.issuer));
    }
    if !claims.contains_key("aud") {
        let audience = match form {
            Form::Usso => issuer.audience.first().map(|first| json!(first)),
            Form::Introspection(_) => claims.get("client_id").cloned(),
        };
        claims.insert("aud".into(), audience.ok_or(TokenError::Audience)?);
    }
    Ok(())
}
