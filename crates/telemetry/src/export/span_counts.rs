//! Counts the spans that are exported and lost, and logs losses at long intervals.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The shortest time between two log lines about lost spans.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The spans since the start of the process. Spans that are not sampled do not count.
pub(super) struct SpanCounts {
    /// Where the spans go, for the log.
    collector: String,
    /// The most spans that wait for an export.
    waiting_max: u64,
    /// Put into the queue.
    queued: AtomicU64,
    /// Taken from the queue for an export.
    taken: AtomicU64,
    exported: AtomicU64,
    /// Taken by an export that failed.
    failed: AtomicU64,
    /// Lost for any reason.
    lost: AtomicU64,
    losses: Mutex<Losses>,
}

impl SpanCounts {
    pub(super) fn new(collector: String, waiting_max: usize) -> Self {
        Self {
            collector,
            waiting_max: waiting_max as u64,
            queued: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            exported: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            losses: Mutex::default(),
        }
    }

    /// Counts a span that has ended. Returns whether it may wait for its export. Otherwise it is lost.
    pub(super) fn queue(&self) -> bool {
        let queued = self.queued.fetch_add(1, Relaxed);
        if queued.saturating_sub(self.taken.load(Relaxed)) < self.waiting_max {
            return true;
        }
        self.queued.fetch_sub(1, Relaxed);
        self.lost.fetch_add(1, Relaxed);
        if let Some(lost_spans) = self.losses().add(1, Instant::now()) {
            tracing::warn!(
                collector = self.collector,
                lost_spans,
                "traces are not exported as fast as spans end: more than OTEL_BSP_MAX_QUEUE_SIZE spans wait; jobs are not affected"
            );
        }
        false
    }

    /// Counts spans that an export takes from the queue.
    pub(super) fn take(&self, spans: usize) {
        self.taken.fetch_add(spans as u64, Relaxed);
    }

    /// Counts the spans of an export that succeeded.
    pub(super) fn add_exported(&self, spans: usize) {
        self.exported.fetch_add(spans as u64, Relaxed);
        if let Some(lost_spans) = self.losses().end_failure() {
            tracing::info!(
                collector = self.collector,
                lost_spans,
                "traces are exported again"
            );
        }
    }

    /// Counts the spans of an export that failed.
    pub(super) fn add_failed(&self, spans: usize, error: &dyn std::error::Error) {
        self.failed.fetch_add(spans as u64, Relaxed);
        self.lost.fetch_add(spans as u64, Relaxed);
        let mut losses = self.losses();
        losses.has_failed = true;
        if let Some(lost_spans) = losses.add(spans as u64, Instant::now()) {
            tracing::warn!(
                collector = self.collector,
                %error,
                lost_spans,
                "traces are not exported: the collector was not reached or did not accept them; jobs are not affected"
            );
        }
    }

    /// Counts all spans that are not exported yet as lost, because the process ends: spans that wait, and spans of an export that
    /// has not ended. Logs how many spans were lost since the last log line.
    pub(super) fn end(&self) {
        let queued = self.queued.load(Relaxed);
        let ended = self.exported.load(Relaxed) + self.failed.load(Relaxed);
        let unsent = queued.saturating_sub(ended);
        self.lost.fetch_add(unsent, Relaxed);
        let lost_spans = std::mem::take(&mut self.losses().unlogged) + unsent;
        if lost_spans > 0 {
            tracing::warn!(
                collector = self.collector,
                lost_spans,
                "the last spans were not sent before the exit: the collector did not accept them in time"
            );
        }
    }

    /// The spans that were exported and lost.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.exported.load(Relaxed), self.lost.load(Relaxed))
    }

    fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The losses since the last log line.
#[derive(Default)]
struct Losses {
    unlogged: u64,
    logged_at: Option<Instant>,
    /// Whether the last export failed.
    has_failed: bool,
}

impl Losses {
    /// Adds lost spans. Returns how many were lost since the last log line, if a line is due.
    fn add(&mut self, spans: u64, now: Instant) -> Option<u64> {
        self.unlogged += spans;
        let is_recent = |at: Instant| now.saturating_duration_since(at) < LOG_INTERVAL;
        if self.logged_at.is_some_and(is_recent) {
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }

    /// Records an export that succeeded. If the export before it failed, returns how many spans were lost since the last log line.
    fn end_failure(&mut self) -> Option<u64> {
        let has_failed = std::mem::take(&mut self.has_failed);
        has_failed.then(|| std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_cause_one_line_a_minute() {
        let start = Instant::now();
        let mut losses = Losses::default();
        assert_eq!(losses.end_failure(), None);
        assert_eq!(losses.add(5, start), Some(5));
        for second in 1..60 {
            assert_eq!(losses.add(2, start + Duration::from_secs(second)), None);
        }
        assert_eq!(losses.add(1, start + LOG_INTERVAL), Some(2 * 59 + 1));
        losses.has_failed = true;
        assert_eq!(losses.add(3, start + LOG_INTERVAL), None);
        assert_eq!(losses.end_failure(), Some(3));
        assert_eq!(losses.end_failure(), None);
    }

    #[test]
    fn a_span_that_finds_the_queue_full_is_lost() {
        let counts = SpanCounts::new(String::from("http://collector"), 2);
        assert!(counts.queue());
        assert!(counts.queue());
        assert!(!counts.queue());
        assert_eq!(counts.totals(), (0, 1));
        counts.take(2);
        counts.add_exported(1);
        counts.add_failed(1, &std::fmt::Error);
        assert_eq!(counts.totals(), (1, 2));
        assert!(counts.queue());
        counts.end();
        assert_eq!(counts.totals(), (1, 3));
    }
}
