//! Signing out everywhere.

use crate::access::same_origin;
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::{EventKind, Happened};
use crate::answer::page::{self, Confirmation, LinkButton};
use crate::answer::reply::Reply;
use crate::credential::session;
use crate::gateway::visit::Visit;
use crate::model::user::UserId;
use crate::people;
use crate::site::Source;

/// `GET /logout/`. A link on one of the gateway's own pages needs no confirmation; any other page could sign people out.
///
/// # Errors
/// A fault.
pub(super) async fn show(visit: &Visit<'_>) -> Result<Reply, Denial> {
    if visit.ctx.parts.header("sec-fetch-site") == Some("same-origin")
        && !visit.ctx.parts.is_speculative()
    {
        return end(visit).await;
    }
    let question = Confirmation {
        lead: visit.text("sign_out_lead"),
        form_action: "/logout/",
        fields: Vec::new(),
        submit_label: visit.text("sign_out"),
        cancel: Some(LinkButton {
            label: visit.text("stay_signed_in").to_owned(),
            href: "/account/".into(),
        }),
        form_to: None,
    };
    Ok(page::question(
        200,
        &visit.frame(visit.text("sign_out_question"), ""),
        question,
    )
    .into())
}

/// `POST /logout/`.
///
/// # Errors
/// [`Denial::CrossOrigin`], or a fault.
pub(super) async fn submit(visit: &Visit<'_>) -> Result<Reply, Denial> {
    same_origin::check(visit.ctx.parts, visit.ctx.site)?;
    end(visit).await
}

/// Ends every session of the user, at the gateway and at the sites, and tells every service.
async fn end(visit: &Visit<'_>) -> Result<Reply, Denial> {
    let user = signed_in_user(visit);
    if let Some(user) = &user {
        end_everywhere(visit, user).await?;
    }
    let mut reply = visit.inform(
        200,
        visit.text("signed_out"),
        "",
        visit.text("signed_out_lead"),
        Some(LinkButton {
            label: visit.text("sign_in_again").to_owned(),
            href: "/login/".into(),
        }),
    );
    if !visit.ctx.parts.wants_page() {
        reply = Answer::json(200, &serde_json::json!({ "ok": true })).into();
    }
    reply.cookies.extend(session::clear_all(visit.ctx.site));
    reply.happened = user.map(|user| Happened {
        kind: EventKind::SignedOut,
        user: user.to_string(),
        source: Source::Session,
    });
    Ok(reply)
}

/// Whoever is signed in, also if this session was ended already: the others end all the same.
fn signed_in_user(visit: &Visit<'_>) -> Option<UserId> {
    if let Some(principal) = &visit.principal {
        return Some(principal.user().id.clone());
    }
    let ctx = visit.ctx;
    let mut cookies = ctx.presented.session.iter();
    cookies.find_map(|value| {
        let claims = session::read(&ctx.world.config, ctx.site, value, ctx.now).ok()?;
        Some(claims.user)
    })
}

/// Ends all sessions of a user.
///
/// # Errors
/// A fault.
pub(super) async fn end_everywhere(visit: &Visit<'_>, user: &UserId) -> Result<(), Denial> {
    let now = visit.ctx.now;
    let ended = people::change(visit.ctx.world, user, now, |user| {
        user.end_sessions(now);
        Ok(())
    });
    match ended.await {
        // A user who does not exist any more has no session.
        Ok(_) | Err(Denial::NotFound) => Ok(()),
        Err(denial) => Err(denial),
    }
}
