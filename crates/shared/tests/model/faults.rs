//! The search must find the failure that each planted fault causes. Where either of two guards suffices, removing one
//! guard must cause no failure.

use crate::{
    budget,
    configuration::{Configuration, SubmitKind},
    mutation::Mutation,
    search::{SearchResult, search},
    state::{FaultsLeft, JOBS},
    worlds::{self, assert_holds},
};

/// The failure that a planted fault causes.
#[derive(Debug, PartialEq, Eq)]
enum ExpectedFailure {
    /// An invariant is violated, and the message contains this text.
    Unsafe(&'static str),
    /// There is a state from which a job cannot end.
    Stuck,
}

/// Searches a world with planted faults, and asserts the expected failure.
fn assert_failure(
    world: Configuration,
    mutations: &'static [Mutation],
    expected: &ExpectedFailure,
) {
    let SearchResult {
        states,
        violation,
        stuck,
        seconds,
        ..
    } = search(Configuration { mutations, ..world });
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

/// A small world with a crash and a lost wake.
const CRASH_AND_LOSS: Configuration = Configuration {
    faults_left: FaultsLeft {
        crashes: 1,
        lost_wakes: 1,
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
fn without_a_check_of_the_fence_an_older_attempt_takes_effect() {
    let expected = ExpectedFailure::Unsafe("the settlement by an older attempt");
    assert_failure(
        worlds::CRASH_LOSS_ABSENCE,
        &[Mutation::SettlementsIgnoreTheFence],
        &expected,
    );
}

#[test]
fn the_search_finds_an_older_attempt_also_without_merging_states() {
    let world = Configuration {
        merges_states: false,
        ..worlds::CRASH_LOSS_ABSENCE
    };
    let expected = ExpectedFailure::Unsafe("the settlement by an older attempt");
    assert_failure(world, &[Mutation::SettlementsIgnoreTheFence], &expected);
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
    let world = Configuration {
        faults_left: FaultsLeft {
            releases: 1,
            ..NO_FAULTS.faults_left
        },
        ..NO_FAULTS
    };
    let expected = ExpectedFailure::Unsafe("taken for a repeat");
    assert_failure(world, &[Mutation::FenceFallsAtRelease], &expected);
}

#[test]
fn a_repair_that_resets_the_fence_grants_the_same_fence_twice() {
    let expected = ExpectedFailure::Unsafe("two attempts at job");
    assert_failure(REPAIR, &[Mutation::RepairResetsTheFence], &expected);
}

#[test]
fn without_a_higher_fence_and_a_reset_flag_a_repair_lets_an_older_attempt_take_effect() {
    let mutations = &[
        Mutation::RepairKeepsTheFence,
        Mutation::RepairKeepsTheClaimedFlag,
    ];
    let expected = ExpectedFailure::Unsafe("the settlement by an older attempt");
    assert_failure(REPAIR, mutations, &expected);
}

#[test]
fn a_higher_fence_or_a_reset_flag_protects_a_repair() {
    for mutations in [
        &[Mutation::RepairKeepsTheFence],
        &[Mutation::RepairKeepsTheClaimedFlag],
    ] {
        assert_holds(
            "a repair with a higher fence or a reset flag",
            Configuration {
                mutations,
                ..REPAIR
            },
            80_000,
        );
    }
}

#[test]
fn a_settlement_that_is_not_recorded_takes_effect_twice() {
    let world = Configuration {
        retries: 2,
        faults_left: FaultsLeft {
            lost_responses: 1,
            ..NO_FAULTS.faults_left
        },
        ..NO_FAULTS
    };
    let expected = ExpectedFailure::Unsafe("takes effect a second time");
    assert_failure(world, &[Mutation::SettledFenceIsNotRecorded], &expected);
}

#[test]
fn tool_results_that_displace_a_claimed_head_make_its_context_outdated() {
    let world = Configuration {
        submit_kinds: [&[SubmitKind::Message, SubmitKind::ToolResults]; JOBS],
        faults_left: FaultsLeft {
            false_absences: 1,
            ..NO_FAULTS.faults_left
        },
        ..NO_FAULTS
    };
    let expected = ExpectedFailure::Unsafe("without the newest turns");
    assert_failure(world, &[Mutation::ResultsDisplaceClaimedHead], &expected);
}

#[test]
fn a_process_that_runs_a_job_twice_uses_one_fence_twice() {
    let expected = ExpectedFailure::Unsafe("two attempts at job");
    assert_failure(
        worlds::ONE_PROCESS,
        &[Mutation::ProcessRunsAJobTwice],
        &expected,
    );
}

/// The response to a claim is lost, and the same worker claims again.
const REPEATED_CLAIM: Configuration = Configuration {
    faults_left: FaultsLeft {
        crashes: 1,
        lost_responses: 1,
        false_absences: 1,
        ..NO_FAULTS.faults_left
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
fn a_time_limit_of_claims_or_recognised_repeats_suffices() {
    for mutations in [
        &[Mutation::ClaimsHaveNoTimeLimit],
        &[Mutation::RepeatedClaimCountsAsNew],
    ] {
        assert_holds(
            "a time limit of claims or recognised repeats",
            Configuration {
                mutations,
                ..REPEATED_CLAIM
            },
            9_000,
        );
    }
}

#[test]
fn without_a_time_limit_a_requeued_wake_of_a_claimed_job_blocks_the_lane() {
    let world = Configuration {
        returns_wakes: true,
        ..REPEATED_CLAIM
    };
    assert_failure(
        world,
        &[Mutation::ClaimsHaveNoTimeLimit],
        &ExpectedFailure::Stuck,
    );
}

/// No wake is lost, so no job may depend on a parked timer.
const NO_LOST_WAKES: Configuration = Configuration {
    submit_kinds: [&[SubmitKind::Message]; JOBS],
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
fn a_confirmed_wake_that_moves_a_changed_timer_only_delays_jobs() {
    const MUTATIONS: &[Mutation] = &[Mutation::ParkMovesAChangedTimer];
    assert_failure(NO_LOST_WAKES, MUTATIONS, &ExpectedFailure::Stuck);
    let allows_delays = Configuration {
        forbids_parked_timers: false,
        mutations: MUTATIONS,
        ..NO_LOST_WAKES
    };
    assert_holds(
        "a changed timer is parked, delays allowed",
        allows_delays,
        73_000,
    );
}

/// A worker whose clock is behind claims a due head too early. Two rules prevent a delay. Tick removes `not_before`, so the
/// claim is granted. A claim that is too early sets the timer again, which may have been parked. Either rule suffices.
#[test]
fn an_early_claim_sets_the_timer_or_tick_removes_not_before() {
    const BOTH: &[Mutation] = &[
        Mutation::TickKeepsNotBefore,
        Mutation::EarlyClaimLeavesTheTimer,
    ];
    assert_failure(NO_LOST_WAKES, BOTH, &ExpectedFailure::Stuck);
    let allows_delays = Configuration {
        forbids_parked_timers: false,
        mutations: BOTH,
        ..NO_LOST_WAKES
    };
    assert_holds(
        "an early claim leaves the timer, delays allowed",
        allows_delays,
        23_000,
    );
    for mutations in [&BOTH[..1], &BOTH[1..]] {
        assert_holds(
            "tick removes not_before, or an early claim sets the timer",
            Configuration {
                mutations,
                ..NO_LOST_WAKES
            },
            20_000,
        );
    }
}
