//! What a service is told when a user changes, in its dialect. Pure: an old and a new record in, events out.

use serde_json::{Map, Value, json};

use crate::model::service::{Dialect, Identity, Service, UserField};
use crate::model::user::User;
use crate::platform::time::Timestamp;

/// An event for a service, without its token.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceEvent {
    pub kind: EventName,
    /// A JSON object.
    pub body: Value,
}

/// The names of the events.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventName {
    UpdateAccount,
    Deauthenticate,
    DeleteUser,
    /// Spelt as its receivers spell it.
    ChangeUserIdenty,
    UpdateFields,
    /// A link with which the user sets a password. Only in the dialect `webhook`.
    PasswordLink,
}

impl EventName {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UpdateAccount => "update_account",
            Self::Deauthenticate => "deauthenticate",
            Self::DeleteUser => "delete_user",
            Self::ChangeUserIdenty => "change_user_identy",
            Self::UpdateFields => "update_fields",
            Self::PasswordLink => "password_link",
        }
    }
}

/// The change of a user.
#[derive(Clone, Copy)]
pub struct UserChange<'a> {
    /// `None` for a new user.
    pub old: Option<&'a User>,
    /// `None` for a deleted user.
    pub new: Option<&'a User>,
}

/// Writes events in the dialect of a service.
pub struct Writer<'a> {
    pub service: &'a Service,
    pub identity: Identity,
    pub now: Timestamp,
}

impl Writer<'_> {
    /// What the service is told of a change: nothing about a user who could not enter before and cannot now. A user who
    /// loses access, is disabled or is deleted is signed out there. A disabled service has events, too: they wait for it.
    #[must_use]
    pub fn events(&self, change: UserChange<'_>) -> Vec<ServiceEvent> {
        let admitted =
            |user: Option<&User>| user.is_some_and(|user| self.service.grants_access(user));
        let (before, after) = (admitted(change.old), admitted(change.new));
        let mut events = Vec::new();
        match (change.old, change.new) {
            (Some(old), None) if before || self.knows(old) => self.delete(old, &mut events),
            (Some(old), Some(new)) if before || after => self.update(old, new, after, &mut events),
            (None, Some(new)) if after => events.push(self.update_account(new)),
            _ => {}
        }
        events
    }

    /// The whole account, as it is told at each sign-in.
    #[must_use]
    pub fn update_account(&self, user: &User) -> ServiceEvent {
        self.account(
            EventName::UpdateAccount,
            self.identity.of(user),
            user,
            self.service.grants_access(user),
        )
    }

    /// The user is to be signed out.
    #[must_use]
    pub fn deauthenticate(&self, user: &User) -> ServiceEvent {
        self.about(EventName::Deauthenticate, self.identity.of(user))
    }

    /// A link with which the user sets a password; delivered only until it expires.
    #[must_use]
    pub fn password_link(&self, user: &User, url: &str, expires_at: Timestamp) -> ServiceEvent {
        let mut members = self.further(user);
        members.insert("user_identy".into(), json!(self.identity.of(user)));
        members.insert("id".into(), json!(user.id));
        members.insert("email".into(), json!(user.address()));
        members.insert("url".into(), json!(url));
        members.insert("expires_at".into(), json!(expires_at.rfc3339()));
        self.event(EventName::PasswordLink, members)
    }

    /// A user who was disabled may have an account there.
    fn knows(&self, user: &User) -> bool {
        let active = User {
            active: true,
            ..user.clone()
        };
        self.service.grants_access(&active)
    }

    fn update(&self, old: &User, new: &User, after: bool, events: &mut Vec<ServiceEvent>) {
        let (was, is) = (self.identity.of(old), self.identity.of(new));
        let moved = was != is;
        if moved && self.service.grants_access(old) {
            match self.service.dialect {
                // That dialect has no event for it: the old account is closed, and a new one made.
                Dialect::Push | Dialect::Flat => {
                    events.extend(self.close(was, old));
                    events.push(self.about(EventName::Deauthenticate, was));
                }
                Dialect::Fields => events.push(self.event(
                    EventName::ChangeUserIdenty,
                    [("old", json!(was)), ("new", json!(is))],
                )),
                Dialect::Webhook => events.push(self.event(
                    EventName::ChangeUserIdenty,
                    [
                        ("old", json!(was)),
                        ("new", json!(is)),
                        ("id", json!(new.id)),
                    ],
                )),
            }
        }
        let flags = |user: &User| (self.service.grants_access(user), user.staff, user.superuser);
        let told = |user: &User| self.further(user);
        if moved || flags(old) != flags(new) {
            events.push(self.update_account(new));
        } else if told(old) != told(new) {
            events.push(match self.service.dialect {
                Dialect::Push | Dialect::Flat | Dialect::Webhook => self.update_account(new),
                Dialect::Fields => self.event(
                    EventName::UpdateFields,
                    [
                        ("user_identities", json!([is])),
                        ("fields", Value::Object(told(new))),
                    ],
                ),
            });
        }
        if !after || old.sessions_valid_after != new.sessions_valid_after {
            events.push(self.deauthenticate(new));
        }
    }

    fn delete(&self, old: &User, events: &mut Vec<ServiceEvent>) {
        let identity = self.identity.of(old);
        events.push(self.about(EventName::Deauthenticate, identity));
        match self.service.dialect {
            // These have no event for it.
            Dialect::Push | Dialect::Flat => events.extend(self.close(identity, old)),
            Dialect::Fields | Dialect::Webhook => {
                events.push(self.about(EventName::DeleteUser, identity));
            }
        }
    }

    /// Closes an account in a dialect that cannot delete one. The push dialect knows no inactive accounts either.
    fn close(&self, identity: &str, user: &User) -> Option<ServiceEvent> {
        let flat = self.service.dialect == Dialect::Flat;
        flat.then(|| self.account(EventName::UpdateAccount, identity, user, false))
    }

    fn account(&self, kind: EventName, identity: &str, user: &User, active: bool) -> ServiceEvent {
        let mut members = self.further(user);
        if self.service.dialect == Dialect::Push {
            // The receiver stores what it gets as the hash of a password; Django's mark of an unusable one lets nobody in,
            // and, being the same each time, ends no session.
            let body = json!({ "username": identity, "password": "!" });
            return ServiceEvent { kind, body };
        }
        members.insert("is_active".into(), json!(active));
        members.insert("is_staff".into(), json!(user.staff));
        members.insert("is_superuser".into(), json!(user.superuser));
        match self.service.dialect {
            Dialect::Push | Dialect::Flat => {
                members.insert("username".into(), json!(identity));
                members.insert("type".into(), json!(kind.name()));
                ServiceEvent {
                    kind,
                    body: Value::Object(members),
                }
            }
            Dialect::Fields => {
                members.insert("user_identy".into(), json!(identity));
                self.event(kind, [("fields", Value::Object(members))])
            }
            Dialect::Webhook => {
                members.insert("user_identy".into(), json!(identity));
                members.insert("id".into(), json!(user.id));
                self.event(kind, members)
            }
        }
    }

    fn about(&self, kind: EventName, identity: &str) -> ServiceEvent {
        let member = match self.service.dialect {
            Dialect::Flat => "username",
            Dialect::Push | Dialect::Fields | Dialect::Webhook => "user_identy",
        };
        if self.service.dialect == Dialect::Push {
            return ServiceEvent {
                kind,
                body: json!({ member: identity }),
            };
        }
        self.event(kind, [(member, json!(identity))])
    }

    fn event<N: Into<String>>(
        &self,
        kind: EventName,
        members: impl IntoIterator<Item = (N, Value)>,
    ) -> ServiceEvent {
        let mut members: Map<String, Value> = members
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect();
        let body = if self.service.dialect == Dialect::Webhook {
            json!({ "type": kind.name(), "timestamp": self.now.rfc3339(), "data": members })
        } else {
            members.insert("type".into(), json!(kind.name()));
            Value::Object(members)
        };
        ServiceEvent { kind, body }
    }

    /// The further members that the service asked for.
    fn further(&self, user: &User) -> Map<String, Value> {
        let value = |field: &UserField| match field {
            UserField::Id => json!(user.id),
            UserField::Email => json!(user.address()),
            UserField::Username => json!(user.username.as_str()),
            UserField::FirstName => json!(user.first_name.as_str()),
            UserField::LastName => json!(user.last_name.as_str()),
            UserField::Name => json!(user.display_name()),
            UserField::Roles => json!(user.roles),
        };
        let fields = self.service.fields.iter();
        fields
            .map(|(name, field)| (name.clone(), value(field)))
            .collect()
    }
}
