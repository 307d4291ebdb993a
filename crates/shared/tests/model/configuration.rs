//! One world: its jobs and processes, the faults that may happen and how often, and the faults that are planted.

use crate::{
    mutation::Mutation,
    state::{FaultsLeft, JOBS, JobLife},
};

/// How a job is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubmitKind {
    Message,
    Results,
    Reject,
    Rollback,
    Interrupt,
}

/// One world to be searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Configuration {
    pub(crate) jobs: u8,
    /// The ways in which each job may be submitted. The search tries all of them.
    pub(crate) kinds: [&'static [SubmitKind]; JOBS],
    /// The number of processes that believe to be the elected sweeper.
    pub(crate) sweepers: usize,
    /// Whether both worker slots belong to one process, which knows the jobs it runs.
    pub(crate) one_process: bool,
    /// The retries that a job has.
    pub(crate) retries: u8,
    /// Whether an attempt may end its job as failed.
    pub(crate) fails: bool,
    /// Whether a reply may call tools.
    pub(crate) tools: bool,
    /// Whether a takeover may reach the limit.
    pub(crate) worker_lost: bool,
    /// Whether sweepers' clocks run ahead of the store's and workers' clocks behind it.
    pub(crate) skew: bool,
    /// Whether other steps may happen after a sweeper has read a due timer and before it acts.
    pub(crate) reads_before_acting: bool,
    /// Whether a worker may return its wake, instead of asking again, after a claim without an answer.
    pub(crate) returns_wakes: bool,
    /// Whether cancelled and expired jobs are repaired too, and not only failed ones.
    pub(crate) repairs_all: bool,
    /// Whether all jobs must be able to end before any parked timer is due.
    pub(crate) forbids_parked_timers: bool,
    /// Whether equivalent states count as one.
    pub(crate) merges_states: bool,
    /// The faults that may happen, and how often.
    pub(crate) faults_left: FaultsLeft,
    /// The faults that are planted.
    pub(crate) mutations: &'static [Mutation],
}

impl Configuration {
    /// Two messages, two workers, one sweeper, and no faults.
    pub(crate) const NO_FAULTS: Self = Self {
        jobs: 2,
        kinds: [&[SubmitKind::Message]; JOBS],
        sweepers: 1,
        one_process: false,
        retries: 0,
        fails: false,
        tools: false,
        worker_lost: false,
        skew: false,
        reads_before_acting: false,
        returns_wakes: false,
        repairs_all: false,
        forbids_parked_timers: false,
        merges_states: true,
        faults_left: FaultsLeft {
            crashes: 0,
            losses: 0,
            duplicates: 0,
            lost_answers: 0,
            false_absences: 0,
            cancels: 0,
            expiries: 0,
            repairs: 0,
            releases: 0,
        },
        mutations: &[],
    };

    /// The process that owns a worker slot.
    pub(crate) fn process(&self, slot: usize) -> u8 {
        if self.one_process { 0 } else { slot as u8 }
    }

    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutations.contains(&mutation)
    }

    /// Whether this world admits a job with this end again.
    pub(crate) fn may_repair(&self, life: JobLife) -> bool {
        life == JobLife::Failed
            || (self.repairs_all && matches!(life, JobLife::Cancelled | JobLife::Expired))
    }
}
