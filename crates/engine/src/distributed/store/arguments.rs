//! The arguments of a script, as they are sent to Redis.

use forebay_shared::time::TimeMs;

/// The latest time that is stored, in milliseconds. It replaces later times, for two reasons. Scores are doubles, which
/// hold only integers up to 2^53 exactly. An expiry beyond the range of Redis would stop a script after some of its
/// writes.
pub(super) const MS_MAX: u64 = 9_000_000_000_000_000;

/// A list of arguments.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    list: Vec<Vec<u8>>,
    bytes: usize,
}

impl Arguments {
    /// Appends a string or bytes.
    pub(super) fn push(&mut self, argument: impl Into<Vec<u8>>) -> &mut Self {
        let argument = argument.into();
        self.bytes += argument.len();
        self.list.push(argument);
        self
    }

    /// Appends an integer.
    pub(super) fn push_int(&mut self, number: impl Into<i128>) -> &mut Self {
        self.push(number.into().to_string())
    }

    /// Appends a number of items or bytes.
    pub(super) fn push_size(&mut self, size: usize) -> &mut Self {
        self.push(size.to_string())
    }

    /// Appends a time.
    pub(super) fn push_time(&mut self, at: TimeMs) -> &mut Self {
        self.push(time_argument(at))
    }

    /// Appends a time, or an empty string for none.
    pub(super) fn push_optional_time(&mut self, at: Option<TimeMs>) -> &mut Self {
        self.push(at.map(time_argument).unwrap_or_default())
    }

    /// Returns all arguments.
    pub(super) fn as_slice(&self) -> &[Vec<u8>] {
        &self.list
    }

    /// The bytes of all arguments together.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A time as the text that is stored: milliseconds, at most [`MS_MAX`].
pub(super) fn time_argument(at: TimeMs) -> String {
    at.0.min(MS_MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_beyond_the_range_of_a_score_becomes_the_latest_time() {
        assert_eq!(time_argument(TimeMs(u64::MAX)), "9000000000000000");
        assert_eq!(time_argument(TimeMs(1_764_000_000_120)), "1764000000120");
    }
}
