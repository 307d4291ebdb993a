//! What can happen to a lane.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    class::Class,
    ids::{JobId, ProcessId},
    job::{JobError, Status},
    time::TimeMs,
};

/// What can happen to a lane. Each event names its job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A gateway admits a job.
    Admit(Admit),
    /// A worker claims the head.
    Claim {
        /// The job of the wake.
        job: JobId,
        /// The worker.
        worker: ProcessId,
        /// The fence that an earlier, unanswered claim of this worker may have got.
        repeated_fence: Option<u64>,
        /// The time limit of the call with a margin for the commit, in milliseconds.
        limit_ms: u64,
    },
    /// The attempt with this fence ended the job.
    Finish {
        /// The job.
        job: JobId,
        /// The fence it was claimed with.
        fence: u64,
        /// Why there is no reply; absent for a completed job.
        error: Option<JobError>,
        /// How long user messages wait for tool results, in milliseconds; `None` when the reply calls no
        /// tools or the job has no session.
        hold_ms: Option<u64>,
    },
    /// The attempt with this fence failed, and another try may succeed.
    Retry {
        /// The job.
        job: JobId,
        /// The fence it was claimed with.
        fence: u64,
        /// When the next attempt may begin.
        not_before: TimeMs,
        /// The job fails at this number of tries.
        tries_max: u32,
        /// What went wrong.
        error: JobError,
    },
    /// The worker shuts down and releases the job. No try is spent.
    Release {
        /// The job.
        job: JobId,
        /// The fence it was claimed with.
        fence: u64,
    },
    /// A client cancels the job.
    Cancel {
        /// The job.
        job: JobId,
    },
    /// The job's timer is due.
    Tick {
        /// The job.
        job: JobId,
        /// The live processes; `None` while no process may be judged gone.
        presence: Option<LiveProcesses>,
    },
}

/// The admission of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Admit {
    /// The job.
    pub job: JobId,
    /// Its priority.
    pub class: Class,
    /// When the job expires.
    pub deadline: TimeMs,
    /// Whether its input is tool results.
    pub tool_results: bool,
    /// What happens when the session has live jobs.
    pub if_busy: IfBusy,
    /// Whether this repairs a job: it has ended and is admitted again under its id.
    pub repair: bool,
}

/// What happens to a message for a session that has live jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IfBusy {
    /// It waits behind them.
    #[default]
    Enqueue,
    /// It is refused.
    Reject,
    /// It cancels them. Nothing of them stays in the session.
    Rollback,
    /// It cancels them. Their inputs stay in the session.
    Interrupt,
}

/// The processes that were alive at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LiveProcesses {
    /// The moment, by the store's clock. A worker that claimed its job later cannot be judged by this.
    pub at: TimeMs,
    /// The processes that had announced themselves within one presence time before.
    pub alive: Arc<BTreeSet<ProcessId>>,
}

/// The part of a job's outcome that the rules need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutcomeSummary {
    /// How the job ended.
    pub status: Status,
    /// The newest fence that the job ever had.
    pub fence: u64,
    /// The fence that settled it; 0 for none.
    pub settled: u64,
}

impl Event {
    /// The job of the event.
    #[must_use]
    pub const fn job(&self) -> JobId {
        match self {
            Self::Admit(admit) => admit.job,
            Self::Claim { job, .. }
            | Self::Finish { job, .. }
            | Self::Retry { job, .. }
            | Self::Release { job, .. }
            | Self::Cancel { job }
            | Self::Tick { job, .. } => *job,
        }
    }
}
