//! Time as a value. The core never reads a clock: each request brings its own `now`.

use std::ops::Add;

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The moment `seconds` seconds after the epoch (RFC 7519 §2, `NumericDate`). Saturates.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The time since `earlier`; zero if `earlier` is in the future.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no span here exceeds 136 years"
    )]
    pub const fn since(self, earlier: Self) -> Seconds {
        Seconds((self.0.saturating_sub(earlier.0) / 1000) as u32)
    }
}

impl Add<Seconds> for Timestamp {
    type Output = Self;

    fn add(self, span: Seconds) -> Self {
        Self(self.0.saturating_add(span.millis()))
    }
}

/// A span of time in whole seconds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Seconds(pub u32);

impl Seconds {
    fn millis(self) -> u64 {
        u64::from(self.0) * 1000
    }
}
