//! Users by id, and their ids by address. Reading is from the store; changing goes through the
//! writers of the two records, see [`Records`].

use crate::model::user::{Email, Tenant, User, UserId};
use crate::platform::port::{Change, Changed, Fault, Kv, Records};
use crate::store::{Page, decode, encode, hashed_key, read_all};

pub(super) const RECORD: &str = "user:";
pub(super) const BY_EMAIL: &str = "user_email:";

/// The family of users, as the store shows it: up to a minute old.
pub struct Users<'a>(pub &'a dyn Kv);

impl Users<'_> {
    /// The user with this id.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find(&self, id: &UserId) -> Result<Option<User>, Fault> {
        match self.0.read(&record_key(id)).await? {
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
        let Some(id) = self.holder(tenant, email).await? else {
            return Ok(None);
        };
        // The address of a user that was changed or deleted a moment ago may still be listed.
        Ok(self
            .find(&id)
            .await?
            .filter(|user| has_address(user, tenant, email)))
    }

    /// Who holds this address. It may still be listed when that user was changed or deleted a moment ago, so
    /// compare it with their record.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn holder(
        &self,
        tenant: Option<&Tenant>,
        email: &Email,
    ) -> Result<Option<UserId>, Fault> {
        match self.0.read(&address_key(tenant, email)).await? {
            None => Ok(None),
            Some(id) => UserId::parse(&id).map(Some).ok_or(Fault::Record),
        }
    }

    /// Whether the address of `user` leads to anybody.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn is_reached(&self, user: &User) -> Result<bool, Fault> {
        let key = address_key(user.tenant.as_ref(), &user.email);
        Ok(self.0.read(&key).await?.is_some())
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

/// A user's record as its writer holds it.
pub struct HeldUser {
    /// The user.
    pub user: User,
    text: String,
}

/// Who has an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Holder {
    /// The user with this id, who may no longer exist.
    Id(UserId),
    /// No user.
    Nobody,
}

impl Holder {
    fn text(&self) -> Option<String> {
        match self {
            Self::Id(id) => Some(id.as_str().to_owned()),
            Self::Nobody => None,
        }
    }

    fn read(text: Option<&str>) -> Result<Self, Fault> {
        text.map_or(Ok(Self::Nobody), |text| {
            UserId::parse(text).map(Self::Id).ok_or(Fault::Record)
        })
    }
}

/// The writers of users' records and addresses.
pub struct UserRecords<'a>(pub &'a dyn Records);

impl UserRecords<'_> {
    /// The newest record of the user with this id.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn read(&self, id: &UserId) -> Result<Option<HeldUser>, Fault> {
        let Some(text) = self.0.read(&record_key(id)).await? else {
            return Ok(None);
        };
        let user = decode(&text)?;
        Ok(Some(HeldUser { user, text }))
    }

    /// Creates `user` at an address that `held` holds: record and address, or neither. Returns the
    /// holder if it is another.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn create(&self, user: &User, held: &Holder) -> Result<Option<Holder>, Fault> {
        let record = Change {
            key: record_key(&user.id),
            to: Some(encode(user)?),
            fresh: true,
            ..Change::default()
        };
        self.take_address(user, held, record).await
    }

    /// Puts `user` in the place of `old`, which has another address; `held` has the new one. The
    /// record and the new address change both or neither, and the old address goes after them.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn move_to(
        &self,
        old: &HeldUser,
        user: &User,
        held: &Holder,
    ) -> Result<Option<Holder>, Fault> {
        let record = Change {
            key: record_key(&user.id),
            from: Some(old.text.clone()),
            to: Some(encode(user)?),
            then: vec![leave_address(&old.user, user.version)],
            ..Change::default()
        };
        self.take_address(user, held, record).await
    }

    async fn take_address(
        &self,
        user: &User,
        held: &Holder,
        record: Change,
    ) -> Result<Option<Holder>, Fault> {
        let change = Change {
            key: address_key(user.tenant.as_ref(), &user.email),
            from: held.text(),
            to: Some(user.id.as_str().to_owned()),
            order: Some(user.version),
            needs: Some(Box::new(record)),
            ..Change::default()
        };
        match self.0.change(&change).await? {
            Changed::Done => Ok(None),
            Changed::Holds(text) => Holder::read(text.as_deref()).map(Some),
        }
    }

    /// Puts `user` in the place of `old`, which has the same address. Returns whether
    /// `old` was still current.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn replace(&self, old: &HeldUser, user: &User) -> Result<bool, Fault> {
        let change = Change {
            key: record_key(&user.id),
            from: Some(old.text.clone()),
            to: Some(encode(user)?),
            ..Change::default()
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }

    /// Removes a user, and the address after it. Returns whether `old` was still current.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn remove(&self, old: &HeldUser) -> Result<bool, Fault> {
        let change = Change {
            key: record_key(&old.user.id),
            from: Some(old.text.clone()),
            then: vec![leave_address(&old.user, old.user.version + 1)],
            ..Change::default()
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }

    /// Lets the address of a user lead to them, if it leads to nobody, and while the user is as held.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn restore_address(&self, held: &HeldUser) -> Result<(), Fault> {
        let user = &held.user;
        let unchanged = Change {
            key: record_key(&user.id),
            from: Some(held.text.clone()),
            to: Some(held.text.clone()),
            ..Change::default()
        };
        let change = Change {
            key: address_key(user.tenant.as_ref(), &user.email),
            to: Some(user.id.as_str().to_owned()),
            order: Some(user.version),
            needs: Some(Box::new(unchanged)),
            ..Change::default()
        };
        self.0.change(&change).await.map(|_| ())
    }
}

/// Whether a user is reached at this address, in this tenant or in none.
#[must_use]
pub fn has_address(user: &User, tenant: Option<&Tenant>, email: &Email) -> bool {
    user.email == *email && user.tenant.as_ref() == tenant
}

/// Makes an address stop leading to a user whose record became `version` by that change. By then it
/// may belong to another user, or to the same one again.
fn leave_address(user: &User, version: u64) -> Change {
    Change {
        key: address_key(user.tenant.as_ref(), &user.email),
        from: Some(user.id.as_str().to_owned()),
        older_than: Some(version),
        ..Change::default()
    }
}

fn record_key(id: &UserId) -> String {
    hashed_key(RECORD, id.as_str())
}

/// The same address in two tenants is two. No address holds a line break.
fn address_key(tenant: Option<&Tenant>, email: &Email) -> String {
    match tenant {
        None => hashed_key(BY_EMAIL, email.as_str()),
        Some(tenant) => hashed_key(
            BY_EMAIL,
            &format!("{}\n{}", tenant.as_str(), email.as_str()),
        ),
    }
}
