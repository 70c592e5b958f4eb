//! A stored password: the text of its hash in the PHC string format, and the spellings of Django that
//! can be imported. What is read here is within limits that an isolate can afford; whether a
//! password is right is decided behind [`crate::platform::port::Passwords`].

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};

use crate::platform::port::{Kdf, PasswordHash};

/// The most rounds of PBKDF2: about 0.8 s of CPU.
pub const MOST_ITERATIONS: u32 = 2_000_000;
/// The highest cost of bcrypt: about 0.6 s of CPU.
pub const HIGHEST_COST: u32 = 13;
/// The most memory of Argon2 and scrypt. An isolate has 128 MiB, and Wasm never gives memory back.
pub const MOST_MEMORY_KIB: u32 = 32 * 1024;
/// The most passes of Argon2 over its memory, and the highest parallelisation of scrypt, which is
/// computed one after the other.
const MOST_REPETITIONS: u32 = 16;
/// Argon2's lanes do not run in parallel here and do not cost more; the number is only kept sane.
const MOST_LANES: u32 = 64;
const LONGEST_SALT: usize = 64;

/// bcrypt's own base64, which ignores what the last character of a salt has beyond 16 bytes.
const BCRYPT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Why a text is no password hash of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseError {
    #[error("is not in the PHC string format")]
    Malformed,
    #[error("names an algorithm or a version that is not supported")]
    Unsupported,
    #[error("has parameters beyond the limits")]
    BeyondLimits,
}

/// Why a hash of Django cannot be imported. The user then needs a link to set a new password.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ImportError {
    /// Django's mark of an account without a password.
    #[error("is marked as unusable")]
    Unusable,
    #[error("is of an algorithm that cannot be imported")]
    Unsupported,
    #[error("needs more memory or time than an isolate has for one password")]
    BeyondLimits,
    #[error("is not in Django's format")]
    Malformed,
}

impl From<ParseError> for ImportError {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Malformed => Self::Malformed,
            ParseError::Unsupported => Self::Unsupported,
            ParseError::BeyondLimits => Self::BeyondLimits,
        }
    }
}

/// Whether a password that was right should be hashed again, with today's parameters.
#[must_use]
pub fn is_outdated(hash: &PasswordHash) -> bool {
    let today_or_more = match (hash.kdf, Kdf::TODAY) {
        (
            Kdf::Argon2id {
                memory_kib, passes, ..
            },
            Kdf::Argon2id {
                memory_kib: least_memory_kib,
                passes: fewest_passes,
                ..
            },
        ) => memory_kib >= least_memory_kib && passes >= fewest_passes,
        _ => false,
    };
    !today_or_more || hash.salt.len() < 16 || hash.output.len() < 32
}

/// Reads what [`to_phc`] writes, and nothing else: each hash has one spelling.
///
/// # Errors
/// The text has another form, or asks for more than the limits.
pub fn parse(text: &str) -> Result<PasswordHash, ParseError> {
    let fields = text.strip_prefix('$').ok_or(ParseError::Malformed)?;
    let fields: Vec<&str> = fields.split('$').collect();
    let (kdf, salt, output) = match fields[..] {
        ["argon2id", version, parameters, salt, output] => {
            match version.strip_prefix("v=") {
                Some("19") => {}
                Some(_) => return Err(ParseError::Unsupported),
                None => return Err(ParseError::Malformed),
            }
            let [memory_kib, passes, lanes] = numbers(parameters, ["m", "t", "p"])?;
            let kdf = Kdf::Argon2id {
                memory_kib,
                passes,
                lanes,
            };
            (kdf, salt, output)
        }
        ["pbkdf2-sha256", parameters, salt, output] => {
            let [iterations] = numbers(parameters, ["i"])?;
            (Kdf::Pbkdf2Sha256 { iterations }, salt, output)
        }
        ["django-bcrypt-sha256", parameters, salt, output] => {
            let [cost] = numbers(parameters, ["r"])?;
            (Kdf::BcryptSha256 { cost }, salt, output)
        }
        ["scrypt", parameters, salt, output] => {
            let [log_n, r, p] = numbers(parameters, ["ln", "r", "p"])?;
            let log_n = u8::try_from(log_n).map_err(|_| ParseError::BeyondLimits)?;
            (Kdf::Scrypt { log_n, r, p }, salt, output)
        }
        [_, _, _, ..] => return Err(ParseError::Unsupported),
        _ => return Err(ParseError::Malformed),
    };
    let bytes = |text| {
        let decoded = BASE64_STANDARD_NO_PAD.decode(text);
        decoded.map_err(|_| ParseError::Malformed)
    };
    within_limits(PasswordHash {
        kdf,
        salt: bytes(salt)?,
        output: bytes(output)?,
    })
}

/// The text of a hash in the PHC string format. The names and parameters of the imported algorithms
/// are our own, but for scrypt's, which are customary.
#[must_use]
pub fn to_phc(hash: &PasswordHash) -> String {
    let head = match hash.kdf {
        Kdf::Argon2id {
            memory_kib,
            passes,
            lanes,
        } => format!("argon2id$v=19$m={memory_kib},t={passes},p={lanes}"),
        Kdf::Pbkdf2Sha256 { iterations } => format!("pbkdf2-sha256$i={iterations}"),
        Kdf::BcryptSha256 { cost } => format!("django-bcrypt-sha256$r={cost}"),
        Kdf::Scrypt { log_n, r, p } => format!("scrypt$ln={log_n},r={r},p={p}"),
    };
    let salt = BASE64_STANDARD_NO_PAD.encode(&hash.salt);
    let output = BASE64_STANDARD_NO_PAD.encode(&hash.output);
    format!("${head}${salt}${output}")
}

/// Reads what Django stores in `User.password`.
///
/// # Errors
/// Django's mark of no password, an algorithm that we do not have, or parameters beyond the limits.
pub fn from_django(text: &str) -> Result<PasswordHash, ImportError> {
    if text.is_empty() || text.starts_with('!') {
        return Err(ImportError::Unusable);
    }
    let fields: Vec<&str> = text.split('$').collect();
    let (kdf, salt, output) = match fields[..] {
        ["argon2", ..] => {
            let phc = text.strip_prefix("argon2").unwrap_or_default();
            return match parse(phc)? {
                hash if matches!(hash.kdf, Kdf::Argon2id { .. }) => Ok(hash),
                _ => Err(ImportError::Unsupported),
            };
        }
        // The salts of PBKDF2 and scrypt are text, which Django does not decode.
        ["pbkdf2_sha256", iterations, salt, output] => {
            let iterations = number(iterations)?;
            let kdf = Kdf::Pbkdf2Sha256 { iterations };
            (kdf, salt.as_bytes().to_vec(), padded(output)?)
        }
        ["scrypt", n, salt, r, p, output] => {
            let n = number(n)?;
            if !n.is_power_of_two() {
                return Err(ImportError::Malformed);
            }
            let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| ImportError::BeyondLimits)?;
            let (r, p) = (number(r)?, number(p)?);
            let kdf = Kdf::Scrypt { log_n, r, p };
            (kdf, salt.as_bytes().to_vec(), padded(output)?)
        }
        // bcrypt's own text. Its versions differ only in how they treat passwords that are not ASCII
        // or very long; what Django gives it is the hex of a SHA-256.
        ["bcrypt_sha256", "", "2a" | "2b" | "2y", cost, both] => {
            let cost = match cost.as_bytes() {
                [b'0', _] => number(cost.trim_start_matches('0'))?,
                [_, _] => number(cost)?,
                _ => return Err(ImportError::Malformed),
            };
            let (salt, output) = both.split_at_checked(22).ok_or(ImportError::Malformed)?;
            let bytes = |text| BCRYPT.decode(text).map_err(|_| ImportError::Malformed);
            (Kdf::BcryptSha256 { cost }, bytes(salt)?, bytes(output)?)
        }
        ["pbkdf2_sha256" | "scrypt" | "bcrypt_sha256", ..] => return Err(ImportError::Malformed),
        _ => return Err(ImportError::Unsupported),
    };
    Ok(within_limits(PasswordHash { kdf, salt, output })?)
}

/// Refuses what an isolate could not compute, and lengths that the algorithm does not have.
fn within_limits(hash: PasswordHash) -> Result<PasswordHash, ParseError> {
    let (is_affordable, shortest_salt, outputs) = match hash.kdf {
        Kdf::Argon2id {
            memory_kib,
            passes,
            lanes,
        } => {
            let is_affordable = (1..=MOST_LANES).contains(&lanes)
                && (8 * lanes..=MOST_MEMORY_KIB).contains(&memory_kib)
                && (1..=MOST_REPETITIONS).contains(&passes);
            (is_affordable, 8, 16..=64)
        }
        Kdf::Pbkdf2Sha256 { iterations } => {
            ((1..=MOST_ITERATIONS).contains(&iterations), 1, 32..=32)
        }
        // bcrypt's text has 23 of the 24 bytes.
        Kdf::BcryptSha256 { cost } => ((4..=HIGHEST_COST).contains(&cost), 16, 23..=23),
        Kdf::Scrypt { log_n, r, p } => {
            let memory = (log_n < 32).then(|| (128_u64 * u64::from(r)) << log_n);
            let most = u64::from(MOST_MEMORY_KIB) * 1024;
            let is_affordable = log_n > 0
                && r > 0
                && memory.is_some_and(|memory| memory <= most)
                && (1..=MOST_REPETITIONS).contains(&p)
                // Its second buffer.
                && 128 * u64::from(r) * u64::from(p) <= most / 32;
            (is_affordable, 1, 64..=64)
        }
    };
    if !is_affordable {
        return Err(ParseError::BeyondLimits);
    }
    let longest_salt = match hash.kdf {
        Kdf::BcryptSha256 { .. } => 16,
        _ => LONGEST_SALT,
    };
    let has_right_lengths = (shortest_salt..=longest_salt).contains(&hash.salt.len())
        && outputs.contains(&hash.output.len());
    if has_right_lengths {
        Ok(hash)
    } else {
        Err(ParseError::Malformed)
    }
}

/// The parameters of these names, in this order.
fn numbers<const N: usize>(text: &str, names: [&str; N]) -> Result<[u32; N], ParseError> {
    let mut parts = text.split(',');
    let mut values = [0; N];
    for (value, name) in values.iter_mut().zip(names) {
        let part = parts.next().ok_or(ParseError::Malformed)?;
        let (given, digits) = part.split_once('=').ok_or(ParseError::Malformed)?;
        if given != name {
            return Err(ParseError::Malformed);
        }
        *value = number(digits)?;
    }
    match parts.next() {
        Some(_) => Err(ParseError::Malformed),
        None => Ok(values),
    }
}

/// A decimal number without sign and leading zeros.
fn number(digits: &str) -> Result<u32, ParseError> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.is_empty()
        && (digits == "0" || !digits.starts_with('0'));
    if !is_plain {
        return Err(ParseError::Malformed);
    }
    digits.parse().map_err(|_| ParseError::BeyondLimits)
}

/// Base64 with padding, as Python writes it.
fn padded(text: &str) -> Result<Vec<u8>, ImportError> {
    BASE64_STANDARD
        .decode(text)
        .map_err(|_| ImportError::Malformed)
}

#[cfg(test)]
mod tests;
