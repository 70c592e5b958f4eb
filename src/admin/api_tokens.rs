//! `/api/sso/tokens`: create, read, list, change, revoke and delete API tokens.

use serde_json::{Value, json};

use crate::admin::{
    MAX_PAGE, intended, member, paging, parameter, read_json, reject_unknown, require,
};
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::ask::audited::Act;
use crate::ask::ctx::Ctx;
use crate::http::cursor;
use crate::memory::world::World;
use crate::model::api_token::{ApiToken, ApiTokenId, IssueFor, PlainApiToken, Scope};
use crate::model::user::{Name, UserId};
use crate::platform::port::{Entropy, Fault};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::CHANGE_ATTEMPTS;
use crate::store::api_tokens::{ApiTokenRecords, ApiTokens, HeldApiToken};
use crate::store::users::Users;

/// Ten years, in seconds.
const MAX_LIFETIME: u32 = 10 * 365 * 86_400;

/// The search for descendants costs two reads per token, and a Worker may make 1,000 operations per
/// request.
const MAX_FAMILY_PAGES: usize = 3;
/// Revoking a descendant costs four more operations.
const MAX_FAMILY: usize = 64;

/// The settings of a new token.
pub struct NewApiToken {
    pub name: Name,
    pub scopes: Vec<Scope>,
    /// The users for whom it may issue SSO tokens.
    pub issue_for: IssueFor,
    pub acts_as: Option<UserId>,
    /// `None`: it does not expire.
    pub expires_in: Option<Seconds>,
    /// The id of the API token that creates it, or `shell`.
    pub created_by: String,
}

/// Makes a token and its record; stores neither.
#[must_use]
pub fn make(entropy: &dyn Entropy, new: NewApiToken, now: Timestamp) -> (PlainApiToken, ApiToken) {
    let plain = PlainApiToken::random(entropy);
    let hash = plain.hash();
    let token = ApiToken {
        id: hash.id(),
        sha256: hash.stored(),
        name: new.name,
        scopes: new.scopes,
        issue_for: new.issue_for,
        acts_as: new.acts_as,
        created_at: now,
        created_by: new.created_by,
        expires_at: new.expires_in.map(|span| now + span),
        active: true,
        revoked_at: None,
        version: 1,
    };
    (plain, token)
}

/// Applies `change` to the newest record of a token; `None` removes it. Calls `change` again if the
/// record was changed by others meanwhile.
async fn change_record(
    world: &World,
    id: &ApiTokenId,
    mut change: impl FnMut(ApiToken) -> Result<Option<ApiToken>, Denial>,
) -> Result<Option<ApiToken>, Denial> {
    let records = ApiTokenRecords(&*world.platform.records);
    let revoked_at = ApiTokens(&*world.platform.kv).revoked_at(id).await?;
    for _ in 0..CHANGE_ATTEMPTS {
        let old = records.read(id).await?.ok_or(Denial::NotFound)?;
        let mut token = change(old.token.clone().revoked(revoked_at))?;
        if let Some(token) = &mut token {
            token.version = old.token.version + 1;
        }
        if records.replace(&old, token.as_ref()).await? {
            return Ok(token);
        }
    }
    Err(Fault::Contended.into())
}

/// Revokes a token for good. First it writes the revocation key, which overrides every record.
/// Idempotent.
async fn revoke(world: &World, id: &ApiTokenId, now: Timestamp) -> Result<ApiToken, Denial> {
    let store = ApiTokens(&*world.platform.kv);
    let known = store.revoked_at(id).await?;
    if known.is_none() {
        store.revoke(id, now).await?;
    }
    let since = known.unwrap_or(now);
    world.cache.own_changes.revoke(id);
    let revoked = change_record(world, id, |token| Ok(Some(token.revoked(Some(since))))).await?;
    revoked.ok_or(Denial::NotFound)
}

/// Revokes all descendants of a token, but not the token itself; returns their number.
async fn revoke_descendants(
    world: &World,
    id: &ApiTokenId,
    now: Timestamp,
    told: &dyn Fn(&ApiTokenId),
) -> Result<usize, Denial> {
    let all = descendants(world, id, now).await?;
    for token in &all {
        match revoke(world, &token.id, now).await {
            // Deleted meanwhile.
            Ok(_) => told(&token.id),
            Err(Denial::NotFound) => {}
            Err(denial) => return Err(denial),
        }
    }
    Ok(all.len())
}

/// The valid tokens that a token has created, directly or through others.
async fn descendants(
    world: &World,
    id: &ApiTokenId,
    now: Timestamp,
) -> Result<Vec<ApiToken>, Denial> {
    let store = ApiTokens(&*world.platform.kv);
    let mut all = Vec::new();
    let mut cursor = None;
    for _ in 0..MAX_FAMILY_PAGES {
        let page = store.page(cursor.as_deref(), MAX_PAGE).await?;
        all.extend(page.records);
        cursor = page.cursor;
        if cursor.is_none() {
            let found = family(&all, id, now);
            if found.len() > MAX_FAMILY {
                break;
            }
            return Ok(found);
        }
    }
    Err(Denial::TooManyApiTokens)
}

/// The valid tokens among `all` that descend from `id`, including those whose parent is revoked.
#[must_use]
pub fn family(all: &[ApiToken], id: &ApiTokenId, now: Timestamp) -> Vec<ApiToken> {
    let mut makers: Vec<&str> = vec![id.as_str()];
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(maker) = makers.get(next).copied() {
        next += 1;
        for token in all.iter().filter(|token| token.created_by == maker) {
            if !makers.contains(&token.id.as_str()) {
                makers.push(token.id.as_str());
                found.push(token);
            }
        }
    }
    let good = found.into_iter().filter(|token| token.is_good(now));
    good.cloned().collect()
}

pub(super) async fn collection(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    require(caller, Scope::TokensWrite)?;
    match ctx.parts.method() {
        "GET" => {
            let (cursor, limit) = paging(ctx)?;
            let store = ApiTokens(&*ctx.world.platform.kv);
            let page = store.page(cursor.as_deref(), limit).await?;
            let views = page.records.iter().map(|token| with_last_use(ctx, token));
            let tokens = futures_util::future::try_join_all(views).await?;
            let cursor = page.cursor.map(|cursor| cursor::write(&cursor));
            Ok(Answer::json(
                200,
                &json!({ "tokens": tokens, "cursor": cursor }),
            ))
        }
        "POST" => create(ctx, caller, intended(act)?).await,
        _ => Err(Denial::MethodNotAllowed("GET, POST")),
    }
}

pub(super) async fn one(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &str,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    require(caller, Scope::TokensWrite)?;
    let store = ApiTokens(&*ctx.world.platform.kv);
    let id = ApiTokenId::parse(id).ok_or(Denial::NotFound)?;
    match ctx.parts.method() {
        "GET" => {
            let found = store.find(&id).await?.ok_or(Denial::NotFound)?;
            Ok(Answer::json(200, &with_last_use(ctx, &found).await?))
        }
        "PATCH" => change(ctx, caller, &id, intended(act)?).await,
        "DELETE" => {
            intended(act)?;
            check_may_manage_newest(ctx, caller, &id).await?;
            // The record is removed; the revocation key stays.
            revoke(ctx.world, &id, ctx.now).await?;
            change_record(ctx.world, &id, |_| Ok(None)).await?;
            store.forget_use(&id).await?;
            Ok(Answer::empty(204))
        }
        _ => Err(Denial::MethodNotAllowed("GET, PATCH, DELETE")),
    }
}

pub(super) async fn revoke_call(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &str,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    require(caller, Scope::TokensWrite)?;
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let id = ApiTokenId::parse(id).ok_or(Denial::NotFound)?;
    check_may_manage_newest(ctx, caller, &id).await?;
    let with_children = match parameter(ctx, "with_children").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Denial::InvalidField("with_children")),
    };
    let act = intended(act)?;
    let token = revoke(ctx.world, &id, ctx.now).await?;
    let told =
        |id: &ApiTokenId| act.tell(None, ("object", id.as_str()), &Value::Null, &Value::Null);
    told(&id);
    let mut view = with_last_use(ctx, &token).await?;
    let children = if with_children {
        let revoked = revoke_descendants(ctx.world, &id, ctx.now, &told).await?;
        ("children_revoked", json!(revoked))
    } else {
        let good = match descendants(ctx.world, &id, ctx.now).await {
            Ok(good) => Some(good),
            // The token is revoked, and the caller asked for no more.
            Err(Denial::TooManyApiTokens) => None,
            Err(denial) => return Err(denial),
        };
        let ids = |good: Vec<ApiToken>| -> Vec<Value> {
            good.iter().map(|token| json!(token.id)).collect()
        };
        ("children", json!(good.map(ids)))
    };
    if let Some(members) = view.as_object_mut() {
        members.insert(children.0.into(), children.1);
    }
    Ok(Answer::json(200, &view))
}

/// Refuses a caller that may not manage the token in its newest state.
async fn check_may_manage_newest(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &ApiTokenId,
) -> Result<(), Denial> {
    let records = ApiTokenRecords(&*ctx.world.platform.records);
    let held = records.read(id).await?.ok_or(Denial::NotFound)?;
    may_manage(caller, &held.token)
}

async fn create(ctx: &Ctx<'_>, caller: &ApiToken, act: &Act) -> Result<Answer, Denial> {
    let body = read_json(ctx).await?;
    reject_unknown(
        &body,
        &["name", "scopes", "expires_in", "issue_for", "acts_as"],
    )?;
    let acts_as: Option<UserId> = member(&body, "acts_as")?;
    if let Some(id) = &acts_as {
        require(caller, Scope::Admin)?;
        let user = Users(&*ctx.world.platform.kv).find(id).await?;
        user.ok_or(Denial::InvalidField("acts_as"))?;
    }
    let scopes: Vec<Scope> = member(&body, "scopes")?.unwrap_or_default();
    // A token that acts as a user needs no scope.
    if scopes.is_empty() && acts_as.is_none() {
        return Err(Denial::InvalidField("scopes"));
    }
    let new = NewApiToken {
        name: read_name(&body)?.ok_or(Denial::InvalidField("name"))?,
        scopes,
        acts_as,
        issue_for: member(&body, "issue_for")?.unwrap_or_else(|| caller.issue_for.clone()),
        expires_in: read_lifetime(&body)?
            .or_else(|| caller.expires_at.map(|end| end.since(ctx.now))),
        created_by: caller.id.as_str().to_owned(),
    };
    let (plain, token) = make(&*ctx.world.platform.entropy, new, ctx.now);
    may_manage(caller, &token)?;
    create_record(ctx, caller, &token).await?;
    let mut view = view(&token, None);
    act.tell(None, ("object", token.id.as_str()), &Value::Null, &view);
    if let Some(members) = view.as_object_mut() {
        members.insert("token".into(), json!(plain.reveal()));
    }
    Ok(Answer::json(201, &view))
}

/// Stores a new token if the caller's own is valid at this moment: a token that was just revoked, but
/// still passes in this isolate, must not leave a new one behind.
async fn create_record(ctx: &Ctx<'_>, caller: &ApiToken, token: &ApiToken) -> Result<(), Denial> {
    let records = ApiTokenRecords(&*ctx.world.platform.records);
    let store = ApiTokens(&*ctx.world.platform.kv);
    for _ in 0..CHANGE_ATTEMPTS {
        let revoked_at = store.revoked_at(&caller.id).await?;
        let maker = records.read(&caller.id).await?;
        let is_good = |maker: &HeldApiToken| {
            let newest = maker.token.clone().revoked(revoked_at);
            newest.is_good(ctx.now)
        };
        let maker = maker.filter(is_good).ok_or(Denial::InvalidApiToken)?;
        if records.create(token, &maker).await? {
            return Ok(());
        }
    }
    Err(Fault::Contended.into())
}

async fn change(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &ApiTokenId,
    act: &Act,
) -> Result<Answer, Denial> {
    // Otherwise a token could extend its own lifetime.
    if caller.id == *id {
        return Err(Denial::OwnApiToken);
    }
    check_may_manage_newest(ctx, caller, id).await?;
    let body = read_json(ctx).await?;
    reject_unknown(&body, &["name", "expires_in", "active"])?;
    let name = read_name(&body)?;
    let lifetime = read_lifetime(&body)?;
    let active: Option<bool> = member(&body, "active")?;
    let mut before = Value::Null;
    let changed = change_record(ctx.world, id, |mut token| {
        may_manage(caller, &token)?;
        before = view(&token, None);
        if let Some(name) = &name {
            token.name = name.clone();
        }
        if let Some(span) = lifetime {
            token.expires_at = Some(ctx.now + span);
        }
        if let Some(active) = active {
            if token.revoked_at.is_some() && active {
                return Err(Denial::InvalidField("active"));
            }
            token.active = active;
        }
        may_manage(caller, &token)?;
        Ok(Some(token))
    })
    .await?;
    let token = changed.ok_or(Denial::NotFound)?;
    let after = view(&token, None);
    act.tell(None, ("object", id.as_str()), &before, &after);
    if active.is_some() {
        let own_changes = &ctx.world.cache.own_changes;
        own_changes.switch(id, token.active, token.version, ctx.now);
    }
    Ok(Answer::json(200, &with_last_use(ctx, &token).await?))
}

/// A caller may manage only tokens that can do no more than itself and live no longer.
pub(super) fn may_manage(caller: &ApiToken, token: &ApiToken) -> Result<(), Denial> {
    let outlives = |end| token.expires_at.is_none_or(|other| other > end);
    if caller.expires_at.is_some_and(outlives) {
        return Err(Denial::OutsideLimit);
    }
    if let Some(scope) = token.scopes.iter().find(|scope| !caller.may(**scope)) {
        return Err(Denial::ScopeMissing(*scope));
    }
    if token.acts_as.is_some() {
        require(caller, Scope::Admin)?;
    }
    if caller.issue_for.covers(&token.issue_for) {
        Ok(())
    } else {
        Err(Denial::OutsideLimit)
    }
}

fn read_name(body: &Value) -> Result<Option<Name>, Denial> {
    match member::<Name>(body, "name")? {
        Some(name) if name.as_str().is_empty() => Err(Denial::InvalidField("name")),
        other => Ok(other),
    }
}

fn read_lifetime(body: &Value) -> Result<Option<Seconds>, Denial> {
    match member::<u32>(body, "expires_in")? {
        Some(seconds) if !(1..=MAX_LIFETIME).contains(&seconds) => {
            Err(Denial::InvalidField("expires_in"))
        }
        other => Ok(other.map(Seconds)),
    }
}

async fn with_last_use(ctx: &Ctx<'_>, token: &ApiToken) -> Result<Value, Fault> {
    let last_used = ApiTokens(&*ctx.world.platform.kv)
        .last_used(&token.id)
        .await?;
    Ok(view(token, last_used))
}

/// A token as the API shows one: nothing of its secret, and of its hash only the id.
#[must_use]
pub fn view(token: &ApiToken, last_used: Option<Timestamp>) -> Value {
    let mut view = json!({
        "id": token.id.as_str(),
        "name": token.name.as_str(),
        "scopes": token.scopes,
        "issue_for": token.issue_for,
        "active": token.active,
        "created_at": token.created_at.seconds(),
        "created_by": token.created_by,
        "expires_at": token.expires_at.map(Timestamp::seconds),
        "last_used_at": last_used.map(Timestamp::seconds),
        "revoked_at": token.revoked_at.map(Timestamp::seconds),
    });
    if let (Some(user), Some(members)) = (&token.acts_as, view.as_object_mut()) {
        members.insert("acts_as".into(), json!(user));
    }
    view
}
