//! What the application behind a site is, as far as it is known without a request.

use crate::site::label_studio::{self, LabelStudio};

/// What the application behind a site is.
#[derive(Debug)]
pub enum Profile {
    /// Label Studio.
    LabelStudio(LabelStudio),
}

impl Profile {
    /// Headers that no client may send to this origin, besides those that none may send anywhere.
    #[must_use]
    pub const fn reserved(&self) -> &'static [&'static str] {
        match self {
            Self::LabelStudio(_) => &label_studio::RESERVED,
        }
    }

    /// Headers that this profile sets.
    #[must_use]
    pub const fn sets(&self) -> &'static [&'static str] {
        match self {
            Self::LabelStudio(_) => &label_studio::SETS,
        }
    }

    /// Whether the application signs people out at `path`.
    #[must_use]
    pub fn signs_out(&self, path: &str) -> bool {
        match self {
            Self::LabelStudio(_) => label_studio::signs_out(path),
        }
    }

    /// Whether programs of the application exchange a credential at `path` before they use it.
    #[must_use]
    pub fn exchanges(&self, path: &str) -> bool {
        match self {
            Self::LabelStudio(_) => label_studio::exchanges(path),
        }
    }
}
