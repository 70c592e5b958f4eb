use super::*;

#[test]
fn a_key_is_the_same_after_it_was_put_together_and_taken_apart() {
    for (key_type, _) in ALGORITHMS {
        for length in [1, 100, 127, 128, 200, 255, 256, 1000] {
            let key = vec![7; length];
            let spki = spki(key_type, &key);
            let expected = Parsed {
                key_type,
                key: &key,
            };
            assert_eq!(parse(&spki), Some(expected), "{key_type:?} {length}");
        }
    }
}

#[test]
fn modulus_and_exponent_keep_their_digits() {
    for (n, e) in [
        (&[0x80_u8, 1][..], &[1_u8, 0, 1][..]),
        (&[0x7f, 1], &[3]),
        (&[1; 300], &[0xff]),
    ] {
        let key = rsa_key(n, e);
        assert_eq!(rsa(&key), Some((n, e)));
        let parsed = parse(&key).unwrap();
        assert_eq!((parsed.key_type, parsed.key), (KeyType::Rsa, &*key));
    }
}

#[test]
fn only_the_shortest_form_of_a_length_and_of_a_number_is_read() {
    let good = b"\x30\x06\x02\x01\x05\x02\x01\x03";
    assert!(rsa(good).is_some());
    for bad in [
        // Too short, trailing bytes, and a length that is too small.
        &b"\x30\x06\x02\x01\x05\x02\x01"[..],
        b"\x30\x06\x02\x01\x05\x02\x01\x03\x00",
        b"\x30\x05\x02\x01\x05\x02\x01\x03",
        // Lengths that are not in their shortest form, and an indefinite one.
        b"\x30\x81\x06\x02\x01\x05\x02\x01\x03",
        b"\x30\x82\x00\x06\x02\x01\x05\x02\x01\x03",
        b"\x30\x80\x02\x01\x05\x02\x01\x03\x00\x00",
        b"\x30\x84\x00\x00\x00\x06\x02\x01\x05\x02\x01\x03",
        // Zero, a negative number, an unnecessary leading zero, no number at all.
        b"\x30\x06\x02\x01\x00\x02\x01\x03",
        b"\x30\x06\x02\x01\x85\x02\x01\x03",
        b"\x30\x07\x02\x02\x00\x05\x02\x01\x03",
        b"\x30\x05\x02\x00\x02\x01\x03",
        b"",
        b"\x30",
        b"\x30\x82",
    ] {
        assert!(rsa(bad).is_none(), "{bad:?}");
        assert!(parse(bad).is_none(), "{bad:?}");
    }
}

#[test]
fn a_pem_block_is_one_public_key_or_certificate_and_nothing_else() {
    let der = spki(KeyType::Ed25519, &[7; 32]);
    let pem = to_pem(&der);
    assert_eq!(from_pem(&pem).as_deref(), Some(&*der));
    assert_eq!(
        from_pem(&format!("\r\n{}", pem.replace('\n', "\r\n"))),
        Some(der)
    );
    assert!(pem.lines().all(|line| line.len() <= 64));
    for bad in [
        pem.replace("PUBLIC KEY", "PRIVATE KEY"),
        pem.replace("PUBLIC KEY", "EC PRIVATE KEY"),
        pem.replacen("PUBLIC KEY", "CERTIFICATE", 1),
        pem.replace("MCow", "MC-w"),
        pem.replace("-----END PUBLIC KEY-----", ""),
        format!("{pem}{pem}"),
        format!("{pem}x"),
        String::new(),
    ] {
        assert_eq!(from_pem(&bad), None, "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
        let _ = parse(&bytes);
        let mut spki = spki(KeyType::P256, &bytes);
        let _ = parse(&spki);
        if let Some(byte) = bytes.first() {
            let at = usize::from(*byte) % spki.len();
            spki[at] ^= byte | 1;
            let _ = parse(&spki);
        }
    }
}

#[test]
fn sec_110_an_ecdsa_signature_has_one_form() {
    let of = |der: &[u8]| ecdsa(der, 2);
    assert_eq!(
        of(b"\x30\x06\x02\x01\x01\x02\x01\x02"),
        Some(vec![0, 1, 0, 2])
    );
    assert_eq!(
        of(b"\x30\x09\x02\x03\x00\x80\x01\x02\x02\x7f\xff"),
        Some(vec![0x80, 1, 0x7f, 0xff])
    );
    for bad in [
        &b""[..],
        b"\x30\x06\x02\x01\x00\x02\x01\x02",         // zero
        b"\x30\x06\x02\x01\x81\x02\x01\x02",         // negative
        b"\x30\x07\x02\x02\x00\x01\x02\x01\x02",     // a leading zero
        b"\x30\x08\x02\x03\x01\x00\x00\x02\x01\x02", // too long
        b"\x30\x07\x02\x01\x01\x02\x01\x02\x00",     // bytes inside after them
        b"\x30\x06\x02\x01\x01\x02\x01\x02\x00",     // bytes after all
        b"\x30\x81\x06\x02\x01\x01\x02\x01\x02",     // a length that is not the shortest
        b"\x30\x80\x02\x01\x01\x02\x01\x02\x00\x00", // an indefinite length
        b"\x30\x05\x02\x01\x01\x02\x00",             // an empty number
        b"\x30\x03\x02\x01\x01",                     // one number
        b"\x31\x06\x02\x01\x01\x02\x01\x02",         // another tag
        b"\x30\x06\x02\x01\x01\x03\x01\x02",
    ] {
        assert_eq!(of(bad), None, "{bad:x?}");
    }
}
