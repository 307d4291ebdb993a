//! The delay before an operation that failed is repeated. The delay doubles up to a bound and has random jitter.
//!
//! A caller counts the failures in a row, gets the next delay from [`Backoff::delay`], and sleeps:
//!
//! ```
//! use std::time::Duration;
//! use forebay_shared::backoff::Backoff;
//!
//! const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
//! let failures = 3; // 0 after a success
//! let random = 0.5; // `rand::random()` in a caller
//! assert_eq!(BACKOFF.delay(failures, random), Duration::from_millis(600));
//! ```

use std::time::Duration;

/// How long to wait before an operation that failed is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
}

impl Backoff {
    /// A backoff whose longest delay is `first` after the first failure. The longest delay doubles with each further failure, up
    /// to `max`.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max }
    }

    /// The delay after a failure, with `failures` earlier failures in a row.
    ///
    /// `random` is uniform from 0 to 1. It selects a delay between half of the longest delay and all of it. So
    /// processes that failed at the same time repeat at different times.
    #[must_use]
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        let longest = 1_u32
            .checked_shl(failures)
            .map_or(Duration::MAX, |factor| self.first.saturating_mul(factor))
            .min(self.max);
        let shortest = longest / 2;
        shortest + (longest - shortest).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::Backoff;

    const FIRST: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(2);
    const BACKOFF: Backoff = Backoff::new(FIRST, MAX);

    #[test]
    fn the_delay_doubles_up_to_its_bound() {
        let longest = |failures| BACKOFF.delay(failures, 1.0);
        let doubled = [1, 2, 4, 8].map(|factor| FIRST * factor);
        assert_eq!([0, 1, 2, 3].map(longest), doubled);
        assert_eq!([5, 31, 32, u32::MAX].map(longest), [MAX; 4]);
    }

    #[test]
    fn jitter_shortens_the_delay_by_at_most_half() {
        assert_eq!(BACKOFF.delay(1, 0.0), FIRST);
        assert_eq!(BACKOFF.delay(1, 0.5), FIRST * 3 / 2);
        assert_eq!(BACKOFF.delay(1, 1.0), FIRST * 2);
    }

    proptest! {
        #[test]
        fn the_delay_is_within_its_bounds(failures in any::<u32>(), random in 0.0..=1.0) {
            let delay = BACKOFF.delay(failures, random);
            prop_assert!((FIRST / 2..=MAX).contains(&delay));
        }
    }
}
