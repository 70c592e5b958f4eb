//! What many requests of an isolate need at the same time, one of them fetches. In a Worker none may wait for a
//! promise of another, so the others look again until it is there.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::memory::world::World;
use crate::model::user::UserId;
use crate::platform::port::Fault;

/// The pauses between the looks, in milliseconds. Whoever has the turn may never come back, so nobody waits for longer
/// than a second.
const LOOKS: [u32; 9] = [2, 4, 8, 16, 32, 64, 128, 256, 512];

/// What a request may have the turn for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum TurnKey {
    /// To read a user's record.
    User(UserId),
    /// To read whether a session, named by its id, was ended.
    EndedSession(String),
    /// To ask whose a key is, named by its hash.
    Key(String),
    /// To ask for the endpoints of a provider.
    Endpoints(String),
    /// To sign the assertion of a verified credential, named by its place in memory, where the request keeps it.
    Assertion(usize),
}

/// Whose turn it is. Each entry belongs to a request that waits, and the size of those has a limit.
#[derive(Default)]
pub struct Turns(RefCell<HashSet<TurnKey>>);

/// A turn. It ends with the request, also if its client leaves.
struct Turn<'a> {
    turns: &'a Turns,
    key: &'a TurnKey,
}

impl Turns {
    fn take<'a>(&'a self, key: &'a TurnKey) -> Option<Turn<'a>> {
        let is_free = self.0.borrow_mut().insert(key.clone());
        // Not `then_some`: a turn that is made ends one when it is dropped.
        is_free.then(|| Turn { turns: self, key })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.0.borrow_mut().remove(self.key);
    }
}

/// Returns what `look` finds. If it finds nothing, one request calls `fetch`, which leaves its result where `look`
/// finds it; the others look again.
///
/// # Errors
/// Those of `fetch`, and [`Fault::Overloaded`]. A failure is not shared: the next request tries for itself.
pub async fn share<T>(
    world: &World,
    key: TurnKey,
    look: impl Fn() -> Option<T>,
    fetch: impl AsyncFnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    for pause in LOOKS {
        if let Some(found) = look() {
            return Ok(found);
        }
        if let Some(turn) = world.cache.turns.take(&key) {
            let fetched = fetch().await;
            drop(turn);
            return fetched;
        }
        world.platform.background.pause(pause).await?;
    }
    match look() {
        Some(found) => Ok(found),
        None => fetch().await,
    }
}
