//! What all isolates of one edge share: the clock, the stores, the record of every call of a port,
//! and the trouble that a test makes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use edgeward::port::{Incoming, Outgoing, Pending};
use edgeward::time::{Seconds, Timestamp};

use super::records::Writers;

/// Which verb of which port.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Verb {
    KvRead,
    KvWrite,
    KvDelete,
    KvList,
    Claim,
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
}

impl Verb {
    pub const ALL: [Self; 18] = [
        Self::KvRead,
        Self::KvWrite,
        Self::KvDelete,
        Self::KvList,
        Self::Claim,
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
    ];
}

/// One call of a port.
#[derive(Clone, Debug)]
pub struct PortCall {
    pub verb: Verb,
    pub key: String,
    pub at: Timestamp,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Trouble {
    #[default]
    None,
    /// The call with this number, counted from when the trouble was made, fails.
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

/// How far the key-value store may be behind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Lag {
    /// Every reader sees every write at once.
    #[default]
    None,
    /// A location goes on for a minute with what it has read, and with what was not there; its own
    /// writes it sees at once.
    Elsewhere,
    /// As before, and a location does not see its own writes either.
    Everywhere,
}

pub const KV_LAG: Seconds = Seconds(60);

/// What answers our own requests; `None` is no answer.
pub type Server = Box<dyn Fn(&Outgoing<'_>) -> Option<Incoming>>;

#[derive(Default)]
pub struct Shared {
    pub now: Cell<Timestamp>,
    pub lag: Cell<Lag>,
    pub values: RefCell<BTreeMap<String, (String, Option<Timestamp>)>>,
    pub claims: RefCell<BTreeMap<String, (String, Timestamp)>>,
    /// What the writers of records hold, see `records.rs`.
    pub writers: Writers,
    pub calls: RefCell<Vec<PortCall>>,
    pub limited: Cell<bool>,
    pub servers: RefCell<Option<Server>>,
    /// What other servers answer, by URL.
    pub answers: RefCell<BTreeMap<String, (u16, Vec<u8>)>>,
    /// What is to be done after an answer.
    pub tasks: RefCell<Vec<Pending<'static, ()>>>,
    trouble: Cell<Trouble>,
    counted: Cell<usize>,
}

/// What a call shall come to.
#[derive(Clone, Copy)]
pub enum Fate {
    Good,
    Fails,
    Reads(&'static str),
}

impl Shared {
    /// Notes a call and tells what becomes of it.
    pub fn call(&self, verb: Verb, key: &str) -> Fate {
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

    /// Makes trouble from now on; calls are counted anew.
    pub fn make(&self, trouble: Trouble) {
        self.counted.set(0);
        self.trouble.set(trouble);
    }

    /// How many calls there were since trouble was made.
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

    pub fn value(&self, key: &str) -> Option<String> {
        let values = self.values.borrow();
        let (value, expires) = values.get(key)?;
        expires
            .is_none_or(|end| self.now.get() < end)
            .then(|| value.clone())
    }
}

/// Not ready at the first poll, whatever it is: so what is ready at its first poll has asked no
/// port for anything.
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
