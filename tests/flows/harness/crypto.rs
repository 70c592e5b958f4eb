//! `WebCrypto`'s verbs by native crates, and issuers that sign with any algorithm.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use edgeward::jose::der;
use edgeward::platform::algorithm::{Algorithm, KeyType};
use edgeward::platform::digest::sha256;
use edgeward::platform::port::{Check, KeyPair};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use p521::ecdsa::signature::{Signer as _, Verifier as _};
use ring::rand::SystemRandom;
use ring::signature::{
    self as rs, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair, UnparsedPublicKey,
};
use serde_json::{Value, json};

use super::keys;

/// The bytes of a DEV-ONLY key.
fn pkcs8(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

/// A new key pair; RSA pairs are always the same.
pub fn generate(algorithm: Algorithm, seed: [u8; 32]) -> KeyPair {
    let private = match algorithm.key_type() {
        KeyType::P256 => p256::SecretKey::from_slice(&seed)
            .unwrap()
            .to_pkcs8_der()
            .unwrap()
            .as_bytes()
            .to_vec(),
        KeyType::Ed25519 => {
            let mut der =
                b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
            der.extend(seed);
            der
        }
        KeyType::Rsa => pkcs8(keys::RSA_A),
        other => panic!("nobody asks for {other:?}"),
    };
    let key = Private::read(algorithm.key_type(), &private);
    KeyPair {
        public: key.spki(),
        private,
    }
}

/// Signs as `WebCrypto` does.
pub fn sign(algorithm: Algorithm, private: &[u8], message: &[u8]) -> Vec<u8> {
    Private::read(algorithm.key_type(), private).sign(algorithm, message)
}

/// Checks as `WebCrypto` does.
pub fn verify(check: Check<'_>) -> bool {
    let Some(parsed) = der::parse(check.key) else {
        return false;
    };
    assert_eq!(parsed.key_type, check.algorithm.key_type());
    let algorithm: &dyn rs::VerificationAlgorithm = match check.algorithm {
        Algorithm::Rs256 => &rs::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &rs::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &rs::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &rs::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &rs::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &rs::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 => &rs::ECDSA_P256_SHA256_FIXED,
        Algorithm::Es384 => &rs::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDsa => &rs::ED25519,
        Algorithm::Es512 => {
            let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(parsed.key);
            let signature = p521::ecdsa::Signature::from_slice(check.signature);
            return key.is_ok_and(|key| {
                signature.is_ok_and(|signature| key.verify(check.message, &signature).is_ok())
            });
        }
        other => panic!("{other:?} is none of WebCrypto's"),
    };
    UnparsedPublicKey::new(algorithm, parsed.key)
        .verify(check.message, check.signature)
        .is_ok()
}

/// A private key of any kind.
pub enum Private {
    Secret(Vec<u8>),
    Rsa(Box<RsaKeyPair>),
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(Box<p521::SecretKey>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Private {
    /// A key of this kind; the same for the same `name`, but for RSA, of which there are two.
    pub fn new(key_type: KeyType, name: &str) -> Self {
        let seed = sha256(name.as_bytes());
        match key_type {
            KeyType::Secret => Self::Secret(
                URL_SAFE_NO_PAD
                    .encode([seed, sha256(&seed)].concat())
                    .into_bytes(),
            ),
            KeyType::Rsa if name == "other" => Self::read(key_type, &pkcs8(keys::RSA_B)),
            KeyType::Rsa => Self::read(key_type, &pkcs8(keys::RSA_A)),
            KeyType::P256 | KeyType::Ed25519 => {
                let algorithm = match key_type {
                    KeyType::P256 => Algorithm::Es256,
                    _ => Algorithm::EdDsa,
                };
                Self::read(key_type, &generate(algorithm, seed).private)
            }
            KeyType::P384 => {
                let random = SystemRandom::new();
                let pair =
                    EcdsaKeyPair::generate_pkcs8(&rs::ECDSA_P384_SHA384_FIXED_SIGNING, &random);
                Self::P384(pair.unwrap().as_ref().to_vec())
            }
            KeyType::P521 => {
                let mut scalar = [0_u8; 66];
                scalar[2..34].copy_from_slice(&seed);
                Self::P521(Box::new(p521::SecretKey::from_slice(&scalar).unwrap()))
            }
        }
    }

    fn read(key_type: KeyType, private: &[u8]) -> Self {
        match key_type {
            KeyType::Rsa => Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(private).unwrap())),
            KeyType::P256 => Self::P256(private.to_vec()),
            KeyType::Ed25519 => Self::Ed25519(Box::new(
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(private).unwrap(),
            )),
            other => panic!("{other:?} is not read"),
        }
    }

    fn p384(private: &[u8]) -> EcdsaKeyPair {
        let algorithm = &rs::ECDSA_P384_SHA384_FIXED_SIGNING;
        EcdsaKeyPair::from_pkcs8(algorithm, private, &SystemRandom::new()).unwrap()
    }

    /// The key itself, as a `SubjectPublicKeyInfo` holds it.
    fn public(&self) -> (KeyType, Vec<u8>) {
        match self {
            Self::Secret(_) => panic!("a secret has no public half"),
            Self::Rsa(pair) => (KeyType::Rsa, pair.public_key().as_ref().to_vec()),
            Self::P256(private) => {
                let key = p256::SecretKey::from_pkcs8_der(private).unwrap();
                let point = key.public_key().to_encoded_point(false);
                (KeyType::P256, point.as_bytes().to_vec())
            }
            Self::P384(private) => (
                KeyType::P384,
                Self::p384(private).public_key().as_ref().to_vec(),
            ),
            Self::P521(key) => {
                let point = key.public_key().to_encoded_point(false);
                (KeyType::P521, point.as_bytes().to_vec())
            }
            Self::Ed25519(pair) => (KeyType::Ed25519, pair.public_key().as_ref().to_vec()),
        }
    }

    pub fn spki(&self) -> Vec<u8> {
        let (key_type, key) = self.public();
        der::spki(key_type, &key)
    }

    /// The public JWK with these further members.
    pub fn jwk(&self, more: &Value) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (key_type, key) = self.public();
        let point = |crv: &str| {
            let (x, y) = key[1..].split_at(key.len() / 2);
            json!({"kty": "EC", "crv": crv, "x": text(x), "y": text(y)})
        };
        let mut jwk = match key_type {
            KeyType::Rsa => {
                let (n, e) = der::rsa(&key).unwrap();
                json!({"kty": "RSA", "n": text(n), "e": text(e)})
            }
            KeyType::P256 => point("P-256"),
            KeyType::P384 => point("P-384"),
            KeyType::P521 => point("P-521"),
            KeyType::Ed25519 => json!({"kty": "OKP", "crv": "Ed25519", "x": text(&key)}),
            KeyType::Secret => panic!(),
        };
        jwk.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        jwk
    }

    /// Signs with `algorithm`, which must be one for this kind of key.
    pub fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Secret(secret) => {
                let hash = match algorithm {
                    Algorithm::Hs256 => ring::hmac::HMAC_SHA256,
                    Algorithm::Hs384 => ring::hmac::HMAC_SHA384,
                    _ => ring::hmac::HMAC_SHA512,
                };
                let key = ring::hmac::Key::new(hash, secret);
                ring::hmac::sign(&key, message).as_ref().to_vec()
            }
            Self::Rsa(pair) => {
                let encoding: &dyn rs::RsaEncoding = match algorithm {
                    Algorithm::Rs256 => &rs::RSA_PKCS1_SHA256,
                    Algorithm::Rs384 => &rs::RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &rs::RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &rs::RSA_PSS_SHA256,
                    Algorithm::Ps384 => &rs::RSA_PSS_SHA384,
                    _ => &rs::RSA_PSS_SHA512,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut signature)
                    .unwrap();
                signature
            }
            Self::P256(private) => {
                let key = p256::ecdsa::SigningKey::from_pkcs8_der(private).unwrap();
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Self::P384(private) => Self::p384(private)
                .sign(&SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec(),
            Self::P521(key) => {
                let key = p521::ecdsa::SigningKey::from_slice(&key.to_bytes()).unwrap();
                let signature: p521::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token of this key. `alg` is said, whatever `algorithm` is.
    pub fn token(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> String {
        let mut whole = json!({"alg": algorithm.name()});
        whole
            .as_object_mut()
            .unwrap()
            .extend(header.as_object().unwrap().clone());
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(whole.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.sign(algorithm, input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
