//! One request, with everything that the steps need to know of it: what judges it, what answers it and
//! what sends it on all get this.

use std::rc::Rc;

use crate::answer::page::Frame;
use crate::ask::return_to::ReturnTo;
use crate::ask::source::Presented;
use crate::http::path::RequestPath;
use crate::http::request::Parts;
use crate::memory::world::World;
use crate::platform::port::Received;
use crate::platform::time::Timestamp;
use crate::rules::{Asked, Rule};
use crate::site::Site;
use crate::site::words::Words;

/// Why a request is judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// It is answered or forwarded.
    Serve,
    /// It may end sessions, so none of them is renewed before.
    SignOut,
    /// Somebody wants to know what would become of it. Nothing is used up, created, opened or counted.
    Explain,
    /// Whether a request whose connection is still open would pass again. Without effect, like `Explain`.
    Watch,
}

/// A request at a site, with its rule and its credentials. Nothing in it was verified.
pub struct Ctx<'a> {
    /// Why it is judged.
    pub purpose: Purpose,
    /// Configuration, platform and memory.
    pub world: &'a Rc<World>,
    /// The site.
    pub site: &'a Rc<Site>,
    /// The head of the request.
    pub parts: &'a Parts,
    /// Its path.
    pub path: &'a RequestPath<'a>,
    /// Its body, which nobody has read yet.
    pub received: &'a dyn Received,
    /// What it asks for, as rules see it.
    pub asked: Asked<'a>,
    /// The rule that decides.
    pub rule: &'a Rule,
    /// What else it asks for, and the rules that decide about that: all of them must let it pass
    /// ([`crate::ask::webdav`]).
    pub also: &'a [(Asked<'a>, &'a Rule)],
    /// Its credentials.
    pub presented: &'a Presented<'a>,
    /// Its name in the log.
    pub request_id: &'a str,
    /// When it came.
    pub now: Timestamp,
}

/// The texts for whoever sent this request. Its language is read of the whole head: requests that are forwarded do not need it.
#[must_use]
pub fn words<'a>(
    site: Option<&'a Site>,
    parts: &Parts,
    received: Option<&dyn Received>,
) -> Words<'a> {
    const LANGUAGE: &str = "accept-language";
    let brand = site.map(|site| &site.brand);
    if Words::is_set(brand) {
        return Words::new(brand, None);
    }
    if let Some(told) = parts.named(LANGUAGE) {
        return Words::new(brand, Some(told));
    }
    let head = received.and_then(|received| Parts::from_snapshot(received.whole_head()?).ok());
    Words::new(brand, head.as_ref().and_then(|head| head.named(LANGUAGE)))
}

impl<'a> Ctx<'a> {
    /// The texts of the pages for whoever is asking.
    #[must_use]
    pub fn words(&self) -> Words<'a> {
        let received = (!self.is_dry()).then_some(self.received);
        words(Some(self.site), self.parts, received)
    }

    /// What is around the content of a page.
    #[must_use]
    pub fn frame<'f>(&self, words: Words<'f>, title: &'f str, code: &'f str) -> Frame<'f>
    where
        'a: 'f,
    {
        Frame {
            title,
            code,
            request_id: self.request_id,
            site: Some(self.site),
            words,
        }
    }

    /// Whether it is judged without effect: nothing is used up, created, opened or counted.
    #[must_use]
    pub fn is_dry(&self) -> bool {
        matches!(self.purpose, Purpose::Explain | Purpose::Watch)
    }

    /// Where the browser wanted to go.
    #[must_use]
    pub fn return_to(&self) -> ReturnTo {
        let query = self.presented.clean_query.as_deref();
        ReturnTo::of_request(self.parts, self.site, self.path, query)
    }

    /// The site's first page.
    #[must_use]
    pub fn root(&self) -> ReturnTo {
        ReturnTo::root(self.parts, self.site)
    }

    /// The page of this site from which the browser came, or the first one. `head`: with every header.
    #[must_use]
    pub fn referrer(&self, head: &Parts) -> ReturnTo {
        ReturnTo::of_referrer(head, self.site, &self.world.config)
    }

    /// A path with a query at this site, as our own pages carry it.
    #[must_use]
    pub fn read_return_to(&self, text: &str) -> Option<ReturnTo> {
        ReturnTo::parse_local(text, self.parts, self.site, &self.world.config)
    }
}
