//! A token bucket. Its level rises at a rate up to a burst, and each permit lowers it. Its units are calls, or tokens of a model.
//!
//! The bucket stores no rate and no burst, because both change with each measurement. The caller passes them.

use serde::{Deserialize, Serialize};

use crate::time::TimeMs;

/// The longest delay that a provider can ask for, and the longest wait for a permit, in milliseconds: one hour.
pub const DELAY_MS_MAX: u64 = 3_600_000;

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Bucket {
    /// The units that may be used at the time `at`. Below 0 if calls used more units than expected.
    level: f64,
    /// The time of the last refill.
    at: TimeMs,
}

impl Bucket {
    pub(super) const fn new(level: f64, at: TimeMs) -> Self {
        Self { level, at }
    }

    /// Adds the units of the time since the last refill, up to `burst`. Returns the level. `rate` is in units a second.
    pub(super) fn refill(&mut self, rate: f64, burst: f64, now: TimeMs) -> f64 {
        let elapsed_s = now.since_ms(self.at) as f64 / 1_000.0;
        self.level = (self.level + rate * elapsed_s).min(burst);
        self.at = self.at.max(now);
        self.level
    }

    /// Removes units.
    pub(super) fn take(&mut self, units: f64) {
        self.level -= units;
    }

    /// Adds units that were removed but not used. The next refill lowers the level to at most the burst.
    pub(super) fn give_back(&mut self, units: f64) {
        self.level += units;
    }

    /// Lowers the level to at most this many units.
    pub(super) const fn lower_to(&mut self, units: f64) {
        self.level = self.level.min(units);
    }

    /// Raises the level to at least this many units.
    pub(super) const fn raise_to(&mut self, units: f64) {
        self.level = self.level.max(units);
    }

    /// The milliseconds until the bucket has `units`, from 1 to [`DELAY_MS_MAX`].
    pub(super) fn wait_ms(&self, units: f64, rate: f64) -> u64 {
        ms((units - self.level) / rate * 1_000.0)
    }
}

/// A number of milliseconds, rounded up, from 1 to [`DELAY_MS_MAX`].
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is between the bounds"
)]
fn ms(value: f64) -> u64 {
    value.ceil().clamp(1.0, DELAY_MS_MAX as f64) as u64
}

/// The whole units of a level, at most `max`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is between the bounds"
)]
pub(super) fn whole_units(level: f64, max: u32) -> u32 {
    // Sums of many small refills may miss a whole number by a rounding error.
    (level + 1e-9).floor().clamp(0.0, f64::from(max)) as u32
}
