//! Whom a provider means by the `sid` or the `sub` of a logout token (Back-Channel Logout 1.0 §2.4). Noted at each sign-in as a
//! lease in [`Once`], which knows it at once: a person may sign out at the provider a moment later.

use crate::model::user::UserId;
use crate::platform::port::{Fault, Once};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::{CHANGE_ATTEMPTS, hashed_key};

/// The prefix of the leases.
pub(super) const LEASE: &str = "provider_session:";

/// The most people who are noted under one name; the first goes when another one comes.
const MOST: usize = 32;

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
        let own = format!("{user}:{}", (self.now + hold).seconds());
        let (mut held, mut all) = (own.clone(), own.clone());
        for _ in 0..CHANGE_ATTEMPTS {
            let holds = self.once.replace(&key, &held, &all, hold, self.now).await?;
            if holds == all {
                return Ok(());
            }
            let others = self.read(&holds).filter(|(id, _)| *id != user.as_str());
            let others: Vec<_> = others.map(|(_, entry)| entry).collect();
            let rest = others.len().saturating_sub(MOST - 1);
            let mut kept = others.get(rest..).unwrap_or_default().to_vec();
            kept.push(&own);
            all = kept.join(" ");
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
        let ids = held.iter().flat_map(|held| self.read(held));
        ids.map(|(id, _)| UserId::parse(id).ok_or(Fault::Record))
            .collect()
    }

    /// The ids in a lease whose sessions may still last, each with its entry.
    fn read<'h>(&self, held: &'h str) -> impl Iterator<Item = (&'h str, &'h str)> + use<'h> {
        let now = self.now.seconds();
        held.split(' ').filter_map(move |entry| {
            let (id, until) = entry.split_once(':')?;
            (now < until.parse().ok()?).then_some((id, entry))
        })
    }
}

impl Named<'_> {
    /// No table's name, no issuer and no claim's name has a line break.
    fn key(&self) -> String {
        let name = [self.provider, self.iss, self.claim, self.value].join("\n");
        hashed_key(LEASE, &name)
    }
}
