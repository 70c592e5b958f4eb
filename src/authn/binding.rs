//! What binds a token of another issuer: `iss` to the issuer, `aud` to a place, `iat` and `exp` to a time. An issuer with
//! `unbound_tokens_reason` may leave out some of that; then its tokens may have no claims but the listed ones.

use serde_json::{Map, Value};

use crate::jose::error::TokenError;
use crate::jose::jwt;
use crate::platform::time::Timestamp;
use crate::site::issuer::Issuer;

/// The most claims that the log names at once.
const MAX_NAMED: usize = 5;

/// The names of claims that the issuer's tokens may not have. What is no plain name may be an address or a secret.
pub(super) fn unlisted(issuer: &Issuer, claims: &Map<String, Value>) -> Vec<String> {
    let Some(only) = &issuer.only_claims else {
        return Vec::new();
    };
    let names = claims.keys().filter(|name| !only.contains(name));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.:/".contains(&b);
    let shown = names.take(MAX_NAMED).map(|name| {
        if name.len() <= 64 && !name.is_empty() && name.bytes().all(plain) {
            name.clone()
        } else {
            "(not a plain name)".to_owned()
        }
    });
    shown.collect()
}

/// Whether the token is of `issuer` and for us.
///
/// # Errors
/// [`TokenError::Issuer`], [`TokenError::Audience`], or that of a claim.
pub(super) fn check_place(issuer: &Issuer, claims: &Map<String, Value>) -> Result<(), TokenError> {
    let tenant_id = if let Some(iss) = jwt::text(claims, "iss")? {
        let name = issuer.names.iter().find(|name| name.iss == iss);
        name.ok_or(TokenError::Issuer)?.tenant_id.as_deref()
    } else {
        may_lack(issuer, "iss")?;
        None
    };
    if tenant_id.is_some() && jwt::text(claims, "tid")? != tenant_id {
        return Err(TokenError::Issuer);
    }
    if let Some(aud) = claims.get("aud") {
        let mut for_us = false;
        for audience in &issuer.audience {
            for_us |= jwt::names_audience(Some(aud), audience)?;
        }
        if !for_us {
            return Err(TokenError::Audience);
        }
    } else {
        may_lack(issuer, "aud")?;
    }
    Ok(())
}

/// When the token was issued, and when it ends.
///
/// # Errors
/// That of a claim.
pub(super) fn read_times(
    issuer: &Issuer,
    claims: &Map<String, Value>,
) -> Result<(Timestamp, Timestamp), TokenError> {
    let expires_at = jwt::date(claims, "exp")?.ok_or(TokenError::MissingClaim("exp"))?;
    let issued_at = if let Some(issued_at) = jwt::date(claims, "iat")? {
        issued_at
    } else {
        may_lack(issuer, "iat")?;
        // What it does not say is taken to be as long ago as it may be, so that the end of a user's sessions ends it too.
        expires_at - issuer.max_lifetime
    };
    Ok((issued_at, expires_at))
}

fn may_lack(issuer: &Issuer, name: &'static str) -> Result<(), TokenError> {
    if issuer.lets_lack(name) {
        Ok(())
    } else {
        Err(TokenError::MissingClaim(name))
    }
}
