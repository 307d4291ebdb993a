//! The `Retry-After` header (RFC 9110, section 10.2.3), and when a client should ask again if no time was measured.

use axum::http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
use forebay_runtime::gauge::Gauge;
use forebay_shared::{class::Class, time::TimeMs};

/// The longest pause between two requests that is advised, in seconds.
const PAUSE_S_MAX: u64 = 60;

/// Sets the header to this many seconds.
pub(crate) fn set_retry_after(headers: &mut HeaderMap, seconds: u64) {
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
}

/// The advised pause before the next request about a job, in whole seconds. If `expected_s` is known, the pause lasts for these seconds.
/// Otherwise it is half of the time that the job has waited or run already, so that requests become less frequent: a job that has taken
/// a minute will hardly end in the next second.
pub(crate) fn pause_s(expected_s: Option<f64>, age_ms: u64) -> u64 {
    let seconds = expected_s.unwrap_or(age_ms as f64 / 2_000.0);
    (seconds.ceil() as u64).clamp(1, PAUSE_S_MAX)
}

/// The advised pause before the next submit to a session that is full, in seconds: the expected wait of a ready job of this class. If no
/// job of the class has ended lately, the age of the oldest waiting job decides.
pub(crate) fn after_full_session_s(gauge: &Gauge, class: Class, now: TimeMs) -> u64 {
    let is_measured = gauge.drained_per_s(class) > 0.0;
    let expected_s = is_measured.then(|| gauge.expected_wait_ms(class) as f64 / 1_000.0);
    let oldest_at = gauge.totals(class).oldest_waiting;
    pause_s(expected_s, oldest_at.map_or(0, |at| now.since_ms(at)))
}

#[cfg(test)]
mod tests {
    use super::pause_s;

    #[test]
    fn the_expected_time_decides() {
        let pauses =
            [0.0, 0.2, 12.1, 61.0, 1e9].map(|expected_s| pause_s(Some(expected_s), 30_000));
        assert_eq!(pauses, [1, 1, 13, 60, 60]);
    }

    #[test]
    fn without_an_expected_time_requests_become_fewer() {
        let pauses =
            [0, 2_000, 2_001, 9_000, 500_000, u64::MAX].map(|age_ms| pause_s(None, age_ms));
        assert_eq!(pauses, [1, 1, 2, 5, 60, 60]);
        // A client that obeys sees the end of a job that takes a minute with few requests.
        let (mut age_s, mut requests) = (0, 0);
        while age_s < 60 {
            age_s += pause_s(None, age_s * 1_000);
            requests += 1;
        }
        assert_eq!((age_s, requests), (62, 10));
    }
}
