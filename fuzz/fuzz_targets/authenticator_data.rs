//! Any bytes as authenticator data: what is parsed is all of them, its key is one that the platform can import, and no shorter
//! or longer bytes are the same.
#![no_main]

use edgeward::jose::der;
use edgeward::passkey::authenticator_data::AuthenticatorData;
use edgeward::passkey::cose;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Signatures are parsed apart, and have a fixed length then.
    for size in [32, 48, 66] {
        if let Some(signature) = der::ecdsa(bytes, size) {
            assert_eq!(signature.len(), 2 * size);
        }
    }
    let Ok(data) = AuthenticatorData::parse(bytes) else {
        return;
    };
    assert_eq!(data.rp_id_hash[..], bytes[..32]);
    assert_eq!(data.counter.to_be_bytes()[..], bytes[33..37]);
    assert_eq!(data.attested.is_some(), bytes[32] & 64 != 0);
    if let Some(attested) = &data.attested {
        assert!((1..=1023).contains(&attested.credential_id.len()));
        let algorithm = cose::algorithm(attested.key.number).expect("one that is offered");
        let parsed = der::parse(&attested.key.spki).expect("a public key");
        assert_eq!(parsed.key_type, algorithm.key_type());
    }
    for length in 0..bytes.len() {
        assert!(AuthenticatorData::parse(&bytes[..length]).is_err());
    }
    assert!(AuthenticatorData::parse(&[bytes, &[0]].concat()).is_err());
});
