//! The model's events, and the arguments of one call of `lane::apply`.

use crate::state::{Lane, Outcome, Settlement};

/// An event of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ModelEvent {
    Submit {
        /// The index in the `Configuration::submit_kinds` of this job.
        kind_index: u8,
    },
    Repair,
    Claim {
        process: u8,
        repeated_fence: Option<u8>,
    },
    Settle {
        settlement: Settlement,
        fence: u8,
    },
    Cancel,
    /// A worker with a wake defers the job.
    Defer,
    Resume,
    Tick(WorkerPresence),
}

/// What a sweeper knows of the worker that runs a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WorkerPresence {
    /// The worker is present, or the sweeper has no usable list of live processes.
    Present,
    /// The worker is gone.
    Gone,
    /// The worker is gone, and the job has reached the limit of takeovers.
    GoneAtTakeoverLimit,
    /// The worker is present, but the time limit of its claim has passed.
    PresentPastTimeLimit,
}

/// How the clock of the process that causes an event differs from the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ClockSkew {
    None,
    /// A time that is still to come seems to have passed.
    Ahead,
    /// A time that has passed seems to be still to come.
    Behind,
}

/// The arguments of one call of `lane::apply`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ApplyInput {
    pub(super) lane: Lane,
    /// The outcome of the job, if it has ended.
    pub(super) outcome: Option<Outcome>,
    pub(super) job: u8,
    pub(super) event: ModelEvent,
    pub(super) clock: ClockSkew,
}
