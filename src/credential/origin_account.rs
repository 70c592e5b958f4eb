//! Users' accounts at origins, as an isolate caches them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::model::user::User;
use crate::platform::port::Fault;
use crate::platform::shelf::{Growth, Scale, Weigh};
use crate::platform::time::Timestamp;
use crate::site::Site;
use crate::store::origin_accounts::OriginAccount;

/// A user's account at an origin.
pub struct Account {
    /// The origin's number of the account.
    pub id: u64,
    /// What a response names if the origin did not accept the identity: site and user.
    pub whom: Rc<str>,
    pub record: OriginAccount,
    /// When it was last verified.
    pub looked_at: Timestamp,
    /// Set when the origin did not accept it since.
    pub doubted: Cell<bool>,
    /// The access token that the origin issued last, and when a new one is requested.
    access: RefCell<Option<(Rc<str>, Timestamp)>>,
    growth: Growth,
}

impl Account {
    /// Creates the account of `user` at `site` from its stored `record`.
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

    /// The access token that the origin issued last, and when a new one is requested.
    pub fn access(&self) -> Option<(Rc<str>, Timestamp)> {
        self.access.borrow().clone()
    }

    /// Keeps the access token.
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

/// The cached state of an account.
#[derive(Clone)]
pub enum KnownAccount {
    Account(Rc<Account>),
    /// It may not be used; until when this is not checked again.
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
    /// The origin has disabled it.
    Account(&'static str),
    /// The origin failed.
    Fault(Fault),
}
