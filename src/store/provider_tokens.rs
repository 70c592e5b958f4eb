//! The tokens that a provider has given at a sign-in, for as long as its session may last. Each record is a lease in
//! [`Once`](crate::platform::port::Once): changed by compare-and-set, and gone by itself. It is encrypted by a key that
//! follows from the record's id too, which only the session's cookie has: what is left of a session that has ended elsewhere
//! is of no use to anybody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::jose::hmac::Keyring;
use crate::platform::digest::random_text;
use crate::platform::port::{Fault, Platform};
use crate::platform::time::{Seconds, Timestamp};
use crate::store::{decode, encode, hashed_key};

/// The prefix of the leases.
pub(super) const LEASE: &str = "provider_tokens:";

/// What holds a record that was deleted, for longer than anybody may be changing it: a lease that is free could be acquired.
const GONE: &str = "gone";
const GONE_FOR: Seconds = Seconds(180);
/// How often a deletion is tried again when others change the record.
const ATTEMPTS: usize = 8;

/// The longest token that is kept, in bytes. An ID token is sent in a URL.
pub const MAX_TOKEN: usize = 8192;
/// The longest ID token that is kept.
pub const MAX_ID_TOKEN: usize = 4096;

/// What is kept of a sign-in.
#[derive(Clone, Default)]
pub struct ProviderTokens {
    /// Whom the provider has signed in.
    pub iss: String,
    pub sub: String,
    pub nonce: Option<String>,
    /// For signing out there.
    pub id_token: Option<String>,
    pub refresh_token: Option<String>,
    /// For the origin, until `access_until`.
    pub access_token: Option<String>,
    pub access_until: Timestamp,
    /// What the provider has granted last, as JSON, if that was after the sign-in.
    pub granted: Option<String>,
    /// When the provider was last asked with success.
    pub refreshed_at: Timestamp,
    pub ends_at: Timestamp,
}

impl ProviderTokens {
    /// As JSON, in few words: a list of texts, the absent ones empty.
    fn to_text(&self) -> Result<String, Fault> {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let time = |at: Timestamp| at.millis().to_string();
        encode(&vec![
            self.iss.clone(),
            self.sub.clone(),
            text(&self.nonce),
            text(&self.id_token),
            text(&self.refresh_token),
            text(&self.access_token),
            text(&self.granted),
            time(self.access_until),
            time(self.refreshed_at),
            time(self.ends_at),
        ])
    }

    fn of_text(text: &str) -> Result<Self, Fault> {
        let parts: Vec<String> = decode(text)?;
        let mut parts = parts.into_iter();
        let mut next = || parts.next().ok_or(Fault::Record);
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let time = |text: String| text.parse().map(Timestamp::from_millis);
        let time = |text| time(text).map_err(|_| Fault::Record);
        Ok(Self {
            iss: next()?,
            sub: next()?,
            nonce: some(next()?),
            id_token: some(next()?),
            refresh_token: some(next()?),
            access_token: some(next()?),
            granted: some(next()?),
            access_until: time(next()?)?,
            refreshed_at: time(next()?)?,
            ends_at: time(next()?)?,
        })
    }
}

/// A record as it was read.
pub struct Held {
    text: String,
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
    /// Writes a new record.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn put(&self, tokens: &ProviderTokens) -> Result<(), Fault> {
        let text = self.seal(tokens, Timestamp::default()).await?;
        let (key, hold) = (self.key(), tokens.ends_at.since(self.now));
        let once = &self.platform.once;
        let held = once.acquire(&key, &text, hold, self.now).await?;
        // Nobody else has this id: it is random.
        if held == text {
            Ok(())
        } else {
            Err(Fault::Once)
        }
    }

    /// Reads the record. `None`: it is gone, and with it every session that was opened with it. So is one whose secret was
    /// retired.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find(&self) -> Result<Option<Held>, Fault> {
        let key = self.key();
        let text = self.platform.once.changed(&key, "", Seconds(0)).await?;
        self.open(text).await
    }

    /// What holds the record once `held` does not any more, or after `patience`.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn changed(&self, held: &Held, patience: Seconds) -> Result<Option<Held>, Fault> {
        let once = &self.platform.once;
        let text = once.changed(&self.key(), &held.text, patience).await?;
        self.open(text).await
    }

    /// Replaces the record, unless it was changed since it was read; `None` then.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn replace(
        &self,
        held: &Held,
        tokens: ProviderTokens,
        busy_until: Timestamp,
    ) -> Result<Option<Held>, Fault> {
        let text = self.seal(&tokens, busy_until).await?;
        let (key, hold) = (self.key(), tokens.ends_at.since(self.now));
        let once = &self.platform.once;
        let holds = once.replace(&key, &held.text, &text, hold, self.now);
        Ok((holds.await? == text).then_some(Held {
            text,
            busy_until,
            tokens,
        }))
    }

    /// Deletes the record, unless it was changed since it was read; `false` then.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn remove(&self, held: &Held) -> Result<bool, Fault> {
        let (key, once) = (self.key(), &self.platform.once);
        let holds = once.replace(&key, &held.text, GONE, GONE_FOR, self.now);
        Ok(holds.await? == GONE)
    }

    /// Deletes the record, whoever changes it. Returns what it was.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn take(&self) -> Result<Option<ProviderTokens>, Fault> {
        for _ in 0..ATTEMPTS {
            let Some(held) = self.find().await? else {
                return Ok(None);
            };
            if self.remove(&held).await? {
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

    /// No two texts are the same, so that of two who write the same at once one has it.
    async fn seal(&self, tokens: &ProviderTokens, busy_until: Timestamp) -> Result<String, Fault> {
        let number = self.keys.newest();
        let key = self.secret(number).ok_or(Fault::SealedWithUnknownSecret)?;
        let plain = tokens.to_text()?;
        let sealed = self.platform.crypto.seal(&key, plain.as_bytes()).await?;
        Ok([
            busy_until.millis().to_string(),
            random_text(&*self.platform.entropy),
            number.to_string(),
            URL_SAFE_NO_PAD.encode(sealed),
        ]
        .join("."))
    }

    async fn open(&self, text: Option<String>) -> Result<Option<Held>, Fault> {
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
        let plain = String::from_utf8(plain).map_err(|_| Fault::Record)?;
        Ok(Some(Held {
            busy_until: Timestamp::from_millis(busy_until),
            tokens: ProviderTokens::of_text(&plain)?,
            text,
        }))
    }
}
