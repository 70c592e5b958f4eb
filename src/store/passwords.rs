//! Users' passwords, as hashes. They are read from their writers, which keep them, and not from the key-value store: a
//! password that was replaced must not work for another minute, and the time must not tell whether a user has one.

use serde::{Deserialize, Serialize};

use crate::model::user::UserId;
use crate::platform::port::{Change, Changed, Fault, Notification, Records};
use crate::platform::time::Timestamp;
use crate::store::{decode, encode, hashed_key};

pub(super) const RECORD: &str = "password:";

/// The stored password of a user.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StoredPassword {
    /// A PHC string, see [`crate::model::password`].
    pub hash: String,
    /// Whether the user has to choose a new one at the next sign-in.
    #[serde(default)]
    pub must_change: bool,
    pub set_at: Timestamp,
}

impl StoredPassword {
    /// The record, as it is stored.
    ///
    /// # Errors
    /// [`Fault::Record`].
    pub fn text(&self) -> Result<String, Fault> {
        encode(self)
    }

    /// Reads [`StoredPassword::text`].
    ///
    /// # Errors
    /// [`Fault::Record`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        decode(text)
    }
}

/// The password of a user that a change begins with; the inner `None` if there is none.
pub struct HeldPassword {
    pub password: Option<StoredPassword>,
    text: Option<String>,
}

impl HeldPassword {
    /// Whether nothing has changed since `other` was read.
    #[must_use]
    pub fn is(&self, other: &StoredPassword) -> bool {
        self.password.as_ref() == Some(other)
    }
}

/// The writers of users' passwords.
pub struct Passwords<'a>(pub &'a dyn Records);

impl Passwords<'_> {
    /// The current password of the user with this id, as its writer keeps it. What somebody has put into the key-value
    /// store is none.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn find(&self, id: &UserId) -> Result<Option<StoredPassword>, Fault> {
        let text = self.0.read_kept(&key(id)).await?;
        text.as_deref().map(decode).transpose()
    }

    /// What a change of the password begins with.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn read(&self, id: &UserId) -> Result<HeldPassword, Fault> {
        let text = self.0.read(&key(id)).await?;
        let password = text.as_deref().map(decode).transpose()?;
        Ok(HeldPassword { password, text })
    }

    /// Stores the password of a user who is so new that there can be none.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn create(&self, id: &UserId, password: &StoredPassword) -> Result<(), Fault> {
        let change = Change {
            key: key(id),
            to: Some(encode(password)?),
            keep: true,
            fresh: true,
            ..Change::default()
        };
        match self.0.change(&change).await? {
            Changed::Done => Ok(()),
            Changed::Holds(_) => Err(Fault::Contended),
        }
    }

    /// Replaces `old`. Returns whether it was still current.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn replace(
        &self,
        id: &UserId,
        old: &HeldPassword,
        password: &StoredPassword,
    ) -> Result<bool, Fault> {
        let change = Change {
            key: key(id),
            from: old.text.clone(),
            to: Some(encode(password)?),
            keep: true,
            ..Change::default()
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }

    /// Tells services something that belongs to the password, or to there being none, without a change of it: as durably
    /// as if there were one.
    ///
    /// # Errors
    /// A [`Fault`] of the writer; [`Fault::Contended`] if others keep changing it.
    pub async fn announce(&self, id: &UserId, notify: Vec<Notification>) -> Result<(), Fault> {
        for _ in 0..super::CHANGE_ATTEMPTS {
            let HeldPassword { text, .. } = self.read(id).await?;
            let change = Change {
                key: key(id),
                keep: text.is_some(),
                from: text.clone(),
                to: text,
                notify: notify.clone(),
                ..Change::default()
            };
            if self.0.change(&change).await? == Changed::Done {
                return Ok(());
            }
        }
        Err(Fault::Contended)
    }

    /// Deletes the password of a user, whatever it is.
    ///
    /// # Errors
    /// A [`Fault`] of the writer; [`Fault::Contended`] if others keep changing it.
    pub async fn remove(&self, id: &UserId) -> Result<(), Fault> {
        for _ in 0..super::CHANGE_ATTEMPTS {
            let old = self.read(id).await?;
            if old.text.is_none() {
                return Ok(());
            }
            let change = Change {
                key: key(id),
                from: old.text,
                ..Change::default()
            };
            if self.0.change(&change).await? == Changed::Done {
                return Ok(());
            }
        }
        Err(Fault::Contended)
    }
}

fn key(id: &UserId) -> String {
    hashed_key(RECORD, id.as_str())
}
