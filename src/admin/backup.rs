//! `/api/sso/backup`: copies of all users, services and API tokens, which only a deployment with the same key secret takes back.
//!
//! A copy is lines of JSON. Each has a code of authenticity under the key secret, so that nobody makes or changes one: who may
//! restore must not be able to invent an API token. Password hashes are encrypted: who may read must not be able to guess
//! passwords. Nothing that is there is replaced.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream::{self, StreamExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::admin::{
    api_tokens, intended, member, parameter, read_json, reject_unknown, require, services, users,
};
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::ask::audited::{self, Act};
use crate::ask::ctx::Ctx;
use crate::http::cursor;
use crate::model::api_token::{ApiToken, ApiTokenId, IssueFor, Scope};
use crate::model::audit::Action;
use crate::model::service::Service;
use crate::model::user::{User, UserId};
use crate::people;
use crate::platform::port::{Fault, Pending};
use crate::store::api_tokens::{ApiTokenRecords, ApiTokens};
use crate::store::backup::{self, Kind, Stored};
use crate::store::passkeys::{PasskeySet, Passkeys};
use crate::store::passwords::{Passwords, StoredPassword};
use crate::store::services::{MAX, ServiceRecords, Services};

/// Records of one answer, and of one call: each takes a few operations, and a Worker may make 1,000 for each request.
const PAGE: u32 = 100;
const MOST: usize = 50;
/// How many records are processed concurrently.
const CONCURRENCY: usize = 6;
/// What the key secret makes codes of authenticity for.
const PURPOSE: &str = "edgeward backup";

/// Records name people of all domains and roles: a token that is limited to some reads and restores none.
fn admit(ctx: &Ctx<'_>, caller: &ApiToken, method: &'static str) -> Result<(), Denial> {
    require(caller, Scope::Admin)?;
    if caller.issue_for != IssueFor::default() {
        return Err(Denial::OutsideLimit);
    }
    if ctx.parts.method() == method {
        Ok(())
    } else {
        Err(Denial::MethodNotAllowed(method))
    }
}

/// `GET`: lines of JSON. `x-backup-cursor` leads on, and is missing at the end. The audit log tells of each answer.
pub(super) async fn export(ctx: &Ctx<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    admit(ctx, caller, "GET")?;
    let (kind, at) = match parameter(ctx, "cursor") {
        None => (Kind::User, None),
        Some(text) => read_position(&text).ok_or(Denial::InvalidCursor)?,
    };
    let row = audited::row(ctx, Action::BackupExported).with("actor", caller.id.as_str());
    audited::write(ctx, None, row).await?;
    let kv = &*ctx.world.platform.kv;
    let (records, next) = backup::page(kv, kind, at.as_deref(), PAGE).await?;
    let lines = records.iter().map(|stored| line(ctx, kind, stored));
    let lines = few_at_a_time(lines.collect()).await;
    let mut answer =
        Answer::json(200, &Value::Null).replacing("content-type", "application/x-ndjson");
    answer.body.clear();
    for line in lines {
        answer.body.push_str(&line?.to_string());
        answer.body.push('\n');
    }
    let next = match next {
        Some(cursor) => Some((kind, cursor)),
        None => kind.next().map(|kind| (kind, String::new())),
    };
    Ok(match next {
        Some((kind, at)) => answer.with(
            "x-backup-cursor",
            cursor::write(&[kind.name(), ":", &at].concat()),
        ),
        None => answer,
    })
}

fn read_position(text: &str) -> Option<(Kind, Option<String>)> {
    let text = cursor::read(text)?;
    let (kind, at) = text.split_once(':')?;
    let at = Some(at.to_owned()).filter(|at| !at.is_empty());
    Some((Kind::parse(kind)?, at))
}

/// What is made of a record: a line, or its result.
type Job<'a> = Pending<'a, Result<Value, Denial>>;

/// One type for all jobs: the Worker would have this code twice otherwise.
async fn few_at_a_time(jobs: Vec<Job<'_>>) -> Vec<Result<Value, Denial>> {
    stream::iter(jobs).buffered(CONCURRENCY).collect().await
}

/// A line of a backup.
fn line<'a>(ctx: &'a Ctx<'_>, kind: Kind, stored: &'a Stored) -> Job<'a> {
    Box::pin(async move {
        let mut line = Map::new();
        line.insert("kind".into(), kind.name().into());
        let Some((mut record, id)) = readable(&stored.1) else {
            line.insert("unreadable".into(), stored.0.as_str().into());
            return Ok(Value::Object(line));
        };
        if let (Kind::User, Some(id)) = (kind, UserId::parse(&id)) {
            add_credentials(ctx, &id, &mut line).await?;
        }
        if let (Kind::ApiToken, Some(id)) = (kind, ApiTokenId::parse(&id))
            && let Some(at) = ApiTokens(&*ctx.world.platform.kv).revoked_at(&id).await?
        {
            record.insert("revoked_at".into(), at.millis().into());
        }
        line.insert("record".into(), Value::Object(record));
        let code = code_of(ctx, None, &line).ok_or(Fault::Crypto)?;
        line.insert("code".into(), code.into());
        Ok(Value::Object(line))
    })
}

/// A record and its id, as they are stored. What else is in it is for the deployment that restores it to judge.
fn readable(text: &str) -> Option<(Map<String, Value>, String)> {
    let Ok(Value::Object(record)) = serde_json::from_str(text) else {
        return None;
    };
    let id = record.get("id")?.as_str()?.to_owned();
    Some((record, id))
}

/// The password and the passkeys of a user, which only a gateway has.
async fn add_credentials(
    ctx: &Ctx<'_>,
    id: &UserId,
    line: &mut Map<String, Value>,
) -> Result<(), Denial> {
    if ctx.world.config.gateway().is_none() {
        return Ok(());
    }
    let records = &*ctx.world.platform.records;
    if let Some(password) = Passwords(records).find(id).await? {
        let number = ctx.world.config.keys.key.newest();
        let key = password_key(ctx, number, id).ok_or(Fault::Crypto)?;
        let plain = password.text()?;
        let sealed = ctx.world.platform.crypto.seal(&key, plain.as_bytes());
        let sealed = numbered(number, &sealed.await?);
        line.insert("password".into(), sealed.into());
    }
    let passkeys = Passkeys(records).read(id).await?;
    if !passkeys.handle.is_empty() {
        line.insert("passkeys".into(), passkeys.text()?.into());
    }
    Ok(())
}

/// A password of one user is of no use as that of another.
fn password_key(ctx: &Ctx<'_>, number: u32, id: &UserId) -> Option<[u8; 32]> {
    let purpose = [PURPOSE, ", password of ", id.as_str()].concat();
    ctx.world.config.keys.key.encryption_key(number, &purpose)
}

/// The code of authenticity of a line, under key secret `number`, or the newest one.
fn code_of(ctx: &Ctx<'_>, number: Option<u32>, line: &Map<String, Value>) -> Option<String> {
    let keys = &ctx.world.config.keys.key;
    let number = number.unwrap_or(keys.newest());
    let text = serde_json::to_string(line).ok()?;
    let code = keys.code(number, PURPOSE, text.as_bytes())?;
    Some(numbered(number, &code))
}

fn numbered(number: u32, bytes: &[u8]) -> String {
    [&number.to_string(), ".", &URL_SAFE_NO_PAD.encode(bytes)].concat()
}

fn number_of(text: &str) -> Option<u32> {
    text.split_once('.')?.0.parse().ok()
}

/// `POST …/restore`: makes the records that are not there.
pub(super) async fn restore(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    admit(ctx, caller, "POST")?;
    let body = read_json(ctx).await?;
    reject_unknown(&body, &["records"])?;
    let records: Option<Vec<Map<String, Value>>> = member(&body, "records")?;
    let records = records.filter(|records| records.len() <= MOST);
    let records = records.ok_or(Denial::InvalidField("records"))?;
    let act = intended(act)?;
    let results = records
        .iter()
        .map(|line| restore_one(ctx, caller, line, act));
    let results = few_at_a_time(results.collect()).await;
    let results = results.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Answer::json(200, &json!({ "results": results })))
}

/// Restores one record. An error does not affect the others.
fn restore_one<'a>(
    ctx: &'a Ctx<'_>,
    caller: &'a ApiToken,
    line: &'a Map<String, Value>,
    act: &'a Act,
) -> Job<'a> {
    Box::pin(async move {
        let id = line.get("record").and_then(|record| record.get("id"));
        let mut result = Map::new();
        result.insert("kind".into(), json!(line.get("kind")));
        result.insert("id".into(), json!(id));
        let status = match restored(ctx, caller, line, act).await {
            Ok(status) => status,
            Err(denial) => {
                let row = denial.row();
                result.insert("code".into(), row.code.into());
                if let Some(field) = denial.field() {
                    result.insert("field".into(), field.into());
                }
                if row.status >= 500 {
                    "failed"
                } else {
                    "invalid"
                }
            }
        };
        result.insert("status".into(), status.into());
        Ok(Value::Object(result))
    })
}

/// `created`; `unchanged`; `differs`, if something else is there; or `revoked`.
async fn restored(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    line: &Map<String, Value>,
    act: &Act,
) -> Result<&'static str, Denial> {
    check(ctx, line)?;
    let kind = line.get("kind").and_then(Value::as_str);
    match kind.and_then(Kind::parse) {
        Some(Kind::User) => restore_user(ctx, line, act).await,
        Some(Kind::Service) => restore_service(ctx, record(line)?, act).await,
        Some(Kind::ApiToken) => restore_token(ctx, caller, record(line)?, act).await,
        None => Err(Denial::InvalidField("kind")),
    }
}

/// Refuses a line that no deployment with this key secret has written.
fn check(ctx: &Ctx<'_>, line: &Map<String, Value>) -> Result<(), Denial> {
    let mut signed = line.clone();
    let code = signed.remove("code");
    let code = code.as_ref().and_then(Value::as_str).unwrap_or_default();
    let expected = number_of(code).and_then(|number| code_of(ctx, Some(number), &signed));
    let is_ours = expected.is_some_and(|expected| {
        subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), code.as_bytes()).into()
    });
    if is_ours {
        Ok(())
    } else {
        Err(Denial::InvalidField("code"))
    }
}

fn record<T: DeserializeOwned>(line: &Map<String, Value>) -> Result<T, Denial> {
    // As text: the code that reads stored records is there already.
    let text = line.get("record").map(Value::to_string).unwrap_or_default();
    backup::read(&text).ok_or(Denial::InvalidField("record"))
}

async fn restore_user(
    ctx: &Ctx<'_>,
    line: &Map<String, Value>,
    act: &Act,
) -> Result<&'static str, Denial> {
    let user: User = record(line)?;
    let password = match line.get("password").and_then(Value::as_str) {
        Some(sealed) => Some(open(ctx, &user.id, sealed).await?),
        None => None,
    };
    let passkeys = match line.get("passkeys").and_then(Value::as_str) {
        Some(text) => Some(PasskeySet::parse(text)?),
        None => None,
    };
    let tell = |action, after: &Value| {
        act.tell(
            Some(action),
            ("user", user.id.as_str()),
            &Value::Null,
            after,
        );
    };
    let mut status = "unchanged";
    match people::restore(ctx.world, &user, ctx.now).await? {
        Some(true) => {
            status = "created";
            tell(Action::UserCreated, &users::view(&user));
        }
        Some(false) => {}
        None => return Ok("differs"),
    }
    // A call that was cut short goes on here with the next one.
    let records = &*ctx.world.platform.records;
    if let Some(password) = password {
        let held = Passwords(records).read(&user.id).await?;
        match &held.password {
            Some(_) if held.is(&password) => {}
            Some(_) => return Ok("differs"),
            None => {
                if !Passwords(records)
                    .replace(&user.id, &held, &password)
                    .await?
                {
                    return Err(Fault::Contended.into());
                }
                tell(Action::PasswordSet, &json!({ "status": "created" }));
                status = "created";
            }
        }
    }
    if let Some(passkeys) = passkeys {
        match restore_passkeys(ctx, &user.id, &passkeys).await? {
            Some(0) => {}
            Some(count) => {
                tell(Action::PasskeyAdded, &json!({ "count": count }));
                status = "created";
            }
            None => return Ok("differs"),
        }
    }
    Ok(status)
}

async fn open(ctx: &Ctx<'_>, id: &UserId, sealed: &str) -> Result<StoredPassword, Denial> {
    let invalid = || Denial::InvalidField("password");
    let number = number_of(sealed).ok_or_else(invalid)?;
    let key = password_key(ctx, number, id).ok_or_else(invalid)?;
    let (_, text) = sealed.split_once('.').ok_or_else(invalid)?;
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
    let plain = ctx.world.platform.crypto.open(&key, &bytes).await?;
    let plain = String::from_utf8(plain).map_err(|_| invalid())?;
    Ok(StoredPassword::parse(&plain)?)
}

/// Adds the passkeys to a user who has none, and returns how many. `None`: the user has others, or somebody else has one.
async fn restore_passkeys(
    ctx: &Ctx<'_>,
    id: &UserId,
    wanted: &PasskeySet,
) -> Result<Option<usize>, Fault> {
    let store = Passkeys(&*ctx.world.platform.records);
    let known = store.read(id).await?;
    // A shorter set may have lost a passkey on purpose, so it stays as it is.
    let ids = |set: &PasskeySet| {
        set.keys
            .iter()
            .map(|key| key.id.clone())
            .collect::<Vec<_>>()
    };
    if !known.handle.is_empty() {
        let is_same = known.handle == wanted.handle && ids(&known) == ids(wanted);
        return Ok(is_same.then_some(0));
    }
    let mut added = 0;
    for key in &wanted.keys {
        let done = store
            .change(id, &mut |set| {
                set.handle.clone_from(&wanted.handle);
                set.keys.push(key.clone());
                Ok(())
            })
            .await?;
        if done.is_err() {
            return Ok(None);
        }
        added += 1;
    }
    Ok(Some(added))
}

/// The queue of the service gets new credentials with `rotate`: a backup has none.
async fn restore_service(
    ctx: &Ctx<'_>,
    service: Service,
    act: &Act,
) -> Result<&'static str, Denial> {
    let records = ServiceRecords(&*ctx.world.platform.records);
    match records.read(&service.id).await? {
        Some(held) if held.service == service => return Ok("unchanged"),
        Some(_) => return Ok("differs"),
        None => {}
    }
    if ctx.world.config.gateway().is_none() {
        return Err(Denial::NoGateway);
    }
    if Services(&*ctx.world.platform.kv).all().await?.len() >= MAX {
        return Err(Denial::TooManyServices);
    }
    if !records
        .create(&service, vec![services::configure(&service)])
        .await?
    {
        return Ok("differs");
    }
    ctx.world.cache.services.forget();
    let after = services::view(&service);
    let id = ("object", service.id.as_str());
    act.tell(Some(Action::ServiceCreated), id, &Value::Null, &after);
    Ok("created")
}

async fn restore_token(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    record: ApiToken,
    act: &Act,
) -> Result<&'static str, Denial> {
    api_tokens::may_manage(caller, &record)?;
    let platform = &ctx.world.platform;
    let store = ApiTokens(&*platform.kv);
    let revoked_at = store.revoked_at(&record.id).await?;
    let records = ApiTokenRecords(&*platform.records);
    if let Some(held) = records.read(&record.id).await? {
        let is_same = held.token.revoked(revoked_at) == record;
        return Ok(if is_same { "unchanged" } else { "differs" });
    }
    match record.revoked_at {
        // Deleted here, and that holds.
        None if revoked_at.is_some() => return Ok("revoked"),
        // First what makes it of no use.
        Some(at) if revoked_at.is_none() => store.revoke(&record.id, at).await?,
        _ => {}
    }
    if !records.restore(&record).await? {
        return Ok("differs");
    }
    let after = api_tokens::view(&record, None);
    let id = ("object", record.id.as_str());
    act.tell(Some(Action::ApiTokenCreated), id, &Value::Null, &after);
    Ok("created")
}
