//! Any `Cookie` header: our cookies are found by their exact names, and none of them is left for an
//! origin, while every other one stays byte for byte and in its order.
#![no_main]

use edgeward::ask::source::cookie_values;
use edgeward::origin::strip::without_cookies;
use libfuzzer_sys::fuzz_target;

const OURS: [&str; 2] = ["__Host-edgeward", "t"];

fuzz_target!(|header: &str| {
    for name in OURS {
        for value in cookie_values(header, name) {
            assert!(!value.is_empty() && !value.contains(';'));
            assert_eq!(value.trim_matches([' ', '\t']), value);
        }
    }
    let Some(rest) = without_cookies(header, |name, _| OURS.contains(&name)) else {
        assert!(
            OURS.iter()
                .all(|name| cookie_values(header, name).next().is_none())
        );
        return;
    };
    // Nothing of ours is left, whatever an origin splits at.
    for pair in rest.split([';', ',']) {
        let name = pair
            .split_once('=')
            .map(|(name, _)| name.trim_matches([' ', '\t']));
        assert!(name.is_none_or(|name| !OURS.contains(&name)), "{rest}");
    }
    assert_eq!(without_cookies(&rest, |name, _| OURS.contains(&name)), None);
    // What is left was there, in this order.
    let mut all = header.split(';');
    for pair in rest.split(';').filter(|pair| !pair.is_empty()) {
        let found = all.any(|known| known == pair || known.trim_start_matches([' ', '\t']) == pair);
        assert!(found, "{pair}");
    }
});
