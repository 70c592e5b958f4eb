//! The claims that every token of ours has, and their validation (RFC 7519 §4.1, RFC 8725
//! §3.8–3.10).

use serde_json::{Map, Value};

use crate::jose::error::TokenError;
use crate::platform::time::{Seconds, Timestamp};

/// The largest accepted `NumericDate`: beyond 2^53, a double cannot represent every second.
const MAX_DATE: u64 = 1 << 53;

/// The tolerated clock difference between two data centres: only Edgeward issues these tokens.
const LEEWAY: Seconds = Seconds(5);

/// What the claims of a token must be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Compared exactly.
    pub issuer: &'a str,
    /// Must be in `aud`.
    pub audience: &'a str,
    pub max_lifetime: Seconds,
}

/// Validated registered claims.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registered {
    /// `sub`.
    pub subject: String,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `jti`.
    pub id: String,
}

/// Validates `claims` at `now`. Issuer and audience come before time, so that only a token that was
/// meant for us can be reported as expired.
///
/// # Errors
/// [`TokenError::ClaimForm`] for a claim of the wrong type, [`TokenError::MissingClaim`],
/// [`TokenError::Issuer`], [`TokenError::Audience`], [`TokenError::Lifetime`],
/// [`TokenError::NotYet`], [`TokenError::Expired`].
pub fn check(
    claims: &Map<String, Value>,
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<Registered, TokenError> {
    let issuer = text(claims, "iss")?.ok_or(TokenError::MissingClaim("iss"))?;
    if issuer != expected.issuer {
        return Err(TokenError::Issuer);
    }
    if !names_audience(claims.get("aud"), expected.audience)? {
        return Err(TokenError::Audience);
    }
    let expires_at = date(claims, "exp")?.ok_or(TokenError::MissingClaim("exp"))?;
    let issued_at = date(claims, "iat")?.ok_or(TokenError::MissingClaim("iat"))?;
    let not_before = date(claims, "nbf")?;
    let subject = text(claims, "sub")?.filter(|sub| !sub.is_empty());
    let id = text(claims, "jti")?.filter(|jti| !jti.is_empty());
    let subject = subject.ok_or(TokenError::MissingClaim("sub"))?;
    let id = id.ok_or(TokenError::MissingClaim("jti"))?;
    if expires_at > issued_at + expected.max_lifetime {
        return Err(TokenError::Lifetime);
    }
    let latest = now + LEEWAY;
    if issued_at > latest || not_before.is_some_and(|from| from > latest) {
        return Err(TokenError::NotYet);
    }
    if now >= expires_at {
        return Err(TokenError::Expired);
    }
    Ok(Registered {
        subject: subject.to_owned(),
        issued_at,
        expires_at,
        id: id.to_owned(),
    })
}

/// A claim that must be a string if present.
pub(crate) fn text<'a>(
    claims: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(value)) => Ok(Some(value)),
        Some(_) => Err(TokenError::ClaimForm(name)),
    }
}

/// A `NumericDate` (RFC 7519 §2): a number, with or without a fraction, from 0 to 2^53.
pub(crate) fn date(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Timestamp>, TokenError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let Value::Number(number) = value else {
        return Err(TokenError::ClaimForm(name));
    };
    let seconds = match (number.as_u64(), number.as_f64()) {
        (Some(seconds), _) => seconds,
        (None, Some(seconds)) if (0.0..=9_007_199_254_740_992.0).contains(&seconds) => {
            // Within range, so the cast neither wraps nor saturates; it drops the fraction.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "range checked above"
            )]
            let whole = seconds as u64;
            whole
        }
        _ => return Err(TokenError::ClaimForm(name)),
    };
    if seconds > MAX_DATE {
        return Err(TokenError::ClaimForm(name));
    }
    Ok(Some(Timestamp::from_seconds(seconds)))
}

/// Whether `aud` names `audience`. It is a string or a list of strings (RFC 7519 §4.1.3), compared
/// exactly.
pub(crate) fn names_audience(aud: Option<&Value>, audience: &str) -> Result<bool, TokenError> {
    match aud {
        None => Err(TokenError::MissingClaim("aud")),
        Some(Value::String(one)) => Ok(one == audience),
        Some(Value::Array(many)) => {
            if many.iter().any(|one| !one.is_string()) {
                return Err(TokenError::ClaimForm("aud"));
            }
            Ok(many.iter().any(|one| one == audience))
        }
        Some(_) => Err(TokenError::ClaimForm("aud")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn expected() -> Expected<'static> {
        Expected {
            issuer: "edgeward",
            audience: "site",
            max_lifetime: Seconds(900),
        }
    }

    fn good() -> Value {
        json!({"iss":"edgeward","aud":"site","sub":"u","jti":"j","iat":1_700_000_000_u64,"exp":1_700_000_600_u64})
    }

    fn check_with(name: &str, value: Value) -> Result<Registered, TokenError> {
        let mut claims = good();
        claims[name] = value;
        check(claims.as_object().unwrap(), expected(), NOW)
    }

    #[test]
    fn good_claims_pass() {
        let registered = check(good().as_object().unwrap(), expected(), NOW).unwrap();
        assert_eq!(
            registered.expires_at,
            Timestamp::from_seconds(1_700_000_600)
        );
        assert!(check_with("exp", json!(1_700_000_600.5)).is_ok());
        assert!(check_with("nbf", json!(1_700_000_000)).is_ok());
    }

    #[test]
    fn sec_4_dates_that_are_no_numbers_are_refused() {
        for name in ["exp", "nbf", "iat"] {
            for value in [
                "\"1700000300\"",
                "true",
                "null",
                "[1700000300]",
                "{}",
                "-1",
                "-0.5",
                "9007199254740993",
                "1e300",
            ] {
                let value: Value = serde_json::from_str(value).unwrap();
                assert_eq!(
                    check_with(name, value.clone()).err(),
                    Some(TokenError::ClaimForm(name)),
                    "{name} {value}"
                );
            }
        }
        for text in [r#"{"exp":1e400}"#, r#"{"exp":NaN}"#, r#"{"exp":Infinity}"#] {
            assert!(serde_json::from_str::<crate::jose::json::StrictObject>(text).is_err());
        }
    }

    #[test]
    fn every_claim_is_required() {
        for name in ["iss", "aud", "sub", "jti", "iat", "exp"] {
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(name);
            assert_eq!(
                check(claims.as_object().unwrap(), expected(), NOW).err(),
                Some(TokenError::MissingClaim(name)),
                "{name}"
            );
        }
    }

    #[test]
    fn sec_18_the_audience_is_compared_whole() {
        for value in [json!("site"), json!(["site"]), json!(["other", "site"])] {
            assert!(check_with("aud", value).is_ok());
        }
        for value in [
            json!(""),
            json!([]),
            json!("sit"),
            json!("site2"),
            json!("xsite"),
            json!("SITE"),
            json!(["si", "te"]),
        ] {
            assert_eq!(
                check_with("aud", value.clone()).err(),
                Some(TokenError::Audience),
                "{value}"
            );
        }
        for value in [
            json!(null),
            json!(1),
            json!({"site": true}),
            json!(["site", 1]),
            json!([["site"]]),
        ] {
            assert_eq!(
                check_with("aud", value.clone()).err(),
                Some(TokenError::ClaimForm("aud")),
                "{value}"
            );
        }
    }

    #[test]
    fn the_issuer_is_compared_whole() {
        for value in ["edge", "edgeward2", "Edgeward", ""] {
            assert_eq!(
                check_with("iss", json!(value)).err(),
                Some(TokenError::Issuer)
            );
        }
    }

    #[test]
    fn time_is_bounded_on_both_sides() {
        assert_eq!(
            check_with("exp", json!(1_700_000_000)).err(),
            Some(TokenError::Expired)
        );
        assert_eq!(
            check_with("exp", json!(1_700_000_901)).err(),
            Some(TokenError::Lifetime)
        );
        assert_eq!(
            check_with("iat", json!(1_700_000_006)).err(),
            Some(TokenError::NotYet)
        );
        assert_eq!(
            check_with("nbf", json!(1_700_000_006)).err(),
            Some(TokenError::NotYet)
        );
        assert!(check_with("iat", json!(1_700_000_005)).is_ok());
    }

    #[test]
    fn sec_21_another_error_is_never_called_expired() {
        let mut claims = good();
        claims["exp"] = json!(1);
        for (name, value, error) in [
            ("iss", json!("other"), TokenError::Issuer),
            ("aud", json!("other"), TokenError::Audience),
            ("nbf", json!("x"), TokenError::ClaimForm("nbf")),
        ] {
            let mut both = claims.clone();
            both[name] = value;
            assert_eq!(
                check(both.as_object().unwrap(), expected(), NOW).err(),
                Some(error)
            );
        }
    }
}
