//! Signing out at the provider too (`OpenID` Connect RP-Initiated Logout 1.0). Begun only by a sign-out here that has ended the
//! session already, so nothing of it fails because of the provider.

use std::rc::Rc;

use serde::Deserialize as _;

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::reply::Reply;
use crate::ask::ctx::Ctx;
use crate::ask::form::Form;
use crate::ask::return_to::ReturnTo;
use crate::authn::provider_calls;
use crate::authn::renewal;
use crate::credential::attempt::{Attempt, MAX_RETURN};
use crate::credential::session::{self, SetCookie};
use crate::memory::cache::Note;
use crate::model::claim::Granted;
use crate::sign_in::by_gateway;
use crate::sign_in::by_provider::{absolute, begun_here, lead_away, require_navigation};
use crate::site::issuer::KeySource;
use crate::store::tickets::{SIGN_IN, Ticket, TicketError, TicketFor, Tickets};

/// What the name of an attempt begins with that is a sign-out: no provider has such a name, so none is taken for a sign-in.
const SIGN_OUT: &str = "out:";

/// The page of the gateway to which a sign-out at one of its sites comes back from the provider; the site's name follows.
pub const OF_SITE: &str = "/logout/?site=";

/// Forgets the tokens of sessions that have ended, and leads the browser to the provider of the first that has one where
/// people are signed out too. The browser comes back to the page of `place`. From a site that uses the gateway it goes there
/// first: only the gateway's address is known to the provider.
pub async fn begin(
    ctx: &Ctx<'_>,
    ended: &[Option<Rc<Granted>>],
    place: &ReturnTo,
) -> Option<Reply> {
    let ended = || ended.iter().flatten();
    let signs_out = |granted: &Rc<Granted>| {
        let provider = ctx.site.provider_of(&granted.issuer);
        provider.filter(|provider| provider.sign_out)
    };
    let mut leading = ended().filter(|_| ctx.parts.wants_page());
    let first = leading.find_map(|granted| Some((signs_out(granted)?, granted)));
    let url = match first {
        Some((provider, _)) => {
            let endpoints = provider_calls::endpoints(ctx.world, provider, ctx.now).await;
            endpoints.ok().and_then(|known| known.end_session.clone())
        }
        None => None,
    };
    let is_own = !ctx.site.own_providers().is_empty();
    let away = match first.filter(|_| url.is_some() && !is_own) {
        Some((_, granted)) => to_gateway(ctx, granted).await,
        None => None,
    };
    let mut id_token = None;
    for granted in ended() {
        let is_first = first.is_some_and(|(_, first)| Rc::ptr_eq(first, granted));
        // The gateway needs it, and forgets it.
        if let Some(id) = granted
            .tokens
            .as_ref()
            .filter(|_| !is_first || away.is_none())
        {
            let token = forget(ctx, id, &granted.issuer).await;
            id_token = id_token.or(token.filter(|_| is_first));
        }
    }
    if away.is_some() || !is_own {
        return away;
    }
    let (provider, _) = first?;
    let name = [SIGN_OUT, provider.name()].concat();
    let fits = place.local().len() <= MAX_RETURN;
    let root = ctx.root();
    let place = if fits { place } else { &root };
    let entropy = &*ctx.world.platform.entropy;
    let attempt = Attempt::begin(entropy, (&name, None), place.local(), ctx.now);
    let state = attempt.state();
    let back = absolute(
        ctx,
        &ctx.site
            .own_path(&["logged-out/", provider.name()].concat()),
    );
    let mut fields = vec![
        ("client_id", &*provider.client_id),
        ("post_logout_redirect_uri", &back),
        ("state", &state),
    ];
    fields.extend(id_token.as_deref().map(|token| ("id_token_hint", token)));
    Some(lead_away(ctx, &url?, &fields, (&attempt, false)))
}

/// Leads the browser to the gateway with a code for the rest of the sign-out. `None` if there can be none: the session has ended
/// all the same.
async fn to_gateway(ctx: &Ctx<'_>, granted: &Granted) -> Option<Reply> {
    let purpose = TicketFor::SignOut(ctx.site.name.clone());
    let mut ticket = Ticket::new(purpose, "/", ctx.now + SIGN_IN);
    ticket.granted = serde_json::to_value(granted).ok();
    let tickets = Tickets::of(&ctx.world.platform, ctx.now);
    let code = tickets.issue(ticket).await.ok()?;
    let url = [&*by_gateway::url(ctx, "logout"), "?code=", &code].concat();
    Some(Answer::see_other(url).into())
}

/// At the gateway: goes on with a sign-out that has begun at a site, with the name of that. It ends no session here: the site
/// has done so. `None` if the code is none, or was used.
///
/// # Errors
/// [`Denial::Speculative`], or a fault.
pub async fn take_over(
    ctx: &Ctx<'_>,
    code: &str,
) -> Result<Option<(String, Option<Reply>)>, Denial> {
    require_navigation(ctx)?;
    let mut site = String::new();
    let tickets = Tickets::of(&ctx.world.platform, ctx.now);
    let used = tickets.use_up(code, |ticket| match &ticket.purpose {
        TicketFor::SignOut(name) => {
            site.clone_from(name);
            Ok(())
        }
        _ => Err(TicketError::Gone),
    });
    let granted = match used.await {
        Ok(ticket) => ticket.granted,
        Err(TicketError::Fault(fault)) => return Err(fault.into()),
        Err(_) => return Ok(None),
    };
    let granted = granted.and_then(|granted| Granted::deserialize(granted).ok());
    let place = ctx.read_return_to(&[OF_SITE, &site].concat());
    let place = place.unwrap_or_else(|| ctx.root());
    let reply = begin(ctx, &[granted.map(Rc::new)], &place).await;
    Ok(Some((site, reply)))
}

/// What `form-action` must allow a sign-out to lead to: any provider of the site, and the gateway on the way.
#[must_use]
pub fn form_target(ctx: &Ctx<'_>) -> Option<&'static str> {
    let mut providers = ctx.site.providers.iter();
    let provider = providers.find(|provider| provider.sign_out)?;
    let is_own = !ctx.site.own_providers().is_empty();
    Some(match &provider.issuer.keys {
        KeySource::Remote(remote) if remote.loopback.is_some() => "http:",
        _ if !is_own && ctx.parts.scheme() == "http" => "http:",
        _ => "https:",
    })
}

/// Forgets the tokens with this id, and gives the ID token. The sign-out goes on if that fails: nothing refers to them any more.
async fn forget(ctx: &Ctx<'_>, id: &str, issuer: &str) -> Option<String> {
    let forgotten = renewal::forget(ctx, id).await;
    forgotten.unwrap_or_else(|fault| {
        ctx.world.cache.note(Note::TokensNotDeleted {
            site: ctx.site.name.clone(),
            issuer: issuer.to_owned(),
            fault,
        });
        None
    })
}

/// `/api/sso/logged-out/{name}`: where the browser was when it signed out, if it has done so here.
///
/// # Errors
/// [`Denial::UnknownEndpoint`], or [`Denial::SignOutElsewhere`].
pub fn returned(ctx: &Ctx<'_>, name: &str) -> Result<(ReturnTo, SetCookie), Denial> {
    let provider = ctx.site.own_provider(name).ok_or(Denial::UnknownEndpoint)?;
    require_navigation(ctx)?;
    let state = Form::of_query(ctx).text("state");
    let begun = begun_here(ctx, &[SIGN_OUT, provider.name()].concat(), &state);
    let (cookie, attempt) = begun.ok_or(Denial::SignOutElsewhere)?;
    let place = ctx.read_return_to(&attempt.return_to);
    Ok((
        place.unwrap_or_else(|| ctx.root()),
        session::clear_attempt(ctx.site, &cookie),
    ))
}
