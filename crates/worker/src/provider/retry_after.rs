//! Reads the delay that a provider asks for: `Retry-After` (RFC 9110, section 10.2.3) and its variants.

use std::time::SystemTime;

use http::header::{DATE, HeaderMap};

/// The longest delay that a provider can ask for, in milliseconds: one hour. A mistake of the provider must not delay
/// a job for days.
pub(super) const DELAY_MS_MAX: u64 = 60 * 60 * 1_000;

/// The headers with a delay in milliseconds. OpenAI sends the first one.
const MS_HEADERS: [&str; 2] = ["retry-after-ms", "llm_provider-retry-after-ms"];

/// The headers with a delay in seconds, or with a date. `LiteLLM` adds the prefix `llm_provider-` to the headers of the
/// provider that it called.
const HEADERS: [&str; 2] = ["retry-after", "llm_provider-retry-after"];

/// The moment from which the dates in an answer count: its `Date` (RFC 9110, section 6.6.1), or `now` without a valid one. With a
/// valid `Date`, a wrong clock of this machine changes no delay.
pub(super) fn answered_at(headers: &HeaderMap, now: SystemTime) -> SystemTime {
    let date = headers.get(DATE).and_then(|value| value.to_str().ok());
    let date = date.and_then(|text| httpdate::parse_http_date(text.trim()).ok());
    date.unwrap_or(now)
}

/// The delay that the provider asks for, in milliseconds, at most [`DELAY_MS_MAX`]. `None`: no header has a valid delay.
/// The headers in milliseconds are more exact and take precedence. A delay of 0 counts only if no header has a longer one.
pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let text = |name: &&str| headers.get(*name)?.to_str().ok().map(str::trim);
    let ms = MS_HEADERS.iter().filter_map(text);
    let ms = ms.filter_map(|value| delay_ms(value, 1.0));
    let others = HEADERS.iter().filter_map(text);
    let others = others.filter_map(|value| seconds_ms(value).or_else(|| date_ms(value, now)));
    let delays: Vec<u64> = ms.chain(others).collect();
    let longer = delays.iter().find(|delay_ms| **delay_ms > 0);
    longer.or(delays.first()).copied()
}

/// A number of seconds in milliseconds, at most [`DELAY_MS_MAX`]. Fractions are rounded up.
pub(super) fn seconds_ms(text: &str) -> Option<u64> {
    delay_ms(text, 1_000.0)
}

/// A decimal number of units, each of `unit_ms` milliseconds, as a delay in milliseconds. `None` if the text is not such a
/// number.
fn delay_ms(text: &str, unit_ms: f64) -> Option<u64> {
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return None;
    }
    let units: f64 = text.parse().ok()?;
    let ms = (units * unit_ms).ceil().min(DELAY_MS_MAX as f64);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is between 0 and DELAY_MS_MAX"
    )]
    Some(ms as u64)
}

/// The milliseconds until an HTTP date; 0 for a date in the past.
fn date_ms(text: &str, now: SystemTime) -> Option<u64> {
    let until = httpdate::parse_http_date(text).ok()?;
    let delay = until.duration_since(now).unwrap_or_default();
    let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    Some(ms.min(DELAY_MS_MAX))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{DELAY_MS_MAX, answered_at, read};

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
            ("1.5", Some(1_500)),
            ("0.0001", Some(1)),
            (".5", Some(500)),
            ("1.2.3", None),
            ("1e3", None),
            ("inf", None),
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
    fn a_date_counts_from_the_date_of_the_answer() {
        let sent = "Sun, 06 Nov 1994 08:49:37 GMT";
        let mut headers = HeaderMap::new();
        headers.insert("date", HeaderValue::from_static(sent));
        let until = HeaderValue::from_static("Sun, 06 Nov 1994 08:50:07 GMT");
        headers.insert("retry-after", until);
        // The clock of this machine is three days behind, right, or an hour ahead.
        for clock_s in [783_852_577, 784_111_777, 784_115_377] {
            let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(clock_s);
            let now = answered_at(&headers, clock);
            assert_eq!(read(&headers, now), Some(30_000), "{clock_s}");
        }
        let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
        assert_eq!(answered_at(&HeaderMap::new(), clock), clock);
        headers.insert("date", HeaderValue::from_static("now"));
        assert_eq!(answered_at(&headers, clock), clock);
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

    #[test]
    fn a_delay_of_zero_counts_only_if_no_header_has_a_longer_one() {
        for (headers, expected) in [
            (
                vec![("retry-after-ms", "0"), ("retry-after", "30")],
                Some(30_000),
            ),
            (
                vec![("retry-after", "0"), ("llm_provider-retry-after", "3")],
                Some(3_000),
            ),
            (vec![("retry-after-ms", "0"), ("retry-after", "0")], Some(0)),
            (
                vec![("retry-after-ms", "0"), ("retry-after", "soon")],
                Some(0),
            ),
        ] {
            assert_eq!(delay_ms_of(&headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn milliseconds_may_have_a_fraction() {
        assert_eq!(delay_ms_of(&[("retry-after-ms", "1499.2")]), Some(1_500));
    }

    #[test]
    fn the_delay_that_a_proxy_passes_on_is_read() {
        for (headers, expected) in [
            (vec![("llm_provider-retry-after", "2.5")], Some(2_500)),
            (vec![("llm_provider-retry-after-ms", "700")], Some(700)),
            (
                vec![("retry-after", "soon"), ("llm_provider-retry-after", "3")],
                Some(3_000),
            ),
            (
                vec![("retry-after", "1"), ("llm_provider-retry-after", "3")],
                Some(1_000),
            ),
        ] {
            assert_eq!(delay_ms_of(&headers), expected, "{headers:?}");
        }
    }
}
