//! Users found by what they are called. The directory is an index that may be wrong: what a search shows is what the records
//! say, and a user whose record says something else than the index is not shown.

use std::rc::Rc;

use serde_json::Value;

use crate::answer::denial::Denial;
use crate::memory::world::World;
use crate::model::user::{Tenant, User, UserId};
use crate::people;
use crate::platform::port::{DirectoryCall, Fault, Pending};
use crate::platform::time::Timestamp;
use crate::store::users::{Users, listed, searched};

/// Records that one step of a rebuild reads. A Worker may read 1,000.
const STEP: u32 = 500;
/// Users without a record whom one step looks for, one after the other, at their writers.
const CHECKED: usize = 20;

/// What a search has found. There may be fewer users than were asked for, and more beyond `next`.
pub struct Found {
    pub users: Vec<User>,
    /// Where to go on from.
    pub next: Option<String>,
    /// When the directory was last made from the store, in milliseconds since 1970.
    pub built: Option<u64>,
}

fn ask<'a>(world: &'a World, call: &'a DirectoryCall<'a>) -> Pending<'a, Result<Value, Fault>> {
    world.platform.directory.call(call)
}

fn text<'a>(answer: &'a Value, name: &str) -> Option<&'a str> {
    answer.get(name)?.as_str()
}

/// Users of a tenant, or without one, each with a word that begins as each word of `searched_for` does.
///
/// # Errors
/// [`Denial::NoDirectory`], [`Denial::InvalidField`] if there is nothing to search for, or a fault.
pub async fn search(
    world: &World,
    tenant: Option<&Tenant>,
    searched_for: &str,
    (after, limit): (Option<String>, u32),
    now: Timestamp,
) -> Result<Found, Denial> {
    if !world.platform.directory.is_bound() {
        return Err(Denial::NoDirectory);
    }
    let call = DirectoryCall::Search {
        tenant: tenant.map_or("", Tenant::as_str),
        text: searched_for,
        after,
        limit,
    };
    let answer = ask(world, &call).await?;
    let hits = answer.get("users").and_then(Value::as_array);
    let hits = hits.ok_or(Denial::InvalidField("search"))?;
    let (ids, hits): (Vec<UserId>, Vec<&Value>) = hits
        .iter()
        .filter_map(|hit| Some((UserId::parse(text(hit, "id")?)?, hit)))
        .unzip();
    let read = Users(&*world.platform.kv).all(&ids).await?;
    let mut users = Vec::new();
    for ((id, hit), read) in ids.iter().zip(hits).zip(read) {
        let known = world.cache.own_changes.newest_user(id, read, now);
        let version = hit.get("version").and_then(Value::as_u64);
        let user = match known.filter(|user| Some(user.version) >= version) {
            Some(user) => Some(Rc::unwrap_or_clone(user)),
            // The store is behind the directory, or the directory knows somebody who is gone.
            None => newest(world, id).await?,
        };
        let is_so = |user: &User| {
            user.tenant.as_ref() == tenant && text(hit, "text") == Some(&searched(user))
        };
        users.extend(user.filter(is_so));
    }
    Ok(Found {
        users,
        next: text(&answer, "next").map(str::to_owned),
        built: answer.get("built").and_then(Value::as_u64),
    })
}

/// The user as the writer of the record knows the user. A malformed record is none.
async fn newest(world: &World, id: &UserId) -> Result<Option<User>, Fault> {
    match people::newest(world, id).await {
        Err(Fault::Record) => Ok(None),
        user => user,
    }
}

/// A step of a rebuild, and where it stands in its answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    Begin,
    /// Goes through the store.
    Walk(u64, Option<String>),
    /// Looks for those whom it has not come across.
    Sweep(u64),
}

impl Step {
    /// A step as a cursor.
    #[must_use]
    pub fn write(&self) -> String {
        match self {
            Self::Begin => String::new(),
            Self::Walk(round, cursor) => {
                format!("w{round}:{}", cursor.as_deref().unwrap_or_default())
            }
            Self::Sweep(round) => format!("s{round}:"),
        }
    }

    /// A cursor as a step.
    #[must_use]
    pub fn read(cursor: &str) -> Option<Self> {
        let (round, place) = cursor.get(1..)?.split_once(':')?;
        let round = round.parse().ok()?;
        match (cursor.get(..1)?, place) {
            ("w", "") => Some(Self::Walk(round, None)),
            ("w", place) => Some(Self::Walk(round, Some(place.to_owned()))),
            ("s", "") => Some(Self::Sweep(round)),
            _ => None,
        }
    }
}

/// What a step has done.
#[derive(Default)]
pub struct Done {
    pub listed: usize,
    pub removed: usize,
}

/// Makes one step of a rebuild of the directory from the store. Returns the next one; `None` at the end. Others may write
/// meanwhile: whoever they put has been seen, and nobody is removed whose writer has a record.
///
/// # Errors
/// [`Denial::NoDirectory`] or a fault.
pub async fn rebuild(world: &World, step: Step) -> Result<(Done, Option<Step>), Denial> {
    if !world.platform.directory.is_bound() {
        return Err(Denial::NoDirectory);
    }
    let (mut users, mut gone) = (Vec::new(), Vec::new());
    let (round, next) = match step {
        Step::Begin => {
            let answer = ask(world, &DirectoryCall::Begin).await?;
            let round = answer.get("round").and_then(Value::as_u64);
            let round = round.ok_or(Fault::Directory)?;
            (round, Step::Walk(round, None))
        }
        Step::Walk(round, cursor) => {
            let store = Users(&*world.platform.kv);
            let page = store.page(cursor.as_deref(), STEP).await?;
            users.extend(page.records.iter().map(listed));
            let next = match page.cursor {
                Some(cursor) => Step::Walk(round, Some(cursor)),
                None => Step::Sweep(round),
            };
            (round, next)
        }
        Step::Sweep(round) => {
            let limit = CHECKED;
            let answer = ask(world, &DirectoryCall::Stale { round, limit }).await?;
            let stale = answer.get("ids").and_then(Value::as_array);
            for id in stale.ok_or(Fault::Directory)? {
                let id = id.as_str().unwrap_or_default();
                let user = match UserId::parse(id) {
                    Some(id) => newest(world, &id).await?,
                    None => None,
                };
                match user {
                    Some(user) => users.push(listed(&user)),
                    None => gone.push(id.to_owned()),
                }
            }
            (round, Step::Sweep(round))
        }
    };
    let done = Done {
        listed: users.len(),
        removed: gone.len(),
    };
    if done.listed + done.removed > 0 {
        ask(world, &DirectoryCall::Put { users, round, gone }).await?;
    } else if let Step::Sweep(_) = next {
        ask(world, &DirectoryCall::Finish).await?;
        return Ok((done, None));
    }
    Ok((done, Some(next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_its_own_cursor_and_nothing_else_is_one() {
        for step in [
            Step::Walk(7, None),
            Step::Walk(7, Some("user:ab:c".into())),
            Step::Sweep(u64::MAX),
        ] {
            assert_eq!(Step::read(&step.write()), Some(step));
        }
        for other in ["", "w", "w:", "s1:x", "x1:", "w-1:", "s1", "é1:"] {
            assert_eq!(Step::read(other), None, "{other}");
        }
    }
}
