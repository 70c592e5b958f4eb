//! API tokens, by the hash of their secret. The secret is not stored.
//!
//! Revocation is a separate key, which is never deleted: no older record of the token, wherever it
//! comes from, makes it valid again.

use futures_util::future::try_join;

use crate::model::api_token::{ApiToken, ApiTokenId};
use crate::platform::port::{Change, Changed, Fault, Kv, Records};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::{Page, decode, encode, read_all};

pub(super) const RECORD: &str = "api_token:";
pub(super) const REVOKED: &str = "api_token_revoked:";
pub(super) const LAST_USED: &str = "api_token_used:";

/// The least time between two recorded uses: KV allows one write per key and second, and each write
/// costs.
const LAST_USED_STEP: Seconds = Seconds(3600);

/// API tokens in the key-value store, which may be up to a minute behind.
pub struct ApiTokens<'a>(pub &'a dyn Kv);

impl ApiTokens<'_> {
    /// The token with this id.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find(&self, id: &ApiTokenId) -> Result<Option<ApiToken>, Fault> {
        let record = async { self.0.read(&key(RECORD, id)).await };
        let (record, revoked_at) = try_join(record, self.revoked_at(id)).await?;
        let Some(text) = record else {
            return Ok(None);
        };
        let token: ApiToken = decode(&text)?;
        Ok(Some(token.revoked(revoked_at)))
    }

    /// When the token was revoked.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn revoked_at(&self, id: &ApiTokenId) -> Result<Option<Timestamp>, Fault> {
        let text = self.0.read(&key(REVOKED, id)).await?;
        // A value that is not a time still means that the token is revoked.
        Ok(text.map(|text| Timestamp::from_millis(text.parse().unwrap_or_default())))
    }

    /// Records that the token is revoked, for good.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn revoke(&self, id: &ApiTokenId, now: Timestamp) -> Result<(), Fault> {
        let now = now.millis().to_string();
        self.0.write(&key(REVOKED, id), &now, None).await
    }

    /// Writes the record of a new token.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn put_new(&self, token: &ApiToken) -> Result<(), Fault> {
        let (key, value) = Self::record(token)?;
        self.0.write(&key, &value, None).await
    }

    /// The key and value of a token's record, for a caller that writes it in another way.
    ///
    /// # Errors
    /// [`Fault::Record`].
    pub fn record(token: &ApiToken) -> Result<(String, String), Fault> {
        Ok((key(RECORD, &token.id), encode(token)?))
    }

    /// A page of tokens.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn page(&self, cursor: Option<&str>, limit: u32) -> Result<Page<ApiToken>, Fault> {
        let page = self.0.list(RECORD, cursor, limit).await?;
        let records: Vec<ApiToken> = read_all(self.0, &page.keys, page.shown).await?;
        let revoked = records.iter().map(|token| self.revoked_at(&token.id));
        let revoked = futures_util::future::try_join_all(revoked).await?;
        let records = records.into_iter().zip(revoked);
        Ok(Page {
            records: records.map(|(token, at)| token.revoked(at)).collect(),
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

    /// Records a use. Kept apart from the token's record, so that it can never undo a revocation.
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

    /// Deletes the time of the last use.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn forget_use(&self, id: &ApiTokenId) -> Result<(), Fault> {
        self.0.delete(&key(LAST_USED, id)).await
    }
}

/// The record of a token as its writer holds it.
pub struct HeldApiToken {
    /// Without its revocation, which is a separate key.
    pub token: ApiToken,
    text: String,
}

/// The writers of API tokens' records.
pub struct ApiTokenRecords<'a>(pub &'a dyn Records);

impl ApiTokenRecords<'_> {
    /// The current record of the token with this id.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn read(&self, id: &ApiTokenId) -> Result<Option<HeldApiToken>, Fault> {
        let Some(text) = self.0.read(&key(RECORD, id)).await? else {
            return Ok(None);
        };
        let token = decode(&text)?;
        Ok(Some(HeldApiToken { token, text }))
    }

    /// Creates the record of a new token, if the record of its `maker` is unchanged. Returns
    /// whether it was.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn create(&self, token: &ApiToken, maker: &HeldApiToken) -> Result<bool, Fault> {
        let unchanged = Change {
            key: key(RECORD, &maker.token.id),
            from: Some(maker.text.clone()),
            to: Some(maker.text.clone()),
            ..Change::default()
        };
        let (key, value) = ApiTokens::record(token)?;
        let change = Change {
            key,
            to: Some(value),
            fresh: true,
            needs: Some(Box::new(unchanged)),
            ..Change::default()
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }

    /// Writes the record of a token that there was before, unless there is one. Returns whether there was none.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn restore(&self, token: &ApiToken) -> Result<bool, Fault> {
        let (key, value) = ApiTokens::record(token)?;
        let change = Change {
            key,
            to: Some(value),
            ..Change::default()
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }

    /// Replaces `old` with `token`, or deletes it. Returns whether `old` was still current.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn replace(
        &self,
        old: &HeldApiToken,
        token: Option<&ApiToken>,
    ) -> Result<bool, Fault> {
        let change = Change {
            key: key(RECORD, &old.token.id),
            from: Some(old.text.clone()),
            to: token.map(encode).transpose()?,
            ..Change::default()
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }
}

/// An id is already a hash in hexadecimal.
fn key(prefix: &str, id: &ApiTokenId) -> String {
    format!("{prefix}{}", id.as_str())
}
