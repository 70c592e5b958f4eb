//! Who is to be told of a change of a user: the services of the gateway, each in its dialect.

use std::rc::Rc;

use crate::memory::world::World;
use crate::model::service::{Identity, Service, ServiceId};
use crate::model::service_event::{ServiceEvent, UserChange, Writer};
use crate::model::user::UserId;
use crate::platform::digest::{hex, random_text, sha256};
use crate::platform::port::{Fault, Notification, OutboxCall, QueuedEvent};
use crate::platform::time::Timestamp;
use crate::store::services::Services;

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

    /// The notifications that belong to a change.
    #[must_use]
    pub fn notifications(&self, change: UserChange<'_>, now: Timestamp) -> Vec<Notification> {
        let Some(user) = change.new.or(change.old) else {
            return Vec::new();
        };
        // Users of tenants do not sign in at the gateway.
        if user.tenant.is_some() {
            return Vec::new();
        }
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
        all.collect()
    }
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
    }
}
