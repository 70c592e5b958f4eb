//! Every change of a user: of the record, of the address that leads to it, and of what this isolate
//! remembers. No other module changes users.
//!
//! A change is worked out from the newest record, and made only if that is still the newest; else it
//! is worked out anew. So no change undoes another one.

use std::rc::Rc;

use crate::answer::denial::Denial;
use crate::memory::world::World;
use crate::model::user::{Email, Tenant, User, UserId, Username};
use crate::platform::port::Fault;
use crate::platform::time::Timestamp;
use crate::store::CHANGE_ATTEMPTS;
use crate::store::users::{HeldUser, Holder, UserRecords, Users, has_address};

/// Whether the user already existed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ensured {
    /// It was there.
    Found,
    /// This call made it.
    Made,
}

/// The user with this address, as the store shows it, or as this isolate has changed it since.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn find_by_email(
    world: &World,
    tenant: Option<&Tenant>,
    email: &Email,
    now: Timestamp,
) -> Result<Option<User>, Fault> {
    let found = Users(&*world.platform.kv)
        .find_by_email(tenant, email)
        .await?;
    let Some(user) = found else {
        return Ok(None);
    };
    let id = user.id.clone();
    let newest = world.cache.own_changes.newest_user(&id, Some(user), now);
    Ok(newest
        .filter(|user| has_address(user, tenant, email))
        .map(Rc::unwrap_or_clone))
}

/// The same, with a record that this isolate may have read up to `user_cache` ago. Who holds the address is asked
/// of the store each time: a session that a token opens lasts for days, so no new token may go by a former holder.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn find_known_by_email(
    world: &World,
    tenant: Option<&Tenant>,
    email: &Email,
    now: Timestamp,
) -> Result<Option<Rc<User>>, Fault> {
    let users = Users(&*world.platform.kv);
    let Some(id) = users.holder(tenant, email).await? else {
        return Ok(None);
    };
    let holds = |user: &Rc<User>| has_address(user, tenant, email);
    let known = world.cache.user(&id, world.config.user_cache, now);
    if let Some(known) = known.flatten().filter(holds) {
        return Ok(Some(known));
    }
    let read = users.find(&id).await?;
    Ok(world.cache.put_user(&id, read, now).filter(holds))
}

/// The user with the address of `mine`, which is made if there is none. Of two calls at once,
/// anywhere, one makes the user and both get the same.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn ensure(world: &World, mine: User, now: Timestamp) -> Result<(User, Ensured), Fault> {
    let records = UserRecords(&*world.platform.records);
    let mut held = Holder::Nobody;
    for _ in 0..CHANGE_ATTEMPTS {
        match records.create(&mine, &held).await? {
            None => {
                world.cache.put_changed_user(&mine.id, Some(&mine), now);
                return Ok((mine, Ensured::Made));
            }
            Some(Holder::Id(id)) => match records.read(&id).await? {
                Some(HeldUser { user, .. })
                    if has_address(&user, mine.tenant.as_ref(), &mine.email) =>
                {
                    // Newer than what the store shows here.
                    world.cache.put_changed_user(&user.id, Some(&user), now);
                    return Ok((user, Ensured::Found));
                }
                // Left behind by a user who is gone, or has another address.
                _ => held = Holder::Id(id),
            },
            Some(Holder::Nobody) => held = Holder::Nobody,
        }
    }
    Err(Fault::Contended)
}

/// Changes a user as `change` says, which is called with the newest record, more than once when
/// others change it too.
///
/// # Errors
/// [`Denial::NotFound`], what `change` says, [`Denial::UserExists`] when the user's new address is
/// another one's, or a fault.
pub async fn change(
    world: &World,
    id: &UserId,
    now: Timestamp,
    mut change: impl FnMut(&mut User) -> Result<(), Denial>,
) -> Result<User, Denial> {
    let records = UserRecords(&*world.platform.records);
    let mut held_address = Holder::Nobody;
    for _ in 0..CHANGE_ATTEMPTS {
        let old = records.read(id).await?.ok_or(Denial::NotFound)?;
        let mut user = old.user.clone();
        change(&mut user)?;
        user.version = old.user.version + 1;
        user.updated_at = now;
        let done = if user.email == old.user.email {
            records.replace(&old, &user).await?
        } else {
            // A username that reads like an address reads like the user's own.
            let named = user.username.as_str();
            if named.contains('@') && Email::parse(named).as_ref() != Some(&user.email) {
                user.username = Username::parse(user.email.as_str()).unwrap_or_default();
            }
            let held = records.move_to(&old, &user, &held_address).await?;
            if let Some(held) = &held {
                held_address = free_address(&records, &user, held).await?;
            }
            held.is_none()
        };
        if done {
            world.cache.put_changed_user(id, Some(&user), now);
            return Ok(user);
        }
    }
    Err(Fault::Contended.into())
}

/// Removes a user if `may` lets it. Sessions and tokens of a user that does not exist count for
/// nothing.
///
/// # Errors
/// [`Denial::NotFound`], what `may` says, or a fault.
pub async fn delete(
    world: &World,
    id: &UserId,
    now: Timestamp,
    mut may: impl FnMut(&User) -> Result<(), Denial>,
) -> Result<User, Denial> {
    let records = UserRecords(&*world.platform.records);
    for _ in 0..CHANGE_ATTEMPTS {
        let old: HeldUser = records.read(id).await?.ok_or(Denial::NotFound)?;
        may(&old.user)?;
        if records.remove(&old).await? {
            world.cache.put_changed_user(id, None, now);
            return Ok(old.user);
        }
    }
    Err(Fault::Contended.into())
}

/// What the wanted address holds, unless it leads to another user.
async fn free_address(
    records: &UserRecords<'_>,
    user: &User,
    held: &Holder,
) -> Result<Holder, Denial> {
    let Holder::Id(id) = held else {
        return Ok(Holder::Nobody);
    };
    // The same change, begun by a call that was cut off before it was answered.
    if *id == user.id {
        return Ok(held.clone());
    }
    let other = records.read(id).await?;
    let is_theirs = |other: &HeldUser| has_address(&other.user, user.tenant.as_ref(), &user.email);
    if other.as_ref().is_some_and(is_theirs) {
        return Err(Denial::UserExists);
    }
    Ok(held.clone())
}

/// Makes the address of `user` lead to them again if it leads nowhere: earlier versions wrote record
/// and address separately, and could be interrupted in between.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn repair(world: &World, user: &User) -> Result<(), Fault> {
    if Users(&*world.platform.kv).has_owner(user).await? {
        return Ok(());
    }
    let records = UserRecords(&*world.platform.records);
    match records.read(&user.id).await? {
        Some(held) => records.restore_address(&held).await,
        None => Ok(()),
    }
}
