//! Measures the rate at which a provider's token bucket refills, from the calls between two refusals.
//!
//! Right after a refusal the bucket is empty. So the calls that are accepted until the next refusal show the rate. If the
//! bucket was full at some moment between the two refusals, it held its burst then, and further refills were lost. Then the calls that were
//! accepted after that moment, minus the burst, show the rate. The moment is not known. But any other moment gives a rate
//! that is too low. So the rate is computed for several moments, and the highest result counts.

use std::iter;

use serde::{Deserialize, Serialize};

use crate::time::TimeMs;

/// All earlier measurements together count as at most this many calls.
const EARLIER_CALLS_MAX: f64 = 20.0;
/// The shortest time that is measured, in milliseconds. Also the least time between two marks (`Window::marks`), except for the
/// mark of a raise of the rate.
const SHORTEST_MS: u64 = 200;
/// The most marks of a window.
const MARKS_MAX: usize = 8;

/// The calls between two refusals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    /// The time of the last permits before the first refusal.
    since: TimeMs,
    /// When the account opened between the two refusals.
    opened_at: TimeMs,
    /// The time of the last permits before the second refusal.
    ended_at: TimeMs,
    granted: u32,
    refused: u32,
    /// Moments at which the bucket may have been full, the oldest first, each with the number of permits granted until then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    marks: Vec<(TimeMs, u32)>,
}

/// The calls that the provider accepted at once, right before the first refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Burst {
    /// The number of calls. 0 if it is not known yet.
    pub(super) calls: u32,
    /// When the first of them started.
    first_at: TimeMs,
    /// When the last of them started.
    last_at: TimeMs,
}

impl Burst {
    /// How many calls the provider accepts at once. The bucket also refilled, at this rate, between the first and the last of
    /// the calls.
    pub(super) fn at_once(&self, rate: f64) -> f64 {
        let seconds = self.last_at.since_ms(self.first_at) as f64 / 1_000.0;
        (f64::from(self.calls) - rate * seconds).max(0.0)
    }

    /// One of the calls was answered.
    pub(super) fn answered(&mut self, started_at: TimeMs) {
        if self.calls == 0 {
            (self.first_at, self.last_at) = (started_at, started_at);
        }
        self.calls = self.calls.saturating_add(1);
        self.first_at = self.first_at.min(started_at);
        self.last_at = self.last_at.max(started_at);
    }
}

/// What a window shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measurement {
    calls: f64,
    seconds: f64,
    /// If set, the bucket may have overflowed. Then the rate may be higher than measured, but is at most this many
    /// calls a second.
    highest: Option<f64>,
}

/// A rate computed from some measurements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct MeasuredRate {
    calls: f64,
    seconds: f64,
}

impl Window {
    pub(super) const fn new(since: TimeMs) -> Self {
        Self {
            since,
            opened_at: since,
            ended_at: since,
            granted: 0,
            refused: 0,
            marks: Vec::new(),
        }
    }

    /// The calls that the provider accepted.
    pub(super) const fn accepted(&self) -> u32 {
        self.granted.saturating_sub(self.refused)
    }

    pub(super) const fn granted(&self) -> u32 {
        self.granted
    }

    pub(super) const fn refused_calls(&self) -> u32 {
        self.refused
    }

    pub(super) const fn is_used(&self) -> bool {
        self.granted > 0
    }

    pub(super) const fn refused(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    pub(super) const fn opened_at(&self) -> TimeMs {
        self.opened_at
    }

    pub(super) const fn opened(&mut self, now: TimeMs) {
        self.opened_at = now;
    }

    /// Permits were given.
    pub(super) const fn grant(&mut self, calls: u32, now: TimeMs) {
        self.granted = self.granted.saturating_add(calls);
        self.ended_at = now;
    }

    /// Permits of this window were not used: their calls were never made. Returns how many of them the window had counted.
    pub(super) fn not_used(&mut self, calls: u32, taken_at: TimeMs) -> u32 {
        if taken_at < self.opened_at {
            return 0;
        }
        let calls = calls.min(self.granted);
        self.granted -= calls;
        for (at, before) in &mut self.marks {
            if *at > taken_at {
                *before = before.saturating_sub(calls);
            }
        }
        calls
    }

    /// Adds a mark.
    pub(super) fn mark(&mut self, now: TimeMs) {
        if self.marks.len() == MARKS_MAX {
            self.marks.remove(0);
        }
        self.marks.push((now, self.granted));
    }

    /// Adds a mark if the last one is at least [`SHORTEST_MS`] old.
    pub(super) fn mark_progress(&mut self, now: TimeMs) {
        let last = self.marks.last().map_or(self.opened_at, |(at, _)| *at);
        if now.since_ms(last) >= SHORTEST_MS {
            self.mark(now);
        }
    }

    /// The window after this one.
    pub(super) const fn next(&self) -> Self {
        // The calls of the last permits emptied the bucket.
        Self::new(self.ended_at)
    }

    /// Extends this window by an earlier one that had no accepted call.
    pub(super) const fn include(&mut self, earlier: &Self) {
        self.since = earlier.since;
    }

    /// How long the account was closed after this window.
    pub(super) const fn closed_ms(&self, opened_at: TimeMs) -> u64 {
        opened_at.since_ms(self.ended_at)
    }

    /// Whether the provider refused calls right after the account opened.
    pub(super) const fn is_brief(&self) -> bool {
        self.ended_at.since_ms(self.opened_at) < SHORTEST_MS
    }

    /// Measures the rate of the window. `rate` is the result of the earlier measurements.
    pub(super) fn measure(&self, burst: &Burst, rate: Option<f64>) -> Measurement {
        let seconds = |from: TimeMs| self.ended_at.since_ms(from) as f64 / 1_000.0;
        let accepted = f64::from(self.accepted());
        let (all_s, open_s) = (seconds(self.since).max(0.001), seconds(self.opened_at));
        let mut found = Measurement {
            calls: accepted,
            seconds: all_s,
            highest: None,
        };
        let closed_s = all_s - open_s;
        if let Some(rate) = rate
            && rate * closed_s > f64::from(burst.calls.max(2))
            && open_s < closed_s
        {
            found.highest = Some(if self.is_brief() {
                rate * 0.8
            } else {
                accepted / open_s
            });
        }
        let opening = iter::once((self.opened_at, 0));
        for (at, before) in opening.chain(self.marks.iter().copied()) {
            // The bucket still held half a call on average when it refused.
            let calls = accepted + 0.5 - f64::from(before) - f64::from(burst.calls);
            // It also refilled while the burst was used up.
            let span_s = seconds(at) - burst.last_at.since_ms(burst.first_at) as f64 / 1_000.0;
            let is_long = span_s * 1_000.0 >= SHORTEST_MS as f64;
            if burst.calls > 0 && is_long && calls / span_s > found.calls / found.seconds {
                found = Measurement {
                    calls,
                    seconds: span_s,
                    highest: None,
                };
            }
        }
        found
    }
}

impl MeasuredRate {
    /// The rate, in calls a second.
    pub(super) fn rate(&self) -> f64 {
        self.calls / self.seconds
    }

    /// Combines the earlier measurements with a new one.
    pub(super) fn join(earlier: Option<Self>, new: &Measurement) -> Self {
        let measured = Self {
            calls: new.calls,
            seconds: new.seconds,
        };
        let Some(earlier) = earlier else {
            return measured;
        };
        if let Some(highest) = new.highest {
            let rate = earlier.rate().min(highest).max(measured.rate());
            return Self {
                calls: earlier.calls,
                seconds: earlier.calls / rate,
            };
        }
        let part = (EARLIER_CALLS_MAX / earlier.calls).min(1.0);
        Self {
            calls: earlier.calls * part + new.calls,
            seconds: earlier.seconds * part + new.seconds,
        }
    }
}
