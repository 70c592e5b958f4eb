//! API tokens: opaque secrets with a recognisable prefix and a checksum, stored as a hash.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::model::user::{Email, Role, User, UserId, is_same_domain};
use crate::platform::digest::{hex, sha256};
use crate::platform::port::Entropy;
use crate::platform::shelf::Weigh;
use crate::platform::time::Timestamp;

/// The prefix of every API token, by which scanners for leaked secrets recognise one.
pub const PREFIX: &str = "ewt_";
const SECRET_LENGTH: usize = 43;
const CHECKSUM_LENGTH: usize = 6;

/// How many characters an API token has. Sessions and SSO tokens are several times longer.
pub const LENGTH: usize = PREFIX.len() + SECRET_LENGTH + CHECKSUM_LENGTH;

/// An API token in plain text. It exists when it is created and when it is presented, and is never
/// stored or logged.
pub struct PlainApiToken(String);

impl PlainApiToken {
    /// Creates a token from 256 random bits.
    #[must_use]
    pub fn random(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0_u8; 32];
        entropy.fill(&mut bytes);
        let body = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let checksum = checksum(&body);
        Self(body + &checksum)
    }

    /// Parses a presented token. A mistyped or invented one is rejected here, without a look-up.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH || !text.starts_with(PREFIX) || !text.is_ascii() {
            return None;
        }
        let (body, sum) = text.split_at_checked(LENGTH - CHECKSUM_LENGTH)?;
        let right = checksum(body).as_bytes().ct_eq(sum.as_bytes());
        bool::from(right).then(|| Self(text.to_owned()))
    }

    /// The token's text, for the one response that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Hashes the token.
    #[must_use]
    pub fn hash(&self) -> HashedApiToken {
        HashedApiToken(sha256(self.0.as_bytes()))
    }
}

fn checksum(body: &str) -> String {
    hex(&sha256(body.as_bytes()))
        .chars()
        .take(CHECKSUM_LENGTH)
        .collect()
}

/// The SHA-256 of an API token. The token itself has 256 bits of entropy, so the hash needs no salt
/// and need not be slow.
#[derive(Clone, Copy)]
pub struct HashedApiToken([u8; 32]);

impl HashedApiToken {
    /// The token's id: the first half of the hash.
    #[must_use]
    pub fn id(&self) -> ApiTokenId {
        ApiTokenId(hex(self.0.get(..16).unwrap_or_default()))
    }

    /// The hash as it is stored: 64 hexadecimal digits.
    #[must_use]
    pub fn stored(&self) -> String {
        hex(&self.0)
    }

    /// Whether `record` belongs to the token with this hash. Compares in constant time.
    #[must_use]
    pub fn is_of(&self, record: &ApiToken) -> bool {
        self.stored()
            .as_bytes()
            .ct_eq(record.sha256.as_bytes())
            .into()
    }
}

/// The id of an API token: 32 hexadecimal digits. Not secret.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct ApiTokenId(String);

impl ApiTokenId {
    /// Parses an id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fine = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        fine.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Weigh for ApiTokenId {
    fn heap(&self) -> usize {
        self.0.heap()
    }
}

/// What an API token may do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Scope {
    #[serde(rename = "token:issue")]
    TokenIssue,
    #[serde(rename = "users:read")]
    UsersRead,
    #[serde(rename = "users:write")]
    UsersWrite,
    #[serde(rename = "tokens:write")]
    TokensWrite,
    #[serde(rename = "audit:read")]
    AuditRead,
    #[serde(rename = "metrics:read")]
    MetricsRead,
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 7] = [
        Self::TokenIssue,
        Self::UsersRead,
        Self::UsersWrite,
        Self::TokensWrite,
        Self::AuditRead,
        Self::MetricsRead,
        Self::Admin,
    ];

    /// The name of the scope.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenIssue => "token:issue",
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::TokensWrite => "tokens:write",
            Self::AuditRead => "audit:read",
            Self::MetricsRead => "metrics:read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Scope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.name() == text)
            .ok_or("not a scope; one of token:issue, users:read, users:write, tokens:write, audit:read, metrics:read, admin")
    }
}

/// The users for whom a token may request SSO tokens. An absent list sets no limit.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IssueFor {
    /// Only users with an e-mail address in one of these domains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_domains: Option<Vec<String>>,
    /// Only users whose every role is in this list. Staff and superusers count as having the roles
    /// `staff` and `superuser`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
}

impl IssueFor {
    /// Whether the limits allow signing in a user with this address.
    #[must_use]
    pub fn allows_email(&self, email: &Email) -> bool {
        let same = |domain: &String| is_same_domain(domain, email.domain());
        self.email_domains
            .as_ref()
            .is_none_or(|domains| domains.iter().any(same))
    }

    /// The same of a user with this address, or with none: then there is no domain that a limit could name.
    #[must_use]
    pub fn allows_address(&self, email: Option<&Email>) -> bool {
        email.map_or(self.email_domains.is_none(), |email| {
            self.allows_email(email)
        })
    }

    /// Whether the limits allow signing in this user.
    #[must_use]
    pub fn allows(&self, user: &User) -> bool {
        let has_domain = self.allows_address(user.email.as_ref());
        let Some(allowed) = &self.roles else {
            return has_domain;
        };
        let listed = |name: &str| allowed.iter().any(|role| role.as_str() == name);
        has_domain
            && user.roles.iter().all(|role| listed(role.as_str()))
            && (!user.staff || listed("staff"))
            && (!user.superuser || listed("superuser"))
    }

    /// Whether these limits allow everything that `other` allows.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        fn is_subset<T: PartialEq>(outer: Option<&Vec<T>>, inner: Option<&Vec<T>>) -> bool {
            match (outer, inner) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(outer), Some(inner)) => inner.iter().all(|item| outer.contains(item)),
            }
        }
        is_subset(self.email_domains.as_ref(), other.email_domains.as_ref())
            && is_subset(self.roles.as_ref(), other.roles.as_ref())
    }
}

/// The stored record of an API token.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ApiToken {
    pub id: ApiTokenId,
    /// The whole hash in hexadecimal.
    pub sha256: String,
    /// What it is for, as its creator described it.
    pub name: crate::model::user::Name,
    pub scopes: Vec<Scope>,
    pub issue_for: IssueFor,
    /// The user that it authenticates as at sites, as `x-api-key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts_as: Option<UserId>,
    pub created_at: Timestamp,
    /// The id of the token that created it, or `shell`.
    pub created_by: String,
    pub expires_at: Option<Timestamp>,
    /// Cleared to disable the token for a while.
    pub active: bool,
    /// Set once; a revoked token never becomes valid again.
    pub revoked_at: Option<Timestamp>,
    /// Incremented by each change; 0 in records of an earlier version.
    #[serde(default)]
    pub version: u64,
}

impl ApiToken {
    /// Whether the token has `scope`; `admin` includes all.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes
            .iter()
            .any(|held| *held == scope || *held == Scope::Admin)
    }

    /// Marks the token as revoked, if `at` says when.
    #[must_use]
    pub fn revoked(mut self, at: Option<Timestamp>) -> Self {
        if let Some(at) = at {
            self.revoked_at.get_or_insert(at);
            self.active = false;
        }
        self
    }

    /// Whether the token is valid now: active, not revoked, not expired.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.active && self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeros;

    impl Entropy for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn a_token_is_told_by_prefix_length_and_checksum() {
        let token = PlainApiToken::random(&Zeros);
        let text = token.reveal();
        assert!(text.starts_with("ewt_") && text.len() == 4 + 43 + 6);
        assert!(PlainApiToken::parse(text).is_some());
        for at in 0..text.len() {
            let mut wrong = text.to_owned().into_bytes();
            wrong[at] ^= 1;
            assert!(
                PlainApiToken::parse(&String::from_utf8(wrong).unwrap()).is_none(),
                "{at}"
            );
        }
        for wrong in [
            "",
            "ewt_",
            &text[1..],
            &text[..52],
            &format!("{text}0"),
            &format!(" {text}"),
        ] {
            assert!(PlainApiToken::parse(wrong).is_none());
        }
    }

    #[test]
    fn the_id_is_half_of_the_hash_and_nothing_of_the_token() {
        let token = PlainApiToken::random(&Zeros);
        let id = token.hash().id();
        assert!(ApiTokenId::parse(id.as_str()).is_some());
        assert!(!token.reveal().contains(id.as_str()));
        assert!(token.hash().stored().starts_with(id.as_str()));
    }

    #[test]
    fn sec_64_a_limit_holds_for_domains_roles_staff_and_superusers() {
        let role = |name: &str| Role::parse(name).unwrap();
        let limit = IssueFor {
            email_domains: Some(vec!["Example.com".into()]),
            roles: Some(vec![role("editor")]),
        };
        let id = crate::model::user::UserId::parse("usr_0123456789abcdefghijkl").unwrap();
        let user = |email: &str| {
            User::new(
                id.clone(),
                Email::parse(email).unwrap(),
                Timestamp::default(),
            )
        };
        assert!(limit.allows(&user("a@example.com")));
        assert!(!limit.allows(&user("a@sub.example.com")));
        assert!(!limit.allows(&user("a@example.com.evil.net")));
        let editor = User {
            roles: vec![role("editor")],
            ..user("a@example.com")
        };
        assert!(limit.allows(&editor));
        assert!(!limit.allows(&User {
            roles: vec![role("editor"), role("owner")],
            ..user("a@example.com")
        }));
        assert!(!limit.allows(&User {
            staff: true,
            ..user("a@example.com")
        }));
        assert!(!limit.allows(&User {
            superuser: true,
            ..user("a@example.com")
        }));
        assert!(IssueFor::default().allows(&User {
            superuser: true,
            ..user("a@b.c")
        }));
        assert!(IssueFor::default().covers(&limit) && !limit.covers(&IssueFor::default()));
    }
}
