//! Any bytes as a key that an issuer publishes: what is taken is one public key, written in one way, and
//! never a secret for HMAC.
#![no_main]

use edgeward::token::algorithm::{Algorithm, KeyType};
use edgeward::token::der;
use edgeward::token::key::{KeySet, PublicKey};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|document: &[u8]| {
    if let Ok(key) = PublicKey::from_document(document) {
        is_sound(&key);
    }
    if let Ok(text) = str::from_utf8(document) {
        if let Ok(key) = PublicKey::from_text(text) {
            is_sound(&key);
        }
        let _ = der::from_pem(text);
    }
    if let Some(parsed) = der::parse(document) {
        // Whatever form it came in, it is the same key in ours.
        let ours = der::spki(parsed.key_type, parsed.key);
        assert_eq!(der::parse(&ours), Some(parsed));
    }
    if let Ok(set) = KeySet::from_jwks(document) {
        for algorithm in Algorithm::ALL {
            if let Some(key) = set.find(None, algorithm) {
                assert!(key.is_for(algorithm));
                is_sound(key);
            }
        }
    }
    if let Ok(jwk) = serde_json::from_slice::<Map<String, Value>>(document)
        && let Ok(key) = PublicKey::from_jwk(&jwk)
    {
        assert!(!jwk.contains_key("d") && !jwk.contains_key("k"));
        is_sound(&key);
    }
});

fn is_sound(key: &PublicKey) {
    for algorithm in Algorithm::ALL {
        assert!(!(algorithm.key_type() == KeyType::Secret && key.is_for(algorithm)));
    }
    for document in [key.spki().to_vec(), der::to_pem(key.spki()).into_bytes()] {
        let again = PublicKey::from_document(&document).expect("a key that was taken is one again");
        assert_eq!(again.spki(), key.spki());
    }
}
