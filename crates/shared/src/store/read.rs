//! What reads of the store return.

use serde::{Deserialize, Serialize};

use super::version::LaneVersion;
use crate::{
    class::Class,
    document::{Document, DocumentVersion, UnknownFields},
    ids::{JobId, LaneKey, ProcessId},
    job::{JobMeta, Outcome, Request, Status},
    lane::{Entry, Lane, OutcomeSummary, State},
    session::Conversation,
    time::TimeMs,
};

/// The most bytes, as stored, of the run inputs, turns or settings that a load of a lane or a read of a session includes. A caller
/// that needs larger ones reads them with a separate call, after it has reserved memory for them.
pub const INLINE_BYTES_MAX: u64 = 64 * 1024;

/// A lane as the store holds it, with the outcomes and the run inputs that the caller requested.
#[derive(Clone, Debug, Default)]
pub struct LoadedLane {
    /// The lane. It is empty if the store has no document of it.
    pub lane: Lane,
    /// The lane's version. `None` if the store has no document of the lane.
    pub version: Option<LaneVersion>,
    /// The outcomes of the requested jobs that have ended.
    pub outcomes: Vec<(JobId, OutcomeSummary)>,
    /// The requested run inputs, or their size. `None` if none was requested, or if that job is not live.
    pub run_inputs: Option<LoadedRunInputs>,
}

/// The run inputs of a job, as a load returns them.
#[derive(Clone, Debug)]
pub enum LoadedRunInputs {
    /// The run inputs. They have at most [`INLINE_BYTES_MAX`] bytes as stored.
    Inline(Box<RunInputs>),
    /// The run inputs are larger, the head of the lane runs, or this process cannot read them.
    /// [`Store::run_inputs`](super::Store::run_inputs) reads them, or returns the reason.
    LeftOut {
        /// The size of the request, the turns and the defaults of the session as stored. 0 if it is not known.
        bytes: u64,
    },
}

impl LoadedRunInputs {
    /// The run inputs, or left out if they could not be parsed. [`Store::run_inputs`](super::Store::run_inputs) returns the reason.
    #[must_use]
    pub fn parsed<E>(result: Result<RunInputs, E>) -> Self {
        result.map_or(Self::LeftOut { bytes: 0 }, |run_inputs| {
            Self::Inline(Box::new(run_inputs))
        })
    }

    /// The run inputs, if the load returned them.
    #[must_use]
    pub fn inline(self) -> Option<Box<RunInputs>> {
        match self {
            Self::Inline(run_inputs) => Some(run_inputs),
            Self::LeftOut { .. } => None,
        }
    }
}

impl LoadedLane {
    /// The outcome of a requested job, if the job has ended.
    #[must_use]
    pub fn outcome(&self, job: JobId) -> Option<OutcomeSummary> {
        self.outcomes
            .iter()
            .find(|(ended_job, _)| *ended_job == job)
            .map(|(_, outcome)| *outcome)
    }
}

/// What a worker needs to run a job.
#[derive(Clone, Debug)]
pub struct RunInputs {
    /// The job's metadata.
    pub meta: JobMeta,
    /// The request to the model.
    pub request: Request,
    /// The turns before this job, the newest token count and the defaults of the session.
    pub conversation: Conversation,
}

/// A job that a read with a limit found.
#[derive(Clone, Debug)]
pub enum FoundJob {
    /// The job.
    Record(Box<JobRecord>),
    /// The job has ended, and its outcome is larger than the limit.
    LargeOutcome {
        /// The job's metadata.
        meta: Box<JobMeta>,
        /// The size of the outcome as stored.
        bytes: u64,
        /// How the job ended.
        status: Status,
    },
}

/// Which turns of a session a read returns: the first turns from `from` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnRange {
    /// The number of the first turn. Turns that were dropped are skipped.
    pub from: u64,
    /// The most turns; at least 1.
    pub turns_max: usize,
    /// The most bytes of all turns together. The first turn is returned whatever its size.
    pub bytes_max: u64,
}

/// A job as a client sees it.
#[derive(Clone, Debug)]
pub struct JobRecord {
    /// The job's metadata.
    pub meta: JobMeta,
    /// The job's current state.
    pub state: JobState,
}

/// The current state of a job.
#[derive(Clone, Debug)]
pub enum JobState {
    /// The job is in its lane.
    Live(LiveJob),
    /// The job has ended, with this outcome.
    Ended(Outcome),
}

/// A live job in its lane.
#[derive(Clone, Debug)]
pub struct LiveJob {
    /// The entry of the job.
    pub entry: Entry,
    /// How many jobs of the lane come before it.
    pub ahead: usize,
    /// The first job of the lane.
    pub head: LaneHead,
}

/// The state of the first job of a lane, which the jobs behind it wait for.
#[derive(Clone, Debug)]
pub struct LaneHead {
    /// The state of the job.
    pub state: State,
    /// When its attempt began, if a worker runs it.
    pub running_since: Option<TimeMs>,
}

impl LaneHead {
    /// A job that may run.
    pub const READY: Self = Self {
        state: State::Queued { not_before: None },
        running_since: None,
    };

    /// The job of this entry.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let is_running = matches!(entry.state, State::Running { .. });
        let attempt = entry.attempts.last().filter(|_| is_running);
        Self {
            state: entry.state.clone(),
            running_since: attempt.map(|attempt| attempt.started_at),
        }
    }
}

impl LiveJob {
    /// A job of this lane. `None` if the lane does not have it.
    #[must_use]
    pub fn of(lane: &Lane, job: JobId) -> Option<Self> {
        let (ahead, entry) = lane.find(job)?;
        Some(Self {
            entry: entry.clone(),
            ahead,
            head: LaneHead::of(lane.head()?),
        })
    }
}

/// What the store keeps under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyEntry {
    /// The version of the document's form.
    #[serde(default)]
    pub v: DocumentVersion,
    /// The job that the first request with the key has created, or is about to create.
    pub job: JobId,
    /// The SHA-256 of the body of that first request, in hex.
    pub body_sha256: String,
    /// When the key was set.
    pub created_at: TimeMs,
    /// Whether the job was refused after the key was set. Such a key is kept for a short time only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// How often the entry was replaced.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u32,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde requires this signature"
)]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl IdempotencyEntry {
    /// The entry that replaces this one.
    #[must_use]
    pub fn revised(&self, refused: bool) -> Self {
        Self {
            refused,
            revision: self.revision.saturating_add(1),
            ..self.clone()
        }
    }
}

impl Document for IdempotencyEntry {
    const NAME: &'static str = "idempotency key";

    fn version(&self) -> DocumentVersion {
        self.v
    }
}

/// The result of setting an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetKeyResult {
    /// The key was not set. It has the given entry now.
    Set,
    /// The key was set before, to this entry. Nothing was written.
    AlreadySet(IdempotencyEntry),
}

/// How long the id of a removed job remains at least, in milliseconds. No commit is repeated after that time.
pub const REMOVED_JOB_MS: u64 = 600_000;

/// How long the id of a removed job with an idempotency key remains at least in a store that processes of several releases use, in
/// milliseconds: 25 hours. A gateway of an older release does not know removed jobs, and keeps such a key for 24 hours more. An hour
/// is the margin.
pub const REMOVED_KEYED_JOB_MS: u64 = 90_000_000;

/// The result of removing a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobRemoval {
    /// The job is removed.
    Removed,
    /// The job is live. Nothing was removed.
    IsLive,
    /// The tenant has no such job, or it was removed before.
    NotFound,
}

/// The result of removing a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionRemoval {
    /// The session is removed.
    Removed,
    /// The session has live jobs. Nothing was removed.
    HasLiveJobs,
    /// There is no such session.
    NotFound,
}

/// The timer of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The job.
    pub job: JobId,
    /// The job's lane.
    pub lane: LaneKey,
    /// When the timer is due.
    pub at: TimeMs,
}

/// Which heads of lanes [`Store::heads`](super::Store::heads) returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadFilter {
    /// Heads that a worker runs.
    Running,
    /// Heads of this class that a worker could run now.
    Ready(Class),
}

/// Some of the heads that match a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadPage {
    /// The heads.
    pub heads: Vec<Head>,
    /// Whether no head came after these when the page was read. A pass over all heads ends with such a page. A pass that waited
    /// for an empty page might not end, because new heads can appear faster than pages are read.
    pub is_last: bool,
}

/// The head of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The lane.
    pub lane: LaneKey,
    /// The job at the head.
    pub job: JobId,
    /// When the job entered the lane.
    pub admitted_at: TimeMs,
    /// When the job expires.
    pub deadline: TimeMs,
    /// When the job's timer is due.
    pub timer: TimeMs,
    /// The worker that runs the job, if one does.
    pub worker: Option<ProcessId>,
}
