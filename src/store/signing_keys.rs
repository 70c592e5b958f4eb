//! The keys that sign assertions: one document for each algorithm. Private keys are stored
//! encrypted only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::jose::der;
use crate::platform::algorithm::{Algorithm, KeyType};
use crate::platform::port::{Change, Changed, Fault, Kv, Records};
use crate::platform::shelf::Weigh;
use crate::platform::time::Timestamp;
use crate::store::{decode, encode};

pub(super) const KEYS: &str = "signing_keys";

/// All signing keys of an algorithm, oldest first.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct SigningKeys {
    pub keys: Vec<SigningKey>,
}

/// A key pair.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SigningKey {
    /// The thumbprint of the public key (RFC 7638).
    pub kid: String,
    /// `SubjectPublicKeyInfo` in base64url. Empty in records of an earlier version.
    #[serde(default)]
    pub public: String,
    /// The public point of an ES256 key in a record of an earlier version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub x: String,
    /// See `x`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub y: String,
    pub created_at: Timestamp,
    /// It is published before, so that no origin meets a key that it cannot find.
    pub signs_from: Timestamp,
    /// When everything signed with it has expired, so that it can be dropped. `None` for the newest
    /// key.
    pub retired_at: Option<Timestamp>,
    /// The number of the key secret that encrypts the private key.
    pub secret: u32,
    /// The private key (PKCS #8), encrypted with AES-256-GCM, in base64url.
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
    /// The public key as `SubjectPublicKeyInfo`.
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

/// The keys of an algorithm in the key-value store, which may be up to a minute behind: `None` does
/// not mean that there are none.
///
/// # Errors
/// A [`Fault`] of the store.
pub async fn read(kv: &dyn Kv, algorithm: Algorithm) -> Result<Option<SigningKeys>, Fault> {
    match kv.read(&key(algorithm)).await? {
        Some(text) => decode(&text).map(Some),
        None => Ok(None),
    }
}

/// The keys of an algorithm as their writer holds them.
pub struct HeldKeys {
    /// Empty if none was generated yet.
    pub keys: SigningKeys,
    text: Option<String>,
}

/// The writer of the keys of an algorithm. It never forgets them: if a key were replaced because
/// the store did not show it, everything it signed would be rejected.
pub struct SigningKeyRecord<'a>(pub &'a dyn Records, pub Algorithm);

impl SigningKeyRecord<'_> {
    /// The current keys.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn read(&self) -> Result<HeldKeys, Fault> {
        let text = self.0.read(&key(self.1)).await?;
        let keys = text.as_deref().map_or(Ok(SigningKeys::default()), decode)?;
        Ok(HeldKeys { keys, text })
    }

    /// Replaces `old` with `keys`. Returns whether `old` was still current.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn replace(&self, old: &HeldKeys, keys: &SigningKeys) -> Result<bool, Fault> {
        let change = Change {
            key: key(self.1),
            from: old.text.clone(),
            to: Some(encode(keys)?),
            keep: true,
            ..Change::default()
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }

    /// Makes the writer hold the keys that an earlier version stored.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn keep(&self) -> Result<(), Fault> {
        self.0.keep(&key(self.1)).await
    }
}

fn key(algorithm: Algorithm) -> String {
    match algorithm {
        Algorithm::Es256 => KEYS.to_owned(),
        other => format!("{KEYS}:{}", other.name()),
    }
}
