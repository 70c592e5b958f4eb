//! Origin profiles: what one application needs beyond identity headers. A profile is a gate (paths
//! that are taken over, or refused), a provisioner (who a user is at the origin) and a mutator (what
//! the origin is told, and what of its answer is changed). Knows the store and the origin's API,
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

/// What a profile makes of a request that the rule let through.
pub enum Verdict {
    /// It goes on, and the origin is told this.
    Forward(Told),
    /// It is answered here.
    Reply(Reply),
}

/// Answers such an exchange.
///
/// # Errors
/// Why nothing is given for what was presented.
pub async fn exchange(profile: &Profile, ctx: &Ctx<'_>) -> Result<Answer, Denial> {
    match profile {
        Profile::LabelStudio(_) => label_studio::exchange(ctx).await,
    }
}

/// Judges a request, and says what the origin is told of it. Waits for nothing while what is
/// known of the user at the origin is fresh.
///
/// # Errors
/// Why it is refused, or a fault of the origin.
pub async fn judge(
    profile: &Profile,
    ctx: &Ctx<'_>,
    principal: Option<&Principal>,
) -> Result<Verdict, Denial> {
    match profile {
        Profile::LabelStudio(settings) => label_studio::judge(settings, ctx, principal).await,
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

/// Makes a user's accounts at the origins that want one before the user comes; `None` when no site
/// has such an origin. Failures are reported, not returned: provisioning is retried when the user
/// first visits.
pub async fn provision(world: &World, user: &User, now: Timestamp) -> Option<Value> {
    let user = Rc::new(user.clone());
    let mut accounts = Map::new();
    for site in world.config.sites() {
        // A user of a tenant comes to sites with tenants only, and none of those has a profile.
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

/// Forgets the accounts of a user that was deleted. At the origin they stay: the work that was done
/// with them is there.
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

/// The origin did not take the identity that it was told: what is known of the account is looked at
/// again before it is used once more. `whom` is what [`Told`] carried, `location` where the answer
/// leads.
pub fn refused(world: &World, whom: &str, status: u16, location: &str) {
    let Some((site, user)) = whom.split_once('\t') else {
        return;
    };
    if label_studio::speaks_of_identity(status, location) {
        world.cache.doubt_account(site, user);
    }
}
