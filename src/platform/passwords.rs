//! The port [`Passwords`], and what is told through it.

use serde::Serialize;

use crate::platform::port::{Fault, Pending};
use crate::platform::time::Seconds;

/// How a password is hashed. The names and parameters reach `edge/hashing.js` as JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Kdf {
    /// Version 0x13 (RFC 9106), without a secret and associated data.
    Argon2id {
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    },
    /// PBKDF2 with HMAC-SHA-256 (RFC 8018 §5.2).
    Pbkdf2Sha256 { iterations: u32 },
    /// bcrypt over the lower-case hex of the password's SHA-256, without the last byte: what Django
    /// stores.
    BcryptSha256 { cost: u32 },
    /// scrypt (RFC 7914) with N = 2^`log_n`.
    Scrypt { log_n: u8, r: u32, p: u32 },
}

impl Kdf {
    /// What new passwords are hashed with: OWASP's minimum for Argon2id, with a salt of 16 bytes and a
    /// tag of 32.
    pub const TODAY: Self = Self::Argon2id {
        memory_kib: 19_456,
        passes: 2,
        lanes: 1,
    };
}

/// The hash of a password; `model::password` reads and writes it as text.
#[derive(Clone, Eq, PartialEq)]
pub struct PasswordHash {
    pub kdf: Kdf,
    pub salt: Vec<u8>,
    pub output: Vec<u8>,
}

/// No log line and no failed assertion shows salt and output.
impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PasswordHash")
            .field("kdf", &self.kdf)
            .finish_non_exhaustive()
    }
}

/// An attempt to sign in with a password.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The SHA-256 of the canonical user key in hex, whether or not there is such a user.
    pub user: &'a str,
    /// Who tries: the hash of a known device's cookie or of the client's network, in hex.
    pub lane: &'a str,
    /// Whether the lane is a device that has signed this user in before.
    pub trusted: bool,
    pub password: &'a str,
    /// `None` for a user that is unknown, disabled or has no password: the same work is done, and the
    /// answer is [`Attempted::Wrong`].
    pub hash: Option<&'a PasswordHash>,
}

/// The result of an [`Attempt`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attempted {
    Right,
    Wrong,
    /// This lane failed too often at this user. Nothing was compared or counted.
    Wait(Seconds),
    /// This isolate has as many hashes to make as it can. Nothing was compared or counted.
    Busy(Seconds),
}

/// The result of hashing a new password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NewPassword {
    Hashed(PasswordHash),
    /// Shorter than 8 bytes.
    TooShort,
    /// Longer than 1,024 bytes.
    TooLong,
    /// One of the commonest passwords.
    Common,
    /// The current password.
    Unchanged,
    /// As [`Attempted::Busy`].
    Busy(Seconds),
}

/// Checks and hashes passwords, one at a time, with a delay for each user and lane that fails again
/// and again. A lane can delay itself only, so that no stranger can lock a person out.
pub trait Passwords {
    /// Compares a password with a hash. Counts a failure before the work begins, and takes it back
    /// if the password is right.
    fn attempt<'a>(&'a self, attempt: &'a Attempt<'a>) -> Pending<'a, Result<Attempted, Fault>>;
    /// Hashes a new password with [`Kdf::TODAY`], if it is one that people may have and not the one of which `current` is
    /// the hash. The comparison is a hash like any other: the same ceiling counts it. It counts no failure, because whoever
    /// asks has proved the current password or holds a link that replaces it.
    fn hash<'a>(
        &'a self,
        user: &'a str,
        password: &'a str,
        current: Option<&'a PasswordHash>,
    ) -> Pending<'a, Result<NewPassword, Fault>>;
}
