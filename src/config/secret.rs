//! The Worker's secrets that settings name, and the strength of symmetric ones (RFC 8725 §3.5).

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::reader::{Bindings, GLOBAL};
use crate::http::query;
use crate::platform::algorithm::Algorithm;
use crate::site::UpstreamCredential;

/// A client's credential for HTTP Basic. Both parts are encoded like a form's (RFC 6749 §2.3.1).
pub(super) fn basic(client_id: &str, secret: &str) -> UpstreamCredential {
    let pair = [&*query::encode(client_id), ":", &*query::encode(secret)].concat();
    UpstreamCredential(["Basic ", &*STANDARD.encode(pair)].concat())
}

/// A private key as PEM, also with `\n` for its line breaks, or its base64 alone: PKCS #8, for ES256 or RS256.
pub(super) fn private_key(secret: &str) -> Option<(Algorithm, Vec<u8>)> {
    // The object identifiers of rsaEncryption (RFC 8017 §A.1), and of an EC key on P-256 (RFC 5480 §2.1.1).
    const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    const P256: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
    let text = secret.replace("\\n", "\n");
    let text = match text.split_once("-----BEGIN PRIVATE KEY-----") {
        Some((_, rest)) => rest.split_once("-----END")?.0,
        None => &text,
    };
    let text: String = text.split_whitespace().collect();
    let der = STANDARD.decode(text).ok()?;
    let head = der.get(..der.len().min(40))?;
    let has = |id: &[u8]| memchr::memmem::find(head, id).is_some();
    let algorithm = if has(RSA) {
        Algorithm::Rs256
    } else if has(P256) {
        Algorithm::Es256
    } else {
        return None;
    };
    Some((algorithm, der))
}

/// Why the secret that a setting names cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameError {
    /// It is one of Edgeward's own, which nobody else may learn.
    Own,
    /// The Worker has no such secret.
    Missing,
}

/// The secret that a setting names.
///
/// # Errors
/// [`NameError`] if Edgeward must not use it, or does not have it.
pub fn named<'a>(bindings: &'a Bindings, name: &str) -> Result<&'a str, NameError> {
    if name.starts_with(GLOBAL) {
        return Err(NameError::Own);
    }
    let value = bindings.get(name).ok_or(NameError::Missing)?;
    Ok(value)
}

/// A secret must be as long as a SHA-256 hash (RFC 7518 §3.2).
const MIN_BYTES: usize = 32;
/// A random text of 32 characters has far more distinct ones.
const MIN_DIFFERENT: usize = 12;

/// Secrets of at least 32 bytes from public guides and lists. Shorter ones are rejected anyway.
const PUBLISHED: &str = include_str!("published-secrets.txt");

/// How a deployer sets a secret that a setting names.
pub const HOW_TO_SET: &str =
    "set it with `wrangler secret put`, or in .dev.vars for the local environment";

/// What is wrong with `secret`, if anything. The message does not contain the secret, nor what to do: that depends on whose
/// it is.
#[must_use]
pub fn weakness(secret: &str) -> Option<&'static str> {
    if secret.len() < MIN_BYTES {
        return Some("is shorter than 32 bytes");
    }
    if PUBLISHED.lines().any(|known| known == secret) {
        return Some("is an example from public documentation");
    }
    let different: HashSet<u8> = secret.bytes().collect();
    if different.len() < MIN_DIFFERENT || repeats(secret.as_bytes()) {
        return Some("is not random");
    }
    None
}

/// Whether `bytes` repeats one short sequence.
fn repeats(bytes: &[u8]) -> bool {
    (1..=bytes.len() / 2).any(|period| {
        bytes
            .iter()
            .zip(bytes.iter().skip(period))
            .all(|(a, b)| a == b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_random_unpublished_secret_is_one() {
        assert_eq!(weakness("q3Jb0pXv9sLw2mZr7tKc5nYd8fHg1aEu"), None);
        for weak in [
            "",
            "secret",
            "q3Jb0pXv9sLw2mZr7tKc5nYd8fHg1aE",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabcabcabcabcabcabcabc",
            "0123456789abcdef0123456789abcdef",
            "x7KjN9mP2vL5wQ8rT4gH1nY6uB3sC0dE9fA5xZ7kM2p",
            "a-string-secret-at-least-256-bits-long",
        ] {
            assert!(weakness(weak).is_some(), "{weak}");
        }
    }

    #[test]
    fn no_setting_can_name_a_secret_of_our_own() {
        let names = ["UPSTREAM", "EDGEWARD", "EDGEWARD_SESSION_SECRET"];
        let bindings: Bindings = names.map(|name| (name.into(), "value".into())).into();
        assert_eq!(named(&bindings, "UPSTREAM"), Ok("value"));
        assert_eq!(named(&bindings, "OTHER"), Err(NameError::Missing));
        for own in ["EDGEWARD", "EDGEWARD_SESSION_SECRET", "EDGEWARD_UNSET"] {
            assert_eq!(named(&bindings, own), Err(NameError::Own), "{own}");
        }
    }

    #[test]
    fn the_list_holds_only_what_the_length_lets_through() {
        for known in PUBLISHED.lines() {
            assert!(known.len() >= MIN_BYTES, "{known}");
        }
    }
}
