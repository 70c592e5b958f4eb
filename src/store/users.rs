//! Users by id, and user ids by address and by username. Reads use the key-value store; changes go through the
//! writers of both records, see [`Records`].

use crate::model::user::{Email, Tenant, User, UserId, Username};
use crate::platform::port::{Change, Changed, Fault, Kv, Notification, Records};
use crate::store::{Page, decode, encode, hashed_key, read_all};

pub(super) const RECORD: &str = "user:";
pub(super) const BY_EMAIL: &str = "user_email:";
pub(super) const BY_NAME: &str = "user_name:";

/// Users in the key-value store, which may be up to a minute behind.
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

    /// The user with this address, in this tenant or without one.
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
        // The address may still point to a user who was just changed or deleted.
        Ok(self
            .find(&id)
            .await?
            .filter(|user| has_address(user, tenant, email)))
    }

    /// Finds the holder of an address. It may still point to a user who was just changed or deleted, so
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

    /// The user with this username, at the gateway. Of several users with one name, the first to get it is found.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find_by_name(&self, name: &Username) -> Result<Option<User>, Fault> {
        let Some(id) = self.0.read(&name_key(name)).await? else {
            return Ok(None);
        };
        let id = UserId::parse(&id).ok_or(Fault::Record)?;
        // The name may still point to a user who was just renamed or deleted.
        let user = self.find(&id).await?;
        Ok(user.filter(|user| user.username == *name && user.tenant.is_none()))
    }

    /// Whether the address of `user` points to any user.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn has_owner(&self, user: &User) -> Result<bool, Fault> {
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

/// The record of a user as its writer holds it.
pub struct HeldUser {
    pub user: User,
    text: String,
}

/// The user that an address belongs to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Holder {
    /// The user with this id may no longer exist.
    Id(UserId),
    /// The address belongs to nobody.
    Free,
}

impl Holder {
    fn text(&self) -> Option<String> {
        match self {
            Self::Id(id) => Some(id.as_str().to_owned()),
            Self::Free => None,
        }
    }

    fn read(text: Option<&str>) -> Result<Self, Fault> {
        text.map_or(Ok(Self::Free), |text| {
            UserId::parse(text).map(Self::Id).ok_or(Fault::Record)
        })
    }
}

/// The writers of users' records and addresses.
pub struct UserRecords<'a>(pub &'a dyn Records);

impl UserRecords<'_> {
    /// The current record of the user with this id.
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

    /// Creates `user` together with the address, which `held` holds so far: both or neither.
    /// Returns the current holder if it is another.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn create(
        &self,
        user: &User,
        held: &Holder,
        notify: Vec<Notification>,
    ) -> Result<Option<Holder>, Fault> {
        let record = Change {
            key: record_key(&user.id),
            to: Some(encode(user)?),
            fresh: true,
            then: claim_name(user).into_iter().collect(),
            notify,
            ..Change::default()
        };
        self.take_address(user, held, record).await
    }

    /// Replaces `old` with `user`, whose address differs and is held by `held` so far. The record
    /// and the new address change together or not at all; the old address is released afterwards.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn move_to(
        &self,
        old: &HeldUser,
        user: &User,
        held: &Holder,
        notify: Vec<Notification>,
    ) -> Result<Option<Holder>, Fault> {
        let mut then = vec![release_address(&old.user, user.version)];
        then.extend(rename(&old.user, user));
        let record = Change {
            key: record_key(&user.id),
            from: Some(old.text.clone()),
            to: Some(encode(user)?),
            then,
            notify,
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

    /// Replaces `old` with `user`, who has the same address. Returns whether `old` was still
    /// current.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn replace(
        &self,
        old: &HeldUser,
        user: &User,
        notify: Vec<Notification>,
    ) -> Result<bool, Fault> {
        let change = Change {
            key: record_key(&user.id),
            from: Some(old.text.clone()),
            to: Some(encode(user)?),
            then: rename(&old.user, user),
            notify,
            ..Change::default()
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }

    /// Deletes a user, and releases the address afterwards. Returns whether `old` was still
    /// current.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn remove(&self, old: &HeldUser, notify: Vec<Notification>) -> Result<bool, Fault> {
        let version = old.user.version + 1;
        let mut then = vec![release_address(&old.user, version)];
        then.extend(release_name(&old.user, version));
        let change = Change {
            key: record_key(&old.user.id),
            from: Some(old.text.clone()),
            then,
            notify,
            ..Change::default()
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }

    /// The user who holds a username, whether or not the user still exists.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn name_holder(&self, name: &Username) -> Result<Option<UserId>, Fault> {
        match self.0.read(&name_key(name)).await? {
            None => Ok(None),
            Some(id) => UserId::parse(&id).map(Some).ok_or(Fault::Record),
        }
    }

    /// Points the username of a user to the user, if it points to nobody: records of an earlier version did not.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn restore_name(&self, user: &User) -> Result<(), Fault> {
        match claim_name(user) {
            Some(change) => self.0.change(&change).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Points the address of a user to the user, if it points to nobody and the record is
    /// unchanged.
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

/// Whether `user` has this address, in this tenant or without one.
#[must_use]
pub fn has_address(user: &User, tenant: Option<&Tenant>, email: &Email) -> bool {
    user.email == *email && user.tenant.as_ref() == tenant
}

/// Releases the address of a user whose record that change brought to `version`. By then the
/// address may belong to another user, or to the same one again.
fn release_address(user: &User, version: u64) -> Change {
    Change {
        key: address_key(user.tenant.as_ref(), &user.email),
        from: Some(user.id.as_str().to_owned()),
        older_than: Some(version),
        ..Change::default()
    }
}

/// Points the username to the user, unless another user has it. A username that is the user's own address needs none.
fn claim_name(user: &User) -> Option<Change> {
    has_name(user).then(|| Change {
        key: name_key(&user.username),
        to: Some(user.id.as_str().to_owned()),
        order: Some(user.version),
        ..Change::default()
    })
}

fn release_name(user: &User, version: u64) -> Option<Change> {
    has_name(user).then(|| Change {
        key: name_key(&user.username),
        from: Some(user.id.as_str().to_owned()),
        older_than: Some(version),
        ..Change::default()
    })
}

/// Users of tenants do not sign in at the gateway.
fn has_name(user: &User) -> bool {
    let name = user.username.as_str();
    user.tenant.is_none() && !name.is_empty() && name != user.email.as_str()
}

fn rename(old: &User, new: &User) -> Vec<Change> {
    if old.username == new.username && has_name(old) == has_name(new) {
        return Vec::new();
    }
    let released = release_name(old, new.version);
    released.into_iter().chain(claim_name(new)).collect()
}

fn name_key(name: &Username) -> String {
    hashed_key(BY_NAME, name.as_str())
}

fn record_key(id: &UserId) -> String {
    hashed_key(RECORD, id.as_str())
}

/// The same address belongs to different users in two tenants. No address contains a line break.
fn address_key(tenant: Option<&Tenant>, email: &Email) -> String {
    match tenant {
        None => hashed_key(BY_EMAIL, email.as_str()),
        Some(tenant) => hashed_key(
            BY_EMAIL,
            &format!("{}\n{}", tenant.as_str(), email.as_str()),
        ),
    }
}
