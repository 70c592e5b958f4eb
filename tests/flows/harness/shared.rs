//! What all isolates of one edge share: the clock, the stores, the record of every call of a port,
//! and the trouble that a test makes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use edgeward::platform::port::{Incoming, Letter, Outgoing, Pending};
use edgeward::platform::time::{Seconds, Timestamp};
use edgeward::store;

use super::audit::AuditLogs;
use super::directory::Entries;
use super::outbox::Outboxes;
use super::passwords::Failures;
use super::records::Writers;

/// The methods of the ports.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Verb {
    KvRead,
    KvWrite,
    KvDelete,
    KvList,
    Acquire,
    Release,
    Generate,
    Sign,
    Seal,
    Open,
    Allow,
    Body,
    Changed,
    Verify,
    Fetch,
    RecordRead,
    RecordChange,
    RecordKeep,
    Outbox,
    Attempt,
    HashPassword,
    Mail,
    Audit,
    Directory,
}

impl Verb {
    /// The prefixes of the keys that this verb takes; none for a verb that takes no key.
    const fn key_prefixes(self) -> &'static [&'static str] {
        match self {
            Self::KvRead
            | Self::KvWrite
            | Self::KvDelete
            | Self::KvList
            | Self::RecordRead
            | Self::RecordChange
            | Self::RecordKeep => &store::FAMILIES,
            Self::Acquire | Self::Release | Self::Changed => &store::LOCKS,
            Self::Generate
            | Self::Sign
            | Self::Seal
            | Self::Open
            | Self::Allow
            | Self::Body
            | Self::Verify
            | Self::Fetch
            | Self::Outbox
            | Self::Attempt
            | Self::HashPassword
            | Self::Mail
            | Self::Audit
            | Self::Directory => &[],
        }
    }

    pub const ALL: [Self; 24] = [
        Self::KvRead,
        Self::KvWrite,
        Self::KvDelete,
        Self::KvList,
        Self::Acquire,
        Self::Release,
        Self::Generate,
        Self::Sign,
        Self::Seal,
        Self::Open,
        Self::Allow,
        Self::Body,
        Self::Changed,
        Self::Verify,
        Self::Fetch,
        Self::RecordRead,
        Self::RecordChange,
        Self::RecordKeep,
        Self::Outbox,
        Self::Attempt,
        Self::HashPassword,
        Self::Mail,
        Self::Audit,
        Self::Directory,
    ];
}

/// One call of a port.
#[derive(Clone, Debug)]
pub struct PortCall {
    pub verb: Verb,
    pub key: String,
    pub at: Timestamp,
}

/// Failures that a test injects.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Trouble {
    #[default]
    None,
    /// The call with this number, counted from the injection, fails.
    Call(usize),
    /// Every call of this verb fails.
    Every(Verb),
    /// Every call fails.
    All,
    /// Every value that is read from the key-value store is this text.
    Garbage(&'static str),
    /// The value that the call with this number reads is this text.
    GarbageAt(usize, &'static str),
}

/// How far the key-value store is behind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Lag {
    /// Every reader sees every write at once.
    #[default]
    None,
    /// For a minute, a location keeps seeing what it has read, including that a key did not exist;
    /// it sees its own writes at once.
    Elsewhere,
    /// Likewise, but a location does not see its own writes either.
    Everywhere,
    /// Each read returns the value of any moment of the last minute, newer and older in turn, and
    /// occasionally none.
    Wild,
}

pub const KV_LAG: Seconds = Seconds(60);

/// Answers outgoing requests; `None` if the server does not respond.
pub type Server = Box<dyn Fn(&Outgoing<'_>) -> Option<Incoming>>;

/// What a key held, and since when; the oldest first.
type Past = Vec<(Timestamp, Option<String>)>;

#[derive(Default)]
pub struct Shared {
    pub now: Cell<Timestamp>,
    pub lag: Cell<Lag>,
    pub values: RefCell<BTreeMap<String, (String, Option<Timestamp>)>>,
    pub claims: RefCell<BTreeMap<String, (String, Timestamp)>>,
    /// What the writers of records hold, see `records.rs`.
    pub writers: Writers,
    /// The queues of events, see `outbox.rs`.
    pub outboxes: Outboxes,
    /// The audit log, see `audit.rs`.
    pub audit: AuditLogs,
    /// The directory of users, see `directory.rs`.
    pub entries: Entries,
    pub has_no_directory: Cell<bool>,
    /// What the checker of passwords knows, see `passwords.rs`.
    pub failures: Failures,
    pub calls: RefCell<Vec<PortCall>>,
    pub limited: Cell<bool>,
    /// The mail that was sent; `None` if there is no way to send any.
    pub mail: RefCell<Option<Vec<Letter>>>,
    /// Whether no further request may begin to wait.
    pub full: Cell<bool>,
    pub servers: RefCell<Option<Server>>,
    /// What other servers answer, by URL.
    pub answers: RefCell<BTreeMap<String, (u16, Vec<u8>)>>,
    /// What is to be done after an answer.
    pub tasks: RefCell<Vec<Pending<'static, ()>>>,
    /// What each key held, and since when, for readers that are behind.
    history: RefCell<BTreeMap<String, Past>>,
    chance: Cell<u64>,
    /// Keys that are shown as they are, however wild the store is.
    pub calm: RefCell<std::collections::BTreeSet<String>>,
    trouble: Cell<Trouble>,
    counted: Cell<usize>,
}

/// The outcome of a call.
#[derive(Clone, Copy)]
pub enum Fate {
    Good,
    Fails,
    Reads(&'static str),
}

impl Shared {
    /// Records a call and returns its outcome.
    pub fn call(&self, verb: Verb, key: &str) -> Fate {
        let known = verb.key_prefixes();
        assert!(
            known.is_empty() || known.iter().any(|prefix| key.starts_with(prefix)),
            "{verb:?}: the key {key:?} is of no family that is documented"
        );
        self.calls.borrow_mut().push(PortCall {
            verb,
            key: key.to_owned(),
            at: self.now.get(),
        });
        let number = self.counted.get();
        self.counted.set(number + 1);
        match self.trouble.get() {
            Trouble::Call(n) if n == number => Fate::Fails,
            Trouble::Every(v) if v == verb => Fate::Fails,
            Trouble::All => Fate::Fails,
            Trouble::Garbage(text) => Fate::Reads(text),
            Trouble::GarbageAt(n, text) if n == number => Fate::Reads(text),
            Trouble::None | Trouble::Call(_) | Trouble::Every(_) | Trouble::GarbageAt(..) => {
                Fate::Good
            }
        }
    }

    /// Injects failures from now on; calls are counted from zero.
    pub fn make(&self, trouble: Trouble) {
        self.counted.set(0);
        self.trouble.set(trouble);
    }

    /// The number of calls since failures were injected.
    pub fn counted(&self) -> usize {
        self.counted.get()
    }

    /// How many calls of `verb` there were.
    pub fn count(&self, verb: Verb) -> usize {
        let calls = self.calls.borrow();
        calls.iter().filter(|call| call.verb == verb).count()
    }

    /// Keys that were written more than once in one second: more than Workers KV takes.
    pub fn written_too_often(&self) -> Vec<String> {
        let calls = self.calls.borrow();
        let writes = calls.iter().filter(|call| call.verb == Verb::KvWrite);
        let mut seen = std::collections::BTreeSet::new();
        writes
            .filter(|call| !seen.insert((call.at.seconds(), call.key.clone())))
            .map(|call| call.key.clone())
            .collect()
    }

    /// The next of a series of numbers below `limit` that look random and are the same in every run.
    pub fn draw(&self, limit: u64) -> u64 {
        let next = self
            .chance
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.chance.set(next);
        (next >> 33) % limit
    }

    /// Changes what the store holds.
    pub fn put(&self, key: &str, value: Option<(String, Option<Timestamp>)>) {
        let text = value.as_ref().map(|(text, _)| text.clone());
        let before = self.value(key);
        let mut history = self.history.borrow_mut();
        let past = history
            .entry(key.to_owned())
            .or_insert_with(|| vec![(Timestamp::from_millis(0), before)]);
        past.push((self.now.get(), text));
        let mut values = self.values.borrow_mut();
        match value {
            Some(value) => values.insert(key.to_owned(), value),
            None => values.remove(key),
        };
    }

    /// Forgets all keys but some, and what they held.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.values.borrow_mut().retain(|key, _| keep(key));
        self.history.borrow_mut().retain(|key, _| keep(key));
    }

    /// The value that a reader sees that may be a minute behind.
    pub fn wild_value(&self, key: &str) -> Option<String> {
        if self.calm.borrow().contains(key) {
            return self.value(key);
        }
        // That a session has ended is only told by what is there; nobody can tell a lost sight of it
        // from its absence.
        if !key.starts_with("session_ended:") && self.draw(20) == 0 {
            return None;
        }
        let history = self.history.borrow();
        let Some(past) = history.get(key) else {
            return self.value(key);
        };
        let behind = self.draw(u64::from(KV_LAG.0) * 1000);
        let moment = self.now.get().millis().saturating_sub(behind);
        let shown = past
            .iter()
            .rev()
            .find(|(since, _)| since.millis() <= moment);
        shown.and_then(|(_, value)| value.clone())
    }

    pub fn value(&self, key: &str) -> Option<String> {
        let values = self.values.borrow();
        let (value, expires) = values.get(key)?;
        expires
            .is_none_or(|end| self.now.get() < end)
            .then(|| value.clone())
    }
}

/// Pending at the first poll, so a future that is ready at its first poll has not called any port.
pub fn later<'a, T: 'a>(work: impl FnOnce() -> T + 'a) -> Pending<'a, T> {
    Box::pin(async move {
        Pause(false).await;
        work()
    })
}

struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
