//! The canonical form of a path (RFC 3986 §6.2.2), for patterns of rules and for sites that accept
//! no other: a path that some server reads differently is refused.

use std::borrow::Cow;

use crate::http::path::{PathError, hex_pair, push_escape};

/// Normalises `path`.
///
/// # Errors
/// [`PathError`] if servers read the path in different ways.
pub(super) fn canonical(path: &str) -> Result<Cow<'_, str>, PathError> {
    if is_canonical(path) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = normalise_escapes(path)?;
    let mut segments: Vec<&str> = Vec::new();
    let mut trailing = true;
    for segment in decoded.split('/') {
        trailing = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut canonical = String::with_capacity(decoded.len() + 1);
    for segment in &segments {
        canonical.push('/');
        canonical.push_str(segment);
    }
    if trailing || segments.is_empty() {
        canonical.push('/');
    }
    Ok(Cow::Owned(canonical))
}

/// The common case, which needs no copy: only plain characters, no empty or dot segment.
fn is_canonical(path: &str) -> bool {
    let mut previous = 0_u8;
    let plain = path.bytes().all(|byte| {
        let fine = match byte {
            b'/' | b'.' => previous != b'/',
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => true,
            _ => b"-_~!$&'()*+,=:@".contains(&byte),
        };
        previous = byte;
        fine
    });
    plain && path.starts_with('/')
}

fn normalise_escapes(path: &str) -> Result<String, PathError> {
    let bytes = path.as_bytes();
    let mut canonical = String::with_capacity(path.len());
    let mut decoded = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        let escaped = byte == b'%';
        let value = if escaped {
            let value = hex_pair(bytes.get(at..at + 2)).ok_or(PathError::Escape)?;
            at += 2;
            value
        } else {
            byte
        };
        decoded.push(value);
        match value {
            0..=31 | 127 => return Err(PathError::Control),
            b'\\' => return Err(PathError::Separator),
            b'/' if escaped => return Err(PathError::Separator),
            b';' => return Err(PathError::Parameter),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                canonical.push(char::from(value));
            }
            // A reserved character keeps its form: escaping changes its meaning (RFC 3986 §2.2).
            b'/' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':'
            | b'@'
                if !escaped =>
            {
                canonical.push(char::from(value));
            }
            _ => push_escape(&mut canonical, value),
        }
    }
    // Only now has every escape been decoded: `%25%32%66` has become `%252f`.
    let escape_in_escape = |at: usize| hex_pair(canonical.as_bytes().get(at + 3..at + 5)).is_some();
    if canonical
        .match_indices("%25")
        .any(|(at, _)| escape_in_escape(at))
    {
        return Err(PathError::Twice);
    }
    if std::str::from_utf8(&decoded).is_err() {
        return Err(PathError::Utf8);
    }
    Ok(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_33_every_spelling_of_a_path_has_one_canonical_form_or_is_refused() {
        let canonical = |path: &str| super::canonical(path).map(Cow::into_owned);
        for (given, expected) in [
            ("/", "/"),
            ("", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a///b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../../b", "/b"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a/%2e%2E/b", "/b"),
            ("/%61dmin", "/admin"),
            ("/.well-known/jwks.json", "/.well-known/jwks.json"),
            ("/a%20b%c3%a9", "/a%20b%C3%A9"),
            ("/é", "/%C3%A9"),
            ("/100%25", "/100%25"),
            ("/a%3Ab:c", "/a%3Ab:c"),
            ("/a%23b/../c", "/c"),
            ("/a%23b", "/a%23b"),
        ] {
            assert_eq!(canonical(given).as_deref(), Ok(expected), "{given}");
        }
        for (given, expected) in [
            ("/a%2fb", PathError::Separator),
            ("/a%5Cb", PathError::Separator),
            ("/a\\b", PathError::Separator),
            ("/a%00", PathError::Control),
            ("/a%0d%0aX", PathError::Control),
            ("/a%252e%252e", PathError::Twice),
            ("/%25%32%65%25%32%65/b", PathError::Twice),
            ("/a%25%32fb", PathError::Twice),
            ("/a%25%35%63b", PathError::Twice),
            ("/a%zz", PathError::Escape),
            ("/a%2", PathError::Escape),
            ("/a%", PathError::Escape),
            ("/a%c0%ae", PathError::Utf8),
            ("/a;b=c", PathError::Parameter),
            ("/a%3bb", PathError::Parameter),
        ] {
            assert_eq!(canonical(given), Err(expected), "{given}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_canonical_path_stays_as_it_is(path in "([/a-z0-9.;é\\#~ ]|%25|%3[0-9]|%6[0-6]|%){0,24}") {
            if let Ok(once) = canonical(&path) {
                let text = once.into_owned();
                proptest::prop_assert!(text.starts_with('/'));
                proptest::prop_assert!(!text.contains("//") && !text.contains("/../") && !text.contains("/./"));
                let twice = canonical(&text).map(Cow::into_owned);
                proptest::prop_assert_eq!(twice, Ok(text));
            }
        }
    }
}
