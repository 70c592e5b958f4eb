//! How much an isolate remembers, in number and in bytes. Whoever presents credentials chooses how
//! many there are and what is in them, and an isolate that needs more than 128 MB is ended with all
//! that it was doing; so each thing that is remembered is weighed, and the sum has a bound.
//!
//! Each part of the memory has a share of its own. What strangers can fill (a token of any shape, as
//! long as it is signed) then never pushes out what is dear to learn again: users, accounts, keys.
//! Within a part those go that were not used for the longest.
//!
//! A thing that two parts hold counts in both: the sum is never less than what is there. Knows
//! nothing of what is remembered.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;

use crate::platform::time::Timestamp;

/// What all parts may weigh together, in bytes.
pub const BUDGET: usize = 32 * 1024 * 1024;

/// What one part of the memory may hold.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// The most entries.
    pub number: NonZeroUsize,
    /// The most bytes, all entries together.
    pub bytes: usize,
}

/// Verified credentials, with what was made for them.
pub const CREDENTIALS: Share = Share::new(8192, 20 * 1024);
/// Users.
pub const USERS: Share = Share::new(8192, 4096);
/// Whether sessions were ended.
pub const SESSIONS: Share = Share::new(8192, 1536);
/// Accounts at origins.
pub const ACCOUNTS: Share = Share::new(4096, 1024);
/// Access tokens of admins at origins.
pub const ADMIN_ACCESS: Share = Share::new(64, 256);
/// Keys of issuers.
pub const ISSUER_KEYS: Share = Share::new(256, 1024);
/// Our own signing keys, of one algorithm each.
pub const SIGNING_KEYS: Share = Share::new(3, 256);
/// Changes of headers that have crossed to JavaScript.
pub const RENDERINGS: Share = Share::new(512, 512);
/// Addresses that guess at API tokens.
pub const REFUSED: Share = Share::new(1024, 192);
/// API tokens that were good lately.
pub const GOOD_API_TOKENS: Share = Share::new(256, 64);
/// Users that this isolate has changed lately.
pub const OWN_USERS: Share = Share::new(4096, 1280);
/// Sessions that it has ended.
pub const OWN_SESSIONS: Share = Share::new(1024, 160);
/// API tokens that it has revoked or switched off.
pub const OWN_API_TOKENS: Share = Share::new(512, 96);

const PARTS: [Share; 13] = [
    CREDENTIALS,
    USERS,
    SESSIONS,
    ACCOUNTS,
    ADMIN_ACCESS,
    ISSUER_KEYS,
    SIGNING_KEYS,
    RENDERINGS,
    REFUSED,
    GOOD_API_TOKENS,
    OWN_USERS,
    OWN_SESSIONS,
    OWN_API_TOKENS,
];

const _: () = {
    let (mut sum, mut rest): (usize, &[Share]) = (0, &PARTS);
    while let [first, others @ ..] = rest {
        sum += first.bytes;
        rest = others;
    }
    assert!(sum <= BUDGET);
};

impl Share {
    const fn new(number: usize, kilobytes: usize) -> Self {
        Self {
            number: match NonZeroUsize::new(number) {
                Some(number) => number,
                None => NonZeroUsize::MIN,
            },
            bytes: kilobytes * 1024,
        }
    }

    /// The heaviest single entry. A heavier one is not kept, so that it cannot displace all others.
    #[must_use]
    pub const fn most_of_one(self) -> usize {
        self.bytes / 8
    }
}

/// What has a weight.
pub trait Weigh {
    /// The bytes that belong to this besides those of its own type: what it points to.
    fn heap(&self) -> usize;

    /// Called when it is placed on a shelf, with the scale that must hear of its growth ([`Growth`]),
    /// and with `None` when it leaves.
    fn attach(&self, _scale: Option<&Scale>) {}
}

/// What the allocator takes for so many bytes: a head, and whole words.
#[must_use]
pub const fn block(size: usize) -> usize {
    if size == 0 {
        0
    } else {
        (size + 8).next_multiple_of(16)
    }
}

/// What a part of the memory weighs at this moment. Shared with what can grow there.
#[derive(Clone, Debug, Default)]
pub struct Scale(Rc<Cell<usize>>);

impl Scale {
    /// The weight, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.0.get()
    }

    fn add(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_add(bytes));
    }

    fn take(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_sub(bytes));
    }
}

/// By how much an entry has grown since it was placed. Its [`Scale`] is updated at once; eviction
/// happens at the next access to that part.
#[derive(Debug, Default)]
pub struct Growth {
    bytes: Cell<usize>,
    scale: RefCell<Option<Scale>>,
}

impl Growth {
    /// By so many bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// It comes to so many bytes now.
    pub fn set(&self, bytes: usize) {
        let before = self.bytes.replace(bytes);
        if let Some(scale) = &*self.scale.borrow() {
            scale.take(before);
            scale.add(bytes);
        }
    }

    /// For [`Weigh::attach`].
    pub fn attach(&self, scale: Option<&Scale>) {
        if let Some(before) = self.scale.replace(scale.cloned()) {
            before.take(self.bytes.get());
        }
        if let Some(scale) = scale {
            scale.add(self.bytes.get());
        }
    }
}

/// A part of the memory: so many things at most, of so many bytes. Those go that were not used for
/// the longest.
pub struct Shelf<K: Eq + Hash, V> {
    entries: LruCache<K, (V, usize)>,
    scale: Scale,
    share: Share,
}

impl<K: Eq + Hash + Weigh, V: Weigh> Shelf<K, V> {
    /// Besides what it points to, a thing takes its place in the list and, counted as if the table
    /// were half empty, in the table.
    const PLACE: usize = block(size_of::<(K, V, [usize; 3])>()) + 6 * size_of::<usize>();

    /// An empty one.
    #[must_use]
    pub fn new(share: Share) -> Self {
        Self {
            entries: LruCache::new(share.number),
            scale: Scale::default(),
            share,
        }
    }

    /// What is kept under `key`, which is then what was used last.
    pub fn get<Q>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shed();
        self.entries.get(key).map(|(value, _)| value)
    }

    /// Keeps `value` under `key`, unless it is too heavy for that.
    pub fn put(&mut self, key: K, value: V) {
        self.pop(&key);
        let weight = Self::PLACE + key.heap() + value.heap();
        if weight > self.share.most_of_one() {
            return;
        }
        self.scale.add(weight);
        value.attach(Some(&self.scale));
        if let Some((_, gone)) = self.entries.push(key, (value, weight)) {
            self.leave(&gone);
        }
        self.shed();
    }

    /// Forgets what is kept under `key`.
    pub fn pop<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(gone) = self.entries.pop(key) {
            self.leave(&gone);
        }
    }

    /// What all of it weighs.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.scale.weight()
    }

    fn shed(&mut self) {
        while self.scale.weight() > self.share.bytes {
            let Some((_, gone)) = self.entries.pop_lru() else {
                return;
            };
            self.leave(&gone);
        }
    }

    fn leave(&self, (value, weight): &(V, usize)) {
        self.scale.take(*weight);
        value.attach(None);
    }
}

/// What points to nothing.
macro_rules! weightless {
    ($($name:ty),*) => {$(
        impl Weigh for $name {
            fn heap(&self) -> usize {
                0
            }
        }
    )*};
}

weightless!((), bool, u32, u64, u128, Timestamp);

impl<T> Weigh for *const T {
    fn heap(&self) -> usize {
        0
    }
}

impl Weigh for String {
    fn heap(&self) -> usize {
        block(self.capacity())
    }
}

impl Weigh for Box<str> {
    fn heap(&self) -> usize {
        block(self.len())
    }
}

impl Weigh for Rc<str> {
    fn heap(&self) -> usize {
        block(self.len() + 2 * size_of::<usize>())
    }
}

impl<T: Weigh> Weigh for Rc<T> {
    fn heap(&self) -> usize {
        block(size_of::<T>() + 2 * size_of::<usize>()) + T::heap(self)
    }

    fn attach(&self, scale: Option<&Scale>) {
        T::attach(self, scale);
    }
}

impl<T: Weigh> Weigh for Option<T> {
    fn heap(&self) -> usize {
        self.as_ref().map_or(0, T::heap)
    }

    fn attach(&self, scale: Option<&Scale>) {
        if let Some(inner) = self {
            inner.attach(scale);
        }
    }
}

impl<T: Weigh> Weigh for Vec<T> {
    fn heap(&self) -> usize {
        block(self.capacity() * size_of::<T>()) + self.iter().map(T::heap).sum::<usize>()
    }
}

impl<A: Weigh, B: Weigh> Weigh for (A, B) {
    fn heap(&self) -> usize {
        self.0.heap() + self.1.heap()
    }

    fn attach(&self, scale: Option<&Scale>) {
        self.0.attach(scale);
        self.1.attach(scale);
    }
}

#[cfg(test)]
mod tests;
