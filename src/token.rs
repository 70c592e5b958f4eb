//! From the credentials that a request presents to the principal behind them. The one place where
//! a credential is verified, wherever it was.
//!
//! Three answers per source: nothing there, or over its time (the next source is asked); good (it
//! decides); bad (the request stops: a bad credential never falls through to the next source).

pub mod alg;
pub mod api_token;
pub mod assertion;
pub mod error;
pub mod issue;
pub mod json;
pub mod jws;
pub mod jwt;
pub mod source;

use std::rc::Rc;

use crate::cache::{Claims, CredentialKey, Verified};
use crate::config::Site;
use crate::config::site::Source;
use crate::denial::Denial;
use crate::port::Fault;
use crate::principal::Principal;
use crate::session::{self, SessionClaims};
use crate::store::ended_sessions::EndedSessions;
use crate::store::users::Users;
use crate::time::Timestamp;
use crate::user::{User, UserId};
use crate::world::World;
use error::TokenError;
use issue::SsoClaims;
use source::Presented;

/// What the presented credentials came to.
pub struct Authentication {
    /// Who is calling; `Ok(None)` for nobody; an error stops the request.
    pub result: Result<Option<Principal>, TokenError>,
    /// Who is signed in by our own cookie, whatever `result` says.
    pub session: Option<Principal>,
    /// Our cookie was presented, and we could not tell whose it is.
    pub session_fault: Option<Fault>,
    /// Our cookie was presented and is not honoured.
    pub clear_session: bool,
    /// The application's cookie was presented and has expired, or contradicts itself.
    pub clear_sso_cookie: bool,
    /// Something was presented whose time is over.
    pub over: bool,
}

impl Authentication {
    /// Of a request whose credentials are not looked at.
    #[must_use]
    pub const fn nobody() -> Self {
        Self {
            result: Ok(None),
            session: None,
            session_fault: None,
            clear_session: false,
            clear_sso_cookie: false,
            over: false,
        }
    }

    /// Why there is nobody, when nobody is signed in.
    #[must_use]
    pub fn absence(&self) -> Denial {
        if self.over {
            Denial::Credential(TokenError::Expired)
        } else {
            Denial::SignInRequired
        }
    }

    /// The caller, where there has to be one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn required(&self) -> Result<Principal, Denial> {
        self.result
            .clone()
            .map_err(Denial::from)?
            .ok_or_else(|| self.absence())
    }
}

/// Verifies everything that `presented` holds, and says who is calling.
///
/// A valid SSO token, from cookie or query, stands for a sign-in that has just happened, so a session
/// makes way for it. Otherwise the site's order of sources decides.
pub async fn authenticate(
    world: &World,
    site: &Site,
    presented: &Presented<'_>,
    navigation: bool,
    now: Timestamp,
) -> Authentication {
    let session = examine(world, site, Source::Session, &presented.session, now).await;
    let sso_cookie = examine(world, site, Source::SsoCookie, &presented.sso_cookie, now).await;
    let query = examine(world, site, Source::Query, &presented.query, now).await;
    let bearer = examine(world, site, Source::Bearer, &presented.bearer, now).await;
    let of = |source| match source {
        Source::Session => &session,
        Source::SsoCookie => &sso_cookie,
        Source::Query => &query,
        Source::Bearer => &bearer,
    };
    let result = decide(site, of, navigation);
    Authentication {
        over: [Source::Session, Source::SsoCookie, Source::Query]
            .into_iter()
            .any(|source| matches!(of(source), Examined::Over)),
        result,
        clear_session: session.is_dead(),
        clear_sso_cookie: matches!(
            sso_cookie,
            Examined::Over | Examined::Bad(TokenError::Conflict)
        ),
        session_fault: match &session {
            Examined::Bad(TokenError::Fault(fault)) => Some(*fault),
            _ => None,
        },
        session: session.good().cloned(),
    }
}

/// The first source in the site's order that holds something decides, but for two: a session makes
/// way for a token that stands for a later sign-in; and a cookie that is no good does not hold up a
/// browser that brings such a token, while an API client with one is told so.
fn decide<'a>(
    site: &Site,
    of: impl Fn(Source) -> &'a Examined,
    navigation: bool,
) -> Result<Option<Principal>, TokenError> {
    let session = of(Source::Session).good();
    let handed_over = || {
        site.sources
            .iter()
            .filter(|source| matches!(source, Source::SsoCookie | Source::Query))
            .find_map(|source| of(*source).good().filter(|token| is_news(token, session)))
    };
    for source in &site.sources {
        let found = match (source, of(*source)) {
            // A client that names a credential itself is told that its time is over.
            (Source::Bearer, Examined::Over) => Err(TokenError::Expired),
            (_, Examined::Absent | Examined::Over) => continue,
            (_, Examined::Good(principal)) => Ok(principal),
            (_, Examined::Bad(error)) => Err(*error),
        };
        let unknown = matches!(found, Err(TokenError::Fault(_)));
        let makes_way = *source == Source::Session && (found.is_ok() || (navigation && !unknown));
        let later = if makes_way { handed_over() } else { None };
        return later
            .map_or(found, Ok)
            .map(|principal| Some(principal.clone()));
    }
    Ok(None)
}

/// Whether `token` says more than the session that is there: another user, or a later sign-in.
fn is_news(token: &Principal, session: Option<&Principal>) -> bool {
    let (Claims::Sso(token_claims), Some(session)) = (&token.verified().claims, session) else {
        return true;
    };
    let Claims::Session(session_claims) = &session.verified().claims else {
        return true;
    };
    token_claims.user != session_claims.user
        || token_claims.issued_at.seconds() > session_claims.began_at.seconds()
}

/// What one source came to.
enum Examined {
    Absent,
    Over,
    Good(Principal),
    Bad(TokenError),
}

impl Examined {
    fn good(&self) -> Option<&Principal> {
        match self {
            Self::Good(principal) => Some(principal),
            _ => None,
        }
    }

    /// Present and never to be honoured again. When we merely could not tell, it is kept.
    fn is_dead(&self) -> bool {
        match self {
            Self::Over => true,
            Self::Bad(error) => !matches!(error, TokenError::Fault(_)),
            Self::Absent | Self::Good(_) => false,
        }
    }
}

/// Verifies all credentials of one source. A name that comes twice is how a cookie is planted, so
/// all must be good and of one user.
async fn examine(
    world: &World,
    site: &Site,
    source: Source,
    credentials: &[impl AsRef<str>],
    now: Timestamp,
) -> Examined {
    let mut answer = Examined::Absent;
    for (index, credential) in credentials.iter().enumerate() {
        let one = match verify(world, site, source, credential.as_ref(), now).await {
            Ok(principal) => Examined::Good(principal),
            Err(error) if error.is_over() => Examined::Over,
            // Signed with a secret, or by a clock, that is ahead of this isolate's: another isolate
            // knows it already, and so will this one. Nothing to hold against it.
            Err(TokenError::NotYet) if source == Source::Session => Examined::Absent,
            Err(error) => Examined::Bad(error),
        };
        answer = match (answer, one) {
            (_, one) if index == 0 => one,
            (Examined::Good(a), Examined::Good(b)) if a.user().id == b.user().id => {
                Examined::Good(a)
            }
            (Examined::Over, Examined::Over) => Examined::Over,
            (Examined::Bad(TokenError::Fault(fault)), _)
            | (_, Examined::Bad(TokenError::Fault(fault))) => {
                Examined::Bad(TokenError::Fault(fault))
            }
            _ => Examined::Bad(TokenError::Conflict),
        };
    }
    answer
}

/// Verifies one credential: signature and claims, or the memory of them; then what changes with
/// time: expiry, the user's state, whether the session was ended.
///
/// # Errors
/// Why it is not accepted.
pub async fn verify(
    world: &World,
    site: &Site,
    source: Source,
    credential: &str,
    now: Timestamp,
) -> Result<Principal, TokenError> {
    let verified = match source {
        Source::Session => remembered(world, site, "session", credential, || {
            session::read(&world.config, site, credential, now).map(Claims::Session)
        })?,
        Source::SsoCookie | Source::Query | Source::Bearer => {
            remembered(world, site, "sso", credential, || {
                issue::read(&world.config, site, credential, now).map(Claims::Sso)
            })?
        }
    };
    if now >= verified.expires_at() {
        return Err(TokenError::Expired);
    }
    let user = match &verified.claims {
        Claims::Session(claims) => session_user(world, site, claims, now).await?,
        Claims::Sso(claims) => token_user(world, site, source, claims, now).await?,
    };
    Ok(Principal::new_unchecked(user, source, verified))
}

fn remembered(
    world: &World,
    site: &Site,
    kind: &str,
    credential: &str,
    read: impl FnOnce() -> Result<Claims, TokenError>,
) -> Result<Rc<Verified>, TokenError> {
    let key = CredentialKey::new(&site.name, kind, credential);
    if let Some(verified) = world.cache.credential(&key) {
        return Ok(verified);
    }
    Ok(world.cache.put_credential(key, Verified::new(read()?)))
}

async fn session_user(
    world: &World,
    site: &Site,
    claims: &SessionClaims,
    now: Timestamp,
) -> Result<Rc<User>, TokenError> {
    if now >= session::ends_at(site, claims) {
        return Err(TokenError::Expired);
    }
    // A session whose user cannot sign in any more is over, not wrong: the browser may sign in as
    // somebody else.
    let user = signed_in_user(world, &claims.user, now)
        .await
        .map_err(|error| match error {
            TokenError::UnknownUser => TokenError::Ended,
            other => other,
        })?;
    if user
        .sessions_valid_after
        .is_some_and(|after| claims.began_at <= after)
    {
        return Err(TokenError::Ended);
    }
    let known = world
        .cache
        .session_ended(&claims.id, world.config.user_cache, now);
    let ended = if let Some(ended) = known {
        ended
    } else {
        let ended = EndedSessions(&*world.platform.kv)
            .contains(&claims.id)
            .await?;
        world.cache.put_session_ended(&claims.id, ended, now);
        ended
    };
    if ended {
        Err(TokenError::Ended)
    } else {
        Ok(user)
    }
}

async fn token_user(
    world: &World,
    site: &Site,
    source: Source,
    claims: &SsoClaims,
    now: Timestamp,
) -> Result<Rc<User>, TokenError> {
    let too_old = |query: &crate::config::site::Query| now >= claims.issued_at + query.max_age;
    if source == Source::Query && site.query.as_ref().is_none_or(too_old) {
        return Err(TokenError::LinkTooOld);
    }
    let user = signed_in_user(world, &claims.user, now).await?;
    // A token's time is in whole seconds; one of the same second may be from before.
    if user
        .sessions_valid_after
        .is_some_and(|after| claims.issued_at.seconds() <= after.seconds())
    {
        return Err(TokenError::Ended);
    }
    Ok(user)
}

/// The user, from memory while it is fresh, if allowed to sign in.
async fn signed_in_user(
    world: &World,
    id: &UserId,
    now: Timestamp,
) -> Result<Rc<User>, TokenError> {
    let known = if let Some(known) = world.cache.user(id, world.config.user_cache, now) {
        known
    } else {
        let read = Users(&*world.platform.kv).find(id).await?;
        world.cache.put_user(id, read, now)
    };
    let user = known.ok_or(TokenError::UnknownUser)?;
    if user.active {
        Ok(user)
    } else {
        Err(TokenError::DisabledUser)
    }
}
