//! The endpoints of a signed-in person: who am I, sign out, switch to another user.

use futures_util::future::join_all;
use serde_json::json;

use crate::access::same_origin;
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::{EventKind, Happened};
use crate::answer::page::{self, Confirmation, LinkButton, Message, Ways};
use crate::answer::reply::Reply;
use crate::ask::audited;
use crate::ask::ctx::Ctx;
use crate::ask::form::Form;
use crate::ask::return_to::ReturnTo;
use crate::ask::source::MAX_OF_ONE_SOURCE;
use crate::authn::principal::Principal;
use crate::authn::{self, Authentication, link};
use crate::credential::session::{self, SessionClaims, SetCookie};
use crate::jose::error::TokenError;
use crate::model::user::Role;
use crate::people;
use crate::platform::port::Fault;
use crate::sign_in::{arrive, browsing, provider_sign_out, refuse, sign_out};
use crate::site::words::Words;
use crate::site::{Login, Source};
use crate::store::ended_sessions::EndedSessions;

/// How many sessions one sign-out ends. A browser has two cookies of one name at most, and each
/// session costs the verification of a signature.
const MAX_SESSIONS: usize = 16;

/// `GET /api/sso/me`.
///
/// # Errors
/// Why the caller is not signed in.
pub async fn me(ctx: &Ctx<'_>, authentication: &Authentication) -> Result<Reply, Denial> {
    if ctx.parts.method() != "GET" {
        return Err(Denial::MethodNotAllowed("GET"));
    }
    let principal = authentication.required()?;
    link::use_up(ctx.world, ctx.site, &principal, ctx.now).await?;
    let user = principal.user();
    if ctx.parts.wants_page() {
        return Ok(me_page(ctx, &principal).into());
    }
    let body = json!({
        "user": {
            "id": user.id.as_str(),
            "email": user.address(),
            "username": user.username.as_str(),
            "first_name": user.first_name.as_str(),
            "last_name": user.last_name.as_str(),
            "roles": user.roles,
            "staff": user.staff,
            "superuser": user.superuser,
        },
        "source": principal.source(),
        "expires_at": principal.expires_at().seconds(),
    });
    Ok(Answer::json(200, &body).into())
}

/// What a person sees at `/api/sso/me`.
fn me_page(ctx: &Ctx<'_>, principal: &Principal) -> Answer {
    let words = ctx.words();
    let user = principal.user();
    let mut facts = Vec::new();
    if let Some(address) = user.address() {
        facts.push((words.text("email"), address.to_owned()));
    }
    let username = user.username.as_str();
    if user.address() != Some(username) {
        facts.push((words.text("username"), username.to_owned()));
    }
    let name = user.display_name();
    if name != username {
        facts.push((words.text("me_name"), name));
    }
    if !user.roles.is_empty() {
        let roles: Vec<_> = user.roles.iter().map(Role::as_str).collect();
        facts.push((words.text("me_roles"), roles.join(", ")));
    }
    let until = principal.expires_at().to_the_minute();
    facts.push((words.text("me_until"), until));
    let message = Message {
        facts,
        ways: Ways {
            action: Some(LinkButton {
                label: words.text("start_page").to_owned(),
                href: ctx.site.root_path(),
            }),
            other: Some(LinkButton {
                label: words.text("sign_out").to_owned(),
                href: ctx.site.own_path("logout"),
            }),
            who: None,
        },
        ..Message::default()
    };
    let frame = ctx.frame(words, words.text("me_title"), "");
    page::message(200, &frame, message)
}

/// `/api/sso/logout`, or the application's own sign-out path. POST ends the session; GET asks for a
/// confirmation, except at the application's path when one of its own pages links there.
///
/// # Errors
/// [`Denial::CrossOrigin`], [`Denial::MethodNotAllowed`], or a fault if the session could not be
/// ended.
pub async fn logout(ctx: &Ctx<'_>, authentication: &Authentication) -> Result<Reply, Denial> {
    // A link on the application's own page to its own sign-out path needs no confirmation.
    let own = ctx.path.as_str().strip_prefix(&*ctx.site.endpoints);
    let followed_here =
        own != Some("/logout") && ctx.parts.header("sec-fetch-site") == Some("same-origin");
    match ctx.parts.method() {
        "GET" if !followed_here => match &authentication.result {
            Ok(None) if !browsing::may_withhold_session(ctx) => Ok(signed_out_already(ctx)),
            Ok(Some(principal)) => Ok(ask_to_log_out(ctx, Some(principal)).into()),
            // What is withheld, contradicts itself or cannot be checked may still be a session that somebody wants to end.
            Ok(None) | Err(_) => Ok(ask_to_log_out(ctx, None).into()),
        },
        "GET" | "POST" => {
            same_origin::check(ctx.parts, ctx.site)?;
            log_out(ctx, &place_of(ctx).await).await
        }
        _ => Err(Denial::MethodNotAllowed("GET, POST")),
    }
}

/// The page from which somebody signs out: as our own form says, or the one that links here.
async fn place_of(ctx: &Ctx<'_>) -> ReturnTo {
    let kind = ctx.parts.named("content-type").unwrap_or_default();
    if ctx.parts.method() == "POST" && kind.starts_with("application/x-www-form-urlencoded") {
        // Whoever sends another form is signed out all the same.
        let form = Form::read(ctx).await;
        let named = form.ok().and_then(|form| form.field("return_to"));
        let place = named.and_then(|text| ctx.read_return_to(&text));
        if let Some(place) = place {
            return place;
        }
    }
    ctx.referrer(ctx.parts)
}

/// The page for somebody who wants to sign out and is not signed in.
fn signed_out_already(ctx: &Ctx<'_>) -> Reply {
    let words = ctx.words();
    let login = ctx.site.login.as_ref();
    let (action, cookies) = login.map_or((None, Vec::new()), |login| {
        let place = ctx.referrer(ctx.parts);
        let (action, cookies) = refuse::button(ctx, login, &place, "sign_in", None);
        (Some(action), cookies)
    });
    let message = Message {
        lead: words.text("not_signed_in"),
        ways: on_or_to_the_start(ctx, words, action),
        ..Message::default()
    };
    let frame = ctx.frame(words, words.text("signed_out"), "");
    Reply {
        cookies,
        ..Reply::from(page::message(200, &frame, message))
    }
}

fn ask_to_log_out(ctx: &Ctx<'_>, principal: Option<&Principal>) -> Answer {
    let place = ctx.referrer(ctx.parts);
    let words = ctx.words();
    let frame = ctx.frame(words, words.text("site_sign_out_question"), "");
    let who = principal.map(|principal| {
        let user = principal.user();
        (words.text("signed_in_as"), arrive::shown(user))
    });
    let question = Confirmation {
        lead: words.text(lead_of_sign_out(ctx)),
        facts: who.into_iter().collect(),
        form_action: &ctx.site.own_path("logout"),
        fields: vec![("return_to".into(), place.local().into())],
        submit_label: words.text("sign_out"),
        cancel: Some(LinkButton {
            label: words.text("stay_signed_in").to_owned(),
            href: place.local().into(),
        }),
        form_to: provider_sign_out::form_target(ctx)
            .or_else(|| ctx.site.logout_url.as_deref().map(form_target)),
        ..Confirmation::default()
    };
    page::question(200, &frame, question)
}

/// What a sign-out ends: with the gateway's, every session.
fn lead_of_sign_out(ctx: &Ctx<'_>) -> &'static str {
    match ctx.site.login {
        Some(Login::Gateway) => "sign_out_lead",
        _ => "site_sign_out_lead",
    }
}

async fn log_out(ctx: &Ctx<'_>, place: &ReturnTo) -> Result<Reply, Denial> {
    let at_gateway = matches!(ctx.site.login, Some(Login::Gateway));
    // Elsewhere nothing follows from which of them still counted.
    let live = if at_gateway || !ctx.site.providers.is_empty() {
        sign_out::sessions_of(ctx).await?
    } else {
        Vec::new()
    };
    // People who sign in at the gateway would be signed in again by it, without a page, as long as its session lasts.
    if at_gateway {
        for user in sign_out::users(&live) {
            people::end_sessions(ctx.world, &user, None, ctx.now).await?;
        }
    }
    let ended = end_sessions(ctx).await?;
    end_kept_tokens(ctx).await?;
    for (index, claims) in ended.iter().enumerate() {
        let (user, before) = (&claims.user, ended.iter().take(index));
        if before.into_iter().all(|other| other.user != *user) {
            audited::signed_out(ctx, user, user.as_str()).await;
        }
    }
    let happened = ended.first().map(|claims| Happened {
        kind: EventKind::SignedOut,
        user: claims.user.to_string(),
        source: Source::Session,
        method: "",
    });
    // An SSO cookie that stays would sign the person in again.
    let mut cookies = Vec::from(session::clear_all(ctx.site));
    cookies.extend(session::clear_sso(ctx.site));
    let granted: Vec<_> = live.into_iter().map(|claims| claims.granted).collect();
    let answer = if let Some(away) = provider_sign_out::begin(ctx, &granted, place).await {
        cookies.extend(away.cookies);
        away.answer
    } else if ctx.parts.wants_page() {
        signed_out(ctx, place, &mut cookies)
    } else {
        Answer::json(200, &json!({ "ok": true }))
    };
    Ok(Reply {
        answer,
        cookies,
        happened,
        refused: None,
    })
}

/// `/api/sso/logged-out/{name}`: back from the provider, at which the sign-out has gone on.
///
/// # Errors
/// [`Denial::UnknownEndpoint`], or [`Denial::SignOutElsewhere`].
pub fn logged_out(ctx: &Ctx<'_>, name: &str) -> Result<Reply, Denial> {
    let (place, cookie) = provider_sign_out::returned(ctx, name)?;
    let mut cookies = vec![cookie];
    let answer = signed_out(ctx, &place, &mut cookies);
    Ok(Reply {
        cookies,
        ..Reply::from(answer)
    })
}

/// The page after a sign-out, or the way to the site's own.
fn signed_out(ctx: &Ctx<'_>, place: &ReturnTo, cookies: &mut Vec<SetCookie>) -> Answer {
    if let Some(url) = &ctx.site.logout_url {
        Answer::see_other(url.clone())
    } else {
        let words = ctx.words();
        let frame = ctx.frame(words, words.text("signed_out"), "");
        let action = ctx.site.login.as_ref().map(|login| {
            let (action, kept) = refuse::button(ctx, login, place, "sign_in_again", None);
            cookies.extend(kept);
            action
        });
        let message = Message {
            lead: words.text(match ctx.site.login {
                Some(Login::Gateway) => "signed_out_lead",
                _ => "site_signed_out_lead",
            }),
            ways: on_or_to_the_start(ctx, words, action),
            ..Message::default()
        };
        page::message(200, &frame, message)
    }
}

/// `action`, or the way to the site's first page where people sign in elsewhere.
fn on_or_to_the_start(ctx: &Ctx<'_>, words: Words<'_>, action: Option<LinkButton>) -> Ways {
    let start = Ways::on(200, words, Some(ctx.site), true);
    Ways {
        action: action.or(start.action),
        ..Ways::default()
    }
}

/// Ends every presented session, even if they contradict each other or the user may not sign in: a
/// browser may hold two session cookies of one name, and signing out ends both. Returns once all of
/// them are recorded as ended.
async fn end_sessions(ctx: &Ctx<'_>) -> Result<Vec<SessionClaims>, Fault> {
    let world = ctx.world;
    let mut sessions: Vec<SessionClaims> = Vec::new();
    for value in ctx.presented.session.iter().take(MAX_SESSIONS) {
        let Ok(claims) = session::read(&world.config, ctx.site, value, ctx.now) else {
            continue;
        };
        let span = world.config.user_cache;
        let over = world.cache.session_ended(&claims.id, span, ctx.now) == Some(true);
        if !over && sessions.iter().all(|known| known.id != claims.id) {
            sessions.push(claims);
        }
    }
    let written = sessions.iter().map(|claims| async {
        let until = session::ends_at(ctx.site, claims);
        let written = EndedSessions(&*world.platform.kv)
            .put(&claims.id, until, ctx.now)
            .await;
        if written.is_ok() {
            world.cache.own_changes.end_session(&claims.id);
        }
        written
    });
    // All writes are attempted, even if one of them fails.
    for written in join_all(written).await {
        written?;
    }
    Ok(sessions)
}

/// Ends the tokens of SSO cookies that stay: one would sign the person in again if the browser did not clear its cookie.
async fn end_kept_tokens(ctx: &Ctx<'_>) -> Result<(), Denial> {
    if !ctx.site.sso_cookie.as_ref().is_some_and(|sso| sso.keep) {
        return Ok(());
    }
    let world = ctx.world;
    for token in ctx.presented.sso_cookie.iter().take(MAX_OF_ONE_SOURCE) {
        let verified = match authn::verify(ctx, Source::SsoCookie, token).await {
            Ok(principal) => principal,
            Err(TokenError::Fault(fault)) => return Err(fault.into()),
            Err(_) => continue,
        };
        let Some(name) = verified.verified().claims.token_name(ctx.site) else {
            continue;
        };
        EndedSessions(&*world.platform.kv)
            .put(&name, verified.expires_at(), ctx.now)
            .await?;
        world.cache.own_changes.end_session(&name);
    }
    Ok(())
}

/// `POST /api/sso/switch`: the confirmation of a user switch.
///
/// # Errors
/// Why the user is not switched.
pub async fn switch(ctx: &Ctx<'_>, authentication: &Authentication) -> Result<Reply, Denial> {
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    same_origin::check(ctx.parts, ctx.site)?;
    if !ctx.site.takes(Source::Query) {
        return Err(Denial::UnknownEndpoint);
    }
    let form = Form::read(ctx).await?;
    let principal = authn::verify(ctx, Source::Query, &form.text("token")).await?;
    let return_to = ctx
        .read_return_to(&form.text("return_to"))
        .ok_or(Denial::InvalidField("return_to"))?;
    let cookie = arrive::open_from_link(ctx, authentication, &principal).await?;
    Ok(Reply {
        answer: Answer::see_other(return_to.as_str().to_owned()),
        cookies: vec![cookie],
        happened: Some(Happened {
            kind: EventKind::SignedIn,
            user: principal.user().id.to_string(),
            source: Source::Query,
            method: "query",
        }),
        refused: None,
    })
}

/// A source for `form-action`, which browsers apply to every redirect after a form. The page at
/// `logout_url` may redirect on to an identity provider, so any URL of the same scheme is allowed.
fn form_target(logout_url: &str) -> &'static str {
    if logout_url.starts_with("https:") {
        "https:"
    } else {
        "http:"
    }
}
