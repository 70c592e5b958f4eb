//! Tokens of other issuers: the same envelope, verified with the issuer's own keys. As with our
//! own, no claim can be read before the signature has matched.

use crate::jose::error::TokenError;
use crate::jose::hmac::HmacAlgorithm;
use crate::jose::jws::{Kind, UntrustedJws, VerifiedJws};
use crate::jose::key::{KeySet, PublicKey};
use crate::platform::algorithm::Algorithm;
use crate::platform::port::{Check, Crypto};

impl UntrustedJws<'_> {
    /// The algorithm, if it is one of `allowed`, once `typ` is the expected one, or generic if none
    /// is expected (RFC 8725 §3.1, §3.11). Our own kinds are never accepted.
    ///
    /// # Errors
    /// [`TokenError::Type`], [`TokenError::Algorithm`].
    pub fn algorithm_among(
        &self,
        allowed: &[Algorithm],
        typ: Option<&str>,
    ) -> Result<Algorithm, TokenError> {
        // `application/` may be omitted, and case does not matter (RFC 7515 §4.1.9).
        let named = self.typ.as_deref().map(str::to_ascii_lowercase);
        let named = named
            .as_deref()
            .map(|name| name.strip_prefix("application/").unwrap_or(name));
        let ours = [Kind::Sso, Kind::Session, Kind::Assertion]
            .iter()
            .any(|kind| named == Some(kind.typ()));
        let fits = match typ {
            Some(typ) => named == Some(typ),
            None => named.is_none_or(|name| name == "jwt"),
        };
        if ours || !fits {
            return Err(TokenError::Type);
        }
        Algorithm::named(&self.algorithm)
            .filter(|named| allowed.contains(named))
            .ok_or(TokenError::Algorithm)
    }

    /// The keys in `keys` that the token may mean.
    #[must_use]
    pub fn keys_in<'k>(&self, keys: &'k KeySet, algorithm: Algorithm) -> Vec<&'k PublicKey> {
        keys.find(self.kid.as_deref(), algorithm)
    }

    /// Verifies the signature with shared secrets. The `kid` is ignored: shared secrets have no
    /// names.
    ///
    /// # Errors
    /// [`TokenError::Algorithm`] or [`TokenError::Signature`].
    pub fn verified_by_secret(
        &self,
        algorithm: Algorithm,
        secrets: &[Vec<u8>],
    ) -> Result<VerifiedJws, TokenError> {
        let hmac = HmacAlgorithm::of(algorithm).ok_or(TokenError::Algorithm)?;
        let message = self.signing_input.as_bytes();
        let good = secrets
            .iter()
            .any(|secret| hmac.verify(secret, message, &self.signature));
        self.verified(good)
    }

    /// Verifies the signature with the keys in `keys` that the token may mean. A wrong key proves nothing, whoever has
    /// published it: only a signature that matches counts.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`], [`TokenError::Signature`], or a fault.
    pub async fn verified_by_one_of(
        &self,
        algorithm: Algorithm,
        keys: &KeySet,
        crypto: &dyn Crypto,
    ) -> Result<VerifiedJws, TokenError> {
        let mut error = TokenError::UnknownKey;
        for key in self.keys_in(keys, algorithm) {
            match self.verified_by(algorithm, key, crypto).await {
                Err(TokenError::Signature) => error = TokenError::Signature,
                result => return result,
            }
        }
        Err(error)
    }

    /// Verifies the signature with a public key.
    ///
    /// # Errors
    /// [`TokenError::Algorithm`], [`TokenError::Signature`], or a fault.
    pub async fn verified_by(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        crypto: &dyn Crypto,
    ) -> Result<VerifiedJws, TokenError> {
        if !key.is_for(algorithm) {
            return Err(TokenError::Algorithm);
        }
        let length = self.signature.len();
        if algorithm
            .signature_length()
            .is_some_and(|right| right != length)
        {
            return Err(TokenError::Signature);
        }
        let check = Check {
            algorithm,
            key: key.spki(),
            message: self.signing_input.as_bytes(),
            signature: &self.signature,
        };
        let good = crypto.verify(check).await?;
        self.verified(good)
    }

    fn verified(&self, good: bool) -> Result<VerifiedJws, TokenError> {
        if !good {
            return Err(TokenError::Signature);
        }
        Ok(VerifiedJws {
            claims: self.claims.clone(),
        })
    }
}
