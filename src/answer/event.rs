//! What happened, for the log: one JSON line each. Holds no credential, no cookie, no query and no
//! address; whoever reads it finds people by their id.

use serde::Serialize;

/// One line of the log.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Event {
    /// What happened.
    pub event: EventKind,
    /// Which site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The request's name, which the origin and the pages show too.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// The precise reason of a denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The status that was answered; none for what was forwarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Whose request it was: a user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Which API token asked: its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_token: Option<String>,
    /// Where the credential was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<crate::site::Source>,
    /// What an admin call did: method and endpoint, without ids.
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
    /// A request was turned down.
    Denied,
    /// We could not serve a request.
    Fault,
    /// A session was opened.
    SignedIn,
    /// A session was ended by its owner.
    SignedOut,
    /// A call of the admin API.
    AdminCall,
}

impl Event {
    /// The line.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
