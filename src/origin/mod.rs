//! What the origin gets: the request without its credential and without anything a client may not
//! say, then what we say about the caller, to the path that was judged. Never reads a token, a
//! cookie's meaning or the store.

pub mod assertion;
pub mod mutate;
pub mod rewrite;
pub mod strip;

use std::borrow::Cow;
use std::rc::Rc;

use crate::access::cors;
use crate::access::grant::Grant;
use crate::http::headers::{HeaderChange, HeaderChanges};
use crate::http::path::CanonicalPath;
use crate::http::request::Parts;
use crate::platform::time::Seconds;
use crate::site::Site;

/// A request to send to the origin. Only [`prepare`] makes one, and it wants a [`Grant`].
///
/// Its fields are private, so that no other code can make one or change what was prepared:
///
/// ```compile_fail,E0451
/// let forward = edgeward::origin::Forward {
///     url: "https://origin.example/".to_owned(),
///     changes: edgeward::http::headers::HeaderChanges::default(),
///     standing: Default::default(),
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
    changes: HeaderChanges,
    standing: Rc<HeaderChanges>,
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
    clean_query: Option<&Cow<'_, str>>,
    context: &Context<'_>,
) -> Forward {
    let OfHead {
        mut changes,
        resolve_override,
        answer,
    } = of_head(site, parts, context.request_id);
    let told = context.told;
    // A file that is the same for everybody is asked for by nobody.
    let principal = grant
        .principal()
        .filter(|_| told.is_none_or(|told| told.answer.asset.is_none()));
    if let Some(told) = told {
        changes.remove("cookie");
        if let Some(headers) = &told.headers {
            changes.extend(headers);
        }
    }
    Forward {
        url: rewrite::url(
            site,
            parts.authority(),
            path,
            clean_query.map(|query| &**query),
        ),
        changes,
        standing: mutate::standing(site, parts, principal, context.assertion),
        identified: principal.is_some(),
        uncached: principal.is_some() && looks_like_a_file(path),
        resolve_override,
        answer,
        rules: told.map(|told| told.answer.clone()),
    }
}

/// What follows from the head of a request alone. It is made without the path and without the
/// caller, so that it holds for every request with this head.
struct OfHead {
    changes: HeaderChanges,
    resolve_override: Option<String>,
    answer: String,
}

fn of_head(site: &Site, parts: &Parts, request_id: &str) -> OfHead {
    let mut changes = HeaderChanges::with_capacity(1024);
    strip::strip(&mut changes, site, parts);
    mutate::of_request(&mut changes, parts, request_id);
    OfHead {
        changes,
        resolve_override: rewrite::resolve_override(site),
        answer: cors::of_the_answer(site, parts),
    }
}

/// Proof that a request may be sent as one was that began with the same head. Only [`again`] makes
/// one, and it wants a [`Grant`]:
///
/// ```compile_fail,E0451
/// let again = edgeward::origin::Again { uncached: false };
/// ```
#[derive(Debug)]
pub struct Again {
    uncached: bool,
}

impl Again {
    /// As [`Forward::uncached`].
    #[must_use]
    pub const fn uncached(&self) -> bool {
        self.uncached
    }
}

/// Whether a request to `path` that begins with `parts` gets what one got that was told `standing`:
/// only if the same would be said of the same caller. The rest follows from the head ([`OfHead`]) and
/// from the path, which is sent as it is.
#[must_use]
pub fn again(
    grant: &Grant,
    site: &Site,
    parts: &Parts,
    path: &CanonicalPath<'_>,
    assertion: Option<&Rc<str>>,
    standing: &Rc<HeaderChanges>,
) -> Option<Again> {
    let principal = grant.principal()?;
    let told = mutate::standing(site, parts, Some(principal), assertion);
    Rc::ptr_eq(&told, standing).then(|| Again {
        uncached: looks_like_a_file(path),
    })
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
