//! Sessions that were ended before their time, until they would have ended by themselves.

use crate::platform::port::{Fault, Kv};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::hashed_key;

pub(super) const ENDED: &str = "session_ended:";

/// KV refuses an expiry less than a minute ahead.
const MIN_TTL: Seconds = Seconds(60);

/// The family of ended sessions.
pub struct EndedSessions<'a>(pub &'a dyn Kv);

impl EndedSessions<'_> {
    /// Whether the session was ended.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn contains(&self, session_id: &str) -> Result<bool, Fault> {
        Ok(self.0.read(&hashed_key(ENDED, session_id)).await?.is_some())
    }

    /// Notes that the session was ended. `until` is when it can no longer be valid by itself.
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
