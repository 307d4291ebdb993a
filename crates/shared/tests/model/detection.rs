//! The search must find the failure that each mutation of the protocol causes. Where two guards protect against the
//! same failure, a mutation that removes only one of them must cause no failure.

use crate::{
    budget,
    configuration::{Configuration, SubmitKind},
    guarantees::{self, StatesMin, assert_holds},
    mutation::Mutation,
    search::{SearchResult, search},
    state::{FaultCounts, JOBS},
};

/// The failure that a mutation causes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ExpectedFailure {
    /// An invariant is violated, and the message contains this text.
    Unsafe(&'static str),
    /// There is a state from which a job cannot end.
    Stuck,
}

/// Searches a configuration with mutations, and asserts the expected failure.
pub(crate) fn assert_failure(
    configuration: Configuration,
    mutations: &'static [Mutation],
    expected: &ExpectedFailure,
) {
    let SearchResult {
        states,
        violation,
        stuck,
        seconds,
        ..
    } = search(Configuration {
        mutations,
        ..configuration
    });
    let found = match (&violation, &stuck) {
        (Some(violation), _) => violation.lines().next().unwrap_or_default(),
        (None, Some(_)) => "a job that cannot end",
        (None, None) => "nothing",
    };
    budget::print_line(&format!(
        "{mutations:?}: found {found:?} in {states} states, {seconds:.1} s"
    ));
    budget::assert_within_budget();
    match expected {
        ExpectedFailure::Unsafe(text) => assert!(
            violation
                .as_deref()
                .is_some_and(|violation| violation.contains(text)),
            "expected a violation with {text:?}, found {found:?}"
        ),
        ExpectedFailure::Stuck => {
            assert!(
                stuck.is_some(),
                "expected a job that cannot end, found {found:?}"
            );
        }
    }
}

const NO_FAULTS: Configuration = Configuration::NO_FAULTS;

/// A small configuration with a crash and a lost wake.
const CRASH_AND_LOSS: Configuration = Configuration {
    faults: FaultCounts {
        crashes: 1,
        lost_wakes: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

/// A job is repaired while an attempt from before the repair may still settle.
const SMALL_REPAIR: Configuration = Configuration {
    jobs_may_fail: true,
    repairs_cancelled_and_expired_jobs: true,
    faults: FaultCounts {
        live_counted_as_gone: 1,
        cancels: 1,
        repairs: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn without_a_check_of_the_fence_an_older_attempt_takes_effect() {
    let expected = ExpectedFailure::Unsafe("the settlement by an older attempt");
    assert_failure(
        guarantees::CRASH_LOSS_LIVE_COUNTED_AS_GONE,
        &[Mutation::SettlementsIgnoreTheFence],
        &expected,
    );
}

#[test]
fn the_search_finds_an_older_attempt_also_without_merging_states() {
    let configuration = Configuration {
        merges_states: false,
        ..guarantees::CRASH_LOSS_LIVE_COUNTED_AS_GONE
    };
    let expected = ExpectedFailure::Unsafe("the settlement by an older attempt");
    assert_failure(
        configuration,
        &[Mutation::SettlementsIgnoreTheFence],
        &expected,
    );
}

#[test]
fn without_timers_a_lost_wake_blocks_its_job() {
    assert_failure(
        CRASH_AND_LOSS,
        &[Mutation::TimersFireOnlyAtTheDeadline],
        &ExpectedFailure::Stuck,
    );
}

#[test]
fn a_new_head_without_a_new_timer_waits_forever() {
    let mutations = &[Mutation::NewHeadKeepsItsTimer];
    assert_failure(CRASH_AND_LOSS, mutations, &ExpectedFailure::Stuck);
}

#[test]
fn a_parked_timer_that_is_never_due_blocks_its_job() {
    let mutations = &[Mutation::ParkedTimersNeverFire];
    assert_failure(CRASH_AND_LOSS, mutations, &ExpectedFailure::Stuck);
}

#[test]
fn a_running_job_that_is_checked_only_once_can_block_its_lane() {
    let mutations = &[Mutation::RunningJobIsCheckedOnlyOnce];
    assert_failure(CRASH_AND_LOSS, mutations, &ExpectedFailure::Stuck);
}

#[test]
fn a_fence_that_falls_at_release_makes_a_first_settlement_look_like_a_repeat() {
    let configuration = Configuration {
        faults: FaultCounts {
            releases: 1,
            ..NO_FAULTS.faults
        },
        ..NO_FAULTS
    };
    let expected = ExpectedFailure::Unsafe("taken for a repeat");
    assert_failure(configuration, &[Mutation::FenceFallsAtRelease], &expected);
}

#[test]
fn a_repair_that_resets_the_fence_grants_the_same_fence_twice() {
    let expected = ExpectedFailure::Unsafe("two attempts at job");
    assert_failure(SMALL_REPAIR, &[Mutation::RepairResetsTheFence], &expected);
}

#[test]
fn a_repair_that_keeps_the_fence_and_the_claimed_flag_lets_an_older_attempt_take_effect() {
    let mutations = &[
        Mutation::RepairKeepsTheFence,
        Mutation::RepairKeepsTheClaimedFlag,
    ];
    let expected = ExpectedFailure::Unsafe("the settlement by an older attempt");
    assert_failure(SMALL_REPAIR, mutations, &expected);
}

#[test]
fn a_repair_that_keeps_only_the_fence_or_only_the_claimed_flag_is_safe() {
    for mutations in [
        &[Mutation::RepairKeepsTheFence],
        &[Mutation::RepairKeepsTheClaimedFlag],
    ] {
        assert_holds(
            "a repair that keeps the fence or the claimed flag",
            Configuration {
                mutations,
                ..SMALL_REPAIR
            },
            StatesMin(80_000),
        );
    }
}

#[test]
fn a_settlement_that_is_not_recorded_takes_effect_twice() {
    let configuration = Configuration {
        retries: 2,
        faults: FaultCounts {
            lost_responses: 1,
            ..NO_FAULTS.faults
        },
        ..NO_FAULTS
    };
    let expected = ExpectedFailure::Unsafe("takes effect a second time");
    assert_failure(
        configuration,
        &[Mutation::SettledFenceIsNotRecorded],
        &expected,
    );
}

#[test]
fn tool_results_that_displace_a_claimed_head_make_its_context_outdated() {
    let configuration = Configuration {
        submit_kinds: [&[SubmitKind::Message, SubmitKind::ToolResults]; JOBS],
        faults: FaultCounts {
            live_counted_as_gone: 1,
            ..NO_FAULTS.faults
        },
        ..NO_FAULTS
    };
    let expected = ExpectedFailure::Unsafe("without the newest turns");
    assert_failure(
        configuration,
        &[Mutation::ResultsDisplaceClaimedHead],
        &expected,
    );
}

#[test]
fn a_process_that_runs_a_job_twice_uses_one_fence_twice() {
    let expected = ExpectedFailure::Unsafe("two attempts at job");
    assert_failure(
        guarantees::ONE_PROCESS,
        &[Mutation::ProcessRunsAJobTwice],
        &expected,
    );
}

/// The response to a claim is lost, and the same worker claims again.
const REPEATED_CLAIM: Configuration = Configuration {
    faults: FaultCounts {
        crashes: 1,
        lost_responses: 1,
        live_counted_as_gone: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn a_lost_response_blocks_the_lane_if_claims_have_no_time_limit_and_repeats_count_as_new() {
    let mutations = &[
        Mutation::ClaimsHaveNoTimeLimit,
        Mutation::RepeatedClaimCountsAsNew,
    ];
    assert_failure(REPEATED_CLAIM, mutations, &ExpectedFailure::Stuck);
}

#[test]
fn after_a_lost_response_either_the_time_limit_of_claims_or_the_recognition_of_repeats_suffices() {
    for mutations in [
        &[Mutation::ClaimsHaveNoTimeLimit],
        &[Mutation::RepeatedClaimCountsAsNew],
    ] {
        assert_holds(
            "either the time limit of claims or the recognition of repeats",
            Configuration {
                mutations,
                ..REPEATED_CLAIM
            },
            StatesMin(9_000),
        );
    }
}

#[test]
fn without_a_time_limit_a_requeued_wake_of_a_claimed_job_blocks_the_lane() {
    let configuration = Configuration {
        workers_may_requeue_wakes: true,
        ..REPEATED_CLAIM
    };
    assert_failure(
        configuration,
        &[Mutation::ClaimsHaveNoTimeLimit],
        &ExpectedFailure::Stuck,
    );
}

/// No wake is lost, so every job must be able to end even if parked timers are never due.
const SMALL_NO_LOST_WAKES: Configuration = Configuration {
    submit_kinds: [&[SubmitKind::Message]; JOBS],
    sweepers: 2,
    retries: 1,
    clocks_may_be_wrong: true,
    liveness_ignores_parked_timers: true,
    faults: FaultCounts {
        crashes: 1,
        live_counted_as_gone: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

/// This mutation makes a job wait until its parked timer is due. With `liveness_ignores_parked_timers`, the search reports
/// such a job as stuck. Without this setting, every job ends, so the mutation only delays jobs.
#[test]
fn a_confirmed_wake_that_moves_a_changed_timer_only_delays_jobs() {
    const MUTATIONS: &[Mutation] = &[Mutation::ParkMovesAChangedTimer];
    assert_failure(SMALL_NO_LOST_WAKES, MUTATIONS, &ExpectedFailure::Stuck);
    let allows_delays = Configuration {
        liveness_ignores_parked_timers: false,
        mutations: MUTATIONS,
        ..SMALL_NO_LOST_WAKES
    };
    assert_holds(
        "a changed timer is parked, delays allowed",
        allows_delays,
        StatesMin(73_000),
    );
}

/// The `not_before` of a head has passed, but the clock of the worker that claims the head is behind. By this clock, the
/// claim is too early. Two rules prevent a delay, and each of them suffices. First, tick removes `not_before`, so the claim is
/// granted. Second, a claim that is too early sets the timer to `not_before` again, in case the timer was parked.
#[test]
fn either_tick_or_an_early_claim_prevents_a_delay() {
    const BOTH: &[Mutation] = &[
        Mutation::TickKeepsNotBefore,
        Mutation::EarlyClaimLeavesTheTimer,
    ];
    assert_failure(SMALL_NO_LOST_WAKES, BOTH, &ExpectedFailure::Stuck);
    let allows_delays = Configuration {
        liveness_ignores_parked_timers: false,
        mutations: BOTH,
        ..SMALL_NO_LOST_WAKES
    };
    assert_holds(
        "tick keeps not_before and an early claim leaves the timer, delays allowed",
        allows_delays,
        StatesMin(23_000),
    );
    for mutations in [&BOTH[..1], &BOTH[1..]] {
        assert_holds(
            "either tick removes not_before, or an early claim sets the timer",
            Configuration {
                mutations,
                ..SMALL_NO_LOST_WAKES
            },
            StatesMin(20_000),
        );
    }
}
