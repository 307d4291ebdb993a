//! The store's clock: the machine's clock, made monotonic for the life of the process.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use forebay_shared::time::TimeMs;

/// Follows the machine's clock, but never goes backwards.
#[derive(Debug, Default)]
pub(super) struct SystemClock {
    latest_ms: AtomicU64,
}

impl SystemClock {
    /// The current time, or the latest time returned so far if the machine's clock was set back.
    pub(super) fn now(&self) -> TimeMs {
        let machine_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            });
        let previous_ms = self.latest_ms.fetch_max(machine_ms, Ordering::Relaxed);
        TimeMs(previous_ms.max(machine_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_does_not_go_back_when_the_machines_clock_is_set_back() {
        let clock = SystemClock::default();
        let ahead = clock.now().plus_ms(3_600_000);
        clock.latest_ms.store(ahead.0, Ordering::Relaxed);
        assert_eq!(clock.now(), ahead);
    }
}
