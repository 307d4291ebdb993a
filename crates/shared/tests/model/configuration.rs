//! What one run of the check contains: how many of whom, what may happen to them and how often, and
//! which fault is planted.

use crate::{
    mutation::Mutation,
    state::{JOBS, Left, Life},
};

/// How a job is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
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
    /// How each job may be submitted: every way of it is searched.
    pub(crate) kinds: [&'static [Kind]; JOBS],
    /// How many sweepers take themselves for the elected one.
    pub(crate) sweepers: usize,
    /// Whether both slots belong to one process, which has a table of its jobs. Else they are two.
    pub(crate) one_process: bool,
    /// How many retries a job has.
    pub(crate) retries: u8,
    /// Whether an attempt may end its job as failed.
    pub(crate) fails: bool,
    /// Whether a reply may hold tool calls.
    pub(crate) tools: bool,
    /// Whether a takeover may be the one too many.
    pub(crate) worker_lost: bool,
    /// Whether the clocks of sweepers run ahead of the store's and those of workers behind it.
    pub(crate) skew: bool,
    /// Whether other steps may come between a sweeper's reading of a due timer and its acting on it.
    pub(crate) reads_first: bool,
    /// Whether a worker whose claim is not answered may give its message back instead of asking again.
    pub(crate) gives_back: bool,
    /// Whether cancelled and expired jobs are repaired too, not failed ones only.
    pub(crate) repairs_all: bool,
    /// Whether all jobs must be able to end without the firing of a parked timer.
    pub(crate) prompt: bool,
    /// Whether states that nobody can tell apart are one.
    pub(crate) merges: bool,
    /// What may happen, and how often.
    pub(crate) left: Left,
    /// What is planted.
    pub(crate) mutations: &'static [Mutation],
}

impl Configuration {
    /// Two messages, two workers, one sweeper, and nothing that goes wrong.
    pub(crate) const CALM: Self = Self {
        jobs: 2,
        kinds: [&[Kind::Message]; JOBS],
        sweepers: 1,
        one_process: false,
        retries: 0,
        fails: false,
        tools: false,
        worker_lost: false,
        skew: false,
        reads_first: false,
        gives_back: false,
        repairs_all: false,
        prompt: false,
        merges: true,
        left: Left {
            crashes: 0,
            losses: 0,
            doubles: 0,
            answers: 0,
            absences: 0,
            cancels: 0,
            expiries: 0,
            repairs: 0,
            releases: 0,
        },
        mutations: &[],
    };

    /// The process that a slot belongs to.
    pub(crate) fn process(&self, slot: usize) -> u8 {
        if self.one_process { 0 } else { slot as u8 }
    }

    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutations.contains(&mutation)
    }

    /// Whether a job that ended so may be admitted again, in this world.
    pub(crate) fn may_repair(&self, life: Life) -> bool {
        life == Life::Failed
            || (self.repairs_all && matches!(life, Life::Cancelled | Life::Expired))
    }
}
