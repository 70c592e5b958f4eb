//! Tickets: what may happen once, within minutes. A service or a site asks for a sign-in, or somebody gets a link to set
//! a password. Each is a lease in [`Once`] that is changed by compare-and-set, and gone when its time is over.

use serde::{Deserialize, Serialize};

use crate::model::proof::Proof;
use crate::platform::digest::random_text;
use crate::platform::port::{Entropy, Fault, Once, Platform};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::{decode, encode, hashed_key};

/// The prefix of the leases.
pub(super) const LEASE: &str = "ticket:";

/// How long a sign-in may take.
pub const SIGN_IN: Seconds = Seconds(600);
/// How long a link to set a password works.
pub const PASSWORD_LINK: Seconds = Seconds(86_400);

/// How often a change is recomputed when others win.
const ATTEMPTS: usize = 8;

/// What a ticket is for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketFor {
    /// A sign-in that the service with this id has asked for.
    Service(String),
    /// A sign-in at the site with this name.
    Site(String),
    /// Setting a password.
    Password,
    /// The rest of a sign-out, which has begun at the site with this name.
    SignOut(String),
}

/// A ticket.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ticket {
    pub purpose: TicketFor,
    /// Where the browser goes afterwards.
    pub next_url: String,
    pub expires_at: Timestamp,
    /// A hash that identifies the browser, from the moment when one has opened the page.
    #[serde(default)]
    pub browser: Option<String>,
    /// The user's id, once it is settled.
    #[serde(default)]
    pub user: Option<String>,
    /// When the user was settled.
    #[serde(default)]
    pub settled_at: Option<Timestamp>,
    /// What the provider has granted at which the user has signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<serde_json::Value>,
    /// How and when the user has signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// The hash of the code that the browser takes to a service, if the service has asked for one.
    #[serde(default)]
    pub code: Option<String>,
    /// Whether the service asks for a code.
    #[serde(default)]
    pub wants_code: bool,
    #[serde(default)]
    pub used: bool,
    /// Different in each state, so that no two changes have the same result.
    change: String,
}

impl Ticket {
    /// A ticket without browser and user.
    #[must_use]
    pub fn new(purpose: TicketFor, next_url: &str, expires_at: Timestamp) -> Self {
        Self {
            purpose,
            next_url: next_url.to_owned(),
            expires_at,
            browser: None,
            user: None,
            settled_at: None,
            granted: None,
            proof: None,
            code: None,
            wants_code: false,
            used: false,
            change: String::new(),
        }
    }
}

/// Why a ticket is of no use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TicketError {
    /// There is none, or its time is over, or it was used.
    #[error("no such ticket, or it has expired or was used")]
    Gone,
    /// Another browser, or another user, has it.
    #[error("the ticket belongs to another browser or user")]
    Taken,
    #[error("{0}")]
    Fault(#[from] Fault),
}

/// The tickets.
pub struct Tickets<'a> {
    once: &'a dyn Once,
    entropy: &'a dyn Entropy,
    now: Timestamp,
}

impl<'a> Tickets<'a> {
    /// The tickets of a deployment.
    #[must_use]
    pub fn of(platform: &'a Platform, now: Timestamp) -> Self {
        Self {
            once: &*platform.once,
            entropy: &*platform.entropy,
            now,
        }
    }

    /// Stores a ticket, and gives the token that stands for it: 128 random bits.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn issue(&self, mut ticket: Ticket) -> Result<String, Fault> {
        let token = random_text(self.entropy);
        ticket.change = random_text(self.entropy);
        let text = encode(&ticket)?;
        let hold = ticket.expires_at.since(self.now);
        let held = self
            .once
            .acquire(&key(&token), &text, hold, self.now)
            .await?;
        // Nobody else has this token: it is random.
        if held == text {
            Ok(token)
        } else {
            Err(Fault::Once)
        }
    }

    /// The ticket with this token, unless it was used or its time is over.
    ///
    /// # Errors
    /// [`TicketError::Gone`], or a fault.
    pub async fn find(&self, token: &str) -> Result<Ticket, TicketError> {
        // Whatever has another shape was not made here, and costs nothing.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if token.len() != 22 || !token.bytes().all(plain) {
            return Err(TicketError::Gone);
        }
        let held = self.once.changed(&key(token), "", Seconds(0)).await?;
        let ticket: Ticket = decode(&held.ok_or(TicketError::Gone)?)?;
        if ticket.used || self.now >= ticket.expires_at {
            return Err(TicketError::Gone);
        }
        Ok(ticket)
    }

    /// Changes the ticket with this token. `change` is called again if another change was made meanwhile; if it changes
    /// nothing, nothing is written.
    ///
    /// # Errors
    /// [`TicketError::Gone`], any error of `change`, or a fault.
    pub async fn change(
        &self,
        token: &str,
        mut change: impl FnMut(&mut Ticket) -> Result<(), TicketError>,
    ) -> Result<Ticket, TicketError> {
        let key = key(token);
        for _ in 0..ATTEMPTS {
            let old = self.find(token).await?;
            let mut new = old.clone();
            change(&mut new)?;
            if new == old {
                return Ok(old);
            }
            new.change = random_text(self.entropy);
            let text = encode(&new)?;
            let left = old.expires_at.since(self.now);
            let held = self
                .once
                .replace(&key, &encode(&old)?, &text, left, self.now)
                .await?;
            if held == text {
                return Ok(new);
            }
        }
        Err(Fault::Contended.into())
    }

    /// Uses a ticket. Of any number of simultaneous calls, one succeeds.
    ///
    /// # Errors
    /// [`TicketError::Gone`], any error of `may`, or a fault.
    pub async fn use_up(
        &self,
        token: &str,
        mut may: impl FnMut(&Ticket) -> Result<(), TicketError>,
    ) -> Result<Ticket, TicketError> {
        // Nobody else needs what it grants, and it names the record of the provider's tokens.
        let mut granted = None;
        let change = self.change(token, |ticket| {
            may(ticket)?;
            ticket.used = true;
            granted = ticket.granted.take();
            Ok(())
        });
        let used = change.await?;
        Ok(Ticket { granted, ..used })
    }
}

fn key(token: &str) -> String {
    hashed_key(LEASE, token)
}
