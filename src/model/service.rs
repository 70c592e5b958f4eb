//! A service of the SSO gateway: an application of its own, to which the gateway signs people in and reports what
//! happens to them. Knows no storage and no HTTP.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::model::user::subject::Handle;
use crate::model::user::{Email, Name, Role, User};
use crate::platform::digest::{hex, random_text, sha256};
use crate::platform::port::Entropy;
use crate::platform::time::Timestamp;

/// The record of a service.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Service {
    /// Never changes and is never reused.
    pub id: ServiceId,
    pub name: Name,
    /// Scheme, host and path below which the service's own endpoints are, without a slash at the end.
    pub base_url: String,
    /// A disabled service cannot call the gateway, and the gateway does not call it.
    pub enabled: bool,
    pub dialect: Dialect,
    /// The hashes of its tokens, the newest first.
    pub tokens: Vec<TokenHash>,
    #[serde(default)]
    pub access: ServiceAccess,
    /// Further members of `update_account`: the name there, and the property of the user.
    #[serde(default)]
    pub fields: BTreeMap<String, UserField>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Incremented by each change.
    pub version: u64,
}

impl Service {
    /// Whether a user may enter the service now.
    #[must_use]
    pub fn admits(&self, user: &User) -> bool {
        self.enabled && self.grants_access(user)
    }

    /// Whether a user may enter the service while it is enabled. Events go by this: those for a disabled service wait.
    #[must_use]
    pub fn grants_access(&self, user: &User) -> bool {
        user.active && self.access.admits(user)
    }

    /// Whether a token with this hash is one of the service's, and is still valid.
    #[must_use]
    pub fn has_token(&self, hash: &str, now: Timestamp) -> bool {
        let is_valid = |token: &TokenHash| token.valid_until.is_none_or(|until| now < until);
        self.tokens
            .iter()
            .any(|token| token.is(hash) && is_valid(token))
    }

    /// Where its events go. In the push dialect each kind of event has a path of its own below that.
    #[must_use]
    pub fn events_to(&self) -> String {
        match self.dialect {
            Dialect::Push => format!("{}/sso/", self.base_url),
            Dialect::Flat | Dialect::Fields | Dialect::Webhook => {
                format!("{}/sso/event/", self.base_url)
            }
        }
    }

    /// Where a browser goes once it is signed in.
    #[must_use]
    pub fn accept_url(&self) -> String {
        format!("{}/sso/accept/", self.base_url)
    }

    /// Scheme and authority of the base URL.
    #[must_use]
    pub fn origin(&self) -> &str {
        let after = self.base_url.find("://").map_or(0, |at| at + 3);
        let slash = self.base_url.get(after..).and_then(|rest| rest.find('/'));
        slash
            .and_then(|slash| self.base_url.get(..after + slash))
            .unwrap_or(&self.base_url)
    }
}

/// A service's id: `svc_` and 22 characters of base64url. Not secret.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct ServiceId(String);

impl ServiceId {
    /// Creates a random id.
    #[must_use]
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self(format!("svc_{}", random_text(entropy)))
    }

    /// Parses an id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("svc_")?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (rest.len() == 22 && rest.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ServiceId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a service id")
    }
}

/// The hash of a token of a service.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TokenHash {
    /// In hexadecimal. The token has 256 bits of entropy, or was imported; see [`hash_token`].
    pub sha256: String,
    /// When a replaced token ceases to be valid; `None` for the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
}

impl TokenHash {
    /// Whether it is this hash.
    #[must_use]
    pub fn is(&self, hash: &str) -> bool {
        self.sha256.as_bytes().ct_eq(hash.as_bytes()).into()
    }
}

/// Whether a token that is moved here from another gateway can be used: 32 to 256 bytes, of which at least 12 differ. A
/// random text of that length has more.
#[must_use]
pub fn is_strong_token(token: &str) -> bool {
    let different: std::collections::HashSet<u8> = token.bytes().collect();
    (32..=256).contains(&token.len()) && different.len() >= 12
}

/// A new secret that signs events (Standard Webhooks): `whsec_` and 256 random bits.
#[must_use]
pub fn new_webhook_secret(entropy: &dyn Entropy) -> String {
    let mut bytes = [0_u8; 32];
    entropy.fill(&mut bytes);
    format!("whsec_{}", STANDARD.encode(bytes))
}

/// The hash by which a token is found.
#[must_use]
pub fn hash_token(token: &str) -> String {
    hex(&sha256(token.as_bytes()))
}

/// What services call a user.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Identity {
    /// The e-mail address.
    #[default]
    Email,
    /// The username.
    Username,
}

impl Identity {
    /// What services call `user`.
    #[must_use]
    pub fn of(self, user: &User) -> &str {
        match self {
            Self::Email => user
                .handle()
                .and_then(Handle::address)
                .map_or("", Email::as_str),
            Self::Username => user.username.as_str(),
        }
    }
}

/// How events are written for a service. Receivers of the first two pass the members on as arguments, so an unknown
/// member breaks them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// django-sso 1.0: forms to two paths, `push/` and `deauthenticate/`.
    Push,
    /// django-sso 1.1: the members of the user beside the type.
    Flat,
    /// django-sso 2.x and 3.x: the members of the user in `fields`.
    Fields,
    /// Standard Webhooks: type, time and data.
    Webhook,
}

impl Dialect {
    /// The name as it is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Flat => "flat",
            Self::Fields => "fields",
            Self::Webhook => "webhook",
        }
    }
}

/// Who may enter a service. Without any list, everybody.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccess {
    /// Users by address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<Email>>,
    /// Users with any of these roles. Staff and superusers have the roles `staff` and `superuser`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
}

impl ServiceAccess {
    /// The most entries of both lists together.
    pub const MAX: usize = 1000;

    fn admits(&self, user: &User) -> bool {
        if self.users.is_none() && self.roles.is_none() {
            return true;
        }
        let users = self.users.as_deref().unwrap_or_default();
        let roles = self.roles.as_deref().unwrap_or_default();
        let has = |role: &Role| {
            user.roles.contains(role)
                || (user.staff && role.as_str() == "staff")
                || (user.superuser && role.as_str() == "superuser")
        };
        let address = user.handle().and_then(Handle::address);
        address.is_some_and(|email| users.contains(email)) || roles.iter().any(has)
    }
}

/// A property of a user that a service can be told.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UserField {
    Id,
    Email,
    Username,
    FirstName,
    LastName,
    /// First and last name, or the username.
    Name,
    /// A list.
    Roles,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::user::UserId;

    fn user() -> User {
        let id = UserId::parse("usr_0123456789abcdefghij-_").unwrap();
        let email = Email::parse("ada@example.com").unwrap();
        User::new(id, email, Timestamp::from_seconds(1))
    }

    fn service(access: ServiceAccess) -> Service {
        Service {
            id: ServiceId::parse("svc_0123456789abcdefghij-_").unwrap(),
            name: Name::parse("Wiki").unwrap(),
            base_url: "https://wiki.example.com/a".into(),
            enabled: true,
            dialect: Dialect::Flat,
            tokens: vec![
                TokenHash {
                    sha256: "new".into(),
                    valid_until: None,
                },
                TokenHash {
                    sha256: "old".into(),
                    valid_until: Some(Timestamp::from_seconds(10)),
                },
            ],
            access,
            fields: BTreeMap::new(),
            created_at: Timestamp::from_seconds(1),
            updated_at: Timestamp::from_seconds(1),
            version: 1,
        }
    }

    #[test]
    fn a_list_that_is_empty_admits_nobody_and_a_list_that_is_absent_everybody() {
        assert!(service(ServiceAccess::default()).admits(&user()));
        let nobody = ServiceAccess {
            users: Some(Vec::new()),
            roles: None,
        };
        assert!(!service(nobody).admits(&user()));
        let ada = ServiceAccess {
            users: user().email.map(|email| vec![email]),
            roles: None,
        };
        assert!(service(ada.clone()).admits(&user()));
        let mut disabled = service(ada.clone());
        disabled.enabled = false;
        assert!(!disabled.admits(&user()));
        let inactive = User {
            active: false,
            ..user()
        };
        assert!(!service(ada).admits(&inactive));
    }

    #[test]
    fn a_role_admits_and_so_does_being_staff() {
        let staff = ServiceAccess {
            users: None,
            roles: Some(vec![Role::parse("staff").unwrap()]),
        };
        assert!(!service(staff.clone()).admits(&user()));
        assert!(service(staff.clone()).admits(&User {
            staff: true,
            ..user()
        }));
        let editor = Role::parse("staff").unwrap();
        assert!(service(staff).admits(&User {
            roles: vec![editor],
            ..user()
        }));
    }

    #[test]
    fn a_replaced_token_is_valid_until_its_time_is_over() {
        let service = service(ServiceAccess::default());
        assert!(service.has_token("new", Timestamp::from_seconds(99)));
        assert!(service.has_token("old", Timestamp::from_seconds(9)));
        assert!(!service.has_token("old", Timestamp::from_seconds(10)));
        assert!(!service.has_token("", Timestamp::from_seconds(9)));
    }

    #[test]
    fn its_urls_are_below_its_base() {
        let service = service(ServiceAccess::default());
        assert_eq!(service.events_to(), "https://wiki.example.com/a/sso/event/");
        assert_eq!(
            service.accept_url(),
            "https://wiki.example.com/a/sso/accept/"
        );
        assert_eq!(service.origin(), "https://wiki.example.com");
    }
}
