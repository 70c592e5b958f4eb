//! The ways in which servers read one path.
//!
//! A server turns a path into a resource in a few steps: it decodes escapes, once or twice or all but
//! those of separators; it drops parameters, empty segments, or dots and blanks at the end of a
//! segment; it takes a backslash for a slash; it resolves dot segments; it takes what follows two
//! slashes for a host. Which steps, and in which
//! order, differs from server to server, and several may stand behind one another. So a reading is
//! whatever any of these steps, in any order and number, makes of the path. Each step brings a path
//! nearer to a form that no step changes, so there are few readings, and their number and length are
//! bounded.

use std::borrow::Cow;

use crate::http::path::{PathError, hex_pair, push_escape};

/// The most forms that servers may give a path that is accepted; it has no more readings.
pub const MAX: usize = 128;

/// The most bytes in all these forms, if there are several.
const MAX_BYTES: usize = 64 * 1024;

/// What a server may do with a path.
#[derive(Clone, Copy)]
struct Step {
    /// `None` if it changes nothing.
    apply: fn(&[u8]) -> Option<Vec<u8>>,
    decodes: bool,
}

const STEPS: [Step; 13] = [
    decoding(decode_in_segments),
    decoding(decode_all),
    step(decode_overlong),
    step(drop_parameters),
    step(turn_backslashes),
    step(merge_slashes),
    step(trim_segments),
    step(trim_segments_to_dots),
    step(resolve_dots),
    step(drop_authority),
    step(cut_query),
    step(cut_streams),
    step(drop_cookieless),
];

const fn decoding(apply: fn(&[u8]) -> Option<Vec<u8>>) -> Step {
    Step {
        apply,
        decodes: true,
    }
}

const fn step(apply: fn(&[u8]) -> Option<Vec<u8>>) -> Step {
    Step {
        apply,
        decodes: false,
    }
}

/// What is sent for `path`: itself, with dot segments resolved and characters escaped that no URL may
/// contain. The platform does the same to every URL, so anything else would not be what arrives.
///
/// # Errors
/// [`PathError::Control`] or [`PathError::Escape`].
pub(super) fn sent(path: &str) -> Result<Cow<'_, str>, PathError> {
    let escaped = escape(path)?;
    if escaped.starts_with('/') && !escaped.split('/').any(|segment| dots(segment) > 0) {
        return Ok(escaped);
    }
    let mut resolved: Vec<&str> = Vec::new();
    let mut open = false;
    for segment in escaped.strip_prefix('/').unwrap_or(&escaped).split('/') {
        let dots = dots(segment);
        open = dots > 0;
        match dots {
            0 => resolved.push(segment),
            1 => {}
            _ => {
                resolved.pop();
            }
        }
    }
    if open {
        resolved.push("");
    }
    let mut sent = String::with_capacity(escaped.len() + 1);
    for segment in &resolved {
        sent.push('/');
        sent.push_str(segment);
    }
    Ok(Cow::Owned(sent))
}

/// How many dots `segment` consists of, plain or escaped; 0 for one that is no dot segment.
fn dots(segment: &str) -> usize {
    let mut rest = segment;
    for count in 0..=2 {
        if rest.is_empty() {
            return count;
        }
        let dot = rest.strip_prefix('.').or_else(|| {
            let (escape, after) = rest.split_at_checked(3)?;
            escape.eq_ignore_ascii_case("%2e").then_some(after)
        });
        match dot {
            Some(after) => rest = after,
            None => return 0,
        }
    }
    0
}

/// Escapes what no URL may contain (RFC 3986 §3.3, with the brackets and the bar that URL parsers
/// leave alone). A backslash is among it: a URL parser would turn it into a slash.
fn escape(path: &str) -> Result<Cow<'_, str>, PathError> {
    let mut bytes = path.as_bytes();
    let mut strange = false;
    while let Some((&byte, rest)) = bytes.split_first() {
        bytes = rest;
        match byte {
            0..=31 | 127 => return Err(PathError::Control),
            b'%' => match hex_pair(rest.get(..2)) {
                None => return Err(PathError::Escape),
                Some(0..=31 | 127) => return Err(PathError::Control),
                Some(_) => {}
            },
            _ => strange |= is_strange(byte),
        }
    }
    if !strange {
        return Ok(Cow::Borrowed(path));
    }
    let mut escaped = String::with_capacity(path.len() + 16);
    for byte in path.bytes() {
        if is_strange(byte) {
            push_escape(&mut escaped, byte);
        } else {
            escaped.push(char::from(byte));
        }
    }
    Ok(Cow::Owned(escaped))
}

const fn is_strange(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'"' | b'#' | b'<' | b'>' | b'?' | b'\\' | b'^' | b'`' | b'{' | b'}' | 128..
    )
}

/// Every reading of `sent`, that which changes least first.
///
/// # Errors
/// [`PathError::Control`] if a reading has a control character, [`PathError::Readings`] or
/// [`PathError::TooLong`] if there are too many.
pub(super) fn all(sent: &str) -> Result<Vec<Vec<u8>>, PathError> {
    let mut forms = vec![Form {
        bytes: sent.as_bytes().to_vec(),
        is_decoded: false,
    }];
    let mut bytes = sent.len();
    let mut readings = Vec::new();
    let mut at = 0;
    while let Some(form) = forms.get(at) {
        let found: Vec<Form> = STEPS.iter().filter_map(|step| form.after(*step)).collect();
        let reading = form.reading();
        if reading.iter().any(|byte| matches!(byte, 0..=31 | 127)) {
            // However it is written.
            return Err(PathError::Control);
        }
        if !readings.contains(&reading) {
            readings.push(reading);
        }
        for form in found {
            if forms.contains(&form) {
                continue;
            }
            bytes += form.bytes.len();
            if bytes > MAX_BYTES {
                return Err(PathError::TooLong);
            }
            if forms.len() == MAX {
                return Err(PathError::Readings);
            }
            forms.push(form);
        }
        at += 1;
    }
    Ok(readings)
}

/// What a few steps have made of a path.
#[derive(Eq, PartialEq)]
struct Form {
    bytes: Vec<u8>,
    /// Whether escapes were decoded. Those that are left are then part of a name, or of a second
    /// encoding.
    is_decoded: bool,
}

impl Form {
    fn after(&self, step: Step) -> Option<Self> {
        let bytes = (step.apply)(&self.bytes)?;
        Some(Self {
            bytes,
            is_decoded: self.is_decoded || step.decodes,
        })
    }

    /// What rules are asked about.
    fn reading(&self) -> Vec<u8> {
        let decoded = (!self.is_decoded).then(|| decode(&self.bytes, must_stay_escaped));
        decoded.flatten().unwrap_or_else(|| self.bytes.clone())
    }
}

/// Whether some server tells the escaped form of `byte` from its plain one: separators, the
/// beginning of parameters, and what need not be escaped (RFC 3986 §2.3), which some servers compare
/// as it came. All servers read other escapes as what they stand for.
const fn must_stay_escaped(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'\\' | b';' | b'-' | b'.' | b'_' | b'~')
}

/// Decodes each escape once, but those of bytes that `keeps` names, which are written in upper case;
/// `None` if there is nothing to change.
pub fn decode(path: &[u8], keeps: impl Fn(u8) -> bool) -> Option<Vec<u8>> {
    memchr::memchr(b'%', path)?;
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%'
            && let Some(value) = hex_pair(after.get(..2))
        {
            let (escape, after) = after.split_at_checked(2).unwrap_or_default();
            rest = after;
            if !keeps(value) {
                decoded.push(value);
                continue;
            }
            decoded.push(b'%');
            decoded.extend(escape.iter().map(u8::to_ascii_uppercase));
        } else {
            decoded.push(byte);
        }
    }
    (decoded != path).then_some(decoded)
}

/// As servers do that split a path before they decode its segments.
fn decode_in_segments(path: &[u8]) -> Option<Vec<u8>> {
    decode(path, |byte| byte == b'/')
}

fn decode_all(path: &[u8]) -> Option<Vec<u8>> {
    decode(path, |_| false)
}

/// Reads ASCII characters that are written in more bytes of UTF-8 than they need, as lenient decoders
/// do. Elsewhere these bytes may be letters: `C1 A6` is one of GBK.
fn decode_overlong(path: &[u8]) -> Option<Vec<u8>> {
    path.iter()
        .find(|byte| matches!(byte, 0xC0 | 0xC1 | 0xE0 | 0xF0))?;
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let (value, length) = match rest {
            [0xC0 | 0xC1, last @ 0x80..=0xBF, ..] => ((byte & 1) << 6 | (last & 63), 2),
            [0xE0, high @ (0x80 | 0x81), last @ 0x80..=0xBF, ..]
            | [0xF0, 0x80, high @ (0x80 | 0x81), last @ 0x80..=0xBF, ..] => {
                let length = if byte == 0xE0 { 3 } else { 4 };
                ((high & 1) << 6 | (last & 63), length)
            }
            _ => (byte, 1),
        };
        decoded.push(value);
        rest = rest.get(length..).unwrap_or(after);
    }
    (decoded != path).then_some(decoded)
}

/// Drops `;` and what follows it in each segment.
fn drop_parameters(path: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b';', path)?;
    let mut kept = Vec::with_capacity(path.len());
    let mut inside = false;
    for &byte in path {
        inside = byte != b'/' && (inside || byte == b';');
        if !inside {
            kept.push(byte);
        }
    }
    Some(kept)
}

fn turn_backslashes(path: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'\\', path)?;
    let turned = path
        .iter()
        .map(|&byte| if byte == b'\\' { b'/' } else { byte });
    Some(turned.collect())
}

fn merge_slashes(path: &[u8]) -> Option<Vec<u8>> {
    if !path.windows(2).any(|pair| pair == b"//") {
        return None;
    }
    let mut merged = path.to_vec();
    merged.dedup_by(|a, b| *a == b'/' && *b == b'/');
    Some(merged)
}

/// Drops dots and blanks at the end of each segment, as Windows does with names of files.
fn trim_segments(path: &[u8]) -> Option<Vec<u8>> {
    trim(path, |_| b".")
}

/// The same, where a segment of dots and blanks is `..` if it begins so.
fn trim_segments_to_dots(path: &[u8]) -> Option<Vec<u8>> {
    trim(path, |segment| {
        if segment.starts_with(b"..") {
            b".."
        } else {
            b"."
        }
    })
}

/// `of_dots`: what becomes of a segment that has only dots and blanks, and is no dot segment yet.
fn trim(path: &[u8], of_dots: fn(&[u8]) -> &'static [u8]) -> Option<Vec<u8>> {
    let is_trimmed = |byte: Option<&u8>| matches!(byte, Some(b'.' | b' '));
    let mut trimmed = Vec::with_capacity(path.len());
    let mut segments = path.split(|byte| *byte == b'/').peekable();
    while let Some(mut segment) = segments.next() {
        let whole = segment;
        while is_trimmed(segment.last()) {
            segment = segment.split_last().map_or(segment, |(_, before)| before);
        }
        trimmed.extend_from_slice(match (segment, whole) {
            ([], b"" | b"." | b"..") => whole,
            ([], _) => of_dots(whole),
            _ => segment,
        });
        if segments.peek().is_some() {
            trimmed.push(b'/');
        }
    }
    (trimmed != path).then_some(trimmed)
}

/// Resolves dot segments (RFC 3986 §5.2.4).
fn resolve_dots(path: &[u8]) -> Option<Vec<u8>> {
    if !path.windows(2).any(|pair| pair == b"/.") {
        return None;
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut open = false;
    let below = path.strip_prefix(b"/").unwrap_or(path);
    for segment in below.split(|byte| *byte == b'/') {
        open = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    if open {
        segments.push(b"");
    }
    let mut resolved = Vec::with_capacity(path.len());
    for segment in segments {
        resolved.push(b'/');
        resolved.extend_from_slice(segment);
    }
    (resolved != path).then_some(resolved)
}

/// Drops the first segment behind two or more slashes at the beginning: a program that parses the
/// target of a request as a reference to a URL takes it for a host (RFC 3986 §4.2, WHATWG URL §4.4).
fn drop_authority(path: &[u8]) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(b"//")?;
    let slashes = rest.iter().take_while(|byte| **byte == b'/').count();
    let host = rest.get(slashes..)?;
    let end = host.iter().position(|byte| *byte == b'/');
    let path = end.and_then(|end| host.get(end..)).unwrap_or(b"/");
    Some(path.to_vec())
}

/// Cuts at a decoded `?` or `#`: a server that puts a path it has decoded into a URL makes a query or a
/// fragment of what follows.
fn cut_query(path: &[u8]) -> Option<Vec<u8>> {
    let end = memchr::memchr2(b'?', b'#', path)?;
    path.get(..end).map(<[u8]>::to_vec)
}

/// Cuts the name of a stream or an index off each segment (`file::$DATA`, `folder:$I30:$INDEX_ALLOCATION`): NTFS opens the
/// file or folder itself.
fn cut_streams(path: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'$', path)?;
    let mut cut = Vec::with_capacity(path.len());
    for (index, segment) in path.split(|byte| *byte == b'/').enumerate() {
        if index > 0 {
            cut.push(b'/');
        }
        let colon = segment.iter().position(|byte| *byte == b':');
        let name = colon
            .and_then(|colon| segment.split_at_checked(colon))
            .filter(|(_, stream)| stream.contains(&b'$'))
            .map_or(segment, |(name, _)| name);
        cut.extend_from_slice(name);
    }
    (cut != path).then_some(cut)
}

/// Drops the last segment that has the form of a session in a path, as ASP.NET does at every application:
/// `(S(…))`, or several such letters.
fn drop_cookieless(path: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'(', path)?;
    let mut segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let last = segments
        .iter()
        .rposition(|segment| is_cookieless(segment))?;
    segments.remove(last);
    let left = segments.join(&b'/');
    Some(if left.starts_with(b"/") {
        left
    } else {
        [b"/", left.as_slice()].concat()
    })
}

fn is_cookieless(segment: &[u8]) -> bool {
    let Some(mut inner) = segment
        .strip_prefix(b"(")
        .and_then(|rest| rest.strip_suffix(b")"))
    else {
        return false;
    };
    if inner.is_empty() {
        return false;
    }
    while let Some((letter, rest)) = inner.split_first() {
        let Some(value) = rest.strip_prefix(b"(") else {
            return false;
        };
        let Some(end) = memchr::memchr(b')', value) else {
            return false;
        };
        if !letter.is_ascii_uppercase() {
            return false;
        }
        inner = value.get(end + 1..).unwrap_or_default();
    }
    true
}
