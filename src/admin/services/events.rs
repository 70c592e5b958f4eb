//! `/api/sso/services/{id}/events`: what a service is still to be told, and what was given up.

use serde_json::{Value, json};

use crate::admin::services::{in_seconds, known_id, outbox};
use crate::admin::{intended, member, paging, parameter, read_json, reject_unknown, require};
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::ask::audited::Act;
use crate::ask::ctx::Ctx;
use crate::http::cursor;
use crate::model::api_token::{ApiToken, Scope};
use crate::platform::port::OutboxCall;

/// `/api/sso/services/{id}/events`: those that wait, or those that were given up.
pub(in crate::admin) async fn list(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &str,
) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    if ctx.parts.method() != "GET" {
        return Err(Denial::MethodNotAllowed("GET"));
    }
    let id = known_id(ctx, id).await?;
    let dead = is_dead(parameter(ctx, "state").as_deref(), false)?;
    let (cursor, limit) = paging(ctx)?;
    let mut page = outbox(
        ctx,
        &id,
        &OutboxCall::List {
            dead,
            cursor,
            limit,
        },
    )
    .await?;
    let cursor = page
        .get("cursor")
        .and_then(Value::as_str)
        .map(cursor::write);
    let events = page.get_mut("events").and_then(Value::as_array_mut);
    for event in events.into_iter().flatten() {
        in_seconds(event, &["created_at", "next_at"]);
    }
    if let Some(members) = page.as_object_mut() {
        members.insert("cursor".into(), json!(cursor));
    }
    Ok(Answer::json(200, &page))
}

/// `/api/sso/services/{id}/events/resend`: dead events, one or all.
pub(in crate::admin) async fn resend(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &str,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    change_events(ctx, caller, id, act, &["id"], |body| {
        let id = member(body, "id")?;
        Ok(OutboxCall::Resend { id })
    })
    .await
}

/// `/api/sso/services/{id}/events/discard`: dead events, or those that wait; one or all.
pub(in crate::admin) async fn discard(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &str,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    change_events(ctx, caller, id, act, &["id", "state"], |body| {
        let id = member(body, "id")?;
        let state = member::<String>(body, "state")?;
        let waiting = !is_dead(state.as_deref(), true)?;
        Ok(OutboxCall::Discard { waiting, id })
    })
    .await
}

async fn change_events(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &str,
    act: Option<&Act>,
    members: &[&'static str],
    call: impl FnOnce(&Value) -> Result<OutboxCall, Denial>,
) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let id = known_id(ctx, id).await?;
    let body = read_json(ctx).await?;
    reject_unknown(&body, members)?;
    let call = call(&body)?;
    let act = intended(act)?;
    let answer = outbox(ctx, &id, &call).await?;
    act.tell(None, ("object", id.as_str()), &Value::Null, &answer);
    Ok(Answer::json(200, &answer))
}

/// Whether `state` of events means those that were given up.
fn is_dead(state: Option<&str>, by_default: bool) -> Result<bool, Denial> {
    match state {
        None => Ok(by_default),
        Some("waiting") => Ok(false),
        Some("dead") => Ok(true),
        Some(_) => Err(Denial::InvalidField("state")),
    }
}
