//! Whom a sign-out concerns.

use crate::answer::denial::Denial;
use crate::ask::ctx::Ctx;
use crate::credential::session::{self, SessionClaims};
use crate::model::user::UserId;
use crate::people;
use crate::store::ended_sessions::EndedSessions;

/// How many sessions one sign-out looks at. A browser has two cookies of one name at most.
const MAX_SESSIONS: usize = 16;

/// The users of every presented session that still counts.
///
/// # Errors
/// A fault.
pub async fn users_of(ctx: &Ctx<'_>) -> Result<Vec<UserId>, Denial> {
    Ok(users(&sessions_of(ctx).await?))
}

/// The users of sessions, each once.
#[must_use]
pub fn users(sessions: &[SessionClaims]) -> Vec<UserId> {
    let mut users: Vec<UserId> = Vec::new();
    for claims in sessions {
        if !users.contains(&claims.user) {
            users.push(claims.user.clone());
        }
    }
    users
}

/// Every presented session that still counts. One that has ended ends nothing else: a copy of it would sign its user out until
/// it expires, here or at the provider.
///
/// # Errors
/// A fault.
pub async fn sessions_of(ctx: &Ctx<'_>) -> Result<Vec<SessionClaims>, Denial> {
    let world = ctx.world;
    let mut live: Vec<SessionClaims> = Vec::new();
    for value in ctx.presented.session.iter().take(MAX_SESSIONS) {
        let Ok(claims) = session::read(&world.config, ctx.site, value, ctx.now) else {
            continue;
        };
        let is_known = live.iter().any(|known| known.id == claims.id);
        if is_known || world.cache.own_changes.has_ended(&claims.id) {
            continue;
        }
        let user = people::newest(world, &claims.user).await?;
        let limit = user.as_ref().and_then(|user| user.sessions_valid_after);
        let is_over = user.is_none() || limit.is_some_and(|limit| claims.began_at <= limit);
        if is_over
            || EndedSessions(&*world.platform.kv)
                .contains(&claims.id)
                .await?
        {
            continue;
        }
        live.push(claims);
    }
    Ok(live)
}
