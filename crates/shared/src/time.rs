//! Points in time, in whole milliseconds since the Unix epoch. They are times of the store's clock, except those that users send or see:
//! these are in UTC (`Store::to_utc`).
//!
//! The rules of this crate read no clock. `now` is an argument, so a test can run every rule with any times.

use jiff::civil::{self, DateTime};
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

    /// The moment of a `date-time` of RFC 3339 (section 5.6), rounded down to a millisecond. A time before 1970 is read as 1970. `None`
    /// for any other text, also for other forms of ISO 8601.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let (date_time, rest) = text.split_at_checked(DATE_TIME_FORM.len())?;
        if !has_form(date_time, DATE_TIME_FORM) {
            return None;
        }
        let date_time: DateTime = date_time.to_ascii_uppercase().parse().ok()?;
        let (fraction_ms, offset) = match rest.strip_prefix('.') {
            Some(rest) => {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                let (digits, offset) = rest.split_at(digits);
                (fraction_ms(digits)?, offset)
            }
            None => (0, rest),
        };
        let since_1970 = date_time.duration_since(civil::date(1970, 1, 1).at(0, 0, 0, 0));
        let ms = since_1970.as_millis() + i128::from(fraction_ms) - i128::from(offset_ms(offset)?);
        u64::try_from(ms.max(0)).ok().map(Self)
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

/// The form of a date and time: each `0` is any digit.
const DATE_TIME_FORM: &str = "0000-00-00T00:00:00";

/// Whether a text has this form. Letters may be in lower case.
fn has_form(text: &str, form: &str) -> bool {
    let is_allowed = |(byte, form): (u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        other => byte.to_ascii_uppercase() == other,
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(is_allowed)
}

/// The milliseconds of the digits after the point. `None` if there is no digit.
fn fraction_ms(digits: &str) -> Option<u64> {
    let first_three = digits.get(..3).unwrap_or(digits);
    let number: u64 = first_three.parse().ok()?;
    Some(match first_three.len() {
        1 => number * 100,
        2 => number * 10,
        _ => number,
    })
}

/// The milliseconds that an offset is ahead of UTC.
fn offset_ms(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("Z") {
        return Some(0);
    }
    let sign = match text.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let time = text.get(1..)?;
    if !has_form(time, "00:00") {
        return None;
    }
    let (hours, minutes): (i64, i64) = (time[..2].parse().ok()?, time[3..].parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
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
    }

    #[test]
    fn all_date_times_of_rfc_3339_are_read() {
        for (text, ms) in [
            ("2025-11-24T16:00:00Z", 1_764_000_000_000),
            ("2025-11-24t16:00:00z", 1_764_000_000_000),
            ("2025-11-24T16:00:00.5Z", 1_764_000_000_500),
            ("2025-11-24T16:00:00.07Z", 1_764_000_000_070),
            ("2025-11-24T16:00:00.1209999999999999Z", 1_764_000_000_120),
            ("2025-11-24T18:00:00.1204+02:00", 1_764_000_000_120),
            ("2025-11-24T11:15:00-04:45", 1_764_000_000_000),
            ("2025-11-24T16:00:00-00:00", 1_764_000_000_000),
            ("2025-11-25T15:59:00+23:59", 1_764_000_000_000),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
            // A leap second is read as the second before.
            ("2016-12-31T23:59:60Z", 1_483_228_799_000),
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999Z", 0),
            ("1970-01-01T00:00:00+00:01", 0),
            ("0000-01-01T00:00:00Z", 0),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
            ("9999-12-31T23:59:59-23:59", 253_402_387_139_000),
        ] {
            assert_eq!(TimeMs::parse_rfc3339(text), Some(TimeMs(ms)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "1764000000",
            "2025-11-24",
            "2025-11-24T16:00:00",
            "2025-11-24 16:00:00Z",
            "20251124T160000Z",
            "2025-11-24T16Z",
            "2025-11-24T16:00Z",
            "2025-11-24T16:00:00,5Z",
            "2025-11-24T16:00:00.Z",
            "2025-11-24T16:00:00.5",
            "2025-11-24T16:00:00+01",
            "2025-11-24T16:00:00+0100",
            "2025-11-24T16:00:00+01:00:00",
            "2025-11-24T16:00:00+24:00",
            "2025-11-24T16:00:00+01:60",
            "2025-11-24T16:00:00\u{2212}01:00",
            "2025-11-24T16:00:00Z[Europe/Berlin]",
            "2025-11-24T16:00:00[Europe/Berlin]",
            "+002025-11-24T16:00:00Z",
            "-002025-11-24T16:00:00Z",
            "2025-W48-1T16:00:00Z",
            "2025-13-01T16:00:00Z",
            "2025-02-29T16:00:00Z",
            "2025-11-24T24:00:00Z",
            "2025-11-24T16:60:00Z",
            "2025-11-24T16:00:61Z",
            " 2025-11-24T16:00:00Z",
            "2025-11-24T16:00:00Z ",
            "2025-11-24T16:00:0\u{fc}Z",
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
