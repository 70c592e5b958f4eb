//! What identifies a user: an address, or what an issuer calls them.

use serde::{Deserialize, Serialize};

use crate::model::user::{Email, User, text};
use crate::platform::shelf::Weigh;

/// What an issuer calls a user. Two issuers that say the same mean two users.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSubject {
    /// The `iss` of its tokens.
    pub issuer: Printable,
    /// The `sub`, compared exactly.
    pub sub: Printable,
}

impl IssuerSubject {
    /// Parses both parts.
    #[must_use]
    pub fn parse(issuer: &str, sub: &str) -> Option<Self> {
        Some(Self {
            issuer: Printable::parse(issuer)?,
            sub: Printable::parse(sub)?,
        })
    }
}

impl Weigh for IssuerSubject {
    fn heap(&self) -> usize {
        self.issuer.0.heap() + self.sub.0.heap()
    }
}

/// A text of 1 to 255 bytes (`OpenID` Connect Core 1.0 §2) that one can see: no control or invisible characters.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct Printable(String);

impl Printable {
    /// Parses a text, which stays as it is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let seen = |c: char| !c.is_control() && !text::is_invisible(c);
        ((1..=255).contains(&text.len()) && text.chars().all(seen)).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Printable {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("is empty, too long, or has characters that are not visible")
    }
}

/// What finds a user. A user has exactly one: a subject may have an address besides, and is not found by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handle<'a> {
    Address(&'a Email),
    Subject(&'a IssuerSubject),
}

impl<'a> Handle<'a> {
    /// The address, if it is one.
    #[must_use]
    pub const fn address(self) -> Option<&'a Email> {
        match self {
            Self::Address(email) => Some(email),
            Self::Subject(_) => None,
        }
    }
}

impl User {
    /// What finds this user. None only in a record that was damaged by hand.
    #[must_use]
    pub fn handle(&self) -> Option<Handle<'_>> {
        match (&self.subject, &self.email) {
            (Some(subject), _) => Some(Handle::Subject(subject)),
            (None, email) => email.as_ref().map(Handle::Address),
        }
    }

    /// The address that identifies this user, or the id.
    #[must_use]
    pub fn login(&self) -> &str {
        let address = self.handle().and_then(Handle::address);
        address.map_or(self.id.as_str(), Email::as_str)
    }

    /// The address, or nothing.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.email.as_ref().map(Email::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_any_text_that_one_can_see() {
        for fine in ["user:test123", "a b", "ärger|x", "1", "anna@example.com"] {
            assert_eq!(Printable::parse(fine).unwrap().as_str(), fine);
        }
        for bad in [
            "",
            "a\nb",
            "a\0",
            "\u{200b}",
            "a\u{202e}b",
            &"a".repeat(256),
        ] {
            assert_eq!(Printable::parse(bad), None, "{bad:?}");
        }
        assert!(serde_json::from_str::<IssuerSubject>(r#"{"issuer":"a","sub":"b\nc"}"#).is_err());
    }
}
