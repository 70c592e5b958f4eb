//! Where users are signed in: a record for each session, written when it is opened, and gone when it has ended by
//! itself. For people to look at; whether a session is valid is decided without it.

use serde::{Deserialize, Serialize};

use crate::model::user::UserId;
use crate::platform::digest::{hex, sha256};
use crate::platform::port::{Fault, Kv};
use crate::platform::time::Timestamp;
use crate::store::{encode, hashed_key, read_all};

pub(super) const RECORD: &str = "session:";

/// The most sessions of a user that are listed.
const MAX: u32 = 100;

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
        let key = format!("{}{}", prefix(user), hex(&sha256(session.id.as_bytes())));
        self.0
            .write(&key, &encode(session)?, Some(session.ends_at))
            .await
    }

    /// The sessions of `user`, the newest first, and whether there are more than are listed.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn of_user(&self, user: &UserId) -> Result<(Vec<SessionRecord>, bool), Fault> {
        let page = self.0.list(&prefix(user), None, MAX).await?;
        let mut sessions: Vec<SessionRecord> = read_all(self.0, &page.keys).await?;
        sessions.sort_by_key(|session| std::cmp::Reverse(session.opened_at));
        Ok((sessions, page.cursor.is_some()))
    }
}

fn prefix(user: &UserId) -> String {
    format!("{}:", hashed_key(RECORD, user.as_str()))
}
