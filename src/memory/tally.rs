//! What an isolate has counted since it last passed its counters on. Bounded: by the sites of the configuration, and by labels
//! that are Edgeward's own or names in the configuration.

use std::cell::{Cell, RefCell};

/// How many counters each site has.
pub const SLOTS: usize = 64;

/// A counter that belongs to no site.
pub struct Labelled {
    pub family: &'static str,
    pub label: String,
    pub result: &'static str,
    pub count: u32,
}

/// The counters of an isolate.
#[derive(Default)]
pub struct Tally {
    is_on: Cell<bool>,
    sites: RefCell<Vec<u32>>,
    others: RefCell<Vec<Labelled>>,
}

impl Tally {
    /// Counts from now on, or never, if nobody adds the counters up.
    pub fn switch(&self, is_on: bool) {
        self.is_on.set(is_on);
    }

    /// Counts in one of the [`SLOTS`] of a site.
    pub fn add_at_site(&self, site: u16, slot: usize) {
        if !self.is_on.get() || slot >= SLOTS {
            return;
        }
        let at = usize::from(site) * SLOTS + slot;
        let mut sites = self.sites.borrow_mut();
        if sites.len() <= at {
            sites.resize((usize::from(site) + 1) * SLOTS, 0);
        }
        if let Some(count) = sites.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts in `family`, whose labels come neither from a client nor from a token.
    pub fn add(&self, family: &'static str, label: &str, result: &'static str) {
        if !self.is_on.get() {
            return;
        }
        let mut others = self.others.borrow_mut();
        let known = others
            .iter_mut()
            .find(|one| one.family == family && one.label == label && one.result == result);
        match known {
            Some(one) => one.count = one.count.saturating_add(1),
            None => others.push(Labelled {
                family,
                label: label.to_owned(),
                result,
                count: 1,
            }),
        }
    }

    /// Takes all counters: those of the sites, [`SLOTS`] for each number, and the others.
    #[must_use]
    pub fn take(&self) -> (Vec<u32>, Vec<Labelled>) {
        (self.sites.take(), self.others.take())
    }
}
