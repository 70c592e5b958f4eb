//! `/api/sso/audit`: the rows of the audit log, as pages, as lines to be kept elsewhere, and the check of their chain.

use serde_json::{Value, json};

use crate::admin::{paging, parameter, require};
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::ask::audited;
use crate::ask::ctx::Ctx;
use crate::http::cursor;
use crate::model::api_token::{ApiToken, IssueFor, Scope};
use crate::model::audit::{Action, kept, span_of};
use crate::model::user::{Tenant, UserId};
use crate::platform::port::{AuditCall, Fault};
use crate::platform::time::{Seconds, Timestamp};

/// Rows in one answer of an export.
const MAX_EXPORT: u32 = 1000;
/// Calls of logs for one call of the API.
const MAX_CALLS: usize = 40;
/// Rows that one call of the API checks, or a few more: the log that checks them takes no others meanwhile.
const MAX_CHECKED: u64 = 100_000;
/// How long a row of the old month may come after the first of the new one: requests do not wait longer.
const LATE: Seconds = Seconds(60);
/// The hash before the first row.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Which rows are wanted.
struct Query {
    tenant: Option<Tenant>,
    user: Option<String>,
    actor: Option<String>,
    action: Option<String>,
    from: Timestamp,
    until: Timestamp,
    newest: bool,
}

impl Query {
    fn read(ctx: &Ctx<'_>, newest: bool) -> Result<Self, Denial> {
        let time = |name: &'static str, default| match parameter(ctx, name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(seconds) if seconds < 1 << 40 => Ok(Timestamp::from_seconds(seconds)),
                _ => Err(Denial::InvalidField(name)),
            },
        };
        let user = parameter(ctx, "user");
        if user.as_ref().is_some_and(|id| UserId::parse(id).is_none()) {
            return Err(Denial::InvalidField("user"));
        }
        let action = parameter(ctx, "action");
        let is_known = |name: &String| Action::ALL.iter().any(|action| action.name() == name);
        if !action.as_ref().is_none_or(is_known) {
            return Err(Denial::InvalidField("action"));
        }
        Ok(Self {
            tenant: tenant(ctx)?,
            user,
            action,
            actor: parameter(ctx, "actor"),
            from: time("from", Timestamp::default())?,
            until: time("until", Timestamp::from_seconds(1 << 40))?,
            newest,
        })
    }

    /// The months with such rows, in the order in which they are read.
    fn months(&self, ctx: &Ctx<'_>) -> Vec<String> {
        let now = if self.newest { ctx.now } else { ctx.now - LATE };
        let mut months = kept(now, ctx.world.config.audit_days);
        // A row is in the log of the month in which its request came, and may be of the next one.
        months.retain(|month| {
            span_of(month)
                .is_some_and(|(first, next)| first < self.until && self.from < next + LATE)
        });
        if self.newest {
            months.reverse();
        }
        months
    }
}

fn tenant(ctx: &Ctx<'_>) -> Result<Option<Tenant>, Denial> {
    parameter(ctx, "tenant")
        .map(|name| Tenant::parse(&name).ok_or(Denial::InvalidField("tenant")))
        .transpose()
}

/// Rows name people of all domains and roles: a token that is limited to some reads none.
fn admit(ctx: &Ctx<'_>, caller: &ApiToken) -> Result<(), Denial> {
    require(caller, Scope::AuditRead)?;
    if caller.issue_for != IssueFor::default() {
        return Err(Denial::OutsideLimit);
    }
    if ctx.parts.method() == "GET" {
        Ok(())
    } else {
        Err(Denial::MethodNotAllowed("GET"))
    }
}

/// `GET`: a page of rows, newest first, or oldest first with `order=oldest`.
pub(super) async fn list(ctx: &Ctx<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    admit(ctx, caller)?;
    let newest = match parameter(ctx, "order").as_deref() {
        None | Some("newest") => true,
        Some("oldest") => false,
        Some(_) => return Err(Denial::InvalidField("order")),
    };
    let (cursor, limit) = paging(ctx)?;
    let query = Query::read(ctx, newest)?;
    let (rows, cursor, _) = page(ctx, &query, cursor, limit).await?;
    let cursor = cursor.map(|cursor| cursor::write(&cursor));
    Ok(Answer::json(
        200,
        &json!({ "rows": rows, "cursor": cursor }),
    ))
}

/// `GET`: rows as lines of JSON, oldest first. `x-audit-cursor` leads on, and is missing at the end. The log tells of it.
pub(super) async fn export(ctx: &Ctx<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    admit(ctx, caller)?;
    let (cursor, _) = paging(ctx)?;
    let query = Query::read(ctx, false)?;
    let row = audited::row(ctx, Action::AuditExported).with("actor", caller.id.as_str());
    let row = row.with_some("object", query.tenant.as_ref().map(Tenant::as_str));
    audited::write(ctx, None, row).await?;
    let (rows, cursor, is_more) = page(ctx, &query, cursor, MAX_EXPORT).await?;
    let mut answer =
        Answer::json(200, &Value::Null).replacing("content-type", "application/x-ndjson");
    answer.body.clear();
    for row in rows {
        answer.body.push_str(&row.to_string());
        answer.body.push('\n');
    }
    Ok(match cursor.filter(|_| is_more) {
        Some(cursor) => answer.with("x-audit-cursor", cursor::write(&cursor)),
        None => answer,
    })
}

/// A place in the logs: order, month and number of a row.
fn place(newest: bool, month: &str, position: Option<u64>) -> String {
    let order = if newest { 'n' } else { 'o' };
    let position = position.map_or_else(String::new, |seq| seq.to_string());
    format!("{order}{month}.{position}")
}

/// The rows from `cursor` on, where the next ones are, and whether there are any by now. Oldest first, there is always a place
/// to go on from: rows are still to come.
async fn page(
    ctx: &Ctx<'_>,
    query: &Query,
    cursor: Option<String>,
    limit: u32,
) -> Result<(Vec<Value>, Option<String>, bool), Denial> {
    let mut months = query.months(ctx);
    let mut position = None;
    let mut end = cursor.clone();
    if let Some(cursor) = &cursor {
        let order = if query.newest { 'n' } else { 'o' };
        let read = cursor.strip_prefix(order);
        let read = read.and_then(|text| text.split_once('.'));
        let (start, seq) = read.ok_or(Denial::InvalidCursor)?;
        span_of(start).ok_or(Denial::InvalidCursor)?;
        if !seq.is_empty() {
            let seq: u64 = seq.parse().map_err(|_| Denial::InvalidCursor)?;
            position = (months.iter().any(|month| month == start)).then_some(seq);
        }
        months.retain(|month| {
            let (month, start) = (month.as_str(), start);
            if query.newest {
                month <= start
            } else {
                month >= start
            }
        });
    }
    let mut rows: Vec<Value> = Vec::new();
    for (calls, month) in months.iter().enumerate() {
        let missing = limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(limit));
        if missing == 0 || calls >= MAX_CALLS {
            return Ok((rows, Some(place(query.newest, month, position)), true));
        }
        let call = AuditCall::List {
            newest: query.newest,
            position: position.take(),
            limit: missing,
            user: query.user.clone(),
            actor: query.actor.clone(),
            action: query.action.clone(),
            from: query.from.millis(),
            until: query.until.millis(),
        };
        let mut answer = ask(ctx, month, query.tenant.as_ref(), &call).await?;
        let next = answer.get("next").and_then(Value::as_u64);
        let last = answer.get("last").and_then(Value::as_u64);
        if let Some(Value::Array(found)) = answer.get_mut("rows").map(Value::take) {
            rows.extend(found);
        }
        if next.is_some() {
            return Ok((rows, Some(place(query.newest, month, next)), true));
        }
        end = Some(place(query.newest, month, last));
    }
    Ok((rows, end.filter(|_| !query.newest), false))
}

async fn ask(
    ctx: &Ctx<'_>,
    month: &str,
    tenant: Option<&Tenant>,
    call: &AuditCall,
) -> Result<Value, Fault> {
    let mut log = month.to_owned();
    if let Some(tenant) = tenant {
        log.push(':');
        log.push_str(tenant.as_str());
    }
    ctx.world.platform.audit.call(&log, call).await
}

/// `GET`: checks the chain of each month that is kept, oldest first. `cursor` goes on where the last call has stopped.
pub(super) async fn verify(ctx: &Ctx<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    admit(ctx, caller)?;
    let tenant = tenant(ctx)?;
    let (cursor, _) = paging(ctx)?;
    let mut start = None;
    if let Some(cursor) = cursor {
        let mut parts = cursor.splitn(3, '.');
        let read = (parts.next(), parts.next(), parts.next());
        let (Some(month), Some(seq), Some(hash)) = read else {
            return Err(Denial::InvalidCursor);
        };
        let seq = seq.parse().map_err(|_| Denial::InvalidCursor)?;
        start = Some((month.to_owned(), seq, hash.to_owned()));
    }
    let mut months = kept(ctx.now, ctx.world.config.audit_days);
    if let Some((month, ..)) = &start {
        months.retain(|other| other >= month);
    }
    let (mut verdicts, mut is_good, mut calls, mut checked) = (Vec::new(), true, 0, 0);
    for month in months {
        let started = start.take().filter(|(other, ..)| *other == month);
        let (mut seq, mut hash) =
            started.map_or((0, NOTHING.to_owned()), |(_, seq, hash)| (seq, hash));
        loop {
            if calls >= MAX_CALLS || checked >= MAX_CHECKED {
                let cursor = cursor::write(&format!("{month}.{seq}.{hash}"));
                return Ok(verdict(is_good, &verdicts, Some(&cursor)));
            }
            calls += 1;
            let call = AuditCall::Verify {
                seq,
                hash: hash.clone(),
            };
            let answer = ask(ctx, &month, tenant.as_ref(), &call).await?;
            let number = |name| answer.get(name).and_then(Value::as_u64);
            if answer.get("ok") != Some(&Value::Bool(true)) {
                is_good = false;
                verdicts.push(json!({
                    "month": month,
                    "ok": false,
                    "at": number("at"),
                    "because": answer.get("because"),
                }));
                break;
            }
            let reached = number("seq").ok_or(Fault::Audit)?;
            checked += reached.saturating_sub(seq);
            seq = reached;
            let read = answer.get("hash").and_then(Value::as_str);
            read.ok_or(Fault::Audit)?.clone_into(&mut hash);
            if answer.get("done") == Some(&Value::Bool(true)) {
                if seq > 0 {
                    verdicts.push(json!({ "month": month, "ok": true, "rows": seq, "head": hash }));
                }
                break;
            }
        }
    }
    Ok(verdict(is_good, &verdicts, None))
}

fn verdict(is_good: bool, months: &[Value], cursor: Option<&str>) -> Answer {
    let body = json!({ "ok": is_good, "months": months, "cursor": cursor });
    Answer::json(200, &body)
}
