//! The claims of another issuer's token about a user.

use std::cell::RefCell;
use std::rc::Rc;

use crate::model::claim::Granted;
use crate::model::proof::Proof;
use crate::model::user::subject::{Handle, IssuerSubject};
use crate::model::user::{Email, Name, Tenant, UserId, Username};
use crate::platform::shelf::{Weigh, block};
use crate::platform::time::{Seconds, Timestamp};

/// The validated claims of another issuer's token.
pub struct ForeignClaims {
    /// The address, which identifies the user unless `subject` does.
    pub email: Option<Email>,
    /// Whether it says which address a subject has, or that it has none that can be trusted.
    pub says_email: bool,
    /// Identifies the user, if the issuer's users are known by subject.
    pub subject: Option<IssuerSubject>,
    /// The user's tenant, if the site has tenants.
    pub tenant: Option<Tenant>,
    /// For a user that is created from it.
    pub username: Option<Username>,
    /// First and last name, for a user that is created from it.
    pub names: [Option<Name>; 2],
    /// Whether it may create a user.
    pub creates: bool,
    /// What it adds to the user's record.
    pub granted: Rc<Granted>,
    /// What of that a session keeps; `None` if that is too long for one.
    pub for_session: Option<Rc<Granted>>,
    /// How and when the person has signed in, if it says so.
    pub proof: Option<Rc<Proof>>,
    /// The token's id: a hash of the whole token.
    pub id: String,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp` plus the leeway.
    pub expires_at: Timestamp,
    /// The longest accepted `exp` − `iat`.
    pub max_lifetime: Seconds,
    /// When it has to be verified again with the issuer's current keys, so that withdrawing a key
    /// ends it.
    pub good_until: Timestamp,
    /// The user's id, once it was looked up.
    pub(crate) user: RefCell<Option<UserId>>,
}

impl Weigh for ForeignClaims {
    fn heap(&self) -> usize {
        let names: usize = self.names.iter().map(Weigh::heap).sum();
        // Every id has 26 bytes; counted even before it is looked up.
        let user = block(26);
        let names = names + self.username.heap();
        let found_by = self.email.heap() + self.subject.heap();
        let apart = |kept: &&Rc<Granted>| !Rc::ptr_eq(kept, &self.granted);
        let for_session = self.for_session.as_ref().filter(apart);
        let granted = self.granted.heap() + for_session.map_or(0, Weigh::heap);
        found_by + self.tenant.heap() + names + granted + self.proof.heap() + self.id.heap() + user
    }
}

impl ForeignClaims {
    /// What finds the user.
    #[must_use]
    pub fn handle(&self) -> Option<Handle<'_>> {
        match &self.subject {
            Some(subject) => Some(Handle::Subject(subject)),
            None => self.email.as_ref().map(Handle::Address),
        }
    }

    /// The user's id, if it was looked up before.
    #[must_use]
    pub fn known_user(&self) -> Option<UserId> {
        self.user.borrow().clone()
    }

    /// Remembers the user's id.
    pub fn remember_user(&self, id: UserId) {
        self.user.replace(Some(id));
    }
}
