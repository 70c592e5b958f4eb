//! Whom a provider means by the `sid` or the `sub` of a logout token (Back-Channel Logout 1.0 §2.4). Noted at each sign-in as a
//! lease in [`Once`], which knows it at once: a person may sign out at the provider a moment later.

use crate::model::user::UserId;
use crate::platform::port::{Fault, Once};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::{CHANGE_ATTEMPTS, hashed_key};

/// The prefix of the leases.
pub(super) const LEASE: &str = "provider_session:";

/// What a provider calls a session, or somebody: which is meant nowhere but there.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    /// The name of the provider's table: what another client is told is not about our sessions.
    pub provider: &'a str,
    pub iss: &'a str,
    /// `sid` or `sub`.
    pub claim: &'static str,
    pub value: &'a str,
}

/// Who has signed in under what name.
pub struct ProviderSessions<'a> {
    pub once: &'a dyn Once,
    pub now: Timestamp,
}

impl ProviderSessions<'_> {
    /// Notes that `user` has signed in, for as long as such a session may last. Others whom the provider has named so stay: an
    /// address that identifies somebody may pass to somebody else.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn note(&self, of: Named<'_>, user: &UserId, hold: Seconds) -> Result<(), Fault> {
        let key = of.key();
        let (mut held, mut all) = (user.to_string(), user.to_string());
        for _ in 0..CHANGE_ATTEMPTS {
            let holds = self.once.replace(&key, &held, &all, hold, self.now).await?;
            if holds == all {
                return Ok(());
            }
            all = if holds.split(' ').any(|one| one == user.as_str()) {
                holds.clone()
            } else {
                [&holds, " ", user.as_str()].concat()
            };
            held = holds;
        }
        Err(Fault::Contended)
    }

    /// Who has signed in so.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn users(&self, of: Named<'_>) -> Result<Vec<UserId>, Fault> {
        let held = self.once.changed(&of.key(), "", Seconds(0)).await?;
        let ids = held.iter().flat_map(|held| held.split(' '));
        ids.map(|id| UserId::parse(id).ok_or(Fault::Record))
            .collect()
    }
}

impl Named<'_> {
    /// No table's name, no issuer and no claim's name has a line break.
    fn key(&self) -> String {
        let name = [self.provider, self.iss, self.claim, self.value].join("\n");
        hashed_key(LEASE, &name)
    }
}
