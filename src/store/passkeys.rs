//! Users' passkeys. They are read from their writers, which keep them: one that was removed must not work for another
//! minute, and of two assertions with one counter only one can replace the record that both have read.

use serde::Serialize;
use serde_json::Value;

use crate::model::user::UserId;
use crate::passkey::PasskeyError;
use crate::platform::digest::random_text;
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

impl PasskeySet {
    /// The record, as it is stored.
    ///
    /// # Errors
    /// [`Fault::Record`].
    pub fn text(&self) -> Result<String, Fault> {
        encode(self)
    }

    /// Reads [`PasskeySet::text`].
    ///
    /// # Errors
    /// [`Fault::Record`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        read_set(Some(text))
    }
}

/// The writers of passkeys.
pub struct Passkeys<'a>(pub &'a dyn Records);

impl Passkeys<'_> {
    /// Whose the credential with this id is.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn owner(&self, id: &str) -> Result<Option<UserId>, Fault> {
        let text = self.0.read_kept(&hashed_key(BY_ID, id)).await?;
        text.map(|text| UserId::parse(&text).ok_or(Fault::Record))
            .transpose()
    }

    /// The passkeys of a user; an empty set without a handle if the user has never had any.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn read(&self, user: &UserId) -> Result<PasskeySet, Fault> {
        let text = self
            .0
            .read_kept(&hashed_key(OF_USER, user.as_str()))
            .await?;
        read_set(text.as_deref())
    }

    /// Changes the passkeys of a user. `change` is called again if others have changed them meanwhile. A set whose handle
    /// is empty is deleted.
    ///
    /// # Errors
    /// A [`Fault`] of the writer, [`Fault::Contended`] if others keep changing them; inside, any error of `change`, or
    /// [`PasskeyError::Registered`] if somebody has the new credential.
    pub async fn change(
        &self,
        user: &UserId,
        change: &mut dyn FnMut(&mut PasskeySet) -> Result<(), PasskeyError>,
    ) -> Result<Result<(), PasskeyError>, Fault> {
        let key = hashed_key(OF_USER, user.as_str());
        for _ in 0..CHANGE_ATTEMPTS {
            let from = self.0.read_kept(&key).await?;
            let (wanted, claims) = match wanted(user, &key, from, change)? {
                Ok(Some(wanted)) => wanted,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            };
            match self.0.change(&wanted).await? {
                Changed::Done => return Ok(Ok(())),
                Changed::Holds(Some(_)) if claims => return Ok(Err(PasskeyError::Registered)),
                Changed::Holds(_) => {}
            }
        }
        Err(Fault::Contended)
    }
}

/// The change of a user's record, and whether it claims a new credential: both or neither are made. `None` if nothing is
/// to be changed.
fn wanted(
    user: &UserId,
    key: &str,
    from: Option<String>,
    change: &mut dyn FnMut(&mut PasskeySet) -> Result<(), PasskeyError>,
) -> Result<Result<Option<(Change, bool)>, PasskeyError>, Fault> {
    let old = read_set(from.as_deref())?;
    let mut new = old.clone();
    if let Err(error) = change(&mut new) {
        return Ok(Err(error));
    }
    let to = if new.handle.is_empty() {
        None
    } else {
        Some(encode(&new)?)
    };
    if to == from {
        return Ok(Ok(None));
    }
    let owner = || Some(user.as_str().to_owned());
    let is_in = |set: &PasskeySet, key: &Passkey| set.keys.iter().any(|other| other.id == key.id);
    let gone = old.keys.iter().filter(|key| !is_in(&new, key));
    let released = gone.map(|key| Change {
        key: hashed_key(BY_ID, &key.id),
        from: owner(),
        ..Change::default()
    });
    let of_user = Change {
        key: key.to_owned(),
        keep: to.is_some(),
        from,
        to,
        then: released.collect(),
        ..Change::default()
    };
    let Some(added) = new.keys.iter().find(|key| !is_in(&old, key)) else {
        return Ok(Ok(Some((of_user, false))));
    };
    let claim = Change {
        key: hashed_key(BY_ID, &added.id),
        to: owner(),
        keep: true,
        needs: Some(Box::new(of_user)),
        ..Change::default()
    };
    Ok(Ok(Some((claim, true))))
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

/// Reads a set member by member: a derived reader of so many members is several times as long.
fn read_set(stored: Option<&str>) -> Result<PasskeySet, Fault> {
    let Some(stored) = stored else {
        return Ok(PasskeySet::default());
    };
    let set: Value = decode(stored)?;
    let keys = set.get("keys").and_then(Value::as_array);
    let keys = keys.and_then(|keys| keys.iter().map(read_key).collect());
    Ok(PasskeySet {
        handle: text(&set, "handle").ok_or(Fault::Record)?,
        keys: keys.ok_or(Fault::Record)?,
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
