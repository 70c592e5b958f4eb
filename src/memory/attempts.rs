//! What an isolate knows of attempts at API tokens.

use std::cell::RefCell;

use crate::http::client::Client;
use crate::platform::shelf::{self, Shelf};
use crate::platform::time::{Seconds, Timestamp};

/// How long an address is refused without asking the limiter again. The limiter counts for all
/// isolates of a location, and only it knows when its period is over.
pub const REFUSED_FOR: Seconds = Seconds(10);

/// What the isolate knows of attempts.
pub struct AttemptMemory {
    /// Clients that are over the limit, and until when that is not asked again.
    pub refused: RefCell<Shelf<Client, Timestamp>>,
    /// Ids of tokens that were good when they were last looked at. Each is looked at anew.
    pub good: RefCell<Shelf<String, ()>>,
}

impl Default for AttemptMemory {
    fn default() -> Self {
        Self {
            refused: RefCell::new(Shelf::new(shelf::REFUSED)),
            good: RefCell::new(Shelf::new(shelf::GOOD_API_TOKENS)),
        }
    }
}

impl AttemptMemory {
    /// Whether `client` is refused without asking the limiter.
    pub fn refuses(&self, client: Client, now: Timestamp) -> bool {
        let mut refused = self.refused.borrow_mut();
        // A clock that was set back extends no refusal.
        let until = refused.get(&client).copied();
        until.is_some_and(|until| now < until && until <= now + REFUSED_FOR)
    }

    /// What all of it weighs, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.refused.borrow().weight() + self.good.borrow().weight()
    }
}
