//! How often an isolate has written a row about refused admin calls. Bounded: one entry for each code of a refusal and each of
//! a few API tokens; callers without a good one are as one.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::platform::time::{Seconds, Timestamp};

/// The time between two rows with one code.
const PAUSE: Seconds = Seconds(10);

/// More entries than this are not kept.
const MOST: usize = 256;

/// When a row with a code was written last, and how many were left out since.
#[derive(Default)]
pub struct Refusals(RefCell<HashMap<String, (Timestamp, u32)>>);

impl Refusals {
    /// Whether a row may be written, with the number of those that were left out before it.
    /// `actor`: the API token, if it is a good one, so that nobody hides behind the refusals of another.
    pub fn admit(&self, code: &str, actor: Option<&str>, now: Timestamp) -> Option<u32> {
        let mut known = self.0.borrow_mut();
        let key = [code, "\n", actor.unwrap_or_default()].concat();
        if known.len() >= MOST && !known.contains_key(&key) {
            known.retain(|_, (at, _)| now < *at + PAUSE);
            if known.len() >= MOST {
                return None;
            }
        }
        match known.get_mut(&key) {
            Some((at, left_out)) if now < *at + PAUSE => {
                *left_out = left_out.saturating_add(1);
                None
            }
            _ => {
                let before = known.insert(key, (now, 0));
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
        assert_eq!(refusals.admit("a", None, at(100)), Some(0));
        for _ in 0..1000 {
            assert_eq!(refusals.admit("a", None, at(109)), None);
        }
        assert_eq!(refusals.admit("b", None, at(109)), Some(0));
        assert_eq!(refusals.admit("a", Some("t1"), at(109)), Some(0));
        assert_eq!(refusals.admit("a", None, at(110)), Some(1000));
        assert_eq!(refusals.admit("a", None, at(130)), Some(0));
    }

    #[test]
    fn however_many_callers_are_refused_the_entries_are_bounded() {
        let refusals = Refusals::default();
        let at = Timestamp::from_seconds;
        for caller in 0..1000 {
            let written = refusals.admit("a", Some(&caller.to_string()), at(100));
            assert_eq!(written.is_some(), caller < MOST);
        }
        assert!(refusals.0.borrow().len() <= MOST);
        assert_eq!(refusals.admit("a", Some("later"), at(110)), Some(0));
    }
}
