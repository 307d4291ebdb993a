//! The limits that a provider reports in the headers of its responses.

use serde::{Deserialize, Serialize};

use crate::time::TimeMs;

/// The length of a period, in milliseconds. The lowest rate of the current and the previous period counts. Shortly before the reset of a
/// fixed window, the computed rate is far too high: it is the use of the whole window, divided by the short time until the reset. So a
/// period is as long as the usual window, a minute.
const PERIOD_MS: u64 = 60_000;

/// If it would take longer than this, in seconds, to restore the remaining units at the lowest rate, that rate is too low.
const RESTORED_IN_S_MAX: f64 = 120.0;

/// The limits in the headers of one response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportedLimits {
    /// The limit on requests.
    pub requests: Option<ReportedLimit>,
    /// The limit on tokens.
    pub tokens: Option<ReportedLimit>,
}

/// One limit in the headers of one response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportedLimit {
    /// The most units that can remain, at least 1.
    pub limit: u64,
    /// The units that remain, at most `limit`.
    pub remaining: u64,
    /// The time until all units remain again, in milliseconds, at most [`DELAY_MS_MAX`](super::DELAY_MS_MAX).
    pub reset_ms: u64,
}

impl ReportedLimits {
    /// Whether a limit is nearly used up. The account of a provider that is not limited needs
    /// [`AccountEvent::Answered`](super::AccountEvent::Answered) only for such a report.
    #[must_use]
    pub fn is_low(&self) -> bool {
        [self.requests, self.tokens]
            .iter()
            .flatten()
            .any(ReportedLimit::is_low)
    }
}

impl ReportedLimit {
    /// Whether less than a quarter remains.
    #[must_use]
    pub const fn is_low(&self) -> bool {
        self.remaining < self.limit.div_ceil(4)
    }

    /// Whether more than half remains.
    pub(super) const fn is_ample(&self) -> bool {
        self.remaining > self.limit / 2
    }

    /// The rate at which the limit is restored, in units a second. `remaining` is rounded down to a whole number, so the
    /// rate is slightly too high. `None` if the time until the reset is 0, or if more than an eighth of the limit remains: the fewer
    /// units are used, the larger is the error of the rounding.
    fn rate(&self) -> Option<f64> {
        let used = (self.limit - self.remaining) as f64;
        let is_usable = self.remaining <= self.limit / 8 && self.reset_ms > 0;
        is_usable.then(|| used * 1_000.0 / self.reset_ms as f64)
    }
}

/// The rate and the burst of one limit, from the reports of a provider.
///
/// Each report gives a rate that is right or too high. So the lowest rate of the last one to two minutes counts, unless the
/// provider changes the limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ReportedRate {
    /// The lowest rate since `since`, in units a second.
    lowest: f64,
    /// The lowest rate of the period before, in units a second.
    earlier: f64,
    /// When the current period began.
    since: TimeMs,
    /// The limit, in units.
    pub(super) burst: f64,
}

impl ReportedRate {
    /// The lowest rate of both periods, in units a second.
    pub(super) fn rate(&self) -> f64 {
        self.lowest.min(self.earlier)
    }

    /// Adds a report to the earlier ones. Returns true if the report shows that the lowest rate is far too low. In this case the earlier
    /// reports are forgotten.
    pub(super) fn join(this: &mut Option<Self>, report: &ReportedLimit, now: TimeMs) -> bool {
        let is_too_low =
            |reported: &Self| report.remaining as f64 > reported.rate() * RESTORED_IN_S_MAX;
        if report.is_ample() && this.as_ref().is_some_and(is_too_low) {
            *this = None;
            return true;
        }
        let Some(rate) = report.rate() else {
            return false;
        };
        let burst = report.limit as f64;
        match this {
            Some(reported) if reported.burst == burst => {
                if now.since_ms(reported.since) >= PERIOD_MS {
                    reported.earlier = reported.lowest;
                    reported.lowest = rate;
                    reported.since = now;
                }
                reported.lowest = reported.lowest.min(rate);
            }
            _ => {
                *this = Some(Self {
                    lowest: rate,
                    earlier: rate,
                    since: now,
                    burst,
                });
            }
        }
        false
    }
}
