//! What can happen to a lane.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    class::Class,
    ids::{JobId, ProcessId},
    job::{JobError, Status},
    time::TimeMs,
};

/// What can happen to a lane. Each names the job it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A gateway accepts a job.
    Admit(Admit),
    /// A worker takes the head.
    Claim {
        /// Which job it was told to run.
        job: JobId,
        /// Who takes it.
        worker: ProcessId,
        /// The fence that an earlier try of this very claim asked for, whose answer was lost.
        asked: Option<u64>,
        /// How long the call may take, in milliseconds, with a margin for the commit.
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
        /// How long messages of the user wait for tool results, in milliseconds, when the reply
        /// calls tools and the session can bring them.
        hold_ms: Option<u64>,
    },
    /// The attempt with this fence failed in a way that another try may mend.
    Retry {
        /// The job.
        job: JobId,
        /// The fence it was claimed with.
        fence: u64,
        /// When the next attempt may begin.
        not_before: TimeMs,
        /// After so many failures the job fails.
        tries_max: u32,
        /// What went wrong.
        error: JobError,
    },
    /// The worker gives the job back unfinished because it shuts down; no try is spent.
    Release {
        /// The job.
        job: JobId,
        /// The fence it was claimed with.
        fence: u64,
    },
    /// Somebody gives the job up.
    Cancel {
        /// The job.
        job: JobId,
    },
    /// The job's timer is due.
    Tick {
        /// The job.
        job: JobId,
        /// Who is known to be at work; `None` while nobody may be judged gone.
        presence: Option<LiveProcesses>,
    },
}

/// A job that a gateway accepts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Admit {
    /// The job.
    pub job: JobId,
    /// How urgent it is.
    pub class: Class,
    /// When nobody wants it any more.
    pub deadline: TimeMs,
    /// Whether its input is the results of tools.
    pub tool_results: bool,
    /// What to do when the session has live jobs.
    pub if_busy: IfBusy,
    /// Whether a job that has ended is to run once more under its id.
    pub repair: bool,
}

/// What to do with a message for a session that has live jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IfBusy {
    /// Wait behind them.
    #[default]
    Enqueue,
    /// Refuse it.
    Reject,
    /// Cancel them; nothing of them stays in the session.
    Rollback,
    /// Cancel them; their inputs stay in the session.
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
    /// The job it is about.
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
