//! The worlds in which the protocol must hold. Each says how many states it has at the least, so that a
//! model that has lost its contents fails.

use crate::{
    budget,
    configuration::{Configuration, Kind},
    search::{Found, search},
    state::{JOBS, Left},
};

/// What the names of worlds begin with that are beyond the budget.
const LARGE: &str = "large: ";

/// Searches a world in which all must hold, and prints what it was.
pub(crate) fn holds(name: &str, configuration: Configuration, states_min: usize) {
    let Found {
        states,
        transitions,
        violation,
        stuck,
        seconds,
    } = search(configuration);
    budget::tell(&format!(
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
        budget::assert_kept();
    }
}

const CALM: Configuration = Configuration::CALM;

/// Two jobs, two workers; crashes, a lost and a doubled wake, and false absences in one world.
pub(crate) const CRASH_LOSS_ABSENCE: Configuration = Configuration {
    sweepers: 2,
    retries: 1,
    fails: true,
    left: Left {
        crashes: 2,
        losses: 1,
        doubles: 1,
        absences: 2,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn a_crash_a_lost_wake_and_a_false_absence() {
    holds(
        "a crash, a lost wake and a false absence",
        CRASH_LOSS_ABSENCE,
        250_000,
    );
}

/// Answers to claims and to settling calls are lost, and the calls repeated.
pub(crate) const LOST_ANSWERS: Configuration = Configuration {
    retries: 1,
    fails: true,
    left: Left {
        crashes: 1,
        answers: 2,
        absences: 1,
        releases: 1,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn lost_answers_with_repeats() {
    holds("lost answers with repeats", LOST_ANSWERS, 400_000);
}

/// As many lost answers, and workers that give their message back instead of asking again.
pub(crate) const GIVEN_BACK: Configuration = Configuration {
    gives_back: true,
    left: Left {
        crashes: 1,
        losses: 1,
        answers: 2,
        absences: 1,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn claims_that_nobody_asks_for_again() {
    holds("claims that nobody asks for again", GIVEN_BACK, 50_000);
}

/// Both slots in one process.
pub(crate) const ONE_PROCESS: Configuration = Configuration {
    one_process: true,
    retries: 1,
    left: Left {
        crashes: 1,
        doubles: 1,
        answers: 2,
        absences: 1,
        releases: 1,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn two_tasks_of_one_process() {
    holds("two tasks of one process", ONE_PROCESS, 220_000);
}

/// Two sweepers that take themselves for the elected one, with pauses between reading and acting.
pub(crate) const TWO_SWEEPERS: Configuration = Configuration {
    sweepers: 2,
    reads_first: true,
    retries: 1,
    left: Left {
        crashes: 2,
        losses: 1,
        doubles: 1,
        absences: 1,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn two_sweepers() {
    holds("two sweepers", TWO_SWEEPERS, 390_000);
}

/// A cancel and a deadline that passes.
pub(crate) const CANCEL_AND_EXPIRY: Configuration = Configuration {
    sweepers: 2,
    reads_first: true,
    worker_lost: true,
    fails: true,
    left: Left {
        crashes: 1,
        losses: 1,
        absences: 1,
        answers: 1,
        cancels: 1,
        expiries: 1,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn cancel_and_expiry() {
    holds("cancel and expiry", CANCEL_AND_EXPIRY, 490_000);
}

/// Releases, retries, and clocks that differ, so that claims come too early.
pub(crate) const RELEASE_RETRY_EARLY: Configuration = Configuration {
    retries: 1,
    skew: true,
    left: Left {
        crashes: 1,
        losses: 1,
        doubles: 1,
        answers: 1,
        absences: 1,
        releases: 1,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn release_retry_and_a_claim_too_early() {
    holds(
        "release, retry and a claim too early",
        RELEASE_RETRY_EARLY,
        890_000,
    );
}

/// Jobs that have ended are admitted again under their id, while old attempts may still be about.
pub(crate) const REPAIR: Configuration = Configuration {
    fails: true,
    worker_lost: true,
    repairs_all: true,
    left: Left {
        crashes: 1,
        answers: 1,
        absences: 1,
        cancels: 1,
        repairs: 1,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn a_repair_under_the_same_id() {
    holds("a repair under the same id", REPAIR, 890_000);
}

/// A second and a third message that clear the lane, or not.
pub(crate) const IF_BUSY: Configuration = Configuration {
    jobs: 3,
    kinds: [
        &[Kind::Message],
        &[Kind::Message, Kind::Rollback, Kind::Interrupt],
        &[Kind::Message, Kind::Rollback, Kind::Interrupt, Kind::Reject],
    ],
    retries: 1,
    fails: true,
    left: Left {
        crashes: 1,
        losses: 1,
        answers: 1,
        absences: 1,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn if_busy_rollback_and_interrupt() {
    holds("if_busy: rollback and interrupt", IF_BUSY, 230_000);
}

/// Replies with tool calls, results that come or do not, and messages that wait for them.
pub(crate) const TOOLS: Configuration = Configuration {
    jobs: 3,
    kinds: [
        &[Kind::Message],
        &[Kind::Message, Kind::Results],
        &[Kind::Message, Kind::Results, Kind::Rollback],
    ],
    tools: true,
    retries: 1,
    left: Left {
        crashes: 1,
        absences: 1,
        losses: 1,
        cancels: 1,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn tool_results_and_the_hold() {
    holds("tool results and the hold", TOOLS, 1_250_000);
}

/// Nothing is lost: every job must be able to end before any parked timer fires.
pub(crate) const PROMPT: Configuration = Configuration {
    sweepers: 2,
    reads_first: true,
    retries: 1,
    skew: true,
    prompt: true,
    left: Left {
        crashes: 1,
        doubles: 1,
        absences: 1,
        releases: 1,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn without_losses_no_job_waits_for_a_parked_timer() {
    holds("without losses, promptly", PROMPT, 545_000);
}

#[test]
fn nor_does_one_that_waits_for_tool_results() {
    let world = Configuration {
        kinds: [&[Kind::Message, Kind::Results]; JOBS],
        tools: true,
        skew: false,
        left: Left {
            releases: 0,
            ..PROMPT.left
        },
        ..PROMPT
    };
    holds("with tools, promptly", world, 775_000);
}

/// A small world with every kind of trouble that makes states alike, of which nothing is merged.
#[test]
fn what_is_merged_hides_nothing() {
    let world = Configuration {
        left: Left {
            answers: 1,
            absences: 1,
            ..CALM.left
        },
        ..CALM
    };
    holds("merged", world, 2_500);
    let apart = Configuration {
        merges: false,
        ..world
    };
    holds("apart", apart, 390_000);
}

/// Everything that goes wrong with messages, workers and sweepers at once.
#[test]
#[ignore = "larger than the budget; run with --ignored"]
fn large_all_that_goes_wrong() {
    let world = Configuration {
        sweepers: 2,
        reads_first: true,
        retries: 1,
        skew: true,
        gives_back: true,
        left: Left {
            crashes: 2,
            losses: 1,
            doubles: 1,
            answers: 1,
            absences: 1,
            releases: 1,
            ..CALM.left
        },
        ..CALM
    };
    holds("large: all that goes wrong", world, 9_500_000);
}

/// Repairs, of expired jobs too.
#[test]
#[ignore = "larger than the budget; run with --ignored"]
fn large_repair() {
    let world = Configuration {
        left: Left {
            expiries: 1,
            ..REPAIR.left
        },
        ..REPAIR
    };
    holds("large: repair", world, 2_900_000);
}

/// Every way of submitting three jobs, and everything that becomes of tool calls.
#[test]
#[ignore = "larger than the budget; run with --ignored"]
fn large_three_jobs() {
    const ALL: &[Kind] = &[
        Kind::Message,
        Kind::Results,
        Kind::Rollback,
        Kind::Interrupt,
    ];
    let world = Configuration {
        jobs: 3,
        kinds: [ALL; JOBS],
        tools: true,
        retries: 1,
        left: Left {
            crashes: 1,
            answers: 1,
            absences: 1,
            cancels: 1,
            expiries: 1,
            ..CALM.left
        },
        ..CALM
    };
    holds("large: three jobs", world, 8_500_000);
}
