//! Letters of paths, for sites whose origin ignores case.
//!
//! Servers agree about ASCII only. So patterns of such a site have no other letters, and a path is
//! folded in two ways if it has one that some servers take for a letter of ASCII: `K` (the sign of
//! the unit Kelvin) for `k`, say. (Unicode's own tables would make the Worker 10 KB larger.)

use std::borrow::Cow;

/// Letters beyond ASCII that have one of ASCII as their upper or lower case.
const NEAR_ASCII: [(&[u8], u8); 4] = [
    ("\u{130}".as_bytes(), b'i'),
    ("\u{131}".as_bytes(), b'i'),
    ("\u{17F}".as_bytes(), b's'),
    ("\u{212A}".as_bytes(), b'k'),
];

/// Folds the letters of ASCII.
pub(super) fn fold(path: &[u8]) -> Cow<'_, [u8]> {
    if path.iter().any(u8::is_ascii_uppercase) {
        return Cow::Owned(path.to_ascii_lowercase());
    }
    Cow::Borrowed(path)
}

/// Folds whatever any server may fold to ASCII; `None` if [`fold`] does the same.
pub(crate) fn fold_widely(path: &[u8]) -> Option<Vec<u8>> {
    if path.is_ascii() {
        return None;
    }
    let mut folded = Vec::with_capacity(path.len());
    let mut rest = path;
    let mut differs = false;
    while let Some((&byte, after)) = rest.split_first() {
        let near = NEAR_ASCII
            .iter()
            .find_map(|(letter, ascii)| Some((ascii, rest.strip_prefix(*letter)?)));
        differs |= near.is_some();
        let (ascii, after) = near.unwrap_or((&byte, after));
        folded.push(ascii.to_ascii_lowercase());
        rest = after;
    }
    differs.then_some(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_servers_fold_differently_are_folded_in_two_ways() {
        for (path, folded, widely) in [
            ("/Admin", "/admin", None),
            ("/admin-1_~", "/admin-1_~", None),
            ("/\u{c9}T\u{e9}", "/\u{c9}t\u{e9}", None),
            ("/\u{212A}EY", "/\u{212A}ey", Some("/key")),
            ("/adm\u{131}n", "/adm\u{131}n", Some("/admin")),
            ("/ADM\u{130}N", "/adm\u{130}n", Some("/admin")),
            ("/\u{17F}ecret", "/\u{17F}ecret", Some("/secret")),
        ] {
            assert_eq!(*fold(path.as_bytes()), *folded.as_bytes(), "{path}");
            let found = fold_widely(path.as_bytes());
            assert_eq!(found.as_deref(), widely.map(str::as_bytes), "{path}");
        }
        assert_eq!(*fold(b"/A\xE9"), *b"/a\xE9");
        assert_eq!(fold_widely(b"/A\xE9"), None);
    }
}
