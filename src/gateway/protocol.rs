//! The calls of services: forms, answered with JSON. A refusal has status 200 as well, with a member `error`, as the
//! services' packages expect; only a sign-in that cannot be used is 404. These texts are part of the protocol.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::reply::Reply;
use crate::ask::audited;
use crate::ask::ctx::Ctx;
use crate::ask::form::Form;
use crate::ask::return_to;
use crate::ask::route::ServiceCall;
use crate::gateway::credentials;
use crate::gateway::destination::{hash_code, user_of};
use crate::http::client::Client;
use crate::model::service::Service;
use crate::model::user::User;
use crate::people::{self, services};
use crate::platform::port::{Counter, Fault};
use crate::site::gateway::Gateway;
use crate::store::services::Services;
use crate::store::tickets::{SIGN_IN, Ticket, TicketError, TicketFor, Tickets};

/// Why a call is refused.
enum CallRefusal {
    /// With status 200.
    Error(&'static str),
    /// With status 404.
    NotFound(&'static str),
    Denied(Denial),
}

impl From<Fault> for CallRefusal {
    fn from(fault: Fault) -> Self {
        Self::Denied(fault.into())
    }
}

impl From<Denial> for CallRefusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

const NO_TOKEN: &str = "\"token\" isn't set";
const NO_NEXT_URL: &str = "\"next_url\" isn't set";
const NO_IDENTITY: &str = "\"user_identy\" isn't set";
const UNKNOWN_SERVICE: &str = "Application token doesn't exist";
const NO_REQUEST: &str = "Authentication request token doesn't set";
const UNKNOWN_REQUEST: &str = "Authentication request token doesn't exist";

/// Answers a call of a service.
///
/// # Errors
/// [`Denial::MethodNotAllowed`], [`Denial::RateLimited`], why the form cannot be read, or a fault.
pub async fn answer(ctx: &Ctx<'_>, call: ServiceCall) -> Result<Reply, Denial> {
    let gateway = ctx.site.gateway.as_ref().ok_or(Denial::UnknownEndpoint)?;
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let form = Form::read(ctx).await?;
    let result = match call {
        ServiceCall::Obtain => obtain(ctx, &form).await,
        ServiceCall::Get => get(ctx, gateway, &form).await,
        ServiceCall::MakeUsed => make_used(ctx, &form).await,
        ServiceCall::Deauthenticate => deauthenticate(ctx, gateway, &form).await,
    };
    let (status, body) = match result {
        Ok(body) => (200, body),
        Err(CallRefusal::Error(text)) => (200, json!({ "error": text })),
        Err(CallRefusal::NotFound(text)) => (404, json!({ "error": text })),
        Err(CallRefusal::Denied(denial)) => return Err(denial),
    };
    Ok(Answer::json(status, &body).into())
}

/// A service asks for a sign-in.
async fn obtain(ctx: &Ctx<'_>, form: &Form) -> Result<Value, CallRefusal> {
    let token = required(form, "token", NO_TOKEN)?;
    let next_url = required(form, "next_url", NO_NEXT_URL)?;
    let service = service(ctx, &token).await?;
    let mut ticket = Ticket::new(
        TicketFor::Service(service.id.as_str().to_owned()),
        &return_to::local_or_root(&next_url, &service.base_url),
        ctx.now + SIGN_IN,
    );
    // A service that asks for a code gets one with the browser. Whoever began the sign-in elsewhere, and made somebody else
    // finish it, does not have it.
    ticket.wants_code = form.text("bind") == "code";
    Ok(json!({ "token": tickets(ctx).issue(ticket).await? }))
}

/// Who has signed in.
async fn get(ctx: &Ctx<'_>, gateway: &Gateway, form: &Form) -> Result<Value, CallRefusal> {
    let token = required(form, "token", NO_TOKEN)?;
    let service = service(ctx, &token).await?;
    let request = required(form, "authentication_token", NO_REQUEST)?;
    let ticket = match tickets(ctx).find(&request).await {
        Ok(ticket) if is_settled(&ticket, &service, form) => ticket,
        Err(TicketError::Fault(fault)) => return Err(fault.into()),
        _ => return Err(CallRefusal::Error(UNKNOWN_REQUEST)),
    };
    // Disabled, signed out or shut out of the service since.
    let Some(user) = settled_user(ctx, &ticket, &service).await? else {
        return Err(CallRefusal::Error(UNKNOWN_REQUEST));
    };
    Ok(json!({
        "authenticated": true,
        "user_identy": gateway.identity.of(&user),
        "next_url": ticket.next_url,
    }))
}

/// The service has signed the user in. Of any number of calls, one succeeds.
async fn make_used(ctx: &Ctx<'_>, form: &Form) -> Result<Value, CallRefusal> {
    let token = required(form, "token", NO_TOKEN)?;
    let service = service(ctx, &token).await?;
    let request = required(form, "authentication_token", NO_REQUEST)?;
    let tickets = tickets(ctx);
    let used = tickets.use_up(&request, |ticket| {
        if is_settled(ticket, &service, form) {
            Ok(())
        } else {
            Err(TicketError::Gone)
        }
    });
    let ticket = match used.await {
        Ok(ticket) => ticket,
        Err(TicketError::Fault(fault)) => return Err(fault.into()),
        Err(_) => return Err(CallRefusal::NotFound(UNKNOWN_REQUEST)),
    };
    if settled_user(ctx, &ticket, &service).await?.is_none() {
        return Err(CallRefusal::NotFound(UNKNOWN_REQUEST));
    }
    Ok(json!({ "ok": true }))
}

/// A user has signed out at a service: all sessions end, and all other services are told.
async fn deauthenticate(
    ctx: &Ctx<'_>,
    gateway: &Gateway,
    form: &Form,
) -> Result<Value, CallRefusal> {
    let token = required(form, "token", NO_TOKEN)?;
    let identity = required(form, "user_identy", NO_IDENTITY)?;
    let service = service(ctx, &token).await?;
    let found = credentials::find(ctx.world, gateway, &identity, ctx.now).await?;
    // A service signs out those whom it may sign in. It is not told who else exists.
    if let Some(user) = found.filter(|user| service.admits(user)) {
        people::end_sessions(ctx.world, &user.id, Some(&service.id), ctx.now).await?;
        audited::signed_out(ctx, &user.id, service.id.as_str()).await;
    }
    Ok(json!({ "ok": true }))
}

fn required(form: &Form, name: &str, missing: &'static str) -> Result<String, CallRefusal> {
    form.field(name)
        .filter(|value| !value.trim().is_empty())
        .ok_or(CallRefusal::Error(missing))
}

/// The enabled service with this token. Tokens that are not good are counted by address, as API tokens are.
async fn service(ctx: &Ctx<'_>, token: &str) -> Result<Service, CallRefusal> {
    let platform = &ctx.world.platform;
    let found = Services(&*platform.kv)
        .find_by_token(token, ctx.now)
        .await?;
    if let Some(service) = found.filter(|service| service.enabled) {
        return Ok(service);
    }
    let client = Client::of(ctx.parts).to_string();
    if platform.limit.allow(Counter::Failures, &client).await? {
        Err(CallRefusal::Error(UNKNOWN_SERVICE))
    } else {
        Err(CallRefusal::Denied(Denial::RateLimited))
    }
}

fn is_settled(ticket: &Ticket, service: &Service, form: &Form) -> bool {
    let is_its_own = ticket.purpose == TicketFor::Service(service.id.as_str().to_owned());
    let has_code = || Some(hash_code(&form.text("code"))) == ticket.code;
    is_its_own && ticket.user.is_some() && (!ticket.wants_code || has_code())
}

/// The user of a request, if the sign-in still counts and the user may enter the service.
async fn settled_user(
    ctx: &Ctx<'_>,
    ticket: &Ticket,
    service: &Service,
) -> Result<Option<User>, Fault> {
    let Some(id) = user_of(ticket) else {
        return Ok(None);
    };
    let held = people::newest(ctx.world, &id).await?;
    let settled_at = ticket.settled_at;
    let counts = |user: &User| {
        service.admits(user)
            && user
                .sessions_valid_after
                .is_none_or(|limit| settled_at > Some(limit))
    };
    let Some(user) = held.filter(counts) else {
        return Ok(None);
    };
    let identity = ctx.site.gateway.as_ref().map(|gateway| gateway.identity);
    let holds_name = services::holds_name(ctx.world, identity.unwrap_or_default(), &user).await?;
    Ok(holds_name.then_some(user))
}

fn tickets<'a>(ctx: &'a Ctx<'_>) -> Tickets<'a> {
    Tickets::of(&ctx.world.platform, ctx.now)
}
