//! Changes of a request's headers, and the syntax of header names.

use std::any::Any;
use std::cell::OnceCell;
use std::rc::Rc;

use crate::http::path::push_escape;
use crate::platform::shelf::Weigh;

/// How the headers of a forwarded request differ from those that arrived. One line for each change:
/// `-name` removes; `+name` sets, with the value on the next line; `>name` copies, with the name of
/// the source header on the next line; `*name` replaces the beginning of the value: the next two lines have
/// its length in ASCII characters and what stands instead. Neither names nor values can contain a line break.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HeaderChanges(String);

/// A change of one header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeaderChange<'a> {
    Remove(&'a str),
    /// Name and value.
    Set(&'a str, &'a str),
    /// The header to set, and the header of the request whose value it gets.
    Copy(&'a str, &'a str),
    /// Name, how many characters at the beginning of the value are replaced, and by what.
    Rebase(&'a str, usize, &'a str),
}

impl HeaderChanges {
    /// An empty list with capacity for `bytes`.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) {
        self.0.push('-');
        self.push_line(name);
    }

    /// Sets `name` to `value`, which comes from a header or the configuration.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.push('+');
        self.push_line(name);
        self.push_line(value);
    }

    /// Sets `name` to the value of the request's header `from`.
    pub fn copy(&mut self, name: &str, from: &str) {
        self.0.push('>');
        self.push_line(name);
        self.push_line(from);
    }

    /// Replaces the first `length` characters of the value of `name`, all of them ASCII.
    pub fn rebase(&mut self, name: &str, length: usize, by: &str) {
        self.0.push('*');
        self.push_line(name);
        self.push_line(&length.to_string());
        self.push_line(by);
    }

    /// Sets `name` to a value that a person or an application chose: everything but printable ASCII
    /// is percent-encoded as UTF-8, and so is `%`.
    pub fn set_encoded(&mut self, name: &str, value: &str) {
        if value.bytes().all(|b| stays(b, None)) {
            return self.set(name, value);
        }
        let mut encoded = String::with_capacity(value.len() * 3);
        push_encoded(&mut encoded, value, None);
        self.set(name, &encoded);
    }

    /// Sets `name` to a list, each item encoded as in [`HeaderChanges::set_encoded`], and `separator` in it too. So
    /// whoever splits the value at the separator and decodes what is between gets the items.
    pub fn set_list<'a>(
        &mut self,
        name: &str,
        items: impl Iterator<Item = &'a str>,
        separator: char,
    ) {
        let mut joined = String::new();
        for item in items {
            if !joined.is_empty() {
                joined.push(separator);
            }
            push_encoded(&mut joined, item, Some(separator));
        }
        self.set(name, &joined);
    }

    /// Appends `other`.
    pub fn extend(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    /// The lines, as JavaScript parses them.
    #[must_use]
    pub fn as_lines(&self) -> &str {
        &self.0
    }

    /// Iterates over the changes.
    pub fn iter(&self) -> impl Iterator<Item = HeaderChange<'_>> {
        let mut lines = self.0.split_terminator('\n');
        std::iter::from_fn(move || {
            let line = lines.next()?;
            match line.split_at_checked(1)? {
                ("-", name) => Some(HeaderChange::Remove(name)),
                (">", name) => Some(HeaderChange::Copy(name, lines.next()?)),
                ("*", name) => {
                    let length = lines.next()?.parse().ok()?;
                    Some(HeaderChange::Rebase(name, length, lines.next()?))
                }
                (_, name) => Some(HeaderChange::Set(name, lines.next()?)),
            }
        })
    }

    fn push_line(&mut self, text: &str) {
        if memchr::memchr3(b'\n', b'\r', 0, text.as_bytes()).is_some() {
            // Neither a header nor our own code can contain these; if one ever does, it must not
            // start another line.
            self.0
                .extend(text.chars().filter(|c| !matches!(c, '\n' | '\r' | '\0')));
        } else {
            self.0.push_str(text);
        }
        self.0.push('\n');
    }
}

/// Whether a byte of a header's value is sent as it is.
fn stays(byte: u8, separator: Option<char>) -> bool {
    (b' '..0x7f).contains(&byte) && byte != b'%' && separator != Some(char::from(byte))
}

fn push_encoded(encoded: &mut String, value: &str, separator: Option<char>) {
    for byte in value.bytes() {
        if stays(byte, separator) {
            encoded.push(char::from(byte));
        } else {
            push_escape(encoded, byte);
        }
    }
}

impl Weigh for HeaderChanges {
    fn heap(&self) -> usize {
        self.0.heap()
    }
}

/// The headers that an origin gets with every request of a caller, and the platform's parsed form
/// of them.
#[derive(Default)]
pub struct CallerHeaders {
    headers: HeaderChanges,
    crossed: OnceCell<Rc<dyn Any>>,
}

impl CallerHeaders {
    /// Keeps `headers` for later requests, without spare capacity.
    #[must_use]
    pub fn new(mut headers: HeaderChanges) -> Rc<Self> {
        headers.0.shrink_to_fit();
        Rc::new(Self {
            headers,
            crossed: OnceCell::new(),
        })
    }

    /// The headers, before the platform's own form.
    #[must_use]
    pub const fn headers(&self) -> &HeaderChanges {
        &self.headers
    }

    /// The platform's own form of the headers, created by `make` on first use and kept as long as
    /// they are.
    pub fn crossed<T: Clone + 'static>(&self, make: impl FnOnce(&HeaderChanges) -> T) -> T {
        let known = self.crossed.get();
        if let Some(known) = known.and_then(|known| known.downcast_ref::<T>()) {
            return known.clone();
        }
        let made = make(&self.headers);
        // A platform has one form only; the first is kept.
        self.crossed.get_or_init(|| Rc::new(made.clone()));
        made
    }
}

impl Weigh for CallerHeaders {
    /// Twice, for the platform's own form of the same length.
    fn heap(&self) -> usize {
        2 * self.headers.heap()
    }
}

/// Whether `text` is a token (RFC 9110 §5.6.2), as header and cookie names are.
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_31_a_value_never_makes_a_second_line_or_another_header() {
        let mut changes = HeaderChanges::default();
        changes.set_encoded("remote-name", "Zoë\r\nremote-user: root\0 100%");
        changes.set("x-a", "b\n+x-c\nd");
        let all: Vec<_> = changes.iter().collect();
        assert_eq!(
            all,
            [
                HeaderChange::Set("remote-name", "Zo%C3%AB%0D%0Aremote-user: root%00 100%25"),
                HeaderChange::Set("x-a", "b+x-cd"),
            ]
        );
    }

    #[test]
    fn changes_are_read_as_they_were_written() {
        let mut changes = HeaderChanges::default();
        changes.remove("a");
        changes.set("b", "");
        changes.set("c", "d");
        let all: Vec<_> = changes.iter().collect();
        assert_eq!(
            all,
            [
                HeaderChange::Remove("a"),
                HeaderChange::Set("b", ""),
                HeaderChange::Set("c", "d")
            ]
        );
    }
}
