//! Public keys of issuers: parsed from JWK, PEM or DER, checked for strength, and kept in one form.
//! The key decides the algorithm (RFC 8725 §3.1); the token's `alg` is only compared with it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::jose::der;
use crate::jose::json::{StrictItems, StrictObject};
use crate::platform::algorithm::{Algorithm, KeyType};
use crate::platform::shelf::{Weigh, block};

/// The most keys in a set.
pub const MAX_KEYS: usize = 100;
/// The most keys of a set that are tried for one token: each costs a signature.
pub const MAX_TRIED: usize = 4;
/// The longest `kid` of a key, in bytes: the longest that a token may name.
const MAX_KID: usize = 256;

/// Why a key or a key set was rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// Not of the form of RFC 7517 §5.
    #[error("is not a key set: a JSON object with a list \"keys\"")]
    Set,
    #[error("is not a valid public key")]
    Form,
    #[error("has an unsupported key type")]
    Kind,
    #[error("is a symmetric key, which must not be published")]
    Symmetric,
    #[error("contains a private key; generate a new key pair and publish the public key only")]
    Private,
    /// `use` or `key_ops` is for something else (RFC 7517 §4.2, §4.3).
    #[error("is not for signatures")]
    Use,
    /// `alg` does not match the kind of key (RFC 7517 §4.4).
    #[error("names an algorithm that does not match its key type")]
    Algorithm,
    /// Too short, too long, a bad exponent, or from a generator that is known to be broken.
    #[error("is too weak or too long")]
    Weak,
    /// More than [`MAX_KEYS`].
    #[error("is a key set with too many keys")]
    TooMany,
    #[error("is a key set without a usable key")]
    Empty,
}

/// A public key that passed all checks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicKey {
    kid: Option<String>,
    only: Option<Algorithm>,
    key_type: KeyType,
    spki: Vec<u8>,
}

impl PublicKey {
    /// Parses a JWK (RFC 7517 §4).
    ///
    /// # Errors
    /// Any [`KeyError`] of a single key.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let text = |name: &str| match jwk.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(KeyError::Form),
        };
        let bytes = |name: &str| {
            let text = text(name)?.ok_or(KeyError::Form)?;
            URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Form)
        };
        let kid = text("kid")?.map(str::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(KeyError::Form);
        }
        let kty = text("kty")?.ok_or(KeyError::Form)?;
        if kty == "oct" {
            return Err(KeyError::Symmetric);
        }
        if jwk.contains_key("d") || jwk.contains_key("k") {
            return Err(KeyError::Private);
        }
        let (key_type, key) = match (kty, text("crv")?) {
            ("RSA", _) => (KeyType::Rsa, der::rsa_key(&bytes("n")?, &bytes("e")?)),
            ("EC", Some(curve)) => {
                let key_type = match curve {
                    "P-256" => KeyType::P256,
                    "P-384" => KeyType::P384,
                    "P-521" => KeyType::P521,
                    _ => return Err(KeyError::Kind),
                };
                // Both coordinates have their full length (RFC 7518 §6.2.1.2).
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != y.len() {
                    return Err(KeyError::Form);
                }
                (key_type, [&[4], x.as_slice(), y.as_slice()].concat())
            }
            ("OKP", Some("Ed25519")) => (KeyType::Ed25519, bytes("x")?),
            _ => return Err(KeyError::Kind),
        };
        if text("use")?.is_some_and(|what| what != "sig") || !may_verify(jwk.get("key_ops"))? {
            return Err(KeyError::Use);
        }
        let only = match text("alg")? {
            None => None,
            Some(name) => Some(Algorithm::named(name).ok_or(KeyError::Algorithm)?),
        };
        Self::new(kid, only, key_type, &key)
    }

    /// Parses a key in PEM, in DER, or as a JWK.
    ///
    /// # Errors
    /// Any [`KeyError`] of a single key.
    pub fn from_document(document: &[u8]) -> Result<Self, KeyError> {
        match document.trim_ascii_start() {
            [b'{', ..] => {
                let jwk: StrictObject =
                    serde_json::from_slice(document).map_err(|_| KeyError::Form)?;
                Self::from_jwk(&jwk.0)
            }
            [b'-', ..] => {
                let text = str::from_utf8(document).map_err(|_| KeyError::Form)?;
                Self::from_der(&der::from_pem(text).ok_or(KeyError::Form)?)
            }
            _ => Self::from_der(document),
        }
    }

    /// Parses a key as it is written in the configuration: PEM, or DER in base64.
    ///
    /// # Errors
    /// Any [`KeyError`] of a single key.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        if text.trim_start().starts_with('-') {
            return Self::from_document(text.as_bytes());
        }
        let der = STANDARD.decode(text.trim()).map_err(|_| KeyError::Form)?;
        Self::from_der(&der)
    }

    /// Parses a key in DER: `SubjectPublicKeyInfo`, PKCS #1, or an X.509 certificate.
    ///
    /// # Errors
    /// [`KeyError::Form`] or [`KeyError::Weak`].
    pub fn from_der(bytes: &[u8]) -> Result<Self, KeyError> {
        let parsed = der::parse(bytes).ok_or(KeyError::Form)?;
        Self::new(None, None, parsed.key_type, parsed.key)
    }

    fn new(
        kid: Option<String>,
        only: Option<Algorithm>,
        key_type: KeyType,
        key: &[u8],
    ) -> Result<Self, KeyError> {
        if only.is_some_and(|only| only.key_type() != key_type) {
            return Err(KeyError::Algorithm);
        }
        let point = |size: usize| key.len() == 2 * size + 1 && key.first() == Some(&4);
        match key_type {
            KeyType::Rsa => {
                let (n, e) = der::rsa(key).ok_or(KeyError::Form)?;
                if !is_strong_rsa(n, e) {
                    return Err(KeyError::Weak);
                }
            }
            // The platform checks that the point is on its curve when it imports the key.
            KeyType::P256 if point(32) => {}
            KeyType::P384 if point(48) => {}
            KeyType::P521 if point(66) => {}
            KeyType::Ed25519 if key.len() == 32 => {}
            _ => return Err(KeyError::Form),
        }
        Ok(Self {
            kid,
            only,
            key_type,
            spki: der::spki(key_type, key),
        })
    }

    /// Whether the key may be used with `algorithm`.
    #[must_use]
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        algorithm.key_type() == self.key_type && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether the key has a `kid`, so that a token can name it.
    #[must_use]
    pub const fn is_named(&self) -> bool {
        self.kid.is_some()
    }

    /// The names of the algorithms that it verifies.
    #[must_use]
    pub fn algorithms(&self) -> Vec<&'static str> {
        let all = Algorithm::ALL.into_iter();
        all.filter(|algorithm| self.is_for(*algorithm))
            .map(Algorithm::name)
            .collect()
    }

    /// The key as `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }
}

/// Whether `key_ops`, if present, contains `verify`.
fn may_verify(operations: Option<&Value>) -> Result<bool, KeyError> {
    match operations {
        None => Ok(true),
        Some(Value::Array(list)) => Ok(list.iter().any(|one| one == "verify")),
        Some(_) => Err(KeyError::Form),
    }
}

/// Whether a key has 2048 to 8192 bits, an odd exponent from 3 to 2^32, and is not affected by
/// CVE-2017-15361.
fn is_strong_rsa(n: &[u8], e: &[u8]) -> bool {
    let bits = n
        .first()
        .map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    let exponent = e.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(256).saturating_add(u64::from(*digit))
    });
    (2048..=8192).contains(&bits)
        && e.len() <= 4
        && exponent % 2 == 1
        && exponent >= 3
        && n.last().is_some_and(|last| last % 2 == 1)
        && !is_of_the_broken_generator(n)
}

/// Moduli affected by CVE-2017-15361 ("ROCA") are powers of 65537 modulo every small prime. The
/// probability that any other modulus passes for all of these primes is less than 2⁻²⁷.
fn is_of_the_broken_generator(n: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
        97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.into_iter().all(|prime| {
        let rest = n
            .iter()
            .fold(0, |rest, digit| (rest * 256 + u32::from(*digit)) % prime);
        let generator = 65537 % prime;
        let mut power = 1;
        (0..prime).any(|_| {
            power = power * generator % prime;
            power == rest
        })
    })
}

/// The `kid` of a member of a key set, and what it was read into.
pub type ReadMember = (Option<String>, Result<PublicKey, KeyError>);

/// The public keys of an issuer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeySet {
    keys: Vec<PublicKey>,
    skipped: usize,
}

impl Weigh for KeySet {
    fn heap(&self) -> usize {
        self.keys.heap()
    }
}

impl Weigh for PublicKey {
    fn heap(&self) -> usize {
        self.kid.heap() + block(self.spki.capacity())
    }
}

impl From<PublicKey> for KeySet {
    fn from(key: PublicKey) -> Self {
        Self {
            keys: vec![key],
            skipped: 0,
        }
    }
}

impl KeySet {
    /// Parses a published key set key by key (RFC 7517 §5): what is not a usable public key for signatures is skipped and
    /// counted, and takes no other key down. Different keys may have one `kid` (§4.5).
    ///
    /// # Errors
    /// [`KeyError::Form`], [`KeyError::TooMany`], [`KeyError::Empty`].
    pub fn from_jwks(document: &[u8]) -> Result<Self, KeyError> {
        let members = Self::members(document)?;
        let count = members.len();
        let mut keys: Vec<PublicKey> = Vec::new();
        for key in members.into_iter().filter_map(|(_, key)| key.ok()) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self {
            skipped: count - keys.len(),
            keys,
        })
    }

    /// Whether both hold one key, whatever its form and its name.
    #[must_use]
    pub fn shares_key(&self, other: &Self) -> bool {
        let mut keys = self.keys.iter();
        keys.any(|key| other.keys.iter().any(|theirs| theirs.spki == key.spki))
    }

    /// What became of each member of a published key set, in its order: its `kid`, and why it was left out.
    ///
    /// # Errors
    /// [`KeyError::Set`], [`KeyError::TooMany`].
    pub fn members(document: &[u8]) -> Result<Vec<ReadMember>, KeyError> {
        let set: StrictItems = serde_json::from_slice(document).map_err(|_| KeyError::Set)?;
        let Some(Value::Array(list)) = set.0.get("keys") else {
            return Err(KeyError::Set);
        };
        if list.len() > MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        let each = list.iter().map(|jwk| {
            let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
            let key = jwk.as_object().ok_or(KeyError::Form);
            (kid, key.and_then(PublicKey::from_jwk))
        });
        Ok(each.collect())
    }

    /// The number of skipped keys.
    #[must_use]
    pub const fn skipped(&self) -> usize {
        self.skipped
    }

    /// The keys that a token with `kid` and `algorithm` may mean, at most [`MAX_TRIED`]: those of this name; if there are
    /// none, those without a name; if the token names none, all.
    #[must_use]
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&PublicKey> {
        let fitting = |is_meant: &dyn Fn(&PublicKey) -> bool| -> Vec<&PublicKey> {
            let keys = self.keys.iter();
            let keys = keys.filter(|key| key.is_for(algorithm) && is_meant(key));
            keys.take(MAX_TRIED).collect()
        };
        let Some(kid) = kid else {
            return fitting(&|_| true);
        };
        let named = fitting(&|key| key.kid.as_deref() == Some(kid));
        if named.is_empty() {
            return fitting(&|key| key.kid.is_none());
        }
        named
    }
}

#[cfg(test)]
mod tests;
