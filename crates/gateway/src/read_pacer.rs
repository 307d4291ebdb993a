//! Limits how often this process reads jobs for requests that wait without notices. Many such requests must not overload the
//! store.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// The least time between two reads: at most 500 reads in a second.
const READ_INTERVAL: Duration = Duration::from_millis(2);

/// How long after its deadline a request may still read. So its last read can be at its deadline.
const LATE_MAX: Duration = Duration::from_millis(250);

/// Gives each read its time, in the order of the requests.
#[derive(Debug, Default)]
pub(crate) struct ReadPacer {
    /// When the next read may begin. `None` before the first read.
    next: Mutex<Option<Instant>>,
}

impl ReadPacer {
    /// Waits until the caller may read, at most until shortly after `deadline`. Returns false, at the deadline, if the caller may
    /// not read until then. Such a caller takes no time from others.
    pub(crate) async fn wait_turn(&self, deadline: Instant) -> bool {
        let turn = self.take_turn(Instant::now(), deadline + LATE_MAX);
        sleep_until(turn.unwrap_or(deadline)).await;
        turn.is_some()
    }

    fn take_turn(&self, now: Instant, latest: Instant) -> Option<Instant> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.map_or(now, |next| next.max(now));
        if turn > latest {
            return None;
        }
        *next = Some(turn + READ_INTERVAL);
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{LATE_MAX, ReadPacer};

    #[tokio::test(start_paused = true)]
    async fn requests_whose_deadlines_come_together_do_not_read_all_at_once() {
        let pacer = ReadPacer::default();
        let deadline = Instant::now();
        let mut reads = 0;
        for _ in 0..10_000 {
            reads += u32::from(pacer.take_turn(deadline, deadline + LATE_MAX).is_some());
        }
        assert_eq!(reads, 126);
        // The others do not wait for a turn that comes too late.
        assert!(!pacer.wait_turn(deadline).await);
        assert_eq!(Instant::now(), deadline);
    }

    #[test]
    fn many_requests_read_at_most_500_times_in_a_second() {
        let pacer = ReadPacer::default();
        let start = Instant::now();
        let in_a_second = start + Duration::from_millis(999);
        let turns: Vec<_> = (0..10_000)
            .filter_map(|_| pacer.take_turn(start, in_a_second))
            .collect();
        assert_eq!(turns.len(), 500);
        assert!(turns.is_sorted());
        // Requests that got no turn delay no later request.
        let later = start + Duration::from_secs(2);
        assert_eq!(pacer.take_turn(later, later), Some(later));
    }
}
