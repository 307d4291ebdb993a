//! The search must find each planted fault by the failure that it causes. Where one of two guards suffices, removing one
//! of them must cause no failure.

use crate::{
    budget,
    configuration::{Configuration, SubmitKind},
    mutation::Mutation,
    search::{SearchResult, search},
    state::{FaultsLeft, JOBS},
    worlds::{self, holds},
};

/// The failure that a planted fault causes.
#[derive(Debug, PartialEq, Eq)]
enum ExpectedFailure {
    /// A violated invariant, whose text contains this.
    Unsafe(&'static str),
    /// A job cannot end.
    Stuck,
}

/// Searches a world with planted faults and asserts the failure.
fn breaks(world: Configuration, mutations: &'static [Mutation], trouble: &ExpectedFailure) {
    let SearchResult {
        states,
        violation,
        stuck,
        seconds,
        ..
    } = search(Configuration { mutations, ..world });
    let said = match (&violation, &stuck) {
        (Some(violation), _) => violation.lines().next().unwrap_or_default(),
        (None, Some(_)) => "a job that cannot end",
        (None, None) => "nothing",
    };
    budget::print_line(&format!(
        "{mutations:?}: found {said:?} in {states} states, {seconds:.1} s"
    ));
    budget::assert_within_budget();
    match trouble {
        ExpectedFailure::Unsafe(what) => assert!(
            violation
                .as_deref()
                .is_some_and(|violation| violation.contains(what)),
            "the invariant was not violated: {what}"
        ),
        ExpectedFailure::Stuck => assert!(stuck.is_some(), "nothing is stuck: {violation:?}"),
    }
}

const NO_FAULTS: Configuration = Configuration::NO_FAULTS;

/// A small world with a crash and a lost wake.
const CRASH_AND_LOSS: Configuration = Configuration {
    faults_left: FaultsLeft {
        crashes: 1,
        losses: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

/// A repair while an attempt at the job's earlier life may still end.
const REPAIR: Configuration = Configuration {
    fails: true,
    repairs_all: true,
    faults_left: FaultsLeft {
        false_absences: 1,
        cancels: 1,
        repairs: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn without_the_fence_an_older_attempt_takes_effect() {
    let trouble = ExpectedFailure::Unsafe("the outcome of an older attempt");
    breaks(worlds::CRASH_LOSS_ABSENCE, &[Mutation::NoFence], &trouble);
}

#[test]
fn the_same_is_found_where_nothing_is_merged() {
    let world = Configuration {
        merges_states: false,
        ..worlds::CRASH_LOSS_ABSENCE
    };
    let trouble = ExpectedFailure::Unsafe("the outcome of an older attempt");
    breaks(world, &[Mutation::NoFence], &trouble);
}

#[test]
fn without_timers_a_lost_wake_blocks_its_job() {
    breaks(
        CRASH_AND_LOSS,
        &[Mutation::NoTimers],
        &ExpectedFailure::Stuck,
    );
}

#[test]
fn a_new_head_without_a_new_timer_waits_forever() {
    let mutations = &[Mutation::NewHeadKeepsItsTimer];
    breaks(CRASH_AND_LOSS, mutations, &ExpectedFailure::Stuck);
}

#[test]
fn a_parked_timer_must_become_due_again() {
    let mutations = &[Mutation::ParkedTimersNeverFire];
    breaks(CRASH_AND_LOSS, mutations, &ExpectedFailure::Stuck);
}

#[test]
fn a_running_job_must_be_checked_again() {
    let mutations = &[Mutation::RunningIsLookedAtOnce];
    breaks(CRASH_AND_LOSS, mutations, &ExpectedFailure::Stuck);
}

#[test]
fn a_fence_that_falls_at_release_makes_a_first_call_look_like_a_repeat() {
    let world = Configuration {
        faults_left: FaultsLeft {
            releases: 1,
            ..NO_FAULTS.faults_left
        },
        ..NO_FAULTS
    };
    let trouble = ExpectedFailure::Unsafe("is lost");
    breaks(world, &[Mutation::FenceFallsAtRelease], &trouble);
}

#[test]
fn a_repair_that_resets_the_fence_grants_one_fence_twice() {
    let trouble = ExpectedFailure::Unsafe("two attempts at job");
    breaks(REPAIR, &[Mutation::RepairStartsAnew], &trouble);
}

#[test]
fn a_repair_with_neither_guard_lets_an_older_attempt_take_effect() {
    let mutations = &[Mutation::RepairKeepsTheFence, Mutation::RepairKeepsTheClaim];
    let trouble = ExpectedFailure::Unsafe("the outcome of an older attempt");
    breaks(REPAIR, mutations, &trouble);
}

#[test]
fn one_of_the_two_guards_of_a_repair_suffices() {
    for mutations in [
        &[Mutation::RepairKeepsTheFence],
        &[Mutation::RepairKeepsTheClaim],
    ] {
        holds(
            "one of the two at a repair",
            Configuration {
                mutations,
                ..REPAIR
            },
            80_000,
        );
    }
}

#[test]
fn a_repeated_settling_call_must_be_recognised() {
    let world = Configuration {
        retries: 2,
        faults_left: FaultsLeft {
            lost_answers: 1,
            ..NO_FAULTS.faults_left
        },
        ..NO_FAULTS
    };
    let trouble = ExpectedFailure::Unsafe("takes effect a second time");
    breaks(world, &[Mutation::NoSettled], &trouble);
}

#[test]
fn tool_results_must_not_displace_a_claimed_head() {
    let world = Configuration {
        kinds: [&[SubmitKind::Message, SubmitKind::Results]; JOBS],
        faults_left: FaultsLeft {
            false_absences: 1,
            ..NO_FAULTS.faults_left
        },
        ..NO_FAULTS
    };
    let trouble = ExpectedFailure::Unsafe("a context that is not the newest");
    breaks(world, &[Mutation::ResultsDisplaceClaimedHead], &trouble);
}

#[test]
fn two_tasks_of_one_process_must_not_take_one_job() {
    let trouble = ExpectedFailure::Unsafe("two attempts at job");
    breaks(worlds::ONE_PROCESS, &[Mutation::NoTable], &trouble);
}

/// A claim's answer is lost, and the same worker claims again.
const ASKS_AGAIN: Configuration = Configuration {
    faults_left: FaultsLeft {
        crashes: 1,
        lost_answers: 1,
        false_absences: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn without_until_and_without_recognition_a_lost_answer_blocks_the_lane() {
    let mutations = &[Mutation::NoUntil, Mutation::NoOwnClaim];
    breaks(ASKS_AGAIN, mutations, &ExpectedFailure::Stuck);
}

#[test]
fn until_or_recognition_of_the_own_claim_suffices() {
    for mutations in [&[Mutation::NoUntil], &[Mutation::NoOwnClaim]] {
        holds(
            "one of the two",
            Configuration {
                mutations,
                ..ASKS_AGAIN
            },
            9_000,
        );
    }
}

#[test]
fn without_until_a_returned_wake_of_a_claimed_job_blocks_the_lane() {
    let world = Configuration {
        returns_wakes: true,
        ..ASKS_AGAIN
    };
    breaks(world, &[Mutation::NoUntil], &ExpectedFailure::Stuck);
}

/// No wake is lost, and no job may depend on a parked timer.
const PROMPT: Configuration = Configuration {
    kinds: [&[SubmitKind::Message]; JOBS],
    sweepers: 2,
    retries: 1,
    skew: true,
    forbids_parked_timers: true,
    faults_left: FaultsLeft {
        crashes: 1,
        false_absences: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn woken_without_its_condition_only_delays_jobs() {
    const MUTATIONS: &[Mutation] = &[Mutation::WokenMovesAnyTimer];
    breaks(PROMPT, MUTATIONS, &ExpectedFailure::Stuck);
    let patient = Configuration {
        forbids_parked_timers: false,
        mutations: MUTATIONS,
        ..PROMPT
    };
    holds("woken without its condition, given time", patient, 73_000);
}

/// If tick kept the wait of a due head, a claim by a slower clock would be refused and had to move the timer back. Tick ends
/// the wait, so either of the two suffices.
#[test]
fn a_refused_claim_moves_its_timer_back_or_tick_ends_the_wait() {
    const BOTH: &[Mutation] = &[
        Mutation::TickLeavesThePause,
        Mutation::RefusedClaimLeavesTimer,
    ];
    breaks(PROMPT, BOTH, &ExpectedFailure::Stuck);
    let patient = Configuration {
        forbids_parked_timers: false,
        mutations: BOTH,
        ..PROMPT
    };
    holds(
        "a refused claim that leaves its timer, given time",
        patient,
        23_000,
    );
    for mutations in [&BOTH[..1], &BOTH[1..]] {
        holds(
            "one of the two, promptly",
            Configuration {
                mutations,
                ..PROMPT
            },
            20_000,
        );
    }
}
