//! Removing a parameter from a query without changing any other byte.

use std::borrow::Cow;

use crate::http::path::hex_pair;

/// The result of [`take`].
#[derive(Debug, Eq, PartialEq)]
pub struct Taken<'a> {
    /// The decoded values, in order; an empty string for an empty one.
    pub values: Vec<String>,
    /// The query without the parameter.
    pub rest: Cow<'a, str>,
}

/// Removes every occurrence of `name` from `query`, including repeated and empty ones and those
/// with an encoded name (`%74oken`).
#[must_use]
pub fn take<'a>(query: &'a str, name: &str) -> Taken<'a> {
    let is_it = |piece: &str| {
        let key = piece.split_once('=').map_or(piece, |(key, _)| key);
        key == name || (key.len() > name.len() && decode(key) == name)
    };
    if !query.split('&').any(is_it) {
        return Taken {
            values: Vec::new(),
            rest: Cow::Borrowed(query),
        };
    }
    let mut values = Vec::new();
    let mut kept = Vec::new();
    for piece in query.split('&') {
        if is_it(piece) {
            values.push(decode(piece.split_once('=').map_or("", |(_, value)| value)));
        } else {
            kept.push(piece);
        }
    }
    Taken {
        values,
        rest: Cow::Owned(kept.join("&")),
    }
}

/// Decodes `application/x-www-form-urlencoded`. An invalid escape is kept as it is, and bytes that
/// are not UTF-8 become U+FFFD; neither can turn into a valid token.
#[must_use]
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => match hex_pair(bytes.get(at..at + 2)) {
                Some(value) => {
                    decoded.push(value);
                    at += 2;
                }
                None => decoded.push(byte),
            },
            _ => decoded.push(byte),
        }
    }
    String::from_utf8(decoded)
        .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Encodes `text` as a query value: everything but unreserved characters (RFC 3986 §2.3) is
/// escaped.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            crate::http::path::push_escape(&mut encoded, byte);
        }
    }
    encoded
}

/// Fields as a query, or as the body of a form (WHATWG URL §5.2; a blank is `%20`).
#[must_use]
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields
        .iter()
        .map(|(name, value)| [name, "=", &encode(value)].concat());
    let pairs: Vec<String> = pairs.collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_41_all_repeats_encoded_names_and_empty_ones_are_taken_out() {
        for (query, values, rest) in [
            ("token=x", vec!["x"], ""),
            ("a=1&token=x&b=2", vec!["x"], "a=1&b=2"),
            ("token=x&a=%2F%2f&token=y", vec!["x", "y"], "a=%2F%2f"),
            (
                "%74oken=x&to%6Ben=y&%74%6F%6B%65%6E=z",
                vec!["x", "y", "z"],
                "",
            ),
            ("token&token=&a", vec!["", ""], "a"),
            ("&&token=x&&", vec!["x"], "&&&"),
            (
                "a=token&tokens=1&Token=2&b=%zz",
                vec![],
                "a=token&tokens=1&Token=2&b=%zz",
            ),
        ] {
            let taken = take(query, "token");
            assert_eq!(
                (taken.values, &*taken.rest),
                (values.into_iter().map(String::from).collect(), rest),
                "{query}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_not_the_parameter_stays_byte_for_byte(
            pieces in proptest::collection::vec("[a-z%=+0-9é]{0,8}", 0..8),
            at in 0_usize..8,
        ) {
            let others: Vec<_> = pieces.into_iter().filter(|p| decode(p.split('=').next().unwrap_or("")) != "token").collect();
            let mut with = others.clone();
            with.insert(at.min(others.len()), "token=secret".into());
            let query = with.join("&");
            let taken = take(&query, "token");
            proptest::prop_assert_eq!(taken.values, vec!["secret".to_owned()]);
            proptest::prop_assert_eq!(taken.rest.into_owned(), others.join("&"));
        }

        #[test]
        fn nothing_of_the_parameter_is_left(query in "(token|%74oken|a|b)(=[a-z]{0,3})?(&(token|t%6fken|c)(=[a-z]{0,3})?){0,6}") {
            let taken = take(&query, "token");
            let again = take(&taken.rest, "token");
            proptest::prop_assert!(again.values.is_empty());
        }

        #[test]
        fn encoding_is_undone_by_decoding(text in ".{0,40}") {
            proptest::prop_assert_eq!(decode(&encode(&text)), text);
        }
    }
}
