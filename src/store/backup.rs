//! All records of a kind, page by page, for a copy that is kept elsewhere. A record that cannot be read is named, not skipped.

use serde::de::DeserializeOwned;

use crate::platform::port::{Fault, Kv};
use crate::store::{api_tokens, decode, services, users};

/// What a backup has, in its order: a record comes after those that it needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    User,
    Service,
    ApiToken,
}

impl Kind {
    /// All kinds, in their order.
    pub const ALL: [Self; 3] = [Self::User, Self::Service, Self::ApiToken];

    /// Its name in a backup.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::ApiToken => "api_token",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind after this one.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::User => Some(Self::Service),
            Self::Service => Some(Self::ApiToken),
            Self::ApiToken => None,
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::User => users::RECORD,
            Self::Service => services::RECORD,
            Self::ApiToken => api_tokens::RECORD,
        }
    }
}

/// The key of a record, and its text.
pub type Stored = (String, String);

/// A page of the records of a kind, in the order of their keys, as the key-value store shows them, and where the next page
/// starts.
///
/// # Errors
/// A [`Fault`] of the store.
pub async fn page(
    kv: &dyn Kv,
    kind: Kind,
    cursor: Option<&str>,
    limit: u32,
) -> Result<(Vec<Stored>, Option<String>), Fault> {
    let page = kv.list(kind.prefix(), cursor, limit).await?;
    let texts = page.keys.iter().map(|key| kv.read(key));
    let texts = futures_util::future::try_join_all(texts).await?;
    // One that was deleted since it was listed has no text.
    let found = page.keys.into_iter().zip(texts);
    let found = found.filter_map(|(key, text)| text.map(|text| (key, text)));
    Ok((found.collect(), page.cursor))
}

/// A record. `None`: it cannot be read.
#[must_use]
pub fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    decode(text).ok()
}
