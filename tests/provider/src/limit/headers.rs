//! The formats of the headers that report a limit.

use std::time::Duration;

/// The value of `Retry-After` for this delay: whole seconds, rounded up, at least 1.
pub(super) fn retry_after_s(delay: Duration) -> u64 {
    delay.as_millis().div_ceil(1_000).max(1) as u64
}

/// The value of `x-ratelimit-reset-*` for this delay, in the format of OpenAI: `20ms`, `8.64s`, `6m0s`. It is rounded up
/// to a millisecond.
pub(super) fn reset_text(delay: Duration) -> String {
    let ms = delay.as_nanos().div_ceil(1_000_000);
    let (minutes, seconds) = (ms / 60_000, (ms % 60_000) as f64 / 1_000.0);
    match (minutes, ms) {
        (0, 0..1_000) => format!("{ms}ms"),
        (0, _) => format!("{seconds}s"),
        _ => format!("{minutes}m{seconds}s"),
    }
}
