//! The port `Passwords` in memory: what `src/edge/attempts.js` does, without its storage, its pauses
//! and the work. A contract test runs both through the same attempts. In place of every KDF stands
//! the SHA-256 of salt and password; so a hash counts only here, and [`hashed`] makes one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use edgeward::platform::digest::sha256;
use edgeward::platform::port::{
    Attempt, Attempted, Entropy as _, Fault, Kdf, NewPassword, PasswordHash, Passwords, Pending,
};
use edgeward::platform::time::{Seconds, Timestamp};

use super::ports::Seeded;
use super::shared::{Fate, Shared, Verb, later};

/// As in attempts.js.
const FREE_FAILURES: u32 = 5;
const LONGEST_DELAY: u64 = 60;
const MANY_FAILURES: u32 = 50;
const NEW_LANE_DELAY: u64 = 10;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const LONGEST_PASSWORD: usize = 1024;
/// A few of the real list.
const COMMON: [&str; 3] = ["password1", "1234567890", "qwertyuiop"];

/// What is known of one user and lane.
#[derive(Clone, Copy)]
struct Lane {
    failures: u32,
    last: Timestamp,
    waits_until: Timestamp,
}

/// All lanes, by user and lane, and what a test may set.
#[derive(Default)]
pub struct Failures {
    lanes: RefCell<BTreeMap<(String, String), Lane>>,
    /// Every hash is refused as if too many were waiting.
    pub busy: Cell<bool>,
    /// How many hashes were made.
    pub hashes: Cell<u32>,
}

/// The stored hash of a password, as this port takes it.
pub fn hashed(password: &str) -> PasswordHash {
    let salt = b"sixteen bytes...".to_vec();
    PasswordHash {
        kdf: Kdf::TODAY,
        output: work(&salt, password),
        salt,
    }
}

fn work(salt: &[u8], password: &str) -> Vec<u8> {
    sha256(&[salt, password.as_bytes()].concat()).to_vec()
}

pub struct MemoryPasswords(pub Rc<Shared>, pub Seeded);

impl MemoryPasswords {
    fn try_it(&self, attempt: &Attempt<'_>) -> Attempted {
        let failures = &self.0.failures;
        if attempt.password.len() > LONGEST_PASSWORD {
            return Attempted::Wrong;
        }
        if failures.busy.get() {
            return Attempted::Busy(Seconds(2));
        }
        let now = self.0.now.get();
        let key = (attempt.user.to_owned(), attempt.lane.to_owned());
        let mut lanes = failures.lanes.borrow_mut();
        lanes.retain(|_, lane| now < later_by(lane.last, DAY));
        let known = lanes.get(&key).copied();
        let of_others = lanes.iter().filter(|((user, lane), of)| {
            user == attempt.user && lane != attempt.lane && now < later_by(of.last, HOUR)
        });
        let of_others: u32 = of_others.map(|(_, lane)| lane.failures).sum();
        let mut lane = known.unwrap_or(Lane {
            failures: 0,
            last: now,
            waits_until: now,
        });
        if known.is_none() && !attempt.trusted && of_others >= MANY_FAILURES {
            lane.waits_until = later_by(now, NEW_LANE_DELAY);
            lanes.insert(key.clone(), lane);
        }
        if now < lane.waits_until {
            let left = lane.waits_until.millis() - now.millis();
            let left = u32::try_from(left.div_ceil(1000)).unwrap();
            return Attempted::Wait(Seconds(left));
        }
        lane.failures += 1;
        lane.last = now;
        lane.waits_until = later_by(now, delay_after(lane.failures));
        lanes.insert(key.clone(), lane);
        failures.hashes.set(failures.hashes.get() + 1);
        let is_right = attempt
            .hash
            .is_some_and(|hash| hash.output == work(&hash.salt, attempt.password));
        if !is_right {
            return Attempted::Wrong;
        }
        lanes.insert(
            key,
            Lane {
                failures: 0,
                last: now,
                waits_until: now,
            },
        );
        Attempted::Right
    }
}

/// The seconds of delay after so many failures.
fn delay_after(failures: u32) -> u64 {
    match failures.checked_sub(FREE_FAILURES) {
        None => 0,
        Some(more) => 1_u64
            .checked_shl(more)
            .map_or(LONGEST_DELAY, |delay| delay.min(LONGEST_DELAY)),
    }
}

fn later_by(moment: Timestamp, seconds: u64) -> Timestamp {
    Timestamp::from_millis(moment.millis() + seconds * 1000)
}

impl Passwords for MemoryPasswords {
    fn attempt<'a>(&'a self, attempt: &'a Attempt<'a>) -> Pending<'a, Result<Attempted, Fault>> {
        let fate = self.0.call(Verb::Attempt, attempt.user);
        later(move || match fate {
            Fate::Fails => Err(Fault::Passwords),
            Fate::Good | Fate::Reads(_) => Ok(self.try_it(attempt)),
        })
    }

    fn hash<'a>(
        &'a self,
        user: &'a str,
        password: &'a str,
        current: Option<&'a PasswordHash>,
    ) -> Pending<'a, Result<NewPassword, Fault>> {
        let fate = self.0.call(Verb::HashPassword, user);
        later(move || {
            if matches!(fate, Fate::Fails) {
                return Err(Fault::Passwords);
            }
            let failures = &self.0.failures;
            Ok(match password.len() {
                0..8 => NewPassword::TooShort,
                8..=LONGEST_PASSWORD => {
                    if COMMON.contains(&password.to_lowercase().as_str()) {
                        return Ok(NewPassword::Common);
                    }
                    if failures.busy.get() {
                        return Ok(NewPassword::Busy(Seconds(2)));
                    }
                    failures.hashes.set(failures.hashes.get() + 1);
                    if let Some(current) = current {
                        failures.hashes.set(failures.hashes.get() + 1);
                        if current.output == work(&current.salt, password) {
                            return Ok(NewPassword::Unchanged);
                        }
                    }
                    let mut salt = vec![0; 16];
                    self.1.fill(&mut salt);
                    NewPassword::Hashed(PasswordHash {
                        kdf: Kdf::TODAY,
                        output: work(&salt, password),
                        salt,
                    })
                }
                _ => NewPassword::TooLong,
            })
        })
    }
}
