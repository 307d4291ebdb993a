//! What an event requires besides the new lane.

use super::Entry;
use crate::{
    document::{DocumentVersion, UnknownFields},
    ids::{JobId, ProcessId},
    job::{JobError, Outcome, Reply, Status},
    time::TimeMs,
};

/// What the commit writes together with the new lane, and what happens after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Timers to set (`Some`) or to remove (`None`), in this order.
    pub timers: Vec<(JobId, Option<TimeMs>)>,
    /// A head that can run now, so its wake is published.
    pub wake: Option<JobId>,
    /// The jobs that left the lane.
    pub ended: Vec<EndedEntry>,
    /// Whether the event admitted a new job, so its record is written.
    pub admitted: bool,
    /// A repaired job, whose outcome is removed.
    pub repaired: Option<JobId>,
    /// Provider calls to cancel: the worker that makes the call, and the job.
    pub dropped_calls: Vec<(ProcessId, JobId)>,
    /// Jobs whose inputs are kept in the session although they got no reply, in this order.
    pub keep_inputs: Vec<JobId>,
    /// Whether the turns of the finishing attempt are kept in the session.
    pub keep_turns: bool,
    /// The result of a claim.
    pub claim: Option<ClaimResult>,
    /// Whether the head was taken from its worker: the worker is gone, or the time limit of its claim has passed.
    pub is_takeover: bool,
}

/// The result of a claim that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimResult {
    /// The worker holds the job with this fence.
    Granted {
        /// The fence with which the attempt settles the job.
        fence: u64,
    },
    /// The job may not run yet. Its timer is set to the time at which it may run, or to its deadline if that is earlier.
    NotDue {
        /// The earliest time at which the job may run.
        not_before: TimeMs,
    },
}

/// A job that left its lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedEntry {
    /// The job's last entry in the lane.
    pub entry: Entry,
    /// How the job ended.
    pub status: Status,
    /// Why the job did not complete.
    pub error: Option<JobError>,
    /// When the job ended.
    pub ended_at: TimeMs,
    /// The fence that settled the job, or the entry's `settled_fence` if no attempt settled it.
    pub settled_fence: u64,
}

impl EndedEntry {
    /// The job's outcome, with the reply if there is one.
    #[must_use]
    pub fn into_outcome(self, reply: Option<Reply>, provider: Option<String>) -> Outcome {
        Outcome {
            v: DocumentVersion::FIRST,
            status: self.status,
            started_at: self.entry.started_at,
            ended_at: self.ended_at,
            fence: self.entry.fence,
            settled_fence: self.settled_fence,
            attempts: self.entry.attempts,
            reply,
            error: self.error,
            provider,
            entry: self
                .entry
                .unknown
                .with_object("state", self.entry.unknown_in_state),
            unknown: UnknownFields::NONE,
        }
    }
}

/// Why an event is refused. A refused event changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The lane has [`LANE_MAX`](super::LANE_MAX) live jobs.
    #[error("the session has too many live jobs")]
    Full,
    /// `if_busy: reject`, and the session has live jobs.
    #[error("the session has live jobs")]
    Busy,
    /// The job was admitted before, or a repair names a live or an unknown job.
    #[error("the job was accepted before")]
    Exists,
    /// The job is not the head, or a settlement names a job that no worker has claimed.
    #[error("another job of the session is before this one")]
    NotHead,
    /// A worker runs the job.
    #[error("a worker runs the job already")]
    Running,
    /// A resume names a job that is not deferred.
    #[error("the job does not wait for its provider")]
    NotDeferred,
    /// The job is not in the lane, or a claim, a deferral or a resume came after the job's deadline.
    #[error("the job is not live")]
    Gone,
    /// A later attempt has begun, so the attempt of this event may not settle the job.
    #[error("a later attempt at the job has begun")]
    Fenced,
}
