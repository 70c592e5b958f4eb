//! Signing in at a site by the gateway: the way there, bound to the browser, and the way back with a code that works once.
//! No token of ours is ever in an address bar.

use std::rc::Rc;

use serde::Deserialize as _;

use crate::answer::denial::Denial;
use crate::answer::event::{EventKind, Happened};
use crate::answer::reply::Reply;
use crate::ask::audited;
use crate::ask::ctx::Ctx;
use crate::ask::form::Form;
use crate::ask::return_to::ReturnTo;
use crate::credential::browser::Browser;
use crate::credential::session::{self, OpenedBy, SetCookie};
use crate::http::query;
use crate::model::audit::Action;
use crate::model::claim::Granted;
use crate::model::user::UserId;
use crate::people;
use crate::rules::step_up::StepUp;
use crate::sign_in::{arrive, opened, refuse};
use crate::site::{Login, Source};
use crate::store::tickets::{TicketError, TicketFor, Tickets};

/// A page of the gateway. It is reached by the same scheme as the site.
#[must_use]
pub fn url(ctx: &Ctx<'_>, page: &str) -> String {
    let gateway = ctx.world.config.gateway();
    let host = gateway.and_then(|(site, _)| site.hosts.first());
    let host = host.map_or("", String::as_str);
    format!("{}://{host}/{page}/", ctx.parts.scheme())
}

/// The URL of the gateway's sign-in page that leads back to `return_to`, and an id for a browser that has none, or two.
#[must_use]
pub fn way_there(
    ctx: &Ctx<'_>,
    return_to: &ReturnTo,
    wanted: Option<&StepUp>,
) -> (String, Vec<SetCookie>) {
    let presented = &ctx.presented.browser;
    let known = Browser::of_cookies(presented);
    let is_new = known.is_none();
    let browser = known.unwrap_or_else(|| Browser::random(&*ctx.world.platform.entropy));
    let url = format!(
        "{}?return_to={}&state={}",
        url(ctx, "login"),
        query::encode(return_to.as_str()),
        browser.hash(),
    );
    let url = StepUp::add_to(url, wanted);
    let cookies = if is_new {
        session::set_browser(ctx.site, &browser, presented.len())
    } else {
        Vec::new()
    };
    (url, cookies)
}

/// `/api/sso/arrive`: back from the gateway with a code.
///
/// # Errors
/// [`Denial::SignInOver`] and [`Denial::SignInElsewhere`], or a fault.
pub async fn arrive(ctx: &Ctx<'_>) -> Result<Reply, Denial> {
    // The people of other sites sign in elsewhere, maybe by more than a password.
    let Some(login @ Login::Gateway) = &ctx.site.login else {
        return Err(Denial::UnknownEndpoint);
    };
    if !matches!(ctx.parts.method(), "GET" | "HEAD") {
        return Err(Denial::MethodNotAllowed("GET, HEAD"));
    }
    // Nobody has followed the link yet.
    if ctx.parts.only_looks() || ctx.parts.is_speculative() {
        return Err(Denial::Speculative);
    }
    let tickets = Tickets::of(&ctx.world.platform, ctx.now);
    let browser = Browser::of_cookies(&ctx.presented.browser).map(|browser| browser.hash());
    let code = Form::of_query(ctx).text("code");
    let used = tickets.use_up(&code, |ticket| {
        if ticket.purpose != TicketFor::Site(ctx.site.name.clone()) {
            return Err(TicketError::Gone);
        }
        if browser.is_none() || ticket.browser != browser {
            return Err(TicketError::Taken);
        }
        Ok(())
    });
    let ticket = match used.await {
        Ok(ticket) => ticket,
        Err(TicketError::Gone) => return Err(Denial::SignInOver),
        // It was given an id on the way there.
        Err(TicketError::Taken) if ctx.presented.browser.is_empty() => {
            let (answer, cookies) = refuse::page_without_cookie(ctx, login);
            return Ok(Reply {
                answer,
                cookies,
                happened: None,
                refused: Some(Denial::SignInElsewhere),
            });
        }
        Err(TicketError::Taken) => return Err(Denial::SignInElsewhere),
        Err(TicketError::Fault(fault)) => return Err(fault.into()),
    };
    let id = ticket.user.as_deref().and_then(UserId::parse);
    let (Some(id), Some(settled_at)) = (id, ticket.settled_at) else {
        return Err(Denial::SignInOver);
    };
    let user = people::newest(ctx.world, &id).await?;
    let is_good = |user: &crate::model::user::User| {
        user.active
            && ctx.presented.tenancy.admits(user.tenant.as_ref())
            && user
                .sessions_valid_after
                .is_none_or(|limit| settled_at > limit)
    };
    let user = user.filter(is_good).ok_or(Denial::SignInOver)?;
    let granted = ticket.granted.as_ref();
    let granted = granted.and_then(|granted| Granted::deserialize(granted).ok());
    let granted = granted.map(Rc::new);
    let by = ticket.proof.as_ref().map(|proof| proof.methods.join(" "));
    let row = audited::row(ctx, Action::SignedIn).with("source", "gateway");
    let written = audited::signed_in(ctx, &user, row.with_some("method", by.as_deref())).await?;
    // The session counts from the moment at the gateway: a sign-out since then ends it wherever it is known.
    let (claims, cookie) = session::open(
        &written,
        &ctx.world.config,
        ctx.site,
        &user.id,
        OpenedBy {
            granted: granted.as_ref(),
            proof: ticket.proof.map(Rc::new).as_ref(),
            ..OpenedBy::default()
        },
        &*ctx.world.platform.entropy,
        settled_at,
    );
    opened::note(ctx, &claims);
    let to = ctx.read_return_to(&ticket.next_url);
    let to = to.map_or_else(|| ctx.root(), ReturnTo::opened);
    Ok(Reply {
        answer: arrive::lead_back(ctx, to),
        cookies: vec![cookie],
        happened: Some(Happened {
            kind: EventKind::SignedIn,
            user: user.id.to_string(),
            source: Source::Session,
            method: "gateway",
        }),
        refused: None,
    })
}
