//! The latency of the simulated provider, in milliseconds: a time such as `250`, or a range such as
//! `2000-5000`.

use std::{fmt, str::FromStr};

/// The time that each call takes: fixed, or drawn uniformly from a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    min_ms: u64,
    max_ms: u64,
}

/// The text is not a latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be milliseconds such as 250, or a range such as 2000-5000, of at most {max} and with the \
     smaller number first",
    max = Latency::MS_MAX
)]
pub struct LatencyError;

impl Latency {
    /// The longest latency, in milliseconds.
    pub const MS_MAX: u64 = 600_000;

    /// The same time for every call, at most [`MS_MAX`](Self::MS_MAX).
    #[must_use]
    pub const fn fixed_ms(ms: u64) -> Self {
        let ms = if ms > Self::MS_MAX { Self::MS_MAX } else { ms };
        Self {
            min_ms: ms,
            max_ms: ms,
        }
    }

    /// Draws the time of one call, in milliseconds.
    #[must_use]
    pub fn draw_ms(self) -> u64 {
        rand::random_range(self.min_ms..=self.max_ms)
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::fixed_ms(250)
    }
}

impl FromStr for Latency {
    type Err = LatencyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ms = |text: &str| text.trim().parse::<u64>().map_err(|_| LatencyError);
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        let (min_ms, max_ms) = (ms(min)?, ms(max)?);
        if min_ms > max_ms || max_ms > Self::MS_MAX {
            return Err(LatencyError);
        }
        Ok(Self { min_ms, max_ms })
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min_ms == self.max_ms {
            write!(f, "{}", self.min_ms)
        } else {
            write!(f, "{}-{}", self.min_ms, self.max_ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Latency, LatencyError};

    #[test]
    fn times_and_ranges_are_read() {
        for (text, printed) in [
            ("250", "250"),
            ("0", "0"),
            (" 1 - 2 ", "1-2"),
            ("2000-5000", "2000-5000"),
            ("7-7", "7"),
            ("600000", "600000"),
        ] {
            assert_eq!(
                text.parse::<Latency>().map(|latency| latency.to_string()),
                Ok(printed.to_owned())
            );
        }
        for text in [
            "", "x", "-1", "5-2", "600001", "1-600001", "1-2-3", "1.5", "250ms",
        ] {
            assert_eq!(text.parse::<Latency>(), Err(LatencyError), "text {text:?}");
        }
    }

    #[test]
    fn times_are_drawn_from_the_range() {
        let range: Latency = "3-5".parse().expect("the range is valid");
        for _ in 0..200 {
            assert!((3..=5).contains(&range.draw_ms()));
        }
        assert_eq!(Latency::fixed_ms(9).draw_ms(), 9);
    }
}
