//! Who is calling. A [`Principal`] is made by [`crate::authn::authenticate`] alone, out of a
//! credential that was verified and a user that may sign in.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::Value;

use crate::config::site::Source;
use crate::memory::cache::Verified;
use crate::model::claim::{ClaimPath, Reading};
use crate::model::user::{Role, Tenant, User};
use crate::platform::time::Timestamp;
use crate::rules::Subject;

/// The authenticated caller. Only [`crate::authn`] makes one, after everything was checked:
///
/// ```compile_fail,E0624
/// use std::rc::Rc;
/// use edgeward::memory::cache::Verified;
/// use edgeward::config::site::Source;
///
/// fn forge(user: Rc<edgeward::model::user::User>, credential: Rc<Verified>) -> edgeward::authn::principal::Principal {
///     edgeward::authn::principal::Principal::new_unchecked(user, Source::Session, credential)
/// }
/// ```
///
/// ```compile_fail,E0616
/// fn become_another(mut principal: edgeward::authn::principal::Principal, other: std::rc::Rc<edgeward::model::user::User>) {
///     principal.user = other;
/// }
/// ```
#[derive(Clone)]
pub struct Principal {
    user: Rc<User>,
    source: Source,
    verified: Rc<Verified>,
}

impl Principal {
    /// Only [`crate::authn`] calls this, after signature, claims and the user's state were checked.
    pub(crate) fn new_unchecked(user: Rc<User>, source: Source, verified: Rc<Verified>) -> Self {
        Self {
            user,
            source,
            verified,
        }
    }

    /// The user's record.
    #[must_use]
    pub fn user(&self) -> &Rc<User> {
        &self.user
    }

    /// Where the credential was.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// The credential.
    #[must_use]
    pub fn verified(&self) -> &Rc<Verified> {
        &self.verified
    }

    /// What rules see of the caller.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            email: self.user.email.as_str(),
            roles: self.roles(),
            scopes: self.scopes(),
            claims: self.claims(),
            tenant: self.tenant(),
            workspace: self.workspace(),
            issuer: self.issuer(),
        }
    }

    /// The roles: the user's own, and those that the token's issuer has granted.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        &self.user.roles
    }

    /// The scopes that the token of another issuer has brought.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        self.verified
            .granted()
            .map_or(&[], |granted| &granted.scopes)
    }

    /// The claims that the token of another issuer has brought, as far as they are kept.
    #[must_use]
    pub fn claims(&self) -> Reading<'_> {
        Reading::new(self.verified.granted().map(|granted| &granted.claims))
    }

    /// The tenant: the one that the user is of, or the one that the token names at a site that does
    /// not tell tenants apart.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        let own = self.user.tenant.as_ref().map(Tenant::as_str);
        own.or_else(|| self.verified.granted()?.tenant.as_deref())
    }

    /// The workspace that the token of another issuer names.
    #[must_use]
    pub fn workspace(&self) -> Option<&str> {
        self.verified.granted()?.workspace.as_deref()
    }

    /// The name of the issuer in the configuration; `edgeward` for what we have issued.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.verified
            .granted()
            .map_or("edgeward", |granted| &granted.issuer)
    }

    /// When the credential ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.verified.expires_at()
    }
}

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

impl Attribute {
    /// The attribute's value for `principal`, whose claims these are; empty when it has none.
    #[must_use]
    pub fn of(&self, principal: &Principal, claims: &Reading<'_>) -> String {
        let user = principal.user();
        match self {
            Self::Id => user.id.as_str().to_owned(),
            Self::Email => user.email.as_str().to_owned(),
            Self::Username => user.username.as_str().to_owned(),
            Self::FirstName => user.first_name.as_str().to_owned(),
            Self::LastName => user.last_name.as_str().to_owned(),
            Self::Name => user.display_name(),
            Self::Roles => user
                .roles
                .iter()
                .map(Role::as_str)
                .collect::<Vec<_>>()
                .join(","),
            Self::Staff => user.staff.to_string(),
            Self::Superuser => user.superuser.to_string(),
            Self::Scopes => principal.scopes().join(" "),
            Self::Tenant => principal.tenant().unwrap_or_default().to_owned(),
            Self::Workspace => principal.workspace().unwrap_or_default().to_owned(),
            Self::Issuer => principal.issuer().to_owned(),
            Self::Claim(path) => path
                .find(claims.members())
                .and_then(shown)
                .unwrap_or_default(),
        }
    }
}

/// A claim as the text of a header: what is simple, or a list of it, joined by commas. A list with
/// an item that holds a comma could be read in two ways, so it is not said.
fn shown(value: &Value) -> Option<String> {
    let simple = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    match value {
        Value::Array(items) => {
            let items: Option<Vec<String>> = items
                .iter()
                .map(|item| simple(item).filter(|text| !text.contains(',')))
                .collect();
            items.map(|items| items.join(","))
        }
        other => simple(other),
    }
}
