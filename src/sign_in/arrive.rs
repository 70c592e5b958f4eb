//! Signing in with a token: opens the session, cleans the URL, and asks before it switches the user. Never
//! verifies a token itself.

use std::rc::Rc;

use serde_json::json;

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::page::{self, Confirmation, LinkButton};
use crate::ask::audited;
use crate::ask::ctx::Ctx;
use crate::ask::return_to::ReturnTo;
use crate::ask::source::Rounds;
use crate::authn::principal::Principal;
use crate::authn::{Authentication, link, renewal};
use crate::credential::session::{self, OpenedBy, SetCookie};
use crate::credential::verified::Claims;
use crate::model::audit::{Action, Written};
use crate::model::claim::Granted;
use crate::model::user::{User, UserId};
use crate::platform::digest::{hex, sha256};
use crate::platform::port::{Fault, Pending};
use crate::platform::time::Timestamp;
use crate::sign_in::{browsing, opened};
use crate::site::{Query, SameSite, Source, StrangerLink, UserSwitch};
use crate::store::provider_tokens::ProviderTokens;

/// How a browser comes to a page after the person has declined to be signed in by a link.
const DECLINED: Rounds = Rounds {
    count: 0,
    opened: false,
    led_on: true,
};

/// What becomes of a request with a credential, before any rule is asked.
pub enum Arrival {
    /// It continues, and these cookies are set on the response.
    Proceed(Vec<SetCookie>),
    /// It is answered here.
    Answer(Answer, Vec<SetCookie>),
}

/// Opens a session for a token that came with a navigation, and redirects to the URL without our
/// parameters, so that none of them stays in the address bar. `stays_anonymous`: the caller is a browser
/// that continues anonymously. Does nothing if the request is judged without effect.
///
/// # Errors
/// Why the token opens no session.
pub async fn arrive(
    ctx: &Ctx<'_>,
    authentication: &Authentication,
    stays_anonymous: bool,
) -> Result<Arrival, Denial> {
    if ctx.is_dry() {
        return Ok(Arrival::Proceed(Vec::new()));
    }
    let navigation = ctx.parts.is_navigation();
    let Ok(Some(principal)) = &authentication.result else {
        return Ok(if stays_anonymous && ctx.presented.query_changed {
            Arrival::Answer(Answer::see_other(ctx.return_to().into_url()), Vec::new())
        } else {
            Arrival::Proceed(Vec::new())
        });
    };
    if !navigation && principal.source() != Source::Query {
        return Ok(Arrival::Proceed(Vec::new()));
    }
    if !navigation {
        if ctx.parts.only_looks() {
            return Ok(Arrival::Proceed(Vec::new()));
        }
        Box::pin(link::use_up(ctx.world, ctx.site, principal, ctx.now)).await?;
        return Ok(Arrival::Proceed(Vec::new()));
    }
    let mut cookies = Vec::new();
    let mut opens = false;
    let keeps_sso_cookie = ctx
        .site
        .sso_cookie
        .as_ref()
        .is_some_and(|cookie| cookie.keep);
    match principal.source() {
        // Without sessions, the token comes with each request. Such a site takes no links either,
        // since a link opens a session.
        _ if !ctx.site.takes(Source::Session) => {}
        Source::SsoCookie => {
            cookies.push(Box::pin(open_session(ctx, authentication, principal)).await?);
            opens = true;
            if !keeps_sso_cookie {
                cookies.extend(session::clear_sso(ctx.site));
            }
        }
        Source::Query => {
            let is_withheld = may_be_withheld(ctx, authentication);
            if is_withheld && !ctx.presented.rounds.led_on {
                return Ok(Arrival::Answer(lead_on(ctx), cookies));
            }
            if let Some(question) = ask_before(ctx, authentication, principal) {
                return Ok(Arrival::Answer(question, cookies));
            }
            let opened = Box::pin(open_from_link(ctx, authentication, principal)).await?;
            cookies.push(opened);
            opens = true;
            if !ctx.presented.trip.is_empty() {
                cookies.push(session::end_trip(ctx.site));
            }
        }
        // An SSO cookie beside a session of the same user is of no use any more.
        Source::Session if !ctx.presented.sso_cookie.is_empty() && !keeps_sso_cookie => {
            cookies.extend(session::clear_sso(ctx.site));
        }
        Source::Session | Source::Bearer | Source::Header | Source::ApiKey => {}
    }
    // What a sign-in once more has not met is refused here, with the address that tells of it.
    let is_in_vain = ctx.presented.rounds.opened && {
        let subject = principal.subject(ctx.now);
        let requirement = ctx.rule.requirement();
        requirement.is_some_and(|asks| asks.wants_again(&ctx.asked, Some(&subject)))
    };
    if ctx.presented.query_changed && (opens || !is_in_vain) {
        let answer = if opens {
            lead_back(ctx, place_after_opening(ctx))
        } else {
            Answer::see_other(ctx.return_to().into_url())
        };
        return Ok(Arrival::Answer(answer, cookies));
    }
    Ok(Arrival::Proceed(cookies))
}

/// Where a browser goes that was just given a session. Where that may be a round of a loop, the address tells, until the
/// session has come back: at the sign-in page's end; where a page of ours led it on; in a frame, where browsers may block the cookie; and where it would
/// otherwise be led on to bring a `Strict` cookie.
fn place_after_opening(ctx: &Ctx<'_>) -> ReturnTo {
    let rounds = ctx.presented.rounds;
    let place = ctx.return_to();
    let sso_cookie = ctx.site.sso_cookie.as_ref();
    let is_strict = sso_cookie.is_some_and(|cookie| cookie.same_site == SameSite::Strict);
    let may_be_round = rounds.count > 0
        || rounds.led_on
        || (is_strict && browsing::comes_from_elsewhere(ctx))
        || (ctx.site.login.is_some() && browsing::is_in_frame(ctx));
    if rounds.opened || !may_be_round {
        return place;
    }
    place.with_rounds(Rounds {
        count: rounds.count,
        opened: true,
        led_on: false,
    })
}

/// Whether somebody may be signed in here although no session came: a browser sends no `Strict` cookie with a navigation that
/// another site has begun. In a frame of another site it takes none either, so there is none to be replaced.
fn may_be_withheld(ctx: &Ctx<'_>, authentication: &Authentication) -> bool {
    ctx.site.session.same_site == SameSite::Strict
        && authentication.session.is_none()
        && ctx.presented.session.is_empty()
        && browsing::comes_from_elsewhere(ctx)
        && !browsing::is_in_frame(ctx)
}

/// Leads a browser on to the same link, so that it brings the session that it may have. The link is not used up.
fn lead_on(ctx: &Ctx<'_>) -> Answer {
    let link = ReturnTo::of_request(ctx.parts, ctx.site, ctx.path, ctx.parts.query());
    let link = link.with_rounds(Rounds {
        led_on: true,
        ..ctx.presented.rounds
    });
    page::onward(ctx.site, ctx.words(), ctx.request_id, link.as_str())
}

/// Leads a browser to `place` that was just given a session. A redirect would belong to the navigation that came from another
/// site, with which no `Strict` cookie is sent (RFC 6265bis §5.2). In a frame of another site none is ever sent.
#[must_use]
pub fn lead_back(ctx: &Ctx<'_>, place: ReturnTo) -> Answer {
    let is_withheld = ctx.site.session.same_site == SameSite::Strict
        && browsing::comes_from_elsewhere(ctx)
        && !browsing::is_in_frame(ctx);
    if is_withheld {
        page::onward(ctx.site, ctx.words(), ctx.request_id, place.as_str())
    } else {
        Answer::see_other(place.into_url())
    }
}

/// Opens the session for a single-use link.
///
/// # Errors
/// [`crate::jose::error::TokenError::LinkUsed`], or a fault.
pub async fn open_from_link(
    ctx: &Ctx<'_>,
    authentication: &Authentication,
    principal: &Principal,
) -> Result<SetCookie, Denial> {
    link::use_up(ctx.world, ctx.site, principal, ctx.now).await?;
    open_session(ctx, authentication, principal).await
}

/// Opens a session for who has signed in at a provider, whose tokens are kept with it.
///
/// # Errors
/// A fault.
pub(super) async fn open_session_with(
    ctx: &Ctx<'_>,
    principal: &Principal,
    tokens: Option<ProviderTokens>,
) -> Result<SetCookie, Denial> {
    let (issued_at, granted) = opens_with(principal);
    let granted = match (tokens, granted) {
        (Some(tokens), Some(granted)) => Some(Rc::new(renewal::keep(ctx, tokens, granted).await?)),
        (_, granted) => granted.map(Rc::clone),
    };
    let written = audit(ctx, None, principal).await?;
    Ok(open(ctx, &written, principal, issued_at, granted.as_ref()))
}

/// Opens a session for the principal of a token that has arrived.
async fn open_session(
    ctx: &Ctx<'_>,
    authentication: &Authentication,
    principal: &Principal,
) -> Result<SetCookie, Denial> {
    let (issued_at, granted) = opens_with(principal);
    let current = authentication.session.as_ref();
    let current = current.map(Principal::user).map(|user| &user.id);
    let written = audit(ctx, current, principal).await?;
    Ok(open(ctx, &written, principal, issued_at, granted))
}

/// Writes the row of a sign-in, or of a switch from the user with the id `current`.
fn audit<'a>(
    ctx: &'a Ctx<'_>,
    current: Option<&UserId>,
    principal: &Principal,
) -> Pending<'a, Result<Written, Fault>> {
    let user = principal.user();
    let replaced = current.filter(|current| **current != user.id);
    let action = match replaced {
        Some(_) => Action::UserSwitched,
        None => Action::SignedIn,
    };
    let verified = principal.verified();
    let issuer = verified.granted().map(|granted| granted.issuer.as_str());
    let mut row = audited::row(ctx, action).with_some("issuer", issuer);
    row.set("source", json!(principal.source()));
    if let Some(replaced) = replaced {
        row.set("before", json!({ "user": replaced }));
        row.set("after", json!({ "user": user.id }));
    }
    audited::signed_in(ctx, user, row)
}

/// When the token of `principal` was issued, and what it has granted.
fn opens_with(principal: &Principal) -> (Option<Timestamp>, Option<&Rc<Granted>>) {
    match &principal.verified().claims {
        Claims::Foreign(claims) => (Some(claims.issued_at), claims.for_session.as_ref()),
        Claims::Sso(claims) => (Some(claims.issued_at), None),
        Claims::Session(_) | Claims::ApiToken(_) => (None, None),
    }
}

fn open(
    ctx: &Ctx<'_>,
    written: &Written,
    principal: &Principal,
    token_issued_at: Option<Timestamp>,
    granted: Option<&Rc<Granted>>,
) -> SetCookie {
    let by = OpenedBy {
        token_issued_at,
        granted,
        proof: principal.verified().proof(),
    };
    let (claims, cookie) = session::open(
        written,
        &ctx.world.config,
        ctx.site,
        &principal.user().id,
        by,
        &*ctx.world.platform.entropy,
        ctx.now,
    );
    opened::note(ctx, &claims);
    cookie
}

/// The page that asks before a link signs a person in as somebody else, or `None` if there is no need
/// to ask. A link that a stranger sent must not do that without the person's knowledge.
fn ask_before(
    ctx: &Ctx<'_>,
    authentication: &Authentication,
    arriving: &Principal,
) -> Option<Answer> {
    let query = ctx.site.query.as_ref()?;
    let from = ctx.parts.header("sec-fetch-site");
    let return_to = ctx.return_to();
    let arriving = arriving.user();
    let is_withheld = may_be_withheld(ctx, authentication);
    // Where a page of ours leads people on, what another site began looks like this site's own.
    let is_strict = ctx.site.session.same_site == SameSite::Strict;
    let followed_here = from == Some("same-origin") && !is_strict;
    let by_stranger = is_withheld || from == Some("cross-site") || ctx.presented.rounds.led_on;
    let words = ctx.words();
    let mut question = if let Some(current) = &authentication.session {
        let current = current.user();
        if query.user_switch == UserSwitch::Replace || followed_here || current.id == arriving.id {
            return None;
        }
        Confirmation {
            facts: vec![
                (words.text("signed_in_as"), shown(current)),
                (words.text("switch_instead"), shown(arriving)),
            ],
            submit_label: words.text("switch_user"),
            ..Confirmation::default()
        }
    } else {
        let began_here = ctx.presented.trip.contains(&trip_of(&return_to).as_str());
        let allows = query.stranger_link == StrangerLink::Allow;
        if (allows && !is_withheld) || !by_stranger || began_here {
            return None;
        }
        Confirmation {
            lead: words.text(if is_withheld {
                "stranger_withheld"
            } else {
                "not_signed_in"
            }),
            facts: vec![(words.text("stranger_lead"), shown(arriving))],
            caution: words.text("stranger_caution"),
            submit_label: words.text("sign_in"),
            ..Confirmation::default()
        }
    };
    let (title, cancel) = match &authentication.session {
        Some(_) => ("switch_title", "stay_signed_in"),
        None => ("stranger_title", "do_not_sign_in"),
    };
    if let Some(host) = browsing::came_from(ctx) {
        question.facts.push((words.text("switch_from"), host));
    }
    question.fields = vec![
        ("token".into(), ctx.presented.query.first()?.clone()),
        ("return_to".into(), return_to.local().into()),
    ];
    let form_action = ctx.site.own_path("switch");
    question.form_action = &form_action;
    question.cancel = Some(LinkButton {
        label: words.text(cancel).to_owned(),
        href: return_to.with_rounds(DECLINED).local().into(),
    });
    question.prefers_cancel = true;
    let frame = ctx.frame(words, words.text(title), "");
    Some(page::question(200, &frame, question))
}

/// What a person knows a user by: the address, or else the name.
#[must_use]
pub fn shown(user: &User) -> String {
    let address = user.address().map(str::to_owned);
    address.unwrap_or_else(|| user.display_name())
}

/// The value of the trip cookie for a browser that was sent to sign in from `place`: the link back
/// must lead to exactly this address.
fn trip_of(place: &ReturnTo) -> String {
    hex(&sha256(place.as_str().as_bytes()))
}

/// The trip cookie, for a site that asks before it accepts a stranger's link: a link that completes
/// a trip to `place` begun with this request needs no question. A navigation from a page of another site begins
/// no trip, because a stranger's page could start one.
#[must_use]
pub fn trip(ctx: &Ctx<'_>, place: &ReturnTo) -> Option<SetCookie> {
    let asks = |query: &Query| query.stranger_link == StrangerLink::Ask;
    let by_link = ctx.site.takes(Source::Query) && ctx.site.query.as_ref().is_some_and(asks);
    let own = matches!(
        ctx.parts.header("sec-fetch-site"),
        Some("none" | "same-origin" | "same-site")
    );
    let begins = ctx.parts.is_navigation() && !ctx.presented.rounds.led_on;
    (by_link && own && begins).then(|| session::begin_trip(ctx.site, &trip_of(place)))
}
