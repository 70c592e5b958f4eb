//! What issuers publish, as it was fetched, so that a new isolate need not ask.

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
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// Where the key set is, when a discovery document said so.
    pub jwks_uri: Option<String>,
    /// The document, base64.
    pub document: String,
}

impl Published {
    /// A document that was fetched now.
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

/// The family of issuers' documents, by the URL that is configured and the issuer that they were
/// checked for: two may have one URL.
pub struct IssuerKeys<'a>(pub &'a dyn Kv);

impl IssuerKeys<'_> {
    /// What was fetched from `url` for `issuer`.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find(&self, url: &str, issuer: &str) -> Result<Option<Published>, Fault> {
        match self.0.read(&key(url, issuer)).await? {
            Some(text) => decode(&text).map(Some),
            None => Ok(None),
        }
    }

    /// Keeps what was fetched for as long as it may be used.
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
    // No URL has a line break in it.
    hashed_key(KEYS, &format!("{url}\n{issuer}"))
}
