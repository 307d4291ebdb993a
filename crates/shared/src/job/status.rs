//! The states a job can be in, as the API names them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a job stands: `queued → in_progress → completed | failed | cancelled | expired`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted; waits for its turn, for a worker or for a retry.
    Queued,
    /// A worker is calling the provider.
    InProgress,
    /// It has a reply.
    Completed,
    /// It will have none; `error` says why.
    Failed,
    /// Somebody asked that it be given up.
    Cancelled,
    /// It was not done by the time it had to be.
    Expired,
}

impl Status {
    /// Whether the job has ended, after which nothing about it changes.
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
