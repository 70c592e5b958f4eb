//! The application behind a site, as far as the configuration describes it.

use crate::site::label_studio::place::place;
use crate::site::label_studio::{self, LabelStudio};

/// An application that needs special treatment.
#[derive(Debug)]
pub enum Profile {
    LabelStudio(LabelStudio),
}

impl Profile {
    /// Headers that clients may not send to this origin, besides those reserved at every site.
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

    /// Whether the application signs users out at `path`.
    #[must_use]
    pub fn signs_out(&self, path: &str) -> bool {
        match self {
            Self::LabelStudio(_) => label_studio::signs_out(path),
        }
    }

    /// Whether a request for path `one` is treated differently than one for `other`.
    #[must_use]
    pub fn tells_apart(&self, method: &str, one: &str, other: &str) -> bool {
        match self {
            Self::LabelStudio(_) => place(method, one) != place(method, other),
        }
    }

    /// Whether clients of the application exchange a credential at `path` before they use it.
    #[must_use]
    pub fn exchanges(&self, path: &str) -> bool {
        match self {
            Self::LabelStudio(_) => label_studio::exchanges(path),
        }
    }
}
