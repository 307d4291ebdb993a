//! The entry point: an event changes an account.

use super::{
    Account, AccountEvent, ConfiguredLimits, Decision, FORGET_MS, Phase, PhaseChange,
    ReportedLimits, rate::Pace, tokens::TokenBudget,
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
            AccountEvent::Configured(limits) => self.configure(*limits, now),
            AccountEvent::Take { calls, process } => {
                (decision.granted, decision.retry_in_ms) = self.take(*calls, process, now);
            }
            AccountEvent::Refused(refusal) => {
                self.refused(refusal, now);
                decision.spares_try = true;
            }
            AccountEvent::ServerError {
                job,
                started_at,
                error,
                random,
            } => decision.spares_try = self.server_error(*job, *started_at, error, *random, now),
            AccountEvent::Answered {
                started_at,
                tokens,
                limits,
            } => self.answered(started_at, *tokens, limits.as_ref(), now),
            AccountEvent::Ended { process, calls } => {
                let in_flight = self.in_flight.get(process).copied().unwrap_or_default();
                self.count_in_flight(process, in_flight.saturating_sub(*calls));
            }
            AccountEvent::NotUsed {
                process,
                calls,
                taken_at,
            } => {
                let in_flight = self.in_flight.get(process).copied().unwrap_or_default();
                self.count_in_flight(process, in_flight.saturating_sub(*calls));
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
            AccountEvent::ProcessGone { process } => self.count_in_flight(process, 0),
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
            || self.configured.concurrency.is_some()
    }

    /// Whether the account needs [`AccountEvent::Answered`] now. A response whose limits are low
    /// ([`ReportedLimits::is_low`]) always needs it.
    #[must_use]
    pub fn needs_answers(&self, now: TimeMs) -> bool {
        self.phase != Phase::Open
            || self.pauses > 0
            || self.tokens.is_some()
            || !self.failing_jobs.is_empty()
            || self
                .pace
                .as_ref()
                .is_some_and(|pace| pace.needs_answers(now))
    }

    /// Whether the document can be deleted, because the account no longer limits calls and has nothing to remember.
    #[must_use]
    pub fn is_forgettable(&self, now: TimeMs) -> bool {
        let is_recent = |at: TimeMs| now.since_ms(at) < FORGET_MS;
        // If no job needs the account, no probe is requested and its phase never changes.
        let may_be_called = match &self.phase {
            Phase::Open => true,
            Phase::Closed(closing) | Phase::Probing(closing) => now >= closing.until,
        };
        may_be_called && self.configured.is_empty() && !self.limited_at.is_some_and(is_recent)
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
        let pace = self.pace.as_ref().filter(|pace| pace.is_measured());
        let pace = pace.map(|pace| pace.rate(now));
        [self.configured.calls_per_second(), pace]
            .into_iter()
            .flatten()
            .reduce(f64::min)
    }

    /// Deletes what was learned if there was no refusal for [`FORGET_MS`].
    fn forget(&mut self, now: TimeMs) {
        let is_recent = |at: TimeMs| now.since_ms(at) < FORGET_MS;
        if self.phase == Phase::Open && !self.limited_at.is_some_and(is_recent) {
            self.pace = None;
            self.pauses = 0;
            self.refusal_ms = 0;
            self.failing_jobs.clear();
            if self.configured.tokens_per_minute.is_none() {
                self.tokens = None;
            }
        }
    }

    fn configure(&mut self, limits: ConfiguredLimits, now: TimeMs) {
        if self.configured == limits {
            return;
        }
        self.configured = limits;
        self.requests = limits.request_bucket(now);
        self.tokens = limits
            .tokens_per_second()
            .map(|rate| TokenBudget::new(Some(rate), now));
        if limits.concurrency.is_none() {
            self.in_flight.clear();
        }
    }

    fn answered(
        &mut self,
        started_at: &[TimeMs],
        tokens: u64,
        limits: Option<&ReportedLimits>,
        now: TimeMs,
    ) {
        self.failing_jobs.clear();
        if let Some(budget) = &mut self.tokens {
            budget.answered(started_at.len(), tokens);
        }
        if let Some(pace) = &mut self.pace {
            for at in started_at {
                pace.answered(*at);
            }
        }
        if let Some(limits) = limits {
            self.report(limits, now);
        }
        if started_at.iter().any(|at| self.is_new(*at)) {
            self.pauses = 0;
            if matches!(self.phase, Phase::Probing(_)) {
                self.open(now);
            }
        }
    }

    /// Whether a call started when all processes knew of the last closing.
    pub(super) fn is_new(&self, started_at: TimeMs) -> bool {
        self.stale_until.is_none_or(|until| started_at > until)
    }

    /// The probe was answered, or not refused in time. In the second case a refusal may still arrive, so the next pause
    /// remains longer.
    pub(super) fn open(&mut self, now: TimeMs) {
        self.phase = Phase::Open;
        if let Some(pace) = &mut self.pace {
            pace.probe_accepted(now);
        }
    }

    /// The provider reported its limits.
    pub(super) fn report(&mut self, limits: &ReportedLimits, now: TimeMs) {
        if let Some(report) = &limits.requests {
            let was_refused = self.stale_until.is_some_and(|at| now.since_ms(at) < 60_000);
            let is_only_reported = self.pace.as_ref().is_some_and(Pace::is_only_reported);
            if report.is_ample() && !was_refused && is_only_reported {
                self.pace = None;
            } else if report.is_low() || self.pace.is_some() {
                self.pace
                    .get_or_insert_with(|| Pace::new(report.remaining, now))
                    .report(report, now);
                self.limited_at = Some(now);
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
                    self.limited_at = Some(now);
                }
            }
        }
    }

    /// Counts a call under the process that makes it. Returns how many calls may start: 1 or 0.
    fn move_call(&mut self, from: &ProcessId, to: &ProcessId) -> u32 {
        let Some(concurrency) = self.configured.concurrency else {
            return 1;
        };
        let of_from = self.in_flight.get(from).copied().unwrap_or_default();
        if of_from > 0 {
            self.count_in_flight(from, of_from - 1);
        } else if self.calls_in_flight() >= concurrency {
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

    fn count_in_flight(&mut self, process: &ProcessId, calls: u32) {
        if calls == 0 || self.configured.concurrency.is_none() {
            self.in_flight.remove(process);
        } else {
            self.in_flight.insert(process.clone(), calls);
        }
    }
}
