//! One atomic change of a lane and everything that changes with it.

use std::sync::Arc;

use super::Loaded;
use crate::{
    class::Class,
    ids::{JobId, LaneKey, ProcessId},
    job::{JobMeta, Outcome, Request},
    lane::{Lane, LaneCounts},
    session::{SessionBounds, TokenMeasure},
    time::TimeMs,
    turn::Turn,
};

/// The version of a lane's document: a random value chosen by whoever committed it, so that a commit
/// whose answer was lost is recognised by its own.
pub type Token = uuid::Uuid;

/// One atomic change of a lane.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The lane.
    pub lane: LaneKey,
    /// The token that the lane had when it was read; `None` if there was no document.
    pub expect: Option<Token>,
    /// The token that it has afterwards, unless it is empty then.
    pub token: Token,
    /// The lane afterwards.
    pub next: Lane,
    /// Timers to set, or to take away; each job at most once.
    pub timers: Vec<(JobId, Option<TimeMs>)>,
    /// Records to write. If one of them exists already, nothing at all is written.
    pub admitted: Vec<NewJob>,
    /// Jobs that ended and entered the lane again: their outcome is taken away.
    pub reopened: Vec<JobId>,
    /// Outcomes to write.
    pub ended: Vec<Ended>,
    /// What changes in the session; absent for a lane without one, and where nothing changes.
    pub session: Option<SessionWrite>,
    /// The difference that it makes to the counts.
    pub counts: LaneCounts,
    /// Whom to tell, once it is written, that nobody waits for a call any more.
    pub dropped_calls: Vec<(ProcessId, JobId)>,
    /// Jobs of which a conflict should say whether they have ended.
    pub about: Vec<JobId>,
    /// The job whose work a conflict should bring anew.
    pub work: Option<JobId>,
    /// The moment of the change, by the store's clock.
    pub at: TimeMs,
}

/// A job that enters its lane.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its small part.
    pub meta: JobMeta,
    /// What it asks.
    pub request: Arc<Request>,
}

/// A job that ends.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The job.
    pub job: JobId,
    /// Its class, whose count of ended jobs rises.
    pub class: Class,
    /// How it ended.
    pub outcome: Outcome,
    /// How long its record is kept from now on, in milliseconds; longer if its `keep_until` says so.
    pub keep_ms: u64,
}

/// What a commit does to the session of its lane. Every such commit counts as a use of it.
#[derive(Clone, Debug)]
pub struct SessionWrite {
    /// Turns to append, in order.
    pub append: Vec<Turn>,
    /// A newer measure of its tokens, if there is one.
    pub measure: Option<TokenMeasure>,
    /// What bounds it.
    pub bounds: SessionBounds,
}

/// What became of a commit.
#[derive(Clone, Debug)]
pub enum Committed {
    /// It is on disk.
    Done,
    /// The lane has changed, or a record existed; nothing was written. If the token in here is the
    /// commit's own, an earlier try of it had succeeded.
    Conflict(Box<Loaded>),
}

/// A timer to move without a change of its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerMove {
    /// The job.
    pub job: JobId,
    /// What the timer was when it was read; otherwise it stays.
    pub from: TimeMs,
    /// What it becomes.
    pub to: TimeMs,
}
