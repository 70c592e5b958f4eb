//! Where users are signed in: a record for each session, written when it is opened, and gone when it has ended by
//! itself. For people to look at; whether a session is valid is decided without it.

use serde::{Deserialize, Serialize};

use crate::model::user::UserId;
use crate::platform::digest::{hex, sha256};
use crate::platform::port::{Fault, Kv};
use crate::platform::time::Timestamp;
use crate::store::{Page, encode, hashed_key, read_all};

pub(super) const RECORD: &str = "session:";

/// A session.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SessionRecord {
    /// The session's id, as in its cookie.
    pub id: String,
    /// The name of the site.
    pub site: String,
    pub opened_at: Timestamp,
    /// When it ends at the latest.
    pub ends_at: Timestamp,
    /// The kind of browser; may be empty.
    pub browser: String,
}

/// The sessions of users in the key-value store, which may be up to a minute behind.
pub struct Sessions<'a>(pub &'a dyn Kv);

impl Sessions<'_> {
    /// Records a session of `user`.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn put(&self, user: &UserId, session: &SessionRecord) -> Result<(), Fault> {
        let key = key(user, &session.id);
        self.0
            .write(&key, &encode(session)?, Some(session.ends_at))
            .await
    }

    /// A page of the sessions of `user`.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn page(
        &self,
        user: &UserId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<SessionRecord>, Fault> {
        let prefix = prefix(user);
        let mut page = self.0.list(&prefix, cursor, limit).await?;
        // The cursor comes from a client, and how the store treats a cursor that it did not make is unknown.
        page.keys.retain(|key| key.starts_with(&prefix));
        Ok(Page {
            records: read_all(self.0, &page.keys, Vec::new()).await?,
            cursor: page.cursor,
        })
    }

    /// The session of `user` with this id.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find(&self, user: &UserId, id: &str) -> Result<Option<SessionRecord>, Fault> {
        let found: Vec<SessionRecord> = read_all(self.0, &[key(user, id)], Vec::new()).await?;
        Ok(found.into_iter().next())
    }
}

fn key(user: &UserId, session: &str) -> String {
    format!("{}{}", prefix(user), hex(&sha256(session.as_bytes())))
}

fn prefix(user: &UserId) -> String {
    format!("{}:", hashed_key(RECORD, user.as_str()))
}
