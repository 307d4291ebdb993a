//! One atomic change of a lane, with every record that changes with it.

use std::sync::Arc;

use super::{
    deferred::DeferredChange,
    read::{LoadedLane, LoadedRunInputs},
    version::LaneVersion,
};
use crate::{
    class::Class,
    ids::{JobId, LaneKey, ProcessId},
    job::{JobMeta, Outcome, Request},
    lane::{Lane, LaneCounts},
    session::{SessionBounds, TokenMeasure},
    time::TimeMs,
    turn::Turn,
};

/// One atomic change of a lane, with every record that changes with it.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The lane to change.
    pub lane: LaneKey,
    /// The version that was read, or `None` if the lane had no document. The commit conflicts if the lane has another
    /// version now.
    pub expected: Option<LaneVersion>,
    /// The version after the commit. An empty lane has no document, and so no version.
    pub version: LaneVersion,
    /// The lane after the commit.
    pub next: Lane,
    /// The timers to set, or to remove (`None`). A job occurs at most once.
    pub timers: Vec<(JobId, Option<TimeMs>)>,
    /// The records to create. If one of them exists already, the commit conflicts.
    pub admitted: Vec<Arc<NewJob>>,
    /// Repaired jobs, whose outcomes are removed. If one of them has no record or another outcome, the commit conflicts.
    pub repaired: Vec<RepairedJob>,
    /// The outcomes to write.
    pub ended: Vec<EndedJob>,
    /// The change of the session, or `None` if there is no session or no change.
    pub session: Option<SessionWrite>,
    /// The difference that the commit makes to the counts.
    pub counts: LaneCounts,
    /// What the commit changes in the index of deferred heads, and in the counts of the jobs behind them.
    pub deferred: DeferredChange,
    /// Provider calls to cancel: the worker that makes the call, and the job. The workers are notified after the
    /// write.
    pub dropped_calls: Vec<(ProcessId, JobId)>,
    /// The jobs whose outcomes are returned on a conflict.
    pub outcomes_of: Vec<JobId>,
    /// The job whose run inputs are returned on a conflict.
    pub run_inputs_of: Option<JobId>,
    /// Whether the commit, if it is written, also returns the run inputs as they were before it. Such a commit conflicts if the run
    /// inputs have more than [`INLINE_BYTES_MAX`](super::INLINE_BYTES_MAX) bytes as stored, or if the job has no record. In a store
    /// that processes of several releases use, it also conflicts if a document in the run inputs may have another version than
    /// [`DocumentVersion::FIRST`](crate::document::DocumentVersion::FIRST).
    pub needs_run_inputs: bool,
    /// The time of the change, by the store's clock.
    pub at: TimeMs,
}

/// A job that enters its lane.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The small part of the record, which every poll reads.
    pub meta: JobMeta,
    /// The request to the model.
    pub request: Request,
}

/// A job that has ended and enters its lane again.
#[derive(Clone, Debug)]
pub struct RepairedJob {
    /// The fence of the outcome that is removed. Each life of a job ends with a higher one.
    pub fence: u64,
    /// The metadata that replaces the job's.
    pub meta: Arc<JobMeta>,
}

/// A job that ends.
#[derive(Clone, Debug)]
pub struct EndedJob {
    /// The job.
    pub job: JobId,
    /// The class of the job. The count of ended jobs of this class rises.
    pub class: Class,
    /// How the job ended.
    pub outcome: Outcome,
    /// How long the record is kept after this commit, in milliseconds. It is kept longer if the job's `keep_until` is
    /// later.
    pub keep_ms: u64,
}

/// What a commit changes in the session of its lane. Every such commit counts as a use of the session.
#[derive(Clone, Debug)]
pub struct SessionWrite {
    /// The number of the first turn to remove, with all later ones, before `append`. Without a turn of this number the commit fails
    /// with [`StoreError::TurnGone`](super::StoreError::TurnGone).
    pub replace_from_turn: Option<u64>,
    /// The turns to append, in order.
    pub append: Vec<Turn>,
    /// A newer token measure, if there is one.
    pub token_measure: Option<TokenMeasure>,
    /// The limits of the session.
    pub bounds: SessionBounds,
}

/// The result of a commit that the store executed.
#[derive(Clone, Debug)]
pub enum CommitResult {
    /// The commit is on disk. The run inputs are returned if it needed them ([`Commit::needs_run_inputs`]). They are left out if
    /// this process cannot read them; [`Store::run_inputs`](super::Store::run_inputs) returns the reason.
    Done(Option<LoadedRunInputs>),
    /// Nothing was written, because the lane has changed since it was read, or for another reason that [`Commit`] names. If the lane
    /// has the commit's own version, an earlier request of this commit has succeeded.
    Conflict(Box<LoadedLane>),
}

/// A timer to move without a change of its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerMove {
    /// The job whose timer moves.
    pub job: JobId,
    /// The time that was read. The timer moves only if it still has this value.
    pub from: TimeMs,
    /// The new time.
    pub to: TimeMs,
}
