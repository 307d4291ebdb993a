//! The largest configurations, which only `.ci/full` searches.

use crate::{
    configuration::{Configuration, SubmitKind},
    deferrals::DEFERRALS,
    guarantees::{REPAIR, StatesMin, assert_holds},
    state::{FaultCounts, JOBS},
};

const NO_FAULTS: Configuration = Configuration::NO_FAULTS;

/// All faults of messages, workers and sweepers at once.
#[test]
#[ignore = "long: runs in .ci/full"]
fn large_all_faults() {
    let configuration = Configuration {
        sweepers: 2,
        delays_sweeper_actions: true,
        retries: 1,
        clocks_may_be_wrong: true,
        workers_may_requeue_wakes: true,
        faults: FaultCounts {
            crashes: 2,
            lost_wakes: 1,
            duplicated_wakes: 1,
            lost_responses: 1,
            live_counted_as_gone: 1,
            releases: 1,
            ..NO_FAULTS.faults
        },
        ..NO_FAULTS
    };
    assert_holds("large: all faults", configuration, StatesMin(9_500_000));
}

/// Repairs of ended jobs, also after a deadline has passed.
#[test]
#[ignore = "long: runs in .ci/full"]
fn large_repair() {
    let configuration = Configuration {
        faults: FaultCounts {
            expiries: 1,
            ..REPAIR.faults
        },
        ..REPAIR
    };
    assert_holds("large: repair", configuration, StatesMin(2_900_000));
}

/// Three jobs, submitted in every way but with `if_busy: reject`, with tool calls.
#[test]
#[ignore = "long: runs in .ci/full"]
fn large_three_jobs() {
    const KINDS: &[SubmitKind] = &[
        SubmitKind::Message,
        SubmitKind::ToolResults,
        SubmitKind::Rollback,
        SubmitKind::Interrupt,
    ];
    let configuration = Configuration {
        jobs: 3,
        submit_kinds: [KINDS; JOBS],
        replies_may_call_tools: true,
        retries: 1,
        faults: FaultCounts {
            crashes: 1,
            lost_responses: 1,
            live_counted_as_gone: 1,
            cancels: 1,
            expiries: 1,
            ..NO_FAULTS.faults
        },
        ..NO_FAULTS
    };
    assert_holds("large: three jobs", configuration, StatesMin(8_500_000));
}

/// Deferrals with lost and duplicated wakes, crashes, lost responses, live workers that count as gone, and two sweepers.
#[test]
#[ignore = "long: runs in .ci/full"]
fn large_deferrals() {
    let configuration = Configuration {
        sweepers: 2,
        retries: 1,
        faults: FaultCounts {
            lost_wakes: 1,
            duplicated_wakes: 1,
            ..DEFERRALS.faults
        },
        ..DEFERRALS
    };
    assert_holds("large: deferrals", configuration, StatesMin(2_100_000));
}
