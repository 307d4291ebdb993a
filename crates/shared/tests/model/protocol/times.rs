//! The few moments of the model, as real times: the store's clock stands still, and all else is `later`
//! or `passed` by its distance from it.

use forebay_shared::time::TimeMs;

use crate::state::Pause;

pub(super) const NOW: TimeMs = TimeMs(1_000_000_000);
/// How far a clock that is wrong is off: beyond every pause, within every limit.
pub(super) const SKEW_MS: u64 = 1_000;
pub(super) const RETRY_MS: u64 = 100;
pub(super) const HOLD_MS: u64 = 200;
pub(super) const LIMIT_MS: u64 = 500_000;
pub(super) const DEADLINE: TimeMs = NOW.plus_ms(900_000_000);
pub(super) const OVERDUE: TimeMs = TimeMs(NOW.0 - 900_000);

/// The moment at which a pause ends.
pub(super) fn moment(pause: Pause) -> Option<TimeMs> {
    match pause {
        Pause::None => None,
        Pause::RetryLater => Some(NOW.plus_ms(RETRY_MS)),
        Pause::RetryPassed => Some(TimeMs(NOW.0 - RETRY_MS)),
        Pause::HoldLater => Some(NOW.plus_ms(HOLD_MS)),
        Pause::HoldPassed => Some(TimeMs(NOW.0 - HOLD_MS)),
    }
}

/// The pause that ends at this moment.
pub(super) fn pause(at: TimeMs) -> Pause {
    [
        Pause::RetryLater,
        Pause::RetryPassed,
        Pause::HoldLater,
        Pause::HoldPassed,
    ]
    .into_iter()
    .find(|pause| moment(*pause) == Some(at))
    .expect("a moment of this world")
}
