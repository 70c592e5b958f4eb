//! The keys that sign assertions: one document for each algorithm. Private keys are in it only
//! encrypted.

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

/// The keys of an algorithm as the store shows them: up to a minute old. `None` when it shows none,
/// which does not mean that there are none.
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
    /// The keys; empty when none was made yet.
    pub keys: SigningKeys,
    text: Option<String>,
}

/// The writer of the keys of an algorithm. It never forgets them: what was signed by a key that is
/// replaced because a store did not show it would be refused everywhere.
pub struct SigningKeyRecord<'a>(pub &'a dyn Records, pub Algorithm);

impl SigningKeyRecord<'_> {
    /// The newest keys.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn read(&self) -> Result<HeldKeys, Fault> {
        let text = self.0.read(&key(self.1)).await?;
        let keys = text.as_deref().map_or(Ok(SigningKeys::default()), decode)?;
        Ok(HeldKeys { keys, text })
    }

    /// Puts `keys` in the place of `old`. Returns whether these were still current.
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

    /// Lets the writer hold the keys that a version before this one wrote into the store.
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
