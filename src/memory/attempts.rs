//! Attempts to guess API tokens, as an isolate remembers them.

use std::cell::RefCell;

use crate::http::client::Client;
use crate::platform::shelf::{self, Shelf};
use crate::platform::time::{Seconds, Timestamp};

/// How long an address is refused without asking the rate limiter again. The limiter counts for all
/// isolates of a location, and only it knows when its period ends.
pub const REFUSED_FOR: Seconds = Seconds(10);

/// Attempts to guess API tokens, as an isolate remembers them.
pub struct AttemptMemory {
    /// Clients over the limit, and until when they are refused without asking the limiter.
    pub refused: RefCell<Shelf<Client, Timestamp>>,
    /// Keys of others that were not good, by hash, and until when they are refused without asking; and whether nobody
    /// could tell.
    pub outcomes: RefCell<Shelf<String, (bool, Timestamp)>>,
    /// The ids of tokens that were valid last time. Each is verified again.
    pub good: RefCell<Shelf<String, ()>>,
}

impl Default for AttemptMemory {
    fn default() -> Self {
        Self {
            refused: RefCell::new(Shelf::new(shelf::REFUSED)),
            outcomes: RefCell::new(Shelf::new(shelf::REFUSED_KEYS)),
            good: RefCell::new(Shelf::new(shelf::GOOD_API_TOKENS)),
        }
    }
}

impl AttemptMemory {
    /// Whether `client` is refused without asking the rate limiter.
    pub fn refuses(&self, client: Client, now: Timestamp) -> bool {
        let mut refused = self.refused.borrow_mut();
        // A clock that was set back must not extend a refusal.
        let until = refused.get(&client).copied();
        until.is_some_and(|until| now < until && until <= now + REFUSED_FOR)
    }

    /// What the last question for a key has come to, if it was not good: whether nobody could tell.
    pub fn outcome(&self, id: &str, now: Timestamp) -> Option<bool> {
        let mut outcomes = self.outcomes.borrow_mut();
        let (is_fault, until) = *outcomes.get(id)?;
        // A clock that was set back must not extend it.
        (now < until && until <= now + REFUSED_FOR).then_some(is_fault)
    }

    /// The weight of all entries, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.outcomes.borrow().weight()
            + self.refused.borrow().weight()
            + self.good.borrow().weight()
    }
}
