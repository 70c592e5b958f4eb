//! From the credentials that a request presents to the principal behind them. The one place where
//! a credential is verified, wherever it was.
//!
//! Three answers per source: nothing there, or over its time (the next source is asked); good (it
//! decides); bad (the request stops: a bad credential never falls through to the next source).

pub mod attempts;
pub mod foreign;
pub mod jwks;
pub mod link;
pub mod principal;

use std::rc::Rc;

use futures_util::future::join;

use crate::answer::denial::Denial;
use crate::ask::ctx::Ctx;
use crate::ask::source::{MAX_OF_ONE_SOURCE, Presented};
use crate::authn::principal::Principal;
use crate::credential::foreign::ForeignClaims;
use crate::credential::session::{self, SessionClaims};
use crate::credential::sso_token;
use crate::credential::verified::{ActingClaims, Claims, CredentialKey, Verified};
use crate::http::client::Client;
use crate::jose::error::TokenError;
use crate::jose::jws::UntrustedJws;
use crate::memory::world::World;
use crate::model::api_token::ApiToken;
use crate::model::user::{User, UserId};
use crate::platform::port::Fault;
use crate::platform::time::Timestamp;
use crate::site::tenant::Tenancy;
use crate::site::{Site, Source};
use crate::store::api_tokens::ApiTokens;
use crate::store::ended_sessions::EndedSessions;
use crate::store::users::Users;

/// What the presented credentials came to.
pub struct Authentication {
    /// Who is calling; `Ok(None)` for nobody; an error stops the request.
    pub result: Result<Option<Principal>, TokenError>,
    /// Who is signed in by our own cookie, whatever `result` says.
    pub session: Option<Principal>,
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
    pub const fn anonymous() -> Self {
        Self {
            result: Ok(None),
            session: None,
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
    let at = Place {
        site,
        tenancy: presented.tenancy,
        now,
        counts: true,
        client: presented.client,
    };
    let session = examine(world, at, Source::Session, &presented.session).await;
    // Before all others that a token can be in: what is in the URL too, is a link.
    let query = examine(world, at, Source::Query, &presented.query).await;
    let sso_cookie = examine(world, at, Source::SsoCookie, &presented.sso_cookie).await;
    let bearer = examine(world, at, Source::Bearer, &presented.bearer).await;
    let header = examine(world, at, Source::Header, &presented.header).await;
    let api_key = examine(world, at, Source::ApiKey, &presented.api_key).await;
    let of = |source| match source {
        Source::Session => &session,
        Source::SsoCookie => &sso_cookie,
        Source::Query => &query,
        Source::Bearer => &bearer,
        Source::Header => &header,
        Source::ApiKey => &api_key,
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
            (Source::Bearer | Source::Header | Source::ApiKey, Examined::Over) => {
                Err(TokenError::Expired)
            }
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
    let issued_at = match &token.verified().claims {
        Claims::Sso(claims) => claims.issued_at,
        Claims::Foreign(claims) => claims.issued_at,
        Claims::Session(_) | Claims::ApiToken(_) => return true,
    };
    let Some((Claims::Session(claims), session)) = session.map(|s| (&s.verified().claims, s))
    else {
        return true;
    };
    token.user().id != session.user().id || issued_at.seconds() > claims.began_at.seconds()
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
            // In a tenant of its own it still counts.
            Self::Bad(error) => !matches!(error, TokenError::Fault(_) | TokenError::OtherTenant),
            Self::Absent | Self::Good(_) => false,
        }
    }
}

/// Verifies all credentials of one source. A name that comes twice is how a cookie is planted, so
/// all must be good and of one user. Of too many none is read: they cannot be meant.
async fn examine(
    world: &World,
    at: Place<'_>,
    source: Source,
    credentials: &[impl AsRef<str>],
) -> Examined {
    if credentials.len() > MAX_OF_ONE_SOURCE {
        return Examined::Bad(TokenError::Conflict);
    }
    let mut answer = Examined::Absent;
    for (index, credential) in credentials.iter().enumerate() {
        let one = match verify(world, at, source, credential.as_ref()).await {
            Ok(principal) => Examined::Good(principal),
            Err(error) if error.is_over() => Examined::Over,
            // It was handed over, by the link. A cookie that says so once more holds up nobody.
            Err(TokenError::OnlyLink) if source == Source::SsoCookie => Examined::Over,
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

/// Where and when a credential is shown.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The site.
    pub site: &'a Site,
    /// In which tenant.
    pub tenancy: Tenancy<'a>,
    /// When.
    pub now: Timestamp,
    /// Whether it is shown to be let in, and not to learn what would become of it: then a user may
    /// be made on first sight, and whether the token is a link is settled.
    pub counts: bool,
    /// By whom, where attempts are counted.
    pub client: Option<Client>,
}

impl<'a> Place<'a> {
    /// Where `ctx` is, for a credential that it brings in its body: attempts are not counted there.
    #[must_use]
    pub fn of(ctx: &Ctx<'a>) -> Self {
        Self {
            site: ctx.site,
            tenancy: ctx.presented.tenancy,
            now: ctx.now,
            counts: true,
            client: None,
        }
    }
}

/// Verifies one credential: signature and claims, or the memory of them; then what changes with
/// time.
///
/// # Errors
/// Why it is not accepted.
pub async fn verify(
    world: &World,
    at: Place<'_>,
    source: Source,
    credential: &str,
) -> Result<Principal, TokenError> {
    let Place { site, now, .. } = at;
    let kind = match source {
        Source::Session => "session",
        Source::ApiKey => "api token",
        Source::SsoCookie | Source::Query | Source::Bearer | Source::Header => at.tenancy.kind(),
    };
    let key = CredentialKey::new(&site.name, kind, credential);
    let known = world.cache.credential(&key);
    let verified = if let Some(known) = known.filter(|known| is_still_known(world, known, now)) {
        known
    } else {
        let claims = match source {
            Source::Session => {
                session::read(&world.config, site, credential, now).map(Claims::Session)?
            }
            Source::ApiKey => Claims::ApiToken(Box::pin(acting(world, at, credential)).await?),
            _ if is_foreign(at, credential)? => {
                let read = foreign::read(world, site, at.tenancy, credential, now);
                Claims::Foreign(Box::pin(read).await?)
            }
            _ => sso_token::read(&world.config, site, credential, now).map(Claims::Sso)?,
        };
        world.cache.put_credential(key, Verified::new(claims))
    };
    judge(world, at, source, verified).await
}

/// What changes with time: expiry, the user's state, whether the session was ended.
async fn judge(
    world: &World,
    at: Place<'_>,
    source: Source,
    verified: Rc<Verified>,
) -> Result<Principal, TokenError> {
    let Place { site, now, .. } = at;
    if now >= verified.expires_at() {
        return Err(TokenError::Expired);
    }
    if at.counts {
        link::settle(world, site, source, &verified, now).await?;
    }
    let user = match &verified.claims {
        Claims::Session(claims) => session_user(world, at, claims).await?,
        Claims::Sso(claims) => {
            not_too_old(site, source, claims.issued_at, now)?;
            let user = signed_in_user(world, at, &claims.user).await?;
            not_ended(&user, claims.issued_at)?;
            user
        }
        Claims::Foreign(claims) => {
            not_too_old(site, source, claims.issued_at, now)?;
            let user = foreign_user(world, at, claims).await?;
            not_ended(&user, claims.issued_at)?;
            user
        }
        Claims::ApiToken(claims) => signed_in_user(world, at, &claims.user).await?,
    };
    let user = with_grants(&verified, user);
    Ok(Principal::new_unchecked(user, source, verified))
}

/// Whether what is remembered is young enough to go by: an issuer may have withdrawn its key, and an
/// API token may have been revoked.
fn is_still_known(world: &World, known: &Verified, now: Timestamp) -> bool {
    match &known.claims {
        Claims::Session(_) | Claims::Sso(_) => true,
        Claims::Foreign(claims) => now < claims.good_until,
        Claims::ApiToken(claims) => {
            claims.read_at <= now
                && now < claims.read_at + world.config.user_cache
                && !world.cache.own_changes.has_shut(&claims.id, now)
        }
    }
}

/// Whether a token is of another issuer: the site takes some, and it is not of one of our kinds.
fn is_foreign(at: Place<'_>, credential: &str) -> Result<bool, TokenError> {
    if at.tenancy.issuers(at.site).is_empty() {
        return Ok(false);
    }
    Ok(!UntrustedJws::parse(credential)?.names_our_kind())
}

/// When an API token ends that has no end: the last second of the year 9999.
const NO_END: Timestamp = Timestamp::from_seconds(253_402_300_799);

/// The API token behind `x-api-key`, as the user that it acts as.
async fn acting(
    world: &World,
    at: Place<'_>,
    credential: &str,
) -> Result<ActingClaims, TokenError> {
    let Place { client, now, .. } = at;
    let acts = |token: &ApiToken| token.acts_as.is_some();
    let token = attempts::api_token(world, client, Some(credential), acts, now).await?;
    // Keeping the books is no reason to turn a good call down.
    let _ = ApiTokens(&*world.platform.kv)
        .note_use(&token.id, now)
        .await;
    Ok(ActingClaims {
        id: token.id,
        user: token.acts_as.ok_or(TokenError::ApiToken)?,
        expires_at: token.expires_at.unwrap_or(NO_END),
        read_at: now,
    })
}

/// The record with the roles that the token's issuer has granted; the same as long as it is the
/// same record, so that what was made of it stays good.
fn with_grants(verified: &Verified, user: Rc<User>) -> Rc<User> {
    let Some(granted) = verified.granted() else {
        return user;
    };
    let adds =
        granted.staff && !user.staff || granted.roles.iter().any(|role| !user.roles.contains(role));
    if !adds {
        return user;
    }
    if let Some((made_from, whole)) = &verified.memo().user
        && Rc::ptr_eq(made_from, &user)
    {
        return Rc::clone(whole);
    }
    let mut whole = User::clone(&user);
    whole.staff |= granted.staff;
    for role in &granted.roles {
        if !whole.roles.contains(role) {
            whole.roles.push(role.clone());
        }
    }
    let whole = Rc::new(whole);
    verified.remember(|memo| memo.user = Some((user, Rc::clone(&whole))));
    whole
}

/// Who a token of another issuer is about: found by the address that it names, made where the issuer
/// may. An address that has gone to somebody else since is looked up again.
async fn foreign_user(
    world: &World,
    at: Place<'_>,
    claims: &ForeignClaims,
) -> Result<Rc<User>, TokenError> {
    if let Some(id) = claims.known_user() {
        match signed_in_user(world, at, &id).await {
            Ok(user) if user.email == claims.email => return Ok(user),
            Ok(_) | Err(TokenError::UnknownUser) => {}
            Err(error) => return Err(error),
        }
    }
    let id = Box::pin(foreign::find_user(claims, world, at.counts, at.now)).await?;
    signed_in_user(world, at, &id).await
}

/// A link works only for a while after its token was issued.
fn not_too_old(
    site: &Site,
    source: Source,
    issued_at: Timestamp,
    now: Timestamp,
) -> Result<(), TokenError> {
    let too_old = |query: &crate::site::Query| now >= issued_at + query.max_age;
    if source == Source::Query && site.query.as_ref().is_none_or(too_old) {
        return Err(TokenError::LinkTooOld);
    }
    Ok(())
}

/// A token's time is in whole seconds; one of the same second may be from before.
fn not_ended(user: &User, issued_at: Timestamp) -> Result<(), TokenError> {
    let ended = |after: Timestamp| issued_at.seconds() <= after.seconds();
    if user.sessions_valid_after.is_some_and(ended) {
        return Err(TokenError::Ended);
    }
    Ok(())
}

async fn session_user(
    world: &World,
    at: Place<'_>,
    claims: &SessionClaims,
) -> Result<Rc<User>, TokenError> {
    let Place { site, now, .. } = at;
    if now >= session::ends_at(site, claims) {
        return Err(TokenError::Expired);
    }
    // Neither depends on the other, so a session that is new here waits for both at once. What
    // the user's record says comes first, as it would one after the other.
    let (user, ended) = join(
        signed_in_user(world, at, &claims.user),
        has_ended(world, &claims.id, now),
    )
    .await;
    // A session whose user cannot sign in any more is over, not wrong: the browser may sign in as
    // somebody else.
    let user = user.map_err(|error| match error {
        TokenError::UnknownUser => TokenError::Ended,
        other => other,
    })?;
    if user
        .sessions_valid_after
        .is_some_and(|after| claims.began_at <= after)
        || ended?
    {
        return Err(TokenError::Ended);
    }
    Ok(user)
}

/// Whether the session was ended, from memory while that is fresh.
async fn has_ended(world: &World, session: &str, now: Timestamp) -> Result<bool, Fault> {
    let span = world.config.user_cache;
    if let Some(ended) = world.cache.session_ended(session, span, now) {
        return Ok(ended);
    }
    let ended = EndedSessions(&*world.platform.kv).contains(session).await?;
    world.cache.put_session_ended(session, ended, now);
    Ok(ended)
}

/// The user, from memory while it is fresh, if allowed to sign in, and of the tenant that the
/// request is in.
async fn signed_in_user(world: &World, at: Place<'_>, id: &UserId) -> Result<Rc<User>, TokenError> {
    let now = at.now;
    let known = if let Some(known) = world.cache.user(id, world.config.user_cache, now) {
        known
    } else {
        let read = Users(&*world.platform.kv).find(id).await?;
        world.cache.put_user(id, read, now)
    };
    let user = known.ok_or(TokenError::UnknownUser)?;
    if !at.tenancy.admits(user.tenant.as_ref()) {
        return Err(TokenError::OtherTenant);
    }
    if user.active {
        Ok(user)
    } else {
        Err(TokenError::DisabledUser)
    }
}
