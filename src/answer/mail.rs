//! The mail that brings a link to set a password. Its texts are those of the [`Brand`]. It says nothing that anybody but
//! the deployment has chosen: a name that a person gave themselves could say what it likes to others.

use askama::Template;

use crate::model::user::Email;
use crate::platform::mail::Letter;
use crate::platform::time::Timestamp;
use crate::site::words::{Brand, Words};

#[derive(Template)]
#[template(path = "link-mail.html")]
struct LinkMail<'a> {
    language: &'a str,
    subject: &'a str,
    name: &'a str,
    lead: &'a str,
    url: &'a str,
    button: &'a str,
    accent: &'a str,
    until: &'a str,
    caution: &'a str,
}

/// The mail with the link `url`, which works until `until`.
#[must_use]
pub fn with_link(brand: &Brand, from: &Email, to: &Email, url: &str, until: Timestamp) -> Letter {
    let name = in_one_line(&brand.name);
    // Nobody knows which languages the recipient reads.
    let words = Words::new(Some(brand), None);
    let filled = |text: &'static str| in_one_line(&words.text(text).replace("{name}", &name));
    let (subject, lead) = (filled("link_mail_subject"), filled("link_mail_lead"));
    let until = words
        .text("link_mail_until")
        .replace("{time}", &until.to_the_minute());
    let caution = filled("link_mail_caution");
    let page = LinkMail {
        language: words.tag(),
        subject: &subject,
        name: &name,
        lead: &lead,
        url,
        button: words.text("set_password"),
        accent: brand.accent.as_deref().unwrap_or("#0b57d0"),
        until: &until,
        caution: &caution,
    };
    // The templates do not fail: they write to a text.
    let html = page.render().unwrap_or_default();
    Letter {
        from: from.as_str().to_owned(),
        to: to.as_str().to_owned(),
        text: format!("{lead}\n\n{url}\n\n{until}\n\n{caution}\n"),
        sender: name,
        subject,
        html,
    }
}

/// `text` without characters that end a line or have no shape: a header has one line (RFC 5322 §2.2).
fn in_one_line(text: &str) -> String {
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let words = text
        .split(|c: char| is_break(c) || c.is_whitespace())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn brand(name: &str, texts: &[(&str, &str)]) -> Brand {
        let pairs = texts
            .iter()
            .map(|(name, text)| ((*name).into(), (*text).into()));
        Brand {
            name: name.to_owned(),
            texts: pairs.collect::<BTreeMap<_, _>>(),
            ..Brand::default()
        }
    }

    fn letter(brand: &Brand) -> Letter {
        let address = |text: &str| Email::parse(text).unwrap();
        let (from, to) = (address("login@example.com"), address("ada@example.com"));
        let url = "https://login.example.com/password/?token=abc";
        with_link(
            brand,
            &from,
            &to,
            url,
            Timestamp::from_seconds(1_780_000_000),
        )
    }

    #[test]
    fn sec_85_no_name_and_no_text_begins_a_header_or_becomes_html() {
        let evil = "Wiki\r\nBcc: eve@example.net\u{2028}\u{85}\n\n<script>&\"";
        let caution = ("link_mail_caution", "<b>{name}</b>");
        let letter = letter(&brand(
            evil,
            &[("link_mail_subject", "For {name}\r\nX: y"), caution],
        ));
        for line in [&letter.subject, &letter.sender, &letter.from, &letter.to] {
            assert!(
                !line.chars().any(|c| c.is_control() || c == '\u{2028}'),
                "{line}"
            );
        }
        assert_eq!(letter.sender, "Wiki Bcc: eve@example.net <script>&\"");
        for tag in ["<script>", "<b>"] {
            assert!(!letter.html.contains(tag), "{}", letter.html);
        }
    }

    #[test]
    fn the_link_and_its_end_are_in_both_forms_of_the_mail() {
        let letter = letter(&brand("Wiki", &[]));
        assert_eq!(letter.subject, "Set your password for Wiki");
        assert_eq!(
            (&*letter.from, &*letter.to),
            ("login@example.com", "ada@example.com")
        );
        let link = "https://login.example.com/password/?token=abc";
        assert!(
            letter.text.contains(&format!("\n\n{link}\n\n")),
            "{}",
            letter.text
        );
        assert!(
            letter.html.contains(&format!("href=\"{link}\"")),
            "{}",
            letter.html
        );
        for form in [&letter.text, &letter.html] {
            assert!(form.contains("2026-05-28 20:26 UTC"), "{form}");
        }
    }
}
