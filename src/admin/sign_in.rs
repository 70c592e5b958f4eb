//! `/api/sso/users/{id}/password`, `…/password-link` and `…/sessions`: how a user signs in at the gateway, and where the
//! user is signed in.

use serde_json::{Value, json};

use crate::admin::users::may_touch;
use crate::admin::{
    intended, member, paging, parameter, read_json, read_optional_json, reject_unknown, require,
};
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::ask::audited::Act;
use crate::ask::ctx::Ctx;
use crate::gateway::credentials::{self, Unfit};
use crate::gateway::link::{self, Way};
use crate::http::cursor;
use crate::model::api_token::{ApiToken, Scope};
use crate::model::audit::Written;
use crate::model::password;
use crate::model::user::{Tenant, User, UserId};
use crate::people::{self, sessions};
use crate::platform::time::Timestamp;
use crate::site::gateway::Gateway;
use crate::store::passwords::{Passwords, StoredPassword};
use crate::store::sessions::SessionRecord;
use crate::store::users::UserRecords;

/// `GET` tells since when there is one; `PUT` sets a password, or takes the hash of one; `DELETE` takes it away. Both end the
/// user's sessions, unless the user had no password.
pub(super) async fn password(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &str,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    let (gateway, user) = known(ctx, id).await?;
    if ctx.parts.method() != "GET" {
        may_touch(caller, &user)?;
    }
    match ctx.parts.method() {
        "GET" => {
            let kept = Passwords(&*ctx.world.platform.records)
                .find(&user.id)
                .await?;
            let view = kept.map(|stored| {
                json!({
                    "set_at": stored.set_at.seconds(),
                    "must_change": stored.must_change,
                })
            });
            return Ok(Answer::json(200, &json!({ "password": view })));
        }
        "PUT" => {
            let written = intended(act)?.written();
            let body = read_json(ctx).await?;
            reject_unknown(&body, &["password", "hash", "must_change", "replace"])?;
            let must_change = member(&body, "must_change")?.unwrap_or(false);
            let given = (
                member::<String>(&body, "password")?,
                member::<String>(&body, "hash")?,
            );
            let hash = match given {
                // An admin may set the same password: the call can be repeated, and tells nobody what the password is.
                (Some(new), None) => credentials::hash(ctx.world, &user, gateway, &new, None)
                    .await?
                    .map_err(unfit)?,
                (None, Some(hash)) => imported(&hash)?,
                _ => return Err(Denial::InvalidField("password")),
            };
            // The name is claimed late for users of an earlier version.
            UserRecords(&*ctx.world.platform.records)
                .restore_name(&user)
                .await?;
            let (world, id) = (ctx.world, &user.id);
            if !member(&body, "replace")?.unwrap_or(true) {
                // No session was opened with a password that is replaced.
                let put = credentials::put_first(written, world, id, hash, must_change, ctx.now);
                return if put.await? {
                    Ok(Answer::empty(204))
                } else {
                    Err(Denial::PasswordExists)
                };
            }
            credentials::put_and_end(written, world, id, hash, must_change, ctx.now).await?;
        }
        "DELETE" => {
            intended(act)?;
            Passwords(&*ctx.world.platform.records)
                .remove(&user.id)
                .await?;
            let limit = ctx.world.platform.clock.now().max(ctx.now);
            people::end_sessions(ctx.world, &user.id, None, limit).await?;
        }
        _ => return Err(Denial::MethodNotAllowed("GET, PUT, DELETE")),
    }
    Ok(Answer::empty(204))
}

/// The hash of a password that a user of a bulk call has elsewhere. It never replaces a password of the user here.
pub(super) struct FirstPassword(String);

impl FirstPassword {
    /// What `password_hash` of an entry says.
    pub(super) fn read(
        ctx: &Ctx<'_>,
        caller: &ApiToken,
        tenant: Option<&Tenant>,
        item: &Value,
    ) -> Result<Option<Self>, Denial> {
        const NAME: &str = "password_hash";
        let Some(text) = member::<String>(item, NAME)? else {
            return Ok(None);
        };
        require(caller, Scope::Admin)?;
        if ctx.world.config.gateway().is_none() {
            return Err(Denial::NoGateway);
        }
        // Users of tenants do not sign in at the gateway.
        if tenant.is_some() {
            return Err(Denial::InvalidField(NAME));
        }
        let hash = imported(&text).map_err(|_| Denial::InvalidField(NAME))?;
        Ok(Some(Self(hash)))
    }

    /// `set`, or `exists` if the user already has a password here.
    pub(super) async fn put(
        self,
        ctx: &Ctx<'_>,
        user: &User,
        is_new: bool,
        written: &Written,
    ) -> Result<&'static str, Denial> {
        let (world, id) = (ctx.world, &user.id);
        if is_new {
            let password = StoredPassword {
                hash: self.0,
                must_change: false,
                set_at: ctx.now,
            };
            Passwords(&*world.platform.records)
                .create(id, &password)
                .await?;
            return Ok("set");
        }
        // The name is claimed late for users of an earlier version.
        UserRecords(&*world.platform.records)
            .restore_name(user)
            .await?;
        let is_first = credentials::put_first(written, world, id, self.0, false, ctx.now).await?;
        Ok(if is_first { "set" } else { "exists" })
    }
}

/// A hash in our own format, or in one of Django's that can be verified here.
fn imported(text: &str) -> Result<String, Denial> {
    let hash = password::parse(text).or_else(|_| password::from_django(text));
    hash.map(|hash| password::to_phc(&hash))
        .map_err(|_| Denial::InvalidField("hash"))
}

fn unfit(unfit: Unfit) -> Denial {
    match unfit {
        Unfit::Busy(seconds) => Denial::SignInDelayed(seconds),
        Unfit::TooShort
        | Unfit::TooLong
        | Unfit::Common
        | Unfit::Unchanged
        | Unfit::WrongCurrent => Denial::InvalidField("password"),
    }
}

/// `POST`: a link with which the user sets a password. It works once, for a day. The answer shows it, and the result of
/// each way to send it.
pub(super) async fn password_link(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &str,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    intended(act)?;
    let body = read_optional_json(ctx).await?;
    reject_unknown(&body, &["send"])?;
    let ways: Option<Vec<Way>> = member(&body, "send")?;
    let (_, user) = known(ctx, id).await?;
    may_touch(caller, &user)?;
    let (world, now) = (ctx.world, ctx.now);
    let (site, gateway) = world.config.gateway().ok_or(Denial::NoGateway)?;
    let link = link::make(world, site, &user, ctx.parts.scheme(), now).await?;
    UserRecords(&*world.platform.records)
        .restore_name(&user)
        .await?;
    let sent = link::send(world, (site, gateway), &user, &link, ways.as_deref(), now).await;
    Ok(Answer::json(
        200,
        &json!({ "url": link.url, "expires_at": link.expires_at.seconds(), "sent": sent }),
    ))
}

/// `GET` lists the sessions of a user that have not ended, `DELETE` ends one (`?session=`).
pub(super) async fn sessions(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &str,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    match ctx.parts.method() {
        "GET" => {
            require(caller, Scope::UsersRead)?;
            let (_, user) = known(ctx, id).await?;
            let (cursor, limit) = paging(ctx)?;
            let page = sessions::page(ctx.world, &user, cursor, limit).await?;
            let sessions: Vec<Value> = page.records.iter().map(view).collect();
            let next = page.cursor.map(|next| cursor::write(&next));
            Ok(Answer::json(
                200,
                &json!({ "sessions": sessions, "cursor": next }),
            ))
        }
        "DELETE" => {
            require(caller, Scope::UsersWrite)?;
            let (_, user) = known(ctx, id).await?;
            may_touch(caller, &user)?;
            let wanted = parameter(ctx, "session");
            let wanted = wanted.ok_or(Denial::InvalidField("session"))?;
            intended(act)?;
            if sessions::end(ctx.world, &user.id, &wanted, ctx.now).await? {
                Ok(Answer::empty(204))
            } else {
                Err(Denial::NotFound)
            }
        }
        _ => Err(Denial::MethodNotAllowed("GET, DELETE")),
    }
}

fn view(session: &SessionRecord) -> Value {
    json!({
        "id": session.id,
        "site": session.site,
        "browser": session.browser,
        "opened_at": session.opened_at.seconds(),
        "ends_at": Timestamp::seconds(session.ends_at),
    })
}

async fn known<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<(&'a Gateway, User), Denial> {
    let gateway = ctx.world.config.gateway().map(|(_, gateway)| gateway);
    let gateway = gateway.ok_or(Denial::NoGateway)?;
    let id = UserId::parse(id).ok_or(Denial::NotFound)?;
    let user = people::newest(ctx.world, &id).await?;
    // Users of tenants do not sign in at the gateway.
    let user = user
        .filter(|user| user.tenant.is_none())
        .ok_or(Denial::NotFound)?;
    Ok((gateway, user))
}
