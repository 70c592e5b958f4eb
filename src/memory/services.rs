//! The services of the gateway, as an isolate remembers them for a while. Their number and the length of a record are
//! bounded where they are written, so all of them together are at most 1.6 MB.

use std::cell::RefCell;
use std::rc::Rc;

use crate::model::service::Service;
use crate::platform::time::{Seconds, Timestamp};

/// The services.
#[derive(Default)]
pub struct ServiceMemory {
    read: RefCell<Option<(Rc<[Service]>, Timestamp)>>,
}

impl ServiceMemory {
    /// The services, if read within `span` before `now`.
    #[must_use]
    pub fn get(&self, span: Seconds, now: Timestamp) -> Option<Rc<[Service]>> {
        let read = self.read.borrow();
        let (services, at) = read.as_ref()?;
        (*at <= now && now < *at + span).then(|| Rc::clone(services))
    }

    /// Remembers the services.
    pub fn put(&self, services: Vec<Service>, now: Timestamp) -> Rc<[Service]> {
        let services: Rc<[Service]> = services.into();
        *self.read.borrow_mut() = Some((Rc::clone(&services), now));
        services
    }

    /// Forgets them, because this isolate has changed one.
    pub fn forget(&self) {
        *self.read.borrow_mut() = None;
    }
}
