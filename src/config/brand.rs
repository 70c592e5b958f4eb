//! How the pages of a site or the gateway look, and what they say.

use std::collections::BTreeMap;

use crate::config::reader::{Field, Reader};
use crate::model::user::Email;
use crate::site::words::{self, Brand};

/// Data URLs above this size would make every page slow.
const MAX_LOGO: usize = 32 * 1024;
const MAX_TEXT: usize = 500;

/// The settings, which sites and the gateway have in common.
pub(super) struct RawBrand {
    pub(super) name: Field<String>,
    pub(super) logo: Field<String>,
    pub(super) accent: Field<String>,
    pub(super) contact: Field<String>,
    pub(super) language: Field<String>,
    pub(super) texts: Field<BTreeMap<String, String>>,
}

/// Validates `raw`; errors go to `reader`. `address`: what the pages are called without a name; empty if it has an error.
pub(super) fn read(raw: RawBrand, address: &str, reader: &mut Reader<'_>) -> Brand {
    let name = reader.with_default("name", raw.name, address.to_owned());
    let shown = |text: &str| !text.trim().is_empty() && text.len() <= MAX_TEXT;
    reader.check(
        "name",
        address.is_empty() || shown(&name),
        "must have 1 to 500 bytes",
    );
    let logo = reader.optional("logo", raw.logo);
    reader.check(
        "logo",
        logo.as_deref().is_none_or(is_logo),
        "must be an https URL, or a data: URL of an image, in base64 and at most 32 KB long",
    );
    let accent = reader.optional("accent", raw.accent);
    reader.check(
        "accent",
        accent.as_deref().is_none_or(is_readable_colour),
        "must be #rrggbb, with a contrast of at least 4.5 to white (WCAG 2.2, 1.4.3)",
    );
    let contact = reader.optional("contact", raw.contact);
    reader.check(
        "contact",
        contact
            .as_deref()
            .is_none_or(|contact| is_url(contact) || Email::parse(contact).is_some()),
        "must be an https URL, or an e-mail address",
    );
    let language = reader.optional("language", raw.language);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let is_tag = |tag: &String| !tag.is_empty() && tag.len() <= 35 && tag.bytes().all(plain);
    reader.check(
        "language",
        language.as_ref().is_none_or(is_tag),
        "is not a language tag",
    );
    let texts = reader.with_default("texts", raw.texts, BTreeMap::new());
    for (name, text) in &texts {
        let mut reader = reader.table("texts");
        reader.check(name, words::is_text(name), "no such text");
        reader.check(name, text.len() <= MAX_TEXT, "must have at most 500 bytes");
    }
    Brand {
        name,
        logo,
        accent,
        contact,
        language,
        texts,
    }
}

fn is_logo(url: &str) -> bool {
    let data = url
        .strip_prefix("data:image/")
        .is_some_and(|rest| url.len() <= MAX_LOGO && rest.contains("base64,"));
    data || is_url(url)
}

fn is_url(url: &str) -> bool {
    let plain = url
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"\"'<>;, ".contains(&b));
    plain && url.len() <= 2048 && url.starts_with("https://")
}

/// Whether white text on `colour` can be read: a contrast of 4.5 (WCAG 2.2, relative luminance).
fn is_readable_colour(colour: &str) -> bool {
    let is_hex = |digits: &&str| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let Some(digits) = colour.strip_prefix('#').filter(is_hex) else {
        return false;
    };
    let channel = |at: usize| -> Option<f64> {
        let value = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
        let value = f64::from(value) / 255.0;
        Some(if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        })
    };
    let (Some(red), Some(green), Some(blue)) = (channel(0), channel(2), channel(4)) else {
        return false;
    };
    let luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    1.05 / (luminance + 0.05) >= 4.5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_that_white_text_can_be_read_on_are_taken() {
        for fine in ["#000000", "#0b57d0", "#767676"] {
            assert!(is_readable_colour(fine), "{fine}");
        }
        for bad in [
            "", "#fff", "#ffffff", "#777777", "red", "#12345g", "#+1+2+3", "#ffd700",
        ] {
            assert!(!is_readable_colour(bad), "{bad}");
        }
    }

    #[test]
    fn a_logo_is_loaded_from_https_or_is_in_the_page() {
        assert!(is_logo("https://cdn.example.com/logo.svg"));
        assert!(is_logo("data:image/svg+xml;base64,PHN2Zy8+"));
        for bad in [
            "http://cdn.example.com/logo.svg",
            "https://cdn.example.com/a;b",
            "javascript:alert(1)",
            "data:text/html;base64,PHN2Zy8+",
            "//cdn.example.com/logo.svg",
        ] {
            assert!(!is_logo(bad), "{bad}");
        }
    }

    #[test]
    fn the_pages_of_a_site_are_named_after_its_address_and_every_error_has_its_path() {
        use crate::config::tests::{bindings, paths, site};

        let plain = site("{}");
        assert_eq!(
            (plain.brand.name.as_str(), &plain.brand.language),
            ("site.example", &None)
        );
        let wrong = r#"{"name": " ", "logo": "http://a/", "accent": "red", "contact": "x", "language": "d_e",
            "texts": {"sign_in": "x", "nothing": "x"}}"#;
        assert_eq!(
            paths(&bindings(wrong)),
            [
                "name",
                "logo",
                "accent",
                "contact",
                "language",
                "texts.nothing"
            ]
            .map(|name| format!("EDGEWARD_SITE_APP.{name}"))
        );
        for contact in ["help@example.com", "https://help.example.com/"] {
            let said = site(&format!(r#"{{"contact": "{contact}"}}"#));
            assert_eq!(said.brand.contact.as_deref(), Some(contact));
        }
        for contact in ["javascript:alert(1)", "http://help.example.com/", "a@b@c"] {
            let given = bindings(&format!(r#"{{"contact": "{contact}"}}"#));
            assert_eq!(paths(&given), ["EDGEWARD_SITE_APP.contact"], "{contact}");
        }
    }
}
