//! The settings of the export, from the `OTEL_*` variables of OpenTelemetry's specification.
//!
//! A value that cannot be read is ignored with a warning, as the specification requires: these variables are often set for all
//! services of a cluster, and the export of traces must not keep a service from starting. Only what would make every
//! export fail is an error: a wrong endpoint, wrong headers, client certificates, or a protocol that needs another port.

use std::{path::PathBuf, time::Duration};

use opentelemetry_sdk::trace::Sampler;
use url::Url;

use super::{headers::Headers, pairs, sampling, setting_error::SettingError, variables::Variables};

const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const QUEUE_MAX: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
const BATCH_MAX: &str = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
const DELAY: &str = "OTEL_BSP_SCHEDULE_DELAY";
const BATCH_TIMEOUT: &str = "OTEL_BSP_EXPORT_TIMEOUT";
/// The collector's address without `OTEL_EXPORTER_OTLP_ENDPOINT`.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";
/// The path that is appended to `OTEL_EXPORTER_OTLP_ENDPOINT`.
const TRACES_PATH: &str = "v1/traces";
/// The highest value of OTEL_BSP_MAX_QUEUE_SIZE and OTEL_BSP_MAX_EXPORT_BATCH_SIZE.
const QUEUE_MAX_ALLOWED: u64 = 1_000_000;

/// How spans are exported.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    pub(super) endpoint: Url,
    pub(super) headers: Headers,
    /// A PEM file with certificates to trust for the collector, instead of the system's.
    pub(super) certificate: Option<PathBuf>,
    /// The timeout of one export, its retries included.
    pub(super) timeout: Duration,
    pub(super) sampler: Sampler,
    /// The most spans that wait. Further spans are dropped.
    pub(super) queue_max: usize,
    /// The most spans of one export.
    pub(super) batch_max: usize,
    /// The time between two exports, unless a batch is full.
    pub(super) delay: Duration,
    pub(super) service_name: Option<String>,
    /// Further attributes of the process: names and values.
    pub(super) resource: Vec<(String, String)>,
}

/// The settings in the variables.
#[derive(Clone, Debug)]
pub struct ParsedSettings {
    /// How spans are exported; `None` if they are not.
    pub settings: Option<TraceSettings>,
    /// The variables whose values are ignored.
    pub ignored: Vec<SettingError>,
}

impl TraceSettings {
    /// Reads the variables. An empty variable counts as unset. No spans are exported if neither an endpoint is set nor
    /// `OTEL_TRACES_EXPORTER=otlp`, or if a variable turns the export off.
    ///
    /// # Errors
    /// [`SettingError`]: the first variable that would make every export fail. While the export is off, only the variables that
    /// turn it on and off are read.
    pub fn read(source: &dyn Fn(&str) -> Option<String>) -> Result<ParsedSettings, SettingError> {
        let variables = Variables::new(source);
        let settings = if is_on(&variables) {
            Some(Self::read_all(&variables)?)
        } else {
            None
        };
        Ok(ParsedSettings {
            settings,
            ignored: variables.into_ignored(),
        })
    }

    fn read_all(variables: &Variables<'_>) -> Result<Self, SettingError> {
        check_protocol(variables)?;
        check_unsupported(variables)?;
        let (queue_max, batch_max) = sizes(variables);
        let timeout = match variables.of_traces("TIMEOUT") {
            Some((name, _)) => variables.timeout(&name),
            None => None,
        };
        let timeout = timeout.unwrap_or(Duration::from_secs(10));
        let batch_timeout = variables.timeout(BATCH_TIMEOUT);
        let certificate = variables.of_traces("CERTIFICATE");
        Ok(Self {
            endpoint: endpoint(variables)?,
            headers: Headers::read(variables)?,
            certificate: certificate.map(|(_, path)| PathBuf::from(path)),
            timeout: batch_timeout.map_or(timeout, |longest| timeout.min(longest)),
            sampler: sampling::read(variables),
            queue_max,
            batch_max,
            delay: variables.interval(DELAY).unwrap_or(Duration::from_secs(5)),
            service_name: variables.text(SERVICE_NAME),
            resource: resource(variables),
        })
    }

    /// The scheme, host and port of the collector.
    #[must_use]
    pub fn collector(&self) -> String {
        self.endpoint.origin().ascii_serialization()
    }
}

/// Whether spans are exported.
fn is_on(variables: &Variables<'_>) -> bool {
    match variables.word(DISABLED).as_deref() {
        Some("true") => return false,
        Some("false") | None => {}
        Some(_) => variables.ignore(DISABLED, "must be true or false"),
    }
    let exporters = variables.word(EXPORTER).unwrap_or_default();
    let exporters = || exporters.split(',').map(str::trim);
    if exporters().any(|name| !matches!(name, "otlp" | "none" | "")) {
        variables.ignore(
            EXPORTER,
            "must be otlp or none: other exporters are not supported",
        );
    }
    if exporters().any(|name| name == "otlp") {
        return true;
    }
    !exporters().any(|name| name == "none") && variables.of_traces("ENDPOINT").is_some()
}

/// The sizes of the queue and of a batch, in spans.
fn sizes(variables: &Variables<'_>) -> (usize, usize) {
    let size = |name| {
        let allowed = "must be a whole number of spans from 1 to 1000000";
        variables.number(name, 1..=QUEUE_MAX_ALLOWED, allowed)
    };
    let queue_max = size(QUEUE_MAX).unwrap_or(2_048);
    let batch_max = size(BATCH_MAX).unwrap_or(512.min(queue_max));
    if batch_max > queue_max {
        variables.ignore(
            BATCH_MAX,
            "must be at most OTEL_BSP_MAX_QUEUE_SIZE (2048 by default), which is used instead",
        );
    }
    let to_usize = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    (to_usize(queue_max), to_usize(batch_max.min(queue_max)))
}

fn resource(variables: &Variables<'_>) -> Vec<(String, String)> {
    let Some(text) = variables.text(RESOURCE_ATTRIBUTES) else {
        return Vec::new();
    };
    pairs::parse(&text).unwrap_or_else(|allowed| {
        variables.ignore(RESOURCE_ATTRIBUTES, allowed);
        Vec::new()
    })
}

fn check_protocol(variables: &Variables<'_>) -> Result<(), SettingError> {
    const GRPC: &str = "is grpc, which is not supported: set it to http/protobuf, and the endpoint to the port of the \
                        collector for OTLP over HTTP, which is usually 4318 instead of 4317";
    let Some((name, protocol)) = variables.of_traces("PROTOCOL") else {
        return Ok(());
    };
    match &*protocol.to_ascii_lowercase() {
        "http/protobuf" => {}
        "grpc" => return Err(SettingError::new(&name, GRPC)),
        // A collector accepts protobuf at the same port.
        _ => variables.ignore(&name, "must be http/protobuf, which is used instead"),
    }
    Ok(())
}

/// Checks variables whose features Forebay does not support.
fn check_unsupported(variables: &Variables<'_>) -> Result<(), SettingError> {
    for suffix in ["CLIENT_KEY", "CLIENT_CERTIFICATE"] {
        if let Some((name, _)) = variables.of_traces(suffix) {
            let problem = "must not be set: client certificates are not supported";
            return Err(SettingError::new(&name, problem));
        }
    }
    if let Some((name, compression)) = variables.of_traces("COMPRESSION")
        && !compression.eq_ignore_ascii_case("none")
    {
        // Every collector accepts spans without compression.
        variables.ignore(&name, "must be none: spans are sent without compression");
    }
    Ok(())
}

fn endpoint(variables: &Variables<'_>) -> Result<Url, SettingError> {
    const ALLOWED: &str =
        "must be the http: or https: URL of a collector, such as http://127.0.0.1:4318";
    let (name, text) = variables.of_traces("ENDPOINT").unwrap_or_else(|| {
        let name = String::from("OTEL_EXPORTER_OTLP_ENDPOINT");
        (name, DEFAULT_ENDPOINT.to_owned())
    });
    let refused = || SettingError::new(&name, ALLOWED);
    let mut url = Url::parse(&text).map_err(|_| refused())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(refused());
    }
    if !url.username().is_empty() || url.password().is_some() {
        let problem = "must not contain a user or a password, which would not be sent: set the header authorization in \
                       OTEL_EXPORTER_OTLP_HEADERS";
        return Err(SettingError::new(&name, problem));
    }
    if !name.ends_with("_TRACES_ENDPOINT") {
        let mut segments = url.path_segments_mut().map_err(|()| refused())?;
        segments.pop_if_empty().extend(TRACES_PATH.split('/'));
    }
    if url.as_str().parse::<http::Uri>().is_err() {
        return Err(refused());
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
