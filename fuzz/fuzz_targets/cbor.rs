//! Any bytes as CBOR: what is read is in the one canonical form, so that writing it again gives the same bytes, and no map has a
//! key twice.
#![no_main]

use edgeward::passkey::cbor::{Item, Reader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    let Some(entries) = reader.map() else {
        return;
    };
    let read = bytes.len() - reader.rest().len();
    assert!(bytes.ends_with(reader.rest()));
    let mut last = Vec::new();
    let mut again = head(5, entries.len() as u64);
    let mut is_plain = true;
    for (key, value) in &entries {
        let (Some(key), value) = (write(key), write(value)) else {
            is_plain = false;
            break;
        };
        assert!(key > last, "keys in order, none twice");
        again.extend_from_slice(&key);
        last = key;
        let Some(value) = value else {
            is_plain = false;
            break;
        };
        again.extend_from_slice(&value);
    }
    if is_plain {
        assert_eq!(again, bytes[..read]);
    }
    // Cut off anywhere, it is none.
    for length in 0..read {
        assert!(Reader::new(&bytes[..length]).map().is_none());
    }
});

/// An item in canonical form, if it has not lost what it was.
fn write(item: &Item<'_>) -> Option<Vec<u8>> {
    let string =
        |major: u8, bytes: &[u8]| [head(major, bytes.len() as u64), bytes.to_vec()].concat();
    match item {
        Item::Integer(number @ 0..) => Some(head(0, number.unsigned_abs())),
        Item::Integer(number) => Some(head(1, (-1 - number).unsigned_abs())),
        Item::Bytes(bytes) => Some(string(2, bytes)),
        Item::Text(text) => Some(string(3, text.as_bytes())),
        Item::Map(bytes) => Some(bytes.to_vec()),
        Item::Other => None,
    }
}

fn head(major: u8, argument: u64) -> Vec<u8> {
    let bytes = argument.to_be_bytes();
    let major = major << 5;
    match argument {
        0..24 => vec![major | bytes[7]],
        24..0x100 => [&[major | 24], &bytes[7..]].concat(),
        0x100..0x1_0000 => [&[major | 25], &bytes[6..]].concat(),
        0x1_0000..0x1_0000_0000 => [&[major | 26], &bytes[4..]].concat(),
        _ => [&[major | 27], &bytes[..]].concat(),
    }
}
