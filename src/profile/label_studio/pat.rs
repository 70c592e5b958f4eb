//! Mode `pat`: a personal access token for each user, made once, stored encrypted, and replaced if it
//! was revoked; and the access tokens that Label Studio issues for it.
//!
//! A second personal access token cannot be made without revoking the first. So a claim in `Once`,
//! which all isolates see at once, settles who makes it. Afterwards the claim holds the encrypted
//! token, for longer than KV can be behind.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::answer::denial::Denial;
use crate::credential::origin_account::{Account, KnownAccount, Trouble};
use crate::memory::world::World;
use crate::model::user::{User, UserId};
use crate::platform::digest::{hex, random_text, sha256};
use crate::platform::port::Fault;
use crate::platform::time::{Seconds, Timestamp};
use crate::profile::label_studio::calls::Calls;
use crate::site::Site;
use crate::site::label_studio::LabelStudio;
use crate::store::origin_accounts::{OriginAccount, OriginAccounts, SealedCredential};

/// How long a request may take to make a token: longer than all its calls together may take.
const MAKING: Seconds = Seconds(90);
/// How long the claim holds the new token: longer than KV can be behind.
const MADE: Seconds = Seconds(180);
/// How long a request waits for another one that is making the token.
const PATIENCE: Seconds = Seconds(20);
/// How long before its end an access token is replaced.
const BEFORE_END: Seconds = Seconds(60);
/// The lifetime of an access token that does not state one.
const USUAL: Seconds = Seconds(300);
/// How long a failure to make a token is remembered.
const TROUBLE: Seconds = Seconds(30);

const MADE_MARK: &str = "made:";

/// The access token for `user`, and until when it can be used. If Label Studio refuses the personal
/// access token, that one is replaced once; if it refuses the new one as well, that is a fault.
pub(super) async fn access(
    settings: &LabelStudio,
    world: &World,
    site: &Site,
    user: &Rc<User>,
    account: Rc<Account>,
    now: Timestamp,
) -> Result<(Rc<Account>, Rc<str>, Timestamp), Denial> {
    let known = account.access();
    if let Some((token, until)) = known.filter(|(_, until)| now < *until) {
        return Ok((account, token, until));
    }
    let calls = Calls::new(settings, world, site, now);
    if let Some(credential) = &account.record.credential
        && let Some(pat) = open(world, site, user, credential).await?
        && let Some(token) = calls.refresh(&pat).await?
    {
        return Ok(remember(account, &token, now));
    }
    let replaced = replace(&calls, world, site, user, &account.record, now).await;
    let token = match &replaced {
        Ok((_, pat)) => calls.refresh(pat).await?,
        Err(_) => None,
    };
    let trouble = match (replaced, token) {
        (Ok((record, _)), Some(token)) => {
            let account = Rc::new(Account::new(site, user, record, now));
            let known = KnownAccount::Account(Rc::clone(&account));
            world.cache.put_account(&site.name, user.id.as_str(), known);
            return Ok(remember(account, &token, now));
        }
        (Ok(_), None) => Trouble::Fault(Fault::Application(
            "did not accept a personal access token that it had just issued",
        )),
        (Err(Denial::AccountRefused(reason)), _) => Trouble::Account(reason),
        (Err(Denial::Fault(fault)), _) => Trouble::Fault(fault),
        (Err(other), _) => return Err(other),
    };
    let known = KnownAccount::Refused(trouble, now + TROUBLE);
    world.cache.put_account(&site.name, user.id.as_str(), known);
    Err(trouble.into())
}

fn remember(
    account: Rc<Account>,
    token: &str,
    now: Timestamp,
) -> (Rc<Account>, Rc<str>, Timestamp) {
    let token: Rc<str> = token.into();
    let until = good_until(&token, now);
    account.put_access(&token, until);
    (account, token, until)
}

/// Until when an access token received at `now` is used. Its times are by the origin's clock, so
/// only the span between them counts.
pub(super) fn good_until(token: &str, now: Timestamp) -> Timestamp {
    let claims = token
        .split('.')
        .nth(1)
        .and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    let claims: Option<Value> = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
    let time = |name: &str| claims.as_ref()?.get(name)?.as_u64();
    let lifetime = time("exp")
        .zip(time("iat"))
        .and_then(|(exp, iat)| u32::try_from(exp.checked_sub(iat)?).ok())
        .unwrap_or(USUAL.0);
    let share = BEFORE_END.0.min(lifetime / 2);
    now + Seconds(lifetime - share)
}

/// The personal access token that replaces the one in `old`: made here, or by a concurrent request
/// that is making it already.
async fn replace(
    calls: &Calls<'_>,
    world: &World,
    site: &Site,
    user: &Rc<User>,
    old: &OriginAccount,
    now: Timestamp,
) -> Result<(OriginAccount, String), Denial> {
    let once = &*world.platform.once;
    let whose = format!("{}\n{}\n{}", site.name, user.id, old.id);
    let key = format!("origin_account:{}", hex(&sha256(whose.as_bytes())));
    let stale = mark(old)?;
    let mine = format!("making:{}", random_text(&*world.platform.entropy));
    let mut held = once.replace(&key, &stale, &mine, MAKING, now).await?;
    if held != mine && !held.starts_with(MADE_MARK) {
        let later = once.changed(&key, &held, PATIENCE).await?;
        held = later
            .filter(|later| later.starts_with(MADE_MARK))
            .ok_or(Fault::Application(
                "took too long over a personal access token",
            ))?;
    }
    if let Some(text) = held.strip_prefix(MADE_MARK) {
        let record: OriginAccount = serde_json::from_str(text).map_err(|_| Fault::Record)?;
        let credential = record.credential.as_ref().ok_or(Fault::Record)?;
        let pat = open(world, site, user, credential).await?;
        return Ok((record, pat.ok_or(Fault::SealedWithUnknownSecret)?));
    }
    let made = make(calls, world, site, user, old).await;
    match &made {
        Ok((record, _)) => {
            once.replace(&key, &mine, &mark(record)?, MADE, now).await?;
        }
        // The next request may try at once.
        Err(_) => once.release(&key).await?,
    }
    made
}

fn mark(record: &OriginAccount) -> Result<String, Fault> {
    let text = serde_json::to_string(record).map_err(|_| Fault::Record)?;
    Ok(format!("{MADE_MARK}{text}"))
}

/// Makes a personal access token as the user. That takes a session, and so a password: a random one
/// that is stored nowhere.
async fn make(
    calls: &Calls<'_>,
    world: &World,
    site: &Site,
    user: &Rc<User>,
    old: &OriginAccount,
) -> Result<(OriginAccount, String), Denial> {
    // Edgeward itself uses that account's token, and making another one would revoke it.
    if calls.is_own(old.id) {
        return Err(Denial::AccountRefused(
            "it is the account of the configured personal access token",
        ));
    }
    let password = random_text(&*world.platform.entropy) + &random_text(&*world.platform.entropy);
    let email = calls
        .user(old.id)
        .await?
        .filter(|found| !found.is_removed())
        .ok_or(Denial::AccountRefused("removed at the origin"))?
        .email;
    calls.put_password(old.id, &password).await?;
    let session = calls
        .sign_in(&email, &password)
        .await?
        .ok_or(Denial::AccountRefused("deactivated at the origin"))?;
    let pat = if let Some(pat) = calls.make_pat(&session).await? {
        pat
    } else {
        // The user made one on the account page, or one of ours was lost. Label Studio allows one
        // per user and never shows it again.
        calls.revoke_pats(&session).await?;
        let again = calls.make_pat(&session).await?;
        again.ok_or(Fault::Application(
            "still has a personal access token that was revoked",
        ))?
    };
    let record = OriginAccount {
        credential: Some(seal(world, site, user, &pat).await?),
        ..old.clone()
    };
    // If the write fails, the token is made again when it is needed.
    let _ = OriginAccounts(&*world.platform.kv)
        .put(&site.name, &user.id, &record)
        .await;
    Ok((record, pat))
}

/// The id of the user that a personal access token names.
pub(super) fn user_of(token: &str) -> Option<u64> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let id = claims.get("user_id")?;
    id.as_u64().or_else(|| id.as_str()?.parse().ok())
}

/// The purpose that the encryption key is derived for: one key per account, so that a record copied
/// to another account does not decrypt.
fn purpose(site: &Site, user: &UserId) -> String {
    format!("edgeward origin credential\n{}\n{user}", site.name)
}

async fn seal(
    world: &World,
    site: &Site,
    user: &User,
    pat: &str,
) -> Result<SealedCredential, Fault> {
    let ring = &world.config.keys.key;
    let secret = ring.newest();
    let key = ring
        .encryption_key(secret, &purpose(site, &user.id))
        .ok_or(Fault::SealedWithUnknownSecret)?;
    let sealed = world.platform.crypto.seal(&key, pat.as_bytes()).await?;
    Ok(SealedCredential {
        secret,
        sealed: URL_SAFE_NO_PAD.encode(sealed),
    })
}

/// `None` if its secret is retired or it does not decrypt; a new one is made then.
async fn open(
    world: &World,
    site: &Site,
    user: &User,
    credential: &SealedCredential,
) -> Result<Option<String>, Fault> {
    let ring = &world.config.keys.key;
    let key = ring.encryption_key(credential.secret, &purpose(site, &user.id));
    let (Some(key), Ok(sealed)) = (key, URL_SAFE_NO_PAD.decode(&credential.sealed)) else {
        return Ok(None);
    };
    let pat = world.platform.crypto.open(&key, &sealed).await.ok();
    Ok(pat.and_then(|pat| String::from_utf8(pat).ok()))
}
