//! The writers of records in memory: what `src/edge/record.js` does, without its storage. A contract
//! test runs both through the same steps (tests/edge/records.test.mjs has the real one).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use edgeward::port::{Change, Changed, Fault, Pending, Records};

use super::shared::{Fate, Shared, Verb, later};

/// What one writer holds.
#[derive(Clone, Debug)]
struct Held {
    value: Option<String>,
    order: Option<u64>,
    keep: bool,
}

/// All writers, and what they have still to do.
#[derive(Default)]
pub struct Writers {
    held: RefCell<BTreeMap<String, Held>>,
    /// Changes that follow another one, and writes to the store, wait until [`Shared::carry`].
    pub slow: Cell<bool>,
    following: RefCell<Vec<Change>>,
    unwritten: RefCell<Vec<String>>,
}

impl Writers {
    /// The newest value of every key that a writer holds.
    pub fn newest(&self) -> BTreeMap<String, Option<String>> {
        let held = self.held.borrow();
        held.iter()
            .map(|(key, held)| (key.clone(), held.value.clone()))
            .collect()
    }

    /// Writers forget what the store has shown for long enough.
    pub fn forget(&self) {
        self.held.borrow_mut().retain(|_, held| held.keep);
    }
}

pub struct MemoryRecords(pub Rc<Shared>);

impl Shared {
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
        let keep = change.keep || held.get(&change.key).is_some_and(|held| held.keep);
        let now = Held {
            value: change.to.clone(),
            order: change.order,
            keep,
        };
        held.insert(change.key.clone(), now);
        drop(held);
        self.writers.unwritten.borrow_mut().push(change.key.clone());
        self.writers
            .following
            .borrow_mut()
            .extend(change.then.clone());
    }

    /// The writers write to the store what they hold, and tell each other what follows.
    pub fn carry(&self) {
        loop {
            let keys = std::mem::take(&mut *self.writers.unwritten.borrow_mut());
            for key in &keys {
                let value = self.held(key);
                let mut values = self.values.borrow_mut();
                match value {
                    Some(value) => values.insert(key.clone(), (value, None)),
                    None => values.remove(key),
                };
            }
            let following = std::mem::take(&mut *self.writers.following.borrow_mut());
            if keys.is_empty() && following.is_empty() {
                return;
            }
            for change in following.iter().filter(|change| self.is_possible(change)) {
                self.apply(change);
            }
        }
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
            if !self.0.writers.slow.get() {
                self.0.carry();
            }
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
                    })
                    .keep = true;
            }
            Ok(())
        })
    }
}
