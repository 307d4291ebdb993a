//! Closes the account after failed calls, and decides for how long.

use std::time::Duration;

use super::{
    Account, ClosedBy, Closing, DELAY_MS_MAX, FAILING_JOBS_TO_CLOSE, Phase, Refusal,
    overload::OverloadLimit, permits::REFUSAL_MS_MAX, rate::Pace,
};
use crate::{backoff::Backoff, ids::JobId, job::JobError, time::TimeMs};

/// The pauses if the provider asks for no delay: 250 to 500 ms at first, then up to 30 s.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
/// How long it usually takes until all processes know that an account closed, in milliseconds.
const NOTICE_MS: u64 = 200;
/// If the rate is known and the provider asks for no delay, the account closes until this many calls may start.
const REFILL_CALLS: f64 = 2.0;
/// The shortest such pause, in milliseconds.
const REFILL_MS_MIN: u64 = 100;
/// The pause after an overload of an account that already limits its calls in flight, in milliseconds, unless the provider asks for
/// a delay. It is short, because the limit itself reduces the load.
const OVERLOAD_MS: u64 = 100;
/// The most failing jobs that an account stores. Beyond that, the oldest are dropped.
const FAILING_JOBS_MAX: usize = 32;

impl Account {
    /// The provider refused a call.
    pub(super) fn refused(&mut self, refusal: &Refusal, now: TimeMs) {
        let is_rate_limit = refusal.cause == ClosedBy::RateLimit;
        self.refused_after_loss(is_rate_limit);
        if let Some(limits) = &refusal.limits {
            self.report(limits, now);
        }
        let delay_ms = refusal.retry_after_ms.filter(|ms| *ms > 0);
        let delay_ms = delay_ms.map(|ms| ms.min(DELAY_MS_MAX));
        self.forget_from = Some(now);
        if is_rate_limit {
            let refusal_ms = now.since_ms(refusal.taken_at);
            self.slowest_refusal_ms = self.slowest_refusal_ms.max(refusal_ms);
        }
        let started_after_closing = self.started_after_closing(refusal.taken_at);
        if !started_after_closing || matches!(self.phase, Phase::Closed(_)) {
            if is_rate_limit && let Some(pace) = &mut self.pace {
                pace.refused_earlier(refusal.taken_at);
            }
            let calls_left = refusal
                .overload_calls
                .map(|calls| calls.max(self.calls_in_flight()).saturating_sub(1));
            if let (Some(calls), Some(limit)) = (calls_left, &mut self.overload) {
                limit.refused_earlier(calls);
            }
            if let (Phase::Closed(closing), Some(ms)) = (&mut self.phase, delay_ms) {
                closing.until = closing.until.max(now.plus_ms(ms));
            }
            return;
        }
        let reported = refusal.limits.and_then(|limits| limits.requests);
        if is_rate_limit {
            let new_pace = || Pace::new(0, refusal.taken_at, now);
            let pace = self.pace.get_or_insert_with(new_pace);
            pace.close(reported.is_some_and(|report| report.remaining == 0), now);
        }
        let mut overload_ms = None;
        if let Some(calls) = refusal.overload_calls {
            match &mut self.overload {
                Some(limit) if self.phase != Phase::Open => limit.probe_refused(now),
                Some(limit) => {
                    limit.refused(now);
                    overload_ms = Some(OVERLOAD_MS);
                }
                None if self.phase == Phase::Open => {
                    self.overload = Some(OverloadLimit::new(calls, now));
                }
                None => {}
            }
        }
        // A limit with calls left did not cause this refusal, so the time of its reset is ignored.
        let used_up = reported.filter(|report| report.remaining == 0);
        // Calls in flight may still be refused for about as long as the slowest refusal took. So the time until the reset counts
        // as at least that long.
        let slowest_ms = self.slowest_refusal_ms.clamp(1, REFUSAL_MS_MAX);
        let reset_ms = used_up.map(|report| report.reset_ms.max(slowest_ms));
        let pause_ms = match delay_ms {
            Some(ms) => ms,
            None => [reset_ms, self.refill_ms(is_rate_limit, now), overload_ms]
                .into_iter()
                .flatten()
                .fold(self.next_pause_ms(refusal.random), u64::min),
        };
        self.close(refusal.cause, pause_ms, &refusal.error, now);
    }

    /// The provider failed. Returns [`spares_try`](super::Decision::spares_try): true if the failure does not count as a try.
    pub(super) fn server_error(
        &mut self,
        job: JobId,
        taken_at: TimeMs,
        error: &JobError,
        random: f64,
        now: TimeMs,
    ) -> bool {
        let started_after_closing = self.started_after_closing(taken_at);
        // The failing jobs are dropped FORGET_MS after this failure.
        self.forget_from = Some(now);
        let failed_before = self.failing_jobs.contains(&job);
        if !failed_before {
            self.failing_jobs.push(job);
            let surplus = self.failing_jobs.len().saturating_sub(FAILING_JOBS_MAX);
            self.failing_jobs.drain(..surplus);
        }
        match &self.phase {
            Phase::Closed(_) => true,
            Phase::Probing(_) if !started_after_closing => true,
            Phase::Open
                if !started_after_closing || self.failing_jobs.len() < FAILING_JOBS_TO_CLOSE =>
            {
                false
            }
            // A job that failed before may itself be the cause. So this failure spends a try. Otherwise this job could make every
            // probe call, fail each time, and keep the account closed.
            Phase::Open | Phase::Probing(_) => {
                let pause_ms = self.next_pause_ms(random);
                self.close(ClosedBy::Unavailable, pause_ms, error, now);
                !failed_before
            }
        }
    }

    /// The pause if the provider asks for no delay, in milliseconds. It grows while no call is answered.
    fn next_pause_ms(&self, random: f64) -> u64 {
        let pause = PAUSES.delay(self.pause_count, random);
        u64::try_from(pause.as_millis()).unwrap_or(DELAY_MS_MAX)
    }

    /// The time until a provider with a known rate accepts [`REFILL_CALLS`] calls, in milliseconds. `None` if no rate is known,
    /// if the refusal was not a rate limit, or if it refused a probe.
    fn refill_ms(&self, is_rate_limit: bool, now: TimeMs) -> Option<u64> {
        let pace = self.pace.as_ref().filter(|pace| pace.is_known())?;
        // The measurement of the pace ends when the account opens. So the pause lasts until the refusals of calls in flight have
        // probably arrived.
        let arrival_ms = self.slowest_refusal_ms.min(REFUSAL_MS_MAX);
        (is_rate_limit && self.phase == Phase::Open).then(|| {
            pace.wait_for_ms(REFILL_CALLS, now)
                .max(REFILL_MS_MIN)
                .max(arrival_ms)
        })
    }

    fn close(&mut self, cause: ClosedBy, pause_ms: u64, error: &JobError, now: TimeMs) {
        self.was_lost = false;
        self.pause_count = self.pause_count.saturating_add(1);
        self.stale_until = Some(now.plus_ms(NOTICE_MS.min(pause_ms / 2)));
        let mut error = error.clone();
        error.detail = None;
        self.phase = Phase::Closed(Closing {
            cause,
            since: now,
            until: now.plus_ms(pause_ms),
            error,
        });
    }
}
