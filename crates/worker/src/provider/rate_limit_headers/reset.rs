//! Reads when a limit is restored. Services send a duration, a number of seconds, or a moment.

use std::time::{SystemTime, UNIX_EPOCH};

use forebay_shared::account::DELAY_MS_MAX;

/// The lowest number that is read as a moment in seconds since the Unix epoch. As a duration it would be 31 years.
const EPOCH_SECONDS_MIN: f64 = 1e9;

/// The lowest number that is read as a moment in milliseconds since the Unix epoch.
const EPOCH_MS_MIN: f64 = 1e12;

/// The longest text that is read, in bytes.
const TEXT_BYTES_MAX: usize = 64;

/// The milliseconds from `now` until a limit is restored, rounded up, at most [`DELAY_MS_MAX`]; 0 for a moment in the
/// past. The text is one of:
/// - a duration as Go writes it, such as `20ms` or `6m0s`; also with days, such as `1d`
/// - a number of seconds, also with a fraction
/// - a moment: a number of seconds or milliseconds since the Unix epoch, a time of RFC 3339, or an HTTP date
pub(super) fn read_ms(text: &str, now: SystemTime) -> Option<u64> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let is_number = text.bytes().all(is_part_of_a_number);
    if is_number {
        let number: f64 = text.parse().ok()?;
        return Some(if number >= EPOCH_MS_MIN {
            until_ms(number, now)
        } else if number >= EPOCH_SECONDS_MIN {
            until_ms(number * 1_000.0, now)
        } else {
            bounded_ms(number * 1_000.0)
        });
    }
    let duration = duration_ms(text).map(bounded_ms);
    duration.or_else(|| Some(until_ms(moment_ms(text)?, now)))
}

const fn is_part_of_a_number(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

/// The milliseconds from `now` until a moment, which is in milliseconds since the Unix epoch.
fn until_ms(moment_ms: f64, now: SystemTime) -> u64 {
    bounded_ms(moment_ms - since_epoch_ms(now))
}

fn bounded_ms(ms: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is between 0 and the bound"
    )]
    let ms = ms.ceil().clamp(0.0, DELAY_MS_MAX as f64) as u64;
    ms
}

/// The milliseconds of a duration that consists of numbers with units.
fn duration_ms(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut total_ms = 0.0;
    while !rest.is_empty() {
        let number_bytes = rest.bytes().take_while(|byte| is_part_of_a_number(*byte));
        let (number, after) = rest.split_at(number_bytes.count());
        let number: f64 = number.parse().ok()?;
        let unit_bytes = after.bytes().take_while(|byte| !is_part_of_a_number(*byte));
        let (unit, next) = after.split_at(unit_bytes.count());
        let unit_ms = match unit {
            "ns" => 1e-6,
            "us" | "µs" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3_600e3,
            "d" => 86_400e3,
            _ => return None,
        };
        total_ms += number * unit_ms;
        rest = next;
    }
    Some(total_ms)
}

/// A time of RFC 3339, or an HTTP date (RFC 9110, section 5.6.7), in milliseconds since the Unix epoch.
fn moment_ms(text: &str) -> Option<f64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond() as f64);
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(since_epoch_ms(date))
}

/// The milliseconds since the Unix epoch; 0 before it.
fn since_epoch_ms(time: SystemTime) -> f64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since_epoch.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use forebay_shared::account::DELAY_MS_MAX;

    use super::read_ms;

    #[test]
    fn each_form_is_read() {
        // 2025-11-24T16:00:00Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000);
        for (text, expected) in [
            ("1s", Some(1_000)),
            ("6m0s", Some(360_000)),
            ("20ms", Some(20)),
            ("1h0m0s", Some(DELAY_MS_MAX)),
            ("59m59.5s", Some(3_599_500)),
            ("2m59.56s", Some(179_560)),
            ("120µs", Some(1)),
            ("0s", Some(0)),
            ("1d", Some(DELAY_MS_MAX)),
            ("60", Some(60_000)),
            ("0", Some(0)),
            ("0.25", Some(250)),
            ("999999999", Some(DELAY_MS_MAX)),
            // Moments.
            ("1764000030", Some(30_000)),
            ("1764000030500", Some(30_500)),
            ("1763999999", Some(0)),
            ("1763999999000", Some(0)),
            ("1864000030", Some(DELAY_MS_MAX)),
            ("2025-11-24T16:00:30Z", Some(30_000)),
            ("2025-11-24T17:00:30+01:00", Some(30_000)),
            ("2025-11-24T15:00:00Z", Some(0)),
            ("Mon, 24 Nov 2025 16:00:30 GMT", Some(30_000)),
            // Invalid texts.
            ("", None),
            ("soon", None),
            ("-1", None),
            ("-1s", None),
            ("1x", None),
            ("s", None),
            ("1s2", None),
            ("1.2.3", None),
            ("1e3", None),
            ("NaN", None),
            ("inf", None),
            ("é1s", None),
        ] {
            assert_eq!(read_ms(text, now), expected, "{text}");
        }
        assert_eq!(read_ms(&"9".repeat(64), now), Some(DELAY_MS_MAX));
        assert_eq!(read_ms(&"9".repeat(65), now), None);
    }
}
