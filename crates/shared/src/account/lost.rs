//! An account that was lost while jobs waited for it, for example when a process with the embedded engine restarted.
//!
//! The provider was limited before, but nothing else is known. So the account begins like one after a rate limit: with a
//! probe, and then at a rate that doubles repeatedly until the provider refuses a call.

use super::{Account, ClosedBy, Closing, FORGET_MS, Phase, rate::Pace};
use crate::{job::JobError, time::TimeMs};

/// How long the rate is limited without a refusal, in milliseconds. By then, the rate has doubled beyond the limit of any
/// provider.
const LIMITED_MS: u64 = 60_000;

impl Account {
    /// Jobs wait for the account, and the store has none.
    pub(super) fn lost(&mut self, now: TimeMs) {
        // Another process may have written the account meanwhile.
        if *self != Self::default() {
            return;
        }
        self.pace = Some(Pace::new(0, now, now));
        self.was_lost = true;
        // So the account is forgotten after `LIMITED_MS` instead of `FORGET_MS`.
        self.forget_from = Some(TimeMs(now.0.saturating_sub(FORGET_MS - LIMITED_MS)));
        let message =
            "the limits of the provider are not known after a restart, so its calls begin slowly";
        self.phase = Phase::Closed(Closing {
            cause: ClosedBy::RateLimit,
            since: now,
            until: now,
            error: JobError::new("rate_limited", message),
        });
    }

    /// The provider refuses a call: the first refusal since the account was lost counts as the very first one.
    pub(super) fn refused_after_loss(&mut self, is_rate_limit: bool) {
        if !std::mem::take(&mut self.was_lost) {
            return;
        }
        self.phase = Phase::Open;
        if is_rate_limit {
            // The provider's bucket was not empty when these calls began. So they do not show its rate.
            self.pace = None;
        }
    }
}
