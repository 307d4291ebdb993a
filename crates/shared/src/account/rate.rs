//! The pace of an account: the rate of calls that the provider was found to allow.
//!
//! Before the first measurement, the rate doubles repeatedly until the provider refuses a call. Then the calls between two
//! refusals show the rate (`measure.rs`). After a time without a refusal, a higher rate is tried.

use serde::{Deserialize, Serialize};

use super::{
    bucket::{Bucket, whole_units},
    limits::{RATE_MAX, RATE_MIN},
    measure::{Burst, MeasuredRate, Window},
    reported::{ReportedLimit, ReportedRate},
};
use crate::time::TimeMs;

/// The first rate of a provider whose rate is not known, in calls a second.
const RAMP_FIRST: f64 = 16.0;
/// The time in which that rate doubles, in milliseconds.
const RAMP_DOUBLES_MS: f64 = 850.0;
/// The part of a measured rate that is used. Measurements have errors.
const SAFE_PART: f64 = 0.99;
/// The part of the burst that is used.
const BURST_PART: f64 = 0.9;
/// The first raise of the rate, as a part of it. Each further raise without a refusal is twice as high.
const RAISE_FIRST: f64 = 0.02;
/// The highest raise.
const RAISE_MAX: f64 = 1.0;
/// The least time between two raises, in milliseconds.
const RAISE_MS: u64 = 1_000;
/// The fewest permits between two raises.
const RAISE_CALLS: u32 = 15;
/// The least time between two raises, as a multiple of the last closing. A raise that is too high closes the account for
/// about as long again.
const RAISE_CLOSINGS: u64 = 5;
/// How long after the first refusal the answers of earlier calls still show the burst, in milliseconds.
const BURST_ANSWERS_MS: u64 = 60_000;
/// The burst is the calls that started in this time before the first refusal, in milliseconds.
const BURST_MS: u64 = 250;

/// The rate of calls that the provider was found to allow, and the permits of that rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pace {
    bucket: Bucket,
    /// The measured rate. `None` before the first measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    measured: Option<Measured>,
    /// What the provider reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reported: Option<ReportedRate>,
    /// When the rate began to double.
    ramp_from: TimeMs,
    /// When the provider first refused a call.
    first_closed_at: TimeMs,
    /// The calls that it accepted right before that.
    burst: Burst,
    /// An upper bound of the burst, in calls. [`RATE_MAX`] if none is known.
    burst_max: f64,
    /// The calls since the last refusal.
    window: Window,
    /// The calls before the last refusal. They are measured when the account opens, because further refusals may arrive
    /// until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Window>,
}

/// A measured rate, and its raises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Measured {
    rate: MeasuredRate,
    /// The used rate as a multiple of the measured one: at first [`SAFE_PART`], then more with each raise.
    factor: f64,
    /// The next raise, as a part of the rate.
    raise: f64,
    /// The least time between two raises, in milliseconds.
    raise_ms: u64,
    /// When the factor was last changed.
    since: TimeMs,
    /// The permits granted since then while more were asked for.
    granted: u32,
}

impl Pace {
    /// The pace of an account with its first refusal, or its first low report of `remaining` calls.
    pub(super) fn new(remaining: u64, now: TimeMs) -> Self {
        Self {
            bucket: Bucket::new(remaining as f64, now),
            measured: None,
            reported: None,
            ramp_from: now,
            first_closed_at: now,
            burst: Burst::default(),
            burst_max: RATE_MAX,
            window: Window::new(now),
            ended: None,
        }
    }

    /// The rate in calls a second.
    pub(super) fn rate(&self, now: TimeMs) -> f64 {
        let measured = self.measured.map(|m| m.rate.rate() * m.factor);
        let reported = self.reported.map(|reported| reported.rate() * SAFE_PART);
        let rate = match (measured, reported) {
            (Some(measured), Some(reported)) => measured.min(reported),
            (Some(rate), None) | (None, Some(rate)) => rate,
            (None, None) => {
                RAMP_FIRST * (now.since_ms(self.ramp_from) as f64 / RAMP_DOUBLES_MS).exp2()
            }
        };
        rate.clamp(RATE_MIN, RATE_MAX)
    }

    /// The most calls that may start at once.
    fn burst(&self, now: TimeMs) -> f64 {
        // Permits are taken in passes. With a burst of less than a few passes, a part of the rate would be lost.
        let least = (self.rate(now) * 0.1)
            .min(self.burst_max * BURST_PART)
            .max(1.0);
        let known = match (self.reported, self.measured) {
            (Some(reported), _) => reported.burst * BURST_PART,
            (None, Some(_)) => f64::from(self.burst.calls).min(self.burst_max) * BURST_PART,
            (None, None) => 0.0,
        };
        known.max(least)
    }

    /// Whether the rate is known, so that the account can open without a probe.
    pub(super) fn is_known(&self) -> bool {
        match &self.ended {
            Some(window) => window.accepted() > 0,
            None => self.reported.is_some(),
        }
    }

    /// The account closes because the provider refused a call.
    pub(super) fn close(&mut self, now: TimeMs) {
        self.window.refused();
        // The calls before the very first refusal had no permits.
        let next = self.window.next();
        let window = std::mem::replace(&mut self.window, next);
        self.ended = window.is_used().then_some(window);
        self.bucket = Bucket::new(0.0, now);
    }

    /// The provider refused a call that started before the account closed.
    pub(super) const fn refused_earlier(&mut self) {
        if let Some(window) = &mut self.ended {
            window.refused();
        }
    }

    /// When the account last opened after a refusal, or the last probe started.
    pub(super) const fn opened_at(&self) -> TimeMs {
        self.window.opened_at()
    }

    /// The account opens after a refusal, or a probe starts.
    pub(super) fn open(&mut self, now: TimeMs) {
        self.window.opened(now);
        self.ramp_from = now;
        if let Some(ended) = self.ended.take() {
            if ended.accepted() == 0 {
                self.window.include(&ended);
            } else {
                self.measure(&ended, now);
            }
        }
    }

    /// The probe was not refused.
    pub(super) fn probe_accepted(&mut self, now: TimeMs) {
        self.ramp_from = now;
        self.window.mark(now);
    }

    fn measure(&mut self, window: &Window, now: TimeMs) {
        let earlier = self.measured.map(|measured| measured.rate);
        let measurement = window.measure(&self.burst, earlier.map(|rate| rate.rate()));
        let rate = MeasuredRate::join(earlier, &measurement);
        if window.is_short() {
            self.burst_max = self.burst_max.min(f64::from(window.accepted()));
        }
        let is_reported = |reported: ReportedRate| reported.rate() * 0.8 < rate.rate();
        self.measured = (!self.reported.is_some_and(is_reported)).then(|| Measured {
            rate,
            factor: SAFE_PART,
            raise: RAISE_FIRST,
            raise_ms: RAISE_MS.max(RAISE_CLOSINGS * window.closed_ms(now)),
            since: now,
            granted: 0,
        });
    }

    /// Whether answers can change the pace.
    pub(super) const fn needs_answers(&self, now: TimeMs) -> bool {
        self.reported.is_some() || now.since_ms(self.first_closed_at) < BURST_ANSWERS_MS
    }

    /// Whether the rate was reported, but never measured.
    pub(super) const fn is_only_reported(&self) -> bool {
        self.measured.is_none() && self.reported.is_some()
    }

    /// Whether the rate was measured or reported.
    pub(super) const fn is_measured(&self) -> bool {
        self.measured.is_some() || self.reported.is_some()
    }

    /// The milliseconds until so many calls may start.
    pub(super) fn wait_for_ms(&self, calls: f64, now: TimeMs) -> u64 {
        self.bucket.wait_ms(calls, self.rate(now))
    }

    /// How many calls may start, at most `calls`.
    pub(super) fn available(&mut self, calls: u32, now: TimeMs) -> u32 {
        let (rate, burst) = (self.rate(now), self.burst(now));
        whole_units(self.bucket.refill(rate, burst, now), calls)
    }

    /// Calls start. `is_short`: more calls wait.
    pub(super) fn take(&mut self, calls: u32, is_short: bool, now: TimeMs) {
        self.bucket.take(f64::from(calls));
        if self.measured.is_none() {
            self.window.mark_progress(now);
        }
        if calls > 0 {
            self.window.granted(calls, now);
        }
        if let Some(measured) = &mut self.measured
            && is_short
        {
            measured.granted = measured.granted.saturating_add(calls);
            if measured.granted >= RAISE_CALLS && now.since_ms(measured.since) >= measured.raise_ms
            {
                measured.factor *= 1.0 + measured.raise;
                measured.raise = (measured.raise * 2.0).min(RAISE_MAX);
                measured.since = now;
                measured.granted = 0;
                self.window.mark(now);
            }
        }
    }

    /// Permits that were taken at this time are not used.
    pub(super) fn not_used(&mut self, calls: u32, taken_at: TimeMs) {
        if let Some(ended) = &mut self.ended {
            // A refusal showed since then that the provider's bucket is empty. So only the measurement changes.
            ended.not_used(calls, taken_at);
            return;
        }
        let calls = self.window.not_used(calls, taken_at);
        self.bucket.give_back(f64::from(calls));
        if let Some(measured) = &mut self.measured {
            measured.granted = measured.granted.saturating_sub(calls);
        }
    }

    /// A call was answered.
    pub(super) fn answered(&mut self, started_at: TimeMs) {
        let first = self.first_closed_at;
        if started_at <= first && first.since_ms(started_at) <= BURST_MS {
            self.burst.answered(started_at);
        }
    }

    /// The provider reported its limit.
    pub(super) fn report(&mut self, report: &ReportedLimit, now: TimeMs) {
        ReportedRate::join(&mut self.reported, report, now);
    }
}
