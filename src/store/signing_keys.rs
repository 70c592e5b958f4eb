//! The keys that sign assertions: one document. Private keys are in it only encrypted.

use serde::{Deserialize, Serialize};

use super::{decode, encode};
use crate::port::{Fault, Kv};
use crate::time::Timestamp;

const KEYS: &str = "signing_keys";

/// All signing keys, oldest first.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct SigningKeys {
    /// The keys.
    pub keys: Vec<SigningKey>,
}

/// An ES256 key pair.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SigningKey {
    /// Its name: the RFC 7638 thumbprint of the public key.
    pub kid: String,
    /// The public point (RFC 7518 §6.2.1), base64url.
    pub x: String,
    /// See `x`.
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

/// The family of signing keys: one record.
pub struct SigningKeyStore<'a>(pub &'a dyn Kv);

impl SigningKeyStore<'_> {
    /// The keys, or none when none was made yet.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn read(&self) -> Result<SigningKeys, Fault> {
        match self.0.read(KEYS).await? {
            Some(text) => decode(&text),
            None => Ok(SigningKeys::default()),
        }
    }

    /// Writes the keys.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn write(&self, keys: &SigningKeys) -> Result<(), Fault> {
        self.0.write(KEYS, &encode(keys)?, None).await
    }
}
