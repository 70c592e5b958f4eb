//! What the origin gets: the request without its credential and without anything a client may not
//! say, then what we say about the caller, to the path that was judged. Never reads a token, a
//! cookie's meaning or the store.

pub mod mutate;
pub mod reserved;
pub mod rewrite;
pub mod strip;

use std::borrow::Cow;
use std::rc::Rc;

use crate::access::Grant;
use crate::config::Site;
use crate::cors;
use crate::path::CanonicalPath;
use crate::request::Parts;
use mutate::{HeaderChange, HeaderChanges};

/// A request to send to the origin. Only [`prepare`] makes one, and it wants a [`Grant`].
///
/// Its fields are private, so that no other code can make one or change what was prepared:
///
/// ```compile_fail,E0451
/// let forward = edgeward::origin::Forward {
///     url: "https://origin.example/".to_owned(),
///     changes: edgeward::origin::mutate::HeaderChanges::default(),
///     standing: Default::default(),
///     identified: true,
///     uncached: false,
///     resolve_override: None,
///     answer: String::new(),
/// };
/// ```
///
/// ```compile_fail,E0616
/// fn elsewhere(mut forward: edgeward::origin::Forward) {
///     forward.url = "https://origin.example/admin".to_owned();
/// }
/// ```
pub struct Forward {
    url: String,
    changes: HeaderChanges,
    standing: Rc<HeaderChanges>,
    identified: bool,
    uncached: bool,
    resolve_override: Option<String>,
    answer: String,
}

impl Forward {
    /// Where it goes.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Which headers differ from the request that came, but for those of [`Forward::standing`].
    #[must_use]
    pub fn changes(&self) -> &HeaderChanges {
        &self.changes
    }

    /// What the origin is told at every request of this caller, to be set after
    /// [`Forward::changes`]. The same value while nothing of it changes: a platform may keep what it
    /// makes of it.
    #[must_use]
    pub const fn standing(&self) -> &Rc<HeaderChanges> {
        &self.standing
    }

    /// All changes, in their order.
    pub fn all_changes(&self) -> impl Iterator<Item = HeaderChange<'_>> {
        self.changes.iter().chain(self.standing.iter())
    }

    /// Whether the origin is told who is asking. No shared cache may keep the answer then.
    #[must_use]
    pub const fn identified(&self) -> bool {
        self.identified
    }

    /// Whether the CDN must be told to keep its own cache out of it.
    #[must_use]
    pub const fn uncached(&self) -> bool {
        self.uncached
    }

    /// What becomes of the headers of the origin's answer (see [`cors::of_the_answer`]).
    #[must_use]
    pub fn answer(&self) -> &str {
        &self.answer
    }

    /// The host to connect to, when the URL names the public one, so that the origin sees that.
    #[must_use]
    pub fn resolve_override(&self) -> Option<&str> {
        self.resolve_override.as_deref()
    }
}

/// What only this request has.
pub struct Context<'a> {
    /// The signed assertion, if the site wants one and somebody is signed in.
    pub assertion: Option<&'a Rc<str>>,
    /// The request's name in our log.
    pub request_id: &'a str,
}

/// Makes the request for the origin: strip, mutate, rewrite.
#[must_use]
pub fn prepare(
    grant: &Grant,
    site: &Site,
    parts: &Parts,
    path: &CanonicalPath<'_>,
    clean_query: Option<&Cow<'_, str>>,
    context: &Context<'_>,
) -> Forward {
    let mut changes = HeaderChanges::with_capacity(1024);
    strip::strip(&mut changes, site, parts);
    mutate::of_request(&mut changes, parts, context);
    let identified = grant.principal().is_some();
    Forward {
        url: rewrite::url(
            site,
            parts.authority(),
            path,
            clean_query.map(|query| &**query),
        ),
        changes,
        standing: mutate::standing(site, parts, grant.principal(), context.assertion),
        identified,
        uncached: identified && looks_like_a_file(path),
        resolve_override: rewrite::resolve_override(site),
        answer: cors::of_the_answer(site, parts),
    }
}

/// Whether the last segment has an extension. The CDN keeps answers for such paths by itself,
/// whoever asked; for all others it keeps nothing unless a rule of the zone tells it to. Telling it
/// costs more than verifying the session, so it is told where it matters.
fn looks_like_a_file(path: &CanonicalPath<'_>) -> bool {
    let path = path.as_str();
    path.rsplit('/')
        .next()
        .is_some_and(|last| last.contains('.'))
}

#[cfg(test)]
mod tests;
