//! What a signed-in person can ask of us: who am I, sign me out, switch to another user.

use futures_util::future::join_all;
use serde_json::json;

use crate::access::same_origin;
use crate::answer::denial::{self, Denial};
use crate::answer::page::{self, Confirmation, Frame, LinkButton, Message};
use crate::answer::reply::Reply;
use crate::answer::{Answer, event};
use crate::ask::ctx::Ctx;
use crate::ask::return_to::ReturnTo;
use crate::authn::{self, Authentication, link};
use crate::credential::session::{self, SessionClaims};
use crate::http::query;
use crate::platform::port::{Fault, Sender};
use crate::sign_in::arrive;
use crate::site::Source;
use crate::store::ended_sessions::EndedSessions;

/// The longest form that is read.
const MAX_FORM: usize = 16 * 1024;
/// So many sessions end with one sign-out: a browser holds two under one name, and each is a signature
/// to check.
const MAX_SESSIONS: usize = 16;
const LOGOUT_PATH: &str = "/api/sso/logout";

/// `GET /api/sso/me`.
///
/// # Errors
/// Why nobody is signed in.
pub async fn me(ctx: &Ctx<'_>, authentication: &Authentication) -> Result<Reply, Denial> {
    if ctx.parts.method() != "GET" {
        return Err(Denial::MethodNotAllowed("GET"));
    }
    let principal = authentication.required()?;
    link::use_up(ctx.world, ctx.site, &principal, ctx.now).await?;
    let user = principal.user();
    let body = json!({
        "user": {
            "id": user.id.as_str(),
            "email": user.email.as_str(),
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

/// `/api/sso/logout`: POST ends the session, GET asks, unless it is where the application signs
/// people out and one of its own pages led there.
///
/// # Errors
/// [`Denial::CrossOrigin`], [`Denial::MethodNotAllowed`], or a fault: a session that could not be
/// ended is not called ended.
pub async fn logout(ctx: &Ctx<'_>) -> Result<Reply, Denial> {
    // A link of the application's own page to the place where it signs people out means just that.
    let followed_here = ctx.path.as_str() != LOGOUT_PATH
        && ctx.parts.header("sec-fetch-site") == Some("same-origin");
    match ctx.parts.method() {
        "GET" if !followed_here => Ok(ask_to_log_out(ctx).into()),
        "GET" | "POST" => {
            same_origin::check(ctx.parts, ctx.site)?;
            log_out(ctx).await
        }
        _ => Err(Denial::MethodNotAllowed("GET, POST")),
    }
}

fn ask_to_log_out(ctx: &Ctx<'_>) -> Answer {
    let world = ctx.world;
    let frame = Frame {
        title: "Sign out?",
        code: "",
        request_id: ctx.request_id,
        site: Some(ctx.site),
    };
    let question = Confirmation {
        lead: "This ends your session here.",
        form_action: LOGOUT_PATH,
        fields: Vec::new(),
        submit_label: "Sign out",
        cancel: Some(LinkButton {
            label: "Stay signed in",
            href: "/".into(),
        }),
        form_to: ctx.site.logout_url.as_deref().map(form_target),
    };
    page::question(200, &frame, question, &*world.platform.entropy)
}

async fn log_out(ctx: &Ctx<'_>) -> Result<Reply, Denial> {
    let world = ctx.world;
    let ended = end_sessions(ctx).await?;
    let happened = ended.first().map(|claims| {
        (
            event::EventKind::SignedOut,
            claims.user.to_string(),
            Source::Session,
        )
    });
    // A token that is still there would sign the person in again.
    let mut cookies = Vec::from(session::clear_all(ctx.site));
    cookies.extend(session::clear_sso(ctx.site));
    let answer = if !ctx.parts.wants_page() {
        Answer::json(200, &json!({ "ok": true }))
    } else if let Some(url) = &ctx.site.logout_url {
        Answer::see_other(url.clone())
    } else {
        let frame = Frame {
            title: "Signed out",
            code: "",
            request_id: ctx.request_id,
            site: Some(ctx.site),
        };
        let action = ctx.site.login.as_ref().map(|login| LinkButton {
            label: "Sign in again",
            href: login.url.clone(),
        });
        let message = Message {
            lead: "Your session here has ended.",
            details: Vec::new(),
            action,
        };
        page::message(200, &frame, message, &*world.platform.entropy)
    };
    Ok(Reply {
        answer,
        cookies,
        happened,
    })
}

/// Ends every session that was presented, also where they contradict each other, or where the user
/// could not sign in: what a browser holds twice, under one name and in two forms, is signed out as
/// one. It is over when all of it is written down.
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
    // One that fails keeps none of the others from being written.
    for written in join_all(written).await {
        written?;
    }
    Ok(sessions)
}

/// `POST /api/sso/switch`: the answer to the question before a user switch.
///
/// # Errors
/// Why the switch is not made.
pub async fn switch(ctx: &Ctx<'_>) -> Result<Reply, Denial> {
    let world = ctx.world;
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    same_origin::check(ctx.parts, ctx.site)?;
    if !ctx.site.takes(Source::Query) {
        return Err(Denial::UnknownEndpoint);
    }
    let form = denial::whole(ctx.body.read(MAX_FORM, Sender::Anybody).await?)?;
    let form = String::from_utf8(form).map_err(|_| Denial::InvalidField("token"))?;
    let field = |name: &str| {
        query::take(&form, name)
            .values
            .into_iter()
            .next()
            .unwrap_or_default()
    };
    let at = authn::Place::of(ctx);
    let principal = authn::verify(world, at, Source::Query, &field("token")).await?;
    let return_to = ReturnTo::parse_local(&field("return_to"), ctx.parts)
        .ok_or(Denial::InvalidField("return_to"))?;
    let cookie = arrive::open_from_link(ctx.world, ctx.site, &principal, ctx.now).await?;
    Ok(Reply {
        answer: Answer::see_other(return_to.as_str().to_owned()),
        cookies: vec![cookie],
        happened: Some((
            event::EventKind::SignedIn,
            principal.user().id.to_string(),
            Source::Query,
        )),
    })
}

/// A browser applies `form-action` to every redirect that follows a form, and the page at
/// `logout_url` may well redirect again, to an identity provider: any address by the same scheme.
fn form_target(logout_url: &str) -> &'static str {
    if logout_url.starts_with("https:") {
        "https:"
    } else {
        "http:"
    }
}
