//! What a change of a lane brings with it.

use super::Entry;
use crate::{
    document::{UnknownFields, Version},
    ids::{JobId, ProcessId},
    job::{JobError, Outcome, Reply, Status},
    time::TimeMs,
};

/// What has to be written with the new lane, and done after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Timers to set, or to take away, in this order.
    pub timers: Vec<(JobId, Option<TimeMs>)>,
    /// A head that can run now and that somebody should be told of.
    pub wake: Option<JobId>,
    /// Jobs that left the lane.
    pub ended: Vec<EndedEntry>,
    /// Whether the job entered the lane: its record is to be written.
    pub admitted: bool,
    /// A job that had ended and entered the lane again: its outcome is to be taken away.
    pub reopened: Option<JobId>,
    /// Running calls that nobody waits for any more, and who makes them.
    pub dropped_calls: Vec<(ProcessId, JobId)>,
    /// Jobs whose inputs go into the session although they got no reply, in this order.
    pub keep_inputs: Vec<JobId>,
    /// Whether the turns of the finishing attempt go into the session.
    pub keep_turns: bool,
    /// The answer to a claim.
    pub claim: Option<Claim>,
}

/// The answer to a claim that was not refused outright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is yours, with this fence.
    Granted {
        /// What every later call about this attempt must carry.
        fence: u64,
    },
    /// It is too early; the timer is back where the job falls due.
    NotDue {
        /// When it is not too early any more.
        not_before: TimeMs,
    },
}

/// A job that left its lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedEntry {
    /// Its last state in the lane.
    pub entry: Entry,
    /// How it ended.
    pub status: Status,
    /// Why it did not complete.
    pub error: Option<JobError>,
    /// When.
    pub at: TimeMs,
    /// The fence that settled it; the entry's own when nobody's did.
    pub settled: u64,
}

impl EndedEntry {
    /// The record of it, with the reply if there is one.
    #[must_use]
    pub fn into_outcome(self, reply: Option<Reply>, provider: Option<String>) -> Outcome {
        Outcome {
            v: Version::FIRST,
            status: self.status,
            started_at: self.entry.started_at,
            ended_at: self.at,
            fence: self.entry.fence,
            settled: self.settled,
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

/// Why an event changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The lane has [`LANE_MAX`](super::LANE_MAX) live jobs.
    #[error("the session has too many live jobs")]
    Full,
    /// `if_busy: reject`, and the session has live jobs.
    #[error("the session has live jobs")]
    Busy,
    /// There is a job of this id already.
    #[error("the job was accepted before")]
    Exists,
    /// It is not this job's turn.
    #[error("another job of the session is before this one")]
    NotHead,
    /// A worker runs it.
    #[error("a worker runs the job already")]
    Running,
    /// The job is not in the lane: it has ended, or never was.
    #[error("the job is not live")]
    Gone,
    /// A later attempt has begun, so this one has no say any more.
    #[error("a later attempt at the job has begun")]
    Fenced,
}
