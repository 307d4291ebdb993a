//! The tokens that the calls of an account may use.
//!
//! The tokens of a call are known only when it is answered. So a permit takes the mean tokens of the last calls, and the
//! answer corrects the difference. Permits are granted while the level is above 0, so one call may exceed the budget by
//! its own size.

use serde::{Deserialize, Serialize};

use super::{
    bucket::{Bucket, whole_units},
    limits::{RATE_MAX, RATE_MIN},
    reported::{ReportedLimit, ReportedRate},
};
use crate::time::TimeMs;

/// The burst, in seconds of the rate.
const BURST_S: f64 = 1.0;
/// How far the level may fall below 0, in seconds of the rate. So no call waits longer than that for tokens.
const DEBT_S_MAX: f64 = 600.0;
/// The assumed tokens of a call before the first reply.
const FIRST_MEAN: f64 = 1_000.0;
/// The weight of the newest call in the mean.
const NEWEST_WEIGHT: f64 = 0.05;

/// The tokens that may be used now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TokenBudget {
    bucket: Bucket,
    /// The mean tokens of a call. 0 before the first reply.
    mean: f64,
    /// What the provider reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reported: Option<ReportedRate>,
}

impl TokenBudget {
    /// A full budget. `configured` is in tokens a second.
    pub(super) fn new(configured: Option<f64>, now: TimeMs) -> Self {
        let level = configured.map_or(RATE_MAX, |rate| (rate * BURST_S).max(1.0));
        Self {
            bucket: Bucket::new(level, now),
            mean: 0.0,
            reported: None,
        }
    }

    /// The rate, in tokens a second, and the burst, in tokens.
    fn limit(&self, configured: Option<f64>) -> (f64, f64) {
        let reported = self.reported.map(|reported| reported.rate());
        let rate = configured
            .unwrap_or(RATE_MAX)
            .min(reported.unwrap_or(RATE_MAX));
        let rate = rate.clamp(RATE_MIN, RATE_MAX);
        let burst = match (configured, self.reported) {
            (None, Some(reported)) => reported.burst,
            _ => rate * BURST_S,
        };
        (rate, burst.max(1.0))
    }

    /// How many calls may start, at most `calls`. `configured` is in tokens a second.
    pub(super) fn available(&mut self, calls: u32, configured: Option<f64>, now: TimeMs) -> u32 {
        let (rate, burst) = self.limit(configured);
        self.bucket.raise_to(-rate * DEBT_S_MAX);
        let level = self.bucket.refill(rate, burst, now);
        if level <= 0.0 {
            0
        } else {
            whole_units((level / self.mean()).ceil(), calls)
        }
    }

    fn mean(&self) -> f64 {
        if self.mean > 0.0 {
            self.mean
        } else {
            FIRST_MEAN
        }
    }

    /// The milliseconds until a call may start.
    pub(super) fn wait_ms(&self, configured: Option<f64>) -> u64 {
        let (rate, _) = self.limit(configured);
        // Above 0 by less than a token, so that the level is above 0 when the wait ends.
        self.bucket.wait_ms(0.001, rate)
    }

    /// Calls start.
    pub(super) fn take(&mut self, calls: u32) {
        self.bucket.take(f64::from(calls) * self.mean());
    }

    /// Calls do not start, although their permits were taken.
    pub(super) fn not_used(&mut self, calls: u32) {
        self.bucket.give_back(f64::from(calls) * self.mean());
    }

    /// Calls were answered: `replies` of them with a reply, which used these tokens. The others used none.
    pub(super) fn answered(&mut self, calls: usize, replies: u32, tokens: u64) {
        let (calls, replies, tokens) = (calls as f64, f64::from(replies), tokens as f64);
        self.bucket.take(tokens - calls * self.mean());
        if replies > 0.0 && tokens > 0.0 {
            let weight = if self.mean > 0.0 {
                (replies * NEWEST_WEIGHT).min(1.0)
            } else {
                1.0
            };
            self.mean += (tokens / replies - self.mean) * weight;
        }
    }

    /// The provider reported its limit.
    pub(super) fn report(&mut self, report: &ReportedLimit, now: TimeMs) {
        if report.is_ample() {
            self.reported = None;
        } else {
            let _ = ReportedRate::join(&mut self.reported, report, now);
            self.bucket.lower_to(report.remaining as f64);
        }
    }

    /// Whether the provider reports a limit.
    pub(super) const fn is_reported(&self) -> bool {
        self.reported.is_some()
    }
}
