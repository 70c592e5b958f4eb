mod samples;

use serde_json::json;

use super::*;

fn jwk(value: &Value) -> Result<PublicKey, KeyError> {
    PublicKey::from_jwk(value.as_object().unwrap())
}

fn set(value: &Value) -> Result<KeySet, KeyError> {
    KeySet::from_jwks(value.to_string().as_bytes())
}

/// An Ed25519 key with further members.
fn ed(more: &Value) -> Value {
    let mut key = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([9; 32])});
    let members = key.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    key
}

fn rsa(n: &[u8], e: &[u8]) -> Value {
    json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e)})
}

/// An odd number of `bits` bits that no broken generator makes.
fn modulus(bits: usize) -> Vec<u8> {
    let mut n: Vec<u8> = (0..bits.div_ceil(8))
        .map(|at| u8::try_from((at * 37 + 11) % 251).unwrap())
        .collect();
    let spare = n.len() * 8 - bits;
    n[0] = (0xff >> spare) & !(0x7f >> spare) | 1;
    *n.last_mut().unwrap() |= 1;
    n
}

#[test]
fn a_key_is_read_from_every_form_in_which_other_tools_write_it() {
    for (text, key_type) in [
        (samples::RSA, KeyType::Rsa),
        (samples::RSA_PKCS1, KeyType::Rsa),
        (samples::RSA_CERTIFICATE, KeyType::Rsa),
        (samples::RSA_E3, KeyType::Rsa),
        (samples::P256, KeyType::P256),
        (samples::P256_CERTIFICATE, KeyType::P256),
        (samples::P384, KeyType::P384),
        (samples::P521, KeyType::P521),
        (samples::ED25519, KeyType::Ed25519),
        (samples::ED25519_CERTIFICATE, KeyType::Ed25519),
    ] {
        let key = PublicKey::from_text(text).unwrap();
        assert_eq!(key.key_type, key_type, "{text}");
        let der = der::from_pem(text).unwrap();
        assert_eq!(PublicKey::from_der(&der).unwrap(), key);
        assert_eq!(PublicKey::from_document(&der).unwrap(), key);
        assert_eq!(PublicKey::from_document(text.as_bytes()).unwrap(), key);
        assert_eq!(PublicKey::from_text(&STANDARD.encode(&der)).unwrap(), key);
    }
    let rsa = PublicKey::from_text(samples::RSA).unwrap();
    for same in [samples::RSA_PKCS1, samples::RSA_CERTIFICATE] {
        assert_eq!(PublicKey::from_text(same).unwrap(), rsa);
    }
    assert_eq!(
        PublicKey::from_text(samples::P256).unwrap(),
        PublicKey::from_text(samples::P256_CERTIFICATE).unwrap()
    );
}

#[test]
fn what_is_no_public_key_that_we_use_is_refused() {
    for text in [
        samples::PRIVATE,
        samples::SECP256K1,
        samples::ED448,
        "",
        "x",
        "-----",
    ] {
        assert!(PublicKey::from_text(text).is_err(), "{text}");
    }
    assert_eq!(PublicKey::from_text(samples::RSA_1024), Err(KeyError::Weak));
}

#[test]
fn sec_15_weak_rsa_keys_are_refused() {
    let e = [1, 0, 1];
    for bits in [2048, 2049, 3072, 4096, 8192] {
        assert!(jwk(&rsa(&modulus(bits), &e)).is_ok(), "{bits}");
    }
    for bits in [512, 1024, 2040, 2047, 8193, 16384] {
        assert_eq!(
            jwk(&rsa(&modulus(bits), &e)).err(),
            Some(KeyError::Weak),
            "{bits}"
        );
    }
    for good in [&[3_u8][..], &[17], &[1, 0, 1], &[0xff, 0xff, 0xff, 0xff]] {
        assert!(jwk(&rsa(&modulus(2048), good)).is_ok(), "{good:?}");
    }
    for bad in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
        assert!(jwk(&rsa(&modulus(2048), bad)).is_err(), "{bad:?}");
    }
    let mut even = modulus(2048);
    *even.last_mut().unwrap() &= 0xfe;
    assert_eq!(jwk(&rsa(&even, &e)).err(), Some(KeyError::Weak));
}

#[test]
fn sec_15_a_modulus_of_the_generator_of_cve_2017_15361_is_refused() {
    // The product of two powers of 65537 modulo the small primes is one too: 65537^130 is such a
    // number, of 2081 bits.
    let mut n = vec![1_u8];
    for _ in 0..130 {
        n = times_65537(&n);
    }
    assert!((2048..8192).contains(&(n.len() * 8)));
    assert_eq!(jwk(&rsa(&n, &[1, 0, 1])).err(), Some(KeyError::Weak));
    *n.last_mut().unwrap() ^= 2;
    assert!(jwk(&rsa(&n, &[1, 0, 1])).is_ok());
}

/// Big-endian.
fn times_65537(n: &[u8]) -> Vec<u8> {
    let mut product = Vec::new();
    let mut carry = 0_u32;
    for digit in n.iter().rev() {
        let sum = u32::from(*digit) * 65537 + carry;
        product.push(u8::try_from(sum & 0xff).unwrap());
        carry = sum >> 8;
    }
    while carry > 0 {
        product.push(u8::try_from(carry & 0xff).unwrap());
        carry >>= 8;
    }
    product.reverse();
    product
}

#[test]
fn sec_2_a_key_is_for_the_algorithms_of_its_kind_and_for_the_one_it_names() {
    for (text, fits) in [
        (
            samples::RSA,
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..],
        ),
        (samples::P256, &["ES256"]),
        (samples::P384, &["ES384"]),
        (samples::P521, &["ES512"]),
        (samples::ED25519, &["EdDSA"]),
    ] {
        let key = PublicKey::from_text(text).unwrap();
        for algorithm in Algorithm::ALL {
            assert_eq!(key.is_for(algorithm), fits.contains(&algorithm.name()));
        }
    }
    let mut named = rsa(&modulus(2048), &[1, 0, 1]);
    named["alg"] = json!("PS384");
    let named = jwk(&named).unwrap();
    for algorithm in Algorithm::ALL {
        assert_eq!(named.is_for(algorithm), algorithm == Algorithm::Ps384);
    }
    for alg in [
        "RS256", "HS256", "ES256", "EdDSA ", "eddsa", "Eddsa", "ed25519", "Ed448", "none",
        "RSA-OAEP", "",
    ] {
        assert_eq!(
            jwk(&ed(&json!({"alg": alg}))).err(),
            Some(KeyError::Algorithm),
            "{alg}"
        );
    }
    for alg in ["EdDSA", "Ed25519", "EDDSA", "ED25519"] {
        let key = jwk(&ed(&json!({"alg": alg}))).unwrap();
        assert!(key.is_for(Algorithm::EdDsa), "{alg}");
    }
}

#[test]
fn a_key_for_something_else_or_with_its_private_half_is_refused() {
    for good in [
        json!({"use": "sig"}),
        json!({"key_ops": ["verify"]}),
        json!({"key_ops": ["sign", "verify"]}),
        json!({"x5c": ["AA"], "more": {"x": 1}}),
    ] {
        assert!(jwk(&ed(&good)).is_ok(), "{good}");
    }
    for (bad, error) in [
        (json!({"use": "enc"}), KeyError::Use),
        (json!({"use": ""}), KeyError::Use),
        (json!({"use": 1}), KeyError::Form),
        (json!({"key_ops": []}), KeyError::Use),
        (json!({"key_ops": ["sign"]}), KeyError::Use),
        (json!({"key_ops": "verify"}), KeyError::Form),
        (json!({"d": "AA"}), KeyError::Private),
        (json!({"kid": 1}), KeyError::Form),
        (json!({"kid": "x".repeat(257)}), KeyError::Form),
        (json!({"x": "AA"}), KeyError::Form),
        (json!({"x": null}), KeyError::Form),
        (
            json!({"x": format!("{}=", URL_SAFE_NO_PAD.encode([9; 32]))}),
            KeyError::Form,
        ),
        (json!({"crv": "X25519"}), KeyError::Kind),
        (json!({"crv": "Ed448"}), KeyError::Kind),
        (json!({"kty": "oct", "k": "AA"}), KeyError::Symmetric),
        (json!({"kty": "AKP"}), KeyError::Kind),
        (
            json!({"kty": "EC", "crv": "secp256k1", "y": "AA"}),
            KeyError::Kind,
        ),
        (
            json!({"kty": "EC", "crv": "P-256", "y": "AA"}),
            KeyError::Form,
        ),
    ] {
        assert_eq!(jwk(&ed(&bad)).err(), Some(error), "{bad}");
    }
}

#[test]
fn coordinates_have_their_full_length() {
    let point = |x: usize, y: usize| json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(vec![1; x]), "y": URL_SAFE_NO_PAD.encode(vec![2; y])});
    assert!(jwk(&point(32, 32)).is_ok());
    for (x, y) in [
        (31, 31),
        (33, 33),
        (31, 33),
        (33, 31),
        (0, 64),
        (48, 48),
        (0, 0),
    ] {
        assert_eq!(jwk(&point(x, y)).err(), Some(KeyError::Form), "{x} {y}");
    }
}

#[test]
fn unknown_keys_of_a_set_are_skipped_and_counted() {
    let keys = set(&json!({"keys": [
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "new"},
        ed(&json!({"kid": "a"})),
        ed(&json!({"kid": "b", "use": "enc"})),
        rsa(&modulus(1024), &[1, 0, 1]),
        {"kty": "EC", "crv": "P-256K", "kid": "k"},
    ]}))
    .unwrap();
    assert_eq!((keys.keys.len(), keys.skipped()), (1, 4));
    assert_eq!(keys.find(Some("a"), Algorithm::EdDsa).len(), 1);
    assert_eq!(keys.find(Some("b"), Algorithm::EdDsa).len(), 0);
}

#[test]
fn sec_23_j1_a_set_is_read_key_by_key_and_is_a_fault_only_when_no_key_is_left() {
    let good = ed(&json!({"kid": "a"}));
    let mut twice = ed(&json!({"kid": "t"})).to_string();
    twice.insert_str(1, r#""kid":"u","#);
    for beside in [
        json!({"kty": "RSA", "kid": "a", "use": "enc", "alg": "RSA-OAEP"}),
        json!({"kty": "AKP", "kid": "a", "alg": "ML-DSA-44", "pub": "AA"}),
        json!({"kty": "oct", "k": "AAAA", "kid": "a"}),
        json!({"kty": "OKP", "crv": "Ed448", "x": "AA", "kid": "a"}),
        ed(&json!({"kid": "a", "d": "AA"})),
        ed(&json!({"kid": "a", "use": "enc"})),
        ed(&json!({"kid": 1})),
        json!(1),
        json!(null),
        json!([]),
        json!({}),
    ] {
        for list in [json!([beside, good]), json!([good, beside])] {
            let keys = set(&json!({ "keys": list })).unwrap();
            assert_eq!((keys.keys.len(), keys.skipped()), (1, 1), "{beside}");
            assert_eq!(keys.find(Some("a"), Algorithm::EdDsa).len(), 1);
        }
        let alone = set(&json!({ "keys": [beside] }));
        assert_eq!(alone.err(), Some(KeyError::Empty), "{beside}");
    }
    let document = format!(r#"{{"keys":[{twice},{good}]}}"#);
    let keys = KeySet::from_jwks(document.as_bytes()).unwrap();
    assert_eq!((keys.keys.len(), keys.skipped()), (1, 1), "named twice");
    for (bad, error) in [
        (json!([]), KeyError::Empty),
        (json!({"a": good}), KeyError::Set),
        (Value::Null, KeyError::Set),
    ] {
        assert_eq!(set(&json!({"keys": bad})).err(), Some(error), "{bad}");
    }
    assert_eq!(set(&json!([good])).err(), Some(KeyError::Set));
    assert_eq!(
        KeySet::from_jwks(b"{\"keys\":[],\"keys\":[]}").err(),
        Some(KeyError::Set)
    );
    assert_eq!(KeySet::from_jwks(b"\xff").err(), Some(KeyError::Set));
    let many = |count: usize| -> Vec<Value> {
        (0..count)
            .map(|n| ed(&json!({"kid": n.to_string()})))
            .collect()
    };
    assert!(set(&json!({"keys": many(MAX_KEYS)})).is_ok());
    assert_eq!(
        set(&json!({"keys": many(MAX_KEYS + 1)})).err(),
        Some(KeyError::TooMany)
    );
}

#[test]
fn keys_of_one_name_are_all_found_and_at_most_four() {
    let key = |n: u8, more: &Value| {
        let mut key = ed(more);
        key["x"] = json!(URL_SAFE_NO_PAD.encode([n; 32]));
        key
    };
    let find = |keys: Vec<Value>, kid: Option<&str>| -> Vec<u8> {
        let keys = set(&json!({ "keys": keys })).unwrap();
        let found = keys.find(kid, Algorithm::EdDsa);
        found.iter().map(|key| *key.spki.last().unwrap()).collect()
    };
    let named = |n: u8| key(n, &json!({"kid": "a"}));
    let other = key(9, &json!({"kid": "b"}));
    let rsa = {
        let mut rsa = rsa(&modulus(2048), &[1, 0, 1]);
        rsa["kid"] = json!("a");
        rsa
    };
    assert_eq!(
        find(vec![rsa, named(1), other.clone(), named(2)], Some("a")),
        [1, 2]
    );
    // The same key twice is one.
    assert_eq!(find(vec![named(1), named(1)], Some("a")), [1]);
    let six: Vec<Value> = (1..7).map(named).collect();
    assert_eq!(find(six, Some("a")), [1, 2, 3, 4]);
    assert_eq!(find(vec![other], Some("a")), [0; 0]);
}

#[test]
fn a_key_is_found_by_name_or_when_it_can_be_meant() {
    let other = |more: &Value| {
        let mut key = ed(more);
        key["x"] = json!(URL_SAFE_NO_PAD.encode([8; 32]));
        key
    };
    let find = |keys: Value, kid: Option<&str>| {
        let keys = set(&json!({ "keys": keys })).unwrap();
        let found = keys.find(kid, Algorithm::EdDsa).into_iter();
        let names = found.map(|key| key.kid.clone().unwrap_or_default());
        names.collect::<Vec<_>>()
    };
    let (a, b) = (ed(&json!({"kid": "a"})), other(&json!({"kid": "b"})));
    let unnamed = other(&json!({}));
    let none: [&str; 0] = [];
    assert_eq!(find(json!([a, b]), Some("b")), ["b"]);
    assert_eq!(find(json!([a, b]), Some("c")), none);
    assert_eq!(find(json!([a, b]), Some("A")), none);
    assert_eq!(find(json!([a, b]), None), ["a", "b"]);
    assert_eq!(find(json!([a]), None), ["a"]);
    assert_eq!(find(json!([unnamed]), Some("any")), [""]);
    assert_eq!(find(json!([a, unnamed]), Some("a")), ["a"]);
    assert_eq!(find(json!([a, unnamed]), Some("x")), [""]);
    assert_eq!(find(json!([ed(&json!({})), unnamed]), Some("x")), ["", ""]);
    // A key for another algorithm cannot be meant.
    let rsa = rsa(&modulus(2048), &[1, 0, 1]);
    assert_eq!(find(json!([a, rsa]), None), ["a"]);
}
