//! Log events, one JSON line each. They hold no credential, cookie, query or address; users appear
//! by their id.

use serde::Serialize;

use crate::site::Source;

/// One line of the log.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Event {
    pub event: EventKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The request's id, which the origin and our pages show as well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// The precise reason for a denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The status of our answer; `None` for a forwarded request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The id of the API token that made an admin call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_token: Option<String>,
    /// Where the credential was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The issuer with whose keys the credential is verified, by its name in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The unverified `kid` of the token, shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The endpoint of an admin call, without ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<&'static str>,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A request went to the origin. Logged only with `log = "all"`.
    #[default]
    Forwarded,
    Denied,
    /// Edgeward, the platform or the origin failed.
    Fault,
    /// A session was opened.
    SignedIn,
    /// A user ended their session.
    SignedOut,
    /// A WebSocket was closed because the request that opened it would no longer pass.
    Closed,
    /// A call of the admin API.
    AdminCall,
    /// Claims of another issuer's token could not be read, and grant nothing.
    ClaimsUnreadable,
    /// A token of another issuer was refused for claims that its table does not list.
    ClaimsUnlisted,
    /// A header with roles was not sent, because a role contains what separates them.
    RolesNotSent,
    /// A provider has not renewed a session.
    SessionNotRenewed,
    /// The keys of an issuer could not be fetched.
    IssuerKeysFailed,
}

/// Who was signed in by a request.
pub struct SignedIn {
    /// The user's id.
    pub user: String,
    /// Where the credential was found.
    pub source: Source,
}

/// What a request has done for a user.
pub struct Happened {
    pub kind: EventKind,
    /// The user's id.
    pub user: String,
    /// Where the credential was found.
    pub source: Source,
}

impl From<SignedIn> for Happened {
    fn from(SignedIn { user, source }: SignedIn) -> Self {
        Self {
            kind: EventKind::SignedIn,
            user,
            source,
        }
    }
}

impl Event {
    /// The event as a line of JSON.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
