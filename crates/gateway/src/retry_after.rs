//! The `Retry-After` header (RFC 9110, section 10.2.3), and when a client should poll a job again.

use axum::http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
use forebay_runtime::gauge::Gauge;
use forebay_shared::class::Class;

/// The longest advised pause between two polls, in seconds.
const POLL_S_MAX: u64 = 10;

/// Sets the header to this many seconds.
pub(crate) fn set_retry_after(headers: &mut HeaderMap, seconds: u64) {
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
}

/// The advised pause before the next poll of a job of this class, in seconds. It follows the class's
/// expected wait.
pub(crate) fn poll_after_s(gauge: &Gauge, class: Class) -> u64 {
    if gauge.drained_per_s(class) <= 0.0 {
        // No job of the class has ended lately, so the wait cannot be estimated. Most likely this job is the first in
        // a while and ends soon.
        return 1;
    }
    gauge
        .expected_wait_ms(class)
        .div_ceil(1_000)
        .clamp(1, POLL_S_MAX)
}
