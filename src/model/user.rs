//! A user's record, and the types of its fields. Knows no storage and no HTTP.

pub mod subject;
pub mod text;

use std::fmt;

use serde::{Deserialize, Serialize};

use self::subject::IssuerSubject;
use crate::platform::digest::random_text;
use crate::platform::port::Entropy;
use crate::platform::shelf::Weigh;
use crate::platform::time::Timestamp;

/// The longest name in a user's record, in bytes: an e-mail address can be the username.
const MAX_NAME: usize = Email::MAX;

/// The record of a user.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct User {
    /// Never changes and is never reused.
    pub id: UserId,
    /// Unique, or unique within the tenant where there are tenants; but not that of a `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// Of a user whom an issuer's subject identifies, and never the address. Unique as an address is. Never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<IssuerSubject>,
    /// What applications call the user; the e-mail address, or the id without one, unless set.
    pub username: Username,
    /// May be empty.
    pub first_name: Name,
    /// May be empty.
    pub last_name: Name,
    /// Cleared to disable the user.
    pub active: bool,
    /// For origins that distinguish staff.
    pub staff: bool,
    /// For origins that distinguish superusers.
    pub superuser: bool,
    pub roles: Vec<Role>,
    /// Sessions and tokens issued before this moment are no longer valid.
    pub sessions_valid_after: Option<Timestamp>,
    /// The user's tenant, at sites that have tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Tenant>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Incremented by each change, so that an older copy of the record is recognised. 0 in records
    /// of an earlier version.
    #[serde(default)]
    pub version: u64,
}

impl User {
    /// Creates an active user without roles.
    #[must_use]
    pub fn new(id: UserId, email: Email, now: Timestamp) -> Self {
        Self {
            email: Some(email),
            ..Self::of_subject(id, None, now)
        }
        .with_own_username()
    }

    /// Creates an active user without roles and address.
    #[must_use]
    pub fn of_subject(id: UserId, subject: Option<IssuerSubject>, now: Timestamp) -> Self {
        Self {
            username: Username(id.as_str().to_owned()),
            id,
            email: None,
            subject,
            first_name: Name::default(),
            last_name: Name::default(),
            active: true,
            staff: false,
            superuser: false,
            roles: Vec::new(),
            sessions_valid_after: None,
            tenant: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// With the username that nobody else can have: the address if that identifies the user, otherwise the id.
    #[must_use]
    pub fn with_own_username(mut self) -> Self {
        self.username = Username(self.login().to_owned());
        self
    }

    /// Ends all sessions and tokens issued before `now`. Never moves the limit back, even if clocks
    /// differ.
    pub fn end_sessions(&mut self, now: Timestamp) {
        self.sessions_valid_after = self.sessions_valid_after.max(Some(now));
    }

    /// First and last name, or the username if both are empty.
    #[must_use]
    pub fn display_name(&self) -> String {
        let name = format!("{} {}", self.first_name.as_str(), self.last_name.as_str());
        match name.trim() {
            "" => self.username.as_str().to_owned(),
            name => name.to_owned(),
        }
    }
}

impl Weigh for User {
    fn heap(&self) -> usize {
        let names = self.username.heap() + self.first_name.heap() + self.last_name.heap();
        let found_by = self.email.heap() + self.subject.heap();
        self.id.heap() + found_by + names + self.roles.heap() + self.tenant.heap()
    }
}

/// For types that wrap a text.
macro_rules! texts {
    ($($name:ty),*) => {$(
        impl Weigh for $name {
            fn heap(&self) -> usize {
                self.0.heap()
            }
        }
    )*};
}

texts!(UserId, Email, Name, Username, Role, Tenant);

/// A user's id: `usr_` and 22 characters of base64url.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct UserId(String);

impl UserId {
    /// Creates a random id.
    #[must_use]
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self(format!("usr_{}", random_text(entropy)))
    }

    /// An id that no user has: one that is made of a hash, and not of random bits.
    #[must_use]
    pub fn unused(hash: &str) -> Self {
        Self(format!("nobody_{hash}"))
    }

    /// Parses an id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("usr_")?;
        let plain = rest
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (rest.len() == 22 && plain).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a user id")
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An e-mail address in its canonical form: trimmed, ASCII letters in lower case. Addresses that
/// differ in anything else are different, and characters that make two addresses look alike are
/// rejected.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct Email(String);

impl Email {
    /// The longest address, in bytes (RFC 5321 §4.5.3.1.3, less the angle brackets).
    const MAX: usize = 254;

    /// Parses an address: exactly one `@` with something on both sides, no separators or quotes, no
    /// invisible characters, and no look-alikes of ASCII.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let folded = fold(text.trim());
        let (local, domain) = folded.split_once('@')?;
        let plain = |c: char| {
            !c.is_whitespace()
                && !c.is_control()
                && !"<>()[]\\,;:\"@%".contains(c)
                && is_distinct(c)
        };
        let fine = !local.is_empty()
            && local.chars().all(plain)
            && parse_domain(domain).is_some()
            && folded.len() <= Self::MAX;
        fine.then_some(Self(folded))
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

/// Folds the case of ASCII letters. See [`text`] for why no others.
#[must_use]
pub fn fold(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// Parses the domain of e-mail addresses into its canonical form, wherever one is given: in an
/// address, a rule, or the limits of an API token or an issuer.
#[must_use]
pub fn parse_domain(text: &str) -> Option<String> {
    let plain = |c: char| (c.is_alphanumeric() || c == '-' || c == '.') && is_distinct(c);
    let labels = text.split('.').all(|label| !label.is_empty());
    (labels && text.chars().all(plain)).then(|| fold(text))
}

/// Whether two domains are the same.
#[must_use]
pub fn is_same_domain(one: &str, other: &str) -> bool {
    fold(one) == fold(other)
}

/// Whether `c` is visible and looks like no other character.
fn is_distinct(c: char) -> bool {
    !text::is_invisible(c) && !text::is_like_ascii(c) && !text::is_like_at(c)
}

impl TryFrom<String> for Email {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not an e-mail address")
    }
}

/// What applications call a user: a [`Name`] of visible characters. Origins may identify a user by
/// it, so it may not look like an e-mail address through a look-alike of `@` or of ASCII letters.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct Username(String);

impl Username {
    /// Parses a username, trimmed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Name(text) = Name::parse(text)?;
        let seen = !text
            .chars()
            .any(|c| text::is_invisible(c) || text::is_like_at(c));
        let reads_as_address = text.contains('@') && !text.chars().all(is_distinct);
        (seen && !reads_as_address).then_some(Self(text))
    }

    /// The username as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Username {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a username")
    }
}

/// The display name of a person or an API token: no control characters, at most 254 bytes.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct Name(String);

impl Name {
    /// Parses a name, trimmed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        (text.len() <= MAX_NAME && !text.chars().any(char::is_control))
            .then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a name")
    }
}

/// A role: any name that one can see. Where a header lists roles, the separator in a name is escaped.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct Role(String);

impl Role {
    /// Parses a role: visible characters and, between them, spaces; at most 100 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain =
            |c: char| c == ' ' || !(c.is_whitespace() || c.is_control() || text::is_invisible(c));
        let trimmed = text.trim() == text && !text.is_empty();
        let fine = trimmed && text.len() <= 100 && text.chars().all(plain);
        fine.then(|| Self(text.to_owned()))
    }

    /// The role as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Role {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a role")
    }
}

/// The name of a tenant: lower-case letters, digits, `-` and `_`, at most 64.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct Tenant(String);

impl Tenant {
    /// Parses a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        let fine = (1..=64).contains(&text.len()) && text.bytes().all(plain);
        fine.then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tenant {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a tenant")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_58_an_address_has_exactly_one_at_sign_and_one_form() {
        for (given, expected) in [
            ("a@b.c", "a@b.c"),
            ("  Anna.Example@EXAMPLE.com\t", "anna.example@example.com"),
            // Only ASCII case is folded, so these are two addresses.
            ("ÄRGER@example.com", "Ärger@example.com"),
            ("ärger@Example.com", "ärger@example.com"),
            ("ada@MÜLLER.example", "ada@mÜller.example"),
            ("a+tag@localhost", "a+tag@localhost"),
        ] {
            assert_eq!(Email::parse(given).unwrap().as_str(), expected);
        }
        for bad in [
            "",
            " ",
            "@",
            "a@",
            "@b",
            "a",
            "a@b@c",
            "a@b@example.com",
            "a b@c",
            "a@b c",
            "a@b..c",
            "a@.b",
            "a@b.",
            "<a@b>",
            "a@b,c@d",
            "a\n@b",
            "a\0@b",
            "\"a@b\"@c",
            "a%40b",
        ] {
            assert_eq!(Email::parse(bad), None, "{bad:?}");
        }
        assert!(Email::parse(&format!("{}@b.c", "a".repeat(251))).is_none());
    }

    /// Characters that are invisible, change the text direction, or look like others.
    const DECEPTIVE: [char; 22] = [
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{180e}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2069}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{e0041}',
        '\u{e0100}',
        '\u{3164}',
        '\u{ff20}',
        '\u{fe6b}',
    ];

    #[test]
    fn sec_80_no_address_holds_what_is_folded_to_ascii_or_is_not_seen() {
        let like_ascii = [
            '\u{212a}',
            '\u{130}',
            '\u{131}',
            '\u{17f}',
            '\u{df}',
            '\u{1e9e}',
            '\u{fb01}',
            '\u{ff21}',
            '\u{ff41}',
            '\u{24b6}',
            '\u{1d41a}',
            '\u{aa}',
            '\u{2170}',
            '\u{ff0e}',
        ];
        for c in DECEPTIVE.into_iter().chain(like_ascii) {
            for address in [
                format!("a{c}b@example.com"),
                format!("ab@ex{c}mple.com"),
                format!("{c}ab@example.com"),
                format!("ab@example.com{c}"),
                format!("ab{c}@example.com"),
                format!("ab@{c}example.com"),
            ] {
                assert_eq!(
                    Email::parse(&address),
                    None,
                    "{:?}",
                    address.escape_unicode()
                );
            }
            assert_eq!(parse_domain(&format!("ex{c}mple.com")), None);
        }
        for two in [
            "a＠b@example.com",
            "a@b＠example.com",
            "a﹫b@example.com",
            "a＠example.com",
        ] {
            assert_eq!(Email::parse(two), None, "{two}");
        }
    }

    #[test]
    fn sec_80_no_username_holds_what_is_not_seen_or_reads_like_another_address() {
        for c in DECEPTIVE {
            for name in [
                format!("ad{c}a"),
                format!("{c}ada"),
                format!("ada@example.com{c}"),
            ] {
                assert_eq!(Username::parse(&name), None, "{:?}", name.escape_unicode());
            }
        }
        for like in [
            "ada＠example.com",
            "\u{212a}im@example.com",
            "ａda@example.com",
            "a\u{17f}a@b",
        ] {
            assert_eq!(Username::parse(like), None, "{like}");
        }
        for fine in [
            "",
            "ada",
            "Ada Lovelace",
            "yıldız",
            "weiß",
            "Ärger@example.com",
            "علی",
            "@ada",
        ] {
            assert_eq!(Username::parse(fine).unwrap().as_str(), fine);
        }
    }

    #[test]
    fn sec_80_domains_are_compared_by_one_function_that_folds_ascii() {
        assert_eq!(parse_domain("Example.COM").as_deref(), Some("example.com"));
        assert!(is_same_domain("Example.COM", "example.com"));
        assert!(!is_same_domain("\u{212a}.example", "k.example"));
        assert!(!is_same_domain("Ä.example", "ä.example"));
        for bad in ["", ".", "a..b", "a@b", "a b"] {
            assert_eq!(parse_domain(bad), None, "{bad}");
        }
    }

    #[test]
    fn sec_31_a_role_can_be_seen_and_is_on_one_line() {
        let longest = "a".repeat(100);
        for good in [
            "admins",
            "team:a/b",
            "Domain Admins",
            "a,b",
            "a|b",
            "Größe",
            &longest,
        ] {
            assert_eq!(Role::parse(good).unwrap().as_str(), good);
        }
        let longer = "a".repeat(101);
        for bad in [
            "",
            " ",
            " a",
            "a ",
            "a\nb",
            "a\tb",
            "a\u{a0}b",
            "a\u{200b}b",
            "a\u{2028}b",
            "a\0",
            &longer,
        ] {
            assert!(Role::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn only_our_ids_are_ids() {
        assert!(UserId::parse("usr_0123456789abcdefghij-_").is_some());
        for bad in [
            "",
            "usr_",
            "usr_0123456789abcdefghij-",
            "usr_0123456789abcdefghij/..",
            "x",
        ] {
            assert!(UserId::parse(bad).is_none(), "{bad:?}");
        }
    }
}
