//! The signed assertion: what the origin can check by itself. ES256, signed once per session and
//! sent again while it is fresh; its keys, their rotation and their publication.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::cache::{Claims, SignedAssertion};
use crate::config::Site;
use crate::config::site::Assertion;
use crate::port::{Fault, KeyPair};
use crate::principal::Principal;
use crate::store::signing_keys::{SigningKey, SigningKeyStore, SigningKeys};
use crate::time::{Seconds, Timestamp};
use crate::token::alg::sha256;
use crate::token::jws::{self, Kind};
use crate::world::World;

/// How long a new key is published before it signs: longer than the store and the isolates may lag,
/// and than the key set may be cached.
const PUBLISHED_BEFORE: Seconds = Seconds(300);
/// How long a key stays published after the next one signs: longer than any assertion lives.
const PUBLISHED_AFTER: Seconds = Seconds(900 + 300);
/// How long an isolate goes on with the keys it has read.
const KEYS_FRESH: Seconds = Seconds(60);
/// An assertion is sent until a third of its lifetime is left.
const FRESH_SHARE: u32 = 3;
/// Who makes the first key is settled for this long; then it can be read everywhere.
const FIRST_KEY_HOLD: Seconds = Seconds(180);
const FIRST_KEY: &str = "signing_keys:first";
const PURPOSE: &str = "edgeward signing key";

/// The assertion for `principal`, from memory while it is fresh.
///
/// # Errors
/// A [`Fault`] of store or crypto; the request then fails: an origin that expects an assertion
/// must not be reached without one.
pub async fn for_principal(
    world: &World,
    site: &Site,
    assertion: &Assertion,
    principal: &Principal,
    now: Timestamp,
) -> Result<Rc<str>, Fault> {
    let user = principal.user();
    let known = principal.verified().memo.borrow().assertion.clone();
    if let Some(known) =
        known.filter(|known| now < known.fresh_until && Rc::ptr_eq(&known.user, user))
    {
        return Ok(known.token);
    }
    let token: Rc<str> = Box::pin(sign(world, site, assertion, principal, now))
        .await?
        .into();
    let fresh = Seconds(assertion.lifetime.0 - assertion.lifetime.0 / FRESH_SHARE);
    principal.verified().memo.borrow_mut().assertion = Some(SignedAssertion {
        user: Rc::clone(user),
        fresh_until: now + fresh,
        token: Rc::clone(&token),
    });
    Ok(token)
}

async fn sign(
    world: &World,
    site: &Site,
    assertion: &Assertion,
    principal: &Principal,
    now: Timestamp,
) -> Result<String, Fault> {
    let keys = ready_keys(world, now).await?;
    let key = signing_key(&keys, now).ok_or(Fault::Record)?;
    let private = open(world, key).await?;
    let claims = claims(world, site, assertion, principal, now);
    let input = jws::signing_input(Kind::Assertion, "ES256", &key.kid, &claims);
    let signature = world
        .platform
        .crypto
        .sign(&private, input.as_bytes())
        .await?;
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn claims(
    world: &World,
    site: &Site,
    assertion: &Assertion,
    principal: &Principal,
    now: Timestamp,
) -> Value {
    let user = principal.user();
    let mut claims = json!({
        "iss": world.config.issuer,
        "aud": assertion.audience,
        "sub": user.id.as_str(),
        "email": user.email.as_str(),
        "username": user.username.as_str(),
        "name": user.display_name(),
        "roles": user.roles,
        "staff": user.staff,
        "superuser": user.superuser,
        "site": site.name,
        "iat": now.seconds(),
        "exp": (now + assertion.lifetime).seconds(),
    });
    if let (Claims::Session(session), Some(members)) =
        (&principal.verified().claims, claims.as_object_mut())
    {
        members.insert("sid".into(), json!(session.id));
    }
    claims
}

/// The key that signs now: the newest whose time has come.
fn signing_key(keys: &SigningKeys, now: Timestamp) -> Option<&SigningKey> {
    keys.keys
        .iter()
        .rev()
        .find(|key| key.signs_from <= now)
        .or(keys.keys.first())
}

/// The published key set (RFC 7517 §5): every key that has signed or will sign something that may
/// still be valid. Makes the first key when there is none.
///
/// # Errors
/// A [`Fault`] of store or crypto.
pub async fn key_set(world: &World, now: Timestamp) -> Result<Value, Fault> {
    let keys = ready_keys(world, now).await?;
    let published: Vec<Value> = keys
        .keys
        .iter()
        .filter(|key| key.retired_at.is_none_or(|end| now < end))
        .map(|key| {
            json!({"kty": "EC", "crv": "P-256", "x": key.x, "y": key.y, "kid": key.kid, "alg": "ES256", "use": "sig"})
        })
        .collect();
    Ok(json!({ "keys": published }))
}

/// The keys, read again when they are not fresh, made when there are none.
///
/// # Errors
/// A [`Fault`] of store or crypto.
pub async fn ready_keys(world: &World, now: Timestamp) -> Result<Rc<SigningKeys>, Fault> {
    if let Some(keys) = world.cache.signing_keys(KEYS_FRESH, now) {
        return Ok(keys);
    }
    let keys = SigningKeyStore(&*world.platform.kv).read().await?;
    if !keys.keys.is_empty() {
        return Ok(world.cache.put_signing_keys(keys, now));
    }
    // Many isolates may find no key at once; what the first one claims is everybody's key, even
    // before the store shows it.
    let first = SigningKeys {
        keys: vec![make(world, now, now).await?],
    };
    let text = serde_json::to_string(&first).map_err(|_| Fault::Record)?;
    let winner = world
        .platform
        .once
        .claim(FIRST_KEY, &text, FIRST_KEY_HOLD, now)
        .await?;
    let keys: SigningKeys = serde_json::from_str(&winner).map_err(|_| Fault::Record)?;
    if keys == first {
        SigningKeyStore(&*world.platform.kv).write(&keys).await?;
    }
    Ok(world.cache.put_signing_keys(keys, now))
}

/// Adds a key that takes over soon, sealed with the newest key secret, and drops those that have
/// had their time. Nobody is signed out: what the old key signed stays valid and checkable.
///
/// # Errors
/// A [`Fault`] of store or crypto.
pub async fn rotate(world: &World, now: Timestamp) -> Result<Rc<SigningKeys>, Fault> {
    let mut keys = SigningKeys::clone(&*ready_keys(world, now).await?);
    let takes_over = now + PUBLISHED_BEFORE;
    keys.keys
        .retain(|key| key.retired_at.is_none_or(|end| now < end));
    for key in &mut keys.keys {
        key.retired_at.get_or_insert(takes_over + PUBLISHED_AFTER);
    }
    keys.keys.push(make(world, takes_over, now).await?);
    SigningKeyStore(&*world.platform.kv).write(&keys).await?;
    Ok(world.cache.put_signing_keys(keys, now))
}

async fn make(world: &World, signs_from: Timestamp, now: Timestamp) -> Result<SigningKey, Fault> {
    let KeyPair { private, x, y } = world.platform.crypto.generate().await?;
    let secret = world.config.keys.key.newest();
    let sealing = world
        .config
        .keys
        .key
        .encryption_key(secret, PURPOSE)
        .ok_or(Fault::SealedWithUnknownSecret)?;
    let sealed = world.platform.crypto.seal(&sealing, &private).await?;
    // RFC 7638 §3.2: these members, in this order, without white space.
    let thumbprint =
        sha256(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes());
    Ok(SigningKey {
        kid: URL_SAFE_NO_PAD.encode(thumbprint),
        x,
        y,
        created_at: now,
        signs_from,
        retired_at: None,
        secret,
        sealed: URL_SAFE_NO_PAD.encode(sealed),
    })
}

async fn open(world: &World, key: &SigningKey) -> Result<Vec<u8>, Fault> {
    let sealing = world
        .config
        .keys
        .key
        .encryption_key(key.secret, PURPOSE)
        .ok_or(Fault::SealedWithUnknownSecret)?;
    let sealed = URL_SAFE_NO_PAD
        .decode(&key.sealed)
        .map_err(|_| Fault::Record)?;
    world.platform.crypto.open(&sealing, &sealed).await
}
