//! The events of a lane.

use std::{collections::BTreeSet, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    account::AccountKey,
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
        /// The fence of this worker's earlier claim, if the response to that claim was lost.
        repeated_fence: Option<u64>,
        /// The time limit of the claim in milliseconds: the longest provider call, plus a margin for the commit.
        limit_ms: u64,
    },
    /// The attempt with this fence ended the job.
    Finish {
        /// The job.
        job: JobId,
        /// The fence of the attempt's claim.
        fence: u64,
        /// Why there is no reply; `None` for a completed job.
        error: Option<JobError>,
        /// How long user messages wait for tool results, in milliseconds; `None` when the reply calls no
        /// tools or the job has no session.
        hold_ms: Option<u64>,
    },
    /// The attempt with this fence failed, and another try may succeed.
    Retry {
        /// The job.
        job: JobId,
        /// The fence of the attempt's claim.
        fence: u64,
        /// When the next attempt may begin.
        not_before: TimeMs,
        /// The number of failed tries at which the job fails.
        tries_max: u32,
        /// What went wrong.
        error: JobError,
    },
    /// The provider may not be called now, so the job waits until its account has a permit for it. No try is counted.
    Defer {
        /// The job.
        job: JobId,
        /// The fence of the attempt that ends, because the provider refused its call or an account denied it. `None` for a head
        /// that was not claimed, because an account denied its call.
        fence: Option<u64>,
        /// The account.
        account: AccountKey,
        /// The provider's last error.
        error: JobError,
    },
    /// The sweeper has a permit for a deferred job.
    Resume {
        /// The job.
        job: JobId,
    },
    /// The worker releases the job. The release does not count as a try.
    Release {
        /// The job.
        job: JobId,
        /// The fence of the attempt's claim.
        fence: u64,
        /// Why the attempt ends.
        reason: ReleaseReason,
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
        /// The live processes. With `None`, the tick treats no worker as gone.
        live: Option<LiveProcesses>,
    },
}

/// The admission of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Admit {
    /// The job.
    pub job: JobId,
    /// The job's priority.
    pub class: Class,
    /// The requested model.
    pub model: Option<String>,
    /// When the job expires.
    pub deadline: TimeMs,
    /// Whether the job's input is tool results.
    pub is_tool_results: bool,
    /// What happens when the session has live jobs.
    pub if_busy: IfBusy,
    /// Whether this is a repair: the job has ended and is admitted again under its id.
    pub is_repair: bool,
}

/// What happens to a message for a session that has live jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IfBusy {
    /// The message waits behind the live jobs.
    #[default]
    Enqueue,
    /// The message is refused.
    Reject,
    /// The message cancels the live jobs. The session keeps nothing of them.
    Rollback,
    /// The message cancels the live jobs. The session keeps their inputs.
    Interrupt,
}

/// The processes that were alive at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LiveProcesses {
    /// When the list was read, by the store's clock. The list shows nothing about a worker that claimed its job later.
    pub read_at: TimeMs,
    /// The processes whose presence was recent enough at that time.
    pub alive: Arc<BTreeSet<ProcessId>>,
}

/// The part of a job's outcome that the rules need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutcomeSummary {
    /// How the job ended.
    pub status: Status,
    /// The newest fence that the job ever had.
    pub fence: u64,
    /// The newest fence that settled a claim of the job; 0 for none.
    pub settled_fence: u64,
}

/// Why a worker releases a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReleaseReason {
    /// The worker shuts down.
    WorkerStops,
    /// The job's wait for tool results has ended.
    ToolWaitEnded,
}

impl ReleaseReason {
    /// The error of the attempt.
    pub(super) fn error(self) -> JobError {
        match self {
            Self::WorkerStops => {
                JobError::new("released", "the worker shut down; the job is queued again")
            }
            Self::ToolWaitEnded => JobError::new(
                "tool_wait_ended",
                "the job's wait for tool results ended; the job is queued again for its provider call",
            ),
        }
    }
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
            | Self::Defer { job, .. }
            | Self::Resume { job }
            | Self::Cancel { job }
            | Self::Tick { job, .. } => *job,
        }
    }
}
