//! The path of a request: what the origin is sent, and every way in which a server may read it.
//!
//! Rules are bypassed where two servers read one path differently. So a path is judged in each of its
//! readings ([`readings`]), and sent as it came. Most paths have no byte that servers read
//! differently; they have one reading, which costs nothing. `strict` refuses all other paths.

pub mod readings;
mod strict;

use std::borrow::Cow;

/// A path, with its readings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestPath<'a> {
    sent: Cow<'a, str>,
    /// Empty if what is sent is its only reading.
    readings: Vec<Vec<u8>>,
}

/// Why a path was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PathError {
    /// `%2f`, `%5c` or a backslash: a separator for some servers only.
    #[error("the path contains an encoded separator or a backslash")]
    Separator,
    /// `%25` before two hex digits: some servers decode twice.
    #[error("the path is percent-encoded twice")]
    Twice,
    #[error("the path has an invalid percent-escape")]
    Escape,
    /// Plain or encoded, also more than once.
    #[error("the path contains a control character")]
    Control,
    /// Including overlong forms.
    #[error("the path is not UTF-8")]
    Utf8,
    /// Longer than the site's rules can judge.
    #[error("the path is too long for the site's rules")]
    TooLong,
    /// `;`: some servers strip it and what follows.
    #[error("the path contains a semicolon")]
    Parameter,
    /// More than [`readings::MAX`].
    #[error("servers may read the path in more than 128 ways")]
    Readings,
}

/// Why a path cannot be sent behind another one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Misplaced {
    /// A server may read it as a path elsewhere.
    Outside,
    /// No server reads it there, or too many do in different ways.
    Unreadable(PathError),
}

impl<'a> RequestPath<'a> {
    /// Reads `path` in every way. It is sent as it came, except that dot segments are resolved, and
    /// characters that no URL may contain are escaped: the platform's URL parser does both to
    /// whatever is sent (WHATWG URL §4.4).
    ///
    /// # Errors
    /// [`PathError`] if no server reads it, or too many do in different ways.
    pub fn parse(path: &'a str) -> Result<Self, PathError> {
        if is_plain(path) {
            return Ok(Self {
                sent: Cow::Borrowed(path),
                readings: Vec::new(),
            });
        }
        let sent = readings::sent(path)?;
        let readings = readings::all(&sent)?;
        Ok(Self { sent, readings })
    }

    /// Normalises `path`, and refuses it if servers read it in different ways: it resolves dot
    /// segments, removes empty segments, decodes unreserved characters, and writes escapes in upper
    /// case.
    ///
    /// # Errors
    /// [`PathError`] if servers read the path in different ways.
    pub fn parse_strictly(path: &'a str) -> Result<Self, PathError> {
        let sent = strict::canonical(path)?;
        let readings = readings::decode(sent.as_bytes(), |_| false);
        Ok(Self {
            sent,
            readings: readings.into_iter().collect(),
        })
    }

    /// The same path without its first `mount` bytes, whole segments that are not written in different ways, as a
    /// server reads it that is sent it behind the path `base`. Where a server sees something else before it
    /// than we do, it may read it in other ways.
    ///
    /// # Errors
    /// [`Misplaced::Outside`] if a reading is not below `base`.
    pub fn below(self, mount: usize, base: &str) -> Result<Self, Misplaced> {
        if mount == 0 && base.is_empty() {
            return Ok(self);
        }
        let sent = match self.sent {
            Cow::Borrowed(sent) => Cow::Borrowed(sent.get(mount..).unwrap_or_default()),
            Cow::Owned(sent) => Cow::Owned(sent.get(mount..).unwrap_or_default().to_owned()),
        };
        let sent = if sent.is_empty() {
            Cow::Borrowed("/")
        } else {
            sent
        };
        if self.readings.is_empty() {
            return Ok(Self {
                sent,
                readings: Vec::new(),
            });
        }
        let mut readings = readings::all(&[base, &sent].concat()).map_err(Misplaced::Unreadable)?;
        for reading in &mut readings {
            let rest = reading.strip_prefix(base.as_bytes());
            *reading = match rest.ok_or(Misplaced::Outside)? {
                [] => b"/".to_vec(),
                rest @ [b'/', ..] => rest.to_vec(),
                _ => return Err(Misplaced::Outside),
            };
        }
        if !base.is_empty() {
            // A proxy may cut `base` off before the application reads the rest.
            let rest = readings::all(&sent).map_err(Misplaced::Unreadable)?;
            for reading in rest {
                if !readings.contains(&reading) {
                    readings.push(reading);
                }
            }
        }
        Ok(Self { sent, readings })
    }

    /// What the origin is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.sent
    }

    /// Each way to read it, without escapes unless they are read as such.
    pub fn readings(&self) -> impl Iterator<Item = &[u8]> {
        let only = self.readings.is_empty().then_some(self.sent.as_bytes());
        only.into_iter()
            .chain(self.readings.iter().map(Vec::as_slice))
    }

    /// The reading that changes least: separators, semicolons and unreserved characters that are
    /// escaped stay escaped.
    #[must_use]
    pub fn reading(&self) -> &[u8] {
        self.readings
            .first()
            .map_or(self.sent.as_bytes(), Vec::as_slice)
    }

    /// Whether it is read in one way, which is what is sent.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.readings.is_empty()
    }
}

/// The common case, which needs no copy: only plain characters, no empty segment, no dot where a
/// segment begins or ends, no parenthesis where it begins, and no `$` behind a colon.
fn is_plain(path: &str) -> bool {
    let mut previous = 0_u8;
    let mut has_colon = false;
    let plain = path.bytes().all(|byte| {
        let fine = match byte {
            b'/' => previous != b'/' && previous != b'.',
            b'.' | b'(' => previous != b'/',
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => true,
            b':' => {
                has_colon = true;
                true
            }
            b'$' => !has_colon,
            _ => b"-_~!&')*+,=@".contains(&byte),
        };
        previous = byte;
        fine
    });
    plain && previous != b'.' && path.starts_with('/')
}

/// Appends `byte` as `%XX`.
pub fn push_escape(text: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    for digit in [byte >> 4, byte & 15] {
        text.push(HEX.get(usize::from(digit)).copied().map_or('0', char::from));
    }
}

/// Decodes two hex digits.
#[must_use]
pub fn hex_pair(digits: Option<&[u8]>) -> Option<u8> {
    let [high, low] = digits? else { return None };
    let value = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|v| u8::try_from(v).ok())
    };
    Some(value(*high)? << 4 | value(*low)?)
}

#[cfg(test)]
mod tests;
