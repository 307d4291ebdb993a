//! Limits how many log lines an event of one kind may cause, so that a flood of events does not fill the log.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Permits at most `lines` log lines in each interval, and counts the events beyond.
#[derive(Debug)]
pub struct LogLimit {
    lines: u32,
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the current interval began.
    began: Option<Instant>,
    /// The lines of the current interval.
    logged: u32,
    /// The events that were not logged and are not reported yet.
    unlogged: u64,
}

impl LogLimit {
    /// A limit of `lines` in each interval.
    #[must_use]
    pub const fn new(lines: u32, interval: Duration) -> Self {
        Self {
            lines,
            interval,
            state: Mutex::new(State {
                began: None,
                logged: 0,
                unlogged: 0,
            }),
        }
    }

    /// `None` if the event must not be logged; it is counted. Otherwise returns how many events of earlier intervals were counted and
    /// not returned before.
    pub fn permit(&self) -> Option<u64> {
        let mut state = self.state();
        let now = Instant::now();
        let mut earlier = 0;
        let has_ended = |began: Instant| now - began >= self.interval;
        if state.began.is_none_or(has_ended) {
            earlier = std::mem::take(&mut state.unlogged);
            state.began = Some(now);
            state.logged = 0;
        }
        if state.logged < self.lines {
            state.logged += 1;
            Some(earlier)
        } else {
            state.unlogged += 1;
            None
        }
    }

    /// Returns the number of events that were counted and not returned before. Returns 0 until the interval in which they
    /// were counted has ended.
    pub fn take_unlogged(&self) -> u64 {
        let mut state = self.state();
        let has_ended = state
            .began
            .is_some_and(|began| began.elapsed() >= self.interval);
        if has_ended {
            std::mem::take(&mut state.unlogged)
        } else {
            0
        }
    }

    /// How often [`take_unlogged`](Self::take_unlogged) should be called.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::LogLimit;

    #[tokio::test(start_paused = true)]
    async fn events_beyond_the_limit_are_counted_and_reported_once() {
        let limit = LogLimit::new(2, Duration::from_secs(1));
        let permitted: Vec<u64> = (0..10).filter_map(|_| limit.permit()).collect();
        assert_eq!(permitted, [0, 0]);
        assert_eq!(limit.take_unlogged(), 0, "the interval has not ended");
        advance(Duration::from_secs(1)).await;
        assert_eq!(limit.take_unlogged(), 8);
        assert_eq!(limit.take_unlogged(), 0);
        assert_eq!(limit.permit(), Some(0), "a new interval begins");
        assert_eq!(limit.permit(), Some(0));
        assert_eq!(limit.permit(), None);
        advance(Duration::from_secs(1)).await;
        assert_eq!(limit.permit(), Some(1), "the next line has the count too");
    }
}
