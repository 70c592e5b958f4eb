//! SSO tokens: issued by `POST /api/sso/token`, and verified when they are presented.

use serde_json::{Map, Value, json};

use crate::jose::error::TokenError;
use crate::jose::jws::{self, Kind, UntrustedJws};
use crate::jose::jwt::{self, Expected};
use crate::model::audit::Written;
use crate::model::user::{User, UserId};
use crate::platform::digest::random_text;
use crate::platform::port::Entropy;
use crate::platform::shelf::Weigh;
use crate::platform::time::Timestamp;
use crate::site::Site;
use crate::site::config::Config;

/// The claims of an SSO token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SsoClaims {
    pub user: UserId,
    /// The `jti`.
    pub id: String,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Weigh for SsoClaims {
    fn heap(&self) -> usize {
        self.user.heap() + self.id.heap()
    }
}

/// Issues a token for `user` at `site`.
#[must_use]
pub fn write(
    _: &Written,
    config: &Config,
    site: &Site,
    user: &User,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> String {
    let mut claims = Map::new();
    let issued_at = now.seconds();
    claims.insert(
        site.sso_token.user_id_claim.clone(),
        json!(user.id.as_str()),
    );
    if let Some(email) = user.address() {
        claims.insert("email".into(), json!(email));
    }
    claims.insert("sub".into(), json!(user.id.as_str()));
    claims.insert("iat".into(), json!(issued_at));
    claims.insert(
        "exp".into(),
        json!(issued_at + u64::from(site.sso_token.lifetime.0)),
    );
    claims.insert("iss".into(), json!(config.issuer));
    claims.insert("aud".into(), json!(site.audience));
    claims.insert("jti".into(), json!(random_text(entropy)));
    for (claim, name) in [
        ("username", user.username.as_str()),
        ("first_name", user.first_name.as_str()),
        ("last_name", user.last_name.as_str()),
    ] {
        if !name.is_empty() {
            claims.insert(claim.into(), json!(name));
        }
    }
    jws::sign(
        Kind::Sso,
        site.sso_token.algorithm,
        &config.keys.token,
        &Value::Object(claims),
    )
}

/// Verifies a token presented at `site`.
///
/// # Errors
/// Any [`TokenError`] of form, signature and claims.
pub fn read(
    config: &Config,
    site: &Site,
    token: &str,
    now: Timestamp,
) -> Result<SsoClaims, TokenError> {
    let claims = UntrustedJws::parse(token)?
        .verify(Kind::Sso, site.sso_token.algorithm, &config.keys.token)?
        .into_claims()?;
    let expected = Expected {
        issuer: &config.issuer,
        audience: &site.audience,
        max_lifetime: site.sso_token.max_lifetime,
    };
    let registered = jwt::check(&claims, expected, now)?;
    // Two claims name the user, and they must agree.
    let named = claims.get(&site.sso_token.user_id_claim);
    let named = named.ok_or(TokenError::MissingClaim("sso_token.user_id_claim"))?;
    if *named != *registered.subject {
        return Err(TokenError::ClaimForm("sso_token.user_id_claim"));
    }
    Ok(SsoClaims {
        user: UserId::parse(&registered.subject).ok_or(TokenError::Claims)?,
        id: registered.id,
        issued_at: registered.issued_at,
        expires_at: registered.expires_at,
    })
}
