//! Public keys in DER (X.690) and PEM (RFC 7468): taken apart, and put together in one form.
//!
//! Only what names a key is read. Lengths must be the shortest possible, as DER demands, and nothing
//! may follow.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::platform::algorithm::KeyType;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// `[0] EXPLICIT`, the version of a certificate.
const VERSION: u8 = 0xa0;

/// The `AlgorithmIdentifier` of each kind of key, without its own tag and length.
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

/// What a `SubjectPublicKeyInfo` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parsed<'a> {
    /// What kind of key it is.
    pub key_type: KeyType,
    /// The key itself: a `RSAPublicKey`, a point, or 32 bytes.
    pub key: &'a [u8],
}

/// Reads a `SubjectPublicKeyInfo`, a PKCS #1 `RSAPublicKey` or an X.509 certificate. Of a
/// certificate only the key counts: whoever configures one vouches for it.
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

/// The bytes of the one PEM block in `text`. Private keys are not taken.
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

/// A `SubjectPublicKeyInfo` as PEM, in lines of 64.
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

/// Modulus and exponent of a `RSAPublicKey` (RFC 8017 §A.1.1), without leading zeros.
#[must_use]
pub fn rsa(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (n, rest) = take(whole(der, SEQUENCE)?, INTEGER)?;
    let e = whole(rest, INTEGER)?;
    Some((unsigned(n)?, unsigned(e)?))
}

/// The `RSAPublicKey` of a modulus and an exponent.
#[must_use]
pub fn rsa_key(n: &[u8], e: &[u8]) -> Vec<u8> {
    let mut both = integer(n);
    both.extend(integer(e));
    element(SEQUENCE, &both)
}

/// The `SubjectPublicKeyInfo` of a key.
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

/// The key of a `Certificate` (RFC 5280 §4.1): serial, algorithm, issuer, validity and subject come
/// before it.
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

/// The content of the element with `tag` at the beginning of `bytes`, and what follows it.
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

/// The content of the element with `tag` that is all of `bytes`.
fn whole(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    take(bytes, tag).and_then(|(content, rest)| rest.is_empty().then_some(content))
}

/// The digits of a positive `INTEGER`.
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
