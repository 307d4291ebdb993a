//! Sends spans to a collector over OTLP. The `OTEL_*` variables of OpenTelemetry set it up, and nothing else does.
//!
//! - `settings`: reads and checks the variables; `variables` reads single ones, `pairs` lists of names and values,
//!   `headers` the headers of each export, `sampling` the sampler.
//! - `pipeline`: makes the tracer from the settings.
//! - `counted`: the bounded queue and the exporter. `span_counts`: their counts, and a log line at long intervals about lost spans.
//!
//! Without the variables there is no tracer, no thread and no connection. A process has one tracer, as it has one log.

mod counted;
mod headers;
mod pairs;
mod pipeline;
mod sampling;
mod service;
mod setting_error;
mod settings;
mod span_counts;
mod variables;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

pub use pipeline::StartError;
pub use service::Service;
pub use setting_error::SettingError;
pub use settings::{ParsedSettings, TraceSettings};

use span_counts::SpanCounts;

/// The export, once it has started.
static EXPORT: OnceLock<Export> = OnceLock::new();

struct Export {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    counts: Arc<SpanCounts>,
}

/// The sampled spans since the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanTotals {
    /// Accepted by the collector.
    pub exported: u64,
    /// Lost, because too many waited, or because the collector did not accept them.
    pub lost: u64,
}

/// Starts the export. Must be called once, before the first span.
///
/// # Errors
/// [`StartError`] if the HTTP client cannot be set up.
pub fn start(settings: &TraceSettings, service: Service<'_>) -> Result<(), StartError> {
    let counts = Arc::new(SpanCounts::new(settings.collector(), settings.queue_max));
    let provider = pipeline::build(settings, service, Arc::clone(&counts))?;
    EXPORT.get_or_init(|| Export {
        tracer: pipeline::tracer(&provider, service.version),
        provider,
        counts,
    });
    Ok(())
}

/// Sends the spans that have ended, and ends the export. Blocks, at most for `timeout`. Spans that the collector has not accepted
/// by then are lost, and the log reports their number.
pub fn stop(timeout: Duration) {
    if let Some(export) = EXPORT.get() {
        // An error means that the collector did not answer in time. Then the counts show spans that are not sent.
        let _ = export.provider.shutdown_with_timeout(timeout);
        export.counts.end();
    }
}

/// How many spans were exported and lost. `None` if no spans are exported.
#[must_use]
pub fn span_totals() -> Option<SpanTotals> {
    let (exported, lost) = EXPORT.get()?.counts.totals();
    Some(SpanTotals { exported, lost })
}

/// The tracer, if spans are exported.
pub(crate) fn tracer() -> Option<&'static SdkTracer> {
    EXPORT.get().map(|export| &export.tracer)
}
