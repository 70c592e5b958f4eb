//! What the head of a request tells of how a browser came here. Reads headers that no decision about access needs.

use crate::ask::ctx::Ctx;
use crate::http::request::Parts;
use crate::platform::port::Received;
use crate::site::SameSite;

/// The head with every header. Only requests that are answered here need it.
#[must_use]
pub fn whole_head(ctx: &Ctx<'_>) -> Option<Parts> {
    if ctx.is_dry() {
        return None;
    }
    whole_head_of(ctx.received)
}

/// The same of what was received, where the platform has more of the head than it told.
#[must_use]
pub fn whole_head_of(received: &dyn Received) -> Option<Parts> {
    Parts::from_snapshot(received.whole_head()?).ok()
}

/// Whether another site may have led the browser here, so that it has sent no `Strict` cookie (RFC 6265bis §5.2). A browser that
/// does not tell may come from anywhere.
#[must_use]
pub fn comes_from_elsewhere(ctx: &Ctx<'_>) -> bool {
    !matches!(
        ctx.parts.header("sec-fetch-site"),
        Some("same-origin" | "same-site" | "none")
    )
}

/// The host of another site whose page led the browser here, if the browser tells it (RFC 9110 §10.1.3).
#[must_use]
pub fn came_from(ctx: &Ctx<'_>) -> Option<String> {
    let head = whole_head(ctx)?;
    let (_, rest) = head.named("referer")?.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
    let is_shown = !host.is_empty() && host.len() <= 253 && host.bytes().all(is_plain);
    (is_shown && host != ctx.parts.authority()).then(|| host.to_owned())
}

/// Whether the browser may have a session that it does not send: the cookie is `Strict`, and another site leads here.
#[must_use]
pub fn may_withhold_session(ctx: &Ctx<'_>) -> bool {
    ctx.site.session.same_site == SameSite::Strict
        && ctx.presented.session.is_empty()
        && comes_from_elsewhere(ctx)
}

/// Whether the page is for a frame (Fetch Metadata §2.1).
#[must_use]
pub fn is_in_frame(ctx: &Ctx<'_>) -> bool {
    whole_head(ctx).is_some_and(|head| is_for_frame(&head))
}

/// The same, of a head with every header.
#[must_use]
pub fn is_for_frame(head: &Parts) -> bool {
    matches!(
        head.named("sec-fetch-dest"),
        Some("iframe" | "frame" | "embed" | "object" | "fencedframe")
    )
}
