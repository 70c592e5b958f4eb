//! The tokens that a provider has given at a sign-in, for as long as its session may last. Each record is a lease in
//! [`Once`](crate::platform::port::Once): changed by compare-and-set, and gone by itself. It is encrypted by a key that
//! follows from the record's id too, which only the session's cookie has: what is left of a session that has ended elsewhere
//! is of no use to anybody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use serde_json::{Map, Value};

use crate::jose::hmac::Keyring;
use crate::platform::digest::random_text;
use crate::platform::port::{Fault, Platform};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::hashed_key;

/// The prefix of the leases.
pub(super) const LEASE: &str = "provider_tokens:";

/// What holds a record that was deleted, for longer than anybody may be changing it: a lease that is free could be acquired.
const GONE: &str = "gone";
const GONE_FOR: Seconds = Seconds(180);
/// How often a deletion is tried again when others change the record.
const ATTEMPTS: usize = 8;

/// The longest token that is kept, in bytes.
pub const MAX_TOKEN: usize = 8192;
/// The longest ID token that is kept: it is sent in a URL.
pub const MAX_ID_TOKEN: usize = 4096;

/// What is kept of a sign-in: members of a JSON object, because most of them come out of one, and are texts.
#[derive(Default)]
pub struct ProviderTokens(pub Map<String, Value>);

/// Whom the provider has signed in, and the `nonce` of the sign-in.
pub const SIGNED_IN: [&str; 3] = ["iss", "sub", "nonce"];
/// For signing out at the provider.
pub const ID_TOKEN: &str = "id_token";
/// For renewing the session.
pub const REFRESH_TOKEN: &str = "refresh_token";
/// For the origin, until [`ACCESS_UNTIL`].
pub const ACCESS_TOKEN: &str = "access_token";
/// In milliseconds since 1970, as the other times.
pub const ACCESS_UNTIL: &str = "access_until";
/// What the provider has granted last, if that was after the sign-in.
pub const GRANTED: &str = "granted";
/// When the provider was last asked with success.
pub const REFRESHED_AT: &str = "refreshed_at";
/// When it was last asked, whatever came of it.
pub const ASKED_AT: &str = "asked_at";
/// The moment up to which all sessions of the person are to end, and then the record.
pub const ENDS_ALL: &str = "ends_all";
/// When the record is deleted.
pub const ENDS_AT: &str = "ends_at";

impl ProviderTokens {
    /// A member that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A member that is a moment.
    #[must_use]
    pub fn time(&self, name: &str) -> Timestamp {
        let millis = self.0.get(name).and_then(Value::as_u64);
        Timestamp::from_millis(millis.unwrap_or_default())
    }

    /// Sets a member.
    pub fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// Sets a moment.
    pub fn set_time(&mut self, name: &str, at: Timestamp) {
        self.set(name, at.millis().into());
    }
}

/// A record as it was read.
pub struct Held {
    pub text: String,
    /// Until when somebody may be asking the provider.
    pub busy_until: Timestamp,
    pub tokens: ProviderTokens,
}

/// The record with this id.
pub struct TokenRecord<'a> {
    pub platform: &'a Platform,
    pub keys: &'a Keyring,
    pub id: &'a str,
    pub now: Timestamp,
}

impl TokenRecord<'_> {
    /// Reads the record, once `held` does not hold it any more, or after `patience`. `None`: it is gone, and with it every
    /// session that was opened with it. So is one whose secret was retired.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn read(&self, held: &str, patience: Seconds) -> Result<Option<Held>, Fault> {
        let once = &self.platform.once;
        let text = once.changed(&self.key(), held, patience).await?;
        let Some(text) = text.filter(|text| text != GONE) else {
            return Ok(None);
        };
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(Fault::Record);
        let busy_until = next()?.parse().map_err(|_| Fault::Record)?;
        next()?;
        let number = next()?.parse().map_err(|_| Fault::Record)?;
        let sealed = URL_SAFE_NO_PAD.decode(next()?).map_err(|_| Fault::Record)?;
        let Some(key) = self.secret(number) else {
            return Ok(None);
        };
        let plain = self.platform.crypto.open(&key, &sealed).await?;
        let Ok(Value::Object(tokens)) = serde_json::from_slice(&plain) else {
            return Err(Fault::Record);
        };
        Ok(Some(Held {
            busy_until: Timestamp::from_millis(busy_until),
            tokens: ProviderTokens(tokens),
            text,
        }))
    }

    /// Writes the record, unless it was changed since it was read as `held`; `None` then. `busy_until`: until when nobody
    /// else may be asking the provider.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn write(
        &self,
        held: &str,
        tokens: &ProviderTokens,
        busy_until: Timestamp,
    ) -> Result<Option<String>, Fault> {
        let platform = self.platform;
        let number = self.keys.newest();
        let key = self.secret(number).ok_or(Fault::SealedWithUnknownSecret)?;
        let plain = serde_json::to_string(&tokens.0).map_err(|_| Fault::Record)?;
        let sealed = platform.crypto.seal(&key, plain.as_bytes()).await?;
        // No two texts are the same, so that of two who write the same at once one has it.
        let text = [
            busy_until.millis().to_string(),
            random_text(&*platform.entropy),
            number.to_string(),
            URL_SAFE_NO_PAD.encode(sealed),
        ];
        let text = text.join(".");
        let hold = tokens.time(ENDS_AT).since(self.now);
        let (key, once) = (self.key(), &platform.once);
        let holds = once.replace(&key, held, &text, hold, self.now).await?;
        Ok((holds == text).then_some(text))
    }

    /// Deletes the record, unless it was changed since it was read; `false` then.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn remove(&self, held: &str) -> Result<bool, Fault> {
        let (key, once) = (self.key(), &self.platform.once);
        let holds = once.replace(&key, held, GONE, GONE_FOR, self.now);
        Ok(holds.await? == GONE)
    }

    /// Deletes the record, whoever changes it. Returns what it was.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn take(&self) -> Result<Option<ProviderTokens>, Fault> {
        for _ in 0..ATTEMPTS {
            let Some(held) = self.read("", Seconds(0)).await? else {
                return Ok(None);
            };
            if self.remove(&held.text).await? {
                return Ok(Some(held.tokens));
            }
        }
        Err(Fault::Contended)
    }

    fn key(&self) -> String {
        hashed_key(LEASE, self.id)
    }

    /// One key for each record: a record in the place of another one does not decrypt.
    fn secret(&self, number: u32) -> Option<[u8; 32]> {
        let purpose = ["edgeward provider tokens\n", self.id].concat();
        self.keys.encryption_key(number, &purpose)
    }
}
