//! Reads `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.

use std::time::SystemTime;

use http::header::{HeaderMap, RETRY_AFTER};

/// The longest delay that a provider can ask for, in milliseconds: one hour. A mistake of the provider must not delay
/// a job for days.
pub(super) const DELAY_MS_MAX: u64 = 60 * 60 * 1_000;

/// The delay that the provider asks for, in milliseconds, at most [`DELAY_MS_MAX`]. `None` if the header is missing or
/// invalid. OpenAI also sends `retry-after-ms`, which is more exact and takes precedence.
pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(delay_ms) = text("retry-after-ms").and_then(|value| value.parse::<u64>().ok()) {
        return Some(delay_ms.min(DELAY_MS_MAX));
    }
    let value = text(RETRY_AFTER.as_str())?;
    let delay_ms = if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        // A number that is too large for 64 bits means a very long delay.
        value
            .parse::<u64>()
            .unwrap_or(u64::MAX)
            .saturating_mul(1_000)
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        let delay = until.duration_since(now).unwrap_or_default();
        u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
    };
    Some(delay_ms.min(DELAY_MS_MAX))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{DELAY_MS_MAX, read};

    fn delay_ms_of(pairs: &[(&'static str, &'static str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        // Sun, 06 Nov 1994 08:49:37 GMT
        read(
            &headers,
            SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777),
        )
    }

    #[test]
    fn reads_seconds_and_dates() {
        for (value, expected) in [
            ("0", Some(0)),
            ("13", Some(13_000)),
            (" 7 ", Some(7_000)),
            ("3601", Some(DELAY_MS_MAX)),
            ("99999999999999999999999", Some(DELAY_MS_MAX)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30_000)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30_000)),
            ("Sun Nov  6 08:50:07 1994", Some(30_000)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Sat, 06 Nov 2094 08:00:00 GMT", Some(DELAY_MS_MAX)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(
                delay_ms_of(&[("retry-after", value)]),
                expected,
                "value: {value:?}"
            );
        }
        assert_eq!(delay_ms_of(&[]), None);
    }

    #[test]
    fn retry_after_ms_takes_precedence() {
        assert_eq!(
            delay_ms_of(&[("retry-after", "2"), ("retry-after-ms", "1500")]),
            Some(1_500)
        );
        assert_eq!(
            delay_ms_of(&[("retry-after", "2"), ("retry-after-ms", "x")]),
            Some(2_000)
        );
    }
}
