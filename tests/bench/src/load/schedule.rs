//! Arrivals at a fixed rate. A job is due at its time even if earlier jobs are late, so a slow server does not slow down the
//! load.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// The arrivals of a load. Several connections share it.
#[derive(Debug)]
pub(super) struct Schedule {
    began: Instant,
    interval: Duration,
    jobs: usize,
    next: AtomicUsize,
}

impl Schedule {
    /// Begins now. `rate_per_s` must be above 0.
    pub(super) fn begin(rate_per_s: f64, jobs: usize) -> Self {
        Self {
            began: Instant::now(),
            interval: Duration::from_secs_f64(1.0 / rate_per_s),
            jobs,
            next: AtomicUsize::new(0),
        }
    }

    /// Waits until the next job is due. Returns its number and when it was due; `None` after the last one.
    pub(super) async fn next(&self) -> Option<(usize, Instant)> {
        let number = self.next.fetch_add(1, Relaxed);
        if number >= self.jobs {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a time in a load of minutes")]
        let due = self.began + self.interval.mul_f64(number as f64);
        tokio::time::sleep_until(due.into()).await;
        Some((number, due))
    }
}

/// The time since a moment, in microseconds.
pub(super) fn elapsed_us(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
}
