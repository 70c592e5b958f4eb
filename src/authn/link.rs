//! A token that came in a URL is only a link. A URL stays in histories, logs and `Referer` (RFC 6750 §5.3), so
//! a token that was in one counts as a link alone, and one that came in another way is no link. The
//! first presentation settles which it is, everywhere at once. Knows no cookie and no answer.

use crate::authn::principal::Principal;
use crate::credential::verified::{Claims, Verified};
use crate::jose::error::TokenError;
use crate::memory::world::World;
use crate::platform::digest::{hex, random_text, sha256};
use crate::platform::port::Fault;
use crate::platform::time::{Seconds, Timestamp};
use crate::site::{Site, Source};

/// What holds the claim of a token that came in a URL, until it is used up.
const LINK: &str = "link";

/// What holds the claim of a token that came in any other way.
const ELSEWHERE: &str = "elsewhere";

/// What became of a token at its first presentation.
#[derive(Clone, Copy, Eq, PartialEq)]
enum FirstUse {
    /// It is a link.
    Link,
    /// It was a link and is used up: a random value holds the claim.
    Used,
    /// It is none.
    Elsewhere,
}

impl FirstUse {
    fn read(held: &str) -> Result<Self, Fault> {
        let random = held.len() == 22
            && held
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        match held {
            LINK => Ok(Self::Link),
            ELSEWHERE => Ok(Self::Elsewhere),
            _ if random => Ok(Self::Used),
            _ => Err(Fault::Record),
        }
    }
}

/// A token that can stand in a link, at this site or at another one that takes its issuer.
struct Link<'a> {
    /// Within which a token has its name: the site, or the issuer.
    realm: &'a str,
    /// The token's own name.
    id: &'a str,
    /// For as long as the token can be valid.
    hold: Seconds,
    single_use: bool,
}

impl<'a> Link<'a> {
    fn of(site: &'a Site, verified: &'a Verified) -> Option<Self> {
        let query = site.query.as_ref().filter(|_| site.takes(Source::Query));
        let (realm, id, max_age, max_lifetime) = match &verified.claims {
            Claims::Sso(claims) => (
                &site.name,
                &claims.id,
                query?.max_age,
                site.sso_token.max_lifetime,
            ),
            Claims::Foreign(claims) => {
                let issuer = &claims.granted.issuer;
                let max_age = *site.link_ages.get(issuer)?;
                (issuer, &claims.id, max_age, claims.max_lifetime)
            }
            Claims::Session(_) | Claims::ApiToken(_) => return None,
        };
        Some(Self {
            realm,
            id,
            hold: Seconds(max_age.0 + max_lifetime.0),
            single_use: query.is_some_and(|query| query.single_use),
        })
    }

    fn key(&self) -> String {
        let id = hex(&sha256(self.id.as_bytes()));
        format!("link:{}:{id}", self.realm)
    }

    /// Claims the token; gives what holds the claim.
    async fn claim(&self, world: &World, value: &str, now: Timestamp) -> Result<FirstUse, Fault> {
        let once = &world.platform.once;
        let held = once.acquire(&self.key(), value, self.hold, now).await?;
        FirstUse::read(&held)
    }
}

/// Whether [`settle`] has nothing left to ask for.
fn is_settled(site: &Site, source: Source, verified: &Verified) -> bool {
    Link::of(site, verified).is_none() || (source != Source::Query && verified.memo().no_link)
}

/// Settles whether a verified token is a link: it is when it was in a URL first. That holds whether
/// or not the link is used, is still young enough, or works more than once. What is no link is
/// remembered with the token, so that only its first presentation in an isolate waits.
///
/// # Errors
/// [`TokenError::LinkUsed`] when it comes as a link and is none any more, [`TokenError::OnlyLink`]
/// when it comes as anything else and is one, or a fault.
pub async fn settle(
    world: &World,
    site: &Site,
    source: Source,
    verified: &Verified,
    now: Timestamp,
) -> Result<(), TokenError> {
    if is_settled(site, source, verified) {
        return Ok(());
    }
    let Some(link) = Link::of(site, verified) else {
        return Ok(());
    };
    if source == Source::Query {
        return match link.claim(world, LINK, now).await? {
            FirstUse::Link => Ok(()),
            FirstUse::Used if !link.single_use => Ok(()),
            FirstUse::Used | FirstUse::Elsewhere => Err(TokenError::LinkUsed),
        };
    }
    match link.claim(world, ELSEWHERE, now).await? {
        FirstUse::Elsewhere => {
            verified.remember(|memo| memo.no_link = true);
            Ok(())
        }
        FirstUse::Link | FirstUse::Used => Err(TokenError::OnlyLink),
    }
}

/// Uses up a link that works once. Whatever the request is for, a second one finds it used.
///
/// # Errors
/// [`TokenError::LinkUsed`], or a fault.
pub async fn use_up(
    world: &World,
    site: &Site,
    principal: &Principal,
    now: Timestamp,
) -> Result<(), TokenError> {
    let link = Link::of(site, principal.verified()).filter(|link| link.single_use);
    let (Source::Query, Some(link)) = (principal.source(), link) else {
        return Ok(());
    };
    let mine = random_text(&*world.platform.entropy);
    let once = &world.platform.once;
    let holder = once
        .replace(&link.key(), LINK, &mine, link.hold, now)
        .await?;
    if holder == mine {
        Ok(())
    } else {
        Err(TokenError::LinkUsed)
    }
}
