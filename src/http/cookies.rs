//! The `Cookie` header, read in one pass: its pairs, and what remains of it without some of them.

use std::ops::Range;

/// One pair of a `Cookie` header; name and value without surrounding blanks.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    pub name: &'a str,
    pub value: &'a str,
    /// The whole pair. Without a `=`, all of it is the value, as in browsers (RFC 6265bis §5.6).
    pub text: &'a str,
    /// Whether it follows a comma. Two `Cookie` headers arrive joined by one, though RFC 6265bis
    /// §5.8.1 allows one header only. Such a pair is removed if it is ours, but never used.
    pub behind_comma: bool,
}

impl<'a> Pair<'a> {
    fn of(text: &'a str, behind_comma: bool) -> Self {
        let (name, value) = match memchr::memchr(b'=', text.as_bytes()) {
            Some(at) => text.split_at_checked(at).unwrap_or(("", text)),
            None => ("", text),
        };
        Self {
            name: unpadded(name),
            value: unpadded(value.strip_prefix('=').unwrap_or(value)),
            text,
            behind_comma,
        }
    }
}

/// What remains of a `Cookie` header after some pairs were removed. Every other pair stays byte for
/// byte, in its place.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Remainder {
    /// Nothing was removed.
    #[default]
    Whole,
    /// All of it was removed.
    Nothing,
    /// The header without these bytes. Only for ASCII headers, so bytes are characters in
    /// JavaScript too.
    Without(Range<usize>),
    Text(String),
}

impl Remainder {
    /// The header value that remains of `header`; `None` if nothing does.
    #[must_use]
    pub fn apply_to(&self, header: &str) -> Option<String> {
        match self {
            Self::Whole => Some(header.to_owned()),
            Self::Nothing => None,
            Self::Without(cut) => {
                let parts = [header.get(..cut.start), header.get(cut.end..)];
                Some(parts.into_iter().flatten().collect())
            }
            Self::Text(text) => Some(text.clone()),
        }
    }
}

/// Calls `take` for each pair of `header`, in order, and returns what remains without the pairs for
/// which it returned true.
pub fn read<'a>(header: &'a str, mut take: impl FnMut(Pair<'a>) -> bool) -> Remainder {
    let has_commas = memchr::memchr(b',', header.as_bytes()).is_some();
    let mut is_taken = |piece: &'a str| {
        let whole = take(Pair::of(piece, false));
        let hidden = has_commas
            && pieces(piece, b',')
                .skip(1)
                .any(|piece| take(Pair::of(piece, true)));
        whole || hidden
    };
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    let mut was_taken = false;
    for piece in pieces(header, b';') {
        let end = at + piece.len();
        let takes = is_taken(piece);
        match runs.last_mut().filter(|_| was_taken) {
            Some(run) if takes => run.end = end,
            _ if takes => runs.push(at..end),
            _ => {}
        }
        was_taken = takes;
        at = end + 1;
    }
    match runs.as_slice() {
        [] => Remainder::Whole,
        [run] if header.is_ascii() => {
            cut(header, run).map_or_else(|| text_without(header, &runs), Remainder::Without)
        }
        _ => text_without(header, &runs),
    }
}

/// The one range of bytes to remove for a single `run` of pairs: with the semicolon before it, or,
/// at the beginning, with the semicolon after it and the blanks that follow. `None` if more has to
/// change than that.
fn cut(header: &str, run: &Range<usize>) -> Option<Range<usize>> {
    if run.start > 0 {
        let begins_well = !header.starts_with([' ', '\t', ';']);
        return begins_well.then(|| run.start - 1..run.end);
    }
    let rest = header.get(run.end + 1..)?.trim_start_matches([' ', '\t']);
    let begins_well = !rest.is_empty() && !rest.starts_with(';');
    begins_well.then(|| 0..header.len() - rest.len())
}

/// Joins the pieces outside the `runs`. Leading empty pieces and blanks are dropped.
fn text_without(header: &str, runs: &[Range<usize>]) -> Remainder {
    let mut text = String::with_capacity(header.len());
    let mut at = 0;
    for piece in pieces(header, b';') {
        let is_kept = !runs.iter().any(|run| run.contains(&at) || run.start == at);
        at += piece.len() + 1;
        if !is_kept {
            continue;
        }
        if text.is_empty() {
            text.push_str(piece.trim_start_matches([' ', '\t']));
        } else {
            text.push(';');
            text.push_str(piece);
        }
    }
    if text.is_empty() {
        Remainder::Nothing
    } else {
        Remainder::Text(text)
    }
}

/// Like `str::split`, but by `memchr`: this runs on every request, for cookies of any length.
fn pieces(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, after) = match memchr::memchr(separator, text.as_bytes()) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)),
            None => (text, None),
        };
        rest = after;
        Some(piece)
    })
}

fn unpadded(text: &str) -> &str {
    match text.as_bytes() {
        [b' ' | b'\t', ..] | [.., b' ' | b'\t'] => text.trim_matches([' ', '\t']),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What remains without the cookies `e` and `t`.
    fn without(header: &str) -> (Remainder, String) {
        let left = read(header, |pair| matches!(pair.name, "e" | "t"));
        let text = left.apply_to(header).unwrap_or_default();
        (left, text)
    }

    fn values(header: &str) -> Vec<&str> {
        let mut found = Vec::new();
        read(header, |pair| {
            if pair.name == "__Host-e" && !pair.behind_comma {
                found.push(pair.value);
            }
            false
        });
        found
    }

    #[test]
    fn sec_50_only_the_exact_name_is_read_and_every_occurrence_of_it() {
        assert_eq!(values("a=1; __Host-e=x; b=2"), ["x"]);
        assert_eq!(values("__Host-e=x;__Host-e=y"), ["x", "y"]);
        assert_eq!(values("__Host-e = x ; c"), ["x"]);
        assert_eq!(values("__Host-e=a=b=="), ["a=b=="]);
        assert_eq!(
            values("__host-e=x; __HOST-E=y; e=z; x__Host-e=w; __Host-e; =__Host-e=q"),
            [""; 0]
        );
    }

    #[test]
    fn sec_40_our_cookies_go_and_the_others_keep_bytes_and_order() {
        for (header, rest) in [
            ("e=1", ""),
            ("a=1; e=2; b=3", "a=1; b=3"),
            ("e=2; a=1", "a=1"),
            ("a=1; e=2", "a=1"),
            ("a=1;e=2;b=3", "a=1;b=3"),
            ("a=1;  b=\"x y\" ; t=3;c", "a=1;  b=\"x y\" ;c"),
            ("e=1; e=2; t=3", ""),
            ("a=1; e=2; t=3; b=4", "a=1; b=4"),
            ("a=1; e=2; b=3; t=4", "a=1; b=3"),
            ("; e=1; b=2", "b=2"),
            ("  a=1; e=2", "a=1"),
            ("e=1;", ""),
            ("a=1, e=2; b=3", "b=3"),
            ("e = 2; a=é", "a=é"),
            ("a=é; e=2", "a=é"),
        ] {
            assert_eq!(without(header).1, rest, "{header}");
        }
        for header in ["a=e; b=t=1; c=; =d; ee=1; E=2", ""] {
            assert_eq!(without(header).0, Remainder::Whole, "{header}");
        }
    }

    #[test]
    fn what_is_in_one_piece_is_told_as_a_cut() {
        for (header, cut) in [
            ("a=1; e=2; b=3", 3..8),
            ("e=2; a=1", 0..5),
            ("a=1; e=2", 3..8),
            ("a=1; e=2; t=3; b=4", 3..13),
        ] {
            assert_eq!(without(header).0, Remainder::Without(cut), "{header}");
        }
        for header in ["a=1; e=2; b=3; t=4; c=5", "a=é; e=2; b=3", "  a=1; e=2"] {
            assert!(matches!(without(header).0, Remainder::Text(_)), "{header}");
        }
    }

    proptest::proptest! {
        #[test]
        fn other_cookies_stay_byte_for_byte_and_in_order(
            pairs in proptest::collection::vec("[a-d]{0,2}=?[ -+\\--:<>-~é]{0,6}", 0..8),
            ours in proptest::collection::vec(0_usize..9, 1..3),
        ) {
            // Pairs as clients write them; none of them is ours.
            let others: Vec<String> = pairs.into_iter().map(|p| p.trim().to_owned()).collect();
            let mut all = others.clone();
            for at in ours {
                all.insert(at.min(all.len()), "e=secret".into());
            }
            let rest = without(&all.join("; ")).1;
            proptest::prop_assert!(!rest.contains("secret"));
            let kept: Vec<&str> = rest.split(';').map(|p| p.strip_prefix(' ').unwrap_or(p)).collect();
            let expected: Vec<&str> = others.iter().map(String::as_str).skip_while(|p| p.is_empty()).collect();
            let kept: Vec<&str> = kept.into_iter().skip_while(|p| p.is_empty()).collect();
            proptest::prop_assert_eq!(kept, expected);
        }

        #[test]
        fn a_cut_leaves_the_same_as_the_pieces_that_are_kept(header in "[ae=;, ]{0,24}|[ae=;, é]{0,24}") {
            let mut expected = String::new();
            let mut kept = 0;
            for piece in header.split(';') {
                let taken = |piece: &str| {
                    let name = piece.split_once('=').map(|(name, _)| name);
                    name.is_some_and(|name| name.trim_matches([' ', '\t']) == "e")
                };
                if taken(piece) || piece.split(',').any(taken) {
                    continue;
                }
                kept += 1;
                if expected.is_empty() {
                    expected.push_str(piece.trim_start_matches([' ', '\t']));
                } else {
                    expected.push(';');
                    expected.push_str(piece);
                }
            }
            let (left, text) = without(&header);
            if left == Remainder::Whole {
                proptest::prop_assert_eq!(kept, header.split(';').count());
            } else {
                proptest::prop_assert_eq!(text, expected);
            }
        }
    }
}
