//! The settings of the export, from the `OTEL_*` variables of OpenTelemetry's specification.
//!
//! Unlike the specification, a value that cannot be used is an error and not ignored, as for every other setting of Forebay.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue};
use opentelemetry_sdk::trace::Sampler;
use url::Url;

use super::{pairs, sampling, setting_error::SettingError};

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
/// What follows `OTEL_EXPORTER_OTLP_ENDPOINT`.
const TRACES_PATH: &str = "v1/traces";

/// The allowed times, in milliseconds.
const MS_ALLOWED: RangeInclusive<u64> = 1..=600_000;
/// The allowed sizes of the queue, in spans.
const QUEUE_ALLOWED: RangeInclusive<u64> = 1..=1_000_000;

/// How spans are exported.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    pub(super) endpoint: Url,
    pub(super) headers: Vec<(String, String)>,
    /// A PEM file with the certificates of the collector, instead of the system's.
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
    pub(super) resource: Vec<(String, String)>,
}

impl TraceSettings {
    /// Reads the variables. An empty variable counts as unset. `None` if no spans are exported: neither an endpoint is set nor
    /// `OTEL_TRACES_EXPORTER=otlp`, or a variable turns the export off.
    ///
    /// # Errors
    /// [`SettingError`]: the first variable that cannot be used. While the export is off, the other variables are not read.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, SettingError> {
        let variable = |name: &str| {
            let value = variable(name)?.trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        if !is_on(&variable)? {
            return Ok(None);
        }
        check_protocol(&variable)?;
        check_unsupported(&variable)?;
        let queue_max = number(&variable, QUEUE_MAX, QUEUE_ALLOWED)?.unwrap_or(2_048);
        let batch_max = number(&variable, BATCH_MAX, QUEUE_ALLOWED)?;
        if batch_max.is_some_and(|batch_max| batch_max > queue_max) {
            let allowed = "must be at most OTEL_BSP_MAX_QUEUE_SIZE, which is 2048 by default";
            return Err(SettingError::new(BATCH_MAX, allowed));
        }
        let timeout = match of_traces(&variable, "TIMEOUT") {
            Some((name, _)) => number(&variable, &name, MS_ALLOWED)?,
            None => None,
        };
        let timeout_ms = timeout.unwrap_or(10_000);
        let batch_timeout = number(&variable, BATCH_TIMEOUT, MS_ALLOWED)?;
        let delay_ms = number(&variable, DELAY, MS_ALLOWED)?.unwrap_or(5_000);
        let certificate = of_traces(&variable, "CERTIFICATE");
        Ok(Some(Self {
            endpoint: endpoint(&variable)?,
            headers: headers(&variable)?,
            certificate: certificate.map(|(_, path)| PathBuf::from(path)),
            timeout: Duration::from_millis(timeout_ms.min(batch_timeout.unwrap_or(timeout_ms))),
            sampler: sampling::read(&variable)?,
            queue_max: to_usize(queue_max),
            batch_max: to_usize(batch_max.unwrap_or(512).min(queue_max)),
            delay: Duration::from_millis(delay_ms),
            service_name: variable(SERVICE_NAME),
            resource: match variable(RESOURCE_ATTRIBUTES) {
                Some(text) => pairs::parse(&text)
                    .map_err(|allowed| SettingError::new(RESOURCE_ATTRIBUTES, allowed))?,
                None => Vec::new(),
            },
        }))
    }

    /// The scheme, host and port of the collector.
    #[must_use]
    pub fn collector(&self) -> String {
        self.endpoint.origin().ascii_serialization()
    }
}

/// Whether spans are exported.
fn is_on(variable: &dyn Fn(&str) -> Option<String>) -> Result<bool, SettingError> {
    let disabled = variable(DISABLED).map(|text| text.to_ascii_lowercase());
    match disabled.as_deref() {
        Some("true") => return Ok(false),
        Some("false") | None => {}
        Some(_) => return Err(SettingError::new(DISABLED, "must be true or false")),
    }
    match variable(EXPORTER).as_deref() {
        Some("otlp") => Ok(true),
        Some("none") => Ok(false),
        Some(_) => Err(SettingError::new(EXPORTER, "must be otlp or none")),
        None => Ok(of_traces(variable, "ENDPOINT").is_some()),
    }
}

/// The variable of OTLP with this suffix, and its value. The one for traces is preferred to the one for all signals.
fn of_traces(variable: &dyn Fn(&str) -> Option<String>, suffix: &str) -> Option<(String, String)> {
    ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"]
        .iter()
        .map(|prefix| format!("{prefix}{suffix}"))
        .find_map(|name| variable(&name).map(|value| (name, value)))
}

fn check_protocol(variable: &dyn Fn(&str) -> Option<String>) -> Result<(), SettingError> {
    const GRPC: &str = "is grpc, which is not supported: set it to http/protobuf, and the endpoint to the port of the \
                        collector for OTLP over HTTP, which is usually 4318 instead of 4317";
    match of_traces(variable, "PROTOCOL") {
        None => Ok(()),
        Some((_, protocol)) if protocol == "http/protobuf" => Ok(()),
        Some((name, protocol)) if protocol == "grpc" => Err(SettingError::new(&name, GRPC)),
        Some((name, _)) => Err(SettingError::new(&name, "must be http/protobuf")),
    }
}

/// Refuses what would be ignored otherwise, although a collector may require it.
fn check_unsupported(variable: &dyn Fn(&str) -> Option<String>) -> Result<(), SettingError> {
    for suffix in ["CLIENT_KEY", "CLIENT_CERTIFICATE"] {
        if let Some((name, _)) = of_traces(variable, suffix) {
            let allowed = "must not be set: client certificates are not supported";
            return Err(SettingError::new(&name, allowed));
        }
    }
    match of_traces(variable, "COMPRESSION") {
        Some((name, compression)) if compression != "none" => Err(SettingError::new(
            &name,
            "must be none or not set: spans are sent without compression",
        )),
        _ => Ok(()),
    }
}

fn endpoint(variable: &dyn Fn(&str) -> Option<String>) -> Result<Url, SettingError> {
    const ALLOWED: &str =
        "must be the http: or https: URL of a collector, such as http://127.0.0.1:4318";
    let (name, text) = of_traces(variable, "ENDPOINT").unwrap_or_else(|| {
        let name = String::from("OTEL_EXPORTER_OTLP_ENDPOINT");
        (name, DEFAULT_ENDPOINT.to_owned())
    });
    let refused = || SettingError::new(&name, ALLOWED);
    let mut url = Url::parse(&text).map_err(|_| refused())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(refused());
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

fn headers(
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, SettingError> {
    let Some((name, text)) = of_traces(variable, "HEADERS") else {
        return Ok(Vec::new());
    };
    let headers = pairs::parse(&text).map_err(|allowed| SettingError::new(&name, allowed))?;
    let is_header = |(header, value): &(String, String)| {
        header.parse::<HeaderName>().is_ok() && HeaderValue::from_str(value).is_ok()
    };
    if headers.iter().all(is_header) {
        Ok(headers)
    } else {
        let allowed = "must be a list of HTTP headers such as name=value,other=value";
        Err(SettingError::new(&name, allowed))
    }
}

fn number(
    variable: &dyn Fn(&str) -> Option<String>,
    name: &str,
    allowed: RangeInclusive<u64>,
) -> Result<Option<u64>, SettingError> {
    let Some(text) = variable(name) else {
        return Ok(None);
    };
    let number = text.parse().ok().filter(|number| allowed.contains(number));
    let message = if allowed == MS_ALLOWED {
        "must be a whole number of milliseconds from 1 to 600000"
    } else {
        "must be a whole number of spans from 1 to 1000000"
    };
    number
        .map(Some)
        .ok_or_else(|| SettingError::new(name, message))
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
