//! The admin API: API token → typed request → typed answer. The credential comes in a header only,
//! so that no page can make a browser call it. No CORS; no cache may store an answer.

pub mod api_tokens;
mod audit;
mod backup;
pub mod explain;
mod explain_issuer;
pub mod health;
pub mod imagined;
pub mod issue;
pub mod keys;
mod metrics;
#[cfg(any(test, feature = "schema"))]
pub mod openapi;
pub mod services;
pub mod sign_in;
pub mod users;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::Answer;
use crate::answer::denial::{self, Denial};
use crate::ask::audited::{self, Act};
use crate::ask::ctx::Ctx;
use crate::ask::route::AdminEndpoint;
use crate::authn::attempts;
use crate::http::client::Client;
use crate::http::{cursor, query};
use crate::jose::error::TokenError;
use crate::model::api_token::{ApiToken, ApiTokenId, Scope};
use crate::model::audit::Action;
use crate::model::service::ServiceId;
use crate::model::user::UserId;
use crate::platform::port::{Counter, Fault, Sender};
use crate::store::api_tokens::ApiTokens;

/// In bytes.
pub const MAX_BODY: usize = 64 * 1024;
const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 100;

/// The result of a call and what to log about it.
pub struct CallOutcome {
    pub result: Result<Answer, Denial>,
    /// The id of the API token, once it is authenticated.
    pub caller: Option<String>,
    /// The name of the endpoint.
    pub call: &'static str,
}

/// `POST /api/sso/token`. Checks method, credential, scope and body in the order that the existing
/// clients of this call rely on.
pub async fn token(ctx: &Ctx<'_>) -> CallOutcome {
    let mut outcome = CallOutcome {
        result: Err(Denial::MethodNotAllowed("POST")),
        caller: None,
        call: "issue token",
    };
    if ctx.parts.method() != "POST" {
        return outcome;
    }
    match authenticate(ctx).await {
        Err(denial) => outcome.result = Err(denial),
        Ok(caller) => {
            outcome.caller = Some(caller.id.as_str().to_owned());
            outcome.result = issue::issue(ctx, &caller).await;
        }
    }
    audit_refusal(ctx, &outcome).await;
    outcome
}

/// Any other endpoint of the admin API.
pub async fn handle(ctx: &Ctx<'_>, endpoint: &AdminEndpoint) -> CallOutcome {
    let mut outcome = CallOutcome {
        result: Err(Denial::UnknownEndpoint),
        caller: None,
        call: name_of(endpoint),
    };
    match authenticate(ctx).await {
        Err(denial) => outcome.result = Err(denial),
        Ok(caller) => {
            outcome.caller = Some(caller.id.as_str().to_owned());
            let (result, is_audited) = call(ctx, endpoint, &caller).await;
            outcome.result = result;
            if is_audited {
                return outcome;
            }
        }
    }
    audit_refusal(ctx, &outcome).await;
    outcome
}

async fn audit_refusal(ctx: &Ctx<'_>, outcome: &CallOutcome) {
    if let Err(denial) = &outcome.result {
        audited::refused(ctx, outcome.caller.as_deref(), outcome.call, denial).await;
    }
}

/// Makes a call, and tells whether the audit log has what came of it. An act is intended in the log before it begins.
async fn call(
    ctx: &Ctx<'_>,
    endpoint: &AdminEndpoint,
    caller: &ApiToken,
) -> (Result<Answer, Denial>, bool) {
    if let Err(denial) = reject_unknown_parameters(ctx, endpoint) {
        return (Err(denial), false);
    }
    let Some((action, scope)) = act_of(endpoint, ctx.parts.method()) else {
        return (dispatch(ctx, endpoint, caller, None).await, false);
    };
    // Whoever may not do it at all fills no log with intents.
    if let Err(denial) = require(caller, scope) {
        return (Err(denial), false);
    }
    let row = audited::row(ctx, action).with("actor", caller.id.as_str());
    let row = match target_of(endpoint) {
        Some((name, id)) => row.with(name, id),
        None => row,
    };
    let act = match audited::begin(ctx, row).await {
        Ok(act) => act,
        Err(fault) => return (Err(fault.into()), true),
    };
    let result = dispatch(ctx, endpoint, caller, Some(&act)).await;
    act.end(ctx, result.as_ref().err()).await;
    (result, true)
}

async fn dispatch(
    ctx: &Ctx<'_>,
    endpoint: &AdminEndpoint,
    caller: &ApiToken,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    match endpoint {
        AdminEndpoint::Users => users::collection(ctx, caller, act).await,
        AdminEndpoint::UsersBulk => users::bulk(ctx, caller, act).await,
        AdminEndpoint::UsersReindex => users::reindex(ctx, caller, act).await,
        AdminEndpoint::User(id) => users::one(ctx, caller, id, act).await,
        AdminEndpoint::UserLogout(id) => users::logout(ctx, caller, id, act).await,
        AdminEndpoint::ApiTokens => api_tokens::collection(ctx, caller, act).await,
        AdminEndpoint::ApiToken(id) => api_tokens::one(ctx, caller, id, act).await,
        AdminEndpoint::ApiTokenRevoke(id) => api_tokens::revoke_call(ctx, caller, id, act).await,
        AdminEndpoint::SigningKeys => keys::list(ctx, caller).await,
        AdminEndpoint::SigningKeysRotate => keys::rotate(ctx, caller, act).await,
        AdminEndpoint::Explain => explain::explain(ctx, caller).await,
        AdminEndpoint::UserPassword(id) => sign_in::password(ctx, caller, id, act).await,
        AdminEndpoint::UserPasswordLink(id) => sign_in::password_link(ctx, caller, id, act).await,
        AdminEndpoint::UserSessions(id) => sign_in::sessions(ctx, caller, id, act).await,
        AdminEndpoint::Services => services::collection(ctx, caller, act).await,
        AdminEndpoint::Service(id) => services::one(ctx, caller, id, act).await,
        AdminEndpoint::ServiceRotate(id) => services::rotate(ctx, caller, id, act).await,
        AdminEndpoint::ServiceEvents(id) => services::events::list(ctx, caller, id).await,
        AdminEndpoint::ServiceEventsResend(id) => {
            services::events::resend(ctx, caller, id, act).await
        }
        AdminEndpoint::ServiceEventsDiscard(id) => {
            services::events::discard(ctx, caller, id, act).await
        }
        AdminEndpoint::Audit => audit::list(ctx, caller).await,
        AdminEndpoint::AuditExport => audit::export(ctx, caller).await,
        AdminEndpoint::AuditVerify => audit::verify(ctx, caller).await,
        AdminEndpoint::Backup => backup::export(ctx, caller).await,
        AdminEndpoint::BackupRestore => backup::restore(ctx, caller, act).await,
        AdminEndpoint::Metrics => metrics::exposition(ctx, caller).await,
        AdminEndpoint::Health => health::deep(ctx, caller).await,
    }
}

/// What a call is in the audit log, and the scope without which it is refused before that. `None`: it changes nothing. A call
/// that changes something and is missing here is refused, since it asks for an intent ([`intended`]).
fn act_of(endpoint: &AdminEndpoint, method: &str) -> Option<(Action, Scope)> {
    Some(match (endpoint, method) {
        (AdminEndpoint::Users, "POST") => (Action::UserCreated, Scope::UsersWrite),
        (AdminEndpoint::UsersBulk, "POST") => (Action::UsersImported, Scope::UsersWrite),
        (AdminEndpoint::UsersReindex, "POST") => (Action::UsersIndexed, Scope::Admin),
        (AdminEndpoint::User(_), "PATCH") => (Action::UserChanged, Scope::UsersWrite),
        (AdminEndpoint::User(_), "DELETE") => (Action::UserDeleted, Scope::UsersWrite),
        (AdminEndpoint::UserLogout(_), "POST") | (AdminEndpoint::UserSessions(_), "DELETE") => {
            (Action::SessionsEnded, Scope::UsersWrite)
        }
        (AdminEndpoint::ApiTokens, "POST") => (Action::ApiTokenCreated, Scope::TokensWrite),
        (AdminEndpoint::ApiToken(_), "PATCH") => (Action::ApiTokenChanged, Scope::TokensWrite),
        (AdminEndpoint::ApiToken(_), "DELETE") => (Action::ApiTokenDeleted, Scope::TokensWrite),
        (AdminEndpoint::ApiTokenRevoke(_), "POST") => (Action::ApiTokenRevoked, Scope::TokensWrite),
        (AdminEndpoint::SigningKeysRotate, "POST") => (Action::KeysRotated, Scope::Admin),
        (AdminEndpoint::UserPassword(_), "PUT") => (Action::PasswordSet, Scope::Admin),
        (AdminEndpoint::UserPassword(_), "DELETE") => (Action::PasswordRemoved, Scope::Admin),
        (AdminEndpoint::UserPasswordLink(_), "POST") => (Action::PasswordLinkMade, Scope::Admin),
        (AdminEndpoint::Services, "POST") => (Action::ServiceCreated, Scope::Admin),
        (AdminEndpoint::Service(_), "PATCH") => (Action::ServiceChanged, Scope::Admin),
        (AdminEndpoint::Service(_), "DELETE") => (Action::ServiceDeleted, Scope::Admin),
        (AdminEndpoint::ServiceRotate(_), "POST") => (Action::ServiceRotated, Scope::Admin),
        (AdminEndpoint::ServiceEventsResend(_), "POST") => (Action::EventsResent, Scope::Admin),
        (AdminEndpoint::ServiceEventsDiscard(_), "POST") => (Action::EventsDiscarded, Scope::Admin),
        (AdminEndpoint::BackupRestore, "POST") => (Action::BackupRestored, Scope::Admin),
        _ => return None,
    })
}

/// Whom or what a call names. A text that is no id is somebody's own, and not for the log.
fn target_of(endpoint: &AdminEndpoint) -> Option<(&'static str, &str)> {
    match endpoint {
        AdminEndpoint::User(id)
        | AdminEndpoint::UserLogout(id)
        | AdminEndpoint::UserPassword(id)
        | AdminEndpoint::UserPasswordLink(id)
        | AdminEndpoint::UserSessions(id) => UserId::parse(id).is_some().then_some(("user", id)),
        AdminEndpoint::ApiToken(id) | AdminEndpoint::ApiTokenRevoke(id) => {
            ApiTokenId::parse(id).is_some().then_some(("object", id))
        }
        AdminEndpoint::Service(id)
        | AdminEndpoint::ServiceRotate(id)
        | AdminEndpoint::ServiceEventsResend(id)
        | AdminEndpoint::ServiceEventsDiscard(id) => {
            ServiceId::parse(id).is_some().then_some(("object", id))
        }
        _ => None,
    }
}

/// The act that the log knows of already. Nothing is changed without one.
fn intended(act: Option<&Act>) -> Result<&Act, Fault> {
    act.ok_or(Fault::Audit)
}

/// Authenticates the caller by `Authorization: Token …` or `Bearer …`. Failures are limited per
/// address ([`attempts`]), calls per token.
async fn authenticate(ctx: &Ctx<'_>) -> Result<ApiToken, Denial> {
    let platform = &ctx.world.platform;
    let presented = ctx.parts.header("authorization").and_then(presented);
    let client = Some(Client::of(ctx.parts));
    let token = attempts::api_token(ctx.world, client, presented, |_| true, ctx.now)
        .await
        .map_err(|error| match error {
            TokenError::ApiToken if presented.is_some() => Denial::InvalidApiToken,
            TokenError::ApiToken => Denial::AuthenticationRequired,
            other => other.into(),
        })?;
    if !platform
        .limit
        .allow(Counter::Calls, token.id.as_str())
        .await?
    {
        return Err(Denial::RateLimited);
    }
    // A failure to note the time of use is no reason to refuse a good call.
    let _ = ApiTokens(&*platform.kv).note_use(&token.id, ctx.now).await;
    Ok(token)
}

fn presented(authorization: &str) -> Option<&str> {
    let (scheme, credential) = authorization.split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer");
    let credential = credential.trim();
    (known && !credential.is_empty()).then_some(credential)
}

/// Refuses a caller without `scope`.
///
/// # Errors
/// [`Denial::ScopeMissing`].
fn require(caller: &ApiToken, scope: Scope) -> Result<(), Denial> {
    if caller.may(scope) {
        Ok(())
    } else {
        Err(Denial::ScopeMissing(scope))
    }
}

/// Refuses all methods but those that read.
///
/// # Errors
/// [`Denial::MethodNotAllowed`].
pub fn only_reads(ctx: &Ctx<'_>) -> Result<(), Denial> {
    match ctx.parts.method() {
        "GET" | "HEAD" => Ok(()),
        _ => Err(Denial::MethodNotAllowed("GET, HEAD")),
    }
}

/// The body as JSON.
///
/// # Errors
/// [`Denial::BodyTooLarge`], [`Denial::InvalidJson`] or a fault.
async fn read_json(ctx: &Ctx<'_>) -> Result<Value, Denial> {
    parse_json(&read_body(ctx).await?)
}

/// The body as JSON, of a call whose body may be missing: then it is an empty object.
///
/// # Errors
/// Those of [`read_json`].
async fn read_optional_json(ctx: &Ctx<'_>) -> Result<Value, Denial> {
    let body = read_body(ctx).await?;
    if body.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    parse_json(&body)
}

async fn read_body(ctx: &Ctx<'_>) -> Result<Vec<u8>, Denial> {
    denial::body_bytes(ctx.received.read(MAX_BODY, Sender::Verified).await?)
}

fn parse_json(body: &[u8]) -> Result<Value, Denial> {
    serde_json::from_slice(body).map_err(|_| Denial::InvalidJson)
}

/// The cursor and the page size that a list call asks for.
///
/// # Errors
/// [`Denial::InvalidField`] or [`Denial::InvalidCursor`].
fn paging(ctx: &Ctx<'_>) -> Result<(Option<String>, u32), Denial> {
    let limit = match parameter(ctx, "limit") {
        None => DEFAULT_PAGE,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=MAX_PAGE).contains(limit))
            .ok_or(Denial::InvalidField("limit"))?,
    };
    let cursor = match parameter(ctx, "cursor") {
        None => None,
        Some(text) => Some(cursor::read(&text).ok_or(Denial::InvalidCursor)?),
    };
    Ok((cursor, limit))
}

/// The parameters of the query that a call knows. [`parameter`] reads no other.
fn parameters(endpoint: &AdminEndpoint, method: &str) -> &'static [&'static str] {
    match (endpoint, method) {
        (AdminEndpoint::Users, "GET") => &[
            "limit", "cursor", "email", "issuer", "subject", "tenant", "search",
        ],
        (AdminEndpoint::ApiTokens | AdminEndpoint::UserSessions(_), "GET") => &["limit", "cursor"],
        (AdminEndpoint::UserSessions(_), "DELETE") => &["session"],
        (AdminEndpoint::ApiTokenRevoke(_), "POST") => &["with_children"],
        (AdminEndpoint::Health, _) => &["deep"],
        (AdminEndpoint::ServiceEvents(_), "GET") => &["limit", "cursor", "state"],
        (AdminEndpoint::Audit, "GET") => &[
            "limit", "cursor", "tenant", "user", "actor", "action", "from", "until", "order",
        ],
        (AdminEndpoint::AuditExport, "GET") => &[
            "cursor", "tenant", "user", "actor", "action", "from", "until",
        ],
        (AdminEndpoint::Backup, "GET") => &["cursor"],
        (AdminEndpoint::AuditVerify, "GET") => &["cursor", "tenant"],
        _ => &[],
    }
}

/// Refuses a query with a parameter that the call does not know: without a misspelt `email`, a look-up
/// would be a list of everybody. A parameter that is given twice is refused as well.
///
/// # Errors
/// [`Denial::UnknownField`].
fn reject_unknown_parameters(ctx: &Ctx<'_>, endpoint: &AdminEndpoint) -> Result<(), Denial> {
    let mut known = parameters(endpoint, ctx.parts.method()).to_vec();
    for piece in ctx.parts.query().unwrap_or_default().split('&') {
        let name = query::decode(piece.split_once('=').map_or(piece, |(name, _)| name));
        match known.iter().position(|known| *known == name) {
            Some(index) => drop(known.swap_remove(index)),
            None if piece.is_empty() => {}
            None => return Err(unknown(&name)),
        }
    }
    Ok(())
}

fn unknown(name: &str) -> Denial {
    Denial::UnknownField(name.chars().take(64).collect())
}

fn parameter(ctx: &Ctx<'_>, name: &str) -> Option<String> {
    query::take(ctx.parts.query()?, name)
        .values
        .into_iter()
        .next()
}

/// A member of a body, unless it is absent or null.
///
/// # Errors
/// [`Denial::InvalidField`] if it has another type or is invalid.
fn member<T: DeserializeOwned>(body: &Value, name: &'static str) -> Result<Option<T>, Denial> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|_| Denial::InvalidField(name)),
    }
}

/// Refuses a body with members other than the `known` ones: a misspelt one must not be ignored.
///
/// # Errors
/// [`Denial::InvalidField`] if the body is not an object, [`Denial::UnknownField`].
fn reject_unknown(body: &Value, known: &[&'static str]) -> Result<(), Denial> {
    let members = body.as_object().ok_or(Denial::InvalidField("body"))?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(unknown(name)),
    }
}

const fn name_of(endpoint: &AdminEndpoint) -> &'static str {
    match endpoint {
        AdminEndpoint::Users => "users",
        AdminEndpoint::UsersBulk => "bulk users",
        AdminEndpoint::UsersReindex => "reindex users",
        AdminEndpoint::User(_) => "user",
        AdminEndpoint::UserLogout(_) => "end sessions of user",
        AdminEndpoint::ApiTokens => "api tokens",
        AdminEndpoint::ApiToken(_) => "api token",
        AdminEndpoint::ApiTokenRevoke(_) => "revoke api token",
        AdminEndpoint::SigningKeys => "signing keys",
        AdminEndpoint::SigningKeysRotate => "rotate signing keys",
        AdminEndpoint::Explain => "explain",
        AdminEndpoint::UserPassword(_) => "password of user",
        AdminEndpoint::UserPasswordLink(_) => "password link of user",
        AdminEndpoint::UserSessions(_) => "sessions of user",
        AdminEndpoint::Services => "services",
        AdminEndpoint::Service(_) => "service",
        AdminEndpoint::ServiceRotate(_) => "rotate credentials of service",
        AdminEndpoint::ServiceEvents(_) => "events of service",
        AdminEndpoint::ServiceEventsResend(_) => "resend events of service",
        AdminEndpoint::ServiceEventsDiscard(_) => "discard events of service",
        AdminEndpoint::Audit => "audit log",
        AdminEndpoint::AuditExport => "export audit log",
        AdminEndpoint::AuditVerify => "verify audit log",
        AdminEndpoint::Backup => "backup",
        AdminEndpoint::BackupRestore => "restore backup",
        AdminEndpoint::Metrics => "metrics",
        AdminEndpoint::Health => "deep health",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_schemes_carry_an_api_token() {
        assert_eq!(presented("Token abc"), Some("abc"));
        assert_eq!(presented("bearer abc"), Some("abc"));
        for other in ["Basic abc", "Token", "Token ", "abc", ""] {
            assert_eq!(presented(other), None, "{other}");
        }
    }
}
