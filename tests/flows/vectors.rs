//! Published HMAC vectors, with the secrets that a configuration refuses as well. All others run
//! against the built Worker: tests/edge/vectors.test.mjs. `EDGEWARD_VECTORS` names the folder.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgeward::jose::jws::UntrustedJws;
use edgeward::platform::algorithm::Algorithm;
use serde_json::Value;

/// Called valid, and refused here: a stray `?` in base64url. Two readers must not read two things.
const EXCEPTIONS: [u64; 2] = [372, 373];

/// Called invalid for a padding that is not in them: they are, byte for byte, a vector that is valid.
const SAME_AS_VALID: [u64; 2] = [367, 370];

fn accepts(jws: &str, algorithm: Algorithm, secret: Vec<u8>) -> bool {
    let Ok(token) = UntrustedJws::parse(jws) else {
        return false;
    };
    token
        .algorithm_among(&[algorithm], None)
        .and_then(|found| token.verified_by_secret(found, &[secret]))
        .is_ok()
}

#[test]
fn published_hmac_vectors_come_out_as_they_should() {
    let Some(folder) = std::env::var_os("EDGEWARD_VECTORS") else {
        println!("left out: EDGEWARD_VECTORS names no folder");
        return;
    };
    let file = Path::new(&folder).join("wycheproof_json_web_signature.json");
    let file: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut seen = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let key = &group["private"];
        if key["kty"] != "oct" {
            continue;
        }
        let secret = URL_SAFE_NO_PAD.decode(key["k"].as_str().unwrap()).unwrap();
        let algorithm = Algorithm::named(key["alg"].as_str().unwrap()).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let id = test["tcId"].as_u64().unwrap();
            let jws = test["jws"].as_str().unwrap();
            let tests = group["tests"].as_array().unwrap();
            let twin = tests
                .iter()
                .any(|other| other["jws"] == jws && other["result"] == "valid");
            assert_eq!(
                twin && test["result"] != "valid",
                SAME_AS_VALID.contains(&id),
                "{id}"
            );
            let valid = twin && !EXCEPTIONS.contains(&id);
            assert_eq!(accepts(jws, algorithm, secret.clone()), valid, "{id}");
            seen += 1;
        }
    }
    assert!(seen >= 40, "{seen}");
}
