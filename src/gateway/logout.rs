//! Signing out everywhere.

use crate::access::same_origin;
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::{EventKind, Happened};
use crate::answer::page::{self, Confirmation, LinkButton};
use crate::answer::reply::Reply;
use crate::ask::audited;
use crate::ask::ctx::Ctx;
use crate::ask::form::Form;
use crate::authn::Authentication;
use crate::credential::session;
use crate::gateway::visit::Visit;
use crate::people;
use crate::sign_in::{browsing, provider_sign_out, sign_out};
use crate::site::{Login, Source};

/// `GET /logout/`. A link on one of the gateway's own pages needs no confirmation; any other page could sign people out.
///
/// # Errors
/// A fault.
pub(super) async fn show(visit: &Visit<'_>) -> Result<Reply, Denial> {
    if let Some(code) = Form::of_query(visit.ctx).field("code") {
        match provider_sign_out::take_over(visit.ctx, &code).await? {
            Some((_, Some(away))) => return Ok(away),
            Some((site, None)) => return Ok(signed_out(visit, &site)),
            None => {}
        }
    }
    if visit.ctx.parts.header("sec-fetch-site") == Some("same-origin")
        && !visit.ctx.parts.is_speculative()
    {
        return end(visit).await;
    }
    if visit.principal.is_none()
        && !browsing::may_withhold_session(visit.ctx)
        && sign_out::users_of(visit.ctx).await?.is_empty()
    {
        let action = LinkButton {
            label: visit.text("sign_in").to_owned(),
            href: "/login/".into(),
        };
        let title = visit.text("signed_out");
        return Ok(visit.inform(200, title, "", visit.text("not_signed_in"), Some(action)));
    }
    let question = Confirmation {
        lead: visit.text("sign_out_lead"),
        facts: visit
            .principal
            .iter()
            .map(|principal| {
                (
                    visit.text("signed_in_as"),
                    visit.name_of(principal.user()).to_owned(),
                )
            })
            .collect(),
        form_action: "/logout/",
        submit_label: visit.text("sign_out"),
        cancel: Some(LinkButton {
            label: visit.text("stay_signed_in").to_owned(),
            href: "/account/".into(),
        }),
        form_to: provider_sign_out::form_target(visit.ctx),
        ..Confirmation::default()
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
    let users = sign_out::users_of(visit.ctx).await?;
    for user in &users {
        people::end_sessions(visit.ctx.world, user, None, visit.ctx.now).await?;
        audited::signed_out(visit.ctx, user, user.as_str()).await;
    }
    let granted = visit.session().map(|session| session.granted.clone());
    let granted: Vec<_> = granted.into_iter().collect();
    let begun = provider_sign_out::begin(visit.ctx, &granted, &visit.ctx.root()).await;
    let mut reply = match begun {
        Some(away) => away,
        None if visit.ctx.parts.wants_page() => signed_out(visit, ""),
        None => Answer::json(200, &serde_json::json!({ "ok": true })).into(),
    };
    reply.cookies.extend(session::clear_all(visit.ctx.site));
    reply.happened = users.first().map(|user| Happened {
        kind: EventKind::SignedOut,
        user: user.to_string(),
        source: Source::Session,
        method: "",
    });
    Ok(reply)
}

/// Back from the provider, at which the sign-out has gone on.
///
/// # Errors
/// [`Denial::UnknownEndpoint`], or [`Denial::SignOutElsewhere`].
pub fn returned(ctx: &Ctx<'_>, name: &str) -> Result<Reply, Denial> {
    let (place, cookie) = provider_sign_out::returned(ctx, name)?;
    let site = place.local().strip_prefix(provider_sign_out::OF_SITE);
    let visit = Visit::new(ctx, &Authentication::anonymous())?;
    let mut reply = signed_out(&visit, site.unwrap_or_default());
    reply.cookies.push(cookie);
    Ok(reply)
}

/// The page after a sign-out. For one that has begun at the site of this name, the site's own, or the way back to it.
fn signed_out(visit: &Visit<'_>, site: &str) -> Reply {
    let mut sites = visit.ctx.world.config.sites();
    let site = sites.find(|one| one.name == site && matches!(one.login, Some(Login::Gateway)));
    let url = site.and_then(|site| site.logout_url.as_ref());
    if let Some(url) = url {
        return Answer::see_other(url.clone()).into();
    }
    let scheme = visit.ctx.parts.scheme();
    let href = site.map(|site| [scheme, "://", &site.address, "/"].concat());
    visit.inform(
        200,
        visit.text("signed_out"),
        "",
        visit.text("signed_out_lead"),
        Some(LinkButton {
            label: visit.text("sign_in_again").to_owned(),
            href: href.unwrap_or_else(|| "/login/".to_owned()),
        }),
    )
}
