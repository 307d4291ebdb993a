//! How long to wait before the next try to connect.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);

/// Short enough that a broker which is back is in use at once: what this adds to an outage counts against the
/// half minute for which submits are accepted without it, and one that goes away again soon must have been used
/// in between. To a port that is closed a try costs next to nothing.
const LONGEST: Duration = Duration::from_secs(2);

/// Doubles from try to try. The wait is drawn from the upper half, so that a fleet which lost its broker
/// at one moment does not come back at one moment.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    pub(super) fn next(&mut self) -> Duration {
        let ceiling = ceiling(self.failures);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(rand::random_range(0.5..=1.0))
    }
}

fn ceiling(failures: u32) -> Duration {
    FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::{Backoff, FIRST, LONGEST, ceiling};

    #[test]
    fn doubles_up_to_its_bound() {
        assert_eq!(ceiling(0), FIRST);
        assert_eq!(ceiling(1), FIRST * 2);
        assert_eq!(ceiling(u32::MAX), LONGEST);
        let mut backoff = Backoff::default();
        for failures in 0..100 {
            let wait = backoff.next();
            assert!(wait <= ceiling(failures) && wait * 2 >= ceiling(failures));
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
