//! What changes with time: whether a credential that was verified still counts, and whom it stands for now.

use std::rc::Rc;

use futures_util::future::join;

use crate::answer::denial::Denial;
use crate::ask::ctx::Ctx;
use crate::authn::principal::Principal;
use crate::authn::{foreign, link, renewal};
use crate::credential::foreign::ForeignClaims;
use crate::credential::session::{self, SessionClaims};
use crate::credential::verified::{Claims, Verified};
use crate::jose::error::TokenError;
use crate::memory::turns::{self, TurnKey};
use crate::memory::world::World;
use crate::model::user::{User, UserId};
use crate::people;
use crate::platform::port::Fault;
use crate::platform::time::Timestamp;
use crate::site::{Site, Source};
use crate::store::ended_sessions::EndedSessions;
use crate::store::users::Users;

/// What changes with time: expiry, the user's state, whether the session was ended.
pub(super) async fn check_current(
    ctx: &Ctx<'_>,
    source: Source,
    verified: Rc<Verified>,
) -> Result<Principal, TokenError> {
    let Ctx {
        world, site, now, ..
    } = *ctx;
    if now >= verified.expires_at() {
        return Err(TokenError::Expired);
    }
    if !ctx.is_dry() {
        link::settle(world, site, source, &verified, now).await?;
    }
    // A token that was ended as a cookie is ended wherever it is presented.
    if site.sso_cookie.as_ref().is_some_and(|cookie| cookie.keep)
        && let Some(name) = verified.claims.token_name(site)
        && (has_ended(world, &name, now).await? || world.cache.own_changes.has_ended(&name))
    {
        return Err(TokenError::Ended);
    }
    let mut renewed = None;
    let user = match &verified.claims {
        Claims::Session(claims) => {
            let user = session_user(ctx, claims).await?;
            if renewal::is_due(ctx, claims) {
                renewed = Box::pin(renewal::renew(ctx, claims)).await?;
            }
            user
        }
        Claims::Sso(claims) => {
            not_too_old(site, source, claims.issued_at, now)?;
            let user = signed_in_user(ctx, &claims.user).await?;
            not_ended(&user, claims.issued_at)?;
            user
        }
        Claims::Foreign(claims) => {
            let becomes_session = matches!(source, Source::SsoCookie | Source::Query);
            if becomes_session && site.takes(Source::Session) && claims.for_session.is_none() {
                return Err(TokenError::ClaimsTooLong);
            }
            not_too_old(site, source, claims.issued_at, now)?;
            let user = foreign_user(ctx, claims).await?;
            // A key is no sign-in, so the end of all sessions does not end it.
            if source != Source::ApiKey {
                not_ended(&user, claims.issued_at)?;
            }
            user
        }
        Claims::ApiToken(claims) => signed_in_user(ctx, &claims.user).await?,
    };
    // Rules, and the origin, see what the provider has just said.
    let renewed = renewed.map(|claims| Rc::new(Verified::new(Claims::Session(claims))));
    let verified = renewed.unwrap_or(verified);
    let user = with_grants(&verified, user);
    Ok(Principal::new_unchecked(user, source, verified))
}

/// Whether what is remembered is young enough to go by: an issuer may have withdrawn its key, and an
/// API token may have been revoked.
pub(super) fn is_still_known(world: &World, known: &Verified, now: Timestamp) -> bool {
    match &known.claims {
        Claims::Session(_) | Claims::Sso(_) => true,
        Claims::Foreign(claims) => now < claims.good_until,
        Claims::ApiToken(claims) => {
            claims.read_at <= now
                && now < claims.read_at + world.config.user_cache
                && !world.cache.own_changes.has_disabled(&claims.id, now)
        }
    }
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
async fn foreign_user(ctx: &Ctx<'_>, claims: &ForeignClaims) -> Result<Rc<User>, TokenError> {
    if let Some(id) = claims.known_user() {
        match signed_in_user(ctx, &id).await {
            Ok(user) if user.handle() == claims.handle() => {
                return with_said_address(ctx, claims, user).await;
            }
            Ok(_) | Err(TokenError::UnknownUser) => {}
            Err(error) => return Err(error),
        }
    }
    let may_create = !ctx.is_dry();
    let found = Box::pin(foreign::find_user(claims, ctx.world, may_create, ctx.now)).await;
    let id = match found {
        Err(TokenError::UnknownUser) if claims.creates && !may_create => {
            return Ok(Rc::new(foreign::new_user(claims, ctx.world, ctx.now)));
        }
        found => found?,
    };
    let user = signed_in_user(ctx, &id).await?;
    with_said_address(ctx, claims, user).await
}

/// The user, with the address that the newest token says a subject has. What this one says is older if the record was
/// changed after the token was issued.
async fn with_said_address(
    ctx: &Ctx<'_>,
    claims: &ForeignClaims,
    user: Rc<User>,
) -> Result<Rc<User>, TokenError> {
    let is_news = claims.subject.is_some()
        && claims.says_email
        && user.email != claims.email
        && claims.issued_at.seconds() > user.updated_at.seconds();
    if !is_news {
        return Ok(user);
    }
    if ctx.is_dry() {
        let mut user = User::clone(&user);
        user.email.clone_from(&claims.email);
        return Ok(Rc::new(user));
    }
    let changed = people::change(ctx.world, &user.id, ctx.now, |user| {
        user.email.clone_from(&claims.email);
        Ok(())
    });
    match Box::pin(changed).await {
        Ok(user) => Ok(Rc::new(user)),
        Err(Denial::Fault(fault)) => Err(fault.into()),
        Err(_) => Err(TokenError::UnknownUser),
    }
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

async fn session_user(ctx: &Ctx<'_>, claims: &SessionClaims) -> Result<Rc<User>, TokenError> {
    let Ctx {
        world, site, now, ..
    } = *ctx;
    if now >= session::ends_at(site, claims) {
        return Err(TokenError::Expired);
    }
    // Neither depends on the other, so a session that is new here waits for both at once. What
    // the user's record says comes first, as it would one after the other.
    let (user, ended) = join(
        signed_in_user(ctx, &claims.user),
        has_ended(world, &claims.id, now),
    )
    .await;
    // A session whose user cannot sign in any more is over, not wrong: the browser may sign in as
    // somebody else.
    let user = user.map_err(|error| match error {
        TokenError::UnknownUser => TokenError::Ended,
        other => other,
    })?;
    if let Some(issued_at) = claims.token_issued_at {
        not_ended(&user, issued_at)?;
    }
    if user
        .sessions_valid_after
        .is_some_and(|after| claims.began_at <= after)
        || ended?
        // This isolate may have ended it while the reads were under way.
        || world.cache.own_changes.has_ended(&claims.id)
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
    let key = TurnKey::EndedSession(session.to_owned());
    let look = || world.cache.session_ended(session, span, now);
    let fetch = async || {
        let ended = EndedSessions(&*world.platform.kv).contains(session).await?;
        world.cache.put_session_ended(session, ended, now);
        Ok(ended)
    };
    Box::pin(turns::share(world, key, look, fetch)).await
}

/// The user, from memory while it is fresh, if allowed to sign in, and of the tenant that the
/// request is in.
async fn signed_in_user(ctx: &Ctx<'_>, id: &UserId) -> Result<Rc<User>, TokenError> {
    let Ctx { world, now, .. } = *ctx;
    let look = || world.cache.user(id, world.config.user_cache, now);
    let known = if let Some(known) = look() {
        known
    } else {
        let fetch = async || {
            let read = Users(&*world.platform.kv).find(id).await?;
            Ok(world.cache.put_user(id, read, now))
        };
        Box::pin(turns::share(world, TurnKey::User(id.clone()), look, fetch)).await?
    };
    let user = known.ok_or(TokenError::UnknownUser)?;
    if !ctx.presented.tenancy.admits(user.tenant.as_ref()) {
        return Err(TokenError::OtherTenant);
    }
    if user.active {
        Ok(user)
    } else {
        Err(TokenError::DisabledUser)
    }
}
