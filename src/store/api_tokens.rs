//! API tokens by the hash of their secret. The secret itself is nowhere.

use super::{Page, decode, encode, read_all};
use crate::port::{Fault, Kv};
use crate::time::{Seconds, Timestamp};
use crate::token::api_token::{ApiToken, ApiTokenId};

const RECORD: &str = "api_token:";
const LAST_USED: &str = "api_token_used:";

/// How much later a use must be to be written: KV takes one write per key and second, and each
/// costs.
const LAST_USED_STEP: Seconds = Seconds(3600);

/// The family of API tokens.
pub struct ApiTokens<'a>(pub &'a dyn Kv);

impl ApiTokens<'_> {
    /// The token with this id.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find(&self, id: &ApiTokenId) -> Result<Option<ApiToken>, Fault> {
        match self.0.read(&key(RECORD, id)).await? {
            Some(text) => decode(&text).map(Some),
            None => Ok(None),
        }
    }

    /// Writes a token's record.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn put(&self, token: &ApiToken) -> Result<(), Fault> {
        let (key, value) = Self::record(token)?;
        self.0.write(&key, &value, None).await
    }

    /// The key and value of a token's record, for whoever writes it in another way.
    ///
    /// # Errors
    /// [`Fault::Record`].
    pub fn record(token: &ApiToken) -> Result<(String, String), Fault> {
        Ok((key(RECORD, &token.id), encode(token)?))
    }

    /// Removes a token's record.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn remove(&self, id: &ApiTokenId) -> Result<(), Fault> {
        self.0.delete(&key(RECORD, id)).await?;
        self.0.delete(&key(LAST_USED, id)).await
    }

    /// A page of tokens.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn page(&self, cursor: Option<&str>, limit: u32) -> Result<Page<ApiToken>, Fault> {
        let page = self.0.list(RECORD, cursor, limit).await?;
        Ok(Page {
            records: read_all(self.0, &page.keys).await?,
            cursor: page.cursor,
        })
    }

    /// When the token was last used, to the hour.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn last_used(&self, id: &ApiTokenId) -> Result<Option<Timestamp>, Fault> {
        let text = self.0.read(&key(LAST_USED, id)).await?;
        Ok(text
            .and_then(|text| text.parse().ok())
            .map(Timestamp::from_millis))
    }

    /// Notes a use. Kept apart from the record, so that noting a use can never bring back what was
    /// revoked meanwhile.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn note_use(&self, id: &ApiTokenId, now: Timestamp) -> Result<(), Fault> {
        let last = self.last_used(id).await?;
        if last.is_some_and(|last| now < last + LAST_USED_STEP) {
            return Ok(());
        }
        self.0
            .write(&key(LAST_USED, id), &now.millis().to_string(), None)
            .await
    }
}

/// An id is a hash in hexadecimal already.
fn key(prefix: &str, id: &ApiTokenId) -> String {
    format!("{prefix}{}", id.as_str())
}
