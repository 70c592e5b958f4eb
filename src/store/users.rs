//! Users by id, and their ids by address.

use super::{Page, decode, encode, hashed_key, read_all};
use crate::port::{Fault, Kv};
use crate::user::{Email, User, UserId};

const RECORD: &str = "user:";
const BY_EMAIL: &str = "user_email:";

/// The family of users.
pub struct Users<'a>(pub &'a dyn Kv);

impl Users<'_> {
    /// The user with this id.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find(&self, id: &UserId) -> Result<Option<User>, Fault> {
        match self.0.read(&hashed_key(RECORD, id.as_str())).await? {
            Some(text) => decode(&text).map(Some),
            None => Ok(None),
        }
    }

    /// The user with this address.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find_by_email(&self, email: &Email) -> Result<Option<User>, Fault> {
        let Some(id) = self.0.read(&hashed_key(BY_EMAIL, email.as_str())).await? else {
            return Ok(None);
        };
        let id = UserId::parse(&id).ok_or(Fault::Record)?;
        // The address of a user that was changed or deleted a moment ago may still be listed.
        Ok(self.find(&id).await?.filter(|user| user.email == *email))
    }

    /// Writes a user under its id and address. The record comes first: an address never leads to
    /// nothing.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn put(&self, user: &User) -> Result<(), Fault> {
        self.put_record(user).await?;
        self.0
            .write(
                &hashed_key(BY_EMAIL, user.email.as_str()),
                user.id.as_str(),
                None,
            )
            .await
    }

    /// Writes a user whose address has not changed.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn put_record(&self, user: &User) -> Result<(), Fault> {
        self.0
            .write(&hashed_key(RECORD, user.id.as_str()), &encode(user)?, None)
            .await
    }

    /// Forgets that `email` leads to a user.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn remove_email(&self, email: &Email) -> Result<(), Fault> {
        self.0.delete(&hashed_key(BY_EMAIL, email.as_str())).await
    }

    /// Removes a user: the record, then the address.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn remove(&self, user: &User) -> Result<(), Fault> {
        self.0.delete(&hashed_key(RECORD, user.id.as_str())).await?;
        self.remove_email(&user.email).await
    }

    /// A page of users.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn page(&self, cursor: Option<&str>, limit: u32) -> Result<Page<User>, Fault> {
        let page = self.0.list(RECORD, cursor, limit).await?;
        Ok(Page {
            records: read_all(self.0, &page.keys).await?,
            cursor: page.cursor,
        })
    }
}
