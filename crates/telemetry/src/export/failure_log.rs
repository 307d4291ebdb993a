//! An exporter that logs at long intervals that its collector is away, and how many spans were lost.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

/// The shortest time between two log lines about failed exports.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Exports spans with another exporter, and logs its failures.
pub(super) struct LoggingExporter<E> {
    exporter: E,
    /// Where the spans go, for the log.
    collector: String,
    failures: Mutex<Failures>,
}

impl<E> LoggingExporter<E> {
    pub(super) fn new(exporter: E, collector: String) -> Self {
        Self {
            exporter,
            collector,
            failures: Mutex::default(),
        }
    }

    fn log(&self, result: &OTelSdkResult, spans: usize) {
        let failures = self.failures.lock();
        let mut failures = failures.unwrap_or_else(PoisonError::into_inner);
        let collector = &self.collector;
        match result {
            Ok(()) if failures.end() => {
                tracing::info!(collector, "traces are exported again");
            }
            Ok(()) => {}
            Err(error) => {
                if let Some(lost_spans) = failures.add(spans as u64, Instant::now()) {
                    tracing::warn!(
                        collector,
                        %error,
                        lost_spans,
                        "traces are not exported: the collector does not accept them; jobs are not affected"
                    );
                }
            }
        }
    }
}

impl<E: SpanExporter> SpanExporter for LoggingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.log(&result, spans);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E> fmt::Debug for LoggingExporter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggingExporter")
            .field("collector", &self.collector)
            .finish_non_exhaustive()
    }
}

/// The failed exports since the last log line.
#[derive(Default)]
struct Failures {
    lost_spans: u64,
    logged_at: Option<Instant>,
    has_failed: bool,
}

impl Failures {
    /// Counts the spans of a failed export. Returns how many were lost since the last log line, if a line is due.
    fn add(&mut self, spans: u64, now: Instant) -> Option<u64> {
        self.lost_spans += spans;
        self.has_failed = true;
        let is_recent = |at: Instant| now.saturating_duration_since(at) < LOG_INTERVAL;
        if self.logged_at.is_some_and(is_recent) {
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.lost_spans))
    }

    /// Records an export that succeeded. Returns whether the one before it failed.
    fn end(&mut self) -> bool {
        std::mem::take(&mut self.has_failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_that_is_away_causes_one_line_a_minute() {
        let start = Instant::now();
        let mut failures = Failures::default();
        assert!(!failures.end());
        assert_eq!(failures.add(5, start), Some(5));
        for second in 1..60 {
            assert_eq!(failures.add(2, start + Duration::from_secs(second)), None);
        }
        assert_eq!(failures.add(1, start + LOG_INTERVAL), Some(2 * 59 + 1));
        assert!(failures.end());
        assert!(!failures.end());
    }
}
