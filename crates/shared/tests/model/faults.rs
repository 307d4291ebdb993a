//! Each planted fault must be found, by the kind of trouble that it makes; and what may be left out
//! because something else suffices must not be found.

use crate::{
    budget,
    configuration::{Configuration, Kind},
    mutation::Mutation,
    search::{Found, search},
    state::{JOBS, Left},
    worlds::{self, holds},
};

/// What a fault leads to.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// Something that must never be; the text is a part of what is said of it.
    Unsafe(&'static str),
    /// A job that cannot end.
    Stuck,
}

/// Searches a world with a planted fault, which must be found.
fn breaks(world: Configuration, mutations: &'static [Mutation], trouble: &Trouble) {
    let Found {
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
    budget::tell(&format!(
        "{mutations:?}: found {said:?} in {states} states, {seconds:.1} s"
    ));
    budget::assert_kept();
    match trouble {
        Trouble::Unsafe(what) => assert!(
            violation
                .as_deref()
                .is_some_and(|violation| violation.contains(what)),
            "not unsafe as foreseen: {what}"
        ),
        Trouble::Stuck => assert!(stuck.is_some(), "nothing is stuck: {violation:?}"),
    }
}

const CALM: Configuration = Configuration::CALM;

/// A world small enough that all of it is searched at once.
const CRASH_AND_LOSS: Configuration = Configuration {
    left: Left {
        crashes: 1,
        losses: 1,
        ..CALM.left
    },
    ..CALM
};

/// A repair while an attempt from before may still end.
const REPAIR: Configuration = Configuration {
    fails: true,
    repairs_all: true,
    left: Left {
        absences: 1,
        cancels: 1,
        repairs: 1,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn without_the_fence_an_older_attempt_takes_effect() {
    let trouble = Trouble::Unsafe("the outcome of an older attempt");
    breaks(worlds::CRASH_LOSS_ABSENCE, &[Mutation::NoFence], &trouble);
}

#[test]
fn the_same_is_found_where_nothing_is_merged() {
    let world = Configuration {
        merges: false,
        ..worlds::CRASH_LOSS_ABSENCE
    };
    let trouble = Trouble::Unsafe("the outcome of an older attempt");
    breaks(world, &[Mutation::NoFence], &trouble);
}

#[test]
fn without_timers_a_lost_wake_is_lost_for_ever() {
    breaks(CRASH_AND_LOSS, &[Mutation::NoTimers], &Trouble::Stuck);
}

#[test]
fn without_a_timer_a_new_head_waits_for_ever() {
    let mutations = &[Mutation::NewHeadKeepsItsTimer];
    breaks(CRASH_AND_LOSS, mutations, &Trouble::Stuck);
}

#[test]
fn a_parked_timer_must_fire_again() {
    let mutations = &[Mutation::ParkedTimersNeverFire];
    breaks(CRASH_AND_LOSS, mutations, &Trouble::Stuck);
}

#[test]
fn a_running_job_must_be_looked_at_again() {
    let mutations = &[Mutation::RunningIsLookedAtOnce];
    breaks(CRASH_AND_LOSS, mutations, &Trouble::Stuck);
}

#[test]
fn a_fence_that_falls_at_release_passes_for_settled() {
    let world = Configuration {
        left: Left {
            releases: 1,
            ..CALM.left
        },
        ..CALM
    };
    let trouble = Trouble::Unsafe("is lost");
    breaks(world, &[Mutation::FenceFallsAtRelease], &trouble);
}

#[test]
fn a_repair_that_starts_anew_gives_a_fence_twice() {
    let trouble = Trouble::Unsafe("two attempts at job");
    breaks(REPAIR, &[Mutation::RepairStartsAnew], &trouble);
}

#[test]
fn a_repair_that_neither_raises_the_fence_nor_forgets_the_claim_lets_an_older_attempt_in() {
    let mutations = &[Mutation::RepairKeepsTheFence, Mutation::RepairKeepsTheClaim];
    let trouble = Trouble::Unsafe("the outcome of an older attempt");
    breaks(REPAIR, mutations, &trouble);
}

#[test]
fn at_a_repair_the_fence_or_the_claim_suffices() {
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
fn what_is_settled_must_be_recognised() {
    let world = Configuration {
        retries: 2,
        left: Left {
            answers: 1,
            ..CALM.left
        },
        ..CALM
    };
    let trouble = Trouble::Unsafe("takes effect a second time");
    breaks(world, &[Mutation::NoSettled], &trouble);
}

#[test]
fn tool_results_must_not_displace_a_claimed_head() {
    let world = Configuration {
        kinds: [&[Kind::Message, Kind::Results]; JOBS],
        left: Left {
            absences: 1,
            ..CALM.left
        },
        ..CALM
    };
    let trouble = Trouble::Unsafe("a context that is not the newest");
    breaks(world, &[Mutation::ResultsDisplaceClaimedHead], &trouble);
}

#[test]
fn two_tasks_of_one_process_must_not_take_one_job() {
    let trouble = Trouble::Unsafe("two attempts at job");
    breaks(worlds::ONE_PROCESS, &[Mutation::NoTable], &trouble);
}

/// A lost answer, after which the same worker asks again.
const ASKS_AGAIN: Configuration = Configuration {
    left: Left {
        crashes: 1,
        answers: 1,
        absences: 1,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn without_until_and_without_recognition_a_lost_answer_blocks_the_lane() {
    let mutations = &[Mutation::NoUntil, Mutation::NoOwnClaim];
    breaks(ASKS_AGAIN, mutations, &Trouble::Stuck);
}

#[test]
fn until_or_recognition_suffices() {
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
fn only_until_helps_when_a_worker_gives_back_what_it_may_have_claimed() {
    let world = Configuration {
        gives_back: true,
        ..ASKS_AGAIN
    };
    breaks(world, &[Mutation::NoUntil], &Trouble::Stuck);
}

/// Nothing is lost, and no job may need a parked timer.
const PROMPT: Configuration = Configuration {
    kinds: [&[Kind::Message]; JOBS],
    sweepers: 2,
    retries: 1,
    skew: true,
    prompt: true,
    left: Left {
        crashes: 1,
        absences: 1,
        ..CALM.left
    },
    ..CALM
};

#[test]
fn woken_without_its_condition_costs_a_minute_and_no_more() {
    const MUTATIONS: &[Mutation] = &[Mutation::WokenMovesAnyTimer];
    breaks(PROMPT, MUTATIONS, &Trouble::Stuck);
    let patient = Configuration {
        prompt: false,
        mutations: MUTATIONS,
        ..PROMPT
    };
    holds("woken without its condition, given time", patient, 73_000);
}

/// The design's table lets tick leave the pause of a head that is due; then a claim by a slower clock is
/// refused, and its timer must come back. Here tick ends the pause, so that either alone suffices.
#[test]
fn a_claim_refused_as_too_early_puts_its_timer_back_or_tick_has_ended_the_pause() {
    const BOTH: &[Mutation] = &[
        Mutation::TickLeavesThePause,
        Mutation::RefusedClaimLeavesTimer,
    ];
    breaks(PROMPT, BOTH, &Trouble::Stuck);
    let patient = Configuration {
        prompt: false,
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
