//! Checks the strength of symmetric secrets (RFC 8725 §3.5).

use std::collections::HashSet;

/// A secret must be as long as a SHA-256 hash (RFC 7518 §3.2).
const MIN_BYTES: usize = 32;
/// A random text of 32 characters has far more distinct ones.
const MIN_DIFFERENT: usize = 12;

/// Secrets of at least 32 bytes from public guides and lists. Shorter ones are rejected anyway.
const PUBLISHED: &str = include_str!("published-secrets.txt");

/// What is wrong with `secret`, if anything. The message does not contain the secret.
#[must_use]
pub fn weakness(secret: &str) -> Option<&'static str> {
    if secret.len() < MIN_BYTES {
        return Some("is shorter than 32 bytes; create one with `npm run admin -- secret rotate`");
    }
    if PUBLISHED.lines().any(|known| known == secret) {
        return Some(
            "is an example from public documentation; create one with `npm run admin -- secret rotate`",
        );
    }
    let different: HashSet<u8> = secret.bytes().collect();
    if different.len() < MIN_DIFFERENT || repeats(secret.as_bytes()) {
        return Some("is not random; create one with `npm run admin -- secret rotate`");
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
    fn the_list_holds_only_what_the_length_lets_through() {
        for known in PUBLISHED.lines() {
            assert!(known.len() >= MIN_BYTES, "{known}");
        }
    }
}
