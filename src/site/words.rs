//! The texts of the pages, in the languages of `www/texts`, and how a deployment changes them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::http::accept;

/// The languages of the pages: the primary subtag (RFC 5646 §2.2.1), and its texts. English comes first: it stands in for
/// every other.
const LANGUAGES: [(&str, &str); 8] = [
    ("en", include_str!("../../www/texts/en.txt")),
    ("de", include_str!("../../www/texts/de.txt")),
    ("fr", include_str!("../../www/texts/fr.txt")),
    ("es", include_str!("../../www/texts/es.txt")),
    ("pt", include_str!("../../www/texts/pt.txt")),
    ("ja", include_str!("../../www/texts/ja.txt")),
    ("zh", include_str!("../../www/texts/zh.txt")),
    ("ko", include_str!("../../www/texts/ko.txt")),
];

/// Name and text of each line, sorted by name.
type Table = Vec<(&'static str, &'static str)>;

static TABLES: [LazyLock<Table>; LANGUAGES.len()] = [
    LazyLock::new(|| table(0)),
    LazyLock::new(|| table(1)),
    LazyLock::new(|| table(2)),
    LazyLock::new(|| table(3)),
    LazyLock::new(|| table(4)),
    LazyLock::new(|| table(5)),
    LazyLock::new(|| table(6)),
    LazyLock::new(|| table(7)),
];

fn table(number: usize) -> Table {
    let file = LANGUAGES.get(number).map_or("", |(_, file)| *file);
    let mut table: Table = file
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" ="))
        .map(|(name, text)| (name, text.trim()))
        .collect();
    table.sort_unstable();
    table
}

fn find(number: usize, name: &str) -> Option<&'static str> {
    let table = TABLES.get(number)?;
    let at = table.binary_search_by_key(&name, |(known, _)| known).ok()?;
    table.get(at).map(|(_, text)| *text)
}

/// Whether there is a text of this name.
#[must_use]
pub fn is_text(name: &str) -> bool {
    find(0, name).is_some()
}

/// The number of the language whose primary subtag `tag` has.
fn number_of(tag: &str) -> Option<usize> {
    let primary = tag.split('-').next().unwrap_or_default();
    let mut languages = LANGUAGES.iter();
    languages.position(|(known, _)| known.eq_ignore_ascii_case(primary))
}

/// How the pages of a site or the gateway look, and what they say.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// The name at the top of each page.
    pub name: String,
    /// An https URL, or a `data:` URL of an image.
    pub logo: Option<String>,
    /// A colour for buttons: `#rrggbb`.
    pub accent: Option<String>,
    /// Where people get help: an https URL, or an e-mail address.
    pub contact: Option<String>,
    /// The language of the pages (BCP 47); that of the browser, if there is none.
    pub language: Option<String>,
    /// Texts in place of ours, by name.
    pub texts: BTreeMap<String, String>,
}

/// The texts of one page: those of the deployment, then those of its language, then the English ones.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    brand: Option<&'a Brand>,
    number: usize,
}

impl<'a> Words<'a> {
    /// The texts for a browser that prefers the languages of this `Accept-Language` (RFC 9110 §12.5.4). A language that the
    /// deployment has set counts before it.
    #[must_use]
    pub fn new(brand: Option<&'a Brand>, accepted: Option<&str>) -> Self {
        let set = brand.and_then(|brand| brand.language.as_deref());
        let number = match (set, accepted) {
            (Some(tag), _) => number_of(tag),
            (None, Some(header)) => accept::best_language(header, number_of),
            (None, None) => None,
        };
        Self {
            brand,
            number: number.unwrap_or(0),
        }
    }

    /// Whether the language does not depend on the browser.
    #[must_use]
    pub fn is_set(brand: Option<&Brand>) -> bool {
        brand.is_some_and(|brand| brand.language.is_some())
    }

    /// The text named `name`, which is one of `www/texts/en.txt`.
    #[must_use]
    pub fn text(&self, name: &'static str) -> &'a str {
        let found = self.find(name);
        debug_assert!(found.is_some(), "there is no text named {name}");
        found.unwrap_or(name)
    }

    /// A text with a value in the place of `{place}`.
    #[must_use]
    pub fn with(&self, name: &'static str, place: &str, value: &str) -> String {
        self.text(name).replace(place, value)
    }

    /// The text named `name`, if there is one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'a str> {
        if let Some(text) = self.brand.and_then(|brand| brand.texts.get(name)) {
            return Some(text);
        }
        find(self.number, name).or_else(|| find(0, name))
    }

    /// How the pages look.
    #[must_use]
    pub const fn brand(&self) -> Option<&'a Brand> {
        self.brand
    }

    /// The language, for the pages' `lang`.
    #[must_use]
    pub fn tag(&self) -> &'a str {
        let set = self.brand.and_then(|brand| brand.language.as_deref());
        set.unwrap_or_else(|| LANGUAGES.get(self.number).map_or("en", |(tag, _)| *tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(text: &str) -> Vec<&str> {
        let mut all: Vec<_> = text
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn no_language_lacks_a_text_or_has_another_one() {
        for (number, (tag, file)) in LANGUAGES.iter().enumerate() {
            let lines = file
                .lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'));
            assert_eq!(
                lines.count(),
                TABLES[number].len(),
                "{tag}: a line is no text"
            );
            let names = |number: usize| {
                TABLES[number]
                    .iter()
                    .map(|(name, _)| *name)
                    .collect::<Vec<_>>()
            };
            assert_eq!(names(number), names(0), "{tag}");
            for (name, text) in TABLES[number].iter() {
                let english = find(0, name).unwrap();
                assert_eq!(placeholders(text), placeholders(english), "{tag}: {name}");
                assert_eq!(text.is_empty(), english.is_empty(), "{tag}: {name}");
                assert!(text.len() <= 500, "{tag}: {name}");
            }
        }
    }

    #[test]
    fn the_browser_chooses_the_language_unless_the_deployment_does() {
        let said = |brand, header| Words::new(brand, header).text("sign_out_question");
        let german = find(1, "sign_out_question").unwrap();
        assert_eq!(said(None, None), "Sign out everywhere?");
        assert_eq!(said(None, Some("de-AT,en;q=0.5")), german);
        assert_eq!(said(None, Some("pl, DE;q=0.2, en;q=0.1")), german);
        assert_eq!(said(None, Some("pl,*;q=0.5")), "Sign out everywhere?");
        assert_eq!(said(None, Some("de;q=0")), "Sign out everywhere?");
        assert_eq!(said(None, Some("de;;q,,=")), "Sign out everywhere?");
        let brand = Brand {
            language: Some("de-CH".to_owned()),
            texts: BTreeMap::from([("sign_in".to_owned(), "Hinein".to_owned())]),
            ..Brand::default()
        };
        assert_eq!(said(Some(&brand), Some("fr")), german);
        let words = Words::new(Some(&brand), Some("fr"));
        assert_eq!((words.tag(), words.text("sign_in")), ("de-CH", "Hinein"));
    }

    #[test]
    fn a_language_without_a_table_has_the_english_texts() {
        let brand = Brand {
            language: Some("pl".to_owned()),
            ..Brand::default()
        };
        let words = Words::new(Some(&brand), None);
        assert_eq!((words.tag(), words.text("sign_in")), ("pl", "Sign in"));
    }
}
