//! Any bytes as a key that an issuer publishes: what is taken is always read back as the same public key,
//! and is never a secret for HMAC.
#![no_main]

use edgeward::jose::der;
use edgeward::jose::key::{KeySet, PublicKey};
use edgeward::platform::algorithm::{Algorithm, KeyType};
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
        // What is no PEM block is no key by way of one.
        if text.starts_with('-') && der::from_pem(text).is_none() {
            assert!(PublicKey::from_text(text).is_err());
        }
    }
    if let Some(parsed) = der::parse(document) {
        // Whatever form it came in, it is the same key in ours.
        let ours = der::spki(parsed.key_type, parsed.key);
        assert_eq!(der::parse(&ours), Some(parsed));
    }
    if let Ok(set) = KeySet::from_jwks(document) {
        let document: Value = serde_json::from_slice(document).expect("a key set is JSON");
        let keys = document["keys"].as_array().expect("a key set has keys");
        let names = keys.iter().filter_map(|key| key["kid"].as_str().map(Some));
        for kid in names.chain([None]) {
            for algorithm in Algorithm::ALL {
                for key in set.find(kid, algorithm) {
                    assert!(key.is_for(algorithm));
                    is_sound(key);
                }
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
