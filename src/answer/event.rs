//! Log events, one JSON line each. They hold no credential, cookie, query or email address, and of a path and of a client's
//! address what the configuration allows; users appear by their id.

use serde::{Serialize, Serializer};

use crate::answer::denial::Denial;
use crate::answer::logged;
use crate::http::request::Parts;
use crate::rules::Rule;
use crate::site::config::Logging;
use crate::site::{Site, Source};

/// One line of the log.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Event {
    pub event: EventKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// What was asked for, as [`logged`] shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The status of our answer. That of a forwarded request is added when the origin has answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What the client is told of a denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The precise reason for a denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The number of the site's rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<u16>,
    /// Its name, or the first of its patterns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_name: Option<String>,
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
    /// The origin that did not answer: scheme and host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The client's address, or its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The client's country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The request's id, which the origin and our refusals show as well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// For metrics: what has failed, by [`Denial::fault`].
    #[serde(skip)]
    pub fault: Option<&'static str>,
    /// For metrics: the method of a sign-in that has ended with this request, and how.
    #[serde(skip)]
    pub sign_in: Option<(&'static str, &'static str)>,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum EventKind {
    /// A request went to the origin, which has answered. Logged only with `log = "all"`.
    #[default]
    Forwarded,
    /// A request was answered here, and nothing else happened. Logged only with `log = "all"`.
    Answered,
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

impl EventKind {
    /// Its name, in the log and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Answered => "answered",
            Self::Denied => "denied",
            Self::Fault => "fault",
            Self::SignedIn => "signed_in",
            Self::SignedOut => "signed_out",
            Self::Closed => "closed",
            Self::AdminCall => "admin_call",
            Self::ClaimsUnreadable => "claims_unreadable",
            Self::ClaimsUnlisted => "claims_unlisted",
            Self::RolesNotSent => "roles_not_sent",
            Self::SessionNotRenewed => "session_not_renewed",
            Self::IssuerKeysFailed => "issuer_keys_failed",
        }
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
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
    /// How somebody has signed in; empty for what is no sign-in.
    pub method: &'static str,
}

impl From<SignedIn> for Happened {
    fn from(SignedIn { user, source }: SignedIn) -> Self {
        Self {
            kind: EventKind::SignedIn,
            user,
            source,
            method: source.name(),
        }
    }
}

impl Event {
    /// What every line tells of the request that it is about. `path`: as it was judged, within the site.
    #[must_use]
    pub fn about(
        logging: &Logging,
        parts: &Parts,
        site: Option<&Site>,
        path: &str,
        request_id: &str,
    ) -> Self {
        let address = parts.header("cf-connecting-ip");
        Self {
            site: site.map(|site| site.name.clone()),
            host: Some(logged::text(parts.authority(), logged::MAX_HOST)),
            method: Some(logged::text(parts.method(), logged::MAX_METHOD)),
            path: logged::path(path, logging.path),
            address: address.and_then(|text| logged::address(text, logging.address)),
            country: parts.header("cf-ipcountry").and_then(logged::country),
            request_id: request_id.to_owned(),
            ..Self::default()
        }
    }

    /// The same for a request that `denial` ends: a fault if it is ours, unless a browser was turned down on purpose that
    /// asked ahead.
    #[must_use]
    pub fn denied(self, denial: &Denial, status: u16) -> Self {
        let row = denial.row();
        let fails = row.status >= 500 && *denial != Denial::Speculative;
        Self {
            event: if fails {
                EventKind::Fault
            } else {
                EventKind::Denied
            },
            status: Some(status),
            code: Some(row.code),
            reason: Some(denial.reason()),
            fault: fails.then(|| denial.fault()),
            sign_in: denial.sign_in(),
            ..self
        }
    }

    /// The same with the rule that decided. Rule 0, which decides where no other matches, has no name.
    #[must_use]
    pub fn by(self, rule: &Rule) -> Self {
        let name = rule.name.as_deref().or(rule.pattern.as_deref());
        Self {
            rule: Some(rule.number),
            rule_name: name.map(|name| logged::text(name, logged::MAX_TEXT)),
            ..self
        }
    }

    /// The event as a line of JSON.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
