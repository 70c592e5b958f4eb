//! Path patterns of rules: an exact path, a prefix, or a glob. Compiled once; matching takes one
//! step for each byte of the path, whatever the pattern (no backtracking, no regular expressions).
//!
//! Every origin reads `/a%3Ab` as `/a:b`. So patterns are compared decoded, with each reading of a path
//! ([`crate::http::path`]).

use crate::http::path::{RequestPath, hex_pair, readings};

/// A compiled pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathPattern(Shape);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Shape {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Glob(Box<Glob>),
}

/// Why a pattern was rejected.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatternError {
    /// No request has such a path.
    #[error(
        "is not a canonical path, so no request matches it (it must begin with / and have no //, dot segments or query)"
    )]
    NotCanonical,
    #[error("must not end with /: a prefix matches itself and everything below it")]
    TrailingSlash,
    /// `**` is only part of a segment.
    #[error("has ** next to other characters: ** matches whole segments, * part of one")]
    PartialDoubleStar,
    /// `*` in an exact path or a prefix.
    #[error("contains *, which is allowed in a glob only (write %2A for the character itself)")]
    Star,
    /// Servers that ignore case differ about other letters.
    #[error("has a letter beyond ASCII, which is not possible with path_case = \"ignored\"")]
    NotAscii,
    /// More than [`MAX_PLACES`].
    #[error("is too long for a glob (at most 120 characters)")]
    TooLong,
}

impl PathPattern {
    /// Matches the path `text` only.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn exact(text: &str) -> Result<Self, PatternError> {
        Ok(Self(Shape::Exact(literal(text)?)))
    }

    /// Matches `text` and everything below it: `/a` matches `/a` and `/a/b`, not `/ab`.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn prefix(text: &str) -> Result<Self, PatternError> {
        if text != "/" && text.ends_with('/') {
            return Err(PatternError::TrailingSlash);
        }
        let bytes = literal(text)?;
        // The root has nothing before the slash that starts each segment.
        let bytes = if text == "/" { Box::default() } else { bytes };
        Ok(Self(Shape::Prefix(bytes)))
    }

    /// Matches a glob: `*` stands for any part of one segment, `**` for any number of whole
    /// segments.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn glob(text: &str) -> Result<Self, PatternError> {
        canonical(text)?;
        Ok(Self(Shape::Glob(Box::new(Glob::new(text)?))))
    }

    /// Whether the pattern matches `path`, a reading of a request's path.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.matches_bytes(path.iter().copied())
    }

    /// Takes one step for each byte that it consumes.
    pub(super) fn matches_bytes(&self, mut path: impl Iterator<Item = u8>) -> bool {
        match &self.0 {
            Shape::Exact(exact) => path.eq(exact.iter().copied()),
            Shape::Prefix(prefix) => {
                prefix.iter().all(|byte| path.next() == Some(*byte))
                    && matches!(path.next(), None | Some(b'/'))
            }
            Shape::Glob(glob) => glob.matches(path),
        }
    }

    /// The most steps that matching takes, whatever the path; `None` for a glob, which may take one
    /// for each byte of the path.
    #[must_use]
    pub fn most_steps(&self) -> Option<usize> {
        match &self.0 {
            Shape::Exact(text) | Shape::Prefix(text) => Some(text.len() + 1),
            Shape::Glob(_) => None,
        }
    }
}

/// The text of a pattern for a site whose origin ignores case.
///
/// # Errors
/// [`PatternError::NotAscii`].
pub fn folded(text: &str) -> Result<String, PatternError> {
    let keeps = |byte: u8| byte.is_ascii() && !byte.is_ascii_alphabetic();
    let decoded = readings::decode(text.as_bytes(), keeps);
    let letters = decoded.as_deref().unwrap_or(text.as_bytes());
    std::str::from_utf8(letters)
        .ok()
        .filter(|letters| letters.is_ascii())
        .map(str::to_ascii_lowercase)
        .ok_or(PatternError::NotAscii)
}

/// Iterates over the bytes of a path, decoding escapes.
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        if byte == b'%'
            && let Some(value) = hex_pair(rest.get(..2))
        {
            self.0 = rest.get(2..).unwrap_or_default();
            return Some(value);
        }
        Some(byte)
    }
}

/// The bytes of a pattern without wildcards.
fn literal(text: &str) -> Result<Box<[u8]>, PatternError> {
    canonical(text)?;
    if text.contains('*') {
        return Err(PatternError::Star);
    }
    Ok(Decoded(text.as_bytes()).collect())
}

/// Rejects a pattern that no canonical path can match. It may escape characters or not.
fn canonical(text: &str) -> Result<(), PatternError> {
    let path = RequestPath::parse_strictly(text).map_err(|_| PatternError::NotCanonical)?;
    let same = Decoded(path.as_str().as_bytes()).eq(Decoded(text.as_bytes()));
    if same && !text.contains(['?', '#']) {
        Ok(())
    } else {
        Err(PatternError::NotCanonical)
    }
}

/// A glob as a nondeterministic automaton: one bit for each place, all of which advance at once
/// with each byte (Baeza-Yates and Gonnet's Shift-And).
#[derive(Clone, Debug, Eq, PartialEq)]
struct Glob {
    /// The index into `literals` for each byte. A look-up, so that a step costs the same whatever
    /// the pattern.
    classes: Box<[u8; 256]>,
    /// The places from which a byte advances; the first entry is for bytes that are not in the
    /// pattern.
    literals: Box<[u128]>,
    /// Places at a `*`, which consume any byte but `/`.
    star: u128,
    /// Places at a `**`, which consume any byte.
    stars: u128,
    /// Places at a `**` followed by `/`; the two together may match nothing.
    skip: u128,
    /// The accepting place, after the last one.
    end: u128,
}

/// The most places in a glob, besides the accepting one.
const MAX_PLACES: usize = 120;

/// What a place of a glob consumes.
#[derive(Clone, Copy)]
enum Piece {
    /// This byte.
    Byte(u8),
    /// `*`
    Star,
    /// `**`
    Stars,
    /// A `**` before a `/`.
    StarsBeforeSlash,
}

/// A glob of which the first places are known.
struct Draft {
    /// Its `end` is the next place.
    glob: Glob,
    /// The places of each byte.
    literals: Vec<(u8, u128)>,
    /// How many places there are.
    count: usize,
}

impl Draft {
    /// Adds a place.
    fn push(&mut self, piece: Piece) -> Result<(), PatternError> {
        if self.count == MAX_PLACES {
            return Err(PatternError::TooLong);
        }
        self.count += 1;
        let place = self.glob.end;
        self.glob.end <<= 1;
        match piece {
            Piece::Byte(byte) => match self.literals.iter_mut().find(|(b, _)| *b == byte) {
                Some((_, mask)) => *mask |= place,
                None => self.literals.push((byte, place)),
            },
            Piece::Star => self.glob.star |= place,
            Piece::Stars => self.glob.stars |= place,
            Piece::StarsBeforeSlash => {
                self.glob.stars |= place;
                self.glob.skip |= place;
            }
        }
        Ok(())
    }

    fn finish(self) -> Glob {
        let Self {
            mut glob, literals, ..
        } = self;
        for (class, (byte, _)) in (1..).zip(&literals) {
            if let Some(known) = glob.classes.get_mut(usize::from(*byte)) {
                *known = class;
            }
        }
        let places = literals.iter().map(|(_, places)| *places);
        glob.literals = std::iter::once(0).chain(places).collect();
        glob
    }
}

impl Glob {
    fn new(text: &str) -> Result<Self, PatternError> {
        let mut draft = Draft {
            glob: Self {
                classes: Box::new([0; 256]),
                literals: Box::default(),
                star: 0,
                stars: 0,
                skip: 0,
                end: 1,
            },
            literals: Vec::new(),
            count: 0,
        };
        let mut previous = "";
        let mut segments = text.split('/').peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            // Repeated `**` match the same as one.
            let repeated = segment == "**" && previous == "**";
            previous = segment;
            if segment == "**" {
                if last {
                    // `/**/**`: the first already ends with a `/`, and the last matches the rest.
                    draft.push(Piece::Stars)?;
                } else if !repeated {
                    draft.push(Piece::StarsBeforeSlash)?;
                    draft.push(Piece::Byte(b'/'))?;
                }
                continue;
            }
            if segment.contains("**") {
                return Err(PatternError::PartialDoubleStar);
            }
            for byte in pieces(segment) {
                draft.push(byte.map_or(Piece::Star, Piece::Byte))?;
            }
            if !last {
                draft.push(Piece::Byte(b'/'))?;
            }
        }
        Ok(draft.finish())
    }

    fn matches(&self, path: impl Iterator<Item = u8>) -> bool {
        let mut at = self.rest(1, 0);
        for byte in path {
            let class = self.classes.get(usize::from(byte)).copied();
            let literal = class.and_then(|class| self.literals.get(usize::from(class)));
            let literal = literal.copied().unwrap_or_default();
            let star = if byte == b'/' { 0 } else { self.star };
            at = self.rest((at & literal) << 1, at & (self.stars | star));
            if at == 0 {
                return false;
            }
        }
        at & self.end != 0
    }

    /// The places that can be reached without consuming a byte, from those that were just entered
    /// and those that stayed. Only a `**` that was just entered is at the start of a segment.
    const fn rest(&self, came: u128, stayed: u128) -> u128 {
        let at = came | ((came & self.skip) << 2) | stayed;
        at | ((at & (self.star | self.stars)) << 1)
    }
}

/// The bytes of a segment, decoded; `None` for a `*`.
fn pieces(segment: &str) -> impl Iterator<Item = Option<u8>> {
    let mut rest = segment.as_bytes();
    std::iter::from_fn(move || {
        let wild = rest.first() == Some(&b'*');
        let mut decoded = Decoded(rest);
        let byte = decoded.next()?;
        rest = decoded.0;
        Some((!wild).then_some(byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is(pattern: &Result<PathPattern, PatternError>, path: &str) -> bool {
        let pattern = pattern.as_ref().unwrap();
        pattern.matches(RequestPath::parse_strictly(path).unwrap().reading())
    }

    #[test]
    fn sec_33_a_prefix_ends_at_a_segment() {
        let admin = PathPattern::prefix("/admin");
        for path in [
            "/admin",
            "/admin/",
            "/admin/x/y",
            "/%61dmin/x",
            "//admin/./x",
        ] {
            assert!(is(&admin, path), "{path}");
        }
        for path in [
            "/",
            "/adminx",
            "/admin.php",
            "/admi",
            "/x/admin",
            "/Admin",
            "/admin%3Fx",
        ] {
            assert!(!is(&admin, path), "{path}");
        }
        let all = PathPattern::prefix("/");
        assert!(is(&all, "/") && is(&all, "/a") && is(&all, "/a/b/"));
    }

    #[test]
    fn sec_33_an_escape_is_the_character_it_stands_for() {
        let pattern = PathPattern::exact("/a:b/é");
        for path in ["/a:b/é", "/a%3Ab/%C3%A9", "/a%3ab/%c3%a9", "/%61%3Ab/é"] {
            assert!(is(&pattern, path), "{path}");
        }
        let star = PathPattern::exact("/a%2Ab");
        assert!(is(&star, "/a*b") && is(&star, "/a%2ab") && !is(&star, "/axb"));
        let glob = PathPattern::glob("/%2A/*");
        assert!(is(&glob, "/*/x") && !is(&glob, "/y/x"));
        assert!(is(&PathPattern::prefix("/a@b"), "/a%40b/c"));
    }

    #[test]
    fn a_glob_has_parts_of_segments_and_whole_ones() {
        for (pattern, yes, no) in [
            ("/*", vec!["/", "/a", "/a.b"], vec!["/a/", "/a/b"]),
            (
                "/a/**",
                vec!["/a/", "/a/b", "/a/b/c/"],
                vec!["/a", "/ab", "/"],
            ),
            ("/**", vec!["/", "/a", "/a/b"], vec![]),
            (
                "/**/x",
                vec!["/x", "/a/x", "/a/b/x"],
                vec!["/ax", "/x/", "/a/bx"],
            ),
            (
                "/a/**/b",
                vec!["/a/b", "/a/x/b", "/a/x/y/b"],
                vec!["/ab", "/a/xb", "/a/b/c"],
            ),
            (
                "/**/*.js",
                vec!["/a.js", "/b/a.js", "/.js"],
                vec!["/a.js/", "/a.jsx"],
            ),
            ("/**/**/x", vec!["/x", "/a/x"], vec!["/ax"]),
            ("/a/**/**", vec!["/a/", "/a/b/c"], vec!["/a"]),
            (
                "/a*b*c",
                vec!["/abc", "/axbxc", "/abcbc"],
                vec!["/ab/c", "/acb"],
            ),
            (
                "/api/*/users",
                vec!["/api/v1/users"],
                vec!["/api/v1/x/users", "/api/users"],
            ),
        ] {
            let glob = PathPattern::glob(pattern);
            for path in yes {
                assert!(is(&glob, path), "{pattern} {path}");
            }
            for path in no {
                assert!(!is(&glob, path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn a_pattern_that_no_request_could_match_is_refused() {
        for text in [
            "", "a", "//", "/a//b", "/a/../b", "/./a", "/a?x", "/a#x", "/a;x", "/a%2Fb", "/a%zz",
        ] {
            for made in [
                PathPattern::exact(text),
                PathPattern::prefix(text),
                PathPattern::glob(text),
            ] {
                assert!(made.is_err(), "{text}");
            }
        }
        assert_eq!(PathPattern::prefix("/a/"), Err(PatternError::TrailingSlash));
        assert_eq!(PathPattern::exact("/a*"), Err(PatternError::Star));
        assert_eq!(PathPattern::prefix("/*"), Err(PatternError::Star));
        assert_eq!(
            PathPattern::glob("/a**"),
            Err(PatternError::PartialDoubleStar)
        );
        assert_eq!(
            PathPattern::glob("/***"),
            Err(PatternError::PartialDoubleStar)
        );
        assert!(PathPattern::glob(&format!("/{}", "a".repeat(119))).is_ok());
        assert_eq!(
            PathPattern::glob(&format!("/{}", "a".repeat(120))),
            Err(PatternError::TooLong)
        );
        for (letters, fits) in [(117, true), (118, false)] {
            let glob = format!("/{}/**", "a".repeat(letters));
            assert_eq!(PathPattern::glob(&glob).is_ok(), fits, "{letters}");
        }
        let stars = PathPattern::glob(&"/a/**".repeat(24));
        assert!(stars.is_ok() && is(&stars, &"/a/x".repeat(24)));
    }

    #[test]
    fn a_glob_made_to_be_slow_is_not() {
        let glob = PathPattern::glob(&"/**/*a".repeat(20));
        let path = format!("/{}b", "a/".repeat(4_000));
        assert!(!is(&glob, &path));
    }

    /// A slow reference implementation: segment by segment, character by character.
    fn naive(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern.split_first(), path.split_first()) {
            (None, None) => true,
            // At the end it matches what is below, not the path itself.
            (Some((&"**", [])), below) => below.is_some(),
            (Some((&"**", rest)), _) => (0..=path.len()).any(|skip| naive(rest, &path[skip..])),
            (Some((first, rest)), Some((segment, more))) => {
                naive_segment(first.as_bytes(), segment.as_bytes()) && naive(rest, more)
            }
            _ => false,
        }
    }

    fn naive_segment(pattern: &[u8], segment: &[u8]) -> bool {
        match (pattern.split_first(), segment.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                (0..=segment.len()).any(|skip| naive_segment(rest, &segment[skip..]))
            }
            (Some((a, rest)), Some((b, more))) => a == b && naive_segment(rest, more),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn a_glob_means_what_the_slow_reading_says(
            pattern in "(/(\\*\\*|[ab*]{0,3}|[ab]\\*[ab])){1,5}",
            path in "(/[ab]{0,3}){1,6}",
        ) {
            if let Ok(glob) = PathPattern::glob(&pattern) {
                let path = RequestPath::parse_strictly(&path).unwrap();
                let parts: Vec<&str> = pattern.split('/').collect();
                let segments: Vec<&str> = path.as_str().split('/').collect();
                prop_assert_eq!(glob.matches(path.reading()), naive(&parts, &segments), "{} {}", pattern, path.as_str());
            }
        }

        #[test]
        fn sec_33_a_prefix_is_itself_or_a_whole_segment_more(prefix in "(/[ab.]{1,2}){1,3}", path in "(/[ab.]{0,2}){1,5}") {
            if let Ok(pattern) = PathPattern::prefix(&prefix) {
                let path = RequestPath::parse_strictly(&path).unwrap();
                let expected = path.as_str() == prefix || path.as_str().starts_with(&format!("{prefix}/"));
                prop_assert_eq!(pattern.matches(path.reading()), expected);
            }
        }

        #[test]
        fn sec_33_any_spelling_of_one_path_matches_alike(path in "(/[ab:@!é]{1,3}){1,4}", seed in any::<u64>()) {
            let exact = PathPattern::exact(&path).unwrap();
            let mut spelled = String::new();
            for (index, byte) in path.bytes().enumerate() {
                if byte != b'/' && (seed >> (index % 64)) & 1 == 1 {
                    crate::http::path::push_escape(&mut spelled, byte);
                } else if byte.is_ascii() {
                    spelled.push(char::from(byte));
                } else {
                    crate::http::path::push_escape(&mut spelled, byte);
                }
            }
            prop_assert!(exact.matches(RequestPath::parse_strictly(&spelled).unwrap().reading()), "{}", spelled);
        }
    }
}
