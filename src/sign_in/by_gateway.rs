//! Signing in at a site by the gateway: the way there, bound to the browser, and the way back with a code that works once.
//! No token of ours is ever in an address bar.

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::{EventKind, Happened};
use crate::answer::reply::Reply;
use crate::ask::ctx::Ctx;
use crate::ask::form::Form;
use crate::ask::return_to::ReturnTo;
use crate::credential::browser::Browser;
use crate::credential::session::{self, SetCookie};
use crate::http::query;
use crate::model::user::UserId;
use crate::people;
use crate::sign_in::opened;
use crate::site::{Login, Source};
use crate::store::tickets::{TicketError, TicketFor, Tickets};

/// The gateway's sign-in page. It is reached by the same scheme as the site.
#[must_use]
pub fn page_url(ctx: &Ctx<'_>) -> String {
    let gateway = ctx.world.config.gateway();
    let host = gateway.and_then(|(site, _)| site.hosts.first());
    let host = host.map_or("", String::as_str);
    format!("{}://{host}/login/", ctx.parts.scheme())
}

/// The browser that asks: by its id, or as a new one.
fn browser_of(ctx: &Ctx<'_>) -> (Browser, bool) {
    match Browser::of_cookies(&ctx.presented.browser) {
        Some(browser) => (browser, false),
        None => (Browser::random(&*ctx.world.platform.entropy), true),
    }
}

/// The URL of the gateway's sign-in page that leads back to what was asked for, and the browser's id if it has none.
#[must_use]
pub fn way_there(ctx: &Ctx<'_>) -> (String, Option<SetCookie>) {
    let (browser, is_new) = browser_of(ctx);
    let attempt = ctx.presented.attempt.saturating_add(1);
    let return_to = ctx.return_to().with_attempt(attempt);
    let url = format!(
        "{}?return_to={}&state={}",
        page_url(ctx),
        query::encode(return_to.as_str()),
        browser.hash(),
    );
    (
        url,
        is_new.then(|| session::set_browser(ctx.site, &browser)),
    )
}

/// `/api/sso/arrive`: back from the gateway with a code.
///
/// # Errors
/// [`Denial::SignInOver`] and [`Denial::SignInElsewhere`], or a fault.
pub async fn arrive(ctx: &Ctx<'_>) -> Result<Reply, Denial> {
    // The people of other sites sign in elsewhere, maybe by more than a password.
    if !matches!(ctx.site.login, Some(Login::Gateway)) {
        return Err(Denial::UnknownEndpoint);
    }
    if !matches!(ctx.parts.method(), "GET" | "HEAD") {
        return Err(Denial::MethodNotAllowed("GET, HEAD"));
    }
    // Nobody has followed the link yet.
    if ctx.parts.only_looks() || ctx.parts.is_speculative() {
        return Err(Denial::Speculative);
    }
    let tickets = Tickets::of(&ctx.world.platform, ctx.now);
    let browser = match browser_of(ctx) {
        (_, true) => None,
        (browser, false) => Some(browser.hash()),
    };
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
    let ticket = used.await.map_err(|error| match error {
        TicketError::Gone => Denial::SignInOver,
        TicketError::Taken => Denial::SignInElsewhere,
        TicketError::Fault(fault) => fault.into(),
    })?;
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
    // The session counts from the moment at the gateway: a sign-out since then ends it wherever it is known.
    let (claims, cookie) = session::open(
        &ctx.world.config,
        ctx.site,
        &user.id,
        None,
        None,
        &*ctx.world.platform.entropy,
        settled_at,
    );
    opened::note(ctx, &claims);
    let to = ctx.read_return_to(&ticket.next_url);
    let to = to.map_or_else(|| ctx.site.root_path(), ReturnTo::into_url);
    Ok(Reply {
        answer: Answer::see_other(to),
        cookies: vec![cookie],
        happened: Some(Happened {
            kind: EventKind::SignedIn,
            user: user.id.to_string(),
            source: Source::Session,
        }),
        refused: None,
    })
}
