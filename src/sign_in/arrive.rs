//! Signing in with a token, and the way to the sign-in page: opens the session, cleans the URL, asks
//! before it switches the user, redirects to the application's sign-in page and detects loops. Never
//! verifies a token itself.

use std::rc::Rc;

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::page::{self, Confirmation, Frame, LinkButton, Message};
use crate::ask::ctx::Ctx;
use crate::ask::return_to::ReturnTo;
use crate::authn::principal::Principal;
use crate::authn::{Authentication, link};
use crate::credential::session::{self, SetCookie};
use crate::credential::verified::Claims;
use crate::http::query;
use crate::jose::error::TokenError;
use crate::model::claim::Granted;
use crate::model::user::User;
use crate::platform::digest::{hex, sha256};
use crate::platform::time::Timestamp;
use crate::rules::Reaction;
use crate::sign_in::{by_gateway, opened};
use crate::site::{Login, Query, Source, StrangerLink, UserSwitch};

/// After this many round trips the browser gets a page with the likely cause instead of a redirect.
const MAX_ATTEMPTS: u32 = 3;

/// The endpoint that takes the confirmation of a user switch.
pub const SWITCH_PATH: &str = "/api/sso/switch";

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
    match principal.source() {
        // Without sessions, the token comes with each request. Such a site takes no links either,
        // since a link opens a session.
        _ if !ctx.site.takes(Source::Session) => {}
        Source::SsoCookie => {
            cookies.push(open_session(ctx, principal));
            cookies.extend(session::clear_sso(ctx.site));
        }
        Source::Query => {
            if let Some(question) = ask_before(ctx, authentication, principal) {
                return Ok(Arrival::Answer(question, cookies));
            }
            let opened = Box::pin(open_from_link(ctx, principal)).await?;
            cookies.push(opened);
            if !ctx.presented.trip.is_empty() {
                cookies.push(session::end_trip(ctx.site));
            }
        }
        // An SSO cookie beside a session of the same user is of no use any more.
        Source::Session if !ctx.presented.sso_cookie.is_empty() => {
            cookies.extend(session::clear_sso(ctx.site));
        }
        Source::Session | Source::Bearer | Source::Header | Source::ApiKey => {}
    }
    if ctx.presented.query_changed {
        return Ok(Arrival::Answer(
            Answer::see_other(ctx.return_to().into_url()),
            cookies,
        ));
    }
    Ok(Arrival::Proceed(cookies))
}

/// Opens the session for a single-use link.
///
/// # Errors
/// [`TokenError::LinkUsed`], or a fault.
pub async fn open_from_link(ctx: &Ctx<'_>, principal: &Principal) -> Result<SetCookie, Denial> {
    link::use_up(ctx.world, ctx.site, principal, ctx.now).await?;
    Ok(open_session(ctx, principal))
}

fn open_session(ctx: &Ctx<'_>, principal: &Principal) -> SetCookie {
    let (issued_at, granted): (Option<Timestamp>, Option<&Rc<Granted>>) =
        match &principal.verified().claims {
            Claims::Foreign(claims) => (Some(claims.issued_at), Some(&claims.granted)),
            Claims::Sso(claims) => (Some(claims.issued_at), None),
            Claims::Session(_) | Claims::ApiToken(_) => (None, None),
        };
    let (claims, cookie) = session::open(
        &ctx.world.config,
        ctx.site,
        &principal.user().id,
        issued_at,
        granted,
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
    let shown = |user: &User| {
        let address = user.address().map(str::to_owned);
        address.unwrap_or_else(|| user.display_name())
    };
    let (title, submit_label, cancel, lead) = if let Some(current) = &authentication.session {
        let current = current.user();
        if query.user_switch == UserSwitch::Replace
            || from == Some("same-origin")
            || current.id == arriving.id
        {
            return None;
        }
        let lead = format!(
            "You are signed in as {}. This link signs you in as {} instead.",
            shown(current),
            shown(arriving),
        );
        ("Switch user?", "Switch user", "Stay signed in", lead)
    } else {
        let began_here = ctx.presented.trip.contains(&trip_of(&return_to).as_str());
        if query.stranger_link == StrangerLink::Allow || from != Some("cross-site") || began_here {
            return None;
        }
        let lead = format!(
            "You are not signed in. A link on another site brought you here, and it signs you in as {}. Continue only if that is you.",
            shown(arriving),
        );
        ("Sign in?", "Sign in", "Do not sign in", lead)
    };
    let token = ctx.presented.query.first()?;
    let frame = Frame {
        title,
        code: "",
        request_id: ctx.request_id,
        site: Some(ctx.site),
    };
    let question = Confirmation {
        lead: &lead,
        form_action: SWITCH_PATH,
        fields: vec![
            ("token".into(), token.clone()),
            ("return_to".into(), return_to.local().into()),
        ],
        submit_label,
        cancel: Some(LinkButton {
            label: cancel.to_owned(),
            href: return_to.with_attempt(0).local().into(),
        }),
        form_to: None,
    };
    Some(page::question(200, &frame, question))
}

/// The value of the trip cookie for a browser that was sent to sign in from `place`: the link back
/// must lead to exactly this address.
fn trip_of(place: &ReturnTo) -> String {
    hex(&sha256(place.as_str().as_bytes()))
}

/// The trip cookie, for a site that asks before it accepts a stranger's link: a link that completes
/// a trip begun with this request needs no question. A navigation from a page of another site begins
/// no trip, because a stranger's page could start one.
#[must_use]
pub fn trip(ctx: &Ctx<'_>, answer: &Answer) -> Option<SetCookie> {
    let asks = |query: &Query| query.stranger_link == StrangerLink::Ask;
    let by_link = ctx.site.takes(Source::Query) && ctx.site.query.as_ref().is_some_and(asks);
    let own = matches!(
        ctx.parts.header("sec-fetch-site"),
        Some("none" | "same-origin" | "same-site")
    );
    let sent = answer.status == 303 && ctx.parts.is_navigation() && !ctx.presented.declined;
    (by_link && own && sent).then(|| session::begin_trip(ctx.site, &trip_of(&ctx.return_to())))
}

/// The address of a sign-in page.
#[must_use]
pub fn page_of(ctx: &Ctx<'_>, login: &Login) -> String {
    match login {
        Login::Page { url, .. } => url.clone(),
        Login::Gateway => by_gateway::page_url(ctx),
    }
}

/// The redirect to the sign-in page, and what the browser has to keep until it comes back.
fn send_to(ctx: &Ctx<'_>, login: &Login, attempt: u32) -> (String, Option<SetCookie>) {
    match login {
        Login::Page {
            url,
            return_parameter,
        } => {
            let separator = if url.contains('?') { '&' } else { '?' };
            let return_to = query::encode(ctx.return_to().with_attempt(attempt).as_str());
            (
                format!("{url}{separator}{return_parameter}={return_to}"),
                None,
            )
        }
        Login::Gateway => by_gateway::way_there(ctx),
    }
}

/// The answer to a denied request: a redirect to the sign-in page, a page, or JSON.
#[must_use]
pub fn refuse(ctx: &Ctx<'_>, denial: &Denial) -> (Answer, Option<SetCookie>) {
    let row = denial.row();
    let reaction = if row.sign_in_helps {
        ctx.rule.unauthenticated
    } else if row.by_rule {
        ctx.rule.unauthorised
    } else {
        Reaction::Deny
    };
    let denial = match reaction {
        Reaction::NotFound => &Denial::Hidden,
        Reaction::Forbidden => &Denial::Withheld,
        Reaction::Deny | Reaction::Login | Reaction::Page => denial,
    };
    let row = denial.row();
    let page = ctx.parts.wants_page() || reaction == Reaction::Page;
    if !page || ctx.parts.is_websocket() {
        return (Answer::refusal(denial), None);
    }
    let may_redirect = matches!(ctx.parts.method(), "GET" | "HEAD");
    match &ctx.site.login {
        Some(login) if reaction == Reaction::Login && may_redirect => {
            let attempt = ctx.presented.attempt.saturating_add(1);
            if attempt > MAX_ATTEMPTS {
                return (loop_page(ctx, denial, page_of(ctx, login)), None);
            }
            let (url, cookie) = send_to(ctx, login, attempt);
            (Answer::see_other(url), cookie)
        }
        Some(login) if row.sign_in_helps => {
            let action = LinkButton {
                label: "Sign in".to_owned(),
                href: page_of(ctx, login),
            };
            let page = Answer::refusal_page(denial, Some(ctx.site), ctx.request_id, Some(action));
            (page, None)
        }
        _ => (
            Answer::refusal_page(denial, Some(ctx.site), ctx.request_id, None),
            None,
        ),
    }
}

/// The page that ends a sign-in loop and names the likely cause.
fn loop_page(ctx: &Ctx<'_>, denial: &Denial, login_url: String) -> Answer {
    let cookie = ctx
        .site
        .sso_cookie
        .as_ref()
        .map_or("", |cookie| cookie.name.as_str());
    let details = if let Denial::Credential(error) = denial {
        vec![cause_of(*error).to_owned()]
    } else {
        let mut causes = Vec::new();
        if ctx.site.takes(Source::SsoCookie) {
            causes.push(format!("The application did not set a cookie named {cookie} for this address: its name, domain or path may be different, or it was sent without Secure."));
            causes.push("The browser blocked the cookie. In a frame on another site it needs SameSite=None, Secure and Partitioned.".into());
        }
        if ctx.site.takes(Source::Query) {
            causes
                .push("The application sent the browser back without a token in the link.".into());
        }
        causes.push("The token had already expired: the servers' clocks may differ.".into());
        causes
    };
    let row = denial.row();
    let frame = Frame {
        title: "Signing in did not work",
        code: "sign_in_loop",
        request_id: ctx.request_id,
        site: Some(ctx.site),
    };
    let message = Message {
        lead: "You were sent to the sign-in page several times and came back without being signed in. The likely cause:",
        details,
        action: Some(LinkButton {
            label: "Try again".to_owned(),
            href: login_url,
        }),
    };
    page::message(row.status, &frame, message)
}

fn cause_of(error: TokenError) -> &'static str {
    match error {
        TokenError::Expired | TokenError::NotYet | TokenError::Ended => {
            "The token had expired or was not valid yet: the servers' clocks may differ."
        }
        TokenError::Audience => "The token was issued for another site.",
        TokenError::Issuer | TokenError::UnknownKey | TokenError::Signature => {
            "The token was issued by another deployment, or its secret has been retired."
        }
        TokenError::LinkUsed | TokenError::LinkTooOld | TokenError::OnlyLink => {
            "The link had already been used, or was too old."
        }
        TokenError::UnknownUser => "The token's user no longer exists.",
        TokenError::EmailUnverified => "The token's issuer has not verified the email address.",
        TokenError::OtherTenant => "The token was issued for another tenant.",
        TokenError::ClaimsTooLong => "The token has more claims than a session can hold.",
        TokenError::Conflict => {
            "The browser has two cookies of the same name that contradict each other. Delete this site's cookies."
        }
        TokenError::TooLong
        | TokenError::NotCompact
        | TokenError::Header
        | TokenError::Critical
        | TokenError::Type
        | TokenError::Algorithm
        | TokenError::Claims
        | TokenError::MissingClaim
        | TokenError::Lifetime
        | TokenError::ApiToken
        | TokenError::TooManyAttempts
        | TokenError::DisabledUser
        | TokenError::Fault(_) => "The application sent something that is not a valid SSO token.",
    }
}
