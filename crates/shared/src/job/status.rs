//! The states of a job, as the API names them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a job: `queued → in_progress → completed | failed | cancelled | expired`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The job is accepted, and waits for earlier jobs, for a worker or for a retry.
    Queued,
    /// A worker has claimed the job.
    InProgress,
    /// The job has a reply.
    Completed,
    /// The job has no reply; its `error` has the reason.
    Failed,
    /// A client cancelled the job, or a newer message of its session replaced it.
    Cancelled,
    /// The job did not end before its deadline.
    Expired,
}

impl Status {
    /// Whether the job has ended. An ended job does not change, unless it is repaired.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
