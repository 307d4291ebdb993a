//! The pauses between tries to reach a server that is away.

use std::time::Duration;

/// The first pause, and the longest.
const FIRST_MS: u64 = 50;
const LONGEST_MS: u64 = 1_000;

/// Doubles from one to the next, each with jitter so that a fleet does not come back all at once.
#[derive(Debug)]
pub(super) struct Pause {
    ms: u64,
}

impl Default for Pause {
    fn default() -> Self {
        Self { ms: FIRST_MS }
    }
}

impl Pause {
    /// The next pause.
    pub(super) fn next(&mut self) -> Duration {
        let pause = Duration::from_millis(rand::random_range(self.ms / 2..=self.ms));
        self.ms = (self.ms * 2).min(LONGEST_MS);
        pause
    }

    /// Begins anew with the first.
    pub(super) const fn reset(&mut self) {
        self.ms = FIRST_MS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest() {
        let mut pause = Pause::default();
        assert!(pause.next() <= Duration::from_millis(FIRST_MS));
        for _ in 0..20 {
            assert!(pause.next() <= Duration::from_millis(LONGEST_MS));
        }
        assert!(pause.next() >= Duration::from_millis(LONGEST_MS / 2));
    }
}
