//! Time as a value. The core never reads a clock: each request brings its own `now`.

use std::ops::{Add, Sub};

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

    /// The first moment of a month, which is counted from 1.
    #[must_use]
    pub const fn of_month(year: u64, month: u64) -> Self {
        // Years from 1 March, as in `civil`.
        let year = if month > 2 { year } else { year - 1 };
        let of_year = (153 * ((month + 9) % 12) + 2) / 5;
        let days = 365 * year + year / 4 - year / 100 + year / 400 + of_year;
        Self((days - 719_468) * 86_400_000)
    }

    /// The moment in UTC, to the second (RFC 3339 §5.6).
    #[must_use]
    pub fn rfc3339(self) -> String {
        let seconds = self.seconds();
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// The moment in UTC to the minute, as people read it: nobody here knows in which zone they are.
    #[must_use]
    pub fn to_the_minute(self) -> String {
        let text = self.rfc3339();
        let minute = text.get(..16).unwrap_or(&text);
        format!("{} UTC", minute.replace('T', " "))
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

/// Year, month and day of a day since the epoch, in the Gregorian calendar. Years are counted from 1 March, so that the
/// leap day is the last of its year.
const fn civil(days: u64) -> (u64, u64, u64) {
    // 1970-01-01 is day 719,468 since 0000-03-01; 400 years have 146,097 days.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let january_or_later = month >= 10;
    let month = if january_or_later {
        month - 9
    } else {
        month + 3
    };
    let year = year + era * 400 + january_or_later as u64;
    (year, month, day)
}

impl Sub<Seconds> for Timestamp {
    type Output = Self;

    fn sub(self, span: Seconds) -> Self {
        Self(self.0.saturating_sub(span.millis()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_date_and_time() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Timestamp::from_seconds(seconds).rfc3339(), text);
        }
    }

    #[test]
    fn a_time_for_people_ends_with_the_minute_that_has_begun() {
        let last = Timestamp::from_seconds(1_798_761_599);
        assert_eq!(last.to_the_minute(), "2026-12-31 23:59 UTC");
    }
}
