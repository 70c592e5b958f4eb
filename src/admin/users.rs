//! `/api/sso/users`: create, read, list, change, disable and delete users; synchronise them in bulk.

use std::rc::Rc;

use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::sign_in::FirstPassword;
use crate::admin::{
    intended, member, paging, parameter, read_json, read_optional_json, reject_unknown, require,
};
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::ask::audited::Act;
use crate::ask::ctx::Ctx;
use crate::http::cursor;
use crate::memory::world::World;
use crate::model::api_token::{ApiToken, Scope};
use crate::model::audit::Action;
use crate::model::user::subject::{Handle, IssuerSubject};
use crate::model::user::{Email, Name, Role, Tenant, User, UserId, Username};
use crate::people::directory::{self, Step};
use crate::people::{self, Ensured};
use crate::platform::port::Fault;
use crate::platform::time::Timestamp;
use crate::profile;
use crate::store::CHANGE_ATTEMPTS;
use crate::store::users::{Users, has_handle};

/// Users per bulk call. Each takes a few operations, and a Worker may make 1,000 per request.
const MAX_BULK: usize = 100;
/// How many users of a bulk call are processed concurrently: each waits for its writers most of the time. Of its reads of
/// KV, the runtime makes six at once.
const CONCURRENCY: usize = 25;

/// What a request sets on a user, apart from the address. `None` changes nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    #[serde(default)]
    pub username: Option<Username>,
    #[serde(default)]
    pub first_name: Option<Name>,
    #[serde(default)]
    pub last_name: Option<Name>,
    /// Whether the user may sign in.
    #[serde(default)]
    pub active: Option<bool>,
    /// Only an admin may set it.
    #[serde(default)]
    pub staff: Option<bool>,
    /// Only an admin may set it.
    #[serde(default)]
    pub superuser: Option<bool>,
    /// Only an admin may set them.
    #[serde(default)]
    pub roles: Option<Vec<Role>>,
}

impl UserPatch {
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

    /// Further members for a new user: only then can the tenant be set.
    const NEW: &'static [&'static str] = &["tenant", "subject"];

    /// Further members of an entry of a bulk call.
    const IN_BULK: &'static [&'static str] = &["tenant", "subject", "password_hash"];

    fn read(body: &Value, further: &[&'static str]) -> Result<Self, Denial> {
        reject_unknown(body, &[&Self::MEMBERS[..], further].concat())?;
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

    /// Applies the patch to `user`. Disabling a user ends all of their sessions.
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
                user.end_sessions(now);
            }
            user.active = active;
        }
    }

    /// Refuses a username that looks like an address other than the user's own: an application might
    /// use it as one.
    ///
    /// # Errors
    /// [`Denial::InvalidField`].
    pub fn check_username(&self, email: Option<&Email>) -> Result<(), Denial> {
        let named = self.username.as_ref().map_or("", Username::as_str);
        if named.contains('@') && Email::parse(named).as_ref() != email {
            return Err(Denial::InvalidField("username"));
        }
        Ok(())
    }
}

/// Roles to add to those that a user has at the moment of the change, and to remove from them. So it
/// loses no change that another caller makes meanwhile, as `roles`, which replaces all, may.
struct RoleChange {
    add: Vec<Role>,
    remove: Vec<Role>,
}

/// The most roles of a user who gets them one by one.
const MAX_ROLES: usize = 500;

impl RoleChange {
    const MEMBERS: &'static [&'static str] = &["add_roles", "remove_roles"];

    /// Neither goes with `roles`, and no role is in both.
    fn read(caller: &ApiToken, body: &Value) -> Result<Self, Denial> {
        let [add, remove] = ["add_roles", "remove_roles"].map(|name| {
            let roles: Option<Vec<Role>> = member(body, name)?;
            let Some(roles) = roles else {
                return Ok(Vec::new());
            };
            require(caller, Scope::Admin)?;
            if body.get("roles").is_some_and(|roles| !roles.is_null()) {
                return Err(Denial::InvalidField(name));
            }
            Ok(roles)
        });
        let (add, remove) = (add?, remove?);
        if add.iter().any(|role| remove.contains(role)) {
            return Err(Denial::InvalidField("remove_roles"));
        }
        Ok(Self { add, remove })
    }

    fn apply(&self, roles: &mut Vec<Role>) {
        roles.retain(|role| !self.remove.contains(role));
        for role in &self.add {
            if !roles.contains(role) {
                roles.push(role.clone());
            }
        }
    }
}

/// What is to find a new user: an address, or a subject, which may have an address besides.
#[derive(Clone)]
pub(super) enum NewHandle {
    Address(Email),
    Subject(IssuerSubject, Option<Email>),
}

impl NewHandle {
    /// Reads the members `email` and `subject`, of which one must be there.
    fn read(body: &Value) -> Result<Self, Denial> {
        let email: Option<Email> = member(body, "email")?;
        match (member(body, "subject")?, email) {
            (Some(subject), email) => Ok(Self::Subject(subject, email)),
            (None, Some(email)) => Ok(Self::Address(email)),
            (None, None) => Err(Denial::InvalidField("email")),
        }
    }

    const fn email(&self) -> Option<&Email> {
        match self {
            Self::Address(email) => Some(email),
            Self::Subject(_, email) => email.as_ref(),
        }
    }

    const fn as_handle(&self) -> Handle<'_> {
        match self {
            Self::Address(email) => Handle::Address(email),
            Self::Subject(subject, _) => Handle::Subject(subject),
        }
    }
}

/// A new user with a random id.
pub(super) fn new_user(
    world: &World,
    tenant: Option<&Tenant>,
    found_by: NewHandle,
    patch: UserPatch,
    now: Timestamp,
) -> User {
    let id = UserId::random(&*world.platform.entropy);
    let mut user = match found_by {
        NewHandle::Address(email) => User::new(id, email, now),
        NewHandle::Subject(subject, email) => User {
            email,
            ..User::of_subject(id, Some(subject), now)
        },
    };
    user.tenant = tenant.cloned();
    patch.apply(&mut user, now);
    user
}

pub(super) async fn collection(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    match ctx.parts.method() {
        "GET" => {
            require(caller, Scope::UsersRead)?;
            list(ctx).await
        }
        "POST" => {
            require(caller, Scope::UsersWrite)?;
            create(ctx, caller, intended(act)?).await
        }
        _ => Err(Denial::MethodNotAllowed("GET, POST")),
    }
}

async fn list(ctx: &Ctx<'_>) -> Result<Answer, Denial> {
    let by_subject = match (parameter(ctx, "issuer"), parameter(ctx, "subject")) {
        (None, None) => None,
        (issuer, sub) => {
            let (issuer, sub) = (issuer.unwrap_or_default(), sub.unwrap_or_default());
            Some(IssuerSubject::parse(&issuer, &sub).ok_or(Denial::InvalidField("subject"))?)
        }
    };
    let by_email = match parameter(ctx, "email") {
        None => None,
        // Nobody is found by both, and to ignore one would answer another question.
        Some(_) if by_subject.is_some() => return Err(Denial::InvalidField("email")),
        Some(email) => Some(Email::parse(&email).ok_or(Denial::InvalidField("email"))?),
    };
    let tenant = || match parameter(ctx, "tenant") {
        None => Ok(None),
        Some(name) => Tenant::parse(&name)
            .map(Some)
            .ok_or(Denial::InvalidField("tenant")),
    };
    if let Some(text) = parameter(ctx, "search") {
        if by_subject.is_some() || by_email.is_some() {
            return Err(Denial::InvalidField("search"));
        }
        return search(ctx, tenant()?.as_ref(), &text).await;
    }
    let by_subject = by_subject.as_ref().map(Handle::Subject);
    if let Some(handle) = by_subject.or(by_email.as_ref().map(Handle::Address)) {
        let tenant = tenant()?;
        let users: Vec<Value> = people::find_by(ctx.world, tenant.as_ref(), handle, ctx.now)
            .await?
            .iter()
            .map(view)
            .collect();
        return Ok(Answer::json(
            200,
            &json!({ "users": users, "cursor": null }),
        ));
    }
    // It narrows a look-up only; a list of everybody must not pass for one of a tenant.
    if parameter(ctx, "tenant").is_some() {
        return Err(Denial::InvalidField("tenant"));
    }
    let (cursor, limit) = paging(ctx)?;
    let store = Users(&*ctx.world.platform.kv);
    let page = store.page(cursor.as_deref(), limit).await?;
    let users: Vec<Value> = page.records.iter().map(view).collect();
    let cursor = page.cursor.map(|cursor| cursor::write(&cursor));
    Ok(Answer::json(
        200,
        &json!({ "users": users, "cursor": cursor }),
    ))
}

/// The longest text to search for, in bytes.
const MAX_SEARCH: usize = 256;

/// Users of one tenant, or without one, whose address, username or names begin as `text` says.
async fn search(ctx: &Ctx<'_>, tenant: Option<&Tenant>, text: &str) -> Result<Answer, Denial> {
    if text.len() > MAX_SEARCH {
        return Err(Denial::InvalidField("search"));
    }
    let page = paging(ctx)?;
    let found = directory::search(ctx.world, tenant, text, page, ctx.now).await?;
    let users: Vec<Value> = found.users.iter().map(view).collect();
    let cursor = found.next.as_deref().map(cursor::write);
    let built = found.built.map(|built| built / 1000);
    let answer = json!({ "users": users, "cursor": cursor, "indexed_at": built });
    Ok(Answer::json(200, &answer))
}

/// A step of a rebuild of what [`search`] looks in.
pub(super) async fn reindex(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let body = read_optional_json(ctx).await?;
    reject_unknown(&body, &["cursor"])?;
    let step = match member::<String>(&body, "cursor")? {
        None => Step::Begin,
        Some(text) => cursor::read(&text)
            .and_then(|text| Step::read(&text))
            .ok_or(Denial::InvalidCursor)?,
    };
    intended(act)?;
    let (done, next) = directory::rebuild(ctx.world, step).await?;
    let cursor = next.map(|next| cursor::write(&next.write()));
    let answer = json!({ "listed": done.listed, "removed": done.removed, "cursor": cursor });
    Ok(Answer::json(200, &answer))
}

async fn create(ctx: &Ctx<'_>, caller: &ApiToken, act: &Act) -> Result<Answer, Denial> {
    let body = read_json(ctx).await?;
    let patch = UserPatch::read(&body, UserPatch::NEW)?;
    may_grant(caller, &patch)?;
    let found_by = NewHandle::read(&body)?;
    patch.check_username(found_by.email())?;
    if !caller.issue_for.allows_address(found_by.email()) {
        return Err(Denial::OutsideLimit);
    }
    let tenant: Option<Tenant> = member(&body, "tenant")?;
    let mine = new_user(ctx.world, tenant.as_ref(), found_by, patch, ctx.now);
    match people::ensure(ctx.world, mine, ctx.now).await? {
        (user, Ensured::Made) => {
            let mut shown = view(&user);
            act.tell(None, ("user", user.id.as_str()), &Value::Null, &shown);
            with_accounts(ctx, &user, &mut shown).await;
            Ok(Answer::json(201, &shown))
        }
        (_, Ensured::Found) => Err(Denial::UserExists),
    }
}

/// A row about a user who was changed, who may have been disabled or enabled by it.
fn tell_change(act: &Act, before: &Value, user: &User) {
    let was_active = before.get("active") == Some(&Value::Bool(true));
    let action = match (was_active, user.active) {
        (true, false) => Action::UserDisabled,
        (false, true) => Action::UserEnabled,
        _ => Action::UserChanged,
    };
    act.tell(
        Some(action),
        ("user", user.id.as_str()),
        before,
        &view(user),
    );
}

pub(super) async fn one(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &str,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    let scope = match ctx.parts.method() {
        "GET" => Scope::UsersRead,
        "PATCH" | "DELETE" => Scope::UsersWrite,
        _ => return Err(Denial::MethodNotAllowed("GET, PATCH, DELETE")),
    };
    require(caller, scope)?;
    let id = UserId::parse(id).ok_or(Denial::NotFound)?;
    let world = ctx.world;
    match ctx.parts.method() {
        "PATCH" => {
            let body = read_json(ctx).await?;
            let patch = UserPatch::read(&body, RoleChange::MEMBERS)?;
            may_grant(caller, &patch)?;
            let role_change = RoleChange::read(caller, &body)?;
            let email: Option<Email> = member(&body, "email")?;
            let act = intended(act)?;
            let mut before = Value::Null;
            let user = people::change(world, &id, ctx.now, |user| {
                may_touch(caller, user)?;
                before = view(user);
                let email = email
                    .as_ref()
                    .filter(|email| user.email.as_ref() != Some(email));
                patch.check_username(email.or(user.email.as_ref()))?;
                if let Some(email) = email {
                    // The issuer says which address a subject has.
                    if user.subject.is_some() {
                        return Err(Denial::InvalidField("email"));
                    }
                    if !caller.issue_for.allows_email(email) {
                        return Err(Denial::OutsideLimit);
                    }
                    user.email = Some(email.clone());
                }
                patch.clone().apply(user, ctx.now);
                role_change.apply(&mut user.roles);
                if user.roles.len() > MAX_ROLES {
                    return Err(Denial::InvalidField("add_roles"));
                }
                // Nor may the change lead out of what the token is for.
                may_touch(caller, user)
            })
            .await?;
            tell_change(act, &before, &user);
            people::repair(world, &user).await?;
            Ok(Answer::json(200, &view(&user)))
        }
        "DELETE" => {
            intended(act)?;
            let may = |user: &User| may_touch(caller, user);
            let user = people::delete(world, &id, ctx.now, may).await?;
            profile::forget(world, &user).await?;
            Ok(Answer::empty(204))
        }
        _ => {
            let user = find(ctx, &id).await?;
            people::repair(world, &user).await?;
            Ok(Answer::json(200, &view(&user)))
        }
    }
}

pub(super) async fn logout(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &str,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    require(caller, Scope::UsersWrite)?;
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let id = UserId::parse(id).ok_or(Denial::NotFound)?;
    intended(act)?;
    people::change(ctx.world, &id, ctx.now, |user| {
        may_touch(caller, user)?;
        user.end_sessions(ctx.now);
        Ok(())
    })
    .await?;
    Ok(Answer::empty(204))
}

/// What a bulk call does with a user that exists already.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum OnExisting {
    Skip,
    Update,
}

pub(super) async fn bulk(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    require(caller, Scope::UsersWrite)?;
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let body = read_json(ctx).await?;
    reject_unknown(&body, &["users", "on_existing"])?;
    let on_existing = member(&body, "on_existing")?.unwrap_or(OnExisting::Skip);
    let users: Vec<Value> = member(&body, "users")?.ok_or(Denial::InvalidField("users"))?;
    if users.len() > MAX_BULK {
        return Err(Denial::InvalidField("users"));
    }
    let act = intended(act)?;
    let results: Vec<(&'static str, Value)> = stream::iter(&users)
        .map(|item| sync_one(ctx, caller, item, on_existing, act))
        .buffered(CONCURRENCY)
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

/// Processes one user of a bulk call. An error does not affect the other users.
async fn sync_one(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    item: &Value,
    on_existing: OnExisting,
    act: &Act,
) -> (&'static str, Value) {
    let email = item.get("email").cloned().unwrap_or_default();
    match sync(ctx, caller, item, on_existing, act).await {
        Ok((status, user, password)) => {
            let mut result =
                json!({ "email": user.address(), "id": user.id.as_str(), "status": status });
            if let Some(members) = result.as_object_mut() {
                if let Some(subject) = &user.subject {
                    members.insert("subject".into(), json!(subject));
                }
                if let Some(password) = password {
                    members.insert("password".into(), json!(password));
                }
            }
            with_accounts(ctx, &user, &mut result).await;
            (status, result)
        }
        Err(denial) => {
            let status = if denial.row().status >= 500 {
                "failed"
            } else {
                "invalid"
            };
            let mut result = json!({ "email": email, "status": status, "code": denial.row().code });
            if let Some(members) = result.as_object_mut() {
                if let Some(subject) = item.get("subject") {
                    members.insert("subject".into(), subject.clone());
                }
                if let Some(field) = denial.field() {
                    members.insert("field".into(), json!(field));
                }
            }
            (status, result)
        }
    }
}

async fn sync(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    item: &Value,
    on_existing: OnExisting,
    act: &Act,
) -> Result<(&'static str, User, Option<&'static str>), Denial> {
    let patch = UserPatch::read(item, UserPatch::IN_BULK)?;
    may_grant(caller, &patch)?;
    let found_by = NewHandle::read(item)?;
    patch.check_username(found_by.email())?;
    if !caller.issue_for.allows_address(found_by.email()) {
        return Err(Denial::OutsideLimit);
    }
    let tenant: Option<Tenant> = member(item, "tenant")?;
    // Before anything is changed: an entry that is wrong changes nothing.
    let password = FirstPassword::read(ctx, caller, tenant.as_ref(), item)?;
    let (status, user) = sync_user(ctx, caller, &found_by, tenant, patch, on_existing, act).await?;
    let kept = match password {
        None => None,
        Some(password) => {
            may_touch(caller, &user)?;
            let kept = password
                .put(ctx, &user, status == "created", act.written())
                .await?;
            let told = (Some(Action::PasswordSet), ("user", user.id.as_str()));
            act.tell(told.0, told.1, &Value::Null, &json!({ "status": kept }));
            Some(kept)
        }
    };
    Ok((status, user, kept))
}

async fn sync_user(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    found_by: &NewHandle,
    tenant: Option<Tenant>,
    patch: UserPatch,
    on_existing: OnExisting,
    act: &Act,
) -> Result<(&'static str, User), Denial> {
    let world = ctx.world;
    let handle = found_by.as_handle();
    let found = people::find_by(world, tenant.as_ref(), handle, ctx.now).await?;
    let (mut user, mut ensured) = match found {
        Some(user) => (user, Ensured::Found),
        None => ensure_user(ctx, tenant.as_ref(), found_by, &patch).await?,
    };
    for _ in 0..CHANGE_ATTEMPTS {
        if ensured == Ensured::Made {
            let told = (Some(Action::UserCreated), ("user", user.id.as_str()));
            act.tell(told.0, told.1, &Value::Null, &view(&user));
            return Ok(("created", user));
        }
        if on_existing == OnExisting::Skip {
            // A subject may have another address than the entry says.
            if !caller.issue_for.allows_address(user.email.as_ref()) {
                return Err(Denial::OutsideLimit);
            }
            return Ok(("exists", user));
        }
        let mut before = Value::Null;
        let changed = people::change(world, &user.id, ctx.now, |user| {
            before = view(user);
            // KV may show whose address or subject it is as of a minute ago.
            if !has_handle(user, tenant.as_ref(), handle) {
                return Err(Denial::NotFound);
            }
            may_touch(caller, user)?;
            patch.clone().apply(user, ctx.now);
            Ok(())
        })
        .await;
        match changed {
            Ok(user) => {
                tell_change(act, &before, &user);
                return Ok(("updated", user));
            }
            // By now the address or subject belongs to nobody, or to another user.
            Err(Denial::NotFound) => {
                (user, ensured) = ensure_user(ctx, tenant.as_ref(), found_by, &patch).await?;
            }
            Err(denial) => return Err(denial),
        }
    }
    Err(Fault::Contended.into())
}

async fn ensure_user(
    ctx: &Ctx<'_>,
    tenant: Option<&Tenant>,
    found_by: &NewHandle,
    patch: &UserPatch,
) -> Result<(User, Ensured), Fault> {
    let mine = new_user(ctx.world, tenant, found_by.clone(), patch.clone(), ctx.now);
    people::ensure(ctx.world, mine, ctx.now).await
}

/// Creates the user's accounts at applications that have users of their own, and adds the results to
/// `answer`.
async fn with_accounts(ctx: &Ctx<'_>, user: &User, answer: &mut Value) {
    if let (Some(accounts), Some(members)) = (
        profile::provision(ctx.world, user, ctx.now).await,
        answer.as_object_mut(),
    ) {
        members.insert("accounts".into(), accounts);
    }
}

pub(super) async fn find(ctx: &Ctx<'_>, id: &UserId) -> Result<User, Denial> {
    let world = ctx.world;
    let read = Users(&*world.platform.kv).find(id).await?;
    let newest = world.cache.own_changes.newest_user(id, read, ctx.now);
    newest.map(Rc::unwrap_or_clone).ok_or(Denial::NotFound)
}

/// Only admins grant rights.
fn may_grant(caller: &ApiToken, patch: &UserPatch) -> Result<(), Denial> {
    if patch.grants() {
        require(caller, Scope::Admin)
    } else {
        Ok(())
    }
}

/// Only admins may change a user with rights, since a new address for a superuser would be a way to
/// become one. A caller that is limited to some users may change only those.
pub(super) fn may_touch(caller: &ApiToken, user: &User) -> Result<(), Denial> {
    if user.staff || user.superuser || !user.roles.is_empty() {
        require(caller, Scope::Admin)?;
    }
    if caller.issue_for.allows(user) {
        Ok(())
    } else {
        Err(Denial::OutsideLimit)
    }
}

/// A user as the API shows one.
#[must_use]
pub fn view(user: &User) -> Value {
    let mut view = json!({
        "id": user.id.as_str(),
        "email": user.address(),
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
    if let (Some(subject), Some(members)) = (&user.subject, view.as_object_mut()) {
        members.insert("subject".into(), json!(subject));
    }
    view
}
