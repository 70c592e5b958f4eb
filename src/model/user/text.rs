//! Characters that make two different texts look, or compare, the same. Identifiers of people may
//! not contain them. Knows no address and no user.
//!
//! Only ASCII case is folded, here and wherever addresses and domains are compared: folding beyond
//! ASCII differs by language and by version of Unicode, and where two systems fold differently,
//! they confuse two people.

/// Invisible characters and those that change the text direction: format characters (`Cf`), those
/// that are ignored where they cannot be displayed (`Default_Ignorable_Code_Point`, Unicode 17),
/// line and paragraph separators, and the Braille blank.
const INVISIBLE: [(u32, u32); 26] = [
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x600, 0x605),
    (0x61C, 0x61C),
    (0x6DD, 0x6DD),
    (0x70F, 0x70F),
    (0x890, 0x891),
    (0x8E2, 0x8E2),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x110BD, 0x110BD),
    (0x110CD, 0x110CD),
    (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
];

/// Characters that case mapping turns into ASCII letters (the Kelvin sign into `k`, `ß` into `ss`),
/// and the blocks with compatibility forms of ASCII characters, which some systems replace by those
/// (NFKC, UAX #15).
const LIKE_ASCII: [(u32, u32); 37] = [
    (0xAA, 0xAA),
    (0xB2, 0xB3),
    (0xB9, 0xBA),
    (0xDF, 0xDF),
    (0x130, 0x133),
    (0x149, 0x149),
    (0x17F, 0x17F),
    (0x1C4, 0x1CC),
    (0x1F0, 0x1F3),
    (0x2B0, 0x2B8),
    (0x2E0, 0x2E4),
    (0x37E, 0x37E),
    (0x1D2C, 0x1D6A),
    (0x1D9B, 0x1DBF),
    (0x1E96, 0x1E9A),
    (0x1E9E, 0x1E9E),
    (0x1FEF, 0x1FEF),
    (0x2024, 0x2026),
    (0x203C, 0x203C),
    (0x2047, 0x2049),
    (0x2070, 0x209F),
    (0x20A8, 0x20A8),
    (0x2100, 0x218F),
    (0x2460, 0x24FF),
    (0x2A74, 0x2A76),
    (0x2C7C, 0x2C7D),
    (0x3250, 0x33FF),
    (0xA7F1, 0xA7F4),
    (0xFB00, 0xFB06),
    (0xFB29, 0xFB29),
    (0xFE10, 0xFE6F),
    (0xFF01, 0xFF5E),
    (0x107A5, 0x107A5),
    (0x1CCD6, 0x1CCF9),
    (0x1D400, 0x1D7FF),
    (0x1F100, 0x1F1FF),
    (0x1FBF0, 0x1FBF9),
];

/// Whether `c` is invisible or changes the text direction.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    is_in(&INVISIBLE, c)
}

/// Whether `c` is not ASCII but may be mistaken for or mapped to ASCII.
#[must_use]
pub fn is_like_ascii(c: char) -> bool {
    is_in(&LIKE_ASCII, c)
}

/// Whether `c` is one of the two compatibility forms of `@`.
#[must_use]
pub fn is_like_at(c: char) -> bool {
    matches!(c, '\u{FE6B}' | '\u{FF20}')
}

fn is_in(ranges: &[(u32, u32)], c: char) -> bool {
    let c = u32::from(c);
    c > 0x7F
        && ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_80_what_any_change_of_case_turns_into_ascii_is_known() {
        for c in ('\u{80}'..=char::MAX).filter(|c| !c.is_alphanumeric() || c.is_alphabetic()) {
            let mapped: String = c.to_lowercase().chain(c.to_uppercase()).collect();
            let folds = mapped.chars().any(|c| c.is_ascii_alphabetic());
            assert!(!folds || is_like_ascii(c), "U+{:04X}", u32::from(c));
        }
        assert!(
            !"abcABC019-._@+"
                .chars()
                .any(|c| is_like_ascii(c) || is_invisible(c))
        );
        assert!(
            !"äÄéñøœžčłабвγδ中文日本語"
                .chars()
                .any(|c| is_like_ascii(c) || is_invisible(c))
        );
    }

    #[test]
    fn the_ranges_are_in_order_and_apart() {
        for ranges in [&INVISIBLE[..], &LIKE_ASCII[..]] {
            assert!(ranges.iter().all(|(first, last)| first <= last));
            assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}
