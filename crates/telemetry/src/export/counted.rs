//! The queue and the exporter of the SDK, with counts of their spans.
//!
//! The SDK's queue drops spans without a report when it is full. So [`CountedQueue`] stands before it and has the same limit.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};

use super::span_counts::SpanCounts;

/// Passes spans to the SDK's queue, unless it is full.
pub(super) struct CountedQueue<P> {
    queue: P,
    counts: Arc<SpanCounts>,
    is_closed: AtomicBool,
}

impl<P> CountedQueue<P> {
    pub(super) const fn new(queue: P, counts: Arc<SpanCounts>) -> Self {
        Self {
            queue,
            counts,
            is_closed: AtomicBool::new(false),
        }
    }
}

impl<P: SpanProcessor> SpanProcessor for CountedQueue<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let is_kept = span.span_context.is_sampled() && !self.is_closed.load(Relaxed);
        if is_kept && self.counts.queue() {
            self.queue.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.is_closed.store(true, Relaxed);
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}

impl<P> fmt::Debug for CountedQueue<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedQueue").finish_non_exhaustive()
    }
}

/// Exports spans with another exporter, and counts them.
pub(super) struct CountedExporter<E> {
    exporter: E,
    counts: Arc<SpanCounts>,
}

impl<E> CountedExporter<E> {
    pub(super) const fn new(exporter: E, counts: Arc<SpanCounts>) -> Self {
        Self { exporter, counts }
    }
}

impl<E: SpanExporter> SpanExporter for CountedExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.counts.take(spans);
        let result = self.exporter.export(batch).await;
        match &result {
            Ok(()) => self.counts.add_exported(spans),
            Err(error) => self.counts.add_failed(spans, error),
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E> fmt::Debug for CountedExporter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedExporter").finish_non_exhaustive()
    }
}
