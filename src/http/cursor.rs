//! Cursors that clients send back to get the next page of a list: those of the store, in a form of our own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const MARK: &str = "c1:";

/// A cursor as clients get it: without a character that a URL would need to escape.
#[must_use]
pub fn write(cursor: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{MARK}{cursor}"))
}

/// The store's cursor in a client's cursor; `None` if it is not one of ours.
#[must_use]
pub fn read(text: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let cursor = text.strip_prefix(MARK)?;
    (!cursor.is_empty() && cursor.len() <= 1024).then(|| cursor.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_given_and_nothing_else_is_one() {
        assert_eq!(read(&write("AAbb==/+")).as_deref(), Some("AAbb==/+"));
        for bad in [
            "",
            "x",
            "AAAA",
            &URL_SAFE_NO_PAD.encode("c1:"),
            &URL_SAFE_NO_PAD.encode("c2:x"),
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
