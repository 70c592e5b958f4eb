//! What Django hashes passwords with, besides Argon2: PBKDF2, bcrypt and scrypt.

use sha2::{Digest as _, Sha256};

use crate::{BAD_LENGTH, BAD_PARAMETERS, hash, make_room};

/// PBKDF2 (RFC 8018 §5.2) with HMAC-SHA-256.
#[unsafe(no_mangle)]
pub extern "C" fn kdf_pbkdf2_sha256(
    password: usize,
    salt: usize,
    length: usize,
    iterations: u32,
) -> i32 {
    hash([password, salt], length, |[password, salt], output| {
        if iterations == 0 || output.is_empty() {
            return Err(BAD_PARAMETERS);
        }
        pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, output);
        Ok(())
    })
}

/// bcrypt over the lower-case hex of the password's SHA-256, since bcrypt itself reads only 72 bytes;
/// the zero byte that ends a string in C is part of its key. The output has 24 bytes; the last one is not part of bcrypt's text.
#[unsafe(no_mangle)]
pub extern "C" fn kdf_bcrypt_sha256(password: usize, salt: usize, length: usize, cost: u32) -> i32 {
    hash([password, salt], length, |[password, salt], output| {
        let salt = salt.try_into().map_err(|_| BAD_LENGTH)?;
        if !(4..=31).contains(&cost) {
            return Err(BAD_PARAMETERS);
        }
        let made = bcrypt::bcrypt(cost, salt, &hex(Sha256::digest(password).into()));
        output.copy_from_slice(made.get(..length).ok_or(BAD_LENGTH)?);
        Ok(())
    })
}

/// scrypt (RFC 7914) with N = 2^`log_n`.
#[unsafe(no_mangle)]
pub extern "C" fn kdf_scrypt(
    password: usize,
    salt: usize,
    length: usize,
    log_n: u32,
    r: u32,
    p: u32,
) -> i32 {
    hash([password, salt], length, |[password, salt], output| {
        let log_n = u8::try_from(log_n).map_err(|_| BAD_PARAMETERS)?;
        let params = scrypt::Params::new(log_n, r, p).map_err(|_| BAD_PARAMETERS)?;
        let block = 128_usize.saturating_mul(r as usize);
        make_room(block.saturating_mul(1 << log_n));
        scrypt::scrypt(password, salt, &params, output).map_err(|_| BAD_LENGTH)
    })
}

/// The digits, and a zero byte.
fn hex(bytes: [u8; 32]) -> [u8; 65] {
    let mut digits = [0; 65];
    let halves = bytes.into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for (digit, half) in digits.iter_mut().zip(halves) {
        *digit = half + if half < 10 { b'0' } else { b'a' - 10 };
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::{kdf_bcrypt_sha256, kdf_pbkdf2_sha256, kdf_scrypt};
    use crate::{BAD_LENGTH, BAD_PARAMETERS, call, hex};

    fn scrypt(password: &[u8], salt: &[u8], [n, r, p]: [u32; 3]) -> Result<String, i32> {
        let made = call(&[password, salt], 64, || {
            kdf_scrypt(password.len(), salt.len(), 64, n, r, p)
        });
        made.map(|output| hex(&output))
    }

    fn pbkdf2(password: &[u8], salt: &[u8], iterations: u32) -> Result<String, i32> {
        let made = call(&[password, salt], 32, || {
            kdf_pbkdf2_sha256(password.len(), salt.len(), 32, iterations)
        });
        made.map(|output| hex(&output))
    }

    #[test]
    fn the_vectors_of_rfc_7914() {
        assert_eq!(
            scrypt(b"password", b"NaCl", [10, 8, 16]).as_deref(),
            Ok(
                "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
            ),
        );
        // RFC 7914 §11, whose output has twice this length.
        assert_eq!(
            pbkdf2(b"passwd", b"salt", 1).as_deref(),
            Ok("55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
        );
    }

    #[test]
    fn a_password_that_django_hashed() {
        // Django 5.2.19 with bcrypt 5.0.0: BCryptSHA256PasswordHasher with rounds = 4. The text after
        // `$2b$04$` in bcrypt's alphabet, decoded by Python.
        let (salt, expected) = (
            [
                0x60, 0xab, 0x78, 0x5a, 0xfa, 0x38, 0x4c, 0x63, 0x71, 0xb3, 0xf6, 0x4c, 0xe9, 0x76,
                0xe3, 0x3f,
            ],
            "cfe4c7d57bba06644cb31d06703313a480f743bd2d5197",
        );
        let password = "Zürich im Regen 1871".as_bytes();
        let made = call(&[password, &salt], 23, || {
            kdf_bcrypt_sha256(password.len(), salt.len(), 23, 4)
        });
        assert_eq!(made.map(|output| hex(&output)).as_deref(), Ok(expected));
    }

    #[test]
    fn what_an_algorithm_does_not_take_is_refused() {
        assert_eq!(pbkdf2(b"password", b"salt", 0), Err(BAD_PARAMETERS));
        assert_eq!(
            scrypt(b"password", b"salt", [300, 8, 1]),
            Err(BAD_PARAMETERS)
        );
        assert_eq!(scrypt(b"password", b"salt", [4, 0, 1]), Err(BAD_PARAMETERS));
        let bcrypt = |salt: &[u8], cost| {
            call(&[b"password", salt], 23, || {
                kdf_bcrypt_sha256(8, salt.len(), 23, cost)
            })
        };
        assert_eq!(bcrypt(&[0; 15], 4), Err(BAD_LENGTH));
        assert_eq!(bcrypt(&[0; 16], 3), Err(BAD_PARAMETERS));
        assert_eq!(bcrypt(&[0; 16], 32), Err(BAD_PARAMETERS));
        assert_eq!(bcrypt(&[0; 16], 4).map(|made| made.len()), Ok(23));
    }
}
