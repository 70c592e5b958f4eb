//! Public keys in DER (X.690) and PEM (RFC 7468): parsed, and written in one form.
//!
//! Only the fields that identify a key are read. Lengths must have their shortest form, as DER
//! requires, and trailing bytes are rejected.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::platform::algorithm::KeyType;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// `[0] EXPLICIT`, the version of a certificate.
const VERSION: u8 = 0xa0;

/// The content of each `AlgorithmIdentifier`, without tag and length.
const ALGORITHMS: [(KeyType, &[u8]); 5] = [
    // rsaEncryption, NULL (RFC 8017 §A.1)
    (
        KeyType::Rsa,
        b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00",
    ),
    // id-ecPublicKey and the curve (RFC 5480 §2.1.1)
    (
        KeyType::P256,
        b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
    ),
    (
        KeyType::P384,
        b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
    ),
    (
        KeyType::P521,
        b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23",
    ),
    // id-Ed25519 (RFC 8410 §3)
    (KeyType::Ed25519, b"\x06\x03\x2b\x65\x70"),
];

/// The content of a `SubjectPublicKeyInfo`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parsed<'a> {
    pub key_type: KeyType,
    /// An `RSAPublicKey`, a point, or the 32 bytes of an Ed25519 key.
    pub key: &'a [u8],
}

/// Parses a `SubjectPublicKeyInfo`, a PKCS #1 `RSAPublicKey` or an X.509 certificate. Of a
/// certificate only the key is used: whoever configures it vouches for it.
#[must_use]
pub fn parse(der: &[u8]) -> Option<Parsed<'_>> {
    let outer = whole(der, SEQUENCE)?;
    public_key_info(outer)
        .or_else(|| certificate(outer))
        .or_else(|| {
            rsa(der).map(|_| Parsed {
                key_type: KeyType::Rsa,
                key: der,
            })
        })
}

/// Decodes the only PEM block in `text`. Private keys are rejected.
#[must_use]
pub fn from_pem(text: &str) -> Option<Vec<u8>> {
    let rest = text.trim().strip_prefix("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    if !matches!(label, "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE") {
        return None;
    }
    let (body, end) = rest.split_once("-----END ")?;
    if end.trim() != format!("{label}-----") {
        return None;
    }
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(body).ok()
}

/// Encodes a `SubjectPublicKeyInfo` as PEM.
#[must_use]
pub fn to_pem(spki: &[u8]) -> String {
    let text = STANDARD.encode(spki);
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    for (at, c) in text.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem.push_str("\n-----END PUBLIC KEY-----\n");
    pem
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 §A.1.1), without leading zeros.
#[must_use]
pub fn rsa(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (n, rest) = take(whole(der, SEQUENCE)?, INTEGER)?;
    let e = whole(rest, INTEGER)?;
    Some((unsigned(n)?, unsigned(e)?))
}

/// The signature of an `Ecdsa-Sig-Value` (RFC 3279 §2.2.3) in the form of JWS (RFC 7518 §3.4): both numbers with `size` bytes.
#[must_use]
pub fn ecdsa(der: &[u8], size: usize) -> Option<Vec<u8>> {
    let (r, rest) = take(whole(der, SEQUENCE)?, INTEGER)?;
    let s = whole(rest, INTEGER)?;
    let mut both = Vec::with_capacity(2 * size);
    for number in [r, s] {
        let digits = unsigned(number)?;
        both.resize(both.len() + size.checked_sub(digits.len())?, 0);
        both.extend_from_slice(digits);
    }
    Some(both)
}

/// Encodes an `RSAPublicKey`.
#[must_use]
pub fn rsa_key(n: &[u8], e: &[u8]) -> Vec<u8> {
    let mut both = integer(n);
    both.extend(integer(e));
    element(SEQUENCE, &both)
}

/// Encodes a `SubjectPublicKeyInfo`.
#[must_use]
pub fn spki(key_type: KeyType, key: &[u8]) -> Vec<u8> {
    let identifier = ALGORITHMS.iter().find(|(known, _)| *known == key_type);
    let mut content = element(SEQUENCE, identifier.map_or(&[], |(_, bytes)| bytes));
    let mut bits = vec![0];
    bits.extend_from_slice(key);
    content.extend(element(BIT_STRING, &bits));
    element(SEQUENCE, &content)
}

fn public_key_info(content: &[u8]) -> Option<Parsed<'_>> {
    let (identifier, rest) = take(content, SEQUENCE)?;
    let bits = whole(rest, BIT_STRING)?;
    let (key_type, _) = ALGORITHMS.iter().find(|(_, known)| *known == identifier)?;
    Some(Parsed {
        key_type: *key_type,
        key: bits.strip_prefix(&[0])?,
    })
}

/// The key of a `Certificate` (RFC 5280 §4.1), which follows version, serial number, algorithm,
/// issuer, validity and subject.
fn certificate(content: &[u8]) -> Option<Parsed<'_>> {
    let (mut rest, _) = take(content, SEQUENCE)?;
    if let Some((_, after)) = take(rest, VERSION) {
        rest = after;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        rest = take(rest, tag)?.1;
    }
    public_key_info(take(rest, SEQUENCE)?.0)
}

/// The content of the element with `tag` at the start of `bytes`, and the bytes after it.
fn take(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&short, mut rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    let mut length = usize::from(short);
    if short >= 0x80 {
        let count = usize::from(short & 0x7f);
        let (digits, after) = rest.split_at_checked(count)?;
        if !(1..=3).contains(&count) {
            return None;
        }
        length = digits
            .iter()
            .fold(0, |sum, digit| (sum << 8) | usize::from(*digit));
        if length < 0x80 || digits.first() == Some(&0) {
            return None;
        }
        rest = after;
    }
    rest.split_at_checked(length)
}

/// The content of the element with `tag` that spans all of `bytes`.
fn whole(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    take(bytes, tag).and_then(|(content, rest)| rest.is_empty().then_some(content))
}

/// The bytes of a positive `INTEGER`, without a leading zero.
fn unsigned(integer: &[u8]) -> Option<&[u8]> {
    match integer {
        [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => Some(rest),
        [first, ..] if (1..0x80).contains(first) => Some(integer),
        _ => None,
    }
}

fn integer(digits: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(digits.len() + 1);
    if digits.first().is_none_or(|first| *first >= 0x80) {
        content.push(0);
    }
    content.extend_from_slice(digits);
    element(INTEGER, &content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = content.len().to_be_bytes();
    let digits: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    match digits.as_slice() {
        [] => bytes.push(0),
        [short] if *short < 0x80 => bytes.push(*short),
        digits => {
            bytes.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
            bytes.extend_from_slice(digits);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
mod tests;
