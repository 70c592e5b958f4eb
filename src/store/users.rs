//! Users by id, and user ids by what finds them, address or subject, and by username. Reads use the key-value store; changes go through the
//! writers of both records, see [`Records`].

use crate::model::user::subject::Handle;
use crate::model::user::{Email, Tenant, User, UserId, Username};
use crate::platform::port::{Change, Changed, Fault, Kv, Listed, Notification, Records};
use crate::store::{Page, decode, encode, hashed_key, read_all, texts};

pub(super) const RECORD: &str = "user:";
pub(super) const BY_EMAIL: &str = "user_email:";
pub(super) const BY_SUBJECT: &str = "user_subject:";
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

    /// The user whom `handle` finds, in this tenant or without one.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find_by(
        &self,
        tenant: Option<&Tenant>,
        handle: Handle<'_>,
    ) -> Result<Option<User>, Fault> {
        let Some(id) = self.holder(tenant, handle).await? else {
            return Ok(None);
        };
        // It may still point to a user who was just changed or deleted.
        Ok(self
            .find(&id)
            .await?
            .filter(|user| has_handle(user, tenant, handle)))
    }

    /// Finds the holder of an address or a subject. It may still point to a user who was just changed or deleted, so
    /// compare it with their record.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn holder(
        &self,
        tenant: Option<&Tenant>,
        handle: Handle<'_>,
    ) -> Result<Option<UserId>, Fault> {
        match self.0.read(&handle_key(tenant, handle)).await? {
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

    /// Whether the address or subject of `user` points to any user.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn has_owner(&self, user: &User) -> Result<bool, Fault> {
        let key = key_of(user)?;
        Ok(self.0.read(&key).await?.is_some())
    }

    /// A page of users.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn page(&self, cursor: Option<&str>, limit: u32) -> Result<Page<User>, Fault> {
        let page = self.0.list(RECORD, cursor, limit).await?;
        Ok(Page {
            records: read_all(self.0, &page.keys, page.shown).await?,
            cursor: page.cursor,
        })
    }

    /// The users with these ids, each in its place. A malformed record hides no other.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn all(&self, ids: &[UserId]) -> Result<Vec<Option<User>>, Fault> {
        let keys: Vec<String> = ids.iter().map(record_key).collect();
        let texts = texts(self.0, &keys, Vec::new()).await?.into_iter();
        Ok(texts.map(|text| decode(&text?).ok()).collect())
    }
}

/// The record of a user as its writer holds it.
pub struct HeldUser {
    pub user: User,
    text: String,
}

/// The user that an address or a subject belongs to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Holder {
    /// The user with this id may no longer exist.
    Id(UserId),
    /// It belongs to nobody.
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

/// The writers of users' records, and of what finds them.
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

    /// Creates `user` together with the address or subject, which `held` holds so far: both or neither.
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
            fresh: true,
            then: claim_name(user).into_iter().collect(),
            notify,
            ..put(None, user)?
        };
        self.take_handle(user, held, record).await
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
        let mut then = vec![release_handle(&old.user, user.version)?];
        then.extend(rename(&old.user, user));
        let record = Change {
            then,
            notify,
            ..put(Some(old), user)?
        };
        self.take_handle(user, held, record).await
    }

    async fn take_handle(
        &self,
        user: &User,
        held: &Holder,
        record: Change,
    ) -> Result<Option<Holder>, Fault> {
        let change = Change {
            key: key_of(user)?,
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

    /// Replaces `old` with `user`, whom the same address or subject finds. Returns whether `old` was still
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
            then: rename(&old.user, user),
            notify,
            ..put(Some(old), user)?
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }

    /// Deletes a user, and releases the address or subject afterwards. Returns whether `old` was still
    /// current.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn remove(&self, old: &HeldUser, notify: Vec<Notification>) -> Result<bool, Fault> {
        let version = old.user.version + 1;
        let mut then = vec![release_handle(&old.user, version)?];
        then.extend(release_name(&old.user, version));
        let change = Change {
            key: record_key(&old.user.id),
            from: Some(old.text.clone()),
            then,
            notify,
            entry: Some(Listed {
                version,
                text: None,
                ..listed(&old.user)
            }),
            ..Change::default()
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }

    /// The user who holds an address or a subject, whether or not the user still exists.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn holder(
        &self,
        tenant: Option<&Tenant>,
        handle: Handle<'_>,
    ) -> Result<Option<UserId>, Fault> {
        match Holder::read(self.0.read(&handle_key(tenant, handle)).await?.as_deref())? {
            Holder::Free => Ok(None),
            Holder::Id(id) => Ok(Some(id)),
        }
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

    /// Points the address or subject of a user to the user, if it points to nobody and the record is
    /// unchanged.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn restore_handle(&self, held: &HeldUser) -> Result<(), Fault> {
        let user = &held.user;
        let unchanged = Change {
            to: Some(held.text.clone()),
            ..put(Some(held), user)?
        };
        let change = Change {
            key: key_of(user)?,
            to: Some(user.id.as_str().to_owned()),
            order: Some(user.version),
            needs: Some(Box::new(unchanged)),
            ..Change::default()
        };
        self.0.change(&change).await.map(|_| ())
    }
}

/// Whether `user` is found by this address, in this tenant or without one. That of a subject finds nobody.
#[must_use]
pub fn has_address(user: &User, tenant: Option<&Tenant>, email: &Email) -> bool {
    has_handle(user, tenant, Handle::Address(email))
}

/// Whether `handle` finds `user`, in this tenant or without one.
#[must_use]
pub fn has_handle(user: &User, tenant: Option<&Tenant>, handle: Handle<'_>) -> bool {
    user.handle() == Some(handle) && user.tenant.as_ref() == tenant
}

/// The change that brings a record from `old` to `user`. The directory is told if a search finds the user by something else
/// after it.
fn put(old: Option<&HeldUser>, user: &User) -> Result<Change, Fault> {
    let is_news = old.is_none_or(|old| searched(&old.user) != searched(user));
    Ok(Change {
        key: record_key(&user.id),
        from: old.map(|old| old.text.clone()),
        to: Some(encode(user)?),
        in_lists: true,
        entry: is_news.then(|| Listed {
            made: old.is_none(),
            ..listed(user)
        }),
        ..Change::default()
    })
}

/// A user as the directory has one.
#[must_use]
pub fn listed(user: &User) -> Listed {
    Listed {
        id: user.id.as_str().to_owned(),
        tenant: user.tenant.as_ref().map_or("", Tenant::as_str).to_owned(),
        version: user.version,
        text: Some(searched(user)),
        made: false,
    }
}

/// What a search finds a user by: address, username and names.
#[must_use]
pub fn searched(user: &User) -> String {
    let (first, last) = (user.first_name.as_str(), user.last_name.as_str());
    let address = user.address().unwrap_or_default();
    [address, user.username.as_str(), first, last].join("\n")
}

/// Releases what finds a user whose record that change brought to `version`. By then it may belong
/// to another user, or to the same one again.
fn release_handle(user: &User, version: u64) -> Result<Change, Fault> {
    Ok(Change {
        key: key_of(user)?,
        from: Some(user.id.as_str().to_owned()),
        older_than: Some(version),
        ..Change::default()
    })
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
    user.tenant.is_none() && !name.is_empty() && user.address() != Some(name)
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

fn key_of(user: &User) -> Result<String, Fault> {
    let handle = user.handle().ok_or(Fault::Record)?;
    Ok(handle_key(user.tenant.as_ref(), handle))
}

/// The same address belongs to different users in two tenants, and so does the same subject. No tenant, address or part
/// of a subject contains a line break.
fn handle_key(tenant: Option<&Tenant>, handle: Handle<'_>) -> String {
    let within = tenant.map_or_else(String::new, |tenant| format!("{}\n", tenant.as_str()));
    match handle {
        Handle::Address(email) => hashed_key(BY_EMAIL, &(within + email.as_str())),
        Handle::Subject(subject) => {
            let (issuer, sub) = (subject.issuer.as_str(), subject.sub.as_str());
            hashed_key(BY_SUBJECT, &format!("{within}{issuer}\n{sub}"))
        }
    }
}
