//! The keys that sign assertions: one document for each algorithm. Private keys are in it only
//! encrypted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{decode, encode};
use crate::memory::Weigh;
use crate::port::{Fault, Kv};
use crate::time::Timestamp;
use crate::token::algorithm::{Algorithm, KeyType};
use crate::token::der;

const KEYS: &str = "signing_keys";

/// All signing keys of an algorithm, oldest first.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct SigningKeys {
    /// The keys.
    pub keys: Vec<SigningKey>,
}

/// A key pair.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SigningKey {
    /// Its name: the RFC 7638 thumbprint of the public key.
    pub kid: String,
    /// The public key, `SubjectPublicKeyInfo` in base64url. Empty in records of an earlier version.
    #[serde(default)]
    pub public: String,
    /// The public point of an ES256 key in a record of an earlier version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub x: String,
    /// See `x`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub y: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it signs. It is published before, so that no origin meets a key it cannot find.
    pub signs_from: Timestamp,
    /// From when on nothing signed by it can be valid; it is dropped then. `None` for the newest.
    pub retired_at: Option<Timestamp>,
    /// The number of the key secret that seals the private key.
    pub secret: u32,
    /// The private key (PKCS #8), sealed with AES-256-GCM, base64url.
    pub sealed: String,
}

impl Weigh for SigningKeys {
    fn heap(&self) -> usize {
        self.keys.heap()
    }
}

impl Weigh for SigningKey {
    fn heap(&self) -> usize {
        let texts = [&self.kid, &self.public, &self.x, &self.y, &self.sealed];
        texts.into_iter().map(Weigh::heap).sum()
    }
}

impl SigningKey {
    /// The public key, `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// [`Fault::Record`].
    pub fn spki(&self) -> Result<Vec<u8>, Fault> {
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Fault::Record);
        if self.public.is_empty() {
            let point = [vec![4], bytes(&self.x)?, bytes(&self.y)?].concat();
            return Ok(der::spki(KeyType::P256, &point));
        }
        bytes(&self.public)
    }
}

/// The family of signing keys: one record for each algorithm.
pub struct SigningKeyStore<'a>(pub &'a dyn Kv, pub Algorithm);

impl SigningKeyStore<'_> {
    /// The keys, or none when none was made yet.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn read(&self) -> Result<SigningKeys, Fault> {
        match self.0.read(&self.key()).await? {
            Some(text) => decode(&text),
            None => Ok(SigningKeys::default()),
        }
    }

    /// Writes the keys.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn write(&self, keys: &SigningKeys) -> Result<(), Fault> {
        self.0.write(&self.key(), &encode(keys)?, None).await
    }

    fn key(&self) -> String {
        match self.1 {
            Algorithm::Es256 => KEYS.to_owned(),
            other => format!("{KEYS}:{}", other.name()),
        }
    }
}
