//! Users by id, and their ids by address.

use super::{Page, decode, encode, hashed_key, read_all};
use crate::port::{Fault, Kv};
use crate::user::{Email, Tenant, User, UserId};

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

    /// The user with this address, in this tenant or in none.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find_by_email(
        &self,
        tenant: Option<&Tenant>,
        email: &Email,
    ) -> Result<Option<User>, Fault> {
        let key = hashed_key(BY_EMAIL, &address(tenant, email));
        let Some(id) = self.0.read(&key).await? else {
            return Ok(None);
        };
        let id = UserId::parse(&id).ok_or(Fault::Record)?;
        // The address of a user that was changed or deleted a moment ago may still be listed.
        let is_theirs = |user: &User| user.email == *email && user.tenant.as_ref() == tenant;
        Ok(self.find(&id).await?.filter(is_theirs))
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
                &hashed_key(BY_EMAIL, &address(user.tenant.as_ref(), &user.email)),
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
    pub async fn remove_email(&self, tenant: Option<&Tenant>, email: &Email) -> Result<(), Fault> {
        self.0
            .delete(&hashed_key(BY_EMAIL, &address(tenant, email)))
            .await
    }

    /// Removes a user: the record, then the address.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn remove(&self, user: &User) -> Result<(), Fault> {
        self.0.delete(&hashed_key(RECORD, user.id.as_str())).await?;
        self.remove_email(user.tenant.as_ref(), &user.email).await
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

/// What stands for an address of a tenant: the same address in two of them is two. No address holds
/// a line break.
pub(super) fn address(tenant: Option<&Tenant>, email: &Email) -> String {
    match tenant {
        None => email.as_str().to_owned(),
        Some(tenant) => format!("{}\n{}", tenant.as_str(), email.as_str()),
    }
}
