//! A user's account at an origin, as an isolate knows it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::model::user::User;
use crate::platform::port::Fault;
use crate::platform::shelf::{Growth, Scale, Weigh};
use crate::platform::time::Timestamp;
use crate::site::Site;
use crate::store::origin_accounts::OriginAccount;

/// An account at an origin, as an isolate knows it.
pub struct Account {
    /// Its number there.
    pub id: u64,
    /// What an answer names when the origin did not take the identity.
    pub whom: Rc<str>,
    /// What the store has of it.
    pub record: OriginAccount,
    /// When it was last looked at.
    pub looked_at: Timestamp,
    /// The origin did not take it since then.
    pub doubted: Cell<bool>,
    /// The access token that the origin issued last, and from when on another one is asked for.
    access: RefCell<Option<(Rc<str>, Timestamp)>>,
    growth: Growth,
}

impl Account {
    /// The account of `user` at `site`, as its `record` in the store says.
    #[must_use]
    pub fn new(site: &Site, user: &User, record: OriginAccount, now: Timestamp) -> Self {
        Self {
            id: record.id,
            whom: format!("{}\t{}", site.name, user.id).into(),
            record,
            looked_at: now,
            doubted: Cell::new(false),
            access: RefCell::default(),
            growth: Growth::default(),
        }
    }

    /// The access token that the origin issued last, and from when on another one is asked for.
    pub fn access(&self) -> Option<(Rc<str>, Timestamp)> {
        self.access.borrow().clone()
    }

    /// Remembers it.
    pub fn put_access(&self, token: &Rc<str>, until: Timestamp) {
        self.growth.set(token.heap());
        self.access.replace(Some((Rc::clone(token), until)));
    }
}

impl Weigh for Account {
    fn heap(&self) -> usize {
        self.whom.heap() + self.record.heap()
    }

    fn attach(&self, scale: Option<&Scale>) {
        self.growth.attach(scale);
    }
}

/// What the isolate knows of an account.
#[derive(Clone)]
pub enum KnownAccount {
    /// It is there.
    Account(Rc<Account>),
    /// It may not be used; until when that is not asked again.
    Refused(Trouble, Timestamp),
}

impl Weigh for KnownAccount {
    fn heap(&self) -> usize {
        match self {
            Self::Account(account) => account.heap(),
            Self::Refused(..) => 0,
        }
    }

    fn attach(&self, scale: Option<&Scale>) {
        if let Self::Account(account) = self {
            account.attach(scale);
        }
    }
}

/// Why an account may not be used.
#[derive(Clone, Copy)]
pub enum Trouble {
    /// The origin has shut it out.
    Account(&'static str),
    /// The origin does not do its part.
    Fault(Fault),
}
