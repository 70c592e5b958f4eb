//! An answer together with its cookies and its line in the log.

use crate::answer::{Answer, event};
use crate::credential::session::SetCookie;
use crate::site::Source;

/// An answer, with cookies, and what to note in the log.
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// Cookies to set or clear.
    pub cookies: Vec<SetCookie>,
    /// What happened, and to which user.
    pub happened: Option<(event::EventKind, String, Source)>,
}

impl Reply {
    /// The same reply, with cookies that an earlier step sets.
    #[must_use]
    pub fn with(mut self, mut cookies: Vec<SetCookie>) -> Self {
        cookies.append(&mut self.cookies);
        self.cookies = cookies;
        self
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            cookies: Vec::new(),
            happened: None,
        }
    }
}
