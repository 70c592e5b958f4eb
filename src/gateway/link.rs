//! A link with which a user sets a password: an admin makes it, and it goes where the admin and the configuration say.

use serde::{Deserialize, Serialize};

use crate::answer::mail;
use crate::http::query;
use crate::memory::world::World;
use crate::model::service::Dialect;
use crate::model::service_event::Writer;
use crate::model::user::User;
use crate::people::services::{holds_name, queued};
use crate::platform::port::{Fault, Notification, OutboxCall};
use crate::platform::time::{Seconds, Timestamp};
use crate::site::Site;
use crate::site::gateway::Gateway;
use crate::store::passwords::Passwords;
use crate::store::services::ServiceRecords;
use crate::store::tickets::{PASSWORD_LINK, Ticket, TicketFor, Tickets};

/// A way to send a link.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// An event for the service that the configuration names.
    Service,
    /// A mail to the user's address.
    Mail,
}

/// The result of one way.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sending {
    /// The event is stored, and is delivered while the link works.
    Queued,
    /// The mail service has accepted the mail.
    Sent,
    /// The admin did not ask for this way.
    NotAsked,
    /// This way is not configured.
    NotConfigured,
    /// The user has no address, or the configured service was deleted, is disabled, has another dialect, or knows another user by this user's name.
    Unavailable,
    /// It was not accepted, or not in time.
    Failed,
}

/// The results of all ways.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sendings {
    pub service: Sending,
    pub mail: Sending,
}

/// A link with which a user sets a password.
pub struct PasswordLink {
    pub url: String,
    pub expires_at: Timestamp,
}

/// Makes a link for a user, at the first host of the gateway.
///
/// # Errors
/// A fault.
pub async fn make(
    world: &World,
    site: &Site,
    user: &User,
    scheme: &str,
    now: Timestamp,
) -> Result<PasswordLink, Fault> {
    let (token, expires_at) = issue(world, user, "", PASSWORD_LINK, now).await?;
    let host = site.hosts.first().map_or("", String::as_str);
    let url = format!(
        "{scheme}://{host}/password/?token={}",
        query::encode(&token)
    );
    Ok(PasswordLink { url, expires_at })
}

/// A token with which the password of a user can be set once, within `lifetime`, and when it expires. `next_url`: where the
/// browser goes afterwards; the account page if it is empty.
///
/// # Errors
/// A fault.
pub(super) async fn issue(
    world: &World,
    user: &User,
    next_url: &str,
    lifetime: Seconds,
    now: Timestamp,
) -> Result<(String, Timestamp), Fault> {
    let tickets = Tickets::of(&world.platform, now);
    let expires_at = now + lifetime;
    let mut ticket = Ticket::new(TicketFor::Password, next_url, expires_at);
    ticket.user = Some(user.id.as_str().to_owned());
    ticket.settled_at = Some(now);
    Ok((tickets.issue(ticket).await?, expires_at))
}

/// Sends a link by these ways; `None`: by all that are configured. No failure of one way takes the link or another way
/// with it.
pub async fn send(
    world: &World,
    (site, gateway): (&Site, &Gateway),
    user: &User,
    link: &PasswordLink,
    ways: Option<&[Way]>,
    now: Timestamp,
) -> Sendings {
    let is_asked = |way| ways.is_none_or(|ways| ways.contains(&way));
    let service = if is_asked(Way::Service) {
        let told = tell_service(world, gateway, user, link, now).await;
        told.unwrap_or(Sending::Failed)
    } else {
        Sending::NotAsked
    };
    let mail = if is_asked(Way::Mail) {
        send_mail(world, site, gateway, user, link).await
    } else {
        Sending::NotAsked
    };
    Sendings { service, mail }
}

async fn tell_service(
    world: &World,
    gateway: &Gateway,
    user: &User,
    link: &PasswordLink,
    now: Timestamp,
) -> Result<Sending, Fault> {
    let Some(id) = &gateway.link_service else {
        return Ok(Sending::NotConfigured);
    };
    let records = &*world.platform.records;
    let held = ServiceRecords(records).read(id).await?;
    let service = held
        .map(|held| held.service)
        .filter(|service| service.enabled && service.dialect == Dialect::Webhook);
    let Some(service) = service else {
        return Ok(Sending::Unavailable);
    };
    if !holds_name(world, gateway.identity, user).await? {
        return Ok(Sending::Unavailable);
    }
    let writer = Writer {
        service: &service,
        identity: gateway.identity,
        now,
    };
    let mut event = queued(
        world,
        &user.id,
        writer.password_link(user, &link.url, link.expires_at),
    );
    event.until = Some(link.expires_at.millis());
    let notify = vec![Notification {
        service: id.as_str().to_owned(),
        call: OutboxCall::Push {
            events: vec![event],
        },
    }];
    Passwords(records).announce(&user.id, notify).await?;
    Ok(Sending::Queued)
}

async fn send_mail(
    world: &World,
    site: &Site,
    gateway: &Gateway,
    user: &User,
    link: &PasswordLink,
) -> Sending {
    let platform = &world.platform;
    let Some(from) = gateway
        .mail_from
        .as_ref()
        .filter(|_| platform.mail.is_bound())
    else {
        return Sending::NotConfigured;
    };
    let Some(address) = &user.email else {
        return Sending::Unavailable;
    };
    let letter = mail::with_link(&site.brand, from, address, &link.url, link.expires_at);
    match platform.mail.send(&letter).await {
        Ok(()) => Sending::Sent,
        Err(_) => Sending::Failed,
    }
}
