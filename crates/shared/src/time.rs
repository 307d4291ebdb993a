//! Points in time on the store's clock: whole milliseconds since the Unix epoch, in UTC.
//!
//! Nothing in this crate reads a clock. `now` is an argument, so a test can run every rule with any times.

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct TimeMs(pub u64);

impl TimeMs {
    /// The moment `ms` milliseconds later, at most `u64::MAX`.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The milliseconds since `earlier`; 0 if `earlier` is later.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment of a text in the form of RFC 3339, rounded down to a millisecond. `None` for any other text, and for a time
    /// before 1970.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(time.as_millisecond()).ok().map(Self)
    }

    /// RFC 3339 with milliseconds and `Z`, the form of every time in the API.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let ms = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(ms) {
            Ok(time) => format!("{time:.3}"),
            // After the year 9999. No setting allows such a time.
            Err(_) => String::from("9999-12-31T23:59:59.999Z"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TimeMs;

    #[test]
    fn a_time_prints_with_milliseconds() {
        assert_eq!(TimeMs(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            TimeMs(1_764_000_000_120).rfc3339(),
            "2025-11-24T16:00:00.120Z"
        );
        assert_eq!(TimeMs(u64::MAX).rfc3339(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_printed_time_is_read_back() {
        let time = TimeMs(1_764_000_000_120);
        assert_eq!(TimeMs::parse_rfc3339(&time.rfc3339()), Some(time));
        let with_offset = TimeMs::parse_rfc3339("2025-11-24T18:00:00.1204+02:00");
        assert_eq!(with_offset, Some(time));
        for text in [
            "",
            "2025-11-24",
            "2025-11-24T16:00:00",
            "1969-12-31T23:59:59Z",
            "1764000000",
        ] {
            assert_eq!(TimeMs::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn plus_ms_and_since_ms_saturate() {
        assert_eq!(TimeMs(u64::MAX).plus_ms(1), TimeMs(u64::MAX));
        assert_eq!(TimeMs(5).since_ms(TimeMs(9)), 0);
    }
}
