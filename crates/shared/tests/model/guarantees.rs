//! The configurations in which safety and liveness must hold. Each has a minimum number of states, so a test fails if the
//! model no longer reaches some of its states.

use crate::{
    budget,
    configuration::{Configuration, SubmitKind},
    search::{SearchResult, search},
    state::{FaultCounts, JOBS},
};

/// The prefix of the names of configurations that the budget does not cover.
const LARGE: &str = "large: ";

/// The least number of states that a search must visit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatesMin(pub(crate) usize);

/// Searches a configuration, prints the result, and asserts safety, liveness and the minimum number of states.
pub(crate) fn assert_holds(name: &str, configuration: Configuration, states_min: StatesMin) {
    let StatesMin(states_min) = states_min;
    let SearchResult {
        states,
        transitions,
        violation,
        stuck,
        seconds,
    } = search(configuration);
    budget::print_line(&format!(
        "{name}: {states} states, {transitions} transitions, {seconds:.1} s"
    ));
    if let Some(violation) = violation {
        panic!("the configuration {name:?} is not safe: {violation}");
    }
    if let Some(steps) = stuck {
        panic!("in the configuration {name:?} a job cannot end after:\n{steps}");
    }
    assert!(
        states >= states_min,
        "the configuration {name:?} has only {states} states; at least {states_min} were expected"
    );
    if !name.starts_with(LARGE) {
        budget::assert_within_budget();
    }
}

const NO_FAULTS: Configuration = Configuration::NO_FAULTS;

/// Two jobs, two workers; crashes, a lost and a duplicated wake, and live workers that count as gone.
pub(crate) const CRASH_LOSS_LIVE_COUNTED_AS_GONE: Configuration = Configuration {
    sweepers: 2,
    retries: 1,
    jobs_may_fail: true,
    faults: FaultCounts {
        crashes: 2,
        lost_wakes: 1,
        duplicated_wakes: 1,
        live_counted_as_gone: 2,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn crashes_a_lost_wake_and_live_workers_counted_as_gone_do_no_harm() {
    assert_holds(
        "crashes, a lost wake and live workers counted as gone",
        CRASH_LOSS_LIVE_COUNTED_AS_GONE,
        StatesMin(250_000),
    );
}

/// Responses to claims and settlements are lost, and the requests are repeated.
pub(crate) const LOST_RESPONSES: Configuration = Configuration {
    retries: 1,
    jobs_may_fail: true,
    faults: FaultCounts {
        crashes: 1,
        lost_responses: 2,
        live_counted_as_gone: 1,
        releases: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn lost_responses_with_repeated_requests_do_no_harm() {
    assert_holds(
        "lost responses, repeated requests",
        LOST_RESPONSES,
        StatesMin(400_000),
    );
}

/// Responses to claims are lost, and the worker may requeue its wake instead of claiming again.
pub(crate) const REQUEUED_WAKES: Configuration = Configuration {
    workers_may_requeue_wakes: true,
    faults: FaultCounts {
        crashes: 1,
        lost_wakes: 1,
        lost_responses: 2,
        live_counted_as_gone: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn requeued_wakes_of_unanswered_claims_do_no_harm() {
    assert_holds(
        "requeued wakes of unanswered claims",
        REQUEUED_WAKES,
        StatesMin(50_000),
    );
}

/// Both worker slots belong to one process.
pub(crate) const ONE_PROCESS: Configuration = Configuration {
    one_process: true,
    retries: 1,
    faults: FaultCounts {
        crashes: 1,
        duplicated_wakes: 1,
        lost_responses: 2,
        live_counted_as_gone: 1,
        releases: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn two_slots_of_one_process_do_no_harm() {
    assert_holds("two slots of one process", ONE_PROCESS, StatesMin(220_000));
}

/// Two processes act as the elected sweeper, with other steps between reading and acting.
pub(crate) const TWO_SWEEPERS: Configuration = Configuration {
    sweepers: 2,
    delays_sweeper_actions: true,
    retries: 1,
    faults: FaultCounts {
        crashes: 2,
        lost_wakes: 1,
        duplicated_wakes: 1,
        live_counted_as_gone: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn two_sweepers_at_the_same_time_do_no_harm() {
    assert_holds("two sweepers", TWO_SWEEPERS, StatesMin(390_000));
}

/// A client cancels a job, and a deadline passes.
pub(crate) const CANCEL_AND_EXPIRY: Configuration = Configuration {
    sweepers: 2,
    delays_sweeper_actions: true,
    may_reach_takeover_limit: true,
    jobs_may_fail: true,
    faults: FaultCounts {
        crashes: 1,
        lost_wakes: 1,
        live_counted_as_gone: 1,
        lost_responses: 1,
        cancels: 1,
        expiries: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn a_cancel_and_an_expiry_do_no_harm() {
    assert_holds("cancel and expiry", CANCEL_AND_EXPIRY, StatesMin(490_000));
}

/// Releases and retries. Clocks may be wrong, so claims may come too early.
pub(crate) const RELEASES_RETRIES_EARLY_CLAIMS: Configuration = Configuration {
    retries: 1,
    clocks_may_be_wrong: true,
    faults: FaultCounts {
        crashes: 1,
        lost_wakes: 1,
        duplicated_wakes: 1,
        lost_responses: 1,
        live_counted_as_gone: 1,
        releases: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn releases_retries_and_early_claims_do_no_harm() {
    assert_holds(
        "releases, retries and early claims",
        RELEASES_RETRIES_EARLY_CLAIMS,
        StatesMin(890_000),
    );
}

/// An ended job is repaired while its older attempts may still be running.
pub(crate) const REPAIR: Configuration = Configuration {
    jobs_may_fail: true,
    may_reach_takeover_limit: true,
    repairs_cancelled_and_expired_jobs: true,
    faults: FaultCounts {
        crashes: 1,
        lost_responses: 1,
        live_counted_as_gone: 1,
        cancels: 1,
        repairs: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn a_repair_during_an_older_attempt_does_no_harm() {
    assert_holds(
        "a repair during an older attempt",
        REPAIR,
        StatesMin(890_000),
    );
}

/// A second and a third message that may cancel the jobs before them.
pub(crate) const IF_BUSY: Configuration = Configuration {
    jobs: 3,
    submit_kinds: [
        &[SubmitKind::Message],
        &[
            SubmitKind::Message,
            SubmitKind::Rollback,
            SubmitKind::Interrupt,
        ],
        &[
            SubmitKind::Message,
            SubmitKind::Rollback,
            SubmitKind::Interrupt,
            SubmitKind::Reject,
        ],
    ],
    retries: 1,
    jobs_may_fail: true,
    faults: FaultCounts {
        crashes: 1,
        lost_wakes: 1,
        lost_responses: 1,
        live_counted_as_gone: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn messages_with_rollback_interrupt_or_reject_do_no_harm() {
    assert_holds(
        "rollback, interrupt and reject",
        IF_BUSY,
        StatesMin(230_000),
    );
}

/// Replies with tool calls, tool results that may be missing, and messages that wait for the results.
pub(crate) const TOOLS: Configuration = Configuration {
    jobs: 3,
    submit_kinds: [
        &[SubmitKind::Message],
        &[SubmitKind::Message, SubmitKind::ToolResults],
        &[
            SubmitKind::Message,
            SubmitKind::ToolResults,
            SubmitKind::Rollback,
        ],
    ],
    replies_may_call_tools: true,
    retries: 1,
    faults: FaultCounts {
        crashes: 1,
        live_counted_as_gone: 1,
        lost_wakes: 1,
        cancels: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn tool_results_and_holds_do_no_harm() {
    assert_holds("tool results and holds", TOOLS, StatesMin(1_250_000));
}

/// No wake is lost, so every job must be able to end even if parked timers are never due.
pub(crate) const NO_LOST_WAKES: Configuration = Configuration {
    sweepers: 2,
    delays_sweeper_actions: true,
    retries: 1,
    clocks_may_be_wrong: true,
    liveness_ignores_parked_timers: true,
    faults: FaultCounts {
        crashes: 1,
        duplicated_wakes: 1,
        live_counted_as_gone: 1,
        releases: 1,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn without_lost_wakes_no_job_depends_on_a_parked_timer() {
    assert_holds(
        "no lost wakes, no parked timers",
        NO_LOST_WAKES,
        StatesMin(545_000),
    );
}

#[test]
fn without_lost_wakes_no_job_under_a_hold_depends_on_a_parked_timer() {
    let configuration = Configuration {
        submit_kinds: [&[SubmitKind::Message, SubmitKind::ToolResults]; JOBS],
        replies_may_call_tools: true,
        clocks_may_be_wrong: false,
        faults: FaultCounts {
            releases: 0,
            ..NO_LOST_WAKES.faults
        },
        ..NO_LOST_WAKES
    };
    assert_holds("holds, no parked timers", configuration, StatesMin(775_000));
}

#[test]
fn a_small_configuration_is_safe_and_live_with_and_without_merged_states() {
    let configuration = Configuration {
        faults: FaultCounts {
            lost_responses: 1,
            live_counted_as_gone: 1,
            ..NO_FAULTS.faults
        },
        ..NO_FAULTS
    };
    assert_holds(
        "small, equivalent states merged",
        configuration,
        StatesMin(2_500),
    );
    let unmerged = Configuration {
        merges_states: false,
        ..configuration
    };
    assert_holds("small, no states merged", unmerged, StatesMin(390_000));
}
