//! The signed envelope: JWS in compact form (RFC 7515 §7.1), with HMAC.
//!
//! [`UntrustedJws`] is a token as it arrived; its claims cannot be read. [`UntrustedJws::verify`]
//! turns it into a [`VerifiedJws`], whose claims can. Knows no issuer, no clock and no user.

pub mod foreign;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::jose::error::TokenError;
use crate::jose::hmac::{HmacAlgorithm, Keyring};
use crate::jose::json::StrictObject;

/// The longest token that is parsed, in bytes.
pub const MAX_LENGTH: usize = 8192;

/// The longest `kid` that is accepted, in bytes.
const MAX_KID: usize = 256;

/// What a token is for. A token of one kind is never accepted as another (RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Requested by an application, short-lived.
    Sso,
    /// The value of Edgeward's cookie.
    Session,
    /// Tells the origin who is asking.
    Assertion,
}

impl Kind {
    /// The `typ` header of tokens of this kind (RFC 7515 §4.1.9).
    #[must_use]
    pub const fn typ(self) -> &'static str {
        match self {
            Self::Sso => "sso+jwt",
            Self::Session => "session+jwt",
            Self::Assertion => "assertion+jwt",
        }
    }
}

/// A token in the right form with an unverified signature. Its claims cannot be read:
///
/// ```compile_fail,E0599
/// let token = edgeward::jose::jws::UntrustedJws::parse("aa.bb.cc")?;
/// let claims = token.into_claims()?;
/// # Ok::<(), edgeward::jose::error::TokenError>(())
/// ```
///
/// ```compile_fail,E0616
/// let token = edgeward::jose::jws::UntrustedJws::parse("aa.bb.cc")?;
/// let claims = token.claims;
/// # Ok::<(), edgeward::jose::error::TokenError>(())
/// ```
pub struct UntrustedJws<'a> {
    algorithm: String,
    typ: Option<String>,
    kid: Option<String>,
    signing_input: &'a str,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

/// A token with a verified signature. Whether it is for us, and still valid, is for
/// [`crate::jose::jwt`] to check.
///
/// Only [`UntrustedJws::verify`] creates one:
///
/// ```compile_fail,E0451
/// let token = edgeward::jose::jws::VerifiedJws { claims: b"{}".to_vec() };
/// ```
pub struct VerifiedJws {
    claims: Vec<u8>,
}

impl<'a> UntrustedJws<'a> {
    /// Parses `token`: three parts of unpadded base64url, a header without `crit`, and nothing
    /// else. Nothing is decoded before the length and the dots are right.
    ///
    /// # Errors
    /// [`TokenError::TooLong`], [`TokenError::NotCompact`], [`TokenError::Header`],
    /// [`TokenError::Critical`].
    pub fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_LENGTH {
            return Err(TokenError::TooLong);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(TokenError::NotCompact)?;
        let (header, claims) = signing_input
            .split_once('.')
            .ok_or(TokenError::NotCompact)?;
        if claims.contains('.') || signature.is_empty() {
            return Err(TokenError::NotCompact);
        }
        let header: StrictObject =
            serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Header)?;
        let header = header.0;
        // `b64` (RFC 7797) changes what is signed, and a careless issuer may not list it in `crit`;
        // `zip` is for encryption only.
        if header.contains_key("crit") || header.contains_key("b64") || header.contains_key("zip") {
            return Err(TokenError::Critical);
        }
        let kid = text(&header, "kid")?;
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(TokenError::Header);
        }
        Ok(Self {
            algorithm: text(&header, "alg")?.ok_or(TokenError::Header)?,
            typ: text(&header, "typ")?,
            kid,
            signing_input,
            claims: decode(claims)?,
            signature: decode(signature)?,
        })
    }

    /// The unverified header, for who is told why a token was refused: `alg`, `typ` and `kid`. Decides nothing.
    #[must_use]
    pub fn named(&self) -> (&str, Option<&str>, Option<&str>) {
        (&self.algorithm, self.typ.as_deref(), self.kid.as_deref())
    }

    /// Whether the unverified header names one of our kinds.
    #[must_use]
    pub fn names_our_kind(&self) -> bool {
        [Kind::Sso, Kind::Session, Kind::Assertion]
            .iter()
            .any(|kind| self.typ.as_deref() == Some(kind.typ()))
    }

    /// Whether the unverified header names one of our kinds that authenticate here.
    #[must_use]
    pub fn is_credential_of_ours(&self) -> bool {
        [Kind::Sso, Kind::Session]
            .iter()
            .any(|kind| self.typ.as_deref() == Some(kind.typ()))
    }

    /// Whether the unverified claims name one of `issuers` as theirs. That tells whose a token is that lies in a place which
    /// others use too; nobody is let in by it.
    #[must_use]
    pub fn names_issuer_among<'i>(&self, mut issuers: impl Iterator<Item = &'i str>) -> bool {
        let claims = serde_json::from_slice::<StrictObject>(&self.claims);
        let issuer = claims.ok().and_then(|mut claims| claims.0.remove("iss"));
        matches!(&issuer, Some(Value::String(named)) if issuers.any(|issuer| issuer == named))
    }

    /// Whether the unverified claims have no `iss` at all. Like its name, that lets nobody in.
    #[must_use]
    pub fn names_no_issuer(&self) -> bool {
        let claims = serde_json::from_slice::<StrictObject>(&self.claims);
        claims.is_ok_and(|claims| !claims.0.contains_key("iss"))
    }

    /// Verifies type, algorithm and signature, in this order.
    ///
    /// # Errors
    /// [`TokenError::Type`], [`TokenError::Algorithm`], [`TokenError::UnknownKey`],
    /// [`TokenError::Signature`].
    pub fn verify(
        self,
        kind: Kind,
        algorithm: HmacAlgorithm,
        keys: &Keyring,
    ) -> Result<VerifiedJws, TokenError> {
        if self.typ.as_deref() != Some(kind.typ()) {
            return Err(TokenError::Type);
        }
        if self.algorithm != algorithm.name() {
            return Err(TokenError::Algorithm);
        }
        keys.verify(
            algorithm,
            self.kid.as_deref(),
            self.signing_input.as_bytes(),
            &self.signature,
        )?;
        Ok(VerifiedJws {
            claims: self.claims,
        })
    }
}

impl VerifiedJws {
    /// The claims (RFC 7519 §4).
    ///
    /// # Errors
    /// [`TokenError::Claims`] when they are no JSON object or a member is named twice.
    pub fn into_claims(self) -> Result<Map<String, Value>, TokenError> {
        let claims: StrictObject =
            serde_json::from_slice(&self.claims).map_err(|_| TokenError::Claims)?;
        Ok(claims.0)
    }
}

/// Signs `claims` into a token in compact form, with the newest secret of `keys`.
#[must_use]
pub fn sign(kind: Kind, algorithm: HmacAlgorithm, keys: &Keyring, claims: &Value) -> String {
    let kid = keys.newest().to_string();
    let mut token = signing_input(kind, algorithm.name(), &kid, claims);
    let signature = keys.sign(algorithm, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

/// The JWS signing input (RFC 7515 §5.1).
#[must_use]
pub fn signing_input(kind: Kind, algorithm: &str, kid: &str, claims: &Value) -> String {
    let header = serde_json::json!({ "alg": algorithm, "typ": kind.typ(), "kid": kid });
    let mut input = URL_SAFE_NO_PAD.encode(header.to_string());
    input.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut input);
    input
}

/// Decodes strict base64url: no padding, no white space, no stray trailing bits (RFC 7515 §2).
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::NotCompact)
}

fn text(header: &Map<String, Value>, name: &str) -> Result<Option<String>, TokenError> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(value)) => Ok(Some(value.clone())),
        Some(_) => Err(TokenError::Header),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keyring {
        Keyring::new([(1, b"0123456789abcdef0123456789abcdef".to_vec())]).unwrap()
    }

    fn token() -> String {
        sign(
            Kind::Sso,
            HmacAlgorithm::Hs256,
            &keys(),
            &serde_json::json!({"sub": "a"}),
        )
    }

    fn verify(token: &str) -> Result<Map<String, Value>, TokenError> {
        UntrustedJws::parse(token)?
            .verify(Kind::Sso, HmacAlgorithm::Hs256, &keys())?
            .into_claims()
    }

    /// A token with this header, correctly signed with our secret.
    fn with_header(header: &str) -> String {
        let mut input = URL_SAFE_NO_PAD.encode(header);
        input.push('.');
        URL_SAFE_NO_PAD.encode_string(r#"{"sub":"a"}"#, &mut input);
        let signature = keys().sign(HmacAlgorithm::Hs256, input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn what_was_signed_verifies() {
        assert_eq!(verify(&token()).unwrap()["sub"], "a");
        assert!(verify(&with_header(r#"{"alg":"HS256","typ":"sso+jwt","kid":"1"}"#)).is_ok());
    }

    #[test]
    fn sec_3_none_in_any_spelling_and_an_empty_signature_are_refused() {
        for alg in ["none", "None", "nOnE", "NONE", ""] {
            let header = format!(r#"{{"alg":"{alg}","typ":"sso+jwt","kid":"1"}}"#);
            assert_eq!(
                verify(&with_header(&header)).err(),
                Some(TokenError::Algorithm),
                "{alg}"
            );
            let input = with_header(&header).rsplit_once('.').unwrap().0.to_owned();
            assert_eq!(
                verify(&format!("{input}.")).err(),
                Some(TokenError::NotCompact)
            );
        }
        assert!(verify(&with_header(r#"{"typ":"sso+jwt","kid":"1"}"#)).is_err());
    }

    #[test]
    fn sec_7_any_crit_and_b64_are_refused() {
        for extra in [
            r#""crit":["exp"]"#,
            r#""crit":[]"#,
            r#""crit":null"#,
            r#""b64":false"#,
            r#""zip":"DEF""#,
        ] {
            let header = format!(r#"{{"alg":"HS256","typ":"sso+jwt","kid":"1",{extra}}}"#);
            assert_eq!(
                verify(&with_header(&header)).err(),
                Some(TokenError::Critical),
                "{extra}"
            );
        }
    }

    #[test]
    fn sec_5_a_key_inside_the_token_is_never_used() {
        for extra in [
            r#""jwk":{"kty":"oct","k":"AA"}"#,
            r#""jku":"https://evil.example/k""#,
            r#""x5u":"https://evil.example/k""#,
            r#""x5c":["AA"]"#,
        ] {
            let header = format!(r#"{{"alg":"HS256","typ":"sso+jwt","kid":"other",{extra}}}"#);
            assert_eq!(
                verify(&with_header(&header)).err(),
                Some(TokenError::UnknownKey)
            );
        }
    }

    #[test]
    fn sec_6_a_long_kid_is_refused_before_it_is_compared() {
        let header = format!(
            r#"{{"alg":"HS256","typ":"sso+jwt","kid":"{}"}}"#,
            "1".repeat(257)
        );
        assert_eq!(
            verify(&with_header(&header)).err(),
            Some(TokenError::Header)
        );
    }

    #[test]
    fn sec_8_only_the_strict_compact_form_is_read() {
        let good = token();
        let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else {
            panic!()
        };
        for bad in [
            format!("{header}.{claims}.{signature}="),
            format!("{header}.{claims}.{signature}.{signature}"),
            format!("{header}.{claims}"),
            format!("{header}..{signature}"),
            format!("{header}.{claims}. {signature}"),
            format!("{header}.{claims}.{signature}\n"),
            format!(" {good}"),
            good.replace('.', ".."),
            format!(r#"{{"protected":"{header}","payload":"{claims}","signature":"{signature}"}}"#),
        ] {
            assert!(verify(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sec_8_stray_bits_at_the_end_are_refused() {
        let good = token();
        // 43 characters hold 258 bits for 256: the last two must be zero.
        let last = good.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let at = alphabet.find(last).unwrap();
        for stray in 1..4 {
            let other = alphabet.chars().nth(at + stray).unwrap();
            let bad = format!("{}{other}", &good[..good.len() - 1]);
            assert_eq!(verify(&bad).err(), Some(TokenError::NotCompact));
        }
    }

    #[test]
    fn sec_9_long_tokens_and_many_dots_are_refused_before_decoding() {
        assert_eq!(
            verify(&".".repeat(1 << 20)).err(),
            Some(TokenError::TooLong)
        );
        assert_eq!(
            verify(&".".repeat(MAX_LENGTH)).err(),
            Some(TokenError::NotCompact)
        );
        assert_eq!(
            verify(&"a".repeat(MAX_LENGTH + 1)).err(),
            Some(TokenError::TooLong)
        );
    }

    #[test]
    fn sec_10_an_encrypted_token_is_refused() {
        assert_eq!(verify("aa.bb.cc.dd.ee").err(), Some(TokenError::NotCompact));
    }

    #[test]
    fn sec_11_password_based_and_foreign_algorithms_are_refused() {
        for alg in [
            "PBES2-HS256+A128KW",
            "dir",
            "RS256",
            "ES256",
            "EdDSA",
            "HS384",
            "HS512",
            "hs256",
        ] {
            let header = format!(r#"{{"alg":"{alg}","typ":"sso+jwt","kid":"1","p2c":1000000000}}"#);
            assert_eq!(
                verify(&with_header(&header)).err(),
                Some(TokenError::Algorithm),
                "{alg}"
            );
        }
    }

    #[test]
    fn sec_12_duplicate_header_members_are_refused() {
        assert_eq!(
            verify(&with_header(
                r#"{"alg":"HS256","alg":"HS256","typ":"sso+jwt","kid":"1"}"#
            ))
            .err(),
            Some(TokenError::Header)
        );
    }

    #[test]
    fn sec_19_a_token_of_another_kind_is_refused() {
        for kind in [Kind::Session, Kind::Assertion] {
            let other = sign(
                kind,
                HmacAlgorithm::Hs256,
                &keys(),
                &serde_json::json!({"sub": "a"}),
            );
            assert_eq!(verify(&other).err(), Some(TokenError::Type));
        }
        assert_eq!(
            verify(&with_header(r#"{"alg":"HS256","typ":"JWT","kid":"1"}"#)).err(),
            Some(TokenError::Type)
        );
        assert_eq!(
            verify(&with_header(r#"{"alg":"HS256","kid":"1"}"#)).err(),
            Some(TokenError::Type)
        );
    }

    proptest::proptest! {
        #[test]
        fn a_changed_token_never_verifies(at in 0_usize..1000, flip in 1_u8..128) {
            let good = token();
            let mut bytes = good.clone().into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            if let Ok(changed) = String::from_utf8(bytes) {
                proptest::prop_assert!(verify(&changed).is_err());
            }
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in "[a-zA-Z0-9_.\\-=\\PC]{0,200}") {
            proptest::prop_assert!(verify(&text).is_err());
        }
    }
}
