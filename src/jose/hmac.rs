//! HMAC algorithms and their secrets. The key decides the algorithm; the token's `alg` is only
//! compared with it (RFC 8725 §3.1).

use jwt_compact::alg::{Hs256, Hs256Key, Hs384, Hs384Key, Hs512, Hs512Key};
use jwt_compact::{Algorithm, AlgorithmSignature};
use serde::Deserialize;

use crate::jose::error::TokenError;
use crate::platform::algorithm;

/// An HMAC algorithm (RFC 7518 §3.2).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum HmacAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    #[serde(rename = "HS256")]
    Hs256,
    /// HMAC with SHA-384.
    #[serde(rename = "HS384")]
    Hs384,
    /// HMAC with SHA-512.
    #[serde(rename = "HS512")]
    Hs512,
}

impl HmacAlgorithm {
    /// Converts from [`algorithm::Algorithm`]; `None` for an asymmetric one.
    #[must_use]
    pub const fn of(algorithm: algorithm::Algorithm) -> Option<Self> {
        match algorithm {
            algorithm::Algorithm::Hs256 => Some(Self::Hs256),
            algorithm::Algorithm::Hs384 => Some(Self::Hs384),
            algorithm::Algorithm::Hs512 => Some(Self::Hs512),
            _ => None,
        }
    }

    /// The name in the IANA registry (RFC 7518 §3.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        let algorithm = match self {
            Self::Hs256 => algorithm::Algorithm::Hs256,
            Self::Hs384 => algorithm::Algorithm::Hs384,
            Self::Hs512 => algorithm::Algorithm::Hs512,
        };
        algorithm.name()
    }

    fn sign(self, secret: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Hs256 => Hs256
                .sign(&Hs256Key::new(secret), message)
                .as_bytes()
                .into_owned(),
            Self::Hs384 => Hs384
                .sign(&Hs384Key::new(secret), message)
                .as_bytes()
                .into_owned(),
            Self::Hs512 => Hs512
                .sign(&Hs512Key::new(secret), message)
                .as_bytes()
                .into_owned(),
        }
    }

    /// Verifies in constant time (`CtOutput` of the `digest` crate).
    pub(crate) fn verify(self, secret: &[u8], message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hs256 => verify(&Hs256, &Hs256Key::new(secret), message, signature),
            Self::Hs384 => verify(&Hs384, &Hs384Key::new(secret), message, signature),
            Self::Hs512 => verify(&Hs512, &Hs512Key::new(secret), message, signature),
        }
    }
}

/// `try_from_slice` panics on a wrong length, so check the length first.
fn verify<A: Algorithm>(
    algorithm: &A,
    key: &A::VerifyingKey,
    message: &[u8],
    signature: &[u8],
) -> bool {
    A::Signature::LENGTH.is_some_and(|length| length.get() == signature.len())
        && A::Signature::try_from_slice(signature)
            .is_ok_and(|signature| algorithm.verify_signature(&signature, key, message))
}

/// A symmetric secret. Its `Debug` output does not contain it.
#[derive(Clone)]
pub struct Secret {
    number: u32,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// The secrets for one purpose: the newest signs, all verify. So a secret can be rotated without
/// ending what the previous one signed.
#[derive(Clone, Debug)]
pub struct Keyring {
    newest: Secret,
    older: Vec<Secret>,
}

impl Keyring {
    /// A key ring of numbered secrets; `None` if there is none. Their strength is checked where
    /// they are configured ([`crate::config::secret`]).
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = (u32, Vec<u8>)>) -> Option<Self> {
        let mut all: Vec<Secret> = secrets
            .into_iter()
            .map(|(number, bytes)| Secret { number, bytes })
            .collect();
        all.sort_by_key(|secret| secret.number);
        let newest = all.pop()?;
        Some(Self { newest, older: all })
    }

    /// The number of the signing secret, which is the `kid`.
    #[must_use]
    pub const fn newest(&self) -> u32 {
        self.newest.number
    }

    /// Signs `message` with the newest secret.
    #[must_use]
    pub fn sign(&self, algorithm: HmacAlgorithm, message: &[u8]) -> Vec<u8> {
        algorithm.sign(&self.newest.bytes, message)
    }

    /// Verifies `signature` with the secret that `kid` names. The `kid` is only compared.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`], [`TokenError::NotYet`] for a secret newer than ours, or
    /// [`TokenError::Signature`].
    pub fn verify(
        &self,
        algorithm: HmacAlgorithm,
        kid: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenError> {
        let kid = kid.unwrap_or_default();
        let secret = self
            .find(|secret| secret.number.to_string() == kid)
            .ok_or_else(|| self.unknown(kid))?;
        if algorithm.verify(&secret.bytes, message, signature) {
            Ok(())
        } else {
            Err(TokenError::Signature)
        }
    }

    /// Derives a 256-bit encryption key from secret `number`, for `purpose` alone.
    #[must_use]
    pub fn encryption_key(&self, number: u32, purpose: &str) -> Option<[u8; 32]> {
        let secret = self.find(|secret| secret.number == number)?;
        // HMAC as a key derivation function with a fixed label (NIST SP 800-108, one block).
        let derived = HmacAlgorithm::Hs256.sign(&secret.bytes, purpose.as_bytes());
        derived.try_into().ok()
    }

    /// The code of authenticity of `message` (HMAC-SHA-256) under a key that secret `number` has for `purpose` alone.
    #[must_use]
    pub fn code(&self, number: u32, purpose: &str, message: &[u8]) -> Option<Vec<u8>> {
        let key = self.encryption_key(number, purpose)?;
        Some(HmacAlgorithm::Hs256.sign(&key, message))
    }

    /// A number above our newest belongs to a secret that has not reached this isolate yet.
    fn unknown(&self, kid: &str) -> TokenError {
        match kid.parse::<u32>() {
            Ok(number) if number > self.newest() && number.to_string() == kid => TokenError::NotYet,
            _ => TokenError::UnknownKey,
        }
    }

    fn find(&self, matches: impl Fn(&Secret) -> bool) -> Option<&Secret> {
        std::iter::once(&self.newest)
            .chain(&self.older)
            .find(|secret| matches(secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(numbers: &[u32]) -> Keyring {
        Keyring::new(
            numbers
                .iter()
                .map(|n| (*n, vec![u8::try_from(*n).unwrap(); 32])),
        )
        .unwrap()
    }

    #[test]
    fn the_newest_secret_signs_and_all_verify() {
        let old = ring(&[1]);
        let both = ring(&[2, 1]);
        let signature = old.sign(HmacAlgorithm::Hs256, b"message");
        assert_eq!(both.newest(), 2);
        assert_eq!(
            both.verify(HmacAlgorithm::Hs256, Some("1"), b"message", &signature),
            Ok(())
        );
        assert_eq!(
            both.verify(HmacAlgorithm::Hs256, Some("2"), b"message", &signature),
            Err(TokenError::Signature)
        );
        assert_eq!(
            ring(&[2]).verify(HmacAlgorithm::Hs256, Some("1"), b"message", &signature),
            Err(TokenError::UnknownKey)
        );
    }

    #[test]
    fn a_secret_that_is_still_on_its_way_is_told_from_an_unknown_one() {
        let newer = ring(&[3]);
        let signature = newer.sign(HmacAlgorithm::Hs256, b"m");
        let verdict =
            |ring: Keyring| ring.verify(HmacAlgorithm::Hs256, Some("3"), b"m", &signature);
        assert_eq!(verdict(ring(&[2])), Err(TokenError::NotYet));
        assert_eq!(verdict(ring(&[4])), Err(TokenError::UnknownKey));
    }

    #[test]
    fn sec_6_a_kid_is_compared_and_nothing_else() {
        let ring = ring(&[1]);
        let signature = ring.sign(HmacAlgorithm::Hs256, b"m");
        for kid in [
            None,
            Some(""),
            Some("01"),
            Some("+1"),
            Some("1\0"),
            Some("../1"),
            Some("' OR 1=1"),
        ] {
            assert_eq!(
                ring.verify(HmacAlgorithm::Hs256, kid, b"m", &signature),
                Err(TokenError::UnknownKey)
            );
        }
    }

    #[test]
    fn a_signature_of_another_length_is_refused_without_a_panic() {
        let ring = ring(&[1]);
        let good = ring.sign(HmacAlgorithm::Hs512, b"m");
        for algorithm in [HmacAlgorithm::Hs256, HmacAlgorithm::Hs384] {
            assert!(ring.verify(algorithm, Some("1"), b"m", &good).is_err());
        }
        for length in 0..good.len() {
            assert!(
                ring.verify(HmacAlgorithm::Hs512, Some("1"), b"m", &good[..length])
                    .is_err()
            );
        }
        assert!(
            ring.verify(HmacAlgorithm::Hs512, Some("1"), b"m", &good)
                .is_ok()
        );
    }

    #[test]
    fn a_secret_is_not_shown() {
        let shown = format!(
            "{:?}",
            Keyring::new([(1, b"do-not-show".to_vec())]).unwrap()
        );
        assert!(
            !shown.contains("100") && !shown.contains("do-not-show"),
            "{shown}"
        );
    }
}
