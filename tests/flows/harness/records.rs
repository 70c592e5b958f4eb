//! In-memory writers of records: what `src/edge/record.js` does, without its storage. A contract
//! test runs both through the same steps (tests/edge/records.test.mjs runs the real one).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use edgeward::platform::port::{Change, Changed, Fault, Notification, Pending, Records};
use edgeward::platform::time::{Seconds, Timestamp};

use super::shared::{Fate, Shared, Verb, later};

/// As in record.js.
const SHOWN_AFTER: Seconds = Seconds(65);
const FORGOTTEN_AFTER: Seconds = Seconds(180);

/// What one writer holds.
#[derive(Clone, Debug)]
struct Held {
    value: Option<String>,
    order: Option<u64>,
    keep: bool,
    written_at: Option<Timestamp>,
    is_written: bool,
}

/// All writers, and what they have still to do.
#[derive(Default)]
pub struct Writers {
    held: RefCell<BTreeMap<String, Held>>,
    /// Writes to the store are delayed, rejected and lost, and following changes wait until
    /// [`Shared::carry`] is called often enough.
    pub wild: Cell<bool>,
    following: RefCell<Vec<Change>>,
    /// What outboxes have still to be told, in order.
    notifying: RefCell<Vec<Notification>>,
}

pub struct MemoryRecords(pub Rc<Shared>);

impl Shared {
    /// Replaces what every writer holds under a key with `prefix`.
    pub fn spoil(&self, prefix: &str, value: &str) {
        for (key, held) in self.writers.held.borrow_mut().iter_mut() {
            if key.starts_with(prefix) {
                held.value = Some(value.to_owned());
            }
        }
    }

    /// What every writer holds under a key with `prefix`.
    pub fn held_with(&self, prefix: &str) -> Vec<String> {
        let held = self.writers.held.borrow();
        let mine = held.iter().filter(|(key, _)| key.starts_with(prefix));
        mine.filter_map(|(_, held)| held.value.clone()).collect()
    }

    fn held(&self, key: &str) -> Option<String> {
        match self.writers.held.borrow().get(key) {
            Some(held) => held.value.clone(),
            None => self.value(key),
        }
    }

    fn is_possible(&self, change: &Change) -> bool {
        let order = self
            .writers
            .held
            .borrow()
            .get(&change.key)
            .and_then(|held| held.order);
        let too_late = change
            .older_than
            .is_some_and(|limit| order.is_some_and(|order| order >= limit));
        self.held(&change.key) == change.from
            && !too_late
            && change
                .needs
                .as_deref()
                .is_none_or(|needed| self.is_possible(needed))
    }

    fn apply(&self, change: &Change) {
        if let Some(needed) = &change.needs {
            self.apply(needed);
        }
        let mut held = self.writers.held.borrow_mut();
        let before = held.get(&change.key);
        let now = Held {
            value: change.to.clone(),
            order: change.order,
            keep: change.keep || before.is_some_and(|held| held.keep),
            written_at: before.and_then(|held| held.written_at),
            is_written: false,
        };
        held.insert(change.key.clone(), now);
        drop(held);
        if let Some(entry) = &change.entry {
            assert!(change.needs.is_none(), "such a change needs no other");
            self.entries.put(entry, None);
        }
        self.writers
            .following
            .borrow_mut()
            .extend(change.then.clone());
        self.writers
            .notifying
            .borrow_mut()
            .extend(change.notify.clone());
    }

    /// The writers write to the store what they hold, look whether it shows that, and tell each other
    /// what follows: all of it, or a part when they are wild.
    pub fn carry(&self) {
        while self.carry_some() && !self.writers.wild.get() {}
    }

    fn carry_some(&self) -> bool {
        let wild = self.writers.wild.get();
        let now = self.now.get();
        let mut is_busy = false;
        let unwritten: Vec<(String, Option<String>)> = {
            let mut held = self.writers.held.borrow_mut();
            for (key, held) in held.iter_mut() {
                let is_due = held.written_at.is_some_and(|at| now >= at + SHOWN_AFTER);
                if is_due && self.value(key) != held.value {
                    held.is_written = false;
                }
            }
            let unwritten = held.iter().filter(|(_, held)| !held.is_written);
            unwritten
                .map(|(key, held)| (key.clone(), held.value.clone()))
                .collect()
        };
        for (key, value) in unwritten {
            let mut held = self.writers.held.borrow_mut();
            let Some(writer) = held.get_mut(&key) else {
                continue;
            };
            is_busy = true;
            // The store turns a second write of a key in one second down, or loses it.
            let is_second = writer.written_at.is_some_and(|at| now < at + Seconds(1));
            let luck = if wild { self.draw(4) } else { 1 };
            if luck == 0 || (wild && is_second && luck == 1) {
                continue;
            }
            writer.written_at = Some(now);
            writer.is_written = true;
            let is_lost = wild && is_second && luck == 2;
            drop(held);
            if !is_lost {
                self.put(&key, value.map(|value| (value, None)));
            }
        }
        let following = std::mem::take(&mut *self.writers.following.borrow_mut());
        for change in following {
            is_busy = true;
            if wild && self.draw(3) == 0 {
                self.writers.following.borrow_mut().push(change);
            } else if self.is_possible(&change) {
                self.apply(&change);
            }
        }
        self.notify() || is_busy
    }

    /// Tells the outboxes, each in order; one that does not answer holds up no other.
    fn notify(&self) -> bool {
        let mut is_busy = false;
        let mut late = std::collections::BTreeSet::new();
        let notifying = std::mem::take(&mut *self.writers.notifying.borrow_mut());
        for notification in notifying {
            let Notification { service, call } = &notification;
            let is_late = self.writers.wild.get() && self.draw(3) == 0;
            let is_told =
                !late.contains(service) && !is_late && self.outboxes.call(service, call).is_some();
            if is_told {
                is_busy = true;
            } else {
                late.insert(service.clone());
                self.writers.notifying.borrow_mut().push(notification);
            }
        }
        is_busy
    }

    /// Writers forget what the store has shown for long enough.
    pub fn forget_writers(&self) {
        let now = self.now.get();
        let mut all = self.writers.held.borrow_mut();
        all.retain(|key, held| {
            let is_shown = held.is_written
                && held
                    .written_at
                    .is_some_and(|at| now >= at + FORGOTTEN_AFTER)
                && self.value(key) == held.value;
            (held.keep && held.value.is_some()) || !is_shown
        });
    }
}

impl Records for MemoryRecords {
    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>> {
        let fate = self.0.call(Verb::RecordRead, key);
        later(move || match fate {
            Fate::Good => Ok(self.0.held(key)),
            Fate::Reads(text) => Ok(self.0.held(key).map(|_| text.to_owned())),
            Fate::Fails => Err(Fault::Writer),
        })
    }

    fn read_kept<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>> {
        let fate = self.0.call(Verb::RecordRead, key);
        later(move || {
            let held = self.0.writers.held.borrow();
            let value = held.get(key).and_then(|held| held.value.clone());
            match fate {
                Fate::Good => Ok(value),
                Fate::Reads(text) => Ok(value.map(|_| text.to_owned())),
                Fate::Fails => Err(Fault::Writer),
            }
        })
    }

    fn change<'a>(&'a self, change: &'a Change) -> Pending<'a, Result<Changed, Fault>> {
        let fate = self.0.call(Verb::RecordChange, &change.key);
        later(move || {
            if matches!(fate, Fate::Fails) {
                return Err(Fault::Writer);
            }
            if !self.0.is_possible(change) {
                return Ok(Changed::Holds(self.0.held(&change.key)));
            }
            self.0.apply(change);
            self.0.carry();
            Ok(Changed::Done)
        })
    }

    fn keep<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>> {
        let fate = self.0.call(Verb::RecordKeep, key);
        later(move || {
            if matches!(fate, Fate::Fails) {
                return Err(Fault::Writer);
            }
            let value = self.0.held(key);
            if value.is_some() {
                let mut held = self.0.writers.held.borrow_mut();
                held.entry(key.to_owned())
                    .or_insert(Held {
                        value,
                        order: None,
                        keep: true,
                        written_at: None,
                        is_written: true,
                    })
                    .keep = true;
            }
            Ok(())
        })
    }
}
