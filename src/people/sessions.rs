//! Where a person is signed in: the sessions that have not ended, page by page, and the end of one of them.

use futures_util::future::try_join_all;

use crate::memory::world::World;
use crate::model::user::{User, UserId};
use crate::platform::port::Fault;
use crate::platform::time::Timestamp;
use crate::store::Page;
use crate::store::ended_sessions::EndedSessions;
use crate::store::sessions::{SessionRecord, Sessions};

/// How many pages of the store are read for one page of sessions. Sessions that have ended stay in the store until they
/// would have expired; whoever has ended hundreds need not turn over empty pages.
const MAX_READ: usize = 4;

/// A page of the sessions of a person that have not ended, the newest first. It has fewer than `limit` if others have ended.
///
/// # Errors
/// A [`Fault`] of the store.
pub async fn page(
    world: &World,
    user: &User,
    mut cursor: Option<String>,
    limit: u32,
) -> Result<Page<SessionRecord>, Fault> {
    let store = Sessions(&*world.platform.kv);
    let mut open = Vec::new();
    for _ in 0..MAX_READ {
        let page = store.page(&user.id, cursor.as_deref(), limit).await?;
        let checks = page.records.iter().map(|one| has_ended(world, user, one));
        let ended = try_join_all(checks).await?;
        let all = page.records.into_iter().zip(ended);
        open.extend(all.filter_map(|(one, has_ended)| (!has_ended).then_some(one)));
        cursor = page.cursor;
        if cursor.is_none() || !open.is_empty() {
            break;
        }
    }
    open.sort_by_key(|session| std::cmp::Reverse(session.opened_at));
    Ok(Page {
        records: open,
        cursor,
    })
}

/// Ends one session of a person. `false` if the person has no such session.
///
/// # Errors
/// A [`Fault`] of the store.
pub async fn end(world: &World, user: &UserId, id: &str, now: Timestamp) -> Result<bool, Fault> {
    let Some(record) = Sessions(&*world.platform.kv).find(user, id).await? else {
        return Ok(false);
    };
    let ended = EndedSessions(&*world.platform.kv);
    ended.put(&record.id, record.ends_at, now).await?;
    world.cache.own_changes.end_session(&record.id);
    Ok(true)
}

/// Whether a session that is still recorded has ended.
async fn has_ended(world: &World, user: &User, record: &SessionRecord) -> Result<bool, Fault> {
    let limit = user.sessions_valid_after;
    if limit.is_some_and(|limit| record.opened_at <= limit)
        || world.cache.own_changes.has_ended(&record.id)
    {
        return Ok(true);
    }
    EndedSessions(&*world.platform.kv)
        .contains(&record.id)
        .await
}
