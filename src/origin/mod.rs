//! What the origin gets: the request without its credential and without anything a client may not
//! say, then what we say about the caller, to the path that was judged. Never reads a token, a
//! cookie's meaning or the store.

pub mod assertion;
pub mod mutate;
pub mod rewrite;
pub mod strip;

use std::rc::Rc;

use crate::access::cors;
use crate::access::grant::Grant;
use crate::ask::source::Presented;
use crate::http::cookies::Remainder;
use crate::http::headers::{HeaderChange, HeaderChanges, Standing};
use crate::http::path::CanonicalPath;
use crate::http::request::Parts;
use crate::origin::strip::Stripped;
use crate::platform::time::Seconds;
use crate::site::Site;

/// A request to send to the origin. Only [`prepare`] makes one, and it wants a [`Grant`].
///
/// Its fields are private, so that no other code can make one or change what was prepared:
///
/// ```compile_fail,E0451
/// let forward = edgeward::origin::Forward {
///     url: "https://origin.example/".to_owned(),
///     base: 0,
///     is_local: true,
///     changes: Default::default(),
///     own: Default::default(),
///     cookies: Default::default(),
///     standing: None,
///     identified: true,
///     uncached: false,
///     resolve_override: None,
///     answer: String::new(),
///     rules: None,
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
    base: usize,
    is_local: bool,
    changes: HeaderChanges,
    own: HeaderChanges,
    cookies: Remainder,
    standing: Option<Rc<Standing>>,
    identified: bool,
    uncached: bool,
    resolve_override: Option<String>,
    answer: String,
    rules: Option<AnswerRules>,
}

impl Forward {
    /// Where it goes.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Scheme and authority of [`Forward::url`].
    #[must_use]
    pub fn base(&self) -> &str {
        self.url.get(..self.base).unwrap_or_default()
    }

    /// Whether path and query are those that came, character by character.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        self.is_local
    }

    /// Which headers differ from the request that came, as far as that does not depend on what they say or on
    /// who is asking. Many requests have the same: a platform may keep what it makes of them.
    #[must_use]
    pub const fn changes(&self) -> &HeaderChanges {
        &self.changes
    }

    /// Changes that this request alone has.
    #[must_use]
    pub const fn own(&self) -> &HeaderChanges {
        &self.own
    }

    /// What is left of the `Cookie` header that came, if it is not removed.
    #[must_use]
    pub const fn cookies(&self) -> &Remainder {
        &self.cookies
    }

    /// What the origin is told at every request of this caller. The same value while nothing of it changes:
    /// a platform may keep what it makes of it.
    #[must_use]
    pub const fn standing(&self) -> Option<&Rc<Standing>> {
        self.standing.as_ref()
    }

    /// All changes but that of the `Cookie` header, in their order. No header is set twice.
    pub fn all_changes(&self) -> impl Iterator<Item = HeaderChange<'_>> {
        let standing = self.standing.iter();
        self.changes
            .iter()
            .chain(self.own.iter())
            .chain(standing.flat_map(|standing| standing.headers().iter()))
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

    /// What a profile wants of the origin's answer: without a profile, nothing.
    #[must_use]
    pub const fn rules(&self) -> Option<&AnswerRules> {
        self.rules.as_ref()
    }
}

/// What the origin of a site with a profile is told, and what becomes of its answer. No cookie of a
/// client's reaches such an origin, and none of its own reaches a client.
#[derive(Default)]
pub struct Told {
    /// Headers that stand in place of a client's.
    pub headers: Option<Rc<HeaderChanges>>,
    /// What becomes of the answer.
    pub answer: AnswerRules,
}

/// What becomes of an origin's answer.
#[derive(Clone, Default)]
pub struct AnswerRules {
    /// It is a file, the same for everybody: the origin is told nothing of who asks, and the answer
    /// is kept, compressed, for so long.
    pub asset: Option<Seconds>,
    /// Whom the request was from, in the words of [`crate::profile::refused`], which hears of it when the
    /// origin did not know them.
    pub whom: Option<Rc<str>>,
}

impl AnswerRules {
    /// Them as `edge/glue.js` reads them.
    #[must_use]
    pub fn line(&self) -> String {
        let whom = self.whom.as_deref().unwrap_or_default();
        format!("!w{whom}\n")
    }
}

/// What only this request has.
pub struct Context<'a> {
    /// The signed assertion, if the site wants one and somebody is signed in.
    pub assertion: Option<&'a Rc<str>>,
    /// The request's name in our log.
    pub request_id: &'a str,
    /// What the site's profile adds.
    pub told: Option<&'a Told>,
}

/// Makes the request for the origin: strip, mutate, rewrite.
#[must_use]
pub fn prepare(
    grant: &Grant,
    site: &Site,
    parts: &Parts,
    path: &CanonicalPath<'_>,
    presented: &Presented<'_>,
    context: &Context<'_>,
) -> Forward {
    let Stripped {
        mut changes,
        mut own,
    } = strip::strip(site, parts, presented);
    let mut cookies = match &presented.cookies_left {
        Remainder::Nothing => Remainder::Whole,
        left => left.clone(),
    };
    mutate::of_way(&mut changes, site, parts);
    // With a Ray the origin has the request's name already.
    if parts.ray().is_none() {
        own.set("x-request-id", context.request_id);
    }
    let told = context.told;
    // A file that is the same for everybody is asked for by nobody.
    let principal = grant
        .principal()
        .filter(|_| told.is_none_or(|told| told.answer.asset.is_none()));
    if let Some(told) = told {
        cookies = Remainder::Whole;
        changes.remove("cookie");
        if let Some(headers) = &told.headers {
            own.extend(headers);
        }
    }
    let query = presented.clean_query.as_deref();
    let base = rewrite::base(site, parts.authority());
    Forward {
        base: base.len(),
        url: rewrite::url(base, path, query),
        is_local: !parts.has_fragment()
            && path.as_str() == parts.path()
            && query.is_none_or(|query| !query.is_empty())
            && query == parts.query(),
        changes,
        own,
        cookies,
        standing: principal.map(|principal| mutate::standing(site, principal, context.assertion)),
        identified: principal.is_some(),
        uncached: principal.is_some() && looks_like_a_file(path),
        resolve_override: rewrite::resolve_override(site),
        answer: cors::of_the_answer(site, parts),
        rules: told.map(|told| told.answer.clone()),
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
