//! What we sign to authenticate to a token endpoint: an assertion (RFC 7523 §2.2, Core 1.0 §9), or the client secret that
//! Apple wants, which is one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::memory::world::World;
use crate::platform::digest::{random_text, sha256};
use crate::platform::port::{Fault, SealedKey};
use crate::platform::time::{Seconds, Timestamp};
use crate::site::provider::{AssertionKey, Provider};

/// How long one is good. One is made for each call.
const LIFETIME: Seconds = Seconds(120);

/// The value of `client_assertion_type`.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An assertion for `audience`.
///
/// # Errors
/// A [`Fault`], also for a key that the platform does not take.
pub(super) async fn sign(
    world: &World,
    provider: &Provider,
    key: &AssertionKey,
    audience: &str,
    now: Timestamp,
) -> Result<String, Fault> {
    let platform = &world.platform;
    let client_id = &provider.client_id;
    let mut header = json!({"alg": key.algorithm.name(), "typ": "JWT"});
    if let (Some(kid), Some(members)) = (&key.kid, header.as_object_mut()) {
        members.insert("kid".into(), kid.as_str().into());
    }
    let claims = json!({
        "iss": key.team.as_ref().unwrap_or(client_id),
        "sub": client_id,
        "aud": audience,
        "iat": now.seconds(),
        "exp": (now + LIFETIME).seconds(),
        "jti": random_text(&*platform.entropy),
    });
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = [&encoded(&header), ".", &encoded(&claims)].concat();
    // The platform signs with keys that are sealed.
    let secret = sha256(&key.pkcs8);
    if key.sealed.get().is_none() {
        let sealed = platform.crypto.seal(&secret, &key.pkcs8).await?;
        let _ = key.sealed.set(sealed);
    }
    let private = SealedKey {
        secret: &secret,
        sealed: key.sealed.get().ok_or(Fault::Crypto)?,
    };
    let signature = platform
        .crypto
        .sign(key.algorithm, private, input.as_bytes());
    Ok([&input, ".", &URL_SAFE_NO_PAD.encode(signature.await?)].concat())
}
