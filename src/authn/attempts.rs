//! Guessing at API tokens must cost the guesser more than us. Tokens that are not good are counted
//! by client address, wherever they are presented. An address that is over the limit is remembered
//! by the isolate for a few seconds and turned down before the store is read.
//!
//! Many may share an address. So a token that was good here lately is looked at all the same: one
//! wrong script in an office does not shut out what works beside it.

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;

use crate::http::request::Parts;
use crate::jose::error::TokenError;
use crate::memory::world::World;
use crate::model::api_token::{ApiToken, ApiTokenId, HashedApiToken, PlainApiToken};
use crate::platform::port::{Counter, Fault};
use crate::platform::shelf::{self, Shelf, Weigh};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::api_tokens::ApiTokens;

/// How long an address is refused without asking the limiter again. The limiter counts for all
/// isolates of a location, and only it knows when its period is over.
const REFUSED_FOR: Seconds = Seconds(10);

/// Who presents a token, as far as attempts are counted together: an IPv4 address, or the /64 of an
/// IPv6 address, which is what one customer has at least (RFC 6177 §2).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Client {
    /// An address, without the half that an IPv6 client chooses by itself.
    At(IpAddr),
    /// No readable address; all such clients count as one.
    Somewhere,
}

impl Client {
    /// Who sent a request, as the CDN saw it. No client can write this header there.
    #[must_use]
    pub fn of(parts: &Parts) -> Self {
        parts
            .header("cf-connecting-ip")
            .map_or(Self::Somewhere, Self::at)
    }

    /// Reads an address in any form of its text (RFC 4291 §2.2, RFC 4007 §11).
    #[must_use]
    pub fn at(text: &str) -> Self {
        let without_zone = text.split('%').next().unwrap_or_default();
        match without_zone
            .trim()
            .parse()
            .map(|ip: IpAddr| ip.to_canonical())
        {
            Ok(IpAddr::V6(v6)) => Self::At(IpAddr::V6((v6.to_bits() >> 64 << 64).into())),
            Ok(v4 @ IpAddr::V4(_)) => Self::At(v4),
            Err(_) => Self::Somewhere,
        }
    }
}

/// What the limiter counts by.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(v4 @ IpAddr::V4(_)) => v4.fmt(f),
            Self::At(v6 @ IpAddr::V6(_)) => write!(f, "{v6}/64"),
            Self::Somewhere => f.write_str("local"),
        }
    }
}

impl Weigh for Client {
    fn heap(&self) -> usize {
        0
    }
}

/// What the isolate knows of attempts.
pub struct Memory {
    /// Clients that are over the limit, and until when that is not asked again.
    refused: RefCell<Shelf<Client, Timestamp>>,
    /// Ids of tokens that were good when they were last looked at. Each is looked at anew.
    good: RefCell<Shelf<String, ()>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            refused: RefCell::new(Shelf::new(shelf::REFUSED)),
            good: RefCell::new(Shelf::new(shelf::GOOD_API_TOKENS)),
        }
    }
}

impl Memory {
    fn refuses(&self, client: Client, now: Timestamp) -> bool {
        let mut refused = self.refused.borrow_mut();
        // A clock that was set back extends no refusal.
        let until = refused.get(&client).copied();
        until.is_some_and(|until| now < until && until <= now + REFUSED_FOR)
    }

    /// What all of it weighs, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.refused.borrow().weight() + self.good.borrow().weight()
    }
}

/// The API token that `client` presents, if it is good and `serves`. Without a client nothing is
/// counted.
///
/// # Errors
/// [`TokenError::ApiToken`], [`TokenError::TooManyAttempts`], or a fault of store or limiter.
pub async fn api_token(
    world: &World,
    client: Option<Client>,
    presented: Option<&str>,
    serves: impl Fn(&ApiToken) -> bool,
    now: Timestamp,
) -> Result<ApiToken, TokenError> {
    let memory = &world.cache.attempts;
    let hash = presented
        .and_then(PlainApiToken::parse)
        .map(|plain| plain.hash());
    let id = hash.as_ref().map(HashedApiToken::id);
    if client.is_some_and(|client| memory.refuses(client, now)) {
        let mut good = memory.good.borrow_mut();
        let was_good = |id: &ApiTokenId| good.get(id.as_str()).is_some();
        if !id.as_ref().is_some_and(was_good) {
            return Err(TokenError::TooManyAttempts);
        }
    }
    let found = match &hash {
        Some(hash) => find(world, hash, now).await?,
        None => None,
    };
    if let Some(token) = found.filter(serves) {
        let mut good = memory.good.borrow_mut();
        good.put(token.id.as_str().to_owned(), ());
        return Ok(token);
    }
    if let Some(id) = &id {
        memory.good.borrow_mut().pop(id.as_str());
    }
    let Some(client) = client else {
        return Err(TokenError::ApiToken);
    };
    let limit = &*world.platform.limit;
    if limit.allow(Counter::Failures, &client.to_string()).await? {
        return Err(TokenError::ApiToken);
    }
    let mut refused = memory.refused.borrow_mut();
    refused.put(client, now + REFUSED_FOR);
    Err(TokenError::TooManyAttempts)
}

/// The record behind an API token, or `None` when it is unknown, revoked or expired. Asked by
/// [`api_token`] alone, which counts those that are not good.
///
/// # Errors
/// A [`Fault`] of the store.
async fn find(
    world: &World,
    hash: &HashedApiToken,
    now: Timestamp,
) -> Result<Option<ApiToken>, Fault> {
    let found = ApiTokens(&*world.platform.kv).find(&hash.id()).await?;
    // Asked after the store, so that no revocation of the meantime is missed.
    let token = found.filter(|token| !world.cache.own_changes.has_shut(&token.id, now));
    let Some(token) = token else {
        return Ok(None);
    };
    Ok((hash.is_of(&token) && token.is_good(now)).then_some(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_78_attempts_are_counted_together_however_the_address_is_written() {
        for (text, counted) in [
            ("192.0.2.1", "192.0.2.1"),
            (" 192.0.2.1 ", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::FFFF:C000:0201", "192.0.2.1"),
            ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
            ("2001:DB8:1:2:FFFF:FFFF:FFFF:FFFF", "2001:db8:1:2::/64"),
            ("2001:0db8:0001:0002:0:0:0:9", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("::1", "::/64"),
            ("", "local"),
            ("192.0.2", "local"),
            ("192.0.2.1, 192.0.2.2", "local"),
            ("x", "local"),
        ] {
            assert_eq!(Client::at(text).to_string(), counted, "{text:?}");
        }
    }
}
