//! The pace of an account: the rate of calls that the provider was found to allow.
//!
//! Before the first measurement, the rate doubles repeatedly until the provider refuses a call. Then the calls between two
//! refusals show the rate (`measure.rs`). After a time without a refusal, a higher rate is tried.
//!
//! If the provider reports its limits, the reported rate is used (`reported.rs`). A refusal that no report explains is measured
//! as well, and then the lower rate counts.

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
/// The part of a measured or reported rate that is used, because such rates have errors.
const SAFE_PART: f64 = 0.99;
/// The part of the burst that is used.
const BURST_PART: f64 = 0.8;
/// The first raise of the rate, as a part of it. Each further raise without a refusal is twice as high.
const RAISE_FIRST: f64 = 0.02;
/// The highest raise.
const RAISE_MAX: f64 = 1.0;
/// The least time between two raises, in milliseconds.
const RAISE_MS: u64 = 1_000;
/// The fewest permits between two raises.
const RAISE_CALLS: u32 = 15;
/// The least time between two raises, as a multiple of the account's last closed time. A raise that is too high closes the account
/// for about as long again.
const RAISE_CLOSINGS: u64 = 5;
/// The fewest calls between two refusals that can contradict the reports. Of fewer calls, many may be refused by chance.
const CONTRADICTION_CALLS: u32 = 4;
/// After this many contradictions in a row, the reports are ignored.
const CONTRADICTIONS_MAX: u32 = 2;
/// A refusal that the reports explain multiplies the used part of the reported rate by this.
const REFUSED_PART: f64 = 0.9;
/// Each second without a refusal multiplies that part by this.
const REPORTED_PART_GROWTH: f64 = 1.01;
/// The lowest value of that part.
const REPORTED_PART_MIN: f64 = 0.1;
/// How long a pace counts as in use after it last kept a call waiting, in milliseconds. At the start of a
/// provider's fixed window, such as a minute, the reports allow many calls, although more jobs may wait than the window allows.
const IN_USE_MS: u64 = 60_000;
/// How long after the first refusal the answers to calls from before it still count for the burst, in milliseconds.
const BURST_ANSWERS_MS: u64 = 60_000;
/// How long after the first refusal a process reports answers that it got before it knew of the refusal, in milliseconds. A
/// process that misses the notice reads the account within a second.
const EARLIER_ANSWERS_MS: u64 = 2_000;
/// The burst begins this long before the start of the first refused call, in milliseconds. It ends when the refusal arrives.
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
    /// Whether the provider's reports explain the last refusal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_explained: bool,
    /// How many times in a row the provider refused more than half of the calls that its reports allowed.
    #[serde(default, skip_serializing_if = "is_zero")]
    contradictions: u32,
    /// The part of the reported rate that was used after the last refusal that the reports explain.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    reported_part: f64,
    /// When that refusal was, or when the pace began if there was none.
    #[serde(default)]
    reported_part_at: TimeMs,
    /// When the pace last kept a call waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    short_at: Option<TimeMs>,
    /// When the rate began to double.
    ramp_from: TimeMs,
    /// When the pace began: at the first refusal, the first low report, or the loss of the account.
    first_closed_at: TimeMs,
    /// From this time on, calls belong to the burst.
    #[serde(default)]
    burst_from: TimeMs,
    /// The calls that the provider accepted right before the first refusal.
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
    /// The permits that were granted since then while more calls waited.
    granted: u32,
}

impl Pace {
    /// The pace of an account with its first refusal, its first low report of `remaining` calls, or its loss. `started_at` is
    /// the start of the call that was refused or answered.
    pub(super) fn new(remaining: u64, started_at: TimeMs, now: TimeMs) -> Self {
        Self {
            bucket: Bucket::new(remaining as f64, now),
            measured: None,
            reported: None,
            is_explained: false,
            contradictions: 0,
            reported_part: 1.0,
            reported_part_at: now,
            short_at: None,
            ramp_from: now,
            first_closed_at: now,
            burst_from: TimeMs(started_at.0.saturating_sub(BURST_MS)),
            burst: Burst::default(),
            burst_max: RATE_MAX,
            window: Window::new(now),
            ended: None,
        }
    }

    /// The rate in calls a second.
    pub(super) fn rate(&self, now: TimeMs) -> f64 {
        let measured = self.measured.map(|m| m.rate.rate() * m.factor);
        let reported = self
            .reported()
            .map(|reported| reported.rate() * SAFE_PART * self.reported_part(now));
        let rate = match (measured, reported) {
            (Some(measured), Some(reported)) => measured.min(reported),
            (Some(rate), None) | (None, Some(rate)) => rate,
            (None, None) => {
                RAMP_FIRST * (now.since_ms(self.ramp_from) as f64 / RAMP_DOUBLES_MS).exp2()
            }
        };
        rate.clamp(RATE_MIN, RATE_MAX)
    }

    /// Whether the provider accepts the calls that its reports allow.
    const fn trusts_reports(&self) -> bool {
        self.contradictions < CONTRADICTIONS_MAX
    }

    /// What the provider reports, unless refusals have contradicted it too often.
    fn reported(&self) -> Option<ReportedRate> {
        self.reported.filter(|_| self.trusts_reports())
    }

    /// The part of the reported rate that is used now.
    fn reported_part(&self, now: TimeMs) -> f64 {
        let seconds = now.since_ms(self.reported_part_at) as f64 / 1_000.0;
        (self.reported_part * REPORTED_PART_GROWTH.powf(seconds)).min(1.0)
    }

    /// The most calls that may start at once.
    fn burst(&self, now: TimeMs) -> f64 {
        let reported_max = self
            .reported()
            .map_or(RATE_MAX, |reported| reported.burst * 2.0);
        // The sweeper takes permits in passes. With a burst smaller than a few passes need, a part of the rate would be lost.
        let least = (self.rate(now) * 0.1)
            .min(self.burst_max * BURST_PART)
            .min(reported_max)
            .max(1.0);
        let known = match (self.reported(), self.measured) {
            (Some(reported), _) => reported.burst * BURST_PART,
            (None, Some(measured)) => {
                self.burst.at_once(measured.rate.rate()).min(self.burst_max) * BURST_PART
            }
            (None, None) => 0.0,
        };
        known.max(least)
    }

    /// Whether the rate is known, so that the account can open without a probe.
    pub(super) fn opens_without_probe(&self) -> bool {
        match &self.ended {
            Some(window) => window.accepted() > 0,
            None => self.reported().is_some(),
        }
    }

    /// The account closes because the provider refused a call. `is_reported`: the provider reports that no call remained.
    pub(super) fn close(&mut self, is_reported: bool, now: TimeMs) {
        self.window.refused();
        let next = self.window.next();
        let window = std::mem::replace(&mut self.window, next);
        self.is_explained = is_reported && self.reported().is_some();
        if self.is_explained && window.is_used() {
            // The reports may be slightly too high, so a smaller part of the reported rate is used from now on.
            self.reported_part = (self.reported_part(now) * REFUSED_PART).max(REPORTED_PART_MIN);
            self.reported_part_at = now;
        }
        // The calls before the very first refusal had no permits.
        self.ended = window.is_used().then_some(window);
        self.bucket = Bucket::new(0.0, now);
    }

    /// The provider refused a call, which does not close the account again. Counts the refusal in the window of the call.
    pub(super) fn refused_earlier(&mut self, started_at: TimeMs) {
        let window = self.ended.as_mut().unwrap_or(&mut self.window);
        if window.is_used() && started_at >= window.opened_at() {
            window.refused();
        }
    }

    /// Whether the pace began so recently that processes may still have unreported answers from before it.
    pub(super) const fn needs_earlier_answers(&self, now: TimeMs) -> bool {
        now.since_ms(self.first_closed_at) < EARLIER_ANSWERS_MS
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
            // A report explains the refusal, so nothing needs to be measured. But some providers' headers differ from OpenAI's:
            // for example, the limit of a minute with the reset time of another limit. Such headers explain nothing.
            if self.is_explained {
                if ended.granted() >= CONTRADICTION_CALLS {
                    let is_contradicted = ended.refused_calls() * 2 > ended.granted();
                    self.contradictions = if is_contradicted {
                        self.contradictions.saturating_add(1)
                    } else {
                        0
                    };
                }
                if self.trusts_reports() {
                    return;
                }
            }
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
        if window.is_brief() {
            self.burst_max = self.burst_max.min(f64::from(window.accepted()));
        }
        // A measured rate above 80 % of the reported one confirms the report. Then the report alone counts.
        let confirms = |reported: ReportedRate| reported.rate() * 0.8 < rate.rate();
        self.measured = (!self.reported().is_some_and(confirms)).then(|| Measured {
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

    /// Whether the rate was reported, never measured, and has not limited calls for [`IN_USE_MS`].
    pub(super) fn is_ample(&self, now: TimeMs) -> bool {
        self.measured.is_none() && self.reported().is_some() && !self.is_in_use(now)
    }

    /// Whether the pace has limited calls within [`IN_USE_MS`].
    pub(super) fn is_in_use(&self, now: TimeMs) -> bool {
        self.short_at.is_some_and(|at| now.since_ms(at) < IN_USE_MS)
    }

    /// Whether the rate was measured or reported.
    pub(super) fn is_known(&self) -> bool {
        self.measured.is_some() || self.reported().is_some()
    }

    /// The milliseconds until this many calls may start.
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
        if is_short {
            self.short_at = Some(now);
        }
        if self.measured.is_none() {
            self.window.mark_progress(now);
        }
        if calls > 0 {
            self.window.grant(calls, now);
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
            // Since then, a refusal showed that the provider's bucket is empty. So only the measurement changes.
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
        if (self.burst_from..=self.first_closed_at).contains(&started_at) {
            self.burst.answered(started_at);
        }
    }

    /// The provider reported its limit.
    pub(super) fn report(&mut self, report: &ReportedLimit, now: TimeMs) {
        if ReportedRate::join(&mut self.reported, report, now) {
            self.ramp_from = now;
        }
    }
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

const fn one() -> f64 {
    1.0
}

fn is_one(part: &f64) -> bool {
    *part >= 1.0
}
