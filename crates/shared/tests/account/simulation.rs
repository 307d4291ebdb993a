//! Workers that share one account and call one provider, with virtual time.
//!
//! Each worker takes permits in passes, one pass every 50 ms. The provider accepts or refuses a call when the call starts. A refusal
//! arrives after the `refusal_ms` of the scenario, and its job waits again. A reply arrives after the `latency_ms`.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    ops::{Range, RangeInclusive},
};

use forebay_shared::{
    account::{Account, AccountEvent, ClosedBy, Phase, Refusal, ReportedLimits},
    ids::ProcessId,
    job::JobError,
    time::TimeMs,
};

use crate::{limiter::Limiter, random::Random};

const PASS_MS: u64 = 50;
const PASS_CALLS_MAX: u32 = 100;
/// The time from the start of a call to its refusal, for a provider that refuses at once.
pub(crate) const AT_ONCE_MS: RangeInclusive<u64> = 10..=50;
/// The time from a permit to the start of its call, if the process that took the permit makes the call.
pub(crate) const START_MS: RangeInclusive<u64> = 0..=5;
/// Marks a refusal of a provider that is away. Other refusals have the milliseconds until the next call can be accepted.
const OUTAGE: u64 = 0;
/// When the simulation begins, on the store's clock.
const EPOCH_MS: u64 = 1_764_000_000_000;

/// The headers that report when the next call is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Headers {
    /// `Retry-After` in whole seconds, rounded up.
    RetryAfter,
    /// No such header.
    None,
    /// `x-ratelimit-*`, in all responses.
    RateLimit,
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) limiter: Limiter,
    pub(crate) headers: Headers,
    pub(crate) jobs: u32,
    pub(crate) workers: usize,
    /// The most calls in flight of each worker.
    pub(crate) slots: u32,
    pub(crate) latency_ms: RangeInclusive<u64>,
    /// The time from a permit to the start of its call.
    pub(crate) start_ms: RangeInclusive<u64>,
    /// The time from the start of a call to its refusal.
    pub(crate) refusal_ms: RangeInclusive<u64>,
    /// The time in which the provider is not available, in milliseconds.
    pub(crate) outage_ms: Range<u64>,
    pub(crate) seed: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) completed: u32,
    /// The calls whose permits were taken after the first refusal arrived.
    pub(crate) later_calls: u32,
    /// How many of these calls were refused.
    pub(crate) later_refusals: u32,
    /// When the account first closed.
    pub(crate) first_closed_ms: Option<u64>,
    /// How often the account closed.
    pub(crate) closings: u32,
    /// When each call started.
    pub(crate) started_ms: Vec<u64>,
    pub(crate) last_start_ms: u64,
    pub(crate) last_end_ms: u64,
    /// How often the account changed. Each change is a write to the store.
    pub(crate) writes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Answer {
        worker: usize,
        permitted_ms: u64,
        started_ms: u64,
        is_counted: bool,
        /// For a refused call, the milliseconds until the next call can be accepted, or [`OUTAGE`].
        refused: Option<u64>,
        limits: Option<ReportedLimits>,
    },
    Start {
        worker: usize,
        permitted_ms: u64,
        /// Whether the account counts the call in flight.
        is_counted: bool,
        /// Whether the permit was taken after the first refusal arrived.
        is_later: bool,
    },
    Pass {
        worker: usize,
    },
}

struct Simulation {
    scenario: Scenario,
    random: Random,
    account: Account,
    steps: BinaryHeap<Reverse<(u64, u64, Step)>>,
    /// How many steps were scheduled. Steps of the same time run in the order in which they were scheduled.
    scheduled_count: u64,
    /// The jobs that have no permit yet.
    waiting: u32,
    /// The calls in flight of each worker.
    in_flight: Vec<u32>,
    /// No permit may be granted before this time, because of `Retry-After`.
    forbidden_until_ms: u64,
    summary: Summary,
}

/// Runs a scenario until all jobs have completed.
///
/// # Panics
/// If that takes 10 hours of virtual time, or if a permit is granted before `Retry-After` has passed.
pub(crate) fn run(scenario: Scenario) -> Summary {
    let mut simulation = Simulation {
        random: Random::new(scenario.seed),
        account: Account::default(),
        steps: BinaryHeap::new(),
        scheduled_count: 0,
        waiting: scenario.jobs,
        in_flight: vec![0; scenario.workers],
        forbidden_until_ms: 0,
        summary: Summary::default(),
        scenario,
    };
    for worker in 0..simulation.scenario.workers {
        let first_pass_ms = simulation.random.within(&(0..=PASS_MS - 1));
        simulation.schedule(first_pass_ms, Step::Pass { worker });
    }
    while simulation.summary.completed < simulation.scenario.jobs {
        let Reverse((now_ms, _, step)) = simulation.steps.pop().expect("passes never end");
        assert!(
            now_ms < 36_000_000,
            "the jobs do not complete: {:?}",
            simulation.account
        );
        simulation.step(now_ms, step);
    }
    simulation.summary
}

impl Simulation {
    fn schedule(&mut self, at_ms: u64, step: Step) {
        self.scheduled_count += 1;
        self.steps
            .push(Reverse((at_ms, self.scheduled_count, step)));
    }

    fn apply(&mut self, event: &AccountEvent, now_ms: u64) -> u32 {
        let before = self.account.clone();
        let decision = self.account.apply(event, TimeMs(EPOCH_MS + now_ms));
        self.summary.writes += u32::from(before != self.account);
        let is_closed = matches!(self.account.phase, Phase::Closed(_));
        if is_closed && !matches!(before.phase, Phase::Closed(_)) {
            self.summary.closings += 1;
        }
        decision.granted
    }

    fn step(&mut self, now_ms: u64, step: Step) {
        match step {
            Step::Pass { worker } => self.pass(worker, now_ms),
            Step::Start {
                worker,
                permitted_ms,
                is_counted,
                is_later,
            } => self.start(worker, permitted_ms, is_counted, is_later, now_ms),
            Step::Answer {
                worker,
                started_ms,
                is_counted,
                refused: None,
                limits,
                ..
            } => {
                self.scenario.limiter.end();
                self.end(worker, is_counted, now_ms);
                self.summary.completed += 1;
                self.summary.last_end_ms = now_ms;
                let is_low = limits.is_some_and(|limits| limits.is_low());
                if self.account.needs_answers(TimeMs(EPOCH_MS + now_ms)) || is_low {
                    let event = AccountEvent::Answered {
                        started_at: vec![TimeMs(EPOCH_MS + started_ms)],
                        replies: 1,
                        tokens: 0,
                        limits,
                    };
                    self.apply(&event, now_ms);
                }
            }
            Step::Answer {
                worker,
                permitted_ms,
                is_counted,
                refused: Some(wait_ms),
                limits,
                ..
            } => {
                self.refused(worker, permitted_ms, wait_ms, limits, now_ms);
                self.end(worker, is_counted, now_ms);
                self.waiting += 1;
            }
        }
    }

    fn headers(&mut self, now_ms: u64) -> Option<ReportedLimits> {
        let is_sent = self.scenario.headers == Headers::RateLimit;
        is_sent
            .then(|| self.scenario.limiter.report(now_ms))
            .flatten()
    }

    fn end(&mut self, worker: usize, is_counted: bool, now_ms: u64) {
        self.in_flight[worker] -= 1;
        if is_counted && self.account.counts_calls() {
            let process = process(worker);
            self.apply(&AccountEvent::Ended { process, calls: 1 }, now_ms);
        }
    }

    fn refused(
        &mut self,
        worker: usize,
        permitted_ms: u64,
        wait_ms: u64,
        limits: Option<ReportedLimits>,
        now_ms: u64,
    ) {
        let retry_after_ms =
            (self.scenario.headers == Headers::RetryAfter).then(|| wait_ms.div_ceil(1_000) * 1_000);
        self.summary.first_closed_ms.get_or_insert(now_ms);
        let is_overload = matches!(self.scenario.limiter, Limiter::Concurrency { .. });
        let is_limit = wait_ms != OUTAGE && !is_overload;
        let event = AccountEvent::Refused(Refusal {
            cause: if is_limit {
                ClosedBy::RateLimit
            } else {
                ClosedBy::Unavailable
            },
            taken_at: TimeMs(EPOCH_MS + permitted_ms),
            overload_calls: is_overload.then_some(self.in_flight[worker]),
            retry_after_ms: retry_after_ms.filter(|_| is_limit),
            limits: limits.filter(|_| is_limit),
            error: JobError::new("rate_limited", "the provider limits the rate"),
            random: self.random.fraction(),
        });
        self.apply(&event, now_ms);
        if let Some(ms) = retry_after_ms
            && is_limit
        {
            self.forbidden_until_ms = self.forbidden_until_ms.max(now_ms + ms);
        }
    }

    fn pass(&mut self, worker: usize, now_ms: u64) {
        // If the account opens before the next pass is due, the worker makes that pass when it opens.
        let next_ms = match &self.account.phase {
            Phase::Closed(closing) | Phase::Probing(closing) => closing.until.0 - EPOCH_MS,
            Phase::Open => 0,
        };
        let is_soon = (now_ms + 1..now_ms + PASS_MS).contains(&next_ms);
        let next_ms = if is_soon {
            next_ms + self.random.within(&START_MS)
        } else {
            now_ms + PASS_MS
        };
        self.schedule(next_ms, Step::Pass { worker });
        let free = self.scenario.slots - self.in_flight[worker];
        let calls = self.waiting.min(free).min(PASS_CALLS_MAX);
        if calls == 0 {
            return;
        }
        let granted = if self.account.is_limited() {
            // As the sweeper does, the worker asks only for permits that there are.
            let take = |calls, more_wait| AccountEvent::Take {
                calls,
                process: process(worker),
                more_wait,
            };
            let mut copy = self.account.clone();
            let available = copy.apply(&take(calls, false), TimeMs(EPOCH_MS + now_ms));
            let more_wait = available.granted < calls;
            self.apply(&take(available.granted, more_wait), now_ms)
        } else {
            calls
        };
        assert!(
            granted == 0 || now_ms >= self.forbidden_until_ms,
            "a permit was granted before Retry-After had passed"
        );
        self.waiting -= granted;
        self.in_flight[worker] += granted;
        for _ in 0..granted {
            let start_ms = self.scenario.start_ms.clone();
            let at_ms = now_ms + self.random.within(&start_ms);
            self.schedule(
                at_ms,
                Step::Start {
                    worker,
                    permitted_ms: now_ms,
                    is_counted: self.account.counts_calls(),
                    is_later: self.summary.first_closed_ms.is_some(),
                },
            );
        }
    }

    fn start(
        &mut self,
        worker: usize,
        permitted_ms: u64,
        is_counted: bool,
        is_later: bool,
        now_ms: u64,
    ) {
        self.summary.started_ms.push(now_ms);
        self.summary.last_start_ms = now_ms;
        self.summary.later_calls += u32::from(is_later);
        let result = if self.scenario.outage_ms.contains(&now_ms) {
            Err(OUTAGE)
        } else {
            self.scenario.limiter.request(now_ms)
        };
        let (latency, refused) = match result {
            Ok(()) => (self.scenario.latency_ms.clone(), None),
            Err(wait_ms) => {
                self.summary.later_refusals += u32::from(is_later);
                (self.scenario.refusal_ms.clone(), Some(wait_ms))
            }
        };
        let limits = self.headers(now_ms);
        let at_ms = now_ms + self.random.within(&latency);
        self.schedule(
            at_ms,
            Step::Answer {
                worker,
                permitted_ms,
                started_ms: now_ms,
                is_counted,
                refused,
                limits,
            },
        );
    }
}

fn process(worker: usize) -> ProcessId {
    ProcessId::parse(&format!("worker-{worker}")).unwrap()
}
