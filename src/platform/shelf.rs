//! Caches with a bound in entries and in bytes. Clients choose how many credentials they present
//! and what is in them, and the runtime ends an isolate that needs more than 128 MB, with
//! everything it was doing. So each cached entry is weighed, and the total is bounded.
//!
//! Each cache has a share of its own. What strangers can fill (tokens of any shape, as long as they
//! are signed) therefore never evicts what is expensive to load again: users, accounts, keys.
//! Within a cache, the least recently used entries are evicted first.
//!
//! An entry that two caches share counts in both, so the total is never less than what is there.
//! Knows nothing of what is cached.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;

use crate::platform::time::Timestamp;

/// The limit for all caches together, in bytes.
pub const BUDGET: usize = 32 * 1024 * 1024;

/// The limits of one cache.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub number: NonZeroUsize,
    /// All entries together.
    pub bytes: usize,
}

/// Verified credentials, with what was derived from them.
pub const CREDENTIALS: Share = Share::new(8192, 20 * 1024);
/// Users.
pub const USERS: Share = Share::new(8192, 4096);
/// Whether each session was ended.
pub const SESSIONS: Share = Share::new(8192, 1536);
/// Users' accounts at origins.
pub const ACCOUNTS: Share = Share::new(4096, 1024);
/// Admin access tokens at origins.
pub const ADMIN_ACCESS: Share = Share::new(64, 256);
/// Tokens of providers.
pub const PROVIDER_TOKENS: Share = Share::new(2048, 1024);
/// Keys of issuers.
pub const ISSUER_KEYS: Share = Share::new(256, 1024);
/// Edgeward's own signing keys; one entry for each algorithm.
pub const SIGNING_KEYS: Share = Share::new(3, 256);
/// Header changes that JavaScript has parsed.
pub const RENDERINGS: Share = Share::new(512, 512);
/// Client addresses over the limit of wrong API tokens.
pub const REFUSED: Share = Share::new(1024, 192);
/// Keys of others that are not good.
pub const REFUSED_KEYS: Share = Share::new(512, 128);
/// Recently valid API tokens.
pub const GOOD_API_TOKENS: Share = Share::new(256, 64);
/// Users that this isolate recently changed.
pub const OWN_USERS: Share = Share::new(4096, 1280);
/// Sessions that this isolate ended.
pub const OWN_SESSIONS: Share = Share::new(1024, 160);
/// API tokens that this isolate revoked or disabled.
pub const OWN_API_TOKENS: Share = Share::new(512, 96);

const PARTS: [Share; 15] = [
    CREDENTIALS,
    USERS,
    SESSIONS,
    ACCOUNTS,
    ADMIN_ACCESS,
    PROVIDER_TOKENS,
    ISSUER_KEYS,
    SIGNING_KEYS,
    RENDERINGS,
    REFUSED,
    REFUSED_KEYS,
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

    /// The heaviest entry that is cached. A heavier one would evict all others.
    #[must_use]
    pub const fn most_of_one(self) -> usize {
        self.bytes / 8
    }
}

/// A value with a known weight in memory.
pub trait Weigh {
    /// The heap memory it owns, in bytes, besides its own size.
    fn heap(&self) -> usize;

    /// Called with the cache's scale when the value is cached, so that later growth is counted
    /// ([`Growth`]), and with `None` when it is evicted.
    fn attach(&self, _scale: Option<&Scale>) {}
}

/// What the allocator uses for `size` bytes: a header, rounded up to whole words.
#[must_use]
pub const fn block(size: usize) -> usize {
    if size == 0 {
        0
    } else {
        (size + 8).next_multiple_of(16)
    }
}

/// The current weight of a cache. Shared with entries that can grow.
#[derive(Clone, Debug, Default)]
pub struct Scale(Rc<Cell<usize>>);

impl Scale {
    /// In bytes.
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

/// How much an entry has grown since it was cached. Its [`Scale`] is updated at once; entries are
/// evicted at the next access to the cache.
#[derive(Debug, Default)]
pub struct Growth {
    bytes: Cell<usize>,
    scale: RefCell<Option<Scale>>,
}

impl Growth {
    /// The growth so far, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Sets the growth since the entry was cached.
    pub fn set(&self, bytes: usize) {
        let before = self.bytes.replace(bytes);
        if let Some(scale) = &*self.scale.borrow() {
            scale.take(before);
            scale.add(bytes);
        }
    }

    /// Implements [`Weigh::attach`] for the entry.
    pub fn attach(&self, scale: Option<&Scale>) {
        if let Some(before) = self.scale.replace(scale.cloned()) {
            before.take(self.bytes.get());
        }
        if let Some(scale) = scale {
            scale.add(self.bytes.get());
        }
    }
}

/// An LRU cache with a limit in entries and in bytes.
pub struct Shelf<K: Eq + Hash, V> {
    entries: LruCache<K, (V, usize)>,
    scale: Scale,
    share: Share,
}

impl<K: Eq + Hash + Weigh, V: Weigh> Shelf<K, V> {
    /// The overhead of an entry, besides what it points to: its node in the list and, as if the
    /// table were half empty, its slot in the table.
    const PLACE: usize = block(size_of::<(K, V, [usize; 3])>()) + 6 * size_of::<usize>();

    /// An empty cache.
    #[must_use]
    pub fn new(share: Share) -> Self {
        Self {
            entries: LruCache::new(share.number),
            scale: Scale::default(),
            share,
        }
    }

    /// The value of `key`, which becomes the most recently used.
    pub fn get<Q>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shed();
        self.entries.get(key).map(|(value, _)| value)
    }

    /// Caches `value` under `key`, unless it is too heavy.
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

    /// Removes the value of `key`.
    pub fn pop<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(gone) = self.entries.pop(key) {
            self.leave(&gone);
        }
    }

    /// The weight of all entries, in bytes.
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

/// For types that own no heap memory.
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
