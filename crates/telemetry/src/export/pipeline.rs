//! Makes the tracer from the settings: sampler, bounded queue, exporter and HTTP client.

use std::{fs, io, path::Path, sync::Arc, thread};

use opentelemetry::{InstrumentationScope, KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    resource::TelemetryResourceDetector,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider},
};
use reqwest::{Certificate, blocking::Client, redirect::Policy};

use super::{
    counted::{CountedExporter, CountedQueue},
    service::Service,
    settings::TraceSettings,
    span_counts::SpanCounts,
};

/// Why the export could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file of certificates cannot be used.
    #[error("OTEL_EXPORTER_OTLP_CERTIFICATE must be a PEM file with certificates")]
    Certificate(#[source] io::Error),
    /// The HTTP client cannot be set up, for example because the system has no certificates.
    #[error("the HTTP client for the collector cannot be set up")]
    Client(#[source] reqwest::Error),
    /// The exporter cannot be set up.
    #[error("the export of traces cannot be set up")]
    Exporter(#[source] ExporterBuildError),
    /// The system refuses a thread.
    #[error("the thread that exports traces cannot be started")]
    Thread(#[source] io::Error),
}

/// Builds the provider of the tracer, and starts the thread that exports its spans.
pub(super) fn build(
    settings: &TraceSettings,
    service: Service<'_>,
    counts: Arc<SpanCounts>,
) -> Result<SdkTracerProvider, StartError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(settings.endpoint.as_str())
        .with_timeout(settings.timeout)
        .with_headers(settings.headers.exposed())
        .with_http_client(client_off_async_threads(settings)?)
        .build()
        .map_err(StartError::Exporter)?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(settings.queue_max)
        .with_max_export_batch_size(settings.batch_max)
        .with_scheduled_delay(settings.delay)
        .build();
    let exporter = CountedExporter::new(exporter, Arc::clone(&counts));
    let queue = BatchSpanProcessor::new(exporter, batches);
    Ok(SdkTracerProvider::builder()
        .with_sampler(settings.sampler.clone())
        .with_resource(resource(settings, service))
        .with_span_processor(CountedQueue::new(queue, counts))
        .build())
}

/// The tracer of all spans.
pub(super) fn tracer(provider: &SdkTracerProvider, version: &str) -> SdkTracer {
    let scope = InstrumentationScope::builder("forebay").with_version(version.to_owned());
    provider.tracer_with_scope(scope.build())
}

/// How the collector names this process. `OTEL_SERVICE_NAME` takes precedence over `OTEL_RESOURCE_ATTRIBUTES`.
fn resource(settings: &TraceSettings, service: Service<'_>) -> Resource {
    let own = [
        ("service.name", service.name),
        ("service.version", service.version),
        ("service.instance.id", service.instance),
    ];
    let own = own.map(|(name, value)| KeyValue::new(name, value.to_owned()));
    let configured = settings.resource.iter().cloned();
    let configured = configured.map(|(name, value)| KeyValue::new(name, value));
    let name = settings.service_name.clone();
    let name = name.map(|name| KeyValue::new("service.name", name));
    // The detector adds the attributes `telemetry.sdk.*`, which the specification requires.
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(own.into_iter().chain(configured).chain(name))
        .build()
}

/// The HTTP client. A blocking client must not be built on a thread of the async runtime.
fn client_off_async_threads(settings: &TraceSettings) -> Result<Client, StartError> {
    thread::scope(|scope| {
        let building = thread::Builder::new()
            .name(String::from("forebay-traces"))
            .spawn_scoped(scope, || client(settings))
            .map_err(StartError::Thread)?;
        building
            .join()
            .unwrap_or_else(|_| Err(StartError::Thread(io::Error::other("the thread panicked"))))
    })
}

fn client(settings: &TraceSettings) -> Result<Client, StartError> {
    let mut builder = Client::builder()
        .timeout(settings.timeout)
        // The headers may hold a key, which must not go to another host.
        .redirect(Policy::none());
    if let Some(path) = &settings.certificate {
        builder = builder.tls_certs_only(certificates(path)?);
    } else if settings.endpoint.scheme() == "http" {
        // Plain HTTP needs no certificates, and a minimal machine may have none to load.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(StartError::Client)
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, StartError> {
    let pem = fs::read(path).map_err(StartError::Certificate)?;
    let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if certificates.is_empty() {
        let error = io::Error::other("the file has no certificate that can be read");
        return Err(StartError::Certificate(error));
    }
    Ok(certificates)
}
