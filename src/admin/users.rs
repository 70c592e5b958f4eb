//! Users: made, read, listed, changed, disabled, deleted, and synced in bulk. The functions on
//! [`Platform`] serve the shell command too.

use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, member, only, require, write_cursor};
use crate::answer::Answer;
use crate::denial::Denial;
use crate::port::{Fault, Platform};
use crate::profile;
use crate::store::create;
pub use crate::store::create::Ensured;
use crate::store::users::Users;
use crate::time::Timestamp;
use crate::token::api_token::{ApiToken, Scope};
use crate::user::{Email, Name, Role, Tenant, User, UserId, Username};

/// The most users in one bulk call: each takes a few operations, and a Worker has 1,000 per request.
const MAX_BULK: usize = 100;
/// How many of them are under way at once.
const SIDE_BY_SIDE: usize = 6;

/// What a request says of a user besides the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The username.
    #[serde(default)]
    pub username: Option<Username>,
    /// The given name.
    #[serde(default)]
    pub first_name: Option<Name>,
    /// The family name.
    #[serde(default)]
    pub last_name: Option<Name>,
    /// Whether the user may sign in.
    #[serde(default)]
    pub active: Option<bool>,
    /// Staff; only an admin may set it.
    #[serde(default)]
    pub staff: Option<bool>,
    /// Superuser; only an admin may set it.
    #[serde(default)]
    pub superuser: Option<bool>,
    /// Roles; only an admin may set them.
    #[serde(default)]
    pub roles: Option<Vec<Role>>,
}

impl Profile {
    const MEMBERS: [&'static str; 8] = [
        "email",
        "username",
        "first_name",
        "last_name",
        "active",
        "staff",
        "superuser",
        "roles",
    ];

    /// The members of a user that is made: which tenant it is of is settled then.
    const NEW: &'static [&'static str] = &[
        "email",
        "username",
        "first_name",
        "last_name",
        "active",
        "staff",
        "superuser",
        "roles",
        "tenant",
    ];

    fn read(body: &Value, members: &[&'static str]) -> Result<Self, Denial> {
        only(body, members)?;
        Ok(Self {
            username: member(body, "username")?,
            first_name: member(body, "first_name")?,
            last_name: member(body, "last_name")?,
            active: member(body, "active")?,
            staff: member(body, "staff")?,
            superuser: member(body, "superuser")?,
            roles: member(body, "roles")?,
        })
    }

    const fn grants(&self) -> bool {
        self.staff.is_some() || self.superuser.is_some() || self.roles.is_some()
    }

    /// Writes everything that is given into `user`. Taking the right to sign in away ends all
    /// sessions.
    pub fn apply(self, user: &mut User, now: Timestamp) {
        let Self {
            username,
            first_name,
            last_name,
            active,
            staff,
            superuser,
            roles,
        } = self;
        if let Some(name) = username.filter(|name| !name.as_str().is_empty()) {
            user.username = name;
        }
        user.first_name = first_name.unwrap_or_else(|| user.first_name.clone());
        user.last_name = last_name.unwrap_or_else(|| user.last_name.clone());
        user.staff = staff.unwrap_or(user.staff);
        user.superuser = superuser.unwrap_or(user.superuser);
        user.roles = roles.unwrap_or_else(|| user.roles.clone());
        if let Some(active) = active {
            if user.active && !active {
                user.sessions_valid_after = Some(now);
            }
            user.active = active;
        }
    }

    /// Refuses a username that is somebody else's address: an application may take it for one.
    ///
    /// # Errors
    /// [`Denial::InvalidField`].
    pub fn check_username(&self, email: &Email) -> Result<(), Denial> {
        let named = self.username.as_ref().map_or("", Username::as_str);
        if named.contains('@') && Email::parse(named).as_ref() != Some(email) {
            return Err(Denial::InvalidField("username"));
        }
        Ok(())
    }
}

/// The user with this address, made if there is none. Of two calls at once, anywhere, one makes the
/// user and both get the same: the claim carries the whole record.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn ensure(
    platform: &Platform,
    tenant: Option<&Tenant>,
    email: Email,
    profile: Profile,
    now: Timestamp,
) -> Result<(User, Ensured), Fault> {
    if let Some(user) = Users(&*platform.kv).find_by_email(tenant, &email).await? {
        return Ok((user, Ensured::Found));
    }
    let mut mine = User::new(UserId::random(&*platform.entropy), email, now);
    mine.tenant = tenant.cloned();
    profile.apply(&mut mine, now);
    create::once(platform, mine, now).await
}

/// Changes a user who gets another address. Each key is written once: the store takes one write
/// per key and second.
///
/// # Errors
/// [`Denial::UserExists`] or a fault.
async fn move_to(
    platform: &Platform,
    mut user: User,
    email: Email,
    profile: Profile,
    now: Timestamp,
) -> Result<User, Denial> {
    let store = Users(&*platform.kv);
    let tenant = user.tenant.clone();
    let taken = store.find_by_email(tenant.as_ref(), &email).await?;
    if taken.is_some() {
        return Err(Denial::UserExists);
    }
    let old = std::mem::replace(&mut user.email, email);
    if create::claim(platform, &user, now).await?.id != user.id {
        return Err(Denial::UserExists);
    }
    if user.username.as_str() == old.as_str() {
        user.username = Username::parse(user.email.as_str()).unwrap_or_default();
    }
    profile.apply(&mut user, now);
    user.updated_at = now;
    store.put(&user).await?;
    store.remove_email(tenant.as_ref(), &old).await?;
    create::release(platform, tenant.as_ref(), &old).await?;
    Ok(user)
}

/// Removes a user. Sessions and tokens of a user that does not exist count for nothing.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn delete(platform: &Platform, user: &User) -> Result<(), Fault> {
    Users(&*platform.kv).remove(user).await?;
    create::release(platform, user.tenant.as_ref(), &user.email).await
}

/// Changes a user.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn update(
    platform: &Platform,
    mut user: User,
    profile: Profile,
    now: Timestamp,
) -> Result<User, Fault> {
    profile.apply(&mut user, now);
    user.updated_at = now;
    Users(&*platform.kv).put_record(&user).await?;
    Ok(user)
}

/// Ends all sessions of a user.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn end_sessions(
    platform: &Platform,
    mut user: User,
    now: Timestamp,
) -> Result<User, Fault> {
    user.sessions_valid_after = Some(now);
    user.updated_at = now;
    Users(&*platform.kv).put_record(&user).await?;
    Ok(user)
}

pub(super) async fn collection(call: &Call<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    match call.parts.method() {
        "GET" => {
            require(caller, Scope::UsersRead)?;
            list(call).await
        }
        "POST" => {
            require(caller, Scope::UsersWrite)?;
            create(call, caller).await
        }
        _ => Err(Denial::MethodNotAllowed("GET, POST")),
    }
}

async fn list(call: &Call<'_>) -> Result<Answer, Denial> {
    let store = Users(&*call.world.platform.kv);
    if let Some(email) = call.parameter("email") {
        let email = Email::parse(&email).ok_or(Denial::InvalidField("email"))?;
        let tenant = match call.parameter("tenant") {
            None => None,
            Some(name) => Some(Tenant::parse(&name).ok_or(Denial::InvalidField("tenant"))?),
        };
        let users: Vec<Value> = store
            .find_by_email(tenant.as_ref(), &email)
            .await?
            .iter()
            .map(view)
            .collect();
        return Ok(Answer::json(
            200,
            &json!({ "users": users, "cursor": null }),
        ));
    }
    let (cursor, limit) = call.paging()?;
    let page = store.page(cursor.as_deref(), limit).await?;
    let users: Vec<Value> = page.records.iter().map(view).collect();
    let cursor = page.cursor.map(|cursor| write_cursor(&cursor));
    Ok(Answer::json(
        200,
        &json!({ "users": users, "cursor": cursor }),
    ))
}

async fn create(call: &Call<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    let body = call.json().await?;
    let profile = Profile::read(&body, Profile::NEW)?;
    may_grant(caller, &profile)?;
    let email: Email = member(&body, "email")?.ok_or(Denial::InvalidField("email"))?;
    profile.check_username(&email)?;
    if !caller.issue_for.allows_email(&email) {
        return Err(Denial::OutsideLimit);
    }
    let tenant: Option<Tenant> = member(&body, "tenant")?;
    let platform = &call.world.platform;
    match ensure(platform, tenant.as_ref(), email, profile, call.now).await? {
        (user, Ensured::Made) => {
            let mut shown = view(&user);
            with_accounts(call, &user, &mut shown).await;
            Ok(Answer::json(201, &shown))
        }
        (_, Ensured::Found | Ensured::BeingMade) => Err(Denial::UserExists),
    }
}

pub(super) async fn one(call: &Call<'_>, caller: &ApiToken, id: &str) -> Result<Answer, Denial> {
    let scope = match call.parts.method() {
        "GET" => Scope::UsersRead,
        "PATCH" | "DELETE" => Scope::UsersWrite,
        _ => return Err(Denial::MethodNotAllowed("GET, PATCH, DELETE")),
    };
    require(caller, scope)?;
    let user = find(call, id).await?;
    match call.parts.method() {
        "PATCH" => {
            let body = call.json().await?;
            let profile = Profile::read(&body, &Profile::MEMBERS)?;
            may_grant(caller, &profile)?;
            may_touch(caller, &user)?;
            let email = member::<Email>(&body, "email")?.filter(|email| *email != user.email);
            profile.check_username(email.as_ref().unwrap_or(&user.email))?;
            if email
                .as_ref()
                .is_some_and(|email| !caller.issue_for.allows_email(email))
            {
                return Err(Denial::OutsideLimit);
            }
            let platform = &call.world.platform;
            let user = match email {
                Some(email) => move_to(platform, user, email, profile, call.now).await?,
                None => update(platform, user, profile, call.now).await?,
            };
            call.world
                .cache
                .put_user(&user.id, Some(user.clone()), call.now);
            Ok(Answer::json(200, &view(&user)))
        }
        "DELETE" => {
            may_touch(caller, &user)?;
            delete(&call.world.platform, &user).await?;
            call.world.cache.put_user(&user.id, None, call.now);
            profile::forget(call.world, &user).await?;
            Ok(Answer::empty(204))
        }
        _ => Ok(Answer::json(200, &view(&user))),
    }
}

pub(super) async fn logout(call: &Call<'_>, caller: &ApiToken, id: &str) -> Result<Answer, Denial> {
    require(caller, Scope::UsersWrite)?;
    if call.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let user = find(call, id).await?;
    may_touch(caller, &user)?;
    let user = end_sessions(&call.world.platform, user, call.now).await?;
    call.world
        .cache
        .put_user(&user.id.clone(), Some(user), call.now);
    Ok(Answer::empty(204))
}

/// What a bulk call does with a user that exists.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum OnExisting {
    /// Leaves it.
    Skip,
    /// Changes what is given.
    Update,
}

pub(super) async fn bulk(call: &Call<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    require(caller, Scope::UsersWrite)?;
    if call.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let body = call.json().await?;
    only(&body, &["users", "on_existing"])?;
    let on_existing = member(&body, "on_existing")?.unwrap_or(OnExisting::Skip);
    let users: Vec<Value> = member(&body, "users")?.ok_or(Denial::InvalidField("users"))?;
    if users.len() > MAX_BULK {
        return Err(Denial::InvalidField("users"));
    }
    let results: Vec<(&'static str, Value)> = stream::iter(&users)
        .map(|item| sync_one(call, caller, item, on_existing))
        .buffered(SIDE_BY_SIDE)
        .collect()
        .await;
    let count = |status: &str| results.iter().filter(|(found, _)| *found == status).count();
    let mut answer = json!({
        "created": count("created"),
        "updated": count("updated"),
        "exists": count("exists"),
        "invalid": count("invalid"),
        "failed": count("failed"),
    });
    if let Some(members) = answer.as_object_mut() {
        let list = results.iter().map(|(_, result)| result.clone()).collect();
        members.insert("results".into(), Value::Array(list));
    }
    Ok(Answer::json(200, &answer))
}

/// One user of a bulk call. What goes wrong with one says nothing of the others.
async fn sync_one(
    call: &Call<'_>,
    caller: &ApiToken,
    item: &Value,
    on_existing: OnExisting,
) -> (&'static str, Value) {
    let email = item.get("email").cloned().unwrap_or_default();
    match sync(call, caller, item, on_existing).await {
        Ok((status, user)) => {
            let mut result =
                json!({ "email": user.email.as_str(), "id": user.id.as_str(), "status": status });
            with_accounts(call, &user, &mut result).await;
            (status, result)
        }
        Err(denial) => {
            let status = if denial.row().status >= 500 {
                "failed"
            } else {
                "invalid"
            };
            let mut result = json!({ "email": email, "status": status, "code": denial.row().code });
            if let (Some(field), Some(members)) = (denial.field(), result.as_object_mut()) {
                members.insert("field".into(), json!(field));
            }
            (status, result)
        }
    }
}

async fn sync(
    call: &Call<'_>,
    caller: &ApiToken,
    item: &Value,
    on_existing: OnExisting,
) -> Result<(&'static str, User), Denial> {
    let profile = Profile::read(item, Profile::NEW)?;
    may_grant(caller, &profile)?;
    let email: Email = member(item, "email")?.ok_or(Denial::InvalidField("email"))?;
    profile.check_username(&email)?;
    if !caller.issue_for.allows_email(&email) {
        return Err(Denial::OutsideLimit);
    }
    let platform = &call.world.platform;
    let tenant: Option<Tenant> = member(item, "tenant")?;
    let (user, ensured) =
        ensure(platform, tenant.as_ref(), email, profile.clone(), call.now).await?;
    match ensured {
        Ensured::Made => return Ok(("created", user)),
        Ensured::BeingMade => return Ok(("exists", user)),
        Ensured::Found if on_existing == OnExisting::Skip => return Ok(("exists", user)),
        Ensured::Found => {}
    }
    may_touch(caller, &user)?;
    let user = update(&call.world.platform, user, profile, call.now).await?;
    call.world
        .cache
        .put_user(&user.id, Some(user.clone()), call.now);
    Ok(("updated", user))
}

/// Makes the user known to the applications that keep users of their own, and adds to `answer` what
/// came of it.
async fn with_accounts(call: &Call<'_>, user: &User, answer: &mut Value) {
    if let (Some(accounts), Some(members)) = (
        profile::provision(call.world, user, call.now).await,
        answer.as_object_mut(),
    ) {
        members.insert("accounts".into(), accounts);
    }
}

async fn find(call: &Call<'_>, id: &str) -> Result<User, Denial> {
    let id = UserId::parse(id).ok_or(Denial::NotFound)?;
    Users(&*call.world.platform.kv)
        .find(&id)
        .await?
        .ok_or(Denial::NotFound)
}

/// Rights are granted by admins alone.
fn may_grant(caller: &ApiToken, profile: &Profile) -> Result<(), Denial> {
    if profile.grants() {
        require(caller, Scope::Admin)
    } else {
        Ok(())
    }
}

/// Who holds rights is changed by admins alone: another address for a superuser would be a way in.
/// And a caller that is limited to some users changes no others.
fn may_touch(caller: &ApiToken, user: &User) -> Result<(), Denial> {
    if user.staff || user.superuser || !user.roles.is_empty() {
        require(caller, Scope::Admin)?;
    }
    if caller.issue_for.allows(user) {
        Ok(())
    } else {
        Err(Denial::OutsideLimit)
    }
}

/// What is shown of a user.
#[must_use]
pub fn view(user: &User) -> Value {
    let mut view = json!({
        "id": user.id.as_str(),
        "email": user.email.as_str(),
        "username": user.username.as_str(),
        "first_name": user.first_name.as_str(),
        "last_name": user.last_name.as_str(),
        "active": user.active,
        "staff": user.staff,
        "superuser": user.superuser,
        "roles": user.roles,
        "sessions_valid_after": user.sessions_valid_after.map(Timestamp::seconds),
        "created_at": user.created_at.seconds(),
        "updated_at": user.updated_at.seconds(),
    });
    if let (Some(tenant), Some(members)) = (&user.tenant, view.as_object_mut()) {
        members.insert("tenant".into(), json!(tenant));
    }
    view
}
