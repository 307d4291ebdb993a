//! A lane with the timers and outcomes that a store keeps for it, and short functions for its events.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    account::AccountKey,
    class::Class,
    ids::{JobId, ProcessId, TenantId},
    job::{JobError, Status},
    lane::{
        Admit, ClaimResult, Effects, Event, IfBusy, Lane, LaneCounts, LiveProcesses,
        OutcomeSummary, Refused, ReleaseReason, State, apply,
    },
    time::TimeMs,
};

/// The time at the start of a scene.
pub(in crate::lane) const START: TimeMs = TimeMs(1_000_000);
/// The default time from a job's admission to its deadline.
pub(in crate::lane) const DEADLINE_MS: u64 = 3_600_000;
/// The default time limit of a claim.
pub(in crate::lane) const LIMIT_MS: u64 = 600_000;
/// The default maximum number of tries.
pub(in crate::lane) const TRIES_MAX: u32 = 5;

/// The job of the scene with this number.
pub(in crate::lane) fn job(number: u128) -> JobId {
    JobId::from_uuid(uuid::Uuid::from_u128(number), &TenantId::default(), None)
}

/// The process with this name.
pub(in crate::lane) fn process(name: &str) -> ProcessId {
    ProcessId::parse(name).unwrap()
}

/// An error with this code.
pub(in crate::lane) fn error(code: &str) -> JobError {
    JobError::new(code, "an error of the test")
}

/// The account that deferred jobs wait for.
pub(in crate::lane) fn account() -> AccountKey {
    AccountKey::of_provider("acme")
}

/// The deferral of a job.
pub(in crate::lane) fn deferral(job: JobId, fence: Option<u64>) -> Event {
    Event::Defer {
        job,
        fence,
        account: account(),
        error: error("rate_limited"),
    }
}

/// The admission of a plain message.
pub(in crate::lane) fn message(number: u128) -> Admit {
    Admit {
        job: job(number),
        class: Class::Interactive,
        model: None,
        deadline: START.plus_ms(DEADLINE_MS),
        is_tool_results: false,
        if_busy: IfBusy::Enqueue,
        is_repair: false,
    }
}

/// The admission of tool results.
pub(in crate::lane) fn results(number: u128) -> Admit {
    Admit {
        is_tool_results: true,
        ..message(number)
    }
}

/// A lane with its timers and outcomes.
#[derive(Clone, Debug)]
pub(in crate::lane) struct Scene {
    pub(in crate::lane) lane: Lane,
    /// The timers that are set.
    pub(in crate::lane) timers: BTreeMap<JobId, TimeMs>,
    /// The outcomes of the jobs that have ended.
    pub(in crate::lane) outcomes: BTreeMap<JobId, OutcomeSummary>,
    pub(in crate::lane) now: TimeMs,
}

impl Scene {
    pub(in crate::lane) fn new() -> Self {
        Self {
            lane: Lane::default(),
            timers: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            now: START,
        }
    }

    /// A scene in which messages 1 to `count` were admitted, in this order.
    pub(in crate::lane) fn with_messages(count: u128) -> Self {
        let mut scene = Self::new();
        for number in 1..=count {
            scene.admit(message(number)).unwrap();
        }
        scene
    }

    /// A scene with `count` messages, of which worker `a` has claimed the first.
    pub(in crate::lane) fn running(count: u128) -> Self {
        let mut scene = Self::with_messages(count);
        assert_eq!(scene.claim(1, "a"), Ok(ClaimResult::Granted { fence: 1 }));
        scene
    }

    /// Applies an event and stores the result, as a store does.
    pub(in crate::lane) fn apply(&mut self, event: &Event) -> Result<Effects, Refused> {
        let outcome = self.outcomes.get(&event.job()).copied();
        let effects = apply(&mut self.lane, outcome, event, self.now)?;
        for (job, timer) in &effects.timers {
            match timer {
                Some(timer) => self.timers.insert(*job, *timer),
                None => self.timers.remove(job),
            };
        }
        for ended in &effects.ended {
            let summary = OutcomeSummary {
                status: ended.status,
                fence: ended.entry.fence,
                settled_fence: ended.settled_fence,
            };
            self.outcomes.insert(ended.entry.job, summary);
        }
        if let Some(job) = effects.repaired {
            self.outcomes.remove(&job);
        }
        Ok(effects)
    }

    pub(in crate::lane) fn admit(&mut self, admit: Admit) -> Result<Effects, Refused> {
        self.apply(&Event::Admit(admit))
    }

    pub(in crate::lane) fn claim(
        &mut self,
        number: u128,
        worker: &str,
    ) -> Result<ClaimResult, Refused> {
        self.claim_again(number, worker, None)
    }

    /// Repeats a claim that may have got the fence `repeated_fence`.
    pub(in crate::lane) fn claim_again(
        &mut self,
        number: u128,
        worker: &str,
        repeated_fence: Option<u64>,
    ) -> Result<ClaimResult, Refused> {
        let event = Event::Claim {
            job: job(number),
            worker: process(worker),
            repeated_fence,
            limit_ms: LIMIT_MS,
        };
        let effects = self.apply(&event)?;
        Ok(effects.claim.expect("the effects of a claim have a result"))
    }

    pub(in crate::lane) fn finish(&mut self, number: u128, fence: u64) -> Result<Effects, Refused> {
        self.finish_as(number, fence, None, None)
    }

    pub(in crate::lane) fn finish_with_error(
        &mut self,
        number: u128,
        fence: u64,
        error: JobError,
    ) -> Result<Effects, Refused> {
        self.finish_as(number, fence, Some(error), None)
    }

    /// Finishes a job with tool calls, whose results may arrive within `hold_ms`.
    pub(in crate::lane) fn finish_with_hold(
        &mut self,
        number: u128,
        fence: u64,
        hold_ms: u64,
    ) -> Result<Effects, Refused> {
        self.finish_as(number, fence, None, Some(hold_ms))
    }

    pub(in crate::lane) fn finish_as(
        &mut self,
        number: u128,
        fence: u64,
        error: Option<JobError>,
        hold_ms: Option<u64>,
    ) -> Result<Effects, Refused> {
        self.apply(&Event::Finish {
            job: job(number),
            fence,
            error,
            hold_ms,
        })
    }

    /// A retry `backoff_ms` from now.
    pub(in crate::lane) fn retry(
        &mut self,
        number: u128,
        fence: u64,
        backoff_ms: u64,
    ) -> Result<Effects, Refused> {
        self.apply(&Event::Retry {
            job: job(number),
            fence,
            not_before: self.now.plus_ms(backoff_ms),
            tries_max: TRIES_MAX,
            error: error("rate_limited"),
        })
    }

    /// Defers a head that no worker has claimed.
    pub(in crate::lane) fn defer(&mut self, number: u128) -> Result<Effects, Refused> {
        self.apply(&deferral(job(number), None))
    }

    /// Defers a job whose call the provider has refused.
    pub(in crate::lane) fn defer_attempt(
        &mut self,
        number: u128,
        fence: u64,
    ) -> Result<Effects, Refused> {
        self.apply(&deferral(job(number), Some(fence)))
    }

    pub(in crate::lane) fn resume(&mut self, number: u128) -> Result<Effects, Refused> {
        self.apply(&Event::Resume { job: job(number) })
    }

    pub(in crate::lane) fn release(
        &mut self,
        number: u128,
        fence: u64,
    ) -> Result<Effects, Refused> {
        self.apply(&Event::Release {
            job: job(number),
            fence,
            reason: ReleaseReason::WorkerStops,
        })
    }

    pub(in crate::lane) fn cancel(&mut self, number: u128) -> Result<Effects, Refused> {
        self.apply(&Event::Cancel { job: job(number) })
    }

    /// A tick by a sweeper that has no list of live processes.
    pub(in crate::lane) fn tick(&mut self, number: u128) -> Result<Effects, Refused> {
        self.apply(&Event::Tick {
            job: job(number),
            live: None,
        })
    }

    /// A tick by a sweeper that has just read these live processes.
    pub(in crate::lane) fn tick_with_live(
        &mut self,
        number: u128,
        alive: &[&str],
    ) -> Result<Effects, Refused> {
        self.tick_with_live_at(number, alive, self.now)
    }

    /// A tick by a sweeper that read these live processes at `read_at`.
    pub(in crate::lane) fn tick_with_live_at(
        &mut self,
        number: u128,
        alive: &[&str],
        read_at: TimeMs,
    ) -> Result<Effects, Refused> {
        let alive = Arc::new(alive.iter().map(|name| process(name)).collect());
        self.apply(&Event::Tick {
            job: job(number),
            live: Some(LiveProcesses { read_at, alive }),
        })
    }

    /// A tick, 1 ms later, by a sweeper that found no live process.
    pub(in crate::lane) fn take_over(&mut self, number: u128) -> Result<Effects, Refused> {
        self.advance_clock(1);
        self.tick_with_live(number, &[])
    }

    pub(in crate::lane) fn advance_clock(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    /// The jobs of the lane by their numbers, the head first.
    pub(in crate::lane) fn order(&self) -> Vec<u128> {
        let number = |id: JobId| {
            (1..=300)
                .find(|number| job(*number) == id)
                .expect("a job of the scene")
        };
        self.lane
            .entries
            .iter()
            .map(|entry| number(entry.job))
            .collect()
    }

    pub(in crate::lane) fn state(&self, number: u128) -> &State {
        &self
            .lane
            .find(job(number))
            .expect("the job is live")
            .1
            .state
    }

    /// The time from now to a job's timer.
    pub(in crate::lane) fn timer_in_ms(&self, number: u128) -> u64 {
        let timer = self.timers[&job(number)];
        assert!(timer >= self.now, "the timer is due already");
        timer.since_ms(self.now)
    }

    /// How a job ended.
    pub(in crate::lane) fn ended_as(&self, number: u128) -> Option<Status> {
        self.outcomes
            .get(&job(number))
            .map(|summary| summary.status)
    }

    pub(in crate::lane) fn counts(&self) -> LaneCounts {
        LaneCounts::of(&self.lane)
    }
}

/// The state of a job that may run as soon as it is the head.
pub(in crate::lane) const READY: State = State::Queued { not_before: None };
