//! API tokens by the hash of their secret. The secret is not stored.
//!
//! That a token is revoked is a key of its own, which is only ever written: no record that is older,
//! from wherever it comes, makes it good again.

use futures_util::future::try_join;

use crate::model::api_token::{ApiToken, ApiTokenId};
use crate::platform::port::{Change, Changed, Fault, Kv, Records};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::{Page, decode, encode, read_all};

pub(super) const RECORD: &str = "api_token:";
pub(super) const REVOKED: &str = "api_token_revoked:";
pub(super) const LAST_USED: &str = "api_token_used:";

/// How much later a use must be to be written: KV takes one write per key and second, and each
/// costs.
const LAST_USED_STEP: Seconds = Seconds(3600);

/// The family of API tokens, as the store shows it: up to a minute old.
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
        // A text that is no time is a revocation all the same.
        Ok(text.map(|text| Timestamp::from_millis(text.parse().unwrap_or_default())))
    }

    /// Notes that the token is revoked, for good.
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

    /// The key and value of a token's record, for whoever writes it in another way.
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
        let records: Vec<ApiToken> = read_all(self.0, &page.keys).await?;
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

    /// Forgets when a token was last used.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn forget_use(&self, id: &ApiTokenId) -> Result<(), Fault> {
        self.0.delete(&key(LAST_USED, id)).await
    }
}

/// A token's record as its writer holds it.
pub struct HeldApiToken {
    /// The token. Its revocation is a separate key.
    pub token: ApiToken,
    text: String,
}

/// The writers of API tokens' records.
pub struct ApiTokenRecords<'a>(pub &'a dyn Records);

impl ApiTokenRecords<'_> {
    /// The newest record of the token with this id.
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

    /// Writes the record of a new token, while its `maker` is as held. Returns whether it still was.
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

    /// Puts `token` in the place of `old`, or nothing. Returns whether `old` was still
    /// current.
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

/// An id is a hash in hexadecimal already.
fn key(prefix: &str, id: &ApiTokenId) -> String {
    format!("{prefix}{}", id.as_str())
}
