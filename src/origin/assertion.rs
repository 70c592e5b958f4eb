//! The signed assertion, which the origin can verify by itself: signed once per session and reused
//! while it is fresh. Also its signing keys, their rotation and their publication.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::authn::principal::Principal;
use crate::credential::verified::{Claims, SignedAssertion};
use crate::jose::der;
use crate::jose::jws::{self, Kind};
use crate::memory::turns::{self, TurnKey};
use crate::memory::world::World;
use crate::model::claim::as_text;
use crate::platform::algorithm::{Algorithm, KeyType};
use crate::platform::digest::sha256;
use crate::platform::port::{Fault, KeyPair, SealedKey};
use crate::platform::time::{Seconds, Timestamp};
use crate::site::{Assertion, AssertionSubject, Site};
use crate::store::CHANGE_ATTEMPTS;
use crate::store::signing_keys::{self, SigningKey, SigningKeyRecord, SigningKeys};

/// How long a new key is published before it signs: longer than the store and the isolates may lag
/// behind, and than clients may cache the key set.
const PUBLISHED_BEFORE: Seconds = Seconds(300);
/// How long a key stays published after its successor signs: longer than any assertion is valid.
const PUBLISHED_AFTER: Seconds = Seconds(900 + 300);
/// How long an isolate uses the keys that it has read.
const KEYS_FRESH: Seconds = Seconds(60);
/// An assertion is reused until this fraction of its lifetime is left: a third.
const FRESH_SHARE: u32 = 3;
/// The claims that Edgeward sets, so no setting may name them.
pub const OWN_CLAIMS: [&str; 17] = [
    "iss",
    "aud",
    "sub",
    "email",
    "username",
    "name",
    "roles",
    "staff",
    "superuser",
    "site",
    "iat",
    "exp",
    "nbf",
    "sid",
    "scopes",
    "tenant_id",
    "workspace_id",
];
const PURPOSE: &str = "edgeward signing key";

/// The assertion for `principal`: from memory while it is fresh, otherwise signed anew.
///
/// # Errors
/// A [`Fault`] of store or crypto. The request then fails: an origin that expects an assertion must
/// never get a request without one.
pub async fn for_principal(
    world: &World,
    site: &Site,
    assertion: &Assertion,
    principal: &Principal,
    now: Timestamp,
) -> Result<Rc<str>, Fault> {
    let look = || fresh(principal, now);
    if let Some(known) = look() {
        return Ok(known);
    }
    let verified = principal.verified();
    let key = TurnKey::Assertion(Rc::as_ptr(verified).addr());
    let fetch = async || {
        let token: Rc<str> = sign(world, site, assertion, principal, now).await?.into();
        let fresh = Seconds(assertion.lifetime.0 - assertion.lifetime.0 / FRESH_SHARE);
        let signed = SignedAssertion {
            user: Rc::clone(principal.user()),
            fresh_until: now + fresh,
            token: Rc::clone(&token),
        };
        verified.remember(|memo| memo.assertion = Some(signed));
        Ok(token)
    };
    Box::pin(turns::share(world, key, look, fetch)).await
}

/// The remembered assertion for `principal`, if it is fresh.
fn fresh(principal: &Principal, now: Timestamp) -> Option<Rc<str>> {
    let memo = principal.verified().memo();
    memo.assertion
        .as_ref()
        .filter(|known| now < known.fresh_until && Rc::ptr_eq(&known.user, principal.user()))
        .map(|known| Rc::clone(&known.token))
}

async fn sign(
    world: &World,
    site: &Site,
    assertion: &Assertion,
    principal: &Principal,
    now: Timestamp,
) -> Result<String, Fault> {
    let algorithm = assertion.algorithm;
    let keys = ready_keys(world, algorithm, now).await?;
    let key = signing_key(&keys, now).ok_or(Fault::Record)?;
    let secret = sealing_key(world, key.secret)?;
    let sealed = URL_SAFE_NO_PAD
        .decode(&key.sealed)
        .map_err(|_| Fault::Record)?;
    let private = SealedKey {
        secret: &secret,
        sealed: &sealed,
    };
    let claims = claims(world, site, assertion, principal, now)?;
    let input = jws::signing_input(Kind::Assertion, algorithm.name(), &key.kid, &claims);
    let signature = world
        .platform
        .crypto
        .sign(algorithm, private, input.as_bytes())
        .await?;
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn claims(
    world: &World,
    site: &Site,
    assertion: &Assertion,
    principal: &Principal,
    now: Timestamp,
) -> Result<Value, Fault> {
    let user = principal.user();
    let subject = match assertion.subject {
        AssertionSubject::UserId => user.id.as_str().to_owned(),
        AssertionSubject::Email => user.login().to_owned(),
        AssertionSubject::Claim => {
            let kept = principal.claims();
            let subject = kept.members().get("sub");
            // It was text, or a number that stands for one, when the token was verified.
            let subject = subject.and_then(|subject| as_text(subject, true));
            subject.ok_or(Fault::Record)?.into_owned()
        }
    };
    let mut claims = json!({
        "iss": world.config.issuer,
        "aud": assertion.audience,
        "sub": subject,
        "username": user.username.as_str(),
        "name": user.display_name(),
        "roles": user.roles,
        "staff": user.staff,
        "superuser": user.superuser,
        "site": site.name,
        "iat": now.seconds(),
        "exp": (now + assertion.lifetime).seconds(),
    });
    let Some(members) = claims.as_object_mut() else {
        return Ok(claims);
    };
    if let Some(email) = user.address() {
        members.insert("email".into(), json!(email));
    }
    if let Claims::Session(session) = &principal.verified().claims {
        members.insert("sid".into(), json!(session.id));
    }
    if !principal.scopes().is_empty() {
        members.insert("scopes".into(), json!(principal.scopes()));
    }
    let names = [
        ("tenant_id", principal.tenant()),
        ("workspace_id", principal.workspace()),
    ];
    for (claim, name) in names {
        if let Some(name) = name {
            members.insert(claim.into(), json!(name));
        }
    }
    let kept = principal.claims();
    for name in &assertion.claims {
        if let Some(value) = kept.members().get(name) {
            members.insert(name.clone(), value.clone());
        }
    }
    Ok(claims)
}

/// The key that signs now: the newest one whose `signs_from` has passed.
fn signing_key(keys: &SigningKeys, now: Timestamp) -> Option<&SigningKey> {
    keys.keys
        .iter()
        .rev()
        .find(|key| key.signs_from <= now)
        .or(keys.keys.first())
}

/// The published key set (RFC 7517 §5): every key whose signatures may still be valid, and those
/// that will sign soon. Makes the first key of an algorithm if there is none.
///
/// # Errors
/// A [`Fault`] of store or crypto.
pub async fn key_set(world: &World, now: Timestamp) -> Result<Value, Fault> {
    let mut published = Vec::new();
    for algorithm in world.config.assertion_algorithms() {
        let keys = ready_keys(world, algorithm, now).await?;
        for key in &keys.keys {
            if key.retired_at.is_some_and(|end| end <= now) {
                continue;
            }
            let mut jwk = jwk_of(&key.spki()?)?;
            jwk.extend([
                ("kid", key.kid.clone()),
                ("alg", algorithm.name().to_owned()),
                ("use", "sig".to_owned()),
            ]);
            let jwk = jwk
                .into_iter()
                .map(|(name, text)| (name.to_owned(), json!(text)));
            published.push(Value::Object(jwk.collect()));
        }
    }
    Ok(json!({ "keys": published }))
}

/// The key that signs now, as PEM.
///
/// # Errors
/// A [`Fault`] of store or crypto.
pub async fn signing_key_pem(
    world: &World,
    algorithm: Algorithm,
    now: Timestamp,
) -> Result<String, Fault> {
    let keys = ready_keys(world, algorithm, now).await?;
    let key = signing_key(&keys, now).ok_or(Fault::Record)?;
    Ok(der::to_pem(&key.spki()?))
}

/// The members of a public JWK that make up its thumbprint, in order (RFC 7638 §3.2).
fn jwk_of(spki: &[u8]) -> Result<Vec<(&'static str, String)>, Fault> {
    let parsed = der::parse(spki).ok_or(Fault::Record)?;
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match parsed.key_type {
        KeyType::P256 => {
            let (x, y) = parsed
                .key
                .strip_prefix(&[4])
                .and_then(|point| point.split_at_checked(32))
                .ok_or(Fault::Record)?;
            Ok(vec![
                ("crv", "P-256".to_owned()),
                ("kty", "EC".to_owned()),
                ("x", text(x)),
                ("y", text(y)),
            ])
        }
        KeyType::Rsa => {
            let (n, e) = der::rsa(parsed.key).ok_or(Fault::Record)?;
            Ok(vec![
                ("e", text(e)),
                ("kty", "RSA".to_owned()),
                ("n", text(n)),
            ])
        }
        KeyType::Ed25519 => Ok(vec![
            ("crv", "Ed25519".to_owned()),
            ("kty", "OKP".to_owned()),
            ("x", text(parsed.key)),
        ]),
        KeyType::Secret | KeyType::P384 | KeyType::P521 => Err(Fault::Record),
    }
}

/// The keys of all algorithms that are in use.
///
/// # Errors
/// A [`Fault`] of store or crypto.
pub async fn all_keys(
    world: &World,
    now: Timestamp,
) -> Result<Vec<(Algorithm, Rc<SigningKeys>)>, Fault> {
    let mut all = Vec::new();
    for algorithm in world.config.assertion_algorithms() {
        all.push((algorithm, ready_keys(world, algorithm, now).await?));
    }
    Ok(all)
}

/// The keys of an algorithm: reads them again if they are not fresh, makes the first if there is
/// none.
///
/// # Errors
/// A [`Fault`] of store or crypto.
pub async fn ready_keys(
    world: &World,
    algorithm: Algorithm,
    now: Timestamp,
) -> Result<Rc<SigningKeys>, Fault> {
    if let Some(keys) = world.cache.signing_keys(algorithm, KEYS_FRESH, now) {
        return Ok(keys);
    }
    let shown = signing_keys::read(&*world.platform.kv, algorithm).await?;
    if let Some(keys) = shown.filter(|keys| !keys.keys.is_empty()) {
        return Ok(world.cache.put_signing_keys(algorithm, keys, now));
    }
    // KV may not show the keys yet, or lose sight of them, so only their writer knows for sure. Many
    // isolates may get here at once; the first one makes the key for all of them.
    let record = SigningKeyRecord(&*world.platform.records, algorithm);
    for _ in 0..CHANGE_ATTEMPTS {
        let held = record.read().await?;
        if !held.keys.keys.is_empty() {
            return Ok(world.cache.put_signing_keys(algorithm, held.keys, now));
        }
        let first = SigningKeys {
            keys: vec![make(world, algorithm, now, now).await?],
        };
        if record.replace(&held, &first).await? {
            return Ok(world.cache.put_signing_keys(algorithm, first, now));
        }
    }
    Err(Fault::Contended)
}

/// Hands the keys that this isolate has read from KV to their writers, which keep them for good:
/// after the answer to this request, once per algorithm.
pub fn keep_keys_later(world: &Rc<World>) {
    for algorithm in world.cache.take_unkept_keys() {
        let held = Rc::clone(world);
        world.platform.background.spawn(Box::pin(async move {
            let record = SigningKeyRecord(&*held.platform.records, algorithm);
            if record.keep().await.is_err() {
                held.cache.retry_keeping_keys(algorithm);
            }
        }));
    }
}

/// Adds a key for each algorithm, sealed with the newest key secret, that takes over soon; drops the
/// keys that have retired. Nobody is signed out: what the old key signed stays valid, and its key
/// stays published.
///
/// # Errors
/// A [`Fault`] of store or crypto.
pub async fn rotate(
    world: &World,
    now: Timestamp,
) -> Result<Vec<(Algorithm, Rc<SigningKeys>)>, Fault> {
    let mut all = Vec::new();
    for algorithm in world.config.assertion_algorithms() {
        ready_keys(world, algorithm, now).await?;
        let keys = rotate_one(world, algorithm, now).await?;
        let keys = world.cache.put_signing_keys(algorithm, keys, now);
        all.push((algorithm, keys));
    }
    Ok(all)
}

async fn rotate_one(
    world: &World,
    algorithm: Algorithm,
    now: Timestamp,
) -> Result<SigningKeys, Fault> {
    let takes_over = now + PUBLISHED_BEFORE;
    let new = make(world, algorithm, takes_over, now).await?;
    let record = SigningKeyRecord(&*world.platform.records, algorithm);
    for _ in 0..CHANGE_ATTEMPTS {
        let held = record.read().await?;
        let mut keys = held.keys.clone();
        keys.keys
            .retain(|key| key.retired_at.is_none_or(|end| now < end));
        for key in &mut keys.keys {
            key.retired_at.get_or_insert(takes_over + PUBLISHED_AFTER);
        }
        keys.keys.push(new.clone());
        if record.replace(&held, &keys).await? {
            return Ok(keys);
        }
    }
    Err(Fault::Contended)
}

async fn make(
    world: &World,
    algorithm: Algorithm,
    signs_from: Timestamp,
    now: Timestamp,
) -> Result<SigningKey, Fault> {
    let KeyPair { private, public } = world.platform.crypto.generate(algorithm).await?;
    let secret = world.config.keys.key.newest();
    let sealing = sealing_key(world, secret)?;
    let sealed = world.platform.crypto.seal(&sealing, &private).await?;
    // Exactly these members in this order, without white space; no value needs an escape
    // (RFC 7638 §3.3).
    let members: Vec<String> = jwk_of(&public)?
        .into_iter()
        .map(|(name, text)| format!("\"{name}\":\"{text}\""))
        .collect();
    let thumbprint = sha256(format!("{{{}}}", members.join(",")).as_bytes());
    Ok(SigningKey {
        kid: URL_SAFE_NO_PAD.encode(thumbprint),
        public: URL_SAFE_NO_PAD.encode(public),
        x: String::new(),
        y: String::new(),
        created_at: now,
        signs_from,
        retired_at: None,
        secret,
        sealed: URL_SAFE_NO_PAD.encode(sealed),
    })
}

/// The key with which private signing keys are sealed.
fn sealing_key(world: &World, secret: u32) -> Result<[u8; 32], Fault> {
    let keys = &world.config.keys.key;
    keys.encryption_key(secret, PURPOSE)
        .ok_or(Fault::SealedWithUnknownSecret)
}
