use serde::Deserialize;

use super::{ImportError, ParseError, from_django, is_outdated, parse, to_phc};
use crate::platform::digest::hex;
use crate::platform::port::{Kdf, PasswordHash};

/// Hashes that Django made, with what they consist of; `made` tells how. The Worker's test takes the
/// same file and computes them.
const DJANGO: &str = include_str!("../../../tests/contracts/passwords.json");

#[derive(Deserialize)]
struct Contract {
    hashes: Vec<Made>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Made {
    django: String,
    phc: String,
    kdf: serde_json::Value,
    salt: String,
    output: String,
}

#[derive(Deserialize)]
struct Refused {
    django: String,
    why: String,
}

fn contract() -> Contract {
    serde_json::from_str(DJANGO).unwrap()
}

fn argon2id(memory_kib: u32, passes: u32, lanes: u32) -> Kdf {
    Kdf::Argon2id {
        memory_kib,
        passes,
        lanes,
    }
}

#[test]
fn hashes_that_django_made_are_read_and_have_one_spelling_of_ours() {
    for made in contract().hashes {
        let hash = from_django(&made.django).unwrap();
        assert_eq!(serde_json::to_value(hash.kdf).unwrap(), made.kdf);
        assert_eq!(hex(&hash.salt), made.salt, "{}", made.django);
        assert_eq!(hex(&hash.output), made.output, "{}", made.django);
        assert_eq!(to_phc(&hash), made.phc);
        assert!(parse(&made.phc) == Ok(hash), "{}", made.phc);
    }
}

#[test]
fn hashes_of_django_that_cannot_be_computed_here_are_refused_with_the_reason() {
    for refused in contract().refused {
        let why = from_django(&refused.django).unwrap_err();
        assert_eq!(format!("{why:?}"), refused.why, "{}", refused.django);
    }
    for (text, why) in [
        ("", ImportError::Unusable),
        ("!", ImportError::Unusable),
        ("letmein", ImportError::Unsupported),
        (
            "unsalted_md5$$5f4dcc3b5aa765d61d8327deb882cf99",
            ImportError::Unsupported,
        ),
        (
            "argon2$argon2i$v=19$m=512,t=2,p=2$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            ImportError::Unsupported,
        ),
        (
            "argon2$argon2id$v=16$m=512,t=2,p=2$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            ImportError::Unsupported,
        ),
        (
            "argon2$scrypt$ln=4,r=8,p=1$AAAA$AAAA",
            ImportError::Malformed,
        ),
        (
            "pbkdf2_sha256$2000001$salt$zKSxfX1ELO4gglVkx6nSNq7mGDdejW+fODUb0dNZgSQ=",
            ImportError::BeyondLimits,
        ),
        (
            "pbkdf2_sha256$1000$salt$zKSxfX1ELO4gglVkx6nSNq7mGDdejW+fODUb0dNZgSQ",
            ImportError::Malformed,
        ),
        (
            "pbkdf2_sha256$1000$salt$zKSxfX1ELO4g",
            ImportError::Malformed,
        ),
        (
            "pbkdf2_sha256$+1000$salt$zKSxfX1ELO4gglVkx6nSNq7mGDdejW+fODUb0dNZgSQ=",
            ImportError::Malformed,
        ),
        (
            "pbkdf2_sha256$1000$$zKSxfX1ELO4gglVkx6nSNq7mGDdejW+fODUb0dNZgSQ=",
            ImportError::Malformed,
        ),
        ("pbkdf2_sha256$1000$salt", ImportError::Malformed),
        (
            "bcrypt_sha256$$2b$14$7buN6LmhUfWrhXgOWsoMFOPHBQEZr6iKpayFseNEUBVRQO1aLIN6e",
            ImportError::BeyondLimits,
        ),
        (
            "bcrypt_sha256$$2x$12$7buN6LmhUfWrhXgOWsoMFOPHBQEZr6iKpayFseNEUBVRQO1aLIN6e",
            ImportError::Malformed,
        ),
        (
            "bcrypt_sha256$$2b$4$7buN6LmhUfWrhXgOWsoMFOPHBQEZr6iKpayFseNEUBVRQO1aLIN6e",
            ImportError::Malformed,
        ),
        (
            "bcrypt_sha256$$2b$12$7buN6LmhUfWrhXgOWsoMFOPHBQEZr6iKpayFseNEUBVRQO1aLIN6",
            ImportError::Malformed,
        ),
        (
            "bcrypt_sha256$$2b$12$7buN6LmhUfWrhXgOWsoMFé",
            ImportError::Malformed,
        ),
        ("scrypt$65536$salt$8$1$AAAA", ImportError::BeyondLimits),
        ("scrypt$1000$salt$8$1$AAAA", ImportError::Malformed),
        ("scrypt$1024$salt$8$17$AAAA", ImportError::BeyondLimits),
        ("scrypt$1024$salt$8$1$AAAA", ImportError::Malformed),
    ] {
        assert_eq!(from_django(text).err(), Some(why), "{text}");
    }
}

#[test]
fn sec_60_every_other_spelling_of_a_hash_is_refused() {
    let good = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$2E/mbnTIdUU8qsVj0mGLkExwvUhe2ExRbEg6E1XjjRI";
    let hash = parse(good).unwrap();
    assert_eq!(hash.kdf, Kdf::TODAY);
    assert_eq!(hash.salt, b"0123456789abcdef");
    assert_eq!(to_phc(&hash), good);
    for (from, to) in [
        ("$argon2id", "argon2id"),
        ("$argon2id", "$$argon2id"),
        ("m=19456", "m=019456"),
        ("m=19456", "m=+19456"),
        ("m=19456", "m= 19456"),
        ("m=19456", "m="),
        ("m=19456,t=2", "t=2,m=19456"),
        ("p=1$", "p=1,keyid=A$"),
        ("p=1$", "p=1,$"),
        ("p=1$", "$"),
        ("v=19$", ""),
        ("v=19", "19"),
        ("MDEyMzQ1Njc4OWFiY2RlZg", "MDEyMzQ1Njc4OWFiY2RlZg=="),
        // Bits that are not part of any byte.
        ("MDEyMzQ1Njc4OWFiY2RlZg", "MDEyMzQ1Njc4OWFiY2RlZh"),
        ("MDEyMzQ1Njc4OWFiY2RlZg", "MDEyMzQ1Njc4OWFiY2Rl_g"),
        ("MDEyMzQ1Njc4OWFiY2RlZg", "MDEyMzQ"),
        ("2E/mbnTIdUU8qsVj0mGLkExwvUhe2ExRbEg6E1XjjRI", "2E/mbnTI"),
        ("RI", "RI "),
        ("RI", "RI$"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        assert!(parse(&text).is_err(), "{text}");
    }
    assert_eq!(parse("").err(), Some(ParseError::Malformed));
    assert_eq!(
        parse(&good.replace("v=19", "v=16")).err(),
        Some(ParseError::Unsupported)
    );
    assert_eq!(
        parse(&good.replace("argon2id", "argon2i")).err(),
        Some(ParseError::Unsupported)
    );
}

#[test]
fn parameters_beyond_the_limits_are_refused_and_those_at_the_limits_are_not() {
    let (salt, tag) = ("MDEyMzQ1Njc4OWFiY2RlZg", "A".repeat(43));
    let long = "A".repeat(86);
    for (head, output, is_within) in [
        ("argon2id$v=19$m=32768,t=16,p=4", &tag, true),
        ("argon2id$v=19$m=32769,t=2,p=4", &tag, false),
        ("argon2id$v=19$m=102400,t=2,p=8", &tag, false),
        ("argon2id$v=19$m=8,t=1,p=1", &tag, true),
        ("argon2id$v=19$m=7,t=1,p=1", &tag, false),
        ("argon2id$v=19$m=15,t=1,p=2", &tag, false),
        ("argon2id$v=19$m=64,t=0,p=1", &tag, false),
        ("argon2id$v=19$m=64,t=17,p=1", &tag, false),
        ("argon2id$v=19$m=64,t=1,p=0", &tag, false),
        ("argon2id$v=19$m=64,t=1,p=4294967295", &tag, false),
        ("argon2id$v=19$m=99999999999,t=1,p=1", &tag, false),
        ("pbkdf2-sha256$i=2000000", &tag, true),
        ("pbkdf2-sha256$i=2000001", &tag, false),
        ("pbkdf2-sha256$i=0", &tag, false),
        ("scrypt$ln=15,r=8,p=16", &long, true),
        ("scrypt$ln=16,r=8,p=1", &long, false),
        ("scrypt$ln=15,r=9,p=1", &long, false),
        ("scrypt$ln=63,r=1,p=1", &long, false),
        ("scrypt$ln=256,r=1,p=1", &long, false),
        ("scrypt$ln=4,r=4294967295,p=1", &long, false),
        ("scrypt$ln=0,r=8,p=1", &long, false),
        ("scrypt$ln=4,r=0,p=1", &long, false),
        ("scrypt$ln=4,r=8,p=17", &long, false),
    ] {
        let text = format!("${head}${salt}${output}");
        let expected = if is_within {
            None
        } else {
            Some(ParseError::BeyondLimits)
        };
        assert_eq!(parse(&text).err(), expected, "{text}");
    }
    let bcrypt = |cost| format!("$django-bcrypt-sha256$r={cost}${salt}${}", "A".repeat(31));
    assert!(parse(&bcrypt(13)).is_ok() && parse(&bcrypt(4)).is_ok());
    for cost in [3, 14] {
        assert_eq!(parse(&bcrypt(cost)).err(), Some(ParseError::BeyondLimits));
    }
}

#[test]
fn sec_60_a_hash_with_less_than_todays_work_is_outdated() {
    let hash = |kdf, salt, output| PasswordHash {
        kdf,
        salt: vec![0; salt],
        output: vec![0; output],
    };
    for (kdf, salt, output, expected) in [
        (Kdf::TODAY, 16, 32, false),
        (argon2id(19_456, 2, 4), 16, 32, false),
        (argon2id(32_768, 3, 1), 22, 32, false),
        (argon2id(19_455, 2, 1), 16, 32, true),
        (argon2id(19_456, 1, 1), 16, 32, true),
        (Kdf::TODAY, 15, 32, true),
        (Kdf::TODAY, 16, 31, true),
        (
            Kdf::Pbkdf2Sha256 {
                iterations: 2_000_000,
            },
            22,
            32,
            true,
        ),
        (Kdf::BcryptSha256 { cost: 13 }, 16, 23, true),
    ] {
        assert_eq!(is_outdated(&hash(kdf, salt, output)), expected, "{kdf:?}");
    }
}

#[test]
fn a_hash_is_not_shown_by_debug() {
    let hash = PasswordHash {
        kdf: Kdf::TODAY,
        salt: b"SALT SALT SALT !".to_vec(),
        output: vec![171; 32],
    };
    let shown = format!("{hash:?}");
    assert!(
        !shown.contains("83, 65") && !shown.contains("171"),
        "{shown}"
    );
}
