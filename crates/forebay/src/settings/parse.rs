//! Parses the values of settings. Errors name the environment variable and the values that it accepts.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use forebay_shared::secret::Secret;
use forebay_worker::provider::simulated::Latency;

use crate::log::LogFormat;

/// A whole number in the range.
pub(super) fn integer_in(
    variable: &'static str,
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| {
        text.parse()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                format!(
                    "{variable} must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                )
            })
    }
}

/// A text of 1 to 200 printable characters without spaces.
pub(super) fn printable_word(
    variable: &'static str,
) -> impl Fn(&str) -> Result<String, String> + Clone + Send + Sync + 'static {
    move |text| {
        let is_valid =
            (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_valid {
            Ok(text.to_owned())
        } else {
            Err(format!(
                "{variable} must be 1 to 200 printable characters without spaces"
            ))
        }
    }
}

pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        String::from("FOREBAY_LISTEN must be an IP address and a port, such as 127.0.0.1:8080")
    })
}

pub(super) fn latency(text: &str) -> Result<Latency, String> {
    text.parse::<Latency>()
        .map_err(|error| format!("FOREBAY_SIMULATED_LATENCY_MS: {error}"))
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    tracing_subscriber::EnvFilter::try_new(text)
        .map(|_| text.to_owned())
        .map_err(|error| {
            format!("FOREBAY_LOG must be a filter in the syntax of tracing-subscriber: {error}")
        })
}

/// Any text. `engine` and the providers treat an empty secret as not set.
#[expect(clippy::unnecessary_wraps, reason = "clap requires this signature")]
pub(super) fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

/// The path of a file.
pub(super) fn file(
    variable: &'static str,
) -> impl Fn(&str) -> Result<PathBuf, String> + Clone + Send + Sync + 'static {
    move |text| {
        if text.is_empty() {
            return Err(format!(
                "{variable} must be the path of a file; unset it to use none"
            ));
        }
        Ok(PathBuf::from(text))
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(String::from("FOREBAY_LOG_FORMAT must be text or json")),
    }
}
