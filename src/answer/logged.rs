//! What a line of the log shows of a request: bounded, in printable ASCII, and without a credential. All of it comes from a
//! stranger, and lines are read in terminals, mails and web pages.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::http::path::push_escape;
use crate::http::query;
use crate::site::config::{LogAddress, LogPath};

/// The longest name of a host (RFC 1035 §2.3.4), with its port.
pub const MAX_HOST: usize = 261;
/// The longest path that a line has.
pub const MAX_PATH: usize = 512;
/// The longest method.
pub const MAX_METHOD: usize = 32;
/// The longest of all other texts.
pub const MAX_TEXT: usize = 200;

/// The shortest segment of a path that may be a token.
const SHORTEST_TOKEN: usize = 16;
/// How often escapes are decoded: a URL in a parameter of a URL in a parameter.
const LAYERS: usize = 4;
/// How each JWT and each API token begins.
const BEGINNINGS: [&str; 2] = ["eyJ", "ewt_"];

/// `text` with everything beyond printable ASCII percent-encoded, control characters and those that change the direction of
/// text among it; `longest` characters of it and an ellipsis, if there are more.
#[must_use]
pub fn text(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    push(&mut shown, text, longest);
    shown
}

fn push(shown: &mut String, text: &str, longest: usize) {
    for byte in text.bytes() {
        if shown.len() >= longest {
            shown.push_str("...");
            return;
        }
        if byte.is_ascii_graphic() || byte == b' ' {
            shown.push(char::from(byte));
        } else {
            push_escape(shown, byte);
        }
    }
}

/// The path of a request, segment by segment: `*` for one that may be a secret, or say who somebody is. `None` if lines have
/// no paths.
#[must_use]
pub fn path(path: &str, how: LogPath) -> Option<String> {
    if how == LogPath::None {
        return None;
    }
    let mut shown = String::new();
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        // A segment is looked at as a whole, so that none is shown up to the middle of a secret.
        if shown.len() >= MAX_PATH {
            shown.push_str("/...");
            break;
        }
        shown.push('/');
        if is_hidden(segment, how) {
            shown.push('*');
        } else {
            push(&mut shown, segment, MAX_PATH);
        }
    }
    Some(shown)
}

fn is_hidden(segment: &str, how: LogPath) -> bool {
    let mut text = Cow::Borrowed(segment);
    for _ in 0..LAYERS {
        if BEGINNINGS.iter().any(|beginning| text.contains(beginning)) {
            return true;
        }
        if !text.contains('%') {
            break;
        }
        text = Cow::Owned(query::decode(&text));
    }
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut runs = text.split(|c| !is_of_token(c));
    how == LogPath::Masked && (text.contains('@') || runs.any(is_like_a_token))
}

/// Whether a text looks as if it had been made at random: letters of both cases and digits take turns as they do in no word
/// and no date. UUIDs and ids of our users are names, not secrets.
fn is_like_a_token(text: &str) -> bool {
    let class = |byte: u8| match byte {
        b'0'..=b'9' => Some(0),
        b'a'..=b'z' => Some(1),
        b'A'..=b'Z' => Some(2),
        _ => None,
    };
    let changes = text
        .as_bytes()
        .windows(2)
        .filter(|pair| match *pair {
            [one, other] => matches!((class(*one), class(*other)), (Some(a), Some(b)) if a != b),
            _ => false,
        })
        .count();
    // Without digits it may be words in camel case, which has two changes for each.
    let usual = if text.bytes().any(|b| b.is_ascii_digit()) {
        5
    } else {
        3
    };
    text.len() >= SHORTEST_TOKEN
        && changes * usual >= text.len()
        && !text.starts_with("usr_")
        && !is_uuid(text)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A client's address as lines show it; `None` for what is no address.
#[must_use]
pub fn address(text: &str, how: LogAddress) -> Option<String> {
    if how == LogAddress::None {
        return None;
    }
    let without_zone = text.split('%').next().unwrap_or_default();
    let address: IpAddr = without_zone.trim().parse().ok()?;
    Some(match (address.to_canonical(), how) {
        (IpAddr::V4(v4), LogAddress::Prefix) => {
            format!("{}/24", Ipv4Addr::from_bits(v4.to_bits() >> 8 << 8))
        }
        (IpAddr::V6(v6), LogAddress::Prefix) => {
            format!("{}/48", Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80))
        }
        (address, _) => address.to_string(),
    })
}

/// A country as the CDN names it: two letters or digits.
#[must_use]
pub fn country(text: &str) -> Option<String> {
    let is_code = text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    is_code.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_104_what_a_stranger_says_is_bounded_printable_ascii() {
        for (said, shown) in [
            ("a.example:8443", "a.example:8443"),
            ("a\nb\r\t\0", "a%0Ab%0D%09%00"),
            ("\u{202e}exe.txt", "%E2%80%AEexe.txt"),
            ("\u{200b}\u{2066}é", "%E2%80%8B%E2%81%A6%C3%A9"),
            ("\u{1b}[31mred", "%1B[31mred"),
            ("\u{7f}\u{85}", "%7F%C2%85"),
        ] {
            assert_eq!(text(said, 100), shown);
        }
        assert_eq!(text(&"a".repeat(100_000), 10), "aaaaaaaaaa...");
        assert_eq!(text(&"\n".repeat(100_000), 10).len(), 15);
        assert_eq!(text("aaaaaaaaaa", 10), "aaaaaaaaaa");
    }

    #[test]
    fn sec_63_a_path_shows_no_secret_and_nobody() {
        let masked = |said: &str| path(said, LogPath::Masked).unwrap();
        let full = |said: &str| path(said, LogPath::Full).unwrap();
        for (said, shown, all) in [
            ("/", "/", true),
            ("", "/", true),
            ("/a//b/", "/a//b/", true),
            ("/docs/how-to-build-a-web-app-in-2024", "", true),
            ("/users/550e8400-e29b-41d4-a716-446655440000/x", "", true),
            ("/users/usr_vkLnVq4OMzMpEa9rrhAEtQ", "", true),
            ("/orders/20241128123456789012", "", true),
            ("/assets/index-DiwrgTda.js", "", true),
            ("/wiki/JavaScriptProgrammingGuide", "", true),
            ("/log/2024-11-28T17-04-25Z", "", true),
            (
                "/reset/MQ/c4x2ab-7f3d1a9bcd0e4f5a6b7c8d9e0f1a2b3c/",
                "/reset/MQ/*/",
                false,
            ),
            ("/invite/8J3xY0q7jv1r2cN5m0uU7m", "/invite/*", false),
            (
                "/go/https%3A%2F%2Fapp.example.com%2Freset-password%2Fconfirm%3Ftoken%3D8J3xY0q7jv1r2cN5m0uU7m",
                "/go/*",
                false,
            ),
            (
                "/quarterly-report-final-version;token=8J3xY0q7jv1r2cN5m0uU7m",
                "/*",
                false,
            ),
            ("/invite/8J3xY0q7%6Av1r2cN5m0uU7m/x", "/invite/*/x", false),
            ("/users/ada@example.com/edit", "/users/*/edit", false),
            ("/users/ada%40example.com/edit", "/users/*/edit", false),
            ("/users/ada%2540example.com", "/users/*", false),
        ] {
            let expected = if shown.is_empty() { said } else { shown };
            assert_eq!(masked(said), expected);
            if all {
                assert_eq!(full(said), expected);
            } else {
                assert_eq!(full(said), said);
            }
        }
        for credential in [
            "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
            "x%65yJhbGciOiJIUzI1NiJ9.e30.c2ln",
            "%2565yJhbGciOiJIUzI1NiJ9",
            "ewt_0123",
            "%65%77%74%5f0123",
        ] {
            let said = format!("/a/{credential}/b");
            assert_eq!(
                (masked(&said), full(&said)),
                ("/a/*/b".into(), "/a/*/b".into())
            );
        }
        assert_eq!(path("/a", LogPath::None), None);
    }

    #[test]
    fn sec_63_a_long_path_is_cut_where_no_secret_is_shown_in_part() {
        let shown = path(&format!("/{}", "a/".repeat(50_000)), LogPath::Full).unwrap();
        assert_eq!(shown.len(), MAX_PATH + 4);
        assert!(shown.ends_with("/a/..."));
        let shown = path(&format!("/{}", "ab".repeat(50_000)), LogPath::Masked).unwrap();
        assert_eq!(
            (shown.len(), shown.ends_with("ab...")),
            (MAX_PATH + 3, false)
        );
        let secret = format!("/{}/eyJ{}", "a".repeat(MAX_PATH - 5), "x".repeat(40));
        assert!(!path(&secret, LogPath::Full).unwrap().contains("ey"));
    }

    #[test]
    fn sec_63_an_address_is_shown_as_far_as_the_setting_says() {
        for (said, full, prefix) in [
            ("203.0.113.77", "203.0.113.77", "203.0.113.0/24"),
            (" ::ffff:203.0.113.77", "203.0.113.77", "203.0.113.0/24"),
            ("2001:DB8:1:2::77", "2001:db8:1:2::77", "2001:db8:1::/48"),
            ("fe80::1%eth0", "fe80::1", "fe80::/48"),
        ] {
            assert_eq!(address(said, LogAddress::Full).as_deref(), Some(full));
            assert_eq!(address(said, LogAddress::Prefix).as_deref(), Some(prefix));
            assert_eq!(address(said, LogAddress::None), None);
        }
        for nothing in ["", "x", "1.2.3.4, 5.6.7.8", "\n"] {
            assert_eq!(address(nothing, LogAddress::Full), None, "{nothing:?}");
        }
        assert_eq!(country("DE").as_deref(), Some("DE"));
        for nothing in ["", "DEU", "D\n", "é"] {
            assert_eq!(country(nothing), None);
        }
    }
}
