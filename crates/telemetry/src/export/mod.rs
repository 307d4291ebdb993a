//! Sends spans to a collector over OTLP. The `OTEL_*` variables of OpenTelemetry set it up, and nothing else does.
//!
//! - [`settings`]: reads and checks the variables; `pairs` reads lists of names and values, `sampling` the sampler.
//! - `pipeline`: makes the tracer from the settings.
//! - `failure_log`: the exporter, with a log line at long intervals while the collector is away.
//!
//! Without the variables there is no tracer, no thread and no connection. A process has one tracer, as it has one log.

mod failure_log;
mod pairs;
mod pipeline;
mod sampling;
mod service;
mod setting_error;
mod settings;

use std::{sync::OnceLock, time::Duration};

use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

pub use pipeline::StartError;
pub use service::Service;
pub use setting_error::SettingError;
pub use settings::TraceSettings;

/// The export, once it has started.
static EXPORT: OnceLock<Export> = OnceLock::new();

struct Export {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
}

/// Starts the export. Must be called once, before the first span.
///
/// # Errors
/// [`StartError`] if the HTTP client cannot be set up.
pub fn start(settings: &TraceSettings, service: Service<'_>) -> Result<(), StartError> {
    let provider = pipeline::build(settings, service)?;
    EXPORT.get_or_init(|| Export {
        tracer: pipeline::tracer(&provider, service.version),
        provider,
    });
    Ok(())
}

/// Sends the spans that have ended, and ends the export. Blocks, at most for `timeout`. Spans that the collector has not accepted
/// by then are lost.
pub fn stop(timeout: Duration) {
    if let Some(export) = EXPORT.get() {
        // An error means that the collector did not answer in time, which the exporter logs.
        let _ = export.provider.shutdown_with_timeout(timeout);
    }
}

/// The tracer, if spans are exported.
pub(crate) fn tracer() -> Option<&'static SdkTracer> {
    EXPORT.get().map(|export| &export.tracer)
}
