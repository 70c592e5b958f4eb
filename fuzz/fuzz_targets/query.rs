//! Any query: nothing of the parameter is left, and everything else stays byte for byte.
#![no_main]

use edgeward::http::query::{decode, encode, take};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|query: &str| {
    let taken = take(query, "token");
    let is_it = |piece: &&str| decode(piece.split('=').next().unwrap_or_default()) == "token";
    assert!(
        !taken.rest.split('&').any(|piece| is_it(&piece)),
        "{}",
        taken.rest
    );
    assert!(take(&taken.rest, "token").values.is_empty());
    assert_eq!(taken.values.len(), query.split('&').filter(is_it).count());
    if taken.values.is_empty() {
        assert_eq!(&*taken.rest, query);
    } else {
        let others: Vec<&str> = query.split('&').filter(|piece| !is_it(piece)).collect();
        assert_eq!(&*taken.rest, others.join("&"));
    }
    assert_eq!(decode(&encode(query)), query);
    assert!(
        encode(query)
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b))
    );
});
