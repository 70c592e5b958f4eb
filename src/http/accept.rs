//! The `Accept` header (RFC 9110 §12.5.1): whether a client would rather have a page than JSON.

use crate::http::headers::is_token;

/// More languages than a person reads are not looked at.
const MAX_LANGUAGES: usize = 32;

/// Whether `accept` asks for `text/html`, at least as much as for JSON. Only the exact types count: a wildcard says that a
/// program takes whatever there is. A header that does not have the form of the RFC asks for no page. That keeps Java's
/// default (`text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2`) what it is, a program.
#[must_use]
pub fn prefers_page(accept: &str) -> bool {
    let mut page = 0;
    let mut json = 0;
    for range in split(accept, b',') {
        if range.trim().is_empty() {
            continue;
        }
        let Some((media_type, weight)) = read(range) else {
            return false;
        };
        let best = if media_type.eq_ignore_ascii_case("text/html") {
            &mut page
        } else if media_type.eq_ignore_ascii_case("application/json") {
            &mut json
        } else {
            continue;
        };
        *best = weight.max(*best);
    }
    page > 0 && page >= json
}

/// What `of` makes of the language that `accepted` weighs highest (RFC 9110 §12.5.4), of those that it knows; of several with
/// the same weight, the first. A range without the form of the RFC is passed over.
#[must_use]
pub fn best_language<T>(accepted: &str, of: impl Fn(&str) -> Option<T>) -> Option<T> {
    let mut best = None;
    let mut highest = 0;
    for range in accepted.split(',').take(MAX_LANGUAGES) {
        let (tag, weight) = range
            .split_once(';')
            .map_or((range, Some(1000)), |(tag, rest)| {
                let value = rest.trim().strip_prefix("q=");
                (tag, value.and_then(thousandths))
            });
        let weight = weight.unwrap_or(0);
        if weight > highest
            && let Some(known) = of(tag.trim())
        {
            (best, highest) = (Some(known), weight);
        }
    }
    best
}

/// A media range without its parameters, and its weight in thousandths.
fn read(range: &str) -> Option<(&str, u16)> {
    let mut pieces = split(range, b';').map(str::trim);
    let media_type = pieces.next()?;
    let (kind, subtype) = media_type.split_once('/')?;
    if !is_token(kind) || !is_token(subtype) || (kind == "*" && subtype != "*") {
        return None;
    }
    let mut weight = 1000;
    for parameter in pieces {
        if let Some((name, value)) = parameter.split_once('=')
            && name.eq_ignore_ascii_case("q")
        {
            weight = thousandths(value)?;
        }
    }
    Some((media_type, weight))
}

/// A weight (RFC 9110 §12.4.2): `0` or `1`, and up to three digits behind a dot.
fn thousandths(value: &str) -> Option<u16> {
    let (whole, digits) = value.split_once('.').unwrap_or((value, ""));
    if digits.len() > 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = format!("{digits:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

/// The pieces between `separator`, which counts for nothing inside a quoted string (RFC 9110 §5.6.4).
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let ends = !quoted && c == char::from(separator);
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_want_pages() {
        for accept in [
            "text/html",
            "Text/HTML; charset=utf-8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html, application/xhtml+xml, */*",
            "text/html, text/plain, text/sgml, text/css, application/xhtml+xml, */*;q=0.01",
            "application/json;q=0.5, text/html;q=0.9",
            "application/json, text/html",
            r#"text/plain;note="a, b; \" application/json", text/html"#,
            ", text/html,,",
        ] {
            assert!(prefers_page(accept), "{accept}");
        }
    }

    #[test]
    fn n1_programs_do_not() {
        for accept in [
            "",
            "*/*",
            "text/*",
            "application/json",
            "application/json, text/html;q=0",
            "application/json, text/html;q=0.000",
            "application/json, text/html;q=0.9",
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
            "text/htmlx",
            "xtext/html",
            "text/html+json",
            r#"text/plain;note=", text/html""#,
            "text/html;q=2",
            "text/html;q=1.001",
            "text/html;q=0.1234",
            "text/html;q=-1",
            "text/html;q=",
            "*/html, text/html",
            "text, text/html",
        ] {
            assert!(!prefers_page(accept), "{accept}");
        }
    }
}
