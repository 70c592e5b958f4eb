//! What an origin can be told about a caller, and the headers that tell it.

use serde::Deserialize;

use crate::model::claim::ClaimPath;
use crate::site::Preset;

/// A property of the caller that an origin can be told.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub enum Attribute {
    Id,
    Email,
    /// What identifies the user: the address, or the id of a user whom an issuer's subject identifies. In presets only.
    Login,
    Username,
    FirstName,
    LastName,
    /// First and last name, or the username.
    Name,
    /// Joined by the site's `groups_separator`.
    Roles,
    /// `true` or `false`.
    Staff,
    /// `true` or `false`.
    Superuser,
    /// Joined by spaces.
    Scopes,
    Tenant,
    Workspace,
    /// The issuer's name in the configuration.
    Issuer,
    /// The access token that the provider has given at whom the session began.
    AccessToken,
    /// A claim of another issuer's token.
    Claim(ClaimPath),
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Attribute {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Attribute".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [
            { "enum": ["id", "email", "username", "first_name", "last_name", "name", "roles", "staff", "superuser", "scopes", "tenant", "workspace", "issuer", "provider:access_token"] },
            { "type": "string", "pattern": "^claim:." },
        ] })
    }
}

impl TryFrom<String> for Attribute {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if let Some(path) = text.strip_prefix("claim:") {
            return ClaimPath::parse(path)
                .map(Self::Claim)
                .ok_or("is not a claim");
        }
        Ok(match text.as_str() {
            "id" => Self::Id,
            "email" => Self::Email,
            "username" => Self::Username,
            "first_name" => Self::FirstName,
            "last_name" => Self::LastName,
            "name" => Self::Name,
            "roles" => Self::Roles,
            "staff" => Self::Staff,
            "superuser" => Self::Superuser,
            "scopes" => Self::Scopes,
            "tenant" => Self::Tenant,
            "workspace" => Self::Workspace,
            "issuer" => Self::Issuer,
            "provider:access_token" => Self::AccessToken,
            _ => {
                return Err(
                    "is none of id, email, username, first_name, last_name, name, roles, staff, superuser, scopes, tenant, workspace, issuer, claim:<path> and provider:access_token",
                );
            }
        })
    }
}

/// The headers of a preset.
#[must_use]
pub const fn headers_of(preset: Preset) -> [(&'static str, Attribute); 4] {
    match preset {
        Preset::XForwarded => [
            ("x-forwarded-user", Attribute::Id),
            ("x-forwarded-email", Attribute::Email),
            ("x-forwarded-groups", Attribute::Roles),
            ("x-forwarded-preferred-username", Attribute::Username),
        ],
        Preset::Remote => [
            ("remote-user", Attribute::Login),
            ("remote-email", Attribute::Email),
            ("remote-name", Attribute::Name),
            ("remote-groups", Attribute::Roles),
        ],
    }
}
