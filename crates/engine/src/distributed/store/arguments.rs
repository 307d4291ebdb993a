//! The arguments of a script, as they are sent to Redis.

use std::{fmt, io::Write as _};

use forebay_shared::time::TimeMs;

/// The latest time that is stored, in milliseconds. It replaces later times, for two reasons. Scores are doubles, which
/// hold only integers up to 2^53 exactly. An expiry beyond the range of Redis would stop a script after some of its
/// writes.
pub(super) const MS_MAX: u64 = 9_000_000_000_000_000;

/// A list of arguments. All share one buffer, because a commit has about fifty arguments.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    bytes: Vec<u8>,
    /// Where each argument ends in `bytes`.
    ends: Vec<usize>,
}

impl Arguments {
    /// An empty list with space for a commit.
    pub(super) fn for_commit() -> Self {
        Self {
            bytes: Vec::with_capacity(2 * 1024),
            ends: Vec::with_capacity(64),
        }
    }

    /// Appends a string or bytes.
    pub(super) fn push(&mut self, argument: impl AsRef<[u8]>) -> &mut Self {
        self.bytes.extend_from_slice(argument.as_ref());
        self.end_argument()
    }

    /// Appends a value as text.
    pub(super) fn push_text(&mut self, value: impl fmt::Display) -> &mut Self {
        // A write to a vector cannot fail.
        let _always_ok = write!(self.bytes, "{value}");
        self.end_argument()
    }

    /// Appends a time.
    pub(super) fn push_time(&mut self, at: TimeMs) -> &mut Self {
        self.push_text(storable(at))
    }

    /// Appends a time, or an empty string for none.
    pub(super) fn push_optional_time(&mut self, at: Option<TimeMs>) -> &mut Self {
        match at {
            Some(at) => self.push_time(at),
            None => self.push(""),
        }
    }

    fn end_argument(&mut self) -> &mut Self {
        self.ends.push(self.bytes.len());
        self
    }

    /// Returns all arguments.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends);
        ranges.map(|(start, end)| &self.bytes[start..*end])
    }

    /// How many arguments there are.
    pub(super) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of all arguments together.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// The time in milliseconds, at most [`MS_MAX`].
fn storable(at: TimeMs) -> u64 {
    at.0.min(MS_MAX)
}

/// A time as the text that is stored: milliseconds, at most [`MS_MAX`].
pub(super) fn time_argument(at: TimeMs) -> String {
    storable(at).to_string()
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
