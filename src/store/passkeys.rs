//! Users' passkeys. They are read from their writers, which keep them: one that was removed must not work for another
//! minute, and of two assertions with one counter only one can replace the record that both have read.

use serde::Serialize;
use serde_json::Value;

use crate::model::user::UserId;
use crate::platform::digest::{hex, random_text, sha256};
use crate::platform::port::{Change, Changed, Fault, Platform, Records};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::{CHANGE_ATTEMPTS, decode, encode, hashed_key};

/// What a user has.
pub(super) const OF_USER: &str = "passkeys:";
/// Whose a credential is.
pub(super) const BY_ID: &str = "passkey:";
/// The prefix of the leases.
pub(super) const CHALLENGE: &str = "passkey_challenge:";

/// How long a challenge may be answered.
pub const CHALLENGE_LIFETIME: Seconds = Seconds(300);

/// A passkey.
#[derive(Clone, Serialize)]
pub struct Passkey {
    /// The credential's id, in base64url.
    pub id: String,
    pub name: String,
    /// Where it can be used.
    pub rp_id: String,
    /// The number of its algorithm in the COSE registry.
    pub algorithm: i64,
    /// The public key (`SubjectPublicKeyInfo`), in base64url.
    pub key: String,
    pub counter: u32,
    /// Whether it may be on several devices, which never changes, and whether it is.
    pub backup_eligible: bool,
    pub backed_up: bool,
    pub created_at: Timestamp,
    pub used_at: Option<Timestamp>,
}

/// The passkeys of a user.
#[derive(Clone, Default, Serialize)]
pub struct PasskeySet {
    /// What authenticators call the user: 32 random bytes in base64url, which tell nobody who it is.
    pub handle: String,
    pub keys: Vec<Passkey>,
}

/// The passkeys of a user that a change begins with.
pub struct HeldPasskeys {
    pub set: Option<PasskeySet>,
    text: Option<String>,
}

/// What became of a new passkey.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Added {
    Done,
    /// Others have changed the user's passkeys meanwhile.
    Changed,
    /// Somebody has this credential already.
    Taken,
}

/// The writers of passkeys.
pub struct Passkeys<'a>(pub &'a dyn Records);

impl Passkeys<'_> {
    /// Whose the credential is.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn owner(&self, credential: &[u8]) -> Result<Option<UserId>, Fault> {
        let text = self.0.read_kept(&id_key(credential)).await?;
        text.map(|text| UserId::parse(&text).ok_or(Fault::Record))
            .transpose()
    }

    /// The passkeys of a user.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn read(&self, user: &UserId) -> Result<HeldPasskeys, Fault> {
        let text = self.0.read_kept(&user_key(user)).await?;
        let set = match &text {
            Some(text) => Some(read_set(&decode(text)?).ok_or(Fault::Record)?),
            None => None,
        };
        Ok(HeldPasskeys { set, text })
    }

    /// Replaces `old`. Returns whether it was still current.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn replace(
        &self,
        user: &UserId,
        old: &HeldPasskeys,
        new: &PasskeySet,
    ) -> Result<bool, Fault> {
        let change = of_user(user, old, Some(new))?;
        Ok(self.0.change(&change).await? == Changed::Done)
    }

    /// Replaces `old` with a set that has this credential besides. Nobody else may have it.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn add(
        &self,
        user: &UserId,
        old: &HeldPasskeys,
        new: &PasskeySet,
        credential: &[u8],
    ) -> Result<Added, Fault> {
        let change = Change {
            key: id_key(credential),
            to: Some(user.as_str().to_owned()),
            keep: true,
            needs: Some(Box::new(of_user(user, old, Some(new))?)),
            ..Change::default()
        };
        Ok(match self.0.change(&change).await? {
            Changed::Done => Added::Done,
            Changed::Holds(None) => Added::Changed,
            Changed::Holds(Some(_)) => Added::Taken,
        })
    }

    /// Replaces `old` with a set without these credentials; `None` if nothing is left of it. Returns whether `old` was
    /// still current.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn remove(
        &self,
        user: &UserId,
        old: &HeldPasskeys,
        new: Option<&PasskeySet>,
        credentials: &[Vec<u8>],
    ) -> Result<bool, Fault> {
        let released = credentials.iter().map(|credential| Change {
            key: id_key(credential),
            from: Some(user.as_str().to_owned()),
            ..Change::default()
        });
        let change = Change {
            then: released.collect(),
            ..of_user(user, old, new)?
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }

    /// Deletes what a user has.
    ///
    /// # Errors
    /// A [`Fault`] of the writer; [`Fault::Contended`] if others keep changing it.
    pub async fn forget(&self, user: &UserId) -> Result<(), Fault> {
        for _ in 0..CHANGE_ATTEMPTS {
            let old = self.read(user).await?;
            let Some(set) = &old.set else {
                return Ok(());
            };
            let ids = set.keys.iter().map(Passkey::credential);
            let ids: Vec<Vec<u8>> = ids.collect::<Result<_, _>>()?;
            if self.remove(user, &old, None, &ids).await? {
                return Ok(());
            }
        }
        Err(Fault::Contended)
    }
}

impl Passkey {
    /// The credential's id.
    ///
    /// # Errors
    /// [`Fault::Record`].
    pub fn credential(&self) -> Result<Vec<u8>, Fault> {
        bytes(&self.id)
    }

    /// The public key.
    ///
    /// # Errors
    /// [`Fault::Record`].
    pub fn spki(&self) -> Result<Vec<u8>, Fault> {
        bytes(&self.key)
    }
}

/// Claims a challenge. Of any number of answers to it, one succeeds.
///
/// # Errors
/// A [`Fault`] of the store.
pub async fn claim(platform: &Platform, challenge: &str, now: Timestamp) -> Result<bool, Fault> {
    let mine = random_text(&*platform.entropy);
    let key = hashed_key(CHALLENGE, challenge);
    let once = &platform.once;
    let held = once.acquire(&key, &mine, CHALLENGE_LIFETIME, now).await?;
    Ok(held == mine)
}

fn bytes(text: &str) -> Result<Vec<u8>, Fault> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Fault::Record)
}

/// Reads a set member by member: a derived reader of so many members is several times as long.
fn read_set(set: &Value) -> Option<PasskeySet> {
    let keys = set.get("keys")?.as_array()?.iter();
    Some(PasskeySet {
        handle: text(set, "handle")?,
        keys: keys.map(read_key).collect::<Option<_>>()?,
    })
}

fn read_key(key: &Value) -> Option<Passkey> {
    let moment = |name| {
        let millis = key.get(name).and_then(Value::as_u64);
        millis.map(Timestamp::from_millis)
    };
    Some(Passkey {
        id: text(key, "id")?,
        name: text(key, "name")?,
        rp_id: text(key, "rp_id")?,
        algorithm: key.get("algorithm")?.as_i64()?,
        key: text(key, "key")?,
        counter: u32::try_from(key.get("counter")?.as_u64()?).ok()?,
        backup_eligible: key.get("backup_eligible")?.as_bool()?,
        backed_up: key.get("backed_up")?.as_bool()?,
        created_at: moment("created_at")?,
        used_at: moment("used_at"),
    })
}

fn text(of: &Value, name: &str) -> Option<String> {
    of.get(name)?.as_str().map(str::to_owned)
}

fn of_user(user: &UserId, old: &HeldPasskeys, new: Option<&PasskeySet>) -> Result<Change, Fault> {
    Ok(Change {
        key: user_key(user),
        from: old.text.clone(),
        to: new.map(encode).transpose()?,
        keep: new.is_some(),
        ..Change::default()
    })
}

fn user_key(user: &UserId) -> String {
    hashed_key(OF_USER, user.as_str())
}

fn id_key(credential: &[u8]) -> String {
    format!("{BY_ID}{}", hex(&sha256(credential)))
}
