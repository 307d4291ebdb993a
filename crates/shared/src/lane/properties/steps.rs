//! Random steps. Their weights make long sequences of accepted events likely.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};

use crate::{
    class::Class,
    ids::JobId,
    lane::{
        Admit, Event, IfBusy, LiveProcesses, ReleaseReason,
        examples::scene::{START, Scene, deferral, error, job, message, process},
    },
};

const JOBS: u128 = 6;
const WORKERS: [&str; 3] = ["a", "b", "c"];

/// One step of a sequence. The fence of a settlement is the job's newest fence minus `fence_age`.
#[derive(Clone, Debug)]
pub(super) enum Step {
    AdvanceClock {
        ms: u64,
    },
    Admit(Admit),
    Claim {
        job: JobId,
        worker: usize,
        repeated_fence: Option<u64>,
    },
    Finish {
        job: JobId,
        fence_age: u64,
        is_failure: bool,
        hold_ms: Option<u64>,
    },
    Retry {
        job: JobId,
        fence_age: u64,
        backoff_ms: u64,
        tries_max: u32,
    },
    Release {
        job: JobId,
        fence_age: u64,
    },
    Defer {
        job: JobId,
        /// `None`: a worker with a wake defers the job, without a claim.
        fence_age: Option<u64>,
    },
    Resume {
        job: JobId,
    },
    Cancel {
        job: JobId,
    },
    Tick {
        job: JobId,
        alive: Option<Vec<usize>>,
    },
}

fn any_job() -> impl Strategy<Value = JobId> {
    (1..=JOBS).prop_map(job)
}

fn admit() -> impl Strategy<Value = Admit> {
    let if_busy = prop_oneof![
        8 => Just(IfBusy::Enqueue),
        1 => Just(IfBusy::Reject),
        1 => Just(IfBusy::Rollback),
        1 => Just(IfBusy::Interrupt),
    ];
    let class = prop_oneof![Just(Class::Interactive), Just(Class::Batch)];
    let deadline_ms = prop_oneof![9 => 500_000..900_000u64, 1 => 0..20_000u64];
    (
        1..=JOBS,
        class,
        deadline_ms,
        any::<bool>(),
        if_busy,
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(number, class, deadline_ms, is_tool_results, if_busy, is_repair)| Admit {
                class,
                deadline: START.plus_ms(deadline_ms),
                is_tool_results,
                if_busy,
                is_repair,
                ..message(number)
            },
        )
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let fence_age = || prop_oneof![6 => Just(0u64), 1 => 1..3u64];
    let worker = 0..WORKERS.len();
    let hold_ms = prop::option::weighted(0.4, prop_oneof![1..1_000u64, 1..60_000u64]);
    let alive = prop::option::of(vec(worker.clone(), 0..3));
    prop_oneof![
        2 => (0..40_000u64).prop_map(|ms| Step::AdvanceClock { ms }),
        6 => admit().prop_map(Step::Admit),
        8 => (any_job(), worker, prop::option::weighted(0.3, 0..5u64))
            .prop_map(|(job, worker, repeated_fence)| Step::Claim { job, worker, repeated_fence }),
        5 => (any_job(), fence_age(), any::<bool>(), hold_ms)
            .prop_map(|(job, fence_age, is_failure, hold_ms)| Step::Finish { job, fence_age, is_failure, hold_ms }),
        3 => (any_job(), fence_age(), 0..20_000u64, 1..4u32).prop_map(
            |(job, fence_age, backoff_ms, tries_max)| Step::Retry { job, fence_age, backoff_ms, tries_max }
        ),
        2 => (any_job(), fence_age()).prop_map(|(job, fence_age)| Step::Release { job, fence_age }),
        3 => (any_job(), prop::option::of(fence_age()))
            .prop_map(|(job, fence_age)| Step::Defer { job, fence_age }),
        2 => any_job().prop_map(|job| Step::Resume { job }),
        1 => any_job().prop_map(|job| Step::Cancel { job }),
        4 => (any_job(), alive).prop_map(|(job, alive)| Step::Tick { job, alive }),
    ]
}

/// The newest fence that a job has had so far; 0 for none.
pub(super) fn newest_fence(scene: &Scene, job: JobId) -> u64 {
    let live = scene.lane.find(job).map(|(_, entry)| entry.fence);
    let ended = scene.outcomes.get(&job).map(|outcome| outcome.fence);
    live.or(ended).unwrap_or(0)
}

/// The event of a step, or `None` for a step that only advances the clock.
pub(super) fn event(scene: &Scene, step: Step) -> Option<Event> {
    // Fences begin at 1, so no worker has fence 0.
    let fence = |job, fence_age| newest_fence(scene, job).saturating_sub(fence_age).max(1);
    Some(match step {
        Step::AdvanceClock { .. } => return None,
        Step::Admit(admit) => Event::Admit(admit),
        Step::Claim {
            job,
            worker,
            repeated_fence,
        } => Event::Claim {
            job,
            worker: process(WORKERS[worker]),
            repeated_fence,
            limit_ms: 100_000,
        },
        Step::Finish {
            job,
            fence_age,
            is_failure,
            hold_ms,
        } => Event::Finish {
            job,
            fence: fence(job, fence_age),
            error: is_failure.then(|| error("bad_request")),
            hold_ms,
        },
        Step::Retry {
            job,
            fence_age,
            backoff_ms,
            tries_max,
        } => Event::Retry {
            job,
            fence: fence(job, fence_age),
            not_before: scene.now.plus_ms(backoff_ms),
            tries_max,
            error: error("rate_limited"),
        },
        Step::Release { job, fence_age } => Event::Release {
            job,
            fence: fence(job, fence_age),
            reason: ReleaseReason::WorkerStops,
        },
        Step::Defer { job, fence_age } => {
            deferral(job, fence_age.map(|fence_age| fence(job, fence_age)))
        }
        Step::Resume { job } => Event::Resume { job },
        Step::Cancel { job } => Event::Cancel { job },
        Step::Tick { job, alive } => Event::Tick {
            job,
            live: alive.map(|alive| LiveProcesses {
                read_at: scene.now,
                alive: Arc::new(
                    alive
                        .into_iter()
                        .map(|worker| process(WORKERS[worker]))
                        .collect(),
                ),
            }),
        },
    })
}
