//! API tokens: made, read, listed, changed, revoked, deleted. The functions on [`Platform`] serve
//! the shell command too.

use serde_json::{Value, json};

use super::{Call, member, only, require, write_cursor};
use crate::answer::Answer;
use crate::denial::Denial;
use crate::port::{Entropy, Fault, Platform};
use crate::store::api_tokens::ApiTokens;
use crate::store::users::Users;
use crate::time::{Seconds, Timestamp};
use crate::token::api_token::{ApiToken, ApiTokenId, IssueFor, PlainApiToken, Scope, stored_hash};
use crate::user::{Name, UserId};

/// The longest life that can be asked for: ten years.
const MAX_LIFETIME: u32 = 10 * 365 * 86_400;

/// What a new token shall be.
pub struct NewApiToken {
    /// What it is for.
    pub name: Name,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// For whom it may ask for SSO tokens.
    pub issue_for: IssueFor,
    /// The user that it stands for.
    pub acts_as: Option<UserId>,
    /// How long it lives.
    pub expires_in: Option<Seconds>,
    /// Who makes it.
    pub created_by: String,
}

/// Makes a token and its record, and stores nothing.
#[must_use]
pub fn make(entropy: &dyn Entropy, new: NewApiToken, now: Timestamp) -> (PlainApiToken, ApiToken) {
    let plain = PlainApiToken::random(entropy);
    let hash = plain.hash();
    let token = ApiToken {
        id: hash.id(),
        sha256: stored_hash(&hash),
        name: new.name,
        scopes: new.scopes,
        issue_for: new.issue_for,
        acts_as: new.acts_as,
        created_at: now,
        created_by: new.created_by,
        expires_at: new.expires_in.map(|span| now + span),
        active: true,
        revoked_at: None,
    };
    (plain, token)
}

/// Revokes a token for good. Revoking twice changes nothing.
///
/// # Errors
/// [`Denial::NotFound`] or a fault.
pub async fn revoke(
    platform: &Platform,
    id: &ApiTokenId,
    now: Timestamp,
) -> Result<ApiToken, Denial> {
    let store = ApiTokens(&*platform.kv);
    let mut token = store.find(id).await?.ok_or(Denial::NotFound)?;
    if token.revoked_at.is_none() {
        token.revoked_at = Some(now);
        token.active = false;
        store.put(&token).await?;
    }
    Ok(token)
}

pub(super) async fn collection(call: &Call<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    require(caller, Scope::TokensWrite)?;
    match call.parts.method() {
        "GET" => {
            let (cursor, limit) = call.paging()?;
            let store = ApiTokens(&*call.world.platform.kv);
            let page = store.page(cursor.as_deref(), limit).await?;
            let views = page.records.iter().map(|token| with_last_use(call, token));
            let tokens = futures_util::future::try_join_all(views).await?;
            let cursor = page.cursor.map(|cursor| write_cursor(&cursor));
            Ok(Answer::json(
                200,
                &json!({ "tokens": tokens, "cursor": cursor }),
            ))
        }
        "POST" => create(call, caller).await,
        _ => Err(Denial::MethodNotAllowed("GET, POST")),
    }
}

pub(super) async fn one(call: &Call<'_>, caller: &ApiToken, id: &str) -> Result<Answer, Denial> {
    require(caller, Scope::TokensWrite)?;
    let store = ApiTokens(&*call.world.platform.kv);
    let id = ApiTokenId::parse(id).ok_or(Denial::NotFound)?;
    let found = store.find(&id).await?.ok_or(Denial::NotFound);
    match call.parts.method() {
        "GET" => Ok(Answer::json(200, &with_last_use(call, &found?).await?)),
        "PATCH" => change(call, caller, found?).await,
        "DELETE" => {
            may_manage(caller, &found?)?;
            store.remove(&id).await?;
            Ok(Answer::empty(204))
        }
        _ => Err(Denial::MethodNotAllowed("GET, PATCH, DELETE")),
    }
}

pub(super) async fn revoke_call(
    call: &Call<'_>,
    caller: &ApiToken,
    id: &str,
) -> Result<Answer, Denial> {
    require(caller, Scope::TokensWrite)?;
    if call.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let id = ApiTokenId::parse(id).ok_or(Denial::NotFound)?;
    let found = ApiTokens(&*call.world.platform.kv)
        .find(&id)
        .await?
        .ok_or(Denial::NotFound)?;
    may_manage(caller, &found)?;
    let token = revoke(&call.world.platform, &id, call.now).await?;
    Ok(Answer::json(200, &with_last_use(call, &token).await?))
}

async fn create(call: &Call<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    let body = call.json().await?;
    only(
        &body,
        &["name", "scopes", "expires_in", "issue_for", "acts_as"],
    )?;
    let acts_as: Option<UserId> = member(&body, "acts_as")?;
    if let Some(id) = &acts_as {
        require(caller, Scope::Admin)?;
        let user = Users(&*call.world.platform.kv).find(id).await?;
        user.ok_or(Denial::InvalidField("acts_as"))?;
    }
    let scopes: Vec<Scope> = member(&body, "scopes")?.unwrap_or_default();
    // A token that acts as a user need not be able to do anything else.
    if scopes.is_empty() && acts_as.is_none() {
        return Err(Denial::InvalidField("scopes"));
    }
    let new = NewApiToken {
        name: named(&body)?.ok_or(Denial::InvalidField("name"))?,
        scopes,
        acts_as,
        issue_for: member(&body, "issue_for")?.unwrap_or_else(|| caller.issue_for.clone()),
        expires_in: lifetime(&body)?.or_else(|| caller.expires_at.map(|end| end.since(call.now))),
        created_by: caller.id.as_str().to_owned(),
    };
    let (plain, token) = make(&*call.world.platform.entropy, new, call.now);
    may_manage(caller, &token)?;
    ApiTokens(&*call.world.platform.kv).put(&token).await?;
    let mut view = view(&token, None);
    if let Some(members) = view.as_object_mut() {
        members.insert("token".into(), json!(plain.reveal()));
    }
    Ok(Answer::json(201, &view))
}

async fn change(call: &Call<'_>, caller: &ApiToken, mut token: ApiToken) -> Result<Answer, Denial> {
    may_manage(caller, &token)?;
    let body = call.json().await?;
    only(&body, &["name", "expires_in", "active"])?;
    if let Some(name) = named(&body)? {
        token.name = name;
    }
    if let Some(span) = lifetime(&body)? {
        token.expires_at = Some(call.now + span);
    }
    if let Some(active) = member(&body, "active")? {
        if token.revoked_at.is_some() && active {
            return Err(Denial::InvalidField("active"));
        }
        token.active = active;
    }
    may_manage(caller, &token)?;
    ApiTokens(&*call.world.platform.kv).put(&token).await?;
    Ok(Answer::json(200, &with_last_use(call, &token).await?))
}

/// A caller manages only tokens that can do no more than itself, for no longer.
fn may_manage(caller: &ApiToken, token: &ApiToken) -> Result<(), Denial> {
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

fn named(body: &Value) -> Result<Option<Name>, Denial> {
    match member::<Name>(body, "name")? {
        Some(name) if name.as_str().is_empty() => Err(Denial::InvalidField("name")),
        other => Ok(other),
    }
}

fn lifetime(body: &Value) -> Result<Option<Seconds>, Denial> {
    match member::<u32>(body, "expires_in")? {
        Some(seconds) if !(1..=MAX_LIFETIME).contains(&seconds) => {
            Err(Denial::InvalidField("expires_in"))
        }
        other => Ok(other.map(Seconds)),
    }
}

async fn with_last_use(call: &Call<'_>, token: &ApiToken) -> Result<Value, Fault> {
    let last_used = ApiTokens(&*call.world.platform.kv)
        .last_used(&token.id)
        .await?;
    Ok(view(token, last_used))
}

/// What is shown of a token. Nothing of its secret, nor of the hash beyond the id.
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
