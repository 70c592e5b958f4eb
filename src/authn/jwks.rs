//! The keys that issuers publish: fetched, remembered by the isolate and by KV, refreshed before
//! they end, asked for again when a token names one that is not known.
//!
//! One isolate asks an issuer once at a time. Others wait for what comes of it. After a failure, and
//! after a question for an unknown key, it asks again only when the cool-down is over.

use std::rc::Rc;

use serde_json::{Map, Value};

use crate::answer::metrics;
use crate::http::host::fetchable_host;
use crate::jose::json::StrictObject;
use crate::jose::key::{KeySet, PublicKey};
use crate::memory::issuer_keys::{FetchedKeys, KeysCause, KeysFailure};
use crate::memory::world::World;
use crate::platform::port::{Fault, Incoming, Outgoing};
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
    let fetched = Box::pin(fetch(world, issuer, remote, uri, now)).await;
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
                let fetched = fetch(&held, &issuer, remote, None, now).await;
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
    let stored = stored.and_then(|published| known(world, remote, &published).ok());
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
    let fetched = fetch(world, issuer, remote, None, now).await;
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
/// known, then for the keys. A failure is noted for the log.
async fn fetch(
    world: &World,
    issuer: &Issuer,
    remote: &RemoteKeys,
    jwks_uri: Option<Rc<str>>,
    now: Timestamp,
) -> Option<(Published, FetchedKeys)> {
    let asked = ask(world, remote, jwks_uri, now).await;
    let result = if asked.is_ok() { "ok" } else { "failed" };
    let tally = &world.cache.tally;
    tally.add(metrics::KEY_FETCHES, &issuer.name, result);
    match asked {
        Ok((published, known)) => Some((published, known)),
        Err((url, cause)) => {
            world.cache.issuer_keys.note_failure(KeysFailure {
                issuer: issuer.name.clone(),
                host: host_for_log(&url),
                cause,
            });
            None
        }
    }
}

/// Whether an issuer publishes keys that can be used. Keeps nothing.
///
/// # Errors
/// [`KeysCause`].
pub async fn check(world: &World, remote: &RemoteKeys, now: Timestamp) -> Result<(), KeysCause> {
    let asked = ask(world, remote, None, now).await;
    asked.map(|_| ()).map_err(|(_, cause)| cause)
}

/// What an issuer publishes, read; on failure, the URL of the document that is at fault.
async fn ask(
    world: &World,
    remote: &RemoteKeys,
    jwks_uri: Option<Rc<str>>,
    now: Timestamp,
) -> Result<(Published, FetchedKeys), (String, KeysCause)> {
    let (uri, found) = published(world, remote, jwks_uri).await?;
    let published = Published::new(&found, uri.clone(), now);
    let at_keys = |cause| (uri.unwrap_or_else(|| remote.url.clone()), cause);
    let known = known(world, remote, &published).map_err(at_keys)?;
    Ok((published, known))
}

/// The URL of the key set if a discovery document names it, and the document with the keys as it was published. Keeps nothing.
///
/// # Errors
/// The URL of the document that is at fault, and [`KeysCause`].
pub async fn published(
    world: &World,
    remote: &RemoteKeys,
    jwks_uri: Option<Rc<str>>,
) -> Result<(Option<String>, Vec<u8>), (String, KeysCause)> {
    let uri = match (remote.document, jwks_uri) {
        (Document::Discovery, None) => {
            let at_discovery = |cause| (remote.url.clone(), cause);
            let found = document(world, remote, &remote.url).await;
            let found = found.map_err(at_discovery)?;
            Some(discovered(&found, remote).map_err(at_discovery)?)
        }
        (_, uri) => uri.map(|uri| uri.to_string()),
    };
    let url = uri.as_deref().unwrap_or(&remote.url);
    let at_keys = |cause| (url.to_owned(), cause);
    let found = document(world, remote, url).await.map_err(at_keys)?;
    Ok((uri, found))
}

fn known(
    world: &World,
    remote: &RemoteKeys,
    published: &Published,
) -> Result<FetchedKeys, KeysCause> {
    if let Some(uri) = &published.jwks_uri {
        may_ask(world, remote.loopback.as_deref(), uri).ok_or(KeysCause::Address)?;
    }
    let document = published.bytes();
    let keys = match remote.document {
        Document::KeySet | Document::Discovery => KeySet::from_jwks(&document),
        Document::Key => PublicKey::from_document(&document).map(KeySet::from),
    };
    Ok(FetchedKeys {
        keys: Rc::new(keys.map_err(KeysCause::Keys)?),
        jwks_uri: published.jwks_uri.as_deref().map(Rc::from),
        fetched_at: published.fetched_at,
    })
}

/// `jwks_uri` of a discovery document, when it is that of this very issuer (`OpenID` Connect
/// Discovery 1.0 §4.3).
fn discovered(document: &[u8], remote: &RemoteKeys) -> Result<String, KeysCause> {
    let document = discovery(document, remote)?;
    let uri = document.get("jwks_uri").and_then(Value::as_str);
    let uri = uri.filter(|uri| uri.len() <= 2048);
    uri.map(str::to_owned).ok_or(KeysCause::NoKeySet)
}

/// The members of a discovery document of this very issuer.
pub(super) fn discovery(
    document: &[u8],
    remote: &RemoteKeys,
) -> Result<Map<String, Value>, KeysCause> {
    let document: StrictObject =
        serde_json::from_slice(document).map_err(|_| KeysCause::NotJson)?;
    if document.0.get("issuer").and_then(Value::as_str) != Some(remote.issuer.as_str()) {
        return Err(KeysCause::OtherIssuer);
    }
    Ok(document.0)
}

/// The host of a URL for the log. A discovery document may name any text as `jwks_uri`.
#[must_use]
pub fn host_for_log(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // What stands before it may be a password.
    let host = host.rsplit('@').next().unwrap_or_default();
    crate::authn::report::bounded(host)
}

/// Whether `url` may be asked: a public name, or at `loopback`, and not one of our own sites.
pub(super) fn may_ask(world: &World, loopback: Option<&str>, url: &str) -> Option<()> {
    let host = fetchable_host(url, loopback)?;
    let scheme = url.split_once("://")?.0;
    world.config.served(&host, scheme).is_none().then_some(())
}

/// A document of an issuer, or of a provider.
pub(super) async fn document(
    world: &World,
    remote: &RemoteKeys,
    url: &str,
) -> Result<Vec<u8>, KeysCause> {
    let request = Outgoing {
        method: "GET",
        url,
        headers: &[("accept", "application/json, */*")],
        body: None,
        limit: MAX_DOCUMENT,
        timeout: TIMEOUT,
    };
    let answer = answer_to(world, remote.loopback.as_deref(), request).await?;
    // Nothing but 200: a redirect may lead anywhere.
    match answer.status {
        200 => Ok(answer.body),
        status @ 300..=399 => Err(KeysCause::Redirect(status)),
        status => Err(KeysCause::Status(status)),
    }
}

/// The answer to a request, if its URL may be asked.
pub(super) async fn answer_to(
    world: &World,
    loopback: Option<&str>,
    request: Outgoing<'_>,
) -> Result<Incoming, KeysCause> {
    may_ask(world, loopback, request.url).ok_or(KeysCause::Address)?;
    let answer = world.platform.fetch.fetch(request).await;
    answer.map_err(|fault| match fault {
        Fault::FetchTimeout => KeysCause::Timeout,
        Fault::FetchTooLong => KeysCause::TooLong,
        Fault::Overloaded => KeysCause::Overloaded,
        _ => KeysCause::Connection,
    })
}
