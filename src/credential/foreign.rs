//! What a token of another issuer says of a user.

use std::cell::RefCell;
use std::rc::Rc;

use crate::model::claim::Granted;
use crate::model::user::{Email, Name, Tenant, UserId, Username};
use crate::platform::shelf::{Weigh, block};
use crate::platform::time::{Seconds, Timestamp};

/// What a token of another issuer says.
pub struct ForeignClaims {
    /// Whom it is about.
    pub email: Email,
    /// In which tenant, where the site has tenants.
    pub tenant: Option<Tenant>,
    /// The username of a user that is made from it.
    pub username: Option<Username>,
    /// The first and the last name.
    pub names: [Option<Name>; 2],
    /// Whether it may make one.
    pub creates: bool,
    /// What it brings.
    pub granted: Rc<Granted>,
    /// The token's own name: a hash of the whole.
    pub id: String,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`, with the leeway.
    pub expires_at: Timestamp,
    /// The longest that it may live.
    pub max_lifetime: Seconds,
    /// From then on the issuer's keys are asked again: one that it has withdrawn ends then.
    pub good_until: Timestamp,
    /// Who that is, once it was looked up.
    pub(crate) user: RefCell<Option<UserId>>,
}

impl Weigh for ForeignClaims {
    fn heap(&self) -> usize {
        let names: usize = self.names.iter().map(Weigh::heap).sum();
        // Every id has 26 bytes, also the one that is looked up later.
        let user = block(26);
        let names = names + self.username.heap();
        self.email.heap() + self.tenant.heap() + names + self.granted.heap() + self.id.heap() + user
    }
}

impl ForeignClaims {
    /// Whose token it is, if that was looked up before.
    #[must_use]
    pub fn known_user(&self) -> Option<UserId> {
        self.user.borrow().clone()
    }

    /// Remembers whose token it is.
    pub fn remember_user(&self, id: UserId) {
        self.user.replace(Some(id));
    }
}
