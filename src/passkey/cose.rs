//! Public keys of credentials: COSE keys (RFC 9052 §7) with exactly the parameters that Web Authentication §5.8.5 asks for.

use crate::jose::der;
use crate::jose::key::PublicKey;
use crate::passkey::PasskeyError;
use crate::passkey::cbor::{Item, Reader};
use crate::platform::algorithm::{Algorithm, KeyType};

/// The algorithms that are offered, the preferred one first: their numbers in the COSE registry.
pub const ALGORITHMS: [(i64, Algorithm); 5] = [
    (-8, Algorithm::EdDsa),
    (-7, Algorithm::Es256),
    (-257, Algorithm::Rs256),
    (-35, Algorithm::Es384),
    (-36, Algorithm::Es512),
];

/// The algorithm with this number.
#[must_use]
pub fn algorithm(number: i64) -> Option<Algorithm> {
    let mut known = ALGORITHMS.iter();
    known
        .find(|(other, _)| *other == number)
        .map(|(_, algorithm)| *algorithm)
}

/// The key of a credential.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Key {
    /// The number of its algorithm, one of [`ALGORITHMS`].
    pub number: i64,
    pub spki: Vec<u8>,
}

/// Reads a key, and leaves what follows it. The platform checks that a point is on its curve when it imports the key.
///
/// # Errors
/// [`PasskeyError::Key`], [`PasskeyError::Algorithm`], [`PasskeyError::Curve`], [`PasskeyError::WeakKey`].
pub fn read(reader: &mut Reader<'_>) -> Result<Key, PasskeyError> {
    let entries = reader.map().ok_or(PasskeyError::Key)?;
    // In canonical order, 1 (kty) and 3 (alg) come first, then -1, -2 and -3.
    let [
        (Item::Integer(1), Item::Integer(kty)),
        (Item::Integer(3), Item::Integer(number)),
        parameters @ ..,
    ] = entries.as_slice()
    else {
        return Err(PasskeyError::Key);
    };
    let algorithm = algorithm(*number).ok_or(PasskeyError::Algorithm)?;
    let key_type = algorithm.key_type();
    let (expected_kty, curve, size) = match key_type {
        KeyType::Rsa => (3, 0, 0),
        KeyType::Ed25519 => (1, 6, 32),
        KeyType::P256 => (2, 1, 32),
        KeyType::P384 => (2, 2, 48),
        _ => (2, 3, 66),
    };
    if *kty != expected_kty {
        return Err(PasskeyError::Key);
    }
    let key = match parameters {
        [
            (Item::Integer(-1), Item::Bytes(n)),
            (Item::Integer(-2), Item::Bytes(e)),
        ] if key_type == KeyType::Rsa => {
            // A number has no leading zero (RFC 8230 §4).
            if n.first().is_none_or(|first| *first == 0)
                || e.first().is_none_or(|first| *first == 0)
            {
                return Err(PasskeyError::Key);
            }
            der::rsa_key(n, e)
        }
        [
            (Item::Integer(-1), Item::Integer(crv)),
            (Item::Integer(-2), Item::Bytes(x)),
            rest @ ..,
        ] => {
            if *crv != curve {
                return Err(PasskeyError::Curve);
            }
            match rest {
                [] if key_type == KeyType::Ed25519 && x.len() == size => x.to_vec(),
                [(Item::Integer(-3), Item::Bytes(y))]
                    if expected_kty == 2 && x.len() == size && y.len() == size =>
                {
                    [&[4], *x, *y].concat()
                }
                _ => return Err(PasskeyError::Key),
            }
        }
        _ => return Err(PasskeyError::Key),
    };
    let spki = der::spki(key_type, &key);
    // The strength of RSA keys is judged as that of an issuer's.
    PublicKey::from_der(&spki).map_err(|_| PasskeyError::WeakKey)?;
    Ok(Key {
        number: *number,
        spki,
    })
}
