//! The permits of an account: how many calls may start now.

use super::{
    Account, ClosedBy, Closing, PROBE_MS_MAX, Phase, bucket::whole_units, limits::configured_burst,
};
use crate::{ids::ProcessId, time::TimeMs};

/// The least time that the account waits for the refusal of a probe after a rate limit, in milliseconds.
const REFUSAL_MS_MIN: u64 = 60;
/// The longest such wait, in milliseconds. Otherwise one very slow refusal would make all later probes slow.
pub(super) const REFUSAL_MS_MAX: u64 = 2_000;

/// How long the limit after an overload may delay the probe, in milliseconds.
const PROBE_DELAY_MS_MAX: u64 = 10_000;

/// The calls that need permits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The most permits that are needed.
    pub(super) calls: u32,
    /// Whether further calls wait.
    pub(super) more_wait: bool,
}

impl Account {
    /// How many calls may start now, and the milliseconds until more may.
    pub(super) fn take(
        &mut self,
        wanted: Wanted,
        process: &ProcessId,
        now: TimeMs,
    ) -> (u32, Option<u64>) {
        if wanted.calls == 0 {
            return (0, None);
        }
        match &self.phase {
            Phase::Open => self.take_open(wanted, process, now),
            Phase::Closed(closing) | Phase::Probing(closing) if now < closing.until => {
                (0, Some(closing.until.since_ms(now)))
            }
            Phase::Probing(closing) if closing.cause == ClosedBy::RateLimit => {
                self.open(now);
                self.take_open(wanted, process, now)
            }
            Phase::Closed(closing)
                if closing.cause == ClosedBy::RateLimit && self.opens_without_probe() =>
            {
                self.phase = Phase::Open;
                if let Some(pace) = &mut self.pace {
                    pace.open(now);
                }
                self.take_open(wanted, process, now)
            }
            Phase::Closed(closing) | Phase::Probing(closing) => {
                let closing = closing.clone();
                self.take_probe(wanted.calls, process, closing, now)
            }
        }
    }

    fn opens_without_probe(&self) -> bool {
        self.pause_count <= 1
            && self
                .pace
                .as_ref()
                .is_some_and(super::rate::Pace::opens_without_probe)
    }

    fn take_open(
        &mut self,
        wanted: Wanted,
        process: &ProcessId,
        now: TimeMs,
    ) -> (u32, Option<u64>) {
        let Wanted { calls, more_wait } = wanted;
        let concurrency = self.concurrency();
        self.mark_overload(wanted, now);
        let configured = self.configured_permits(calls, concurrency, now);
        let granted = self
            .pace
            .as_mut()
            .map_or(configured, |pace| pace.available(configured, now));
        self.count(granted, process);
        if let Some(pace) = &mut self.pace {
            pace.take(granted, granted < calls || more_wait, now);
        }
        let retry_in_ms = (granted < calls).then(|| self.wait_ms(now)).flatten();
        (granted, retry_in_ms)
    }

    /// Lets one call start: the probe. It ignores the pace, which may be outdated.
    fn take_probe(
        &mut self,
        calls: u32,
        process: &ProcessId,
        closing: Closing,
        now: TimeMs,
    ) -> (u32, Option<u64>) {
        // Calls that were in flight before an overload delay the probe only for some time, because they may take long.
        let is_delayed = now.since_ms(closing.since) < PROBE_DELAY_MS_MAX;
        let concurrency = if is_delayed {
            self.concurrency()
        } else {
            self.configured.concurrency
        };
        let probe = self.configured_permits(calls.min(1), concurrency, now);
        if probe == 0 {
            return (0, self.wait_ms(now));
        }
        self.count(probe, process);
        let answer_ms = self.answer_ms(closing.cause);
        if closing.cause == ClosedBy::RateLimit
            && let Some(pace) = &mut self.pace
        {
            pace.open(now);
            let is_short = false;
            pace.take(probe, is_short, now);
        }
        self.phase = Phase::Probing(Closing {
            until: now.plus_ms(answer_ms),
            ..closing
        });
        (probe, (probe < calls).then_some(answer_ms))
    }

    /// Permits that were taken at this time are not used: gives their units back. If one of them was the probe's, the next
    /// probe may start at once.
    pub(super) fn not_used(&mut self, calls: u32, taken_at: TimeMs, now: TimeMs) {
        if let Some(bucket) = &mut self.requests {
            bucket.give_back(f64::from(calls));
        }
        if let Some(budget) = &mut self.tokens {
            budget.not_used(calls);
        }
        let mut calls_of_pace = calls;
        if self.release_probe(taken_at, now) == Some(ClosedBy::Unavailable) {
            // Such a probe takes nothing from the pace.
            calls_of_pace = calls.saturating_sub(1);
        }
        if let Some(pace) = &mut self.pace {
            pace.not_used(calls_of_pace, taken_at);
        }
    }

    /// If a permit that was taken at this time can be the probe's, lets the next probe start at once. Returns why the account
    /// is closed; `None` if it was not the probe's.
    pub(super) fn release_probe(&mut self, taken_at: TimeMs, now: TimeMs) -> Option<ClosedBy> {
        let Phase::Probing(closing) = &self.phase else {
            return None;
        };
        if !self.is_of_probe(closing, taken_at) {
            return None;
        }
        let cause = closing.cause;
        self.phase = Phase::Closed(Closing {
            until: now.min(closing.until),
            ..closing.clone()
        });
        Some(cause)
    }

    /// Whether a permit that was taken at this time, or a little earlier, can be the probe's.
    fn is_of_probe(&self, closing: &Closing, taken_at: TimeMs) -> bool {
        match closing.cause {
            ClosedBy::RateLimit => {
                let pace = self.pace.as_ref();
                pace.is_none_or(|pace| pace.opened_at() <= taken_at)
            }
            ClosedBy::Unavailable => taken_at.plus_ms(PROBE_MS_MAX) >= closing.until,
        }
    }

    /// Records whether the limit after an overload keeps calls waiting.
    fn mark_overload(&mut self, wanted: Wanted, now: TimeMs) {
        let in_flight = self.calls_in_flight();
        if let Some(limit) = &mut self.overload {
            let free = limit.calls().saturating_sub(in_flight);
            if free < wanted.calls || (wanted.more_wait && free == wanted.calls) {
                limit.mark_short(now);
            }
        }
    }

    /// How many calls the configured limits, the reported limits and this concurrency allow, at most `calls`.
    fn configured_permits(&mut self, calls: u32, concurrency: Option<u32>, now: TimeMs) -> u32 {
        let mut permits = calls;
        if let Some(concurrency) = concurrency {
            permits = permits.min(concurrency.saturating_sub(self.calls_in_flight()));
        }
        if let (Some(rate), Some(bucket)) = (self.configured.calls_per_second(), &mut self.requests)
        {
            let level = bucket.refill(rate, configured_burst(rate), now);
            permits = whole_units(level, permits);
        }
        if let Some(budget) = &mut self.tokens {
            permits = budget.available(permits, self.configured.tokens_per_second(), now);
        }
        permits
    }

    /// Counts calls in flight, and takes their units from the buckets of the configured and the reported limits.
    fn count(&mut self, calls: u32, process: &ProcessId) {
        if calls == 0 {
            return;
        }
        if self.counts_calls() {
            let in_flight = self.in_flight.entry(process.clone()).or_default();
            *in_flight = in_flight.saturating_add(calls);
        }
        if let Some(bucket) = &mut self.requests {
            bucket.take(f64::from(calls));
        }
        if let Some(budget) = &mut self.tokens {
            budget.take(calls);
        }
    }

    /// The milliseconds until a call may start. `None` if only the concurrency limits calls.
    fn wait_ms(&self, now: TimeMs) -> Option<u64> {
        let rate = self.configured.calls_per_second();
        let requests = rate.and_then(|rate| Some(self.requests.as_ref()?.wait_ms(1.0, rate)));
        let tokens = self.tokens.as_ref();
        let tokens = tokens.map(|budget| budget.wait_ms(self.configured.tokens_per_second()));
        let pace = self.pace.as_ref().map(|pace| pace.wait_for_ms(1.0, now));
        [requests, tokens, pace].into_iter().flatten().max()
    }

    /// How long a probe may stay without an answer, in milliseconds. After a rate limit, a refusal arrives sooner than a
    /// reply. So the account opens when a refusal as slow as the earlier ones would have arrived.
    fn answer_ms(&self, cause: ClosedBy) -> u64 {
        match cause {
            ClosedBy::RateLimit => self
                .slowest_refusal_ms
                .clamp(REFUSAL_MS_MIN, REFUSAL_MS_MAX),
            ClosedBy::Unavailable => PROBE_MS_MAX,
        }
    }
}
