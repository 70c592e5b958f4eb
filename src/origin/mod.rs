//! The request for the origin: strips our credentials and the headers that no client may send, then
//! adds what Edgeward says about the caller. Its path is the one that was judged. Never parses a
//! token, interprets a cookie or reads the store.

pub mod assertion;
pub mod mutate;
pub mod response;
pub mod rewrite;
pub mod strip;

use std::rc::Rc;

use crate::access::cors;
use crate::access::grant::Grant;
use crate::ask::source::Presented;
use crate::http::cookies::Remainder;
use crate::http::headers::{CallerHeaders, HeaderChange, HeaderChanges};
use crate::http::path::RequestPath;
use crate::http::request::Parts;
use crate::http::reserved::REQUEST_ID;
use crate::memory::cache::Cache;
use crate::origin::strip::Stripped;
use crate::platform::time::Seconds;
use crate::site::Site;
use crate::site::attribute::Attribute;

/// A request to send to the origin. Only [`prepare`] makes one, and it wants a [`Grant`].
///
/// Its fields are private, so that no other code can make one or change what was prepared:
///
/// ```compile_fail,E0451
/// let forward = edgeward::origin::Forward {
///     url: "https://origin.example/".to_owned(),
///     base: 0,
///     mount: 0,
///     own_prefix: String::new(),
///     is_local: true,
///     changes: Default::default(),
///     own: Default::default(),
///     cookies: Default::default(),
///     caller_headers: None,
///     watched: true,
///     uncached: false,
///     translates: true,
///     resolve_override: None,
///     response_changes: String::new(),
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
    mount: usize,
    own_prefix: String,
    is_local: bool,
    changes: HeaderChanges,
    own: HeaderChanges,
    cookies: Remainder,
    caller_headers: Option<Rc<CallerHeaders>>,
    watched: bool,
    uncached: bool,
    translates: bool,
    resolve_override: Option<String>,
    response_changes: String,
    rules: Option<ResponseRules>,
}

impl Forward {
    /// The URL at the origin.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Scheme, authority and base path of [`Forward::url`].
    #[must_use]
    pub fn base(&self) -> &str {
        self.url.get(..self.base).unwrap_or_default()
    }

    /// How many bytes at the beginning of the path the base replaces, besides scheme and authority.
    #[must_use]
    pub const fn mount(&self) -> usize {
        self.mount
    }

    /// Where the site's own endpoints are, below which no request to an origin is; empty where nothing is cached.
    #[must_use]
    pub fn own_prefix(&self) -> &str {
        &self.own_prefix
    }

    /// Whether path and query behind the mount are those of the incoming request, character by character.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        self.is_local
    }

    /// Header changes that depend neither on header values nor on the caller. Many requests share
    /// them, so a platform may keep its own form of them.
    #[must_use]
    pub const fn changes(&self) -> &HeaderChanges {
        &self.changes
    }

    /// Header changes of this request alone.
    #[must_use]
    pub const fn own(&self) -> &HeaderChanges {
        &self.own
    }

    /// What is left of the incoming `Cookie` header, if it is not removed.
    #[must_use]
    pub const fn cookies(&self) -> &Remainder {
        &self.cookies
    }

    /// The headers that every request of this caller gets. The same value until one of them changes,
    /// so a platform may keep its own form of it.
    #[must_use]
    pub const fn caller_headers(&self) -> Option<&Rc<CallerHeaders>> {
        self.caller_headers.as_ref()
    }

    /// All header changes except that of `Cookie`, in order. No header is set twice.
    pub fn all_changes(&self) -> impl Iterator<Item = HeaderChange<'_>> {
        let of_caller = self.caller_headers.iter();
        self.changes
            .iter()
            .chain(self.own.iter())
            .chain(of_caller.flat_map(|known| known.headers().iter()))
    }

    /// Whether the origin is told who the caller is. If so, no shared cache may store the response.
    #[must_use]
    pub const fn identified(&self) -> bool {
        self.caller_headers.is_some()
    }

    /// Whether a WebSocket that this request opens is closed once the request would not pass any more.
    #[must_use]
    pub const fn watched(&self) -> bool {
        self.watched
    }

    /// Whether the CDN must be told to bypass its own cache.
    #[must_use]
    pub const fn uncached(&self) -> bool {
        self.uncached
    }

    /// Whether headers of the origin's response may name the upstream, and are translated
    /// ([`response::NAMING`]).
    #[must_use]
    pub const fn translates(&self) -> bool {
        self.translates
    }

    /// The changes to the headers of the origin's response (see [`cors::response_changes`]).
    #[must_use]
    pub fn response_changes(&self) -> &str {
        &self.response_changes
    }

    /// The host to connect to if the URL has the public host, for an origin that wants to see that.
    #[must_use]
    pub fn resolve_override(&self) -> Option<&str> {
        self.resolve_override.as_deref()
    }

    /// A profile's rules for the origin's response; `None` without a profile.
    #[must_use]
    pub const fn rules(&self) -> Option<&ResponseRules> {
        self.rules.as_ref()
    }
}

/// What a profile adds to a request, and its rules for the response. No cookie crosses a profile,
/// from client to origin or back.
#[derive(Default)]
pub struct Told {
    /// Headers that replace those of the client.
    pub headers: Option<Rc<HeaderChanges>>,
    pub response: ResponseRules,
}

/// A profile's rules for the response of the origin.
#[derive(Clone, Default)]
pub struct ResponseRules {
    /// Set for a static file, which is the same for everybody: the origin is not told who the caller
    /// is, and the response is cached, compressed, for this long.
    pub asset: Option<Seconds>,
    /// The caller, in the format of [`crate::profile::note_refusal`], which is called if the origin
    /// did not accept their identity.
    pub whom: Option<Rc<str>>,
}

impl ResponseRules {
    /// The rules in the format that `edge/glue.js` parses.
    #[must_use]
    pub fn line(&self) -> String {
        let whom = self.whom.as_deref().unwrap_or_default();
        format!("!w{whom}\n")
    }
}

/// What only this request has.
pub struct Context<'a> {
    /// The signed assertion, if the site wants one and the caller is signed in.
    pub assertion: Option<&'a Rc<str>>,
    /// The request's id in our log.
    pub request_id: &'a str,
    /// What the site's profile adds.
    pub told: Option<&'a Told>,
    /// The provider's access token, where the site wants it.
    pub access_token: Option<&'a str>,
    /// Gets a note for the log of a header that cannot be sent.
    pub cache: &'a Cache,
}

/// Prepares the request for the origin: strip, mutate, rewrite.
#[must_use]
pub fn prepare(
    grant: &Grant,
    site: &Site,
    parts: &Parts,
    path: &RequestPath<'_>,
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
    mutate::add_forwarding_headers(&mut changes, site, parts);
    // A Ray in `cf-ray` is the request's id already, and a client's own id is kept.
    if parts.ray().is_none() && parts.named(REQUEST_ID).is_none() {
        own.set(REQUEST_ID, context.request_id);
    }
    let told = context.told;
    // A static file is requested anonymously, whoever the caller is.
    let principal = grant
        .principal()
        .filter(|_| told.is_none_or(|told| told.response.asset.is_none()));
    if let Some(told) = told {
        cookies = Remainder::Whole;
        changes.remove("cookie");
        if let Some(headers) = &told.headers {
            own.extend(headers);
        }
    }
    if let (Some(_), Some(token)) = (principal, context.access_token) {
        let headers = site.custom_headers.iter();
        let of_token = headers.filter(|(_, attribute)| *attribute == Attribute::AccessToken);
        of_token.for_each(|(header, _)| own.set(header, token));
    }
    let query = presented.clean_query.as_deref();
    let base = rewrite::base(site, parts.authority());
    Forward {
        base: base.len(),
        mount: site.mount.len(),
        own_prefix: told
            .and_then(|told| told.response.asset)
            .map(|_| [site.mount.as_str(), &site.endpoints].concat())
            .unwrap_or_default(),
        url: rewrite::url(base, path, query),
        is_local: !parts.has_fragment()
            && parts.path().get(site.mount.len()..) == Some(path.as_str())
            && query.is_none_or(|query| !query.is_empty())
            && query == parts.query(),
        changes,
        own,
        cookies,
        caller_headers: principal.map(|principal| {
            mutate::caller_headers(site, principal, context.assertion, context.cache)
        }),
        watched: principal.is_some() && site.close_websockets,
        uncached: principal.is_some() && looks_like_a_file(path),
        translates: site.translates(),
        resolve_override: rewrite::resolve_override(site),
        response_changes: cors::response_changes(site, parts),
        rules: told.map(|told| told.response.clone()),
    }
}

/// Whether the last segment, in any reading, has an extension. The CDN caches such paths by default, whoever the
/// caller is, and other paths only if a rule of the zone says so. To bypass its cache costs more
/// than to verify the session, so that is done only where it matters.
fn looks_like_a_file(path: &RequestPath<'_>) -> bool {
    path.readings().any(|reading| {
        let last = memchr::memrchr(b'/', reading).and_then(|at| reading.get(at..));
        last.is_some_and(|last| last.contains(&b'.'))
    })
}

#[cfg(test)]
mod tests;
