//! The port [`Mail`].

use serde::Serialize;

use crate::platform::port::{Fault, Pending};

/// A mail to one person. The platform writes its headers; nothing in here may have a line break where a header has none.
#[derive(Clone, Eq, PartialEq, Serialize)]
pub struct Letter {
    /// The sender's address.
    pub from: String,
    /// The sender's name.
    pub sender: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// No log line and no failed assertion shows what a mail says, or to whom.
impl std::fmt::Debug for Letter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Letter")
    }
}

/// Outgoing mail.
pub trait Mail {
    /// Whether there is a way to send any.
    fn is_bound(&self) -> bool;
    /// Hands a mail over to be delivered.
    fn send<'a>(&'a self, letter: &'a Letter) -> Pending<'a, Result<(), Fault>>;
}
