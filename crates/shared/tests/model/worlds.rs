//! The worlds in which the protocol must hold. Each has a minimum number of states, so a model that has lost a part
//! fails.

use crate::{
    budget,
    configuration::{Configuration, SubmitKind},
    search::{SearchResult, search},
    state::{FaultsLeft, JOBS},
};

/// The prefix of the names of worlds that the budget does not cover.
const LARGE: &str = "large: ";

/// Searches a world, prints the result, and asserts safety and liveness.
pub(crate) fn holds(name: &str, configuration: Configuration, states_min: usize) {
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
    if let Some(way) = violation {
        panic!("{name} is not safe: {way}");
    }
    if let Some(way) = stuck {
        panic!("{name} can be stuck after:\n{way}");
    }
    assert!(
        states >= states_min,
        "{name} has lost states: {states} < {states_min}"
    );
    if !name.starts_with(LARGE) {
        budget::assert_within_budget();
    }
}

const NO_FAULTS: Configuration = Configuration::NO_FAULTS;

/// Two jobs, two workers; crashes, a lost and a duplicated wake, and false absences.
pub(crate) const CRASH_LOSS_ABSENCE: Configuration = Configuration {
    sweepers: 2,
    retries: 1,
    fails: true,
    faults_left: FaultsLeft {
        crashes: 2,
        losses: 1,
        duplicates: 1,
        false_absences: 2,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn a_crash_a_lost_wake_and_a_false_absence() {
    holds(
        "a crash, a lost wake and a false absence",
        CRASH_LOSS_ABSENCE,
        250_000,
    );
}

/// Answers to claims and settling calls are lost, and the calls are repeated.
pub(crate) const LOST_ANSWERS: Configuration = Configuration {
    retries: 1,
    fails: true,
    faults_left: FaultsLeft {
        crashes: 1,
        lost_answers: 2,
        false_absences: 1,
        releases: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn lost_answers_with_repeats() {
    holds("lost answers with repeats", LOST_ANSWERS, 400_000);
}

/// The same lost answers, and workers that return their wake instead of asking again.
pub(crate) const GIVEN_BACK: Configuration = Configuration {
    returns_wakes: true,
    faults_left: FaultsLeft {
        crashes: 1,
        losses: 1,
        lost_answers: 2,
        false_absences: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn claims_that_are_not_repeated() {
    holds("claims that are not repeated", GIVEN_BACK, 50_000);
}

/// Both slots in one process.
pub(crate) const ONE_PROCESS: Configuration = Configuration {
    one_process: true,
    retries: 1,
    faults_left: FaultsLeft {
        crashes: 1,
        duplicates: 1,
        lost_answers: 2,
        false_absences: 1,
        releases: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn two_tasks_of_one_process() {
    holds("two tasks of one process", ONE_PROCESS, 220_000);
}

/// Two sweepers that both believe to be elected, with other steps between reading and acting.
pub(crate) const TWO_SWEEPERS: Configuration = Configuration {
    sweepers: 2,
    reads_before_acting: true,
    retries: 1,
    faults_left: FaultsLeft {
        crashes: 2,
        losses: 1,
        duplicates: 1,
        false_absences: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn two_sweepers() {
    holds("two sweepers", TWO_SWEEPERS, 390_000);
}

/// A cancel and a deadline that passes.
pub(crate) const CANCEL_AND_EXPIRY: Configuration = Configuration {
    sweepers: 2,
    reads_before_acting: true,
    worker_lost: true,
    fails: true,
    faults_left: FaultsLeft {
        crashes: 1,
        losses: 1,
        false_absences: 1,
        lost_answers: 1,
        cancels: 1,
        expiries: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn cancel_and_expiry() {
    holds("cancel and expiry", CANCEL_AND_EXPIRY, 490_000);
}

/// Releases, retries and skewed clocks, so that claims come too early.
pub(crate) const RELEASE_RETRY_EARLY: Configuration = Configuration {
    retries: 1,
    skew: true,
    faults_left: FaultsLeft {
        crashes: 1,
        losses: 1,
        duplicates: 1,
        lost_answers: 1,
        false_absences: 1,
        releases: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn release_retry_and_a_claim_too_early() {
    holds(
        "release, retry and a claim too early",
        RELEASE_RETRY_EARLY,
        890_000,
    );
}

/// Jobs that have ended are admitted again under their id, while old attempts may still be running.
pub(crate) const REPAIR: Configuration = Configuration {
    fails: true,
    worker_lost: true,
    repairs_all: true,
    faults_left: FaultsLeft {
        crashes: 1,
        lost_answers: 1,
        false_absences: 1,
        cancels: 1,
        repairs: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn a_repair_under_the_same_id() {
    holds("a repair under the same id", REPAIR, 890_000);
}

/// A second and a third message that may cancel the jobs before them.
pub(crate) const IF_BUSY: Configuration = Configuration {
    jobs: 3,
    kinds: [
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
    fails: true,
    faults_left: FaultsLeft {
        crashes: 1,
        losses: 1,
        lost_answers: 1,
        false_absences: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn if_busy_rollback_and_interrupt() {
    holds("if_busy: rollback and interrupt", IF_BUSY, 230_000);
}

/// Replies with tool calls, results that may not come, and messages that wait for them.
pub(crate) const TOOLS: Configuration = Configuration {
    jobs: 3,
    kinds: [
        &[SubmitKind::Message],
        &[SubmitKind::Message, SubmitKind::Results],
        &[
            SubmitKind::Message,
            SubmitKind::Results,
            SubmitKind::Rollback,
        ],
    ],
    tools: true,
    retries: 1,
    faults_left: FaultsLeft {
        crashes: 1,
        false_absences: 1,
        losses: 1,
        cancels: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn tool_results_and_the_hold() {
    holds("tool results and the hold", TOOLS, 1_250_000);
}

/// No wake is lost, so every job must be able to end before any parked timer is due.
pub(crate) const PROMPT: Configuration = Configuration {
    sweepers: 2,
    reads_before_acting: true,
    retries: 1,
    skew: true,
    forbids_parked_timers: true,
    faults_left: FaultsLeft {
        crashes: 1,
        duplicates: 1,
        false_absences: 1,
        releases: 1,
        ..NO_FAULTS.faults_left
    },
    ..NO_FAULTS
};

#[test]
fn without_losses_no_job_waits_for_a_parked_timer() {
    holds("without losses, promptly", PROMPT, 545_000);
}

#[test]
fn without_losses_no_job_under_a_hold_waits_for_a_parked_timer() {
    let world = Configuration {
        kinds: [&[SubmitKind::Message, SubmitKind::Results]; JOBS],
        tools: true,
        skew: false,
        faults_left: FaultsLeft {
            releases: 0,
            ..PROMPT.faults_left
        },
        ..PROMPT
    };
    holds("with tools, promptly", world, 775_000);
}

/// A small world, searched with and without merging equivalent states.
#[test]
fn merging_states_hides_no_failure() {
    let world = Configuration {
        faults_left: FaultsLeft {
            lost_answers: 1,
            false_absences: 1,
            ..NO_FAULTS.faults_left
        },
        ..NO_FAULTS
    };
    holds("merged", world, 2_500);
    let apart = Configuration {
        merges_states: false,
        ..world
    };
    holds("apart", apart, 390_000);
}

/// All faults of messages, workers and sweepers at once.
#[test]
#[ignore = "long: runs in .ci/full"]
fn large_all_faults() {
    let world = Configuration {
        sweepers: 2,
        reads_before_acting: true,
        retries: 1,
        skew: true,
        returns_wakes: true,
        faults_left: FaultsLeft {
            crashes: 2,
            losses: 1,
            duplicates: 1,
            lost_answers: 1,
            false_absences: 1,
            releases: 1,
            ..NO_FAULTS.faults_left
        },
        ..NO_FAULTS
    };
    holds("large: all faults", world, 9_500_000);
}

/// Repairs, also of expired jobs.
#[test]
#[ignore = "long: runs in .ci/full"]
fn large_repair() {
    let world = Configuration {
        faults_left: FaultsLeft {
            expiries: 1,
            ..REPAIR.faults_left
        },
        ..REPAIR
    };
    holds("large: repair", world, 2_900_000);
}

/// Every way to submit three jobs, with tool calls.
#[test]
#[ignore = "long: runs in .ci/full"]
fn large_three_jobs() {
    const ALL: &[SubmitKind] = &[
        SubmitKind::Message,
        SubmitKind::Results,
        SubmitKind::Rollback,
        SubmitKind::Interrupt,
    ];
    let world = Configuration {
        jobs: 3,
        kinds: [ALL; JOBS],
        tools: true,
        retries: 1,
        faults_left: FaultsLeft {
            crashes: 1,
            lost_answers: 1,
            false_absences: 1,
            cancels: 1,
            expiries: 1,
            ..NO_FAULTS.faults_left
        },
        ..NO_FAULTS
    };
    holds("large: three jobs", world, 8_500_000);
}
