//! The entry point: an event changes an account.

use super::{
    Account, AccountEvent, ConfiguredBy, ConfiguredLimits, Decision, FORGET_MS, Phase, PhaseChange,
    ReportedLimits, overload::OverloadLimit, permits::Wanted, rate::Pace, tokens::TokenBudget,
};
use crate::{ids::ProcessId, time::TimeMs};

impl Account {
    /// Applies an event. If the account is the same afterwards, nothing needs to be written.
    ///
    /// `now` is the store's clock.
    pub fn apply(&mut self, event: &AccountEvent, now: TimeMs) -> Decision {
        self.forget(now);
        let was_open = self.phase == Phase::Open;
        let mut decision = Decision::default();
        match event {
            AccountEvent::Configured { limits, by } => self.configure(*limits, by, now),
            AccountEvent::Lost => self.lost(now),
            AccountEvent::Take {
                calls,
                process,
                more_wait,
            } => {
                let wanted = Wanted {
                    calls: *calls,
                    more_wait: *more_wait,
                };
                (decision.granted, decision.retry_in_ms) = self.take(wanted, process, now);
            }
            AccountEvent::Refused(refusal) => {
                self.refused(refusal, now);
                decision.spares_try = true;
            }
            AccountEvent::ServerError {
                job,
                taken_at,
                error,
                random,
            } => decision.spares_try = self.server_error(*job, *taken_at, error, *random, now),
            AccountEvent::Answered {
                started_at,
                replies,
                tokens,
                limits,
            } => {
                if let Some(budget) = &mut self.tokens {
                    budget.answered(started_at.len(), *replies, *tokens);
                }
                self.answered(started_at, limits.as_ref(), now);
            }
            AccountEvent::AnsweredEarlier { started_at } => {
                if let Some(pace) = &mut self.pace {
                    for at in started_at {
                        pace.answered(*at);
                    }
                }
            }
            AccountEvent::Ended { process, calls } => {
                self.end_calls(process, *calls);
            }
            AccountEvent::EndedUnanswered {
                process,
                calls,
                taken_at,
            } => {
                self.end_calls(process, *calls);
                self.release_probe(*taken_at, now);
            }
            AccountEvent::NotUsed {
                process,
                calls,
                taken_at,
            } => {
                self.end_calls(process, *calls);
                self.not_used(*calls, *taken_at, now);
            }
            AccountEvent::Moved { from, to } => decision.granted = self.move_call(from, to),
            AccountEvent::InFlight {
                process,
                least,
                most,
            } => {
                let in_flight = self.in_flight.get(process).copied().unwrap_or_default();
                self.count_in_flight(process, in_flight.min(*most).max(*least));
            }
            AccountEvent::ProcessGone { process } => {
                self.count_in_flight(process, 0);
                self.configured_by.take_if(|by| by.process == *process);
            }
        }
        decision.phase_change = match (was_open, self.phase == Phase::Open) {
            (true, false) => Some(PhaseChange::Closed),
            (false, true) => Some(PhaseChange::Opened),
            _ => None,
        };
        decision
    }

    /// Whether calls need permits. If not, a call may start without any event.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        !matches!(self.phase, Phase::Open)
            || self.requests.is_some()
            || self.tokens.is_some()
            || self.pace.is_some()
            || self.counts_calls()
    }

    /// Whether the calls in flight are limited, so that they are counted.
    #[must_use]
    pub const fn counts_calls(&self) -> bool {
        self.configured.concurrency.is_some() || self.overload.is_some()
    }

    /// The most calls that may be in flight: the configured number, or fewer if the provider was overloaded. `None` if they are not
    /// limited.
    #[must_use]
    pub fn concurrency(&self) -> Option<u32> {
        let overload = self.overload.as_ref().map(OverloadLimit::calls);
        [self.configured.concurrency, overload]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether the account needs [`AccountEvent::Answered`] now. A response whose limits are low
    /// ([`ReportedLimits::is_low`]) always needs it.
    #[must_use]
    pub fn needs_answers(&self, now: TimeMs) -> bool {
        self.phase != Phase::Open
            || self.pause_count > 0
            || self.tokens.is_some()
            || self.overload.is_some()
            || !self.failing_jobs.is_empty()
            // After a loss, answers are only remembered until the first refusal, as for an account without limits.
            || (!self.was_lost
                && self
                    .pace
                    .as_ref()
                    .is_some_and(|pace| pace.needs_answers(now)))
    }

    /// Whether the account needs [`AccountEvent::AnsweredEarlier`].
    #[must_use]
    pub fn needs_earlier_answers(&self, now: TimeMs) -> bool {
        let pace = self.pace.as_ref();
        pace.is_some_and(|pace| pace.needs_earlier_answers(now))
    }

    /// Whether the document can be deleted, because the account no longer limits calls and has nothing to remember.
    #[must_use]
    pub fn is_forgettable(&self, now: TimeMs) -> bool {
        // A closed account whose pause has passed counts too: if no job needs it, no probe starts, and its phase never changes.
        let may_be_called = match &self.phase {
            Phase::Open => true,
            Phase::Closed(closing) | Phase::Probing(closing) => now >= closing.until,
        };
        // Which process removed the limits must be remembered. Otherwise a process that started earlier would set its limits again.
        let is_configured = !self.configured.is_empty() || self.configured_by.is_some();
        may_be_called && !is_configured && self.is_outdated(now)
    }

    /// The rate at which calls may start, in calls a second. `None` if the rate is not limited.
    #[must_use]
    pub fn calls_per_second(&self, now: TimeMs) -> Option<f64> {
        let pace = self.pace.as_ref().map(|pace| pace.rate(now));
        [self.configured.calls_per_second(), pace]
            .into_iter()
            .flatten()
            .reduce(f64::min)
    }

    /// The rate at which calls may start, in calls a second, if it is configured, measured or reported. `None` if the rate
    /// is not limited, or if the search for it has not ended.
    #[must_use]
    pub fn known_calls_per_second(&self, now: TimeMs) -> Option<f64> {
        let pace = self.pace.as_ref().filter(|pace| pace.is_known());
        let pace = pace.map(|pace| pace.rate(now));
        [self.configured.calls_per_second(), pace]
            .into_iter()
            .flatten()
            .reduce(f64::min)
    }

    /// Whether what was measured and reported can be deleted: [`FORGET_MS`] have passed since `forget_from`, and neither the pace
    /// nor the limit after an overload is still needed.
    fn is_outdated(&self, now: TimeMs) -> bool {
        let is_recent = |at: TimeMs| now.since_ms(at) < FORGET_MS;
        let is_in_use = self.pace.as_ref().is_some_and(|pace| pace.is_in_use(now))
            || self.overload.is_some_and(|limit| limit.is_needed(now));
        !self.forget_from.is_some_and(is_recent) && !is_in_use
    }

    /// Deletes what was measured and reported once it is outdated.
    fn forget(&mut self, now: TimeMs) {
        if self.phase == Phase::Open && self.is_outdated(now) {
            self.pace = None;
            self.end_overload();
            self.was_lost = false;
            self.pause_count = 0;
            self.slowest_refusal_ms = 0;
            self.failing_jobs.clear();
            if self.configured.tokens_per_minute.is_none() {
                self.tokens = None;
            }
        }
    }

    /// Whether [`AccountEvent::Configured`] with these limits changes the account.
    #[must_use]
    pub fn needs_configuration(&self, limits: &ConfiguredLimits, by: &ConfiguredBy) -> bool {
        self.configured != *limits
            && self
                .configured_by
                .as_ref()
                .is_none_or(|set_by| set_by <= by)
    }

    fn configure(&mut self, limits: ConfiguredLimits, by: &ConfiguredBy, now: TimeMs) {
        if !self.needs_configuration(&limits, by) {
            return;
        }
        // A limit that does not change keeps its bucket.
        if self.configured.requests_per_minute != limits.requests_per_minute {
            self.requests = limits.request_bucket(now);
        }
        if self.configured.tokens_per_minute != limits.tokens_per_minute {
            let rate = limits.tokens_per_second();
            self.tokens = rate.map(|rate| TokenBudget::new(Some(rate), now));
        }
        self.configured = limits;
        self.configured_by = Some(by.clone());
        if !self.counts_calls() {
            self.in_flight.clear();
        }
    }

    /// Ends the limit on calls in flight that an overload set.
    fn end_overload(&mut self) {
        self.overload = None;
        if !self.counts_calls() {
            self.in_flight.clear();
        }
    }

    fn answered(&mut self, started_at: &[TimeMs], limits: Option<&ReportedLimits>, now: TimeMs) {
        self.failing_jobs.clear();
        if let Some(pace) = &mut self.pace {
            for at in started_at {
                pace.answered(*at);
            }
        }
        if let Some(limits) = limits {
            self.report(limits, now);
        }
        let new_calls = started_at
            .iter()
            .filter(|at| self.started_after_closing(**at))
            .count();
        if new_calls > 0 {
            let calls_in_flight = self.calls_in_flight();
            if let Some(limit) = &mut self.overload
                && self.phase == Phase::Open
            {
                limit.answered(new_calls, calls_in_flight);
                if !limit.is_needed(now) {
                    self.end_overload();
                }
            }
            self.pause_count = 0;
            if matches!(self.phase, Phase::Probing(_)) {
                self.open(now);
            }
        }
    }

    /// Whether a call started after `stale_until`, when all processes probably knew of the last closing.
    pub(super) fn started_after_closing(&self, started_at: TimeMs) -> bool {
        self.stale_until.is_none_or(|until| started_at > until)
    }

    /// The probe was answered, or not refused in time. Only an answer resets `pause_count`, because a refusal may still arrive.
    pub(super) fn open(&mut self, now: TimeMs) {
        self.phase = Phase::Open;
        if let Some(pace) = &mut self.pace {
            pace.probe_accepted(now);
        }
    }

    /// The provider reported its limits.
    pub(super) fn report(&mut self, limits: &ReportedLimits, now: TimeMs) {
        if let Some(report) = &limits.requests {
            let was_closed_recently = self.stale_until.is_some_and(|at| now.since_ms(at) < 60_000);
            let is_ample = self.pace.as_ref().is_some_and(|pace| pace.is_ample(now));
            if report.is_ample() && !was_closed_recently && is_ample {
                self.pace = None;
            } else if report.is_low() || self.pace.is_some() {
                self.pace
                    .get_or_insert_with(|| Pace::new(report.remaining, now, now))
                    .report(report, now);
                self.forget_from = Some(now);
            }
        }
        if let Some(report) = &limits.tokens {
            let configured = self.configured.tokens_per_second();
            if report.is_low() || self.tokens.is_some() {
                let budget = self
                    .tokens
                    .get_or_insert_with(|| TokenBudget::new(configured, now));
                budget.report(report, now);
                if configured.is_none() && !budget.is_reported() {
                    self.tokens = None;
                } else {
                    self.forget_from = Some(now);
                }
            }
        }
    }

    /// Counts a call under the process that makes it. Returns how many calls may start: 1 or 0.
    fn move_call(&mut self, from: &ProcessId, to: &ProcessId) -> u32 {
        if !self.counts_calls() {
            return 1;
        }
        // A probe may exceed the limit after an overload (`take_probe`). So only the configured limit counts here.
        let concurrency = if self.phase == Phase::Open {
            self.concurrency()
        } else {
            self.configured.concurrency
        };
        let of_from = self.in_flight.get(from).copied().unwrap_or_default();
        if of_from > 0 {
            self.count_in_flight(from, of_from - 1);
        } else if concurrency.is_some_and(|most| self.calls_in_flight() >= most) {
            return 0;
        }
        let of_to = self.in_flight.get(to).copied().unwrap_or_default();
        self.count_in_flight(to, of_to.saturating_add(1));
        1
    }

    /// The calls in flight of all processes.
    pub(super) fn calls_in_flight(&self) -> u32 {
        let calls = self.in_flight.values();
        calls.fold(0, |sum, calls| sum.saturating_add(*calls))
    }

    /// Calls of a process are no longer in flight.
    fn end_calls(&mut self, process: &ProcessId, calls: u32) {
        let in_flight = self.in_flight.get(process).copied().unwrap_or_default();
        self.count_in_flight(process, in_flight.saturating_sub(calls));
    }

    fn count_in_flight(&mut self, process: &ProcessId, calls: u32) {
        if calls == 0 || !self.counts_calls() {
            self.in_flight.remove(process);
        } else {
            self.in_flight.insert(process.clone(), calls);
        }
    }
}
