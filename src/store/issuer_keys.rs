//! The fetched documents of issuers, so that a new isolate need not fetch them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::platform::port::{Fault, Kv};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::{decode, encode, hashed_key};

pub(super) const KEYS: &str = "issuer_keys:";

/// KV refuses an expiry less than a minute ahead.
const MIN_TTL: Seconds = Seconds(60);

/// A document as an issuer published it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Published {
    pub fetched_at: Timestamp,
    /// The URL of the key set, if a discovery document named it.
    pub jwks_uri: Option<String>,
    /// In base64.
    pub document: String,
}

impl Published {
    /// Creates a record of a document that was just fetched.
    #[must_use]
    pub fn new(document: &[u8], jwks_uri: Option<String>, now: Timestamp) -> Self {
        Self {
            fetched_at: now,
            jwks_uri,
            document: STANDARD.encode(document),
        }
    }

    /// The document's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.document).unwrap_or_default()
    }
}

/// The documents of issuers, by the configured URL and the issuer that they were validated for: two
/// issuers may share a URL.
pub struct IssuerKeys<'a>(pub &'a dyn Kv);

impl IssuerKeys<'_> {
    /// The document that was fetched from `url` for `issuer`.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find(&self, url: &str, issuer: &str) -> Result<Option<Published>, Fault> {
        match self.0.read(&key(url, issuer)).await? {
            Some(text) => decode(&text).map(Some),
            None => Ok(None),
        }
    }

    /// Stores a fetched document for as long as it may be used.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn put(
        &self,
        url: &str,
        issuer: &str,
        published: &Published,
        stale: Seconds,
    ) -> Result<(), Fault> {
        let expires = published.fetched_at + Seconds(stale.0.max(MIN_TTL.0) + MIN_TTL.0);
        self.0
            .write(&key(url, issuer), &encode(published)?, Some(expires))
            .await
    }
}

fn key(url: &str, issuer: &str) -> String {
    // No URL contains a line break.
    hashed_key(KEYS, &format!("{url}\n{issuer}"))
}
