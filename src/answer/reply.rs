//! An answer together with its cookies and its log event.

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::Happened;
use crate::credential::session::SetCookie;

/// An answer with its cookies and what to log.
pub struct Reply {
    pub answer: Answer,
    /// Cookies to set or clear.
    pub cookies: Vec<SetCookie>,
    /// What the log tells of it.
    pub happened: Option<Happened>,
    /// Why it is a refusal, if it is one.
    pub refused: Option<Denial>,
}

impl Reply {
    /// Puts the cookies that an earlier step sets before this reply's own.
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
            refused: None,
        }
    }
}
