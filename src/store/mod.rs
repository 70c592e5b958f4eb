//! The data in the key-value store: one typed family per file. A key is a fixed prefix and a hash
//! in hexadecimal, so nothing that a caller chose becomes part of a key. Knows no HTTP.
//!
//! `docs/storage.md` shows each family with an example.

pub mod api_tokens;
pub mod backup;
pub mod ended_sessions;
pub mod issuer_keys;
pub mod origin_accounts;
pub mod passkeys;
pub mod passwords;
pub mod provider_sessions;
pub mod provider_tokens;
pub mod services;
pub mod sessions;
pub mod signing_keys;
pub mod tickets;
pub mod users;

/// The prefixes of all keys in the store. Tests compare every key that is used with them.
pub const FAMILIES: [&str; 17] = [
    users::RECORD,
    users::BY_EMAIL,
    users::BY_SUBJECT,
    users::BY_NAME,
    passkeys::OF_USER,
    passkeys::BY_ID,
    passwords::RECORD,
    services::RECORD,
    services::TOKEN,
    sessions::RECORD,
    api_tokens::RECORD,
    api_tokens::REVOKED,
    api_tokens::LAST_USED,
    ended_sessions::ENDED,
    origin_accounts::ACCOUNT,
    issuer_keys::KEYS,
    signing_keys::KEYS,
];

/// The prefixes of all keys leased through [`crate::platform::port::Once`], likewise.
pub const LOCKS: [&str; 7] = [
    "link:",
    "origin_account:",
    passkeys::CHALLENGE,
    provider_sessions::LEASE,
    provider_tokens::LEASE,
    "signin:",
    tickets::LEASE,
];

/// How often a change is recomputed when other writers win.
pub const CHANGE_ATTEMPTS: usize = 8;

use std::future::ready;

use futures_util::future::try_join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::platform::digest::{hex, sha256};
use crate::platform::port::{Fault, Kv, Pending};

/// `prefix` and the SHA-256 of `name`.
fn hashed_key(prefix: &str, name: &str) -> String {
    format!("{prefix}{}", hex(&sha256(name.as_bytes())))
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::Record)
}

fn encode<T: Serialize>(record: &T) -> Result<String, Fault> {
    serde_json::to_string(record).map_err(|_| Fault::Record)
}

/// One page of records, in a stable but meaningless order.
#[derive(Debug)]
pub struct Page<T> {
    pub records: Vec<T>,
    /// Where the next page starts; `None` on the last page.
    pub cursor: Option<String>,
}

/// Reads the records of `keys` concurrently, but for those that a list has shown already. Records that were deleted since
/// the keys were listed are skipped.
async fn read_all<T: DeserializeOwned>(
    kv: &dyn Kv,
    keys: &[String],
    shown: Vec<Option<String>>,
) -> Result<Vec<T>, Fault> {
    let texts = texts(kv, keys, shown).await?.into_iter().flatten();
    // One malformed record must not hide the others.
    Ok(texts.filter_map(|text| decode(&text).ok()).collect())
}

async fn texts(
    kv: &dyn Kv,
    keys: &[String],
    shown: Vec<Option<String>>,
) -> Result<Vec<Option<String>>, Fault> {
    let mut shown = shown.into_iter();
    let reads = keys.iter().map(|key| match shown.next().flatten() {
        Some(text) => Box::pin(ready(Ok(Some(text)))) as Pending<'_, _>,
        None => kv.read(key),
    });
    try_join_all(reads).await
}
