//! Who is to be told of a change of a user: the services of the gateway, each in its dialect.

use std::rc::Rc;

use crate::memory::world::World;
use crate::model::service::{Identity, Service, ServiceId};
use crate::model::service_event::{ServiceEvent, UserChange, Writer};
use crate::model::user::{Email, User, UserId};
use crate::platform::digest::{hex, random_text, sha256};
use crate::platform::port::{Fault, Notification, OutboxCall, QueuedEvent};
use crate::platform::time::Timestamp;
use crate::store::services::Services;
use crate::store::users::UserRecords;

/// The services that are told of changes, and what they call a user. None without a gateway.
pub struct Audience<'a> {
    world: &'a World,
    identity: Identity,
    services: Rc<[Service]>,
    /// The service that has caused the change and knows of it.
    except: Option<&'a ServiceId>,
}

impl<'a> Audience<'a> {
    /// All services, as this isolate may have read them up to `user_cache` ago. A service that was just added may miss a
    /// change; it is told of a user at each of the user's sign-ins.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn of(
        world: &'a World,
        except: Option<&'a ServiceId>,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let gateway = world.config.gateway();
        let services = match gateway {
            None => Rc::default(),
            Some(_) => known(world, now).await?,
        };
        let identity = gateway
            .map(|(_, gateway)| gateway.identity)
            .unwrap_or_default();
        Ok(Self {
            world,
            identity,
            services,
            except,
        })
    }

    /// The notifications that belong to a change. A user who does not hold the name by which services would know them is
    /// none of theirs.
    ///
    /// # Errors
    /// A [`Fault`] of the writer of a name.
    pub async fn notifications(
        &self,
        change: UserChange<'_>,
        now: Timestamp,
    ) -> Result<Vec<Notification>, Fault> {
        if self.services.is_empty() {
            return Ok(Vec::new());
        }
        let change = UserChange {
            old: self.named(change.old).await?,
            new: self.named(change.new).await?,
        };
        let Some(user) = change.new.or(change.old) else {
            return Ok(Vec::new());
        };
        let told = self
            .services
            .iter()
            .filter(|service| Some(&service.id) != self.except);
        let all = told.filter_map(|service| {
            let writer = Writer {
                service,
                identity: self.identity,
                now,
            };
            let events = writer.events(change);
            let events: Vec<QueuedEvent> = events
                .into_iter()
                .map(|event| queued(self.world, &user.id, event))
                .collect();
            (!events.is_empty()).then(|| Notification {
                service: service.id.as_str().to_owned(),
                call: OutboxCall::Push { events },
            })
        });
        Ok(all.collect())
    }

    /// Whether another user holds the name by which services would know this one.
    ///
    /// # Errors
    /// A [`Fault`] of the writer of the name.
    pub async fn is_anothers_name(&self, user: &User) -> Result<bool, Fault> {
        let has_gateway = self.world.config.gateway().is_some();
        let holder = holder(self.world, self.identity, user).await?;
        Ok(has_gateway && matches!(holder, NameHolder::Another))
    }

    /// The user, if services may be told of them. A name that nobody holds is claimed with the change.
    async fn named<'u>(&self, user: Option<&'u User>) -> Result<Option<&'u User>, Fault> {
        // Users of tenants do not sign in at the gateway.
        let Some(user) = user.filter(|user| user.tenant.is_none()) else {
            return Ok(None);
        };
        let holder = holder(self.world, self.identity, user).await?;
        Ok((!matches!(holder, NameHolder::Another | NameHolder::Unnamed)).then_some(user))
    }
}

/// Who holds the name by which services know a user.
#[derive(Clone, Copy, Eq, PartialEq)]
enum NameHolder {
    /// The user, or nobody else can: addresses are unique.
    Themselves,
    /// Services know users by their address, and the user has none or is not identified by it.
    Unnamed,
    Nobody,
    Another,
}

async fn holder(world: &World, identity: Identity, user: &User) -> Result<NameHolder, Fault> {
    if identity == Identity::Email && user.subject.is_some() {
        return Ok(NameHolder::Unnamed);
    }
    if identity == Identity::Email || is_own_address(user) {
        return Ok(NameHolder::Themselves);
    }
    let records = UserRecords(&*world.platform.records);
    Ok(match records.name_holder(&user.username).await? {
        None => NameHolder::Nobody,
        Some(id) if id == user.id => NameHolder::Themselves,
        Some(_) => NameHolder::Another,
    })
}

/// Whether services may know a user by what `identity` says: a username can be that of several users, and only one holds
/// it.
///
/// # Errors
/// A [`Fault`] of the writer of the name.
pub async fn holds_name(world: &World, identity: Identity, user: &User) -> Result<bool, Fault> {
    Ok(holder(world, identity, user).await? == NameHolder::Themselves)
}

/// Whether a user's username is their own address, in any spelling of it.
#[must_use]
pub fn is_own_address(user: &User) -> bool {
    user.subject.is_none() && Email::parse(user.username.as_str()) == user.email
}

/// All services, as this isolate may have read them up to `user_cache` ago.
///
/// # Errors
/// A [`Fault`] of the store.
pub async fn known(world: &World, now: Timestamp) -> Result<Rc<[Service]>, Fault> {
    if let Some(services) = world.cache.services.get(world.config.user_cache, now) {
        return Ok(services);
    }
    let services = Services(&*world.platform.kv).all().await?;
    Ok(world.cache.services.put(services, now))
}

/// An event with an id of its own.
#[must_use]
pub fn queued(world: &World, user: &UserId, event: ServiceEvent) -> QueuedEvent {
    QueuedEvent {
        id: format!("msg_{}", random_text(&*world.platform.entropy)),
        user: hex(&sha256(user.as_str().as_bytes())),
        kind: event.kind.name().to_owned(),
        body: event.body,
        until: None,
    }
}
