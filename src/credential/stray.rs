//! Credentials of ours in places where no site looks for them: another cookie or parameter, any
//! header, a `Referer`. A live one must not reach an origin. Recognised by the kind that its header
//! names, so tokens of other applications are left alone. Verifies nothing.

use std::borrow::Cow;

use crate::http::query;
use crate::jose::jws::UntrustedJws;
use crate::model::api_token::{self, PlainApiToken};

/// The start of every session and SSO token: `{"alg":"H` in base64url. We write the members of a
/// header in alphabetical order, and sign these kinds with HMAC only.
const BEGINNING: &[u8] = b"eyJhbGciOiJI";

/// The longest header of ours, in base64url.
const LONGEST_HEADER: usize = 128;

/// How often escapes are decoded: a URL in a parameter of a URL in a parameter.
const LAYERS: usize = 4;

/// Whether `text` contains a session, an SSO token or an API token, as it is or percent-encoded.
#[must_use]
pub fn is_in(text: &str) -> bool {
    if text.len() < api_token::LENGTH {
        return false;
    }
    let mut text = Cow::Borrowed(text);
    for _ in 0..LAYERS {
        if stands_in(&text) {
            return true;
        }
        if memchr::memchr(b'%', text.as_bytes()).is_none() {
            return false;
        }
        text = Cow::Owned(query::decode(&text));
    }
    stands_in(&text)
}

/// `query` without the parameters that contain one, every other byte unchanged; `None` if none
/// does.
#[must_use]
pub fn strip(query: &str) -> Option<String> {
    // Each parameter is a part of the query, so search the whole once before.
    if !is_in(query) {
        return None;
    }
    let kept: Vec<&str> = query.split('&').filter(|piece| !is_in(piece)).collect();
    Some(kept.join("&"))
}

fn stands_in(text: &str) -> bool {
    let found = |beginning| memchr::memmem::find_iter(text.as_bytes(), beginning);
    let signs_in = found(BEGINNING)
        .filter_map(|at| compact(text.get(at..)?))
        .any(|token| UntrustedJws::parse(token).is_ok_and(|token| token.is_credential_of_ours()));
    signs_in
        || found(api_token::PREFIX.as_bytes())
            .filter_map(|at| text.get(at..at + api_token::LENGTH))
            .any(|token| PlainApiToken::parse(token).is_some())
}

/// The three parts at the start of `text`, if there are three. Searches no further for the first
/// dot than a header of ours can reach, so many beginnings in a long text cost no more than its
/// length.
fn compact(text: &str) -> Option<&str> {
    let head = text.as_bytes().get(..LONGEST_HEADER.min(text.len()))?;
    memchr::memchr(b'.', head)?;
    let mut dots = 0;
    let end = text.bytes().position(|b| {
        dots += usize::from(b == b'.');
        dots > 2 || (b != b'.' && !is_of_token(b))
    });
    let token = text.get(..end.unwrap_or(text.len()))?;
    (token.len() >= api_token::LENGTH).then_some(token)
}

const fn is_of_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn token(typ: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let header = part(&format!(r#"{{"alg":"HS256","kid":"1","typ":"{typ}"}}"#));
        let claims = part(r#"{"aud":"site.example","sub":"usr_0123456789abcdefghijkl"}"#);
        format!(
            "{header}.{claims}.{}",
            part("a signature, 32 bytes in length.")
        )
    }

    fn encoded(text: &str) -> String {
        let escape = |mut escaped: String, byte| {
            crate::http::path::push_escape(&mut escaped, byte);
            escaped
        };
        text.bytes().fold(String::new(), escape)
    }

    #[test]
    fn sec_40_our_kinds_are_found_wherever_they_stand_and_other_tokens_are_not() {
        for typ in ["sso+jwt", "session+jwt"] {
            let ours = token(typ);
            for text in [
                ours.clone(),
                format!("Bearer {ours}"),
                format!("a, {ours}, b"),
                format!("{{\"token\":\"{ours}\"}}"),
                format!("https://x.example/?next=%2Fa%3Ftoken%3D{ours}%26b"),
                format!("https://x.example/?next=%252Fa%253Ftoken%253D{ours}"),
                format!("{}.{ours}", token("JWT")),
                format!("{ours}.x"),
                format!("jwt_{ours}"),
                format!("v1-{ours}"),
                format!("=3D{ours}"),
                format!("https:\\/\\/x.example\\/?t\\u003d{ours}"),
                encoded(&ours),
                encoded(&encoded(&ours)),
                format!("x={}", ours.replacen('e', "%65", 1)),
                format!("x={}", ours.replace('.', "%2E")),
                format!("{}&jwt={ours}", "eyJ".repeat(100)),
                format!("{}.{ours}", "eyJhbGciOiJI".repeat(100)),
            ] {
                assert!(is_in(&text), "{text}");
            }
        }
        for other in ["JWT", "at+jwt", "assertion+jwt", "SSO+JWT2", ""] {
            assert!(!is_in(&token(other)), "{other}");
            assert!(!is_in(&encoded(&token(other))), "{other}");
        }
        let ours = token("sso+jwt");
        let (two_parts, _) = ours.rsplit_once('.').unwrap();
        for nothing in [
            "",
            "eyJ",
            two_parts,
            &"eyJ".repeat(4000),
            &"eyJ.".repeat(4000),
            &"eyJhbGciOiJI".repeat(4000),
            &"eyJhbGciOiJI.".repeat(4000),
            &"ewt_".repeat(4000),
        ] {
            assert!(!is_in(nothing));
        }
    }

    #[test]
    fn sec_40_an_api_token_is_found_by_its_checksum() {
        struct Sevens;
        impl crate::platform::port::Entropy for Sevens {
            fn fill(&self, bytes: &mut [u8]) {
                bytes.fill(7);
            }
        }
        let ours = PlainApiToken::random(&Sevens).reveal().to_owned();
        assert_eq!(ours.len(), api_token::LENGTH);
        for text in [
            ours.clone(),
            format!("https://x.example/?k={ours}&b"),
            format!("ewt_{ours}x"),
            encoded(&ours),
        ] {
            assert!(is_in(&text), "{text}");
        }
        assert!(!is_in(&ours.replace('7', "8").replacen('B', "C", 1)));
    }

    #[test]
    fn sec_40_a_parameter_that_holds_one_goes_and_every_other_byte_stays() {
        let ours = token("sso+jwt");
        let other = token("JWT");
        for (query, rest) in [
            (format!("a={ours}"), ""),
            (format!("a=%20&b={ours}&c=+"), "a=%20&c=+"),
            (format!("{ours}&&x"), "&x"),
            (format!("x&next=%2F%3Ft%3D{ours}&y={}", encoded(&ours)), "x"),
        ] {
            assert_eq!(strip(&query).as_deref(), Some(rest), "{query}");
        }
        for query in [String::new(), "a=1&b".into(), format!("t={other}&a=%zz")] {
            assert_eq!(strip(&query), None, "{query}");
        }
    }
}
