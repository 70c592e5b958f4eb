//! A request at a site, with what was found of it so far.

use crate::ask::return_to::ReturnTo;
use crate::ask::source::Presented;
use crate::http::path::CanonicalPath;
use crate::http::request::Parts;
use crate::platform::time::Timestamp;
use crate::rules::{Asked, Rule};
use crate::site::Site;
use std::rc::Rc;

/// The pieces of a request that this module works with.
pub struct Visit<'a> {
    /// The site.
    pub site: &'a Rc<Site>,
    /// The head of the request.
    pub parts: &'a Rc<Parts>,
    /// Its canonical path.
    pub path: &'a CanonicalPath<'a>,
    /// What it asks for, as rules see it.
    pub asked: Asked<'a>,
    /// The rule that decides.
    pub rule: &'a Rule,
    /// Its credentials.
    pub presented: &'a Presented<'a>,
    /// Its name in the log.
    pub request_id: &'a str,
    /// When it came.
    pub now: Timestamp,
}

impl Visit<'_> {
    /// Where the browser wanted to go.
    #[must_use]
    pub fn return_to(&self) -> ReturnTo {
        ReturnTo::of_request(self.parts, self.path, self.presented.clean_query.as_deref())
    }
}
