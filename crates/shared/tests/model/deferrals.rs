//! Deferrals and resumes: jobs that wait for their provider. Safety and liveness hold, and the search finds the failure that
//! each defect of these two rules causes.

use crate::{
    configuration::{Configuration, SubmitKind},
    detection::{ExpectedFailure, assert_failure},
    guarantees::{StatesMin, assert_holds},
    mutation::Mutation,
    state::FaultCounts,
};

const NO_FAULTS: Configuration = Configuration::NO_FAULTS;

/// A provider refuses calls, so jobs are deferred, before their claim or by their attempt.
pub(crate) const DEFERRALS: Configuration = Configuration {
    faults: FaultCounts {
        crashes: 1,
        lost_responses: 1,
        live_counted_as_gone: 1,
        deferrals: 2,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn deferrals_do_no_harm() {
    assert_holds("deferrals", DEFERRALS, StatesMin(110_000));
}

/// Deferred jobs are cancelled, expire and are repaired, while older attempts may still settle.
#[test]
fn the_end_of_a_deferred_job_does_no_harm() {
    let configuration = Configuration {
        jobs_may_fail: true,
        repairs_cancelled_and_expired_jobs: true,
        faults: FaultCounts {
            live_counted_as_gone: 1,
            cancels: 1,
            expiries: 1,
            repairs: 1,
            deferrals: 1,
            ..NO_FAULTS.faults
        },
        ..NO_FAULTS
    };
    assert_holds(
        "deferred jobs that end",
        configuration,
        StatesMin(1_200_000),
    );
}

/// Tool results and newer messages displace or replace deferred jobs.
#[test]
fn a_displaced_deferred_job_does_no_harm() {
    let configuration = Configuration {
        submit_kinds: [
            &[SubmitKind::Message],
            &[
                SubmitKind::Message,
                SubmitKind::ToolResults,
                SubmitKind::Rollback,
                SubmitKind::Interrupt,
            ],
            &[SubmitKind::Message],
        ],
        replies_may_call_tools: true,
        faults: FaultCounts {
            lost_responses: 1,
            live_counted_as_gone: 1,
            deferrals: 2,
            ..NO_FAULTS.faults
        },
        ..NO_FAULTS
    };
    assert_holds("displaced deferred jobs", configuration, StatesMin(200_000));
}

/// No wake is lost, so the sweeper's resume lets every deferred job run. The longest wait of a deferral is not needed.
const RESUMES: Configuration = Configuration {
    sweepers: 2,
    liveness_ignores_parked_timers: true,
    faults: FaultCounts {
        crashes: 1,
        live_counted_as_gone: 1,
        deferrals: 2,
        ..NO_FAULTS.faults
    },
    ..NO_FAULTS
};

#[test]
fn without_lost_wakes_every_deferred_job_runs_after_its_resume() {
    assert_holds("resumes, no parked timers", RESUMES, StatesMin(50_000));
}

#[test]
fn a_deferral_of_a_running_job_is_found() {
    let expected = ExpectedFailure::Unsafe("is deferred without its fence");
    assert_failure(RESUMES, &[Mutation::RunningHeadIsDeferred], &expected);
}

#[test]
fn a_deferral_without_a_timer_is_found() {
    let expected = ExpectedFailure::Unsafe("has no timer");
    assert_failure(RESUMES, &[Mutation::DeferralRemovesTheTimer], &expected);
}

#[test]
fn a_deferral_that_clears_the_claimed_flag_is_found() {
    let expected = ExpectedFailure::Unsafe("no longer counts as claimed");
    let mutations = &[Mutation::DeferralClearsTheClaimedFlag];
    assert_failure(RESUMES, mutations, &expected);
}

#[test]
fn a_deferral_that_is_not_recorded_takes_effect_twice() {
    let expected = ExpectedFailure::Unsafe("takes effect a second time");
    assert_failure(DEFERRALS, &[Mutation::DeferralIsNotRecorded], &expected);
}

#[test]
fn a_deferred_job_that_is_never_resumed_waits_until_its_longest_wait_has_passed() {
    const MUTATIONS: &[Mutation] = &[Mutation::DeferredJobsAreNeverResumed];
    assert_failure(RESUMES, MUTATIONS, &ExpectedFailure::Stuck);
    let allows_delays = Configuration {
        liveness_ignores_parked_timers: false,
        mutations: MUTATIONS,
        ..RESUMES
    };
    assert_holds(
        "no resumes, delays allowed",
        allows_delays,
        StatesMin(50_000),
    );
}
