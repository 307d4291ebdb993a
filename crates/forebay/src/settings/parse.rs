//! Parses the values of settings. Errors name the environment variable and the values that it accepts.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use forebay_gateway::{AllowedHosts, AllowedOrigins};
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

/// `true` or `false`.
pub(super) fn boolean(
    variable: &'static str,
) -> impl Fn(&str) -> Result<bool, String> + Clone + Send + Sync + 'static {
    move |text| {
        text.parse()
            .map_err(|_| format!("{variable} must be true or false"))
    }
}

/// A number of bytes, with or without a suffix.
pub(super) fn memory_max(text: &str) -> Result<u64, String> {
    const RANGE: RangeInclusive<u64> = (64 << 20)..=(1_024 << 30);
    let units = [("KiB", 1_u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let unit = units
        .iter()
        .find_map(|(suffix, bytes)| Some((text.strip_suffix(suffix)?.trim_end(), *bytes)));
    let (number, unit) = unit.unwrap_or((text, 1));
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|bytes| RANGE.contains(bytes))
        .ok_or_else(|| {
            String::from(
                "FOREBAY_MEMORY_MAX must be a number of bytes, or a number with KiB, MiB or GiB, from 64MiB to 1024GiB",
            )
        })
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

pub(super) fn admin_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        String::from("FOREBAY_ADMIN_LISTEN must be an IP address and a port, such as 127.0.0.1:9464; leave it out for no admin listener")
    })
}

pub(super) fn allowed_hosts(text: &str) -> Result<AllowedHosts, String> {
    AllowedHosts::parse(text).map_err(|error| format!("FOREBAY_ALLOWED_HOSTS: {error}"))
}

pub(super) fn allowed_origins(text: &str) -> Result<AllowedOrigins, String> {
    AllowedOrigins::parse(text).map_err(|error| format!("FOREBAY_ALLOWED_ORIGINS: {error}"))
}

pub(super) fn latency(text: &str) -> Result<Latency, String> {
    text.parse::<Latency>()
        .map_err(|error| format!("FOREBAY_SIMULATED_LATENCY_MS: {error}"))
}

/// Any text. `engine` and the providers treat an empty flag as not set.
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
                "{variable} must be the path of a file; leave it out to use none"
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

#[cfg(test)]
mod tests {
    use super::memory_max;

    #[test]
    fn a_size_has_a_unit_or_counts_bytes() {
        assert_eq!(memory_max("67108864"), Ok(64 << 20));
        assert_eq!(memory_max("65536KiB"), Ok(64 << 20));
        assert_eq!(memory_max("512 MiB"), Ok(512 << 20));
        assert_eq!(memory_max("2GiB"), Ok(2 << 30));
        for text in [
            "",
            "MiB",
            "63MiB",
            "1.5GiB",
            "-1",
            "2GB",
            "1025GiB",
            "99999999999999999999GiB",
        ] {
            assert!(memory_max(text).is_err(), "{text}");
        }
    }
}
