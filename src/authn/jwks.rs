//! The keys that issuers publish: fetched, remembered by the isolate and by KV, refreshed before
//! they end, asked for again when a token names one that is not known.
//!
//! One isolate asks an issuer once at a time. Others wait for what comes of it. After a failure, and
//! after a question for an unknown key, it asks again only when the cool-down is over.

use std::rc::Rc;

use serde_json::Value;

use crate::http::host::fetchable_host;
use crate::jose::json::StrictObject;
use crate::jose::key::{KeySet, PublicKey};
use crate::memory::issuer_keys::FetchedKeys;
use crate::memory::world::World;
use crate::platform::port::{Fault, Outgoing};
use crate::platform::time::{Seconds, Timestamp};
use crate::site::issuer::{Document, Issuer, KeySource, RemoteKeys};
use crate::store::issuer_keys::{IssuerKeys, Published};

/// The longest document that is read, in bytes.
pub const MAX_DOCUMENT: usize = 64 * 1024;
/// How long an issuer may take for one document, in milliseconds.
pub const TIMEOUT: u32 = 3000;
/// How often, and for how many milliseconds at a time, a request waits for another one's question.
const PAUSES: u32 = 160;
const PAUSE: u32 = 50;

/// The keys of `issuer`, from memory while they are fresh.
///
/// # Errors
/// [`Fault::IssuerKeys`] when there are none that may still be used.
pub async fn current(
    world: &World,
    issuer: &Rc<Issuer>,
    remote: &RemoteKeys,
    now: Timestamp,
) -> Result<Rc<KeySet>, Fault> {
    let memory = &world.cache.issuer_keys;
    for _ in 0..PAUSES {
        let state = memory.state(issuer);
        if let Some(known) = &state.keys {
            let age_of = |share: u32| known.fetched_at + Seconds(remote.ttl.0 / 4 * share);
            if now < known.fetched_at + remote.ttl {
                if now >= age_of(3) && !state.is_under_way(now) && !state.has_failed(remote, now) {
                    wish(world, issuer, now);
                }
                return Ok(Rc::clone(&known.keys));
            }
            let may_be_stale = now < known.fetched_at + remote.stale;
            if may_be_stale && (state.has_failed(remote, now) || state.is_under_way(now)) {
                return Ok(Rc::clone(&known.keys));
            }
        }
        if state.has_failed(remote, now) {
            return Err(Fault::IssuerKeys);
        }
        if !state.is_under_way(now) {
            break;
        }
        world.platform.background.pause(PAUSE).await?;
    }
    world.platform.background.admit()?;
    Box::pin(refresh(world, issuer, remote, now)).await;
    let state = memory.state(issuer);
    let usable = state
        .keys
        .filter(|known| now < known.fetched_at + Seconds(remote.ttl.0.max(remote.stale.0)));
    usable.map(|known| known.keys).ok_or(Fault::IssuerKeys)
}

/// The keys as the issuer publishes them at this moment, for a token that none of `known` fits.
/// `None` when it was asked a moment ago.
///
/// # Errors
/// [`Fault::IssuerKeys`] when the issuer does not answer: then nobody knows whether it has the key.
pub async fn refetch(
    world: &World,
    issuer: &Rc<Issuer>,
    remote: &RemoteKeys,
    known: &Rc<KeySet>,
    now: Timestamp,
) -> Result<Option<Rc<KeySet>>, Fault> {
    let memory = &world.cache.issuer_keys;
    for _ in 0..PAUSES {
        let state = memory.state(issuer);
        let newer = state.keys.as_ref().map(|newer| &newer.keys);
        if let Some(newer) = newer.filter(|newer| !Rc::ptr_eq(newer, known)) {
            return Ok(Some(Rc::clone(newer)));
        }
        if !state.is_under_way(now) {
            let asked = state.asked_at.is_some_and(|at| now < at + remote.cooldown);
            if state.has_failed(remote, now) {
                return Err(Fault::IssuerKeys);
            }
            if asked {
                return Ok(None);
            }
            break;
        }
        world.platform.background.pause(PAUSE).await?;
    }
    world.platform.background.admit()?;
    memory.change(issuer, |state| {
        state.asked_at = Some(now);
        state.under_way = Some(now);
    });
    let uri = memory.state(issuer).keys.and_then(|known| known.jwks_uri);
    let fetched = Box::pin(fetch(world, remote, uri, now)).await;
    if settle(world, issuer, remote, fetched, now).await {
        Ok(memory.state(issuer).keys.map(|known| known.keys))
    } else {
        Err(Fault::IssuerKeys)
    }
}

/// Notes that the keys of `issuer` are to be fetched after this request.
fn wish(world: &World, issuer: &Rc<Issuer>, now: Timestamp) {
    let memory = &world.cache.issuer_keys;
    memory.change(issuer, |state| state.under_way = Some(now));
    memory.wishes.borrow_mut().push(Rc::clone(issuer));
}

/// Fetches, after the answer to this request, the keys whose time is nearly over.
pub fn refresh_later(world: &Rc<World>, now: Timestamp) {
    let wishes = std::mem::take(&mut *world.cache.issuer_keys.wishes.borrow_mut());
    for issuer in wishes {
        let held = Rc::clone(world);
        world.platform.background.spawn(Box::pin(async move {
            if let KeySource::Remote(remote) = &issuer.keys {
                let fetched = fetch(&held, remote, None, now).await;
                settle(&held, &issuer, remote, fetched, now).await;
            }
        }));
    }
}

/// From KV while what it has is fresh, else from the issuer.
async fn refresh(world: &World, issuer: &Issuer, remote: &RemoteKeys, now: Timestamp) {
    let memory = &world.cache.issuer_keys;
    memory.change(issuer, |state| state.under_way = Some(now));
    // What the store cannot tell, the issuer can.
    let stored = IssuerKeys(&*world.platform.kv)
        .find(&remote.url, &issuer.issuer)
        .await
        .unwrap_or_default();
    let stored = stored.and_then(|published| known(world, remote, &published));
    let is_fresh =
        |known: &FetchedKeys| known.fetched_at <= now && now < known.fetched_at + remote.ttl;
    let known_at = memory.state(issuer).keys.map(|known| known.fetched_at);
    if let Some(stored) = stored.filter(|stored| Some(stored.fetched_at) > known_at) {
        let fresh = is_fresh(&stored);
        memory.keep(issuer, stored);
        if fresh {
            memory.change(issuer, |state| state.under_way = None);
            return;
        }
    }
    let fetched = fetch(world, remote, None, now).await;
    settle(world, issuer, remote, fetched, now).await;
}

/// Remembers what a question has come to; whether there was an answer that can be used.
async fn settle(
    world: &World,
    issuer: &Issuer,
    remote: &RemoteKeys,
    fetched: Option<(Published, FetchedKeys)>,
    now: Timestamp,
) -> bool {
    let memory = &world.cache.issuer_keys;
    let Some((published, known)) = fetched else {
        memory.change(issuer, |state| {
            state.under_way = None;
            state.failed_at = Some(now);
        });
        return false;
    };
    // The same keys keep their place, so that who compares sees that nothing is new.
    let same = memory.state(issuer).keys;
    let same = same.filter(|old| *old.keys == *known.keys);
    let keys = same.map_or_else(|| Rc::clone(&known.keys), |old| old.keys);
    memory.keep(issuer, FetchedKeys { keys, ..known });
    memory.change(issuer, |state| {
        state.under_way = None;
        state.failed_at = None;
    });
    // Only a help for other isolates.
    let _ = IssuerKeys(&*world.platform.kv)
        .put(&remote.url, &issuer.issuer, &published, remote.stale)
        .await;
    true
}

/// Asks the issuer: for the discovery document if that is what is configured and `jwks_uri` is not
/// known, then for the keys.
async fn fetch(
    world: &World,
    remote: &RemoteKeys,
    jwks_uri: Option<Rc<str>>,
    now: Timestamp,
) -> Option<(Published, FetchedKeys)> {
    let uri = match (remote.document, jwks_uri) {
        (Document::Discovery, None) => Some(discovered(
            &document(world, remote, &remote.url).await?,
            remote,
        )?),
        (_, uri) => uri.map(|uri| uri.to_string()),
    };
    let url = uri.as_deref().unwrap_or(&remote.url);
    let published = Published::new(&document(world, remote, url).await?, uri.clone(), now);
    let known = known(world, remote, &published)?;
    Some((published, known))
}

fn known(world: &World, remote: &RemoteKeys, published: &Published) -> Option<FetchedKeys> {
    if let Some(uri) = &published.jwks_uri {
        may_ask(world, remote.loopback.as_deref(), uri)?;
    }
    let document = published.bytes();
    let keys = match remote.document {
        Document::KeySet | Document::Discovery => KeySet::from_jwks(&document).ok()?,
        Document::Key => PublicKey::from_document(&document).ok()?.into(),
    };
    Some(FetchedKeys {
        keys: Rc::new(keys),
        jwks_uri: published.jwks_uri.as_deref().map(Rc::from),
        fetched_at: published.fetched_at,
    })
}

/// `jwks_uri` of a discovery document, when it is that of this very issuer (`OpenID` Connect
/// Discovery 1.0 §4.3).
fn discovered(document: &[u8], remote: &RemoteKeys) -> Option<String> {
    let document: StrictObject = serde_json::from_slice(document).ok()?;
    if document.0.get("issuer").and_then(Value::as_str) != Some(remote.issuer.as_str()) {
        return None;
    }
    let uri = document.0.get("jwks_uri")?.as_str()?;
    (uri.len() <= 2048).then(|| uri.to_owned())
}

/// Whether `url` may be asked: a public name, or at `loopback`, and not one of our own sites.
pub(super) fn may_ask(world: &World, loopback: Option<&str>, url: &str) -> Option<()> {
    let host = fetchable_host(url, loopback)?;
    let scheme = url.split_once("://")?.0;
    world.config.served(&host, scheme).is_none().then_some(())
}

async fn document(world: &World, remote: &RemoteKeys, url: &str) -> Option<Vec<u8>> {
    may_ask(world, remote.loopback.as_deref(), url)?;
    let request = Outgoing {
        method: "GET",
        url,
        headers: &[("accept", "application/json, */*")],
        body: None,
        limit: MAX_DOCUMENT,
        timeout: TIMEOUT,
    };
    let answer = world.platform.fetch.fetch(request).await.ok()?;
    // Nothing but 200: a redirect may lead anywhere.
    (answer.status == 200).then_some(answer.body)
}
