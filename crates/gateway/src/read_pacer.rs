//! Limits how often this process reads jobs for requests that wait without notices. Many such requests must not overload the
//! store.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// The least time between two reads: at most 500 reads in a second.
const READ_INTERVAL: Duration = Duration::from_millis(2);

/// How long after its deadline a request may still read. Its last read is due at the deadline, and may have to wait for other reads.
const LATE_MAX: Duration = Duration::from_millis(250);

/// Gives each read its time, in the order of the requests.
#[derive(Debug, Default)]
pub(crate) struct ReadPacer {
    /// When the next read may begin. `None` before the first read.
    next: Mutex<Option<Instant>>,
}

impl ReadPacer {
    /// Waits until the caller may read, at most until shortly after `deadline`. Returns false, at the deadline, if the caller may
    /// not read by then. Such a caller delays no other read.
    pub(crate) async fn wait_to_read(&self, deadline: Instant) -> bool {
        let read_at = self.schedule_read(Instant::now(), deadline + LATE_MAX);
        sleep_until(read_at.unwrap_or(deadline)).await;
        read_at.is_some()
    }

    /// Schedules the caller's read. `None` if the read cannot begin by `latest`.
    fn schedule_read(&self, now: Instant, latest: Instant) -> Option<Instant> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let read_at = next.map_or(now, |next| next.max(now));
        if read_at > latest {
            return None;
        }
        *next = Some(read_at + READ_INTERVAL);
        Some(read_at)
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
            reads += u32::from(pacer.schedule_read(deadline, deadline + LATE_MAX).is_some());
        }
        assert_eq!(reads, 126);
        // The others do not wait for a read that would be too late.
        assert!(!pacer.wait_to_read(deadline).await);
        assert_eq!(Instant::now(), deadline);
    }

    #[test]
    fn many_requests_read_at_most_500_times_in_a_second() {
        let pacer = ReadPacer::default();
        let start = Instant::now();
        let in_a_second = start + Duration::from_millis(999);
        let reads: Vec<_> = (0..10_000)
            .filter_map(|_| pacer.schedule_read(start, in_a_second))
            .collect();
        assert_eq!(reads.len(), 500);
        assert!(reads.is_sorted());
        // Requests that may not read delay no later request.
        let later = start + Duration::from_secs(2);
        assert_eq!(pacer.schedule_read(later, later), Some(later));
    }
}
