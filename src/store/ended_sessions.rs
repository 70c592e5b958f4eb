//! Sessions that were ended early, until they would have expired.

use crate::platform::port::{Fault, Kv};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::hashed_key;

pub(super) const ENDED: &str = "session_ended:";

/// KV refuses an expiry less than a minute ahead.
const MIN_TTL: Seconds = Seconds(60);

/// Ended sessions in the key-value store.
pub struct EndedSessions<'a>(pub &'a dyn Kv);

impl EndedSessions<'_> {
    /// Whether the session was ended.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn contains(&self, session_id: &str) -> Result<bool, Fault> {
        Ok(self.0.read(&hashed_key(ENDED, session_id)).await?.is_some())
    }

    /// Records that the session was ended. `until` is when it would have expired.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn put(
        &self,
        session_id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let until = until.max(now + MIN_TTL) + MIN_TTL;
        self.0
            .write(&hashed_key(ENDED, session_id), "1", Some(until))
            .await
    }
}
