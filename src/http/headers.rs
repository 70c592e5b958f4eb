//! Changes of a request's headers, and what a header is made of.

use std::any::Any;
use std::cell::OnceCell;
use std::rc::Rc;

use crate::http::path::push_escape;
use crate::platform::shelf::Weigh;

/// The headers in which a forwarded request differs from the one that came: a line for each,
/// `-name` to remove, `+name` and the value on the next line to set, `>name` and on the next line the name
/// of the header whose value it gets. No name or value can hold a line break.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HeaderChanges(String);

/// One change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeaderChange<'a> {
    /// Remove this header.
    Remove(&'a str),
    /// Set this header to this value.
    Set(&'a str, &'a str),
    /// Set this header to the value that another one came with.
    Copy(&'a str, &'a str),
}

impl HeaderChanges {
    /// An empty list with room for `bytes`.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) {
        self.0.push('-');
        self.push_line(name);
    }

    /// Sets `name` to `value`, which came in a header or from the configuration.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.push('+');
        self.push_line(name);
        self.push_line(value);
    }

    /// Sets `name` to what the header `from` came with.
    pub fn copy(&mut self, name: &str, from: &str) {
        self.0.push('>');
        self.push_line(name);
        self.push_line(from);
    }

    /// Sets `name` to a value that a person or an application chose: what is not printable ASCII
    /// is percent-encoded as UTF-8, and so is `%`.
    pub fn set_encoded(&mut self, name: &str, value: &str) {
        if value
            .bytes()
            .all(|b| (b' '..0x7f).contains(&b) && b != b'%')
        {
            return self.set(name, value);
        }
        let mut encoded = String::with_capacity(value.len() * 3);
        for byte in value.bytes() {
            if (b' '..0x7f).contains(&byte) && byte != b'%' {
                encoded.push(char::from(byte));
            } else {
                push_escape(&mut encoded, byte);
            }
        }
        self.set(name, &encoded);
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    /// The lines.
    #[must_use]
    pub fn as_lines(&self) -> &str {
        &self.0
    }

    /// The changes, one by one.
    pub fn iter(&self) -> impl Iterator<Item = HeaderChange<'_>> {
        let mut lines = self.0.split_terminator('\n');
        std::iter::from_fn(move || {
            let line = lines.next()?;
            match line.split_at_checked(1)? {
                ("-", name) => Some(HeaderChange::Remove(name)),
                (">", name) => Some(HeaderChange::Copy(name, lines.next()?)),
                (_, name) => Some(HeaderChange::Set(name, lines.next()?)),
            }
        })
    }

    fn push_line(&mut self, text: &str) {
        if memchr::memchr3(b'\n', b'\r', 0, text.as_bytes()).is_some() {
            // Cannot come from a header or from us; if it ever does, no second line is made of it.
            self.0
                .extend(text.chars().filter(|c| !matches!(c, '\n' | '\r' | '\0')));
        } else {
            self.0.push_str(text);
        }
        self.0.push('\n');
    }
}

impl Weigh for HeaderChanges {
    fn heap(&self) -> usize {
        self.0.heap()
    }
}

/// The headers that an origin gets at every request of a caller, and what the platform has made of them.
#[derive(Default)]
pub struct Standing {
    headers: HeaderChanges,
    crossed: OnceCell<Rc<dyn Any>>,
}

impl Standing {
    /// Headers without room for more: they are kept.
    #[must_use]
    pub fn new(mut headers: HeaderChanges) -> Rc<Self> {
        headers.0.shrink_to_fit();
        Rc::new(Self {
            headers,
            crossed: OnceCell::new(),
        })
    }

    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderChanges {
        &self.headers
    }

    /// The platform's own form of the headers, which `make` gives when it is asked for first. It lasts as
    /// long as they do.
    pub fn crossed<T: Clone + 'static>(&self, make: impl FnOnce(&HeaderChanges) -> T) -> T {
        let known = self.crossed.get();
        if let Some(known) = known.and_then(|known| known.downcast_ref::<T>()) {
            return known.clone();
        }
        let made = make(&self.headers);
        // A platform has one form; the first one that is asked for is kept.
        self.crossed.get_or_init(|| Rc::new(made.clone()));
        made
    }
}

impl Weigh for Standing {
    /// With the platform's own form, which has as many characters.
    fn heap(&self) -> usize {
        2 * self.headers.heap()
    }
}

/// A token of RFC 9110 §5.6.2: what header and cookie names are made of.
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
