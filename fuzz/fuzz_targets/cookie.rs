//! Any `Cookie` header: our cookies are found by their exact names, and none of them is left for an
//! origin, while every other one stays byte for byte and in its order.
#![no_main]

use edgeward::http::cookies;
use edgeward::http::cookies::Remainder;
use libfuzzer_sys::fuzz_target;

const OURS: [&str; 2] = ["__Host-edgeward", "t"];

/// What is left of `header` without our cookies, and their values.
fn read(header: &str) -> (Remainder, Vec<&str>) {
    let mut values = Vec::new();
    let left = cookies::read(header, |pair| {
        let is_ours = OURS.contains(&pair.name);
        if is_ours && !pair.behind_comma {
            values.push(pair.value);
        }
        is_ours
    });
    (left, values)
}

fuzz_target!(|header: &str| {
    let (left, values) = read(header);
    for value in &values {
        assert!(!value.contains(';'));
        assert_eq!(value.trim_matches([' ', '\t']), *value);
    }
    if left == Remainder::Whole {
        assert!(values.is_empty());
        return;
    }
    let rest = left.apply_to(header).unwrap_or_default();
    // Nothing of ours is left, whatever an origin splits at.
    for pair in rest.split([';', ',']) {
        let name = pair
            .split_once('=')
            .map(|(name, _)| name.trim_matches([' ', '\t']));
        assert!(name.is_none_or(|name| !OURS.contains(&name)), "{rest}");
    }
    assert_eq!(read(&rest).0, Remainder::Whole);
    // What is left was there, in this order.
    let mut all = header.split(';');
    for pair in rest.split(';').filter(|pair| !pair.is_empty()) {
        let found = all.any(|known| known == pair || known.trim_start_matches([' ', '\t']) == pair);
        assert!(found, "{pair}");
    }
});
