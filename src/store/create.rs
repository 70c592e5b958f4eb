//! A user that is made once, whoever asks at the same moment, and wherever.

use super::users::{Users, address};
use crate::port::{Fault, Platform};
use crate::time::{Seconds, Timestamp};
use crate::token::alg::{hex, sha256};
use crate::user::{Email, Tenant, User};

/// Who is first to make a user is settled for this long: by then every reader of the store sees
/// the record, even one that has just been told there was none.
const CLAIM: Seconds = Seconds(180);

/// How a user was come by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ensured {
    /// It was there.
    Found,
    /// This call made it.
    Made,
    /// Another call is making it at this moment, and the store does not show it here yet.
    BeingMade,
}

/// Makes `mine`, for whose address there was no user a moment ago. Of two calls at once, anywhere,
/// one makes the user and both get the same: the claim carries the whole record.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn once(
    platform: &Platform,
    mine: User,
    now: Timestamp,
) -> Result<(User, Ensured), Fault> {
    let store = Users(&*platform.kv);
    let winner = claim(platform, &mine, now).await?;
    if winner.id == mine.id {
        if let Err(fault) = store.put(&mine).await {
            // Whoever asks next may try again at once.
            let _ = release(platform, mine.tenant.as_ref(), &mine.email).await;
            return Err(fault);
        }
        return Ok((mine, Ensured::Made));
    }
    if winner.email != mine.email || winner.tenant != mine.tenant {
        return Err(Fault::Once);
    }
    if let Some(user) = store.find(&winner.id).await? {
        return Ok((user, Ensured::Found));
    }
    // Not written yet, or the one who should have is gone. The same record under the same id does no
    // harm; the store may refuse two writes of a key in a second, and then the other one was made.
    let _ = store.put(&winner).await;
    Ok((winner, Ensured::BeingMade))
}

/// Claims the address of `user` for this record; gives the record that holds the claim.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn claim(platform: &Platform, user: &User, now: Timestamp) -> Result<User, Fault> {
    let record = serde_json::to_string(user).map_err(|_| Fault::Record)?;
    let winner = platform
        .once
        .claim(
            &claim_key(user.tenant.as_ref(), &user.email),
            &record,
            CLAIM,
            now,
        )
        .await?;
    serde_json::from_str(&winner).map_err(|_| Fault::Once)
}

/// Gives an address up before the claim has ended.
///
/// # Errors
/// A [`Fault`] of the platform.
pub async fn release(
    platform: &Platform,
    tenant: Option<&Tenant>,
    email: &Email,
) -> Result<(), Fault> {
    platform.once.release(&claim_key(tenant, email)).await
}

fn claim_key(tenant: Option<&Tenant>, email: &Email) -> String {
    format!(
        "user_email:{}",
        hex(&sha256(address(tenant, email).as_bytes()))
    )
}
