//! What a hash takes on this machine: `time <name> <count> <parameters…>` prints the milliseconds of
//! each hash. For the bench, which compares them with those in the Worker.

use std::time::Instant;

use edgeward_kdf::argon2id::kdf_argon2id;
use edgeward_kdf::import::{kdf_bcrypt_sha256, kdf_pbkdf2_sha256, kdf_scrypt};

#[expect(clippy::disallowed_methods, reason = "measures time")]
fn main() -> Result<(), String> {
    let mut given = std::env::args().skip(1);
    let name = given.next().ok_or("no name")?;
    let numbers: Result<Vec<u32>, _> = given.map(|text| text.parse()).collect();
    let numbers = numbers.map_err(|error| error.to_string())?;
    let (count, parameters) = numbers.split_first().ok_or("no count")?;
    // 12 bytes of password and 16 of salt: zeros, as they are in the buffer.
    let (password, salt) = (12, 16);
    let begun = Instant::now();
    for _ in 0..*count {
        let status = match (name.as_str(), parameters) {
            ("argon2id", [m, t, p]) => kdf_argon2id(password, salt, 0, 0, 32, *m, *t, *p),
            ("pbkdf2_sha256", [iterations]) => kdf_pbkdf2_sha256(password, salt, 32, *iterations),
            ("bcrypt_sha256", [cost]) => kdf_bcrypt_sha256(password, salt, 23, *cost),
            ("scrypt", [log_n, r, p]) => kdf_scrypt(password, salt, 64, *log_n, *r, *p),
            _ => return Err(format!("there is no {name} with {parameters:?}")),
        };
        if status != edgeward_kdf::MADE {
            return Err(format!("{name} ended with {status}"));
        }
    }
    println!(
        "{}",
        begun.elapsed().as_secs_f64() * 1000.0 / f64::from(*count)
    );
    Ok(())
}
