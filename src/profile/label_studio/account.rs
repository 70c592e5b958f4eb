//! A user's account at Label Studio and the credential for their requests. Both are looked up beside
//! the user's own credential, in the isolate's memory, in the store, and at Label Studio, in this
//! order.

use std::rc::Rc;

use crate::answer::denial::Denial;
use crate::authn::principal::Principal;
use crate::credential::origin_account::{Account, KnownAccount, Trouble};
use crate::credential::verified::OriginCredential;
use crate::http::headers::HeaderChanges;
use crate::memory::world::World;
use crate::model::user::subject::Handle;
use crate::model::user::{Email, User, fold};
use crate::platform::port::Fault;
use crate::platform::time::{Seconds, Timestamp};
use crate::profile::label_studio::calls::{Calls, Created};
use crate::profile::label_studio::{REUSED, mint, pat};
use crate::site::Site;
use crate::site::label_studio::{LabelStudio, Mode};
use crate::store::origin_accounts::{OriginAccount, OriginAccounts};

/// The shortest time between two checks of an account, however often the origin refuses it.
const LOOKED_AT: Seconds = Seconds(5);
/// How long a refusal is remembered.
const REFUSED: Seconds = Seconds(10);

impl From<Trouble> for Denial {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Account(reason) => Self::AccountRefused(reason),
            Trouble::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// The account of `principal` and the header for its requests.
pub(super) async fn credential(
    settings: &LabelStudio,
    world: &World,
    site: &Site,
    principal: &Principal,
    now: Timestamp,
) -> Result<(Rc<Account>, Rc<HeaderChanges>), Denial> {
    let user = principal.user();
    if let Some(known) = &principal.verified().memo().origin
        && now < known.fresh_until
        && Rc::ptr_eq(&known.user, user)
        && !known.account.doubted.get()
    {
        return Ok((Rc::clone(&known.account), Rc::clone(&known.headers)));
    }
    // Mode `pat` writes the record together with the credential: KV takes one write per key and
    // second.
    let keep = matches!(settings.mode, Mode::Mint { .. });
    let account = ensure(settings, world, site, user, keep, now).await?;
    let (account, token, fresh_until): (_, Rc<str>, _) = match &settings.mode {
        Mode::Mint { key, .. } => {
            let token = mint(key, account.id, &*world.platform.entropy, now);
            (account, token.into(), now + REUSED)
        }
        Mode::Pat { .. } => {
            Box::pin(pat::access(settings, world, site, user, account, now)).await?
        }
    };
    let mut headers = HeaderChanges::with_capacity(token.len() + 32);
    headers.set("authorization", &format!("Bearer {token}"));
    let headers = Rc::new(headers);
    let told = OriginCredential {
        user: Rc::clone(user),
        fresh_until,
        account: Rc::clone(&account),
        headers: Rc::clone(&headers),
    };
    principal
        .verified()
        .remember(|memo| memo.origin = Some(told));
    Ok((account, headers))
}

/// Label Studio tells its users apart by address, so one that does not identify its user would be the way to the
/// account of another.
fn address_of(user: &User) -> Result<&Email, Denial> {
    let address = user.handle().and_then(Handle::address);
    address.ok_or(Denial::AccountRefused(
        "no e-mail address identifies the user, whom an issuer knows by subject",
    ))
}

/// The account of `user`: the known one, checked again if it is in doubt, or a new one. `keep`:
/// whether to write a new record to the store.
pub(super) async fn ensure(
    settings: &LabelStudio,
    world: &World,
    site: &Site,
    user: &Rc<User>,
    keep: bool,
    now: Timestamp,
) -> Result<Rc<Account>, Denial> {
    let email = address_of(user)?;
    let known = world.cache.account(&site.name, user.id.as_str());
    let mut doubted = None;
    match known {
        Some(KnownAccount::Refused(trouble, until)) if now < until => return Err(trouble.into()),
        Some(KnownAccount::Account(account)) if account.record.email == *email => {
            if !account.doubted.get() || now < account.looked_at + LOOKED_AT {
                return Ok(account);
            }
            doubted = Some(account.record.clone());
        }
        _ => {}
    }
    let found = Box::pin(look_up(settings, world, site, user, doubted, keep, now)).await;
    let known = match &found {
        Ok(account) => KnownAccount::Account(Rc::clone(account)),
        Err(Denial::AccountRefused(reason)) => {
            KnownAccount::Refused(Trouble::Account(reason), now + REFUSED)
        }
        // A fault is not remembered: the next request may try at once.
        Err(_) => return found,
    };
    world.cache.put_account(&site.name, user.id.as_str(), known);
    found
}

async fn look_up(
    settings: &LabelStudio,
    world: &World,
    site: &Site,
    user: &Rc<User>,
    doubted: Option<OriginAccount>,
    keep: bool,
    now: Timestamp,
) -> Result<Rc<Account>, Denial> {
    let store = OriginAccounts(&*world.platform.kv);
    let calls = Calls::new(settings, world, site, now);
    let record = match doubted {
        Some(record) => inspect(&calls, record).await?,
        None => store
            .find(&site.name, &user.id)
            .await?
            .filter(|record| Some(&record.email) == user.email.as_ref()),
    };
    let record = if let Some(record) = record {
        record
    } else {
        let record = OriginAccount {
            email: address_of(user)?.clone(),
            id: find_or_create(&calls, user).await?,
            credential: None,
        };
        // If the write fails, the account is found by its address next time.
        if keep {
            let _ = store.put(&site.name, &user.id, &record).await;
        }
        record
    };
    Ok(Rc::new(Account::new(site, user, record, now)))
}

/// Of two concurrent requests, one creates the user, and the other one finds it.
async fn find_or_create(calls: &Calls<'_>, user: &User) -> Result<u64, Denial> {
    let otherwise = match calls.create(user).await? {
        Created::Made(id) => return Ok(id),
        Created::EmailRefused => Denial::AccountRefused(
            "the origin refuses the address for a new user, and no member has it",
        ),
        Created::Failed => Denial::Fault(Fault::Application("failed to create a user")),
    };
    let found = calls
        .find_by_email(address_of(user)?)
        .await?
        .ok_or(otherwise)?;
    if found.active_organization.is_none() {
        calls.join(found.id).await?;
    }
    refuse_deactivated(calls, found.id).await?;
    Ok(found.id)
}

/// Checks an account that the origin did not accept. `None` if it is gone or belongs to somebody
/// else.
async fn inspect(
    calls: &Calls<'_>,
    record: OriginAccount,
) -> Result<Option<OriginAccount>, Denial> {
    let Some(found) = calls.user(record.id).await? else {
        return Ok(None);
    };
    if found.is_removed() {
        return Err(Denial::AccountRefused("removed from the organization"));
    }
    if fold(&found.email) != record.email.as_str() {
        return Ok(None);
    }
    // Label Studio answers 500 to a user without an active organization.
    if found.active_organization.is_none() {
        calls.join(found.id).await?;
    }
    refuse_deactivated(calls, found.id).await?;
    Ok(Some(record))
}

/// Refuses a user whom the origin has deactivated. Only the user's own token reveals that.
async fn refuse_deactivated(calls: &Calls<'_>, id: u64) -> Result<(), Denial> {
    match calls.mint_for(id) {
        Some(token) if !calls.accepts(&token).await? => {
            Err(Denial::AccountRefused("deactivated at the origin"))
        }
        _ => Ok(()),
    }
}
