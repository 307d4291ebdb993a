//! What the store answers.

use serde::{Deserialize, Serialize};

use super::Token;
use crate::{
    class::Class,
    ids::{JobId, LaneKey, ProcessId},
    job::{JobMeta, Outcome, Request},
    lane::{Entry, Lane, Mark},
    session::Conversation,
    time::TimeMs,
};

/// A lane as it stands.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The lane; empty if it has no document.
    pub lane: Lane,
    /// Its token; `None` if it has no document.
    pub token: Option<Token>,
    /// What the records of the jobs that were asked about say, of those that have ended.
    pub marks: Vec<(JobId, Mark)>,
    /// What a worker needs, if it was asked for and the job is live.
    pub work: Option<Work>,
}

impl Loaded {
    /// What the record of a job says, if it has ended.
    #[must_use]
    pub fn mark(&self, job: JobId) -> Option<Mark> {
        self.marks
            .iter()
            .find(|(id, _)| *id == job)
            .map(|(_, mark)| *mark)
    }
}

/// What a worker needs to run a job.
#[derive(Clone, Debug)]
pub struct Work {
    /// The job.
    pub meta: JobMeta,
    /// What it asks.
    pub request: Request,
    /// The turns of its session before it.
    pub conversation: Conversation,
}

/// A job as a reader sees it.
#[derive(Clone, Debug)]
pub struct JobRecord {
    /// What never changes.
    pub meta: JobMeta,
    /// Where it stands.
    pub state: JobState,
}

/// Where a job stands.
#[derive(Clone, Debug)]
pub enum JobState {
    /// In its lane.
    Live(Entry),
    /// At its end.
    Ended(Outcome),
}

/// What an idempotency key leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// The job that the first request with the key made, or is making.
    pub job: JobId,
    /// SHA-256 of that request's body, in hex.
    pub body_sha256: String,
    /// When the key was set.
    pub created_at: TimeMs,
}

/// What became of setting an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOutcome {
    /// It is set now.
    Set,
    /// It was set before, to this.
    Found(KeyEntry),
}

/// What became of forgetting a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Yes,
    /// It has live jobs.
    Busy,
    /// There was none.
    Absent,
}

/// A job's timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The job.
    pub job: JobId,
    /// Its lane.
    pub lane: LaneKey,
    /// When something must have happened.
    pub at: TimeMs,
}

/// Which heads are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadFilter {
    /// Those that a worker runs.
    Running,
    /// Those of a class that could run this moment.
    Ready(Class),
}

/// The head of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The lane.
    pub lane: LaneKey,
    /// The head.
    pub job: JobId,
    /// When it entered the lane.
    pub admitted_at: TimeMs,
    /// When nobody wants it any more.
    pub deadline: TimeMs,
    /// Its timer.
    pub timer: TimeMs,
    /// Who runs it, if somebody does.
    pub worker: Option<ProcessId>,
}
