//! The bounds of an account, and the limits of its configuration.

use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use crate::{ids::ProcessId, time::TimeMs};

pub use super::bucket::DELAY_MS_MAX;
/// How long the probe of a provider that was not available may stay without an answer, in milliseconds. Then the next
/// probe may start.
pub const PROBE_MS_MAX: u64 = 30_000;
/// How long after the last refusal, server error or report an account keeps its measurements, in milliseconds.
pub const FORGET_MS: u64 = 600_000;
/// An account closes when this many different jobs in a row have failed with server errors.
pub const FAILING_JOBS_TO_CLOSE: usize = 3;
/// The lowest rate that an account has, in calls or tokens a second: one an hour.
pub const RATE_MIN: f64 = 1.0 / 3_600.0;
/// The highest rate that an account has, in calls or tokens a second.
pub const RATE_MAX: f64 = 1_000_000.0;

/// The limits in the configuration. Each is at least 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredLimits {
    /// The most calls a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// The most tokens a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u32>,
    /// The most calls in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// The process that set the limits of an account. Ordered by start: the process that started last is the greatest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfiguredBy {
    /// When the process started, by the store's clock.
    pub started_at: TimeMs,
    /// The process.
    pub process: ProcessId,
}

impl ConfiguredLimits {
    /// Whether no limit is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The configured calls a second.
    pub(super) fn calls_per_second(&self) -> Option<f64> {
        self.requests_per_minute.map(per_second)
    }

    /// The configured tokens a second.
    pub(super) fn tokens_per_second(&self) -> Option<f64> {
        self.tokens_per_minute.map(per_second)
    }

    /// A full bucket for the configured calls a second. `None` if they are not configured.
    pub(super) fn request_bucket(&self, now: TimeMs) -> Option<Bucket> {
        self.calls_per_second()
            .map(|rate| Bucket::new(configured_burst(rate), now))
    }
}

/// A rate a minute as a rate a second, within the bounds of rates.
fn per_second(per_minute: u32) -> f64 {
    (f64::from(per_minute) / 60.0).clamp(RATE_MIN, RATE_MAX)
}

/// The most calls that may start at once with a configured rate: the calls of a quarter of a second, at least 1.
#[must_use]
pub fn configured_burst(calls_per_second: f64) -> f64 {
    (calls_per_second / 4.0).max(1.0)
}
