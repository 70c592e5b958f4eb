//! What an origin can be told of a caller, and the sets of headers that tell it.

use serde::Deserialize;

use crate::model::claim::ClaimPath;
use crate::site::Preset;

/// Something of a principal that an origin can be told.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub enum Attribute {
    /// The user's id.
    Id,
    /// The address.
    Email,
    /// The username.
    Username,
    /// The given name.
    FirstName,
    /// The family name.
    LastName,
    /// Both names, or the username.
    Name,
    /// The roles, joined by commas.
    Roles,
    /// `true` or `false`.
    Staff,
    /// `true` or `false`.
    Superuser,
    /// The scopes, with spaces between them.
    Scopes,
    /// The tenant.
    Tenant,
    /// The workspace.
    Workspace,
    /// The name of the issuer.
    Issuer,
    /// A claim that the token of another issuer has brought.
    Claim(ClaimPath),
}

#[cfg(not(target_arch = "wasm32"))]
impl schemars::JsonSchema for Attribute {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Attribute".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [
            { "enum": ["id", "email", "username", "first_name", "last_name", "name", "roles", "staff", "superuser", "scopes", "tenant", "workspace", "issuer"] },
            { "type": "string", "pattern": "^claim:." },
        ] })
    }
}

impl TryFrom<String> for Attribute {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if let Some(path) = text.strip_prefix("claim:") {
            return ClaimPath::parse(path).map(Self::Claim).ok_or("is no claim");
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
            _ => return Err("is nothing that is known of a user; see the README"),
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
            ("remote-user", Attribute::Email),
            ("remote-email", Attribute::Email),
            ("remote-name", Attribute::Name),
            ("remote-groups", Attribute::Roles),
        ],
    }
}
