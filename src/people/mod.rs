//! Every change of a user: of the record, of the address that points to it, and of what this
//! isolate remembers. No other module changes users.
//!
//! A change is computed from the newest record and applied by compare-and-set: if the record has
//! changed meanwhile, the change is computed again. So no change overwrites another one.

pub mod directory;
pub mod services;
pub mod sessions;

use std::rc::Rc;

use crate::answer::denial::Denial;
use crate::memory::world::World;
use crate::model::service::ServiceId;
use crate::model::service_event::UserChange;
use crate::model::user::subject::Handle;
use crate::model::user::{Email, Tenant, User, UserId};
use crate::people::services::Audience;
use crate::platform::port::Fault;
use crate::platform::time::Timestamp;
use crate::store::CHANGE_ATTEMPTS;
use crate::store::passkeys::{PasskeySet, Passkeys};
use crate::store::passwords::Passwords;
use crate::store::users::{HeldUser, Holder, UserRecords, Users, has_handle};

/// Whether the user already existed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ensured {
    Found,
    /// This call created the user.
    Made,
}

/// The user with this address: as the store shows it, or newer if this isolate has changed it.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn find_by_email(
    world: &World,
    tenant: Option<&Tenant>,
    email: &Email,
    now: Timestamp,
) -> Result<Option<User>, Fault> {
    find_by(world, tenant, Handle::Address(email), now).await
}

/// The user with this address or subject, likewise.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn find_by(
    world: &World,
    tenant: Option<&Tenant>,
    handle: Handle<'_>,
    now: Timestamp,
) -> Result<Option<User>, Fault> {
    let found = Users(&*world.platform.kv).find_by(tenant, handle).await?;
    let Some(user) = found else {
        return Ok(None);
    };
    let id = user.id.clone();
    let newest = world.cache.own_changes.newest_user(&id, Some(user), now);
    Ok(newest
        .filter(|user| has_handle(user, tenant, handle))
        .map(Rc::unwrap_or_clone))
}

/// The same, with a record that this isolate may have read up to `user_cache` ago. Who holds the handle is asked
/// of the store each time: a session that a token opens lasts for days, so no new token may go by a former holder.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn find_known(
    world: &World,
    tenant: Option<&Tenant>,
    handle: Handle<'_>,
    now: Timestamp,
) -> Result<Option<Rc<User>>, Fault> {
    let users = Users(&*world.platform.kv);
    let Some(id) = users.holder(tenant, handle).await? else {
        return Ok(None);
    };
    let holds = |user: &Rc<User>| has_handle(user, tenant, handle);
    let known = world.cache.user(&id, world.config.user_cache, now);
    if let Some(known) = known.flatten().filter(holds) {
        return Ok(Some(known));
    }
    let read = users.find(&id).await?;
    Ok(world.cache.put_user(&id, read, now).filter(holds))
}

/// The user with this id, as the writer of the record knows the user: not a minute behind.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn newest(world: &World, id: &UserId) -> Result<Option<User>, Fault> {
    let held = UserRecords(&*world.platform.records).read(id).await?;
    Ok(held.map(|held| held.user))
}

/// The user with this address or subject, as the writers know the user: not a minute behind.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn newest_by(
    world: &World,
    tenant: Option<&Tenant>,
    handle: Handle<'_>,
) -> Result<Option<User>, Fault> {
    let records = UserRecords(&*world.platform.records);
    let Some(id) = records.holder(tenant, handle).await? else {
        return Ok(None);
    };
    let held = records.read(&id).await?.map(|held| held.user);
    Ok(held.filter(|user| has_handle(user, tenant, handle)))
}

/// The user with the address or subject of `mine`; creates `mine` if there is none. Of two concurrent calls,
/// anywhere, one creates the user and both return that one.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn ensure(
    world: &World,
    mut mine: User,
    now: Timestamp,
) -> Result<(User, Ensured), Fault> {
    let records = UserRecords(&*world.platform.records);
    let audience = Audience::of(world, None, now).await?;
    // A token may name anybody; nobody is called by the name of somebody else for it.
    if audience.is_anothers_name(&mine).await? {
        mine = mine.with_own_username();
    }
    let made = UserChange {
        old: None,
        new: Some(&mine),
    };
    let mut held = Holder::Free;
    for _ in 0..CHANGE_ATTEMPTS {
        let notify = audience.notifications(made, now).await?;
        match records.create(&mine, &held, notify).await? {
            None => {
                world.cache.put_changed_user(&mine.id, Some(&mine), now);
                return Ok((mine, Ensured::Made));
            }
            Some(Holder::Id(id)) => match records.read(&id).await? {
                Some(HeldUser { user, .. }) if is_same(&user, &mine) => {
                    // The writer's record may be newer than what KV shows here.
                    world.cache.put_changed_user(&user.id, Some(&user), now);
                    return Ok((user, Ensured::Found));
                }
                // A leftover: that user was deleted or has another address now.
                _ => held = Holder::Id(id),
            },
            Some(Holder::Free) => held = Holder::Free,
        }
    }
    Err(Fault::Contended)
}

/// Makes a user who was there before, with the same id. Returns whether there was none, or nothing if something else is there:
/// another record of the user, or somebody else with the address, subject or name. Services know the user already.
///
/// No session or SSO token of before counts, and no version of the record is older than any that there was: isolates that
/// remember one go by it.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn restore(world: &World, user: &User, now: Timestamp) -> Result<Option<bool>, Fault> {
    let records = UserRecords(&*world.platform.records);
    let audience = Audience::of(world, None, now).await?;
    let mut made = user.clone();
    made.end_sessions(now);
    made.version = user.version.max(now.millis());
    let mut held = Holder::Free;
    for _ in 0..CHANGE_ATTEMPTS {
        if let Some(HeldUser { user: known, .. }) = records.read(&user.id).await? {
            let as_before = User {
                version: user.version,
                sessions_valid_after: user.sessions_valid_after,
                ..known
            };
            return Ok((as_before == *user).then_some(false));
        }
        if audience.is_anothers_name(user).await? {
            return Ok(None);
        }
        // A deletion that was cut short may have left what somebody else has set.
        forget_credentials(world, &user.id).await?;
        match records.create(&made, &held, Vec::new()).await? {
            None => {
                world.cache.put_changed_user(&made.id, Some(&made), now);
                return Ok(Some(true));
            }
            Some(Holder::Free) => held = Holder::Free,
            Some(Holder::Id(id)) => match records.read(&id).await? {
                // The same user is there if another call was first: looked at again above.
                Some(HeldUser { user: other, .. })
                    if other.id != user.id && is_same(&other, user) =>
                {
                    return Ok(None);
                }
                _ => held = Holder::Id(id),
            },
        }
    }
    Err(Fault::Contended)
}

/// Applies `change` to the newest record of a user, and tells the services of the gateway. Calls
/// `change` again if the record was changed by others meanwhile.
///
/// # Errors
/// [`Denial::NotFound`], any error of `change`, [`Denial::UserExists`] if the new address belongs
/// to another user, or a fault.
pub async fn change(
    world: &World,
    id: &UserId,
    now: Timestamp,
    change: impl FnMut(&mut User) -> Result<(), Denial>,
) -> Result<User, Denial> {
    change_for(world, id, None, now, change).await
}

/// The same on behalf of a service, which is not told.
///
/// # Errors
/// Those of [`change`].
pub async fn change_for(
    world: &World,
    id: &UserId,
    service: Option<&ServiceId>,
    now: Timestamp,
    mut change: impl FnMut(&mut User) -> Result<(), Denial>,
) -> Result<User, Denial> {
    let records = UserRecords(&*world.platform.records);
    let audience = Audience::of(world, service, now).await?;
    let mut held_address = Holder::Free;
    for _ in 0..CHANGE_ATTEMPTS {
        let old = records.read(id).await?.ok_or(Denial::NotFound)?;
        let mut user = old.user.clone();
        change(&mut user)?;
        user.version = old.user.version + 1;
        user.updated_at = now;
        if user.username != old.user.username && audience.is_anothers_name(&user).await? {
            return Err(Denial::UserExists);
        }
        // A username that looks like an address must be the user's own address.
        let named = user.username.as_str();
        if user.email != old.user.email && named.contains('@') && Email::parse(named) != user.email
        {
            user = user.with_own_username();
        }
        let done = if user.handle() == old.user.handle() {
            let notify = audience
                .notifications(changed(&old.user, &user), now)
                .await?;
            records.replace(&old, &user, notify).await?
        } else {
            let notify = audience
                .notifications(changed(&old.user, &user), now)
                .await?;
            let held = records.move_to(&old, &user, &held_address, notify).await?;
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

/// Ends all sessions of a user that began before `at`, and tells the services of the gateway, but for the one that has
/// asked for it. A user who does not exist has none.
///
/// # Errors
/// A fault.
pub async fn end_sessions(
    world: &World,
    id: &UserId,
    service: Option<&ServiceId>,
    at: Timestamp,
) -> Result<(), Denial> {
    let ended = change_for(world, id, service, at, |user| {
        user.end_sessions(at);
        Ok(())
    });
    match ended.await {
        Ok(_) | Err(Denial::NotFound) => Ok(()),
        Err(denial) => Err(denial),
    }
}

/// Deletes a user if `may` allows it. That ends all sessions and tokens: none is valid without its
/// user.
///
/// # Errors
/// [`Denial::NotFound`], any error of `may`, or a fault.
pub async fn delete(
    world: &World,
    id: &UserId,
    now: Timestamp,
    mut may: impl FnMut(&User) -> Result<(), Denial>,
) -> Result<User, Denial> {
    let records = UserRecords(&*world.platform.records);
    let audience = Audience::of(world, None, now).await?;
    for _ in 0..CHANGE_ATTEMPTS {
        let old: HeldUser = records.read(id).await?.ok_or(Denial::NotFound)?;
        may(&old.user)?;
        let gone = UserChange {
            old: Some(&old.user),
            new: None,
        };
        let notify = audience.notifications(gone, now).await?;
        if records.remove(&old, notify).await? {
            world.cache.put_changed_user(id, None, now);
            // What is left of these if this fails opens nothing without a record, and a restored user does not get it back.
            forget_credentials(world, id).await?;
            return Ok(old.user);
        }
    }
    Err(Fault::Contended.into())
}

/// Deletes the password and the passkeys of a user, which only a gateway has.
async fn forget_credentials(world: &World, id: &UserId) -> Result<(), Fault> {
    if world.config.gateway().is_none() {
        return Ok(());
    }
    Passwords(&*world.platform.records).remove(id).await?;
    let forget = &mut |set: &mut PasskeySet| {
        *set = PasskeySet::default();
        Ok(())
    };
    let passkeys = Passkeys(&*world.platform.records);
    passkeys.change(id, forget).await?.ok();
    Ok(())
}

const fn changed<'a>(old: &'a User, new: &'a User) -> UserChange<'a> {
    UserChange {
        old: Some(old),
        new: Some(new),
    }
}

/// Whether two records are found by the same.
fn is_same(one: &User, other: &User) -> bool {
    one.handle().is_some() && one.handle() == other.handle() && one.tenant == other.tenant
}

/// Returns what the wanted address holds now; refuses if it belongs to another user.
async fn free_address(
    records: &UserRecords<'_>,
    user: &User,
    held: &Holder,
) -> Result<Holder, Denial> {
    let Holder::Id(id) = held else {
        return Ok(Holder::Free);
    };
    // The same change, begun by a call that was interrupted before it was answered.
    if *id == user.id {
        return Ok(held.clone());
    }
    let other = records.read(id).await?;
    let is_theirs = |other: &HeldUser| is_same(&other.user, user);
    if other.as_ref().is_some_and(is_theirs) {
        return Err(Denial::UserExists);
    }
    Ok(held.clone())
}

/// Makes the address or subject of `user` point to them again if it points nowhere: earlier versions wrote
/// record and address separately and could be interrupted between the two.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn repair(world: &World, user: &User) -> Result<(), Fault> {
    if Users(&*world.platform.kv).has_owner(user).await? {
        return Ok(());
    }
    let records = UserRecords(&*world.platform.records);
    match records.read(&user.id).await? {
        Some(held) => records.restore_handle(&held).await,
        None => Ok(()),
    }
}
