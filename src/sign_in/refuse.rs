//! The answer to a person who is not signed in: the way to the sign-in page, and the page that ends a loop and names the likely
//! cause. Decides nothing of who may pass.

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::page::{self, LinkButton, Message, Ways};
use crate::ask::ctx::Ctx;
use crate::ask::return_to::ReturnTo;
use crate::ask::source::Rounds;
use crate::credential::session::SetCookie;
use crate::http::host::is_loopback;
use crate::http::query;
use crate::http::request::Parts;
use crate::jose::error::TokenError;
use crate::rules::Reaction;
use crate::rules::step_up::StepUp;
use crate::sign_in::{arrive, browsing, by_gateway, by_provider};
use crate::site::{Login, SameSite, Source};

/// After this many round trips the browser gets a page with the likely cause instead of a redirect.
const MAX_ROUNDS: u32 = 3;

/// The number of the round in which somebody signs in once more.
const ONCE_MORE: u32 = 2;

/// Browsers keep at least 50 cookies of a host and at least 4096 bytes of each (RFC 6265 §6.1), and servers refuse longer heads
/// than 8 KB.
const MANY_COOKIES: usize = 50;
const LONG_COOKIES: usize = 6000;

/// The answer to a denied request: a redirect to the sign-in page, a page, or JSON.
#[must_use]
pub fn refuse(ctx: &Ctx<'_>, denial: &Denial) -> (Answer, Vec<SetCookie>) {
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
        return (Answer::refusal(denial, ctx.request_id), Vec::new());
    }
    let rounds = ctx.presented.rounds;
    let wanted = match denial {
        Denial::SignInAgain(_, wanted) => Some(&**wanted),
        _ => None,
    };
    if row.sign_in_helps && may_lead_on(ctx) {
        let place = ctx.return_to().with_rounds(Rounds {
            led_on: true,
            ..rounds
        });
        return (
            page::onward(ctx.site, ctx.words(), ctx.request_id, place.as_str()),
            Vec::new(),
        );
    }
    let Some(login) = ctx
        .site
        .login
        .as_ref()
        .filter(|_| row.sign_in_helps || reaction == Reaction::Login)
    else {
        return (refused(ctx, denial, None), Vec::new());
    };
    let is_read = matches!(ctx.parts.method(), "GET" | "HEAD");
    let head = browsing::whole_head(ctx);
    if reaction == Reaction::Login && is_read {
        // A session that was just opened has not come back, or what no other site leads to brought nothing either.
        let is_over = match wanted {
            // An ordinary sign-in may have come before.
            Some(_) => rounds.opened && rounds.count >= ONCE_MORE,
            None => rounds.opened || rounds.led_on && rounds.count > 0,
        };
        if is_over || rounds.count >= MAX_ROUNDS {
            return match wanted {
                Some(wanted) => vain_page(ctx, denial, login, wanted),
                None => loop_page(ctx, denial, login, head.as_ref()),
            };
        }
        if !ctx.site.login_in_frames && head.as_ref().is_some_and(browsing::is_for_frame) {
            return framed_page(ctx, denial, login, wanted);
        }
        let place = ctx.return_to();
        let next = Rounds {
            count: match wanted {
                Some(_) => ONCE_MORE.max(rounds.count.saturating_add(1)),
                None => rounds.count.saturating_add(1),
            },
            ..Rounds::default()
        };
        let (url, cookies) = way_in(ctx, login, &place, next, wanted);
        return (Answer::see_other(url), cookies);
    }
    if !row.sign_in_helps {
        return (refused(ctx, denial, None), Vec::new());
    }
    let place = match (&head, is_read) {
        // A form cannot be sent again by coming back to where it was sent to.
        (Some(head), false) => ctx.referrer(head),
        _ => ctx.return_to(),
    };
    let (action, cookies) = button(ctx, login, &place, "sign_in", wanted);
    (refused(ctx, denial, Some(action)), cookies)
}

/// The answer to a request for one of our own endpoints, which leads nobody to sign in: it is not where a person goes. The page
/// that says who is signed in has a button for that.
#[must_use]
pub fn refuse_own(ctx: &Ctx<'_>, denial: &Denial) -> (Answer, Vec<SetCookie>) {
    if !ctx.parts.wants_page() {
        return (Answer::refusal(denial, ctx.request_id), Vec::new());
    }
    let own = ctx.path.as_str().strip_prefix(&*ctx.site.endpoints);
    let login = ctx.site.login.as_ref();
    let login = login.filter(|_| own == Some("/me") && denial.row().sign_in_helps);
    let (action, cookies) = login.map_or((None, Vec::new()), |login| {
        let (action, cookies) = button(ctx, login, &ctx.root(), "sign_in", None);
        (Some(action), cookies)
    });
    (refused(ctx, denial, action), cookies)
}

/// The page of a refusal, from which there is always a way on: `action`, to try again, to the first page, or to sign out for
/// whoever is signed in and not allowed.
fn refused(ctx: &Ctx<'_>, denial: &Denial, action: Option<LinkButton>) -> Answer {
    let words = ctx.words();
    let row = denial.row();
    let mut ways = match action {
        Some(action) => to(action),
        None => Ways::on(row.status, words, Some(ctx.site), ctx.parts.is_read()),
    };
    // The first page does not lead to itself.
    let is_start = |action: &LinkButton| action.href == ctx.site.root_path();
    if ways.action.as_ref().is_some_and(is_start) && ctx.return_to().as_str() == ctx.root().as_str()
    {
        ways.action = None;
    }
    let caller = ctx.presented.caller.get();
    if let Some(caller) = caller.filter(|_| row.status == 403) {
        ways.who = Some(arrive::shown(&caller.user));
        let is_kept = matches!(caller.source, Source::Session | Source::SsoCookie);
        ways.other = is_kept.then(|| LinkButton {
            label: words.text("not_you").to_owned(),
            href: match ctx.site.gateway {
                Some(_) => "/logout/".to_owned(),
                None => ctx.site.own_path("logout"),
            },
        });
    }
    Answer::refusal_page(denial, Some(ctx.site), words, ctx.request_id, ways)
}

/// Whether a page of ours is to lead on the navigation: it came from another site, so `Strict` cookies are missing that the
/// browser may have.
fn may_lead_on(ctx: &Ctx<'_>) -> bool {
    let (site, presented) = (ctx.site, ctx.presented);
    let is_strict = |same_site: SameSite| same_site == SameSite::Strict;
    let session = site.takes(Source::Session)
        && is_strict(site.session.same_site)
        && presented.session.is_empty();
    let sso_cookie = site.sso_cookie.as_ref();
    let sso_cookie = site.takes(Source::SsoCookie)
        && sso_cookie.is_some_and(|cookie| is_strict(cookie.same_site))
        && presented.sso_cookie.is_empty();
    (session || sso_cookie)
        && presented.query.is_empty()
        && !presented.rounds.led_on
        && !presented.rounds.opened
        && ctx.parts.is_navigation()
        && browsing::comes_from_elsewhere(ctx)
        && !browsing::is_in_frame(ctx)
}

/// The address of the sign-in page that leads back to `place`, and what the browser has to keep until it comes back.
#[must_use]
pub fn way_in(
    ctx: &Ctx<'_>,
    login: &Login,
    place: &ReturnTo,
    rounds: Rounds,
    wanted: Option<&StepUp>,
) -> (String, Vec<SetCookie>) {
    let return_to = place.with_rounds(rounds);
    let (url, mut cookies) = match login {
        Login::Page {
            url,
            return_parameter,
        } => {
            let separator = if url.contains('?') { '&' } else { '?' };
            let return_to = query::encode(return_to.as_str());
            (
                format!("{url}{separator}{return_parameter}={return_to}"),
                Vec::new(),
            )
        }
        Login::Gateway => by_gateway::way_there(ctx, &return_to, wanted),
        Login::Provider => (by_provider::page_url(ctx, &return_to, wanted), Vec::new()),
    };
    cookies.extend(arrive::trip(ctx, place));
    (url, cookies)
}

/// A button that leads to the sign-in page and back to `place`. `label`: the name of its text.
#[must_use]
pub fn button(
    ctx: &Ctx<'_>,
    login: &Login,
    place: &ReturnTo,
    label: &'static str,
    wanted: Option<&StepUp>,
) -> (LinkButton, Vec<SetCookie>) {
    let rounds = Rounds {
        count: wanted.map_or(0, |_| ONCE_MORE),
        ..Rounds::default()
    };
    let (href, cookies) = way_in(ctx, login, place, rounds, wanted);
    let button = LinkButton {
        label: ctx.words().text(label).to_owned(),
        href,
    };
    (button, cookies)
}

/// The page for a frame, in which most sign-in pages do not open: its button opens the whole window.
fn framed_page(
    ctx: &Ctx<'_>,
    denial: &Denial,
    login: &Login,
    wanted: Option<&StepUp>,
) -> (Answer, Vec<SetCookie>) {
    let (action, cookies) = button(ctx, login, &ctx.return_to(), "sign_in", wanted);
    let words = ctx.words();
    let frame = ctx.frame(words, words.text("sign_in"), "sign_in_in_frame");
    let message = Message {
        lead: words.text("frame_lead"),
        ways: to(action),
        ..Message::default()
    };
    (page::framed(denial.row().status, &frame, message), cookies)
}

fn to(action: LinkButton) -> Ways {
    Ways {
        action: Some(action),
        ..Ways::default()
    }
}

/// The page for somebody who has signed in once more, and not as the rule wants it.
fn vain_page(
    ctx: &Ctx<'_>,
    denial: &Denial,
    login: &Login,
    wanted: &StepUp,
) -> (Answer, Vec<SetCookie>) {
    let (action, cookies) = button(ctx, login, &ctx.return_to(), "try_again", Some(wanted));
    let row = denial.row();
    let words = ctx.words();
    let frame = ctx.frame(words, words.text("vain_title"), row.code);
    let mut details = Vec::new();
    if let Some(age) = wanted.max_age {
        details.push(words.with("vain_age", "{seconds}", &age.to_string()));
    }
    if !wanted.methods.is_empty() {
        let methods = wanted.methods.join(", ");
        details.push(words.with("vain_methods", "{methods}", &methods));
    }
    let message = Message {
        lead: words.text("vain_lead"),
        details,
        ways: to(action),
        ..Message::default()
    };
    (page::message(row.status, &frame, message), cookies)
}

/// The page that ends a sign-in loop and names the likely cause.
fn loop_page(
    ctx: &Ctx<'_>,
    denial: &Denial,
    login: &Login,
    head: Option<&Parts>,
) -> (Answer, Vec<SetCookie>) {
    let (action, cookies) = button(ctx, login, &ctx.return_to(), "try_again", None);
    let answer = page_of_causes(ctx, denial, causes(ctx, denial, head), to(action), head);
    (answer, cookies)
}

/// The same for a browser that comes back from the gateway without the cookie that it was given on the way there.
#[must_use]
pub fn page_without_cookie(ctx: &Ctx<'_>, login: &Login) -> (Answer, Vec<SetCookie>) {
    let place = ctx.root();
    let (action, cookies) = button(ctx, login, &place, "try_again", None);
    let denial = Denial::SignInElsewhere;
    let causes = causes_of_a_missing_cookie(ctx, Some(ctx.parts));
    let answer = page_of_causes(ctx, &denial, (true, causes), to(action), Some(ctx.parts));
    (answer, cookies)
}

fn page_of_causes(
    ctx: &Ctx<'_>,
    denial: &Denial,
    (lacks_cookie, fold): (bool, Vec<String>),
    ways: Ways,
    head: Option<&Parts>,
) -> Answer {
    let words = ctx.words();
    let frame = ctx.frame(words, words.text("loop_title"), "sign_in_loop");
    // What the person can do comes first; the causes are for whoever runs the site.
    let message = Message {
        lead: words.text("loop_lead"),
        details: lacks_cookie
            .then(|| words.text("loop_cookies").to_owned())
            .into_iter()
            .collect(),
        ways,
        fold,
        ..Message::default()
    };
    let status = denial.row().status;
    if head.is_some_and(browsing::is_for_frame) {
        page::framed(status, &frame, message)
    } else {
        page::message(status, &frame, message)
    }
}

/// Whether the browser seems not to keep a cookie of ours, and the likely causes.
fn causes(ctx: &Ctx<'_>, denial: &Denial, head: Option<&Parts>) -> (bool, Vec<String>) {
    let presented = ctx.presented;
    let is_missing = presented.session.is_empty() && presented.sso_cookie.is_empty();
    if presented.rounds.opened && presented.session.is_empty() {
        return (true, causes_of_a_missing_cookie(ctx, head));
    }
    if let Denial::Credential(error) = denial {
        return (false, vec![cause_of(*error).to_owned()]);
    }
    let mut causes = Vec::new();
    if is_missing && ctx.site.takes(Source::SsoCookie) {
        let sso_cookie = ctx.site.sso_cookie.as_ref();
        let name = sso_cookie.map_or("", |cookie| cookie.name.as_str());
        causes.push(format!("The application did not set a cookie named {name} for this address: its name, domain or path may be different, or it was sent without Secure."));
        causes.extend(causes_of_a_missing_cookie(ctx, head));
    }
    if ctx.site.takes(Source::Query) {
        causes.push("The application sent the browser back without a token in the link.".into());
    }
    causes.push("The token had already expired: the servers' clocks may differ.".into());
    (false, causes)
}

/// Why a browser may not have sent a cookie that it was given, the likeliest first.
fn causes_of_a_missing_cookie(ctx: &Ctx<'_>, head: Option<&Parts>) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let parts = ctx.parts;
    if parts.scheme() == "http" && !is_loopback(parts.authority()) {
        causes.push("The page was opened over http. Browsers keep the cookies of a sign-in only over https.".into());
    }
    if head.is_some_and(browsing::is_for_frame) {
        causes.push("The page is in a frame, and browsers block the cookies of other sites there. In a frame on another site a cookie needs SameSite=None, Secure and Partitioned.".into());
    }
    let cookies = parts.header("cookie").unwrap_or_default();
    let count = cookies
        .split(';')
        .filter(|pair| !pair.trim().is_empty())
        .count();
    if count >= MANY_COOKIES || cookies.len() >= LONG_COOKIES {
        causes.push(format!("The browser has {count} cookies of this site, {} bytes together. Above a limit it drops some. Delete the cookies of this site.", cookies.len()));
    }
    if ctx.site.session.same_site == SameSite::Strict && browsing::comes_from_elsewhere(ctx) {
        causes.push("The cookie is SameSite=Strict, and another site led the browser here. Open the page from a bookmark or by its address.".into());
    }
    let has_ours = !ctx.presented.trip.is_empty() || !ctx.presented.browser.is_empty();
    if causes.is_empty() || count == 0 {
        causes.push(if has_ours {
            "The browser has dropped one of this site's cookies and kept others. Delete the cookies of this site.".into()
        } else {
            "The browser blocks the cookies of this site. Allow them, or leave the private window.".into()
        });
    }
    causes
}

fn cause_of(error: TokenError) -> &'static str {
    match error {
        TokenError::Expired | TokenError::NotYet | TokenError::Ended => {
            "The token had expired or was not valid yet: the servers' clocks may differ."
        }
        TokenError::Audience => "The token was issued for another site.",
        TokenError::Issuer
        | TokenError::UnknownIssuer
        | TokenError::UnknownKey
        | TokenError::Signature => {
            "The token was issued by another deployment, or its secret has been retired."
        }
        TokenError::LinkUsed | TokenError::LinkTooOld | TokenError::OnlyLink => {
            "The link had already been used, or was too old."
        }
        TokenError::UnknownUser => "The token's user no longer exists.",
        TokenError::EmailUnverified => "The token's issuer has not verified the email address.",
        TokenError::OtherTenant => "The token was issued for another tenant.",
        TokenError::UnknownTenant | TokenError::NoTenant => {
            "The request does not name a tenant of this site."
        }
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
        | TokenError::MissingClaim(_)
        | TokenError::ClaimForm(_)
        | TokenError::ClaimValue(_)
        | TokenError::UnlistedClaim
        | TokenError::EmailDomain
        | TokenError::OwnToken
        | TokenError::OwnCredential
        | TokenError::Lifetime
        | TokenError::ApiToken
        | TokenError::TooManyAttempts
        | TokenError::DisabledUser
        | TokenError::Fault(_) => "The application sent something that is not a valid SSO token.",
    }
}
