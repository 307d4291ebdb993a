//! What one search covers: the jobs and processes, how often each fault may happen, and the mutations of the protocol.

use crate::{
    mutation::Mutation,
    state::{FaultCounts, JOBS, JobStatus},
};

/// How a job is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubmitKind {
    /// A message that waits behind live jobs.
    Message,
    /// Tool results.
    ToolResults,
    /// A message with `if_busy: reject`.
    Reject,
    /// A message with `if_busy: rollback`.
    Rollback,
    /// A message with `if_busy: interrupt`.
    Interrupt,
}

/// The configuration of one search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Configuration {
    /// The number of jobs.
    pub(crate) jobs: u8,
    /// The ways in which each job may be submitted. The search tries all of them.
    pub(crate) submit_kinds: [&'static [SubmitKind]; JOBS],
    /// The number of processes that act as the elected sweeper at the same time.
    pub(crate) sweepers: usize,
    /// Whether both worker slots belong to one process, which knows the jobs that it runs.
    pub(crate) one_process: bool,
    /// The number of retries that each job may have.
    pub(crate) retries: u8,
    /// Whether an attempt may end its job as failed.
    pub(crate) jobs_may_fail: bool,
    /// Whether a reply may call tools.
    pub(crate) replies_may_call_tools: bool,
    /// Whether any takeover of a job may exceed the limit of takeovers, so that the job fails.
    pub(crate) may_reach_takeover_limit: bool,
    /// Whether the clocks of sweepers may be ahead of the store's, and the clocks of workers behind it.
    pub(crate) clocks_may_be_wrong: bool,
    /// Whether other steps may happen between a sweeper's read of a due timer and its action.
    pub(crate) delays_sweeper_actions: bool,
    /// Whether a worker whose claim got no response may requeue the wake instead of claiming again.
    pub(crate) workers_may_requeue_wakes: bool,
    /// Whether cancelled and expired jobs may be repaired too. Failed jobs always may.
    pub(crate) repairs_cancelled_and_expired_jobs: bool,
    /// Whether every job must be able to end even if parked timers are never due.
    pub(crate) liveness_ignores_parked_timers: bool,
    /// Whether equivalent states count as one state.
    pub(crate) merges_states: bool,
    /// How often each fault may happen.
    pub(crate) faults: FaultCounts,
    /// The defects of the protocol.
    pub(crate) mutations: &'static [Mutation],
}

impl Configuration {
    /// Two messages, two workers, one sweeper, and no faults.
    pub(crate) const NO_FAULTS: Self = Self {
        jobs: 2,
        submit_kinds: [&[SubmitKind::Message]; JOBS],
        sweepers: 1,
        one_process: false,
        retries: 0,
        jobs_may_fail: false,
        replies_may_call_tools: false,
        may_reach_takeover_limit: false,
        clocks_may_be_wrong: false,
        delays_sweeper_actions: false,
        workers_may_requeue_wakes: false,
        repairs_cancelled_and_expired_jobs: false,
        liveness_ignores_parked_timers: false,
        merges_states: true,
        faults: FaultCounts {
            crashes: 0,
            lost_wakes: 0,
            duplicated_wakes: 0,
            lost_responses: 0,
            live_counted_as_gone: 0,
            cancels: 0,
            expiries: 0,
            repairs: 0,
            releases: 0,
            deferrals: 0,
        },
        mutations: &[],
    };

    /// The process that owns a worker slot.
    pub(crate) fn process_of(&self, slot: usize) -> u8 {
        if self.one_process { 0 } else { slot as u8 }
    }

    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutations.contains(&mutation)
    }

    /// Whether a job that ended like this may be repaired.
    pub(crate) fn may_repair(&self, status: JobStatus) -> bool {
        status == JobStatus::Failed
            || (self.repairs_cancelled_and_expired_jobs
                && matches!(status, JobStatus::Cancelled | JobStatus::Expired))
    }
}
