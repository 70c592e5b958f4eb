//! The headers of the origin's answer that are not for the client as they are: those that name the
//! upstream, and cookies of Edgeward's own names. Knows the answer's headers, and nothing else of it.

use std::borrow::Cow;

use crate::site::translate::Translation;

/// Looked at in every answer.
pub const COOKIE: &str = "set-cookie";

/// Looked at where the site translates.
pub const NAMING: [&str; 5] = [
    "location",
    "content-location",
    "refresh",
    "link",
    ORIGIN_ALLOWED,
];

const ORIGIN_ALLOWED: &str = "access-control-allow-origin";

/// What to change of an answer's headers. `headers` has name and value of each that is looked at, a
/// line each; no value contains a line break (RFC 9110 §5.5). In the format of
/// [`crate::access::cors::response_changes`]; empty if all of them stay. `is_ours` tells the names of
/// our cookies, in lower case.
#[must_use]
pub fn changes(
    headers: &str,
    translation: Option<&Translation<'_>>,
    is_ours: impl Fn(&str) -> bool,
) -> String {
    let mut lines = headers.split_terminator('\n');
    let mut changed = String::new();
    let mut cookies = Vec::new();
    let mut cookies_change = false;
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        if name == COOKIE {
            let left = cookie(value, translation, &is_ours);
            cookies_change |= left.as_deref() != Some(value);
            cookies.extend(left);
        } else if let Some(value) = translation.and_then(|names| translated(name, value, names)) {
            push(&mut changed, '+', name, &value);
        }
    }
    if cookies_change {
        changed.push_str("-set-cookie\n");
        for cookie in cookies {
            push(&mut changed, '&', COOKIE, &cookie);
        }
    }
    changed
}

fn push(lines: &mut String, kind: char, name: &str, value: &str) {
    lines.push(kind);
    for text in [name, "\n", value, "\n"] {
        lines.push_str(text);
    }
}

fn translated(name: &str, value: &str, names: &Translation<'_>) -> Option<String> {
    match name {
        ORIGIN_ALLOWED => names.origin_to_public(value),
        "refresh" => refresh(value, names),
        "link" => in_brackets(value, |url| names.to_public(url)),
        _ => names.to_public(value),
    }
}

/// `Refresh`: seconds, a separator, `url=`, and the URL, quoted or not (HTML, "shared declarative
/// refresh steps").
fn refresh(value: &str, names: &Translation<'_>) -> Option<String> {
    let rest = value.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || is_blank(c));
    let rest = rest.strip_prefix([';', ',']).unwrap_or(rest);
    let rest = rest.trim_start_matches(is_blank);
    let named = rest
        .split_at_checked(3)
        .filter(|(name, _)| name.eq_ignore_ascii_case("url"))
        .and_then(|(_, rest)| rest.trim_start_matches(is_blank).strip_prefix('='))
        .map(|rest| rest.trim_start_matches(is_blank));
    let rest = named.unwrap_or(rest);
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let quoted = quote.and_then(|quote| rest.strip_prefix(quote));
    let start = value.len() - quoted.unwrap_or(rest).len();
    let end = quote
        .zip(quoted)
        .and_then(|(quote, text)| Some(start + text.find(quote)?))
        .unwrap_or(value.len());
    let url = names.to_public(value.get(start..end)?)?;
    Some([value.get(..start)?, &url, value.get(end..)?].concat())
}

const fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace()
}

/// `value` with each URL between `<` and `>` as `translate` says, outside of quoted strings: the form
/// of `Link` (RFC 8288 §3) and of WebDAV's `If` (RFC 4918 §10.4). A `Link`'s `anchor` is a URL too.
/// `None` if all of them stay.
#[must_use]
pub fn in_brackets(value: &str, translate: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut text = String::with_capacity(value.len());
    let mut changed = false;
    let mut rest = value;
    while let Some((before, after)) = rest
        .find(['<', '"'])
        .and_then(|at| rest.split_at_checked(at + 1))
    {
        text.push_str(before);
        let is_quoted = before.ends_with('"');
        let end = if is_quoted {
            end_of_quoted(after)
        } else {
            after.find('>').unwrap_or(after.len())
        };
        let (url, after) = after.split_at_checked(end).unwrap_or((after, ""));
        let is_url = !is_quoted || is_anchor(before);
        match translate(url).filter(|_| is_url) {
            Some(url) => {
                changed = true;
                text.push_str(&url);
            }
            None => text.push_str(url),
        }
        // The closing sign.
        let (closing, after) = after.split_at_checked(1).unwrap_or((after, ""));
        text.push_str(closing);
        rest = after;
    }
    text.push_str(rest);
    changed.then_some(text)
}

/// The end of a quoted string (RFC 9110 §5.6.4) whose beginning was read.
fn end_of_quoted(text: &str) -> usize {
    let mut escaped = false;
    text.bytes()
        .position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })
        .unwrap_or(text.len())
}

/// Whether the quoted string that begins at the end of `before` is the value of `anchor`.
fn is_anchor(before: &str) -> bool {
    let name = before
        .strip_suffix('"')
        .and_then(|text| text.trim_end().strip_suffix('='))
        .map(str::trim_end);
    let at = name.and_then(|name| Some((name, name.len().checked_sub("anchor".len())?)));
    at.and_then(|(name, at)| name.get(at..))
        .is_some_and(|name| name.eq_ignore_ascii_case("anchor"))
}

/// What the client gets of a `Set-Cookie`; `None` if it is for a cookie of ours.
fn cookie<'a>(
    value: &'a str,
    names: Option<&Translation<'_>>,
    is_ours: impl Fn(&str) -> bool,
) -> Option<Cow<'a, str>> {
    if is_ours(&name_of(value)) {
        return None;
    }
    Some(names.map_or(Cow::Borrowed(value), |names| attributes(value, names)))
}

/// The name by which a client may send a cookie back, in lower case. RFC 6265bis §5.6: the first pair,
/// trimmed. Browsers send a cookie without a name as its value alone, so that a name in the value
/// becomes the cookie's; only newer ones refuse such a value (§5.7). They differ in what they trim.
fn name_of(value: &str) -> String {
    let dropped = |c: char| c.is_whitespace() || c.is_control();
    let pair = value.split(';').next().unwrap_or_default();
    let pair = pair.trim_start_matches(|c| dropped(c) || c == '=');
    let name = pair.split('=').next().unwrap_or_default();
    // A name with a control character in it is refused by some, and cut or kept by others.
    let mut name: String = name.chars().filter(|c| !c.is_control()).collect();
    name.make_ascii_lowercase();
    name.trim().to_owned()
}

/// A `Set-Cookie` whose attributes name the public place. Of several `Domain` attributes the last one
/// counts (RFC 6265bis §5.7).
fn attributes<'a>(value: &'a str, names: &Translation<'_>) -> Cow<'a, str> {
    let is = |piece: &'a str, wanted: &str| {
        let (name, value) = piece.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case(wanted)
            .then(|| value.trim())
    };
    let domain = value
        .split(';')
        .skip(1)
        .filter_map(|piece| is(piece, "domain"))
        .last();
    let is_upstreams = domain.is_some_and(|domain| {
        let domain = domain.strip_prefix('.').unwrap_or(domain);
        domain.eq_ignore_ascii_case(names.upstream_host())
    });
    let mut changed = false;
    let mut text = String::with_capacity(value.len());
    for (at, piece) in value.split(';').enumerate() {
        if at > 0 {
            if is_upstreams && is(piece, "domain").is_some() {
                changed = true;
                continue;
            }
            text.push(';');
            let path = is(piece, "path").filter(|path| path.starts_with('/'));
            if let Some(path) = path.and_then(|path| names.path_to_public(path)) {
                changed = true;
                text.push_str(" Path=");
                text.push_str(&path);
                continue;
            }
        }
        text.push_str(piece);
    }
    if changed {
        Cow::Owned(text)
    } else {
        Cow::Borrowed(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::translate::Place;

    fn names<'a>(mount: &'a str, base: &'a str) -> Translation<'a> {
        Translation::between(
            Place::new("https", "app.example", mount),
            Place::new("http", "in.example:8080", base),
        )
    }

    const OURS: [&str; 2] = ["__host-edgeward", "__host-edgeward-trip"];

    fn of(headers: &str, translation: Option<&Translation<'_>>) -> String {
        changes(headers, translation, |name| OURS.contains(&name))
    }

    #[test]
    fn sec_91_a_cookie_of_ours_is_taken_off_however_it_is_written() {
        for line in [
            "__Host-edgeward=x; Path=/; Secure",
            "__Host-edgeward=",
            "__Host-edgeward",
            "__Host-edgeward-trip=x",
            "__HOST-EDGEWARD=x",
            "__host-edgeward=x",
            " __Host-edgeward=x",
            "\t__Host-edgeward \t=x",
            "\u{b}__Host-edgeward=x",
            "__Host-edge\u{1}ward=x",
            "=__Host-edgeward=x",
            " = __Host-edgeward=x; Path=/",
            "==__Host-edgeward=x",
            "__Host-edgeward=x; Max-Age=0",
            "__Host-edgeward=x; Domain=elsewhere.example",
        ] {
            let lines = format!("set-cookie\na=1\nset-cookie\n{line}\n");
            for translation in [None, Some(&names("", ""))] {
                assert_eq!(
                    of(&lines, translation),
                    "-set-cookie\n&set-cookie\na=1\n",
                    "{line}"
                );
            }
        }
        for line in [
            "__Host-edgeward2=x",
            "x__Host-edgeward=x",
            "a=__Host-edgeward=x",
            "a=1; __Host-edgeward=x",
            "a=1, __Host-edgeward=x",
            "\"__Host-edgeward\"=x",
            "",
            "=",
            ";",
        ] {
            assert_eq!(of(&format!("set-cookie\n{line}\n"), None), "", "{line}");
        }
    }

    #[test]
    fn h6_urls_of_the_upstream_become_public_in_each_header_that_has_them() {
        let plain = names("", "");
        for (name, value, expected) in [
            (
                "location",
                "http://in.example:8080/next",
                Some("https://app.example/next"),
            ),
            ("location", "/next", None),
            ("location", "https://login.example/", None),
            (
                "content-location",
                "http://in.example:8080/a.en",
                Some("https://app.example/a.en"),
            ),
            (
                "access-control-allow-origin",
                "http://in.example:8080",
                Some("https://app.example"),
            ),
            ("access-control-allow-origin", "*", None),
            (
                "refresh",
                "5; url=http://in.example:8080/n",
                Some("5; url=https://app.example/n"),
            ),
            (
                "refresh",
                "0;URL = 'http://in.example:8080/n' x",
                Some("0;URL = 'https://app.example/n' x"),
            ),
            (
                "refresh",
                "1.5,\"http://in.example:8080/n",
                Some("1.5,\"https://app.example/n"),
            ),
            (
                "refresh",
                "0 http://in.example:8080/n",
                Some("0 https://app.example/n"),
            ),
            ("refresh", "5", None),
            ("refresh", "", None),
            ("refresh", "5; url=", None),
            ("refresh", "5; url=/n", None),
            (
                "link",
                "<http://in.example:8080/a>; rel=next, </b>; rel=\"x <http://in.example:8080/c>\", <//in.example:8080/d>",
                Some(
                    "<https://app.example/a>; rel=next, </b>; rel=\"x <http://in.example:8080/c>\", <https://app.example/d>",
                ),
            ),
            (
                "link",
                "<a>; title=\"\\\"<\"; Anchor = \"http://in.example:8080/a\"; rel=x",
                Some("<a>; title=\"\\\"<\"; Anchor = \"https://app.example/a\"; rel=x"),
            ),
            (
                "link",
                "<http://in.example:8080/a",
                Some("<https://app.example/a"),
            ),
            ("link", "<>, <\"", None),
        ] {
            let expected = expected.map_or_else(String::new, |to| format!("+{name}\n{to}\n"));
            let lines = format!("{name}\n{value}\n");
            assert_eq!(of(&lines, Some(&plain)), expected, "{name}: {value}");
            assert_eq!(of(&lines, None), "", "{name}: {value}");
        }
    }

    #[test]
    fn a_cookie_loses_the_upstreams_domain_and_gets_the_public_path() {
        let plain = names("", "");
        let moved = names("/x", "/b");
        for (translation, line, expected) in [
            (
                &plain,
                "a=1; Domain=in.example; Path=/",
                Some("a=1; Path=/"),
            ),
            (
                &plain,
                "a=1;domain = .IN.example;HttpOnly",
                Some("a=1;HttpOnly"),
            ),
            (&plain, "a=1; Domain=other; Domain=in.example", Some("a=1")),
            (&plain, "a=1; Domain=in.example; Domain=other", None),
            (&plain, "a=1; Domain=sub.in.example", None),
            (&plain, "a=1; Domain=example", None),
            (&plain, "Domain=in.example; Path=/b", None),
            (&moved, "a=1; Path=/b", Some("a=1; Path=/x")),
            (
                &moved,
                "a=1; Secure; path=/b/c/ ; HttpOnly",
                Some("a=1; Secure; Path=/x/c/; HttpOnly"),
            ),
            (&moved, "a=1; Path=/", None),
            (&moved, "a=1; Path=/x/c", None),
            (&moved, "a=1; Path=/bc", None),
            (&moved, "a=1; Path=b", None),
        ] {
            let expected = expected.map_or_else(String::new, |to| {
                format!("-set-cookie\n&set-cookie\n{to}\n")
            });
            let lines = format!("set-cookie\n{line}\n");
            assert_eq!(of(&lines, Some(translation)), expected, "{line}");
            assert_eq!(of(&lines, None), "", "{line}");
        }
    }
}
