//! Origin profiles: what one application needs beyond identity headers. A profile is a gate (it takes
//! over or refuses paths), a provisioner (it creates a user's account at the origin) and a mutator
//! (it sets headers for the origin and changes its response). Knows the store and the origin's API,
//! never how a credential was verified.
//!
//! This file is the seam: another application is another variant, in a file of its own.

pub mod label_studio;

use std::rc::Rc;

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::reply::Reply;
use crate::ask::ctx::Ctx;
use crate::authn::principal::Principal;
use crate::memory::world::World;
use crate::model::user::User;
use crate::origin::Told;
use crate::platform::port::Fault;
use crate::platform::time::Timestamp;
use crate::site::profile::Profile;
use crate::store::origin_accounts::OriginAccounts;

/// What a profile decides about a request that the rule allowed.
pub enum Verdict {
    /// It is forwarded with these headers.
    Forward(Told),
    /// It is answered here.
    Reply(Reply),
}

/// Answers a request at a path where the application's programs exchange a credential
/// ([`Profile::exchanges`]).
///
/// # Errors
/// Why the presented credential is not exchanged.
pub async fn exchange(profile: &Profile, ctx: &Ctx<'_>) -> Result<Answer, Denial> {
    match profile {
        Profile::LabelStudio(_) => label_studio::exchange(ctx).await,
    }
}

/// Lets a request pass or not, and says which headers the origin gets. Does not wait while the
/// user's account and its token are fresh in memory.
///
/// # Errors
/// Why it is refused, or a fault of the origin.
pub async fn gate(
    profile: &Profile,
    ctx: &Ctx<'_>,
    principal: Option<&Principal>,
) -> Result<Verdict, Denial> {
    match profile {
        Profile::LabelStudio(settings) => label_studio::gate(settings, ctx, principal).await,
    }
}

async fn provision_at(
    profile: &Profile,
    world: &World,
    site: &crate::site::Site,
    user: &Rc<User>,
    now: Timestamp,
) -> Result<u64, Denial> {
    match profile {
        Profile::LabelStudio(settings) => {
            label_studio::provision(settings, world, site, user, now).await
        }
    }
}

/// Creates a user's accounts at the origins of all sites with a profile, before the user's first
/// visit. `None` if there is no such site. Failures are reported, not returned: provisioning is
/// retried when the user first visits.
pub async fn provision(world: &World, user: &User, now: Timestamp) -> Option<Value> {
    let user = Rc::new(user.clone());
    let mut accounts = Map::new();
    for site in world.config.sites() {
        // A tenant's users can only use sites with tenants, and none of those has a profile.
        if let Some(profile) = &site.profile
            && user.active
            && user.tenant.is_none()
        {
            let made = Box::pin(provision_at(profile, world, site, &user, now)).await;
            let told = match made {
                Ok(id) => json!({ "id": id }),
                Err(denial) => json!({ "error": denial.reason() }),
            };
            accounts.insert(site.name.clone(), told);
        }
    }
    (!accounts.is_empty()).then_some(Value::Object(accounts))
}

/// Forgets the accounts of a deleted user. At the origin they stay, with the work that was done with
/// them.
///
/// # Errors
/// A [`Fault`] of the store.
pub async fn forget(world: &World, user: &User) -> Result<(), Fault> {
    for site in world.config.sites() {
        if site.profile.is_some() {
            OriginAccounts(&*world.platform.kv)
                .remove(&site.name, &user.id)
                .await?;
            world.cache.forget_account(&site.name, &user.id);
        }
    }
    Ok(())
}

/// Called when the origin may not have accepted the identity that it was told. If it did not, the
/// account is checked before its next use. `whom` is [`crate::origin::ResponseRules::whom`],
/// `location` the header of the response.
pub fn note_refusal(world: &World, whom: &str, status: u16, location: &str) {
    let Some((site, user)) = whom.split_once('\t') else {
        return;
    };
    if label_studio::may_refuse_user(status, location) {
        world.cache.doubt_account(site, user);
    }
}
