//! The arguments of a script, as they go over the wire.

use forebay_shared::time::TimeMs;

/// The latest moment that is stored, far beyond any bound: scores are doubles, whole up to 2^53, and an
/// expiry beyond the range of Redis would be an error in the middle of a script.
pub(super) const MS_MAX: u64 = 9_000_000_000_000_000;

/// A list of arguments.
#[derive(Debug, Default)]
pub(super) struct Arguments(Vec<Vec<u8>>);

impl Arguments {
    /// Appends text or bytes.
    pub(super) fn push(&mut self, argument: impl Into<Vec<u8>>) -> &mut Self {
        self.0.push(argument.into());
        self
    }

    /// Appends a number.
    pub(super) fn int(&mut self, number: impl Into<i128>) -> &mut Self {
        self.push(number.into().to_string())
    }

    /// Appends a length or a place.
    pub(super) fn size(&mut self, size: usize) -> &mut Self {
        self.push(size.to_string())
    }

    /// Appends a moment.
    pub(super) fn at(&mut self, at: TimeMs) -> &mut Self {
        self.push(ms(at))
    }

    /// All of them.
    pub(super) fn as_slice(&self) -> &[Vec<u8>] {
        &self.0
    }
}

/// A moment as it is stored.
pub(super) fn ms(at: TimeMs) -> String {
    at.0.min(MS_MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_beyond_all_bounds_stays_within_the_range_of_a_score() {
        assert_eq!(ms(TimeMs(u64::MAX)), "9000000000000000");
        assert_eq!(ms(TimeMs(1_764_000_000_120)), "1764000000120");
    }
}
