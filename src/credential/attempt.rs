//! A sign-in at a provider that is under way. The browser keeps it in a signed cookie of its own; `state`, `nonce` and the
//! verifier of PKCE are derived from its 256 random bits, and none of them tells another.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::credential::browser::{sign, verify};
use crate::jose::hmac::Keyring;
use crate::platform::digest::sha256;
use crate::platform::port::Entropy;
use crate::platform::time::{Seconds, Timestamp};

/// How long a sign-in may take.
pub const LIFETIME: Seconds = Seconds(600);

/// How many a browser may have under way at once.
pub const AT_ONCE: usize = 3;

/// The longest address to return to: with the rest, the cookie stays below 4 KB.
pub const MAX_RETURN: usize = 2000;

/// The length of a SHA-256 in base64url.
const LENGTH: usize = 43;
/// How much of `state` is in the cookie's name.
const NAME: usize = 8;

/// A sign-in at a provider.
pub struct Attempt {
    seed: String,
    /// The provider's name.
    pub provider: String,
    /// Who is to sign in once more, if somebody is.
    pub user: Option<String>,
    pub began_at: Timestamp,
    /// Path and query at the site.
    pub return_to: String,
}

impl Attempt {
    /// Begins one.
    #[must_use]
    pub fn begin(
        entropy: &dyn Entropy,
        (provider, user): (&str, Option<String>),
        return_to: &str,
        now: Timestamp,
    ) -> Self {
        let mut seed = [0_u8; 32];
        entropy.fill(&mut seed);
        Self {
            seed: URL_SAFE_NO_PAD.encode(seed),
            provider: provider.to_owned(),
            user,
            began_at: now,
            return_to: return_to.to_owned(),
        }
    }

    /// Reads the value of a cookie at the site of this name.
    #[must_use]
    pub fn read(value: &str, site: &str, keys: &Keyring) -> Option<Self> {
        let (payload, signature) = value.split_once('.')?;
        if !verify(keys, &message(site, payload), signature) {
            return None;
        }
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let mut parts = text.splitn(4, '\n');
        let mut next = || parts.next();
        let seed = next()?.to_owned();
        let began_at = Timestamp::from_millis(next()?.parse().ok()?);
        // No provider's name has a blank.
        let mut about = next()?.splitn(2, ' ').map(str::to_owned);
        Some(Self {
            seed,
            began_at,
            provider: about.next()?,
            user: about.next(),
            return_to: next()?.to_owned(),
        })
    }

    /// The value of its cookie at the site of this name.
    #[must_use]
    pub fn value(&self, site: &str, keys: &Keyring) -> String {
        let began_at = self.began_at.millis().to_string();
        let about = match &self.user {
            Some(user) => &[&self.provider, " ", user].concat(),
            None => &self.provider,
        };
        let text = [&*self.seed, &began_at, about, &self.return_to].join("\n");
        let payload = URL_SAFE_NO_PAD.encode(text);
        let signature = sign(keys, &message(site, &payload));
        [&payload, ".", &signature].concat()
    }

    /// `state` (RFC 6749 §10.12).
    #[must_use]
    pub fn state(&self) -> String {
        self.derived("state")
    }

    /// `nonce` (Core 1.0 §15.5.2).
    #[must_use]
    pub fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// The verifier (RFC 7636 §4.1).
    #[must_use]
    pub fn verifier(&self) -> String {
        self.derived("verifier")
    }

    /// The challenge of the verifier, by the method `S256` (RFC 7636 §4.2).
    #[must_use]
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha256(self.verifier().as_bytes()))
    }

    /// Whether it has taken too long.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.began_at + LIFETIME
    }

    fn derived(&self, what: &str) -> String {
        let text = ["signin-", what, "\n", &self.seed].concat();
        URL_SAFE_NO_PAD.encode(sha256(text.as_bytes()))
    }
}

/// What the name of the cookie ends with that holds the sign-in of this `state`; `None` for what is none of ours.
#[must_use]
pub fn name_of(state: &str) -> Option<&str> {
    let name = state.get(..NAME)?;
    (state.len() == LENGTH && is_plain(state)).then_some(name)
}

/// Whether this may be the end of the name of such a cookie.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.len() == NAME && is_plain(text)
}

fn is_plain(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    text.bytes().all(plain)
}

fn message(site: &str, payload: &str) -> String {
    ["signin\n", site, "\n", payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sevens;

    impl Entropy for Sevens {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    fn keys(byte: u8) -> Keyring {
        Keyring::new([(1, vec![byte; 32])]).unwrap()
    }

    #[test]
    fn sec_53_only_our_own_attempts_are_read_and_only_at_their_site() {
        let now = Timestamp::from_seconds(1000);
        let attempt = Attempt::begin(&Sevens, ("google", None), "/a?b=\u{e9}", now);
        let value = attempt.value("app", &keys(1));
        let read = Attempt::read(&value, "app", &keys(1)).unwrap();
        assert_eq!(read.return_to, "/a?b=\u{e9}");
        assert_eq!(read.provider, "google");
        assert_eq!(read.began_at, now);
        assert_eq!(read.state(), attempt.state());
        assert!(Attempt::read(&value, "app2", &keys(1)).is_none());
        assert!(Attempt::read(&value, "app", &keys(2)).is_none());
        for bad in ["", ".", "a.b", &value[1..], &value.replace('.', "")] {
            assert!(Attempt::read(bad, "app", &keys(1)).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_derived_has_256_bits_each_and_is_different() {
        let attempt = Attempt::begin(
            &Sevens,
            ("google", None),
            "/",
            Timestamp::from_seconds(1000),
        );
        let all = [attempt.state(), attempt.nonce(), attempt.verifier()];
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            assert_ne!(all[one], all[other]);
        }
        assert!(all.iter().all(|one| one.len() == LENGTH));
        assert_eq!(name_of(&attempt.state()), attempt.state().get(..8));
        for bad in ["", "abcdefgh", &"a".repeat(44), &";".repeat(43)] {
            assert_eq!(name_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_attempt_is_over_after_ten_minutes() {
        let now = Timestamp::from_seconds(1000);
        let attempt = Attempt::begin(&Sevens, ("google", None), "/", now);
        assert!(!attempt.is_over(now + Seconds(599)));
        assert!(attempt.is_over(now + Seconds(600)));
    }
}
