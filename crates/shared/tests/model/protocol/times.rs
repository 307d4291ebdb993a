//! Converts the model's times to real times. The store's clock always shows `NOW`. Every other time is a fixed distance
//! before or after `NOW`.

use forebay_shared::{lane::DEFERRED_MS_MAX, time::TimeMs};

use crate::state::NotBefore;

pub(super) const NOW: TimeMs = TimeMs(1_000_000_000);
/// The error of a wrong clock: longer than a backoff or a hold, shorter than a time limit or a deadline.
pub(super) const SKEW_MS: u64 = 1_000;
/// The backoff after a retry.
pub(super) const BACKOFF_MS: u64 = 100;
/// How long a hold lasts.
pub(super) const HOLD_MS: u64 = 200;
/// The time limit of a claim.
pub(super) const CLAIM_LIMIT_MS: u64 = 500_000;
/// When the longest wait of a deferred job ends.
pub(super) const DEFERRED_UNTIL: TimeMs = NOW.plus_ms(DEFERRED_MS_MAX);
/// A deadline that is still to come.
pub(super) const DEADLINE: TimeMs = NOW.plus_ms(900_000_000);
/// A deadline, a time limit of a claim, or the end of a longest wait that has passed.
pub(super) const OVERDUE: TimeMs = TimeMs(NOW.0 - 900_000);

/// The real time of a `not_before`.
pub(super) fn real_time(not_before: NotBefore) -> Option<TimeMs> {
    match not_before {
        NotBefore::None => None,
        NotBefore::RetryLater => Some(NOW.plus_ms(BACKOFF_MS)),
        NotBefore::RetryPassed => Some(TimeMs(NOW.0 - BACKOFF_MS)),
        NotBefore::HoldLater => Some(NOW.plus_ms(HOLD_MS)),
        NotBefore::HoldPassed => Some(TimeMs(NOW.0 - HOLD_MS)),
    }
}

/// The `not_before` with this real time.
pub(super) fn not_before_at(at: TimeMs) -> NotBefore {
    [
        NotBefore::RetryLater,
        NotBefore::RetryPassed,
        NotBefore::HoldLater,
        NotBefore::HoldPassed,
    ]
    .into_iter()
    .find(|not_before| real_time(*not_before) == Some(at))
    .expect("`real_time` returns this time for a `not_before`")
}
