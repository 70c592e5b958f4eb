//! `/api/sso/services`: the services of the gateway, and their tokens.

pub(super) mod events;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::admin::{intended, member, read_json, reject_unknown, require};
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::ask::audited::Act;
use crate::ask::ctx::Ctx;
use crate::http::outside;
use crate::model::api_token::{ApiToken, Scope};
use crate::model::service::{
    Dialect, Service, ServiceAccess, ServiceId, TokenHash, UserField, hash_token, is_strong_token,
    new_webhook_secret,
};
use crate::model::user::Name;
use crate::platform::digest::random_secret;
use crate::platform::port::{Fault, Notification, OutboxCall};
use crate::platform::time::{Seconds, Timestamp};
use crate::site::gateway::Gateway;
use crate::store::CHANGE_ATTEMPTS;
use crate::store::services::{MAX, ServiceRecords, Services};

/// The most bytes of a record: an isolate remembers all of them.
const MAX_RECORD: usize = 16 * 1024;
const MAX_FIELDS: usize = 20;
/// The longest time for which a replaced token or secret stays valid: a week.
const MAX_OVERLAP: u32 = 7 * 86_400;
/// A day.
const DEFAULT_OVERLAP: u32 = 86_400;

/// `/api/sso/services`.
pub(super) async fn collection(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    match ctx.parts.method() {
        "GET" => {
            // There are so few that one page has all.
            let services = Services(&*ctx.world.platform.kv).all().await?;
            let services: Vec<Value> = services.iter().map(view).collect();
            let identity = ctx.world.config.gateway().map(|(_, found)| found.identity);
            Ok(Answer::json(
                200,
                &json!({ "services": services, "cursor": null, "identity": identity }),
            ))
        }
        "POST" => create(ctx, intended(act)?).await,
        _ => Err(Denial::MethodNotAllowed("GET, POST")),
    }
}

/// `/api/sso/services/{id}`.
pub(super) async fn one(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &str,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    let id = ServiceId::parse(id).ok_or(Denial::NotFound)?;
    match ctx.parts.method() {
        "GET" => {
            let found = records(ctx).read(&id).await?.ok_or(Denial::NotFound)?;
            let mut view = view(&found.service);
            let mut status = outbox(ctx, &id, &OutboxCall::Status).await?;
            in_seconds(&mut status, &["oldest_at", "last_success_at"]);
            if let Some(members) = view.as_object_mut() {
                members.insert("events".into(), status);
            }
            Ok(Answer::json(200, &view))
        }
        "PATCH" => change(ctx, &id, intended(act)?).await,
        "DELETE" => {
            intended(act)?;
            for _ in 0..CHANGE_ATTEMPTS {
                let old = records(ctx).read(&id).await?.ok_or(Denial::NotFound)?;
                let notify = vec![notification(&id, OutboxCall::Remove)];
                if records(ctx).remove(&old, notify).await? {
                    ctx.world.cache.services.forget();
                    return Ok(Answer::empty(204));
                }
            }
            Err(Fault::Contended.into())
        }
        _ => Err(Denial::MethodNotAllowed("GET, PATCH, DELETE")),
    }
}

async fn create(ctx: &Ctx<'_>, act: &Act) -> Result<Answer, Denial> {
    let gateway = gateway(ctx)?;
    let body = read_json(ctx).await?;
    reject_unknown(
        &body,
        &[
            "name", "base_url", "enabled", "dialect", "access", "fields", "token",
        ],
    )?;
    if Services(&*ctx.world.platform.kv).all().await?.len() >= MAX {
        return Err(Denial::TooManyServices);
    }
    let entropy = &*ctx.world.platform.entropy;
    // A service that moves here from another gateway keeps its token.
    let token = match member::<String>(&body, "token")? {
        None => random_secret(entropy),
        Some(token) if is_strong_token(&token) => token,
        Some(_) => return Err(Denial::InvalidField("token")),
    };
    let secret = new_webhook_secret(entropy);
    let mut service = Service {
        id: ServiceId::random(entropy),
        name: Name::default(),
        base_url: String::new(),
        enabled: true,
        dialect: Dialect::Webhook,
        tokens: vec![TokenHash {
            sha256: hash_token(&token),
            valid_until: None,
        }],
        access: ServiceAccess::default(),
        fields: BTreeMap::new(),
        created_at: ctx.now,
        updated_at: ctx.now,
        version: 1,
    };
    for required in ["name", "base_url", "dialect"] {
        if body.get(required).is_none_or(Value::is_null) {
            return Err(Denial::InvalidField(required));
        }
    }
    apply(ctx, gateway, &mut service, &body)?;
    // First the credentials: the queue alone can show them again to the service.
    let credentials = OutboxCall::Credentials {
        token: Some(token.clone()),
        secret: Some(secret.clone()),
        until: ctx.now.millis(),
    };
    outbox(ctx, &service.id, &credentials).await?;
    let notify = vec![configure(&service)];
    if !records(ctx).create(&service, notify).await? {
        outbox(ctx, &service.id, &OutboxCall::Remove).await?;
        return Err(Denial::InvalidField("token"));
    }
    ctx.world.cache.services.forget();
    let id = ("object", service.id.as_str());
    act.tell(None, id, &Value::Null, &view(&service));
    let body = json!({ "service": view(&service), "token": token, "webhook_secret": secret });
    Ok(Answer::json(201, &body))
}

async fn change(ctx: &Ctx<'_>, id: &ServiceId, act: &Act) -> Result<Answer, Denial> {
    let gateway = gateway(ctx)?;
    let body = read_json(ctx).await?;
    reject_unknown(
        &body,
        &["name", "base_url", "enabled", "dialect", "access", "fields"],
    )?;
    let mut before = Value::Null;
    let changed = change_record(ctx, id, |service| {
        before = view(service);
        apply(ctx, gateway, service, &body)
    })
    .await?;
    let after = view(&changed);
    act.tell(None, ("object", id.as_str()), &before, &after);
    Ok(Answer::json(200, &after))
}

/// `/api/sso/services/{id}/rotate`: a new token or secret, while the old one stays valid for a time.
pub(super) async fn rotate(
    ctx: &Ctx<'_>,
    caller: &ApiToken,
    id: &str,
    act: Option<&Act>,
) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let id = known_id(ctx, id).await?;
    let body = read_json(ctx).await?;
    reject_unknown(&body, &["what", "overlap"])?;
    let overlap = member::<u32>(&body, "overlap")?.unwrap_or(DEFAULT_OVERLAP);
    if overlap > MAX_OVERLAP {
        return Err(Denial::InvalidField("overlap"));
    }
    let act = intended(act)?;
    let what = member::<String>(&body, "what")?;
    let told = |what| {
        let what = json!({ "what": what });
        act.tell(None, ("object", id.as_str()), &Value::Null, &what);
    };
    let until = ctx.now + Seconds(overlap);
    let entropy = &*ctx.world.platform.entropy;
    match what.as_deref() {
        Some("token") => {
            told("token");
            let token = random_secret(entropy);
            // First the queue: until the service has the new token, events come with the old one as well.
            let credentials = OutboxCall::Credentials {
                token: Some(token.clone()),
                secret: None,
                until: until.millis(),
            };
            outbox(ctx, &id, &credentials).await?;
            let sha256 = hash_token(&token);
            let changed = change_record(ctx, &id, |service| {
                service.tokens.retain(|known| {
                    !known.is(&sha256) && known.valid_until.is_none_or(|end| ctx.now < end)
                });
                for known in &mut service.tokens {
                    known.valid_until = Some(known.valid_until.map_or(until, |end| end.min(until)));
                }
                service.tokens.insert(
                    0,
                    TokenHash {
                        sha256: sha256.clone(),
                        valid_until: None,
                    },
                );
                service.tokens.truncate(MAX_TOKENS);
                Ok(())
            });
            let service = view(&changed.await?);
            Ok(Answer::json(
                200,
                &json!({ "service": service, "token": token }),
            ))
        }
        Some("webhook_secret") => {
            told("webhook_secret");
            let secret = new_webhook_secret(entropy);
            let credentials = OutboxCall::Credentials {
                token: None,
                secret: Some(secret.clone()),
                until: until.millis(),
            };
            outbox(ctx, &id, &credentials).await?;
            Ok(Answer::json(200, &json!({ "webhook_secret": secret })))
        }
        _ => Err(Denial::InvalidField("what")),
    }
}

/// The most tokens that are valid at once.
const MAX_TOKENS: usize = 3;

/// Sets what `body` names.
fn apply(
    ctx: &Ctx<'_>,
    gateway: &Gateway,
    service: &mut Service,
    body: &Value,
) -> Result<(), Denial> {
    if let Some(name) = member::<Name>(body, "name")? {
        if name.as_str().is_empty() {
            return Err(Denial::InvalidField("name"));
        }
        service.name = name;
    }
    if let Some(url) = member::<String>(body, "base_url")? {
        service.base_url = base_url(ctx, gateway, &url)?;
    }
    service.enabled = member(body, "enabled")?.unwrap_or(service.enabled);
    service.dialect = member(body, "dialect")?.unwrap_or(service.dialect);
    if let Some(access) = member::<ServiceAccess>(body, "access")? {
        let lists = [
            access.users.as_ref().map(Vec::len),
            access.roles.as_ref().map(Vec::len),
        ];
        if lists.into_iter().flatten().sum::<usize>() > ServiceAccess::MAX {
            return Err(Denial::InvalidField("access"));
        }
        service.access = access;
    }
    if let Some(fields) = member::<BTreeMap<String, UserField>>(body, "fields")? {
        service.fields = fields;
    }
    let fine = |name: &String| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        (1..=64).contains(&name.len()) && name.bytes().all(plain) && !TAKEN.contains(&name.as_str())
    };
    let may_have = service.dialect != Dialect::Push || service.fields.is_empty();
    if service.fields.len() > MAX_FIELDS || !service.fields.keys().all(fine) || !may_have {
        return Err(Denial::InvalidField("fields"));
    }
    // Everything else is bounded by its own type.
    let length = serde_json::to_string(service)
        .map_err(|_| Fault::Record)?
        .len();
    if length > MAX_RECORD {
        return Err(Denial::InvalidField("access"));
    }
    Ok(())
}

/// The members that events have anyway.
const TAKEN: [&str; 8] = [
    "type",
    "token",
    "username",
    "user_identy",
    "id",
    "is_active",
    "is_staff",
    "is_superuser",
];

/// The base URL in its one form.
fn base_url(ctx: &Ctx<'_>, gateway: &Gateway, url: &str) -> Result<String, Denial> {
    // A service on a host of ours would be the gateway calling itself.
    let is_own = |host: &str| {
        ctx.world
            .config
            .sites()
            .any(|site| site.hosts.iter().any(|own| own == host))
    };
    outside::check_base(url, is_own, gateway.development)
        .map(str::to_owned)
        .map_err(|rule| Denial::InvalidUrl("base_url", rule))
}

async fn change_record(
    ctx: &Ctx<'_>,
    id: &ServiceId,
    mut change: impl FnMut(&mut Service) -> Result<(), Denial>,
) -> Result<Service, Denial> {
    for _ in 0..CHANGE_ATTEMPTS {
        let old = records(ctx).read(id).await?.ok_or(Denial::NotFound)?;
        let mut service = old.service.clone();
        change(&mut service)?;
        service.version = old.service.version + 1;
        service.updated_at = ctx.now;
        let notify = vec![configure(&service)];
        if records(ctx).replace(&old, &service, notify).await? {
            ctx.world.cache.services.forget();
            return Ok(service);
        }
    }
    Err(Fault::Contended.into())
}

pub(super) fn configure(service: &Service) -> Notification {
    let call = OutboxCall::Configure {
        version: service.version,
        url: service.events_to(),
        enabled: service.enabled,
        dialect: service.dialect.name(),
    };
    notification(&service.id, call)
}

fn notification(id: &ServiceId, call: OutboxCall) -> Notification {
    Notification {
        service: id.as_str().to_owned(),
        call,
    }
}

async fn known_id(ctx: &Ctx<'_>, id: &str) -> Result<ServiceId, Denial> {
    let id = ServiceId::parse(id).ok_or(Denial::NotFound)?;
    records(ctx).read(&id).await?.ok_or(Denial::NotFound)?;
    Ok(id)
}

/// The queue tells times in milliseconds, the API in seconds.
fn in_seconds(view: &mut Value, names: &[&str]) {
    for name in names {
        if let Some(time) = view.get_mut(*name)
            && let Some(milliseconds) = time.as_u64()
        {
            *time = json!(milliseconds / 1000);
        }
    }
}

async fn outbox(ctx: &Ctx<'_>, id: &ServiceId, call: &OutboxCall) -> Result<Value, Fault> {
    ctx.world.platform.outbox.call(id.as_str(), call).await
}

fn records<'a>(ctx: &'a Ctx<'_>) -> ServiceRecords<'a> {
    ServiceRecords(&*ctx.world.platform.records)
}

/// Services belong to the gateway.
fn gateway<'a>(ctx: &'a Ctx<'_>) -> Result<&'a Gateway, Denial> {
    let gateway = ctx.world.config.gateway().map(|(_, gateway)| gateway);
    gateway.ok_or(Denial::NoGateway)
}

/// A service as the API shows one, without anything of its tokens but until when they are valid.
pub(super) fn view(service: &Service) -> Value {
    let tokens = service
        .tokens
        .iter()
        .map(|token| json!({ "valid_until": token.valid_until.map(Timestamp::seconds) }));
    json!({
        "id": service.id.as_str(),
        "name": service.name.as_str(),
        "base_url": service.base_url,
        "enabled": service.enabled,
        "dialect": service.dialect,
        "access": service.access,
        "fields": service.fields,
        "tokens": tokens.collect::<Vec<_>>(),
        "created_at": service.created_at.seconds(),
        "updated_at": service.updated_at.seconds(),
    })
}
