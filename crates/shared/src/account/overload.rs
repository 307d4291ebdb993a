//! The limit on calls in flight of a provider that was overloaded.
//!
//! A provider that is overloaded refuses calls because too many are in flight, whatever their rate is. After such a refusal the
//! calls in flight are limited to half of them. Further refusals of the same overload lower the limit to the calls that remain.
//! The limit grows while calls are answered: at first it doubles in each round of calls, and after a second overload it grows by a
//! twentieth in each round. A round is as many answers as the limit allows calls in flight. This is the congestion control of TCP
//! (RFC 5681, section 3.1), with a smaller decrease.

use serde::{Deserialize, Serialize};

use crate::time::TimeMs;

/// The limit after a further overload, as a part of the limit before.
const REFUSED_PART: f64 = 0.8;
/// The first limit, as a part of the calls in flight of one process at the first refusal. That process may not know of calls that
/// the provider is about to refuse.
const FIRST_PART: f64 = 0.5;
/// The growth of the limit in a round of calls once it no longer doubles, as a part of the limit.
const GROWTH: f64 = 0.05;
/// The least growth in a round, in calls.
const GROWTH_CALLS_MIN: f64 = 0.5;
/// The highest limit, in calls.
const LIMIT_MAX: f64 = 100_000.0;
/// The limit ends if the provider refused no call and the limit kept no call waiting for this long, in milliseconds.
const UNUSED_MS: u64 = 60_000;

/// The limit on calls in flight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OverloadLimit {
    /// The most calls in flight, at least 1. Only whole calls start.
    limit: f64,
    /// Up to this limit, the limit doubles in each round of calls.
    doubles_until: f64,
    /// When the account last closed because of an overload.
    refused_at: TimeMs,
    /// When the limit last kept a call waiting, recorded up to a second too early.
    short_at: TimeMs,
}

/// How exact `short_at` is, in milliseconds. Each change of it is a write to the store.
const SHORT_MS: u64 = 1_000;

impl OverloadLimit {
    /// The limit after the first refusal.
    pub(super) fn new(calls_in_flight: u32, now: TimeMs) -> Self {
        Self {
            limit: (f64::from(calls_in_flight) * FIRST_PART).clamp(1.0, LIMIT_MAX),
            doubles_until: LIMIT_MAX,
            refused_at: now,
            short_at: now,
        }
    }

    /// The provider refused a probe. It is still overloaded, but this does not show how many calls it accepts.
    pub(super) const fn probe_refused(&mut self, now: TimeMs) {
        self.refused_at = now;
    }

    /// A call waits because of the limit.
    pub(super) const fn mark_short(&mut self, now: TimeMs) {
        if now.since_ms(self.short_at) >= SHORT_MS {
            self.short_at = now;
        }
    }

    /// Whether the provider refused a call, or the limit kept a call waiting, in the last [`UNUSED_MS`].
    pub(super) const fn is_needed(&self, now: TimeMs) -> bool {
        now.since_ms(self.refused_at) < UNUSED_MS || now.since_ms(self.short_at) < UNUSED_MS
    }

    /// The provider refused a further call, and the account closes again.
    pub(super) fn refused(&mut self, now: TimeMs) {
        self.limit = (self.limit * REFUSED_PART).max(1.0);
        self.doubles_until = self.limit;
        self.refused_at = now;
    }

    /// The provider refused a call that started before the last closing. `calls_left` calls are still in flight. The provider
    /// works on these, or refuses them too. If it refuses slowly, it accepts more calls than these, so `doubles_until` stays.
    pub(super) fn refused_earlier(&mut self, calls_left: u32) {
        self.limit = self.limit.min(f64::from(calls_left)).max(1.0);
    }

    /// `calls` calls were answered while at most `calls_in_flight` others were in flight. A limit of which
    /// less than half is used does not grow.
    pub(super) fn answered(&mut self, calls: usize, calls_in_flight: u32) {
        if (calls as f64 + f64::from(calls_in_flight)) * 2.0 < self.limit {
            return;
        }
        for _ in 0..calls {
            let growth = if self.limit < self.doubles_until {
                1.0
            } else {
                GROWTH.max(GROWTH_CALLS_MIN / self.limit)
            };
            self.limit = (self.limit + growth).min(LIMIT_MAX);
        }
    }

    /// The most calls in flight.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 1 to LIMIT_MAX"
    )]
    pub(super) const fn calls(&self) -> u32 {
        self.limit as u32
    }
}
