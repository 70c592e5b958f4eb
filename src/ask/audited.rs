//! Acts and their rows in the audit log. What a person or an admin does goes through one of the functions here, which say when
//! its row is written: before anything happens. A request that goes on to an origin writes none.

use std::cell::RefCell;

use serde_json::{Value, json};

use crate::answer::denial::Denial;
use crate::answer::logged;
use crate::ask::ctx::Ctx;
use crate::memory::cache::Note;
use crate::model::audit::{self, Action, Row, Written};
use crate::model::user::{Tenant, User, UserId};
use crate::platform::port::{Fault, Pending};

/// What a row tells of the request behind an act.
#[must_use]
pub fn row(ctx: &Ctx<'_>, action: Action) -> Row {
    let address = ctx.parts.header("cf-connecting-ip");
    let address = address.and_then(|text| logged::address(text, ctx.world.config.log.address));
    Row::of(action)
        .with("site", &ctx.site.name)
        .with_some("address", address.as_deref())
        .with("request_id", ctx.request_id)
}

/// Writes the row of something that happens right after, and nowhere else: a credential leaves with the answer.
///
/// # Errors
/// [`Fault::Audit`]: then it must not happen.
#[must_use]
pub fn write<'a>(
    ctx: &'a Ctx<'_>,
    tenant: Option<&Tenant>,
    mut row: Row,
) -> Pending<'a, Result<Written, Fault>> {
    row.set("result", "done".into());
    append(ctx, audit::log_of(tenant, ctx.now), vec![row])
}

/// Writes the row of a sign-in: `row` says by what.
///
/// # Errors
/// [`Fault::Audit`] or [`Fault::AuditLimit`]: then nobody is signed in.
#[must_use]
pub fn signed_in<'a>(
    ctx: &'a Ctx<'_>,
    user: &User,
    row: Row,
) -> Pending<'a, Result<Written, Fault>> {
    let id = user.id.as_str();
    let row = row.with("actor", id).with("user", id);
    write(ctx, user.tenant.as_ref(), row.caused_by(&user.id))
}

/// Writes the row of a sign-in that belongs to an act of the person, such as a new password. It is not counted: whoever signs
/// in all the time must not keep the person from taking the account back.
///
/// # Errors
/// [`Fault::Audit`]: then nobody is signed in.
#[must_use]
pub fn signed_in_by_act<'a>(
    ctx: &'a Ctx<'_>,
    _: &Act,
    user: &User,
    row: Row,
) -> Pending<'a, Result<Written, Fault>> {
    let id = user.id.as_str();
    let row = row.with("actor", id).with("user", id);
    write(ctx, user.tenant.as_ref(), row)
}

/// Writes the row of what must happen even if it cannot be written, such as a sign-out. Then a line of the log says so.
#[must_use]
pub fn note<'a>(ctx: &'a Ctx<'_>, row: Row) -> Pending<'a, ()> {
    let written = write(ctx, None, row);
    noted(ctx, written)
}

fn noted<'a>(ctx: &'a Ctx<'_>, written: Pending<'a, Result<Written, Fault>>) -> Pending<'a, ()> {
    Box::pin(async move {
        match written.await {
            // The next row of that person says how many were left out.
            Ok(_) | Err(Fault::AuditLimit) => {}
            Err(fault) => unwritten(ctx, fault),
        }
    })
}

/// The row of what a person does with their own account.
#[must_use]
pub fn of_person(ctx: &Ctx<'_>, action: Action, user: &User) -> Row {
    let id = user.id.as_str();
    let row = row(ctx, action).with("actor", id).with("user", id);
    row.caused_by_own_hand(&user.id)
}

/// Writes the row of a sign-out, which must never fail: `actor` is the person, a provider or a service.
#[must_use]
pub fn signed_out<'a>(ctx: &'a Ctx<'_>, user: &UserId, actor: &str) -> Pending<'a, ()> {
    let row = row(ctx, Action::SignedOut).with("actor", actor);
    let row = row.with("user", user.as_str());
    // What a provider or a service does is not counted against the person.
    let is_own = actor == user.as_str();
    note(ctx, if is_own { row.caused_by(user) } else { row })
}

fn unwritten(ctx: &Ctx<'_>, fault: Fault) {
    ctx.world.cache.note(Note::NotAudited {
        request_id: ctx.request_id.to_owned(),
        fault,
    });
}

fn append<'a>(
    ctx: &'a Ctx<'_>,
    log: String,
    rows: Vec<Row>,
) -> Pending<'a, Result<Written, Fault>> {
    let world = ctx.world;
    let kept = (ctx.now, world.config.audit_days);
    Box::pin(audit::append(&*world.platform.audit, log, rows, kept))
}

/// An act that the log knows of already: its intent is written. Only [`begin`] makes one, so what asks for an act cannot
/// happen unnoticed.
pub struct Act {
    row: Row,
    intent: Written,
    told: RefCell<Vec<Row>>,
}

/// Writes the intent of an act. What comes of it is written by [`Act::end`].
///
/// # Errors
/// [`Fault::Audit`]: then the act must not happen.
#[must_use]
pub fn begin<'a>(ctx: &'a Ctx<'_>, row: Row) -> Pending<'a, Result<Act, Fault>> {
    let mut intent = row.clone();
    intent.set("result", "intended".into());
    let intent = append(ctx, audit::log_of(None, ctx.now), vec![intent]);
    Box::pin(async move {
        Ok(Act {
            row,
            intent: intent.await?,
            told: RefCell::default(),
        })
    })
}

impl Act {
    /// The proof that the intent is written.
    #[must_use]
    pub const fn written(&self) -> &Written {
        &self.intent
    }

    /// Tells whom or what the act has changed, and how: two views of a record. `as_action`: what it has turned out to be.
    pub fn tell(
        &self,
        as_action: Option<Action>,
        (what, id): (&'static str, &str),
        before: &Value,
        after: &Value,
    ) {
        let mut row = self.row.clone().with(what, id).with_change(before, after);
        if let Some(action) = as_action {
            row.set("action", action.name().into());
        }
        self.told.borrow_mut().push(row);
    }

    /// Writes what the act came to, with the code of the refusal if it is one. If that cannot be written, the intent stands
    /// alone and a line of the log says so: what was done is not undone by answering otherwise.
    pub fn end<'a>(self, ctx: &'a Ctx<'_>, refused: Option<&Denial>) -> Pending<'a, ()> {
        let refused = refused.map(|denial| denial.row().code);
        self.close(ctx, refused)
    }

    /// Writes that there was nothing to be done.
    pub fn end_unchanged<'a>(self, ctx: &'a Ctx<'_>) -> Pending<'a, ()> {
        self.close(ctx, Some("unchanged"))
    }

    /// What was told is done, also if the act was refused after that.
    fn close<'a>(self, ctx: &'a Ctx<'_>, otherwise: Option<&'static str>) -> Pending<'a, ()> {
        let mut rows = self.told.into_inner();
        for row in &mut rows {
            row.set("result", "done".into());
        }
        if rows.is_empty() || otherwise.is_some() {
            let mut row = self.row;
            row.set("result", otherwise.unwrap_or("done").into());
            rows.push(row);
        }
        for row in &mut rows {
            row.set("of", json!(self.intent.seq));
            row.count_for_nobody();
        }
        noted(ctx, append(ctx, self.intent.log, rows))
    }
}

/// Writes the row of a refused admin call, unless one with the same code was written a moment ago: whoever has no valid API
/// token must not fill the log. The next row says how many were left out. The call is refused, whether that succeeds or not.
pub async fn refused(ctx: &Ctx<'_>, actor: Option<&str>, call: &'static str, denial: &Denial) {
    let known = denial.row();
    if !matches!(known.status, 401 | 403 | 429) {
        return;
    }
    let refusals = &ctx.world.cache.refusals;
    let Some(left_out) = refusals.admit(known.code, actor, ctx.now) else {
        return;
    };
    let mut row = row(ctx, Action::AdminRefused)
        .with_some("actor", actor)
        .with("object", call);
    row.set("result", known.code.into());
    if left_out > 0 {
        row.set("left_out", left_out.into());
    }
    noted(ctx, append(ctx, audit::log_of(None, ctx.now), vec![row])).await;
}
