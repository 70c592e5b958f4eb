//! A request that begins as one did that was forwarded: the same method, and the same headers as
//! far as the core is told of them. What follows from those alone is not worked out again. What
//! depends on the path, on time or on what is stored is judged anew, by the functions that judged
//! it the first time; where one of them says anything new, the request goes the whole way.

use crate::access::grant;
use std::rc::Rc;

use crate::ask::asked;
use crate::ask::route;
use crate::ask::source;
use crate::ask::visit::Visit;
use crate::authn;
use crate::authn::principal::Principal;
use crate::authn::{Place, jwks};
use crate::credential::session;
use crate::credential::verified::{Claims, Verified};
use crate::http::headers::HeaderChanges;
use crate::http::path::CanonicalPath;
use crate::http::request::{Parts, is_ray};
use crate::memory::world::World;
use crate::origin;
use crate::origin::assertion;
use crate::origin::{Again, Forward};
use crate::platform::shelf::Weigh;
use crate::platform::time::Timestamp;
use crate::site::Site;
use crate::site::Source;
use crate::site::tenant::Tenancy;

/// A head that is longer, in bytes, or has more headers is not kept.
const MAX_HEAD: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;

/// A request that was forwarded for somebody, and what was made for it that holds for those that
/// begin as it did.
pub struct Repeat {
    site: Rc<Site>,
    parts: Rc<Parts>,
    source: Source,
    verified: Rc<Verified>,
    standing: Rc<HeaderChanges>,
}

/// With the credential, which may be remembered here alone.
impl Weigh for Repeat {
    fn heap(&self) -> usize {
        self.parts.heap() + self.verified.weight() + self.standing.heap()
    }
}

impl Repeat {
    /// Of `visit`, which was forwarded for `principal`, if a later request can be by the same: one
    /// credential decided and no other was there; and it is none that is used up, or that a session
    /// takes the place of. What is not asked again must follow from the head alone: whether it is a
    /// WebSocket, and whose page it is from ([`crate::access::same_origin`]). A preflight that passes is
    /// nobody's, so it has no principal to be repeated for.
    #[must_use]
    pub fn of(visit: &Visit<'_>, principal: &Principal, forward: &Forward) -> Option<Self> {
        let lasting = match principal.source() {
            Source::Session | Source::Bearer | Source::Header | Source::ApiKey => true,
            Source::SsoCookie | Source::Query => false,
        };
        let plain = visit.site.profile.is_none()
            && visit.presented.count() == 1
            && !visit.presented.query_changed
            && !visit.asked.preflight
            && !visit.parts.is_websocket()
            && forward.identified();
        let fits = visit.parts.size() <= MAX_HEAD
            && visit.parts.headers().count() <= MAX_HEADERS
            && visit.parts.authority().is_ascii();
        (lasting && plain && fits).then(|| Self {
            site: Rc::clone(visit.site),
            parts: Rc::clone(visit.parts),
            source: principal.source(),
            verified: Rc::clone(principal.verified()),
            standing: Rc::clone(forward.standing()),
        })
    }

    /// Whether the origin has to be told the name of each request, because the CDN gave none.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.parts.ray().is_none()
    }

    /// How a URL begins that can be a repetition: scheme and authority, in ASCII.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{}://{}", self.parts.scheme(), self.parts.authority())
    }

    /// What stands at the origin in place of [`Repeat::prefix`].
    #[must_use]
    pub fn base(&self) -> String {
        origin::rewrite::base(&self.site, self.parts.authority())
    }

    /// What of `url` comes after its [`Repeat::prefix`]: path and query.
    fn local<'u>(&self, url: &'u str) -> Option<(&'u str, Option<&'u str>)> {
        let rest = url
            .strip_prefix(self.parts.scheme())?
            .strip_prefix("://")?
            .strip_prefix(self.parts.authority())?;
        if !rest.starts_with('/') || rest.contains('#') {
            return None;
        }
        Some(
            rest.split_once('?')
                .map_or((rest, None), |(path, query)| (path, Some(query))),
        )
    }
}

/// Judges a request for `url` whose method and headers are those of `repeat`, but for what is
/// withheld and for its name, which is `ray` if the CDN gave it one. `None` sends it the whole way,
/// which also makes every refusal; so nothing is waited for here, and nobody turned away.
#[must_use]
pub fn again(
    world: &Rc<World>,
    repeat: &Repeat,
    url: &str,
    ray: &str,
    now: Timestamp,
) -> Option<Again> {
    let Repeat { site, parts, .. } = repeat;
    if is_ray(ray) == repeat.is_unnamed() {
        return None;
    }
    // The URL is sent on as it came, so it must be the one that is judged.
    let (local, query) = repeat.local(url)?;
    let path = CanonicalPath::parse(local).ok()?;
    if path.as_str() != local || route::is_ours(site, &path) || !site.rules.can_judge(&path) {
        return None;
    }
    if !query.is_none_or(|query| source::passes_unchanged(site, query)) {
        return None;
    }
    let host = asked::host(site, parts);
    let (asked, rule) = asked::asked(site, parts, &host, &path);
    // Where nobody is looked for, the origin is told of nobody.
    if rule.is_public() {
        return None;
    }
    let place = Place {
        site,
        tenancy: Tenancy::of(site, parts),
        now,
        counts: false,
        client: None,
    };
    let principal = authn::still(world, place, repeat.source, &repeat.verified)?;
    jwks::refresh_later(world, now);
    if let Claims::Session(claims) = &repeat.verified.claims
        && session::is_due(site, claims, now)
    {
        return None;
    }
    let signed = match site.assertion {
        Some(_) => Some(assertion::fresh(&principal, now)?),
        None => None,
    };
    let grant = grant::decide(rule, &asked, Some(principal)).ok()?;
    origin::again(
        &grant,
        site,
        parts,
        &path,
        signed.as_ref(),
        &repeat.standing,
    )
}
