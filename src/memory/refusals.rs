//! How often an isolate has written a row about refused admin calls. Bounded: one entry for each code of a refusal.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::platform::time::{Seconds, Timestamp};

/// The time between two rows with one code.
const PAUSE: Seconds = Seconds(10);

/// When a row with a code was written last, and how many were left out since.
#[derive(Default)]
pub struct Refusals(RefCell<HashMap<&'static str, (Timestamp, u32)>>);

impl Refusals {
    /// Whether a row may be written, with the number of those that were left out before it.
    pub fn admit(&self, code: &'static str, now: Timestamp) -> Option<u32> {
        let mut known = self.0.borrow_mut();
        match known.get_mut(code) {
            Some((at, left_out)) if now < *at + PAUSE => {
                *left_out = left_out.saturating_add(1);
                None
            }
            _ => {
                let before = known.insert(code, (now, 0));
                Some(before.map_or(0, |(_, left_out)| left_out))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_refusals_one_in_ten_seconds_is_written_and_counts_the_others() {
        let refusals = Refusals::default();
        let at = Timestamp::from_seconds;
        assert_eq!(refusals.admit("a", at(100)), Some(0));
        for _ in 0..1000 {
            assert_eq!(refusals.admit("a", at(109)), None);
        }
        assert_eq!(refusals.admit("b", at(109)), Some(0));
        assert_eq!(refusals.admit("a", at(110)), Some(1000));
        assert_eq!(refusals.admit("a", at(130)), Some(0));
    }
}
