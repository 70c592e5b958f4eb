//! The rows of the audit log: what happened, who did it, to whom. Does not know where rows are kept, and no secret: of a
//! change, a row shows the members that are listed here, and of all others that they changed.

use serde_json::{Map, Value, json};

use crate::model::user::{Tenant, UserId};
use crate::platform::port::{Audit, AuditCall, Fault};
use crate::platform::time::{Seconds, Timestamp};

/// The most characters of a text in a row, and of the JSON of a member of `before` and `after`.
const MAX_TEXT: usize = 200;
const MAX_MEMBER: usize = 400;
/// A day.
const DAY: u32 = 86_400;
/// How many days a month has at most.
const MONTH: u32 = 31;

macro_rules! actions {
    ($($variant:ident $name:literal,)*) => {
        /// What a row is about. Everything that is audited is here.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Action {
            $($variant,)*
        }

        impl Action {
            /// All actions.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in rows and filters.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

actions! {
    UserCreated "user.created",
    UserChanged "user.changed",
    UserDisabled "user.disabled",
    UserEnabled "user.enabled",
    UserDeleted "user.deleted",
    UsersImported "users.imported",
    UsersIndexed "users.indexed",
    SessionsEnded "sessions.ended",
    PasswordSet "password.set",
    PasswordRemoved "password.removed",
    PasswordLinkMade "password.link",
    PasskeyAdded "passkey.added",
    PasskeyChanged "passkey.changed",
    PasskeyRemoved "passkey.removed",
    ApiTokenCreated "api_token.created",
    ApiTokenChanged "api_token.changed",
    ApiTokenRevoked "api_token.revoked",
    ApiTokenDeleted "api_token.deleted",
    SsoTokenIssued "sso_token.issued",
    KeysRotated "keys.rotated",
    ServiceCreated "service.created",
    ServiceChanged "service.changed",
    ServiceDeleted "service.deleted",
    ServiceRotated "service.rotated",
    EventsResent "events.resent",
    EventsDiscarded "events.discarded",
    AuditExported "audit.exported",
    BackupExported "backup.exported",
    BackupRestored "backup.restored",
    SignedIn "signed_in",
    UserSwitched "user.switched",
    SignedOut "signed_out",
    AdminRefused "admin.refused",
}

/// The proof that a row is on the disk. Only [`append`] makes one, so what asks for it cannot happen unnoticed.
#[derive(Debug)]
pub struct Written {
    /// The number of the row in its log.
    pub seq: u64,
    /// The log's name.
    pub log: String,
}

#[cfg(test)]
impl Written {
    /// For tests of what asks for a row.
    pub(crate) fn nowhere() -> Self {
        Self {
            seq: 0,
            log: String::new(),
        }
    }
}

/// A row that is not written yet.
#[derive(Clone, Debug)]
pub struct Row {
    members: Map<String, Value>,
    person: Option<String>,
}

impl Row {
    /// A row about `action`.
    #[must_use]
    pub fn of(action: Action) -> Self {
        let members = Map::new();
        let person = None;
        Self { members, person }.with("action", action.name())
    }

    /// Counts the row among those that `person` may cause within an hour: whoever signs in and out all the time must not fill
    /// the log.
    #[must_use]
    pub fn caused_by(mut self, person: &UserId) -> Self {
        self.person = Some(person.as_str().to_owned());
        self
    }

    /// The same for what `person` does with their own account, which has a number of rows of its own: sign-ins, which others may
    /// cause, must not keep anybody from it.
    #[must_use]
    pub fn caused_by_own_hand(mut self, person: &UserId) -> Self {
        self.person = Some([person.as_str(), " account"].concat());
        self
    }

    /// Counts the row among nobody's any more: an outcome is written whenever its intent is.
    pub fn count_for_nobody(&mut self) {
        self.person = None;
    }

    /// With a text, cut if it is too long.
    #[must_use]
    pub fn with(mut self, name: &'static str, text: &str) -> Self {
        self.set(name, cut(text, MAX_TEXT).into());
        self
    }

    /// The same, if there is a text.
    #[must_use]
    pub fn with_some(self, name: &'static str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.with(name, text),
            None => self,
        }
    }

    /// Sets a member.
    pub fn set(&mut self, name: &'static str, value: Value) {
        self.members.insert(name.to_owned(), value);
    }

    /// With what changed between two views of a record; null for none.
    #[must_use]
    pub fn with_change(mut self, before: &Value, after: &Value) -> Self {
        for (name, one, other) in [("before", before, after), ("after", after, before)] {
            let shown = shown(one, other);
            if !shown.is_empty() {
                self.set(name, Value::Object(shown));
            }
        }
        self
    }
}

/// The members whose values rows show. No other value is written: names and addresses of people are theirs, and a member that
/// is added one day may be a secret.
const SHOWN: &[&str] = &[
    "active",
    "staff",
    "superuser",
    "roles",
    "scopes",
    "issue_for",
    "acts_as",
    "created_by",
    "expires_at",
    "revoked_at",
    "enabled",
    "dialect",
    "must_change",
    "status",
    "what",
    "count",
    "kids",
];

/// The members that say nothing of a change.
const IGNORED: &[&str] = &["updated_at", "created_at", "last_used_at", "id"];

/// The members of `one` that differ from those of `other`.
fn shown(one: &Value, other: &Value) -> Map<String, Value> {
    let members = one.as_object().into_iter().flatten();
    let differs = |name: &str, value: &Value| {
        !IGNORED.contains(&name) && other.get(name) != Some(value) && !is_empty(value)
    };
    members
        .filter(|(name, value)| differs(name, value))
        .take(24)
        .map(|(name, value)| {
            let value = if SHOWN.contains(&name.as_str()) {
                bounded(value)
            } else {
                json!("changed")
            };
            (name.clone(), value)
        })
        .collect()
}

/// Whether a value says no more than that there is none.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn bounded(value: &Value) -> Value {
    let text = value.to_string();
    if text.len() <= MAX_MEMBER {
        value.clone()
    } else {
        cut(&text, MAX_MEMBER).into()
    }
}

/// `text`, or as much of it as fits and a mark that it was cut.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end));
    let kept = text.get(..end.unwrap_or_default()).unwrap_or_default();
    [kept, "... (cut)"].concat()
}

/// The name of the log of a tenant in the month of `at`; of the deployment itself without a tenant.
#[must_use]
pub fn log_of(tenant: Option<&Tenant>, at: Timestamp) -> String {
    let mut name = month_of(at);
    if let Some(tenant) = tenant {
        name.push(':');
        name.push_str(tenant.as_str());
    }
    name
}

/// The month of a moment, as in `2026-11`.
#[must_use]
pub fn month_of(at: Timestamp) -> String {
    let mut text = at.rfc3339();
    text.truncate(7);
    text
}

/// The first moment of a month, and that of the next one. `None` if `text` is no month.
#[must_use]
pub fn span_of(text: &str) -> Option<(Timestamp, Timestamp)> {
    let (year, month) = text.split_once('-')?;
    let (year, month): (u64, u64) = (year.parse().ok()?, month.parse().ok()?);
    if text.len() != 7 || !(1..=12).contains(&month) || year < 1970 {
        return None;
    }
    let next = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    Some((
        Timestamp::of_month(year, month),
        Timestamp::of_month(next.0, next.1),
    ))
}

/// When a log of the month of `at` may be forgotten.
fn forgotten_at(at: Timestamp, days: u32) -> Timestamp {
    let end = span_of(&month_of(at)).map_or(at + Seconds(MONTH * DAY), |(_, end)| end);
    end + Seconds(days.saturating_mul(DAY))
}

/// The months of which rows are kept at `now`, oldest first.
#[must_use]
pub fn kept(now: Timestamp, days: u32) -> Vec<String> {
    let mut months = Vec::new();
    let mut at = now - Seconds(days.saturating_mul(DAY));
    while let Some((_, next)) = span_of(&month_of(at)) {
        months.push(month_of(at));
        if next > now {
            break;
        }
        at = next;
    }
    months
}

/// Writes rows into the log of a tenant. When this is done they are on the disk. `days`: for how long the rows of a month are
/// kept after its end.
///
/// # Errors
/// [`Fault::Audit`], or [`Fault::AuditLimit`] of a row that is [`Row::caused_by`] a person.
pub async fn append(
    port: &dyn Audit,
    log: String,
    rows: Vec<Row>,
    (now, days): (Timestamp, u32),
) -> Result<Written, Fault> {
    let call = AuditCall::Append {
        person: rows.first().and_then(|row| row.person.clone()),
        rows: rows
            .into_iter()
            .map(|row| Value::Object(row.members))
            .collect(),
        ends: forgotten_at(now, days).millis(),
    };
    let answer = port.call(&log, &call).await?;
    if answer.get("too_many").is_some() {
        return Err(Fault::AuditLimit);
    }
    let seq = answer.get("seq").and_then(Value::as_u64);
    Ok(Written {
        seq: seq.ok_or(Fault::Audit)?,
        log,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_shown_but_those_that_are_listed() {
        let before = json!({"id": "usr_1", "email": "a@b.c", "roles": ["x"], "active": true, "first_name": "Ada"});
        let after = json!({"id": "usr_1", "email": "d@e.f", "roles": [], "active": false, "first_name": "Ada", "secret": "s3"});
        let row = Row::of(Action::UserChanged)
            .with_change(&before, &after)
            .members;
        assert_eq!(
            Value::Object(row),
            json!({
                "action": "user.changed",
                "before": {"email": "changed", "roles": ["x"], "active": true},
                "after": {"email": "changed", "active": false, "secret": "changed"},
            })
        );
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let roles: Vec<String> = (0..500).map(|n| format!("röle-{n}")).collect();
        let row = Row::of(Action::UserChanged)
            .with("actor", &"ä".repeat(500))
            .with_change(&Value::Null, &json!({ "roles": roles }))
            .members;
        let text = Value::Object(row).to_string();
        assert!(text.len() < 1000, "{}", text.len());
        assert_eq!(text.matches("... (cut)").count(), 2);
    }

    #[test]
    fn every_action_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            Action::ALL.iter().map(|action| action.name()).collect();
        assert_eq!(names.len(), Action::ALL.len());
    }

    #[test]
    fn the_kept_months_reach_back_as_far_as_the_days() {
        let now = Timestamp::from_seconds(1_709_164_800); // 2024-02-29
        assert_eq!(kept(now, 1), ["2024-02"]);
        assert_eq!(kept(now, 60), ["2023-12", "2024-01", "2024-02"]);
        assert_eq!(kept(now, 400).len(), 14);
        assert_eq!(span_of("2024-13"), None);
        assert_eq!(span_of("2024-1"), None);
        let (from, next) = span_of("2024-02").unwrap();
        assert_eq!(from.rfc3339(), "2024-02-01T00:00:00Z");
        assert_eq!(next.rfc3339(), "2024-03-01T00:00:00Z");
        assert_eq!(forgotten_at(now, 1).rfc3339(), "2024-03-02T00:00:00Z");
    }
}
