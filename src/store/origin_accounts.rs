//! Users' accounts at the origins of sites with a profile.

use serde::{Deserialize, Serialize};

use crate::model::user::{Email, UserId};
use crate::platform::port::{Fault, Kv};
use crate::platform::shelf::Weigh;
use crate::store::{decode, encode, hashed_key};

pub(super) const ACCOUNT: &str = "origin_account:";

/// An account at an origin.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OriginAccount {
    /// The address by which it was found. If the user's address changes, so does the account.
    pub email: Email,
    /// The origin's number of the account.
    pub id: u64,
    /// For profiles that keep a credential of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<SealedCredential>,
}

/// A credential, encrypted with AES-256-GCM by a key for this account alone.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SealedCredential {
    /// The number of the key secret.
    pub secret: u32,
    /// Nonce and ciphertext, base64url.
    pub sealed: String,
}

impl Weigh for OriginAccount {
    fn heap(&self) -> usize {
        let sealed = self.credential.as_ref().map(|one| one.sealed.heap());
        self.email.heap() + sealed.unwrap_or_default()
    }
}

/// Accounts at origins, in the key-value store.
pub struct OriginAccounts<'a>(pub &'a dyn Kv);

impl OriginAccounts<'_> {
    /// The account of `user` at the origin of `site`.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find(&self, site: &str, user: &UserId) -> Result<Option<OriginAccount>, Fault> {
        match self.0.read(&key(site, user)).await? {
            Some(text) => decode(&text).map(Some),
            None => Ok(None),
        }
    }

    /// Writes an account.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn put(
        &self,
        site: &str,
        user: &UserId,
        account: &OriginAccount,
    ) -> Result<(), Fault> {
        self.0
            .write(&key(site, user), &encode(account)?, None)
            .await
    }

    /// Deletes an account.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn remove(&self, site: &str, user: &UserId) -> Result<(), Fault> {
        self.0.delete(&key(site, user)).await
    }
}

/// Neither the name of a site nor an id contains a line break.
fn key(site: &str, user: &UserId) -> String {
    hashed_key(ACCOUNT, &format!("{site}\n{user}"))
}
