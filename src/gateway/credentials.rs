//! Passwords: checking one, and setting one.

use std::rc::Rc;

use crate::answer::denial::Denial;
use crate::gateway::visit::Visit;
use crate::http::client::Client;
use crate::memory::world::World;
use crate::model::audit::Written;
use crate::model::password;
use crate::model::service::Identity;
use crate::model::user::{Email, User, UserId, Username, fold};
use crate::people;
use crate::people::services::is_own_address;
use crate::platform::digest::{hex, sha256};
use crate::platform::port::{Attempt, Attempted, Counter, Fault, NewPassword, PasswordHash};
use crate::platform::time::{Seconds, Timestamp};
use crate::site::gateway::Gateway;
use crate::store::CHANGE_ATTEMPTS;
use crate::store::passwords::{Passwords, StoredPassword};
use crate::store::users::Users;

/// The result of checking a name and a password.
pub(super) enum Checked {
    Right {
        user: Box<User>,
        must_change: bool,
        /// What the password was compared with.
        hash: PasswordHash,
    },
    /// The name, the password or the account is wrong; nobody is told which.
    Wrong,
    Wait(Seconds),
}

/// Checks a name and a password. Whoever does not exist, is disabled or has no password costs the same work, and gets
/// the same answer, as a wrong password.
///
/// # Errors
/// A fault. A stored hash that cannot be read is one, and never a wrong password.
pub(super) async fn check(visit: &Visit<'_>, name: &str, given: &str) -> Result<Checked, Denial> {
    let ctx = visit.ctx;
    let platform = &ctx.world.platform;
    let client = Client::of(ctx.parts).to_string();
    if !platform.limit.allow(Counter::SignIns, &client).await? {
        return Ok(Checked::Wait(Seconds(60)));
    }
    let found = find(ctx.world, visit.gateway, name, ctx.now).await?;
    // Records of nobody are read for an unknown name, so that the time tells nothing.
    let key = user_key(visit.gateway, name);
    let nobody = UserId::unused(&key);
    if found.is_none() {
        Users(&*platform.kv).find(&nobody).await?;
    }
    let user = found.filter(|user| user.active && user.tenant.is_none());
    let id = user.as_ref().map_or(&nobody, |user| &user.id);
    let kept = Passwords(&*platform.records).find(id).await?;
    let stored = kept.as_ref().filter(|_| user.is_some());
    let hash = stored
        .map(|stored| password::parse(&stored.hash).map_err(|_| Fault::Record))
        .transpose()?;
    let (lane, trusted) = visit.lane(id);
    let attempt = Attempt {
        user: &key,
        lane: &lane,
        trusted,
        password: given,
        hash: hash.as_ref(),
    };
    let attempted = platform.passwords.attempt(&attempt).await?;
    match (attempted, user, stored, hash) {
        (Attempted::Right, Some(user), Some(stored), Some(hash)) => {
            // What the store showed of the user may be a minute old, and the attempt may have waited.
            let newest = people::newest(ctx.world, &user.id).await?;
            let newest = newest.filter(|user| user.active && user.tenant.is_none());
            let now = Passwords(&*platform.records).read(&user.id).await?;
            let Some(user) = newest.filter(|_| now.is(stored)) else {
                return Ok(Checked::Wrong);
            };
            rehash(visit, &user.id, stored, &hash, &key, given);
            Ok(Checked::Right {
                must_change: stored.must_change,
                user: Box::new(user),
                hash,
            })
        }
        (Attempted::Wait(seconds) | Attempted::Busy(seconds), ..) => Ok(Checked::Wait(seconds)),
        _ => Ok(Checked::Wrong),
    }
}

/// Hashes the password anew after the answer, if the hash is weaker than those made today. Unless the password was
/// changed meanwhile.
fn rehash(
    visit: &Visit<'_>,
    id: &UserId,
    stored: &StoredPassword,
    hash: &PasswordHash,
    key: &str,
    given: &str,
) {
    if !password::is_outdated(hash) {
        return;
    }
    let world = Rc::clone(visit.ctx.world);
    let (id, key, given, old) = (id.clone(), key.to_owned(), given.to_owned(), stored.clone());
    visit
        .ctx
        .world
        .platform
        .background
        .spawn(Box::pin(async move {
            // Whatever fails is tried again at the next sign-in.
            let new = match world.platform.passwords.hash(&key, &given, None).await {
                Ok(NewPassword::Hashed(hash)) => StoredPassword {
                    hash: password::to_phc(&hash),
                    ..old.clone()
                },
                // Imported, and too weak to be set here: another one is asked for at the next sign-in.
                Ok(NewPassword::TooShort | NewPassword::Common) => StoredPassword {
                    must_change: true,
                    ..old.clone()
                },
                _ => return,
            };
            let passwords = Passwords(&*world.platform.records);
            if let Ok(held) = passwords.read(&id).await
                && held.is(&old)
            {
                let _ = passwords.replace(&id, &held, &new).await;
            }
        }));
}

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unfit {
    TooShort,
    TooLong,
    Common,
    /// It is the current password.
    Unchanged,
    /// The current password is not right.
    WrongCurrent,
    /// Too many passwords are being checked.
    Busy(Seconds),
}

/// Hashes a new password of a user, as it is stored. `current`: the hash of the one that it must not be.
///
/// # Errors
/// A fault.
pub async fn hash(
    world: &World,
    user: &User,
    gateway: &Gateway,
    new: &str,
    current: Option<&PasswordHash>,
) -> Result<Result<String, Unfit>, Fault> {
    let key = user_key(gateway, gateway.identity.of(user));
    let passwords = &world.platform.passwords;
    Ok(match passwords.hash(&key, new, current).await? {
        NewPassword::Hashed(hash) => Ok(password::to_phc(&hash)),
        NewPassword::TooShort => Err(Unfit::TooShort),
        NewPassword::TooLong => Err(Unfit::TooLong),
        NewPassword::Common => Err(Unfit::Common),
        NewPassword::Unchanged => Err(Unfit::Unchanged),
        NewPassword::Busy(seconds) => Err(Unfit::Busy(seconds)),
    })
}

/// Stores the hash of a password, and then ends all sessions: those too that were opened with the old password while this
/// one was hashed and stored. Gives the moment before which they have ended.
///
/// # Errors
/// A fault.
pub async fn put_and_end(
    _: &Written,
    world: &World,
    id: &UserId,
    hash: String,
    must_change: bool,
    now: Timestamp,
) -> Result<Timestamp, Denial> {
    put(world, id, hash, must_change, now).await?;
    let limit = world.platform.clock.now().max(now);
    people::end_sessions(world, id, None, limit).await?;
    Ok(limit)
}

/// Stores the hash of a password.
///
/// # Errors
/// A fault.
pub async fn put(
    world: &World,
    id: &UserId,
    hash: String,
    must_change: bool,
    now: Timestamp,
) -> Result<(), Fault> {
    let passwords = Passwords(&*world.platform.records);
    let new = StoredPassword {
        hash,
        must_change,
        set_at: now,
    };
    for _ in 0..CHANGE_ATTEMPTS {
        let held = passwords.read(id).await?;
        if passwords.replace(id, &held, &new).await? {
            return Ok(());
        }
    }
    Err(Fault::Contended)
}

/// Stores the hash of the first password of a user. Returns whether the user had none so far.
///
/// # Errors
/// A fault.
pub async fn put_first(
    _: &Written,
    world: &World,
    id: &UserId,
    hash: String,
    must_change: bool,
    now: Timestamp,
) -> Result<bool, Fault> {
    let passwords = Passwords(&*world.platform.records);
    let new = StoredPassword {
        hash,
        must_change,
        set_at: now,
    };
    for _ in 0..CHANGE_ATTEMPTS {
        let held = passwords.read(id).await?;
        if passwords.find(id).await?.is_some() {
            return Ok(false);
        }
        if passwords.replace(id, &held, &new).await? {
            return Ok(true);
        }
    }
    Err(Fault::Contended)
}

/// The user whom services call `name`.
///
/// # Errors
/// A fault.
pub(super) async fn find(
    world: &World,
    gateway: &Gateway,
    name: &str,
    now: Timestamp,
) -> Result<Option<User>, Fault> {
    match gateway.identity {
        Identity::Email => match Email::parse(name) {
            Some(email) => people::find_by_email(world, None, &email, now).await,
            None => Ok(None),
        },
        Identity::Username => {
            let by_name = match Username::parse(name) {
                Some(name) => Users(&*world.platform.kv).find_by_name(&name).await?,
                None => None,
            };
            match (by_name, Email::parse(name)) {
                // A username that is the user's own address is found by that.
                (None, Some(email)) => {
                    let user = people::find_by_email(world, None, &email, now).await?;
                    Ok(user.filter(is_own_address))
                }
                (by_name, _) => Ok(by_name),
            }
        }
    }
}

/// The one name by which failures are counted, whatever the spelling.
#[must_use]
pub fn user_key(gateway: &Gateway, name: &str) -> String {
    let name = name.trim();
    let canonical = match gateway.identity {
        Identity::Email => Email::parse(name).map(|email| email.as_str().to_owned()),
        Identity::Username => Email::parse(name)
            .map(|email| email.as_str().to_owned())
            .or_else(|| Username::parse(name).map(|name| name.as_str().to_owned())),
    };
    let canonical = canonical.unwrap_or_else(|| fold(name));
    hex(&sha256(format!("user\n{canonical}").as_bytes()))
}
