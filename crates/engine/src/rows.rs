//! The rows that a [`Commit`] writes, derived once for all engines.
//!
//! An engine compares the commit with what is stored, and then writes these rows. Each engine has its own
//! layout of keys or columns for them.

use forebay_shared::{
    class::Class,
    ids::JobId,
    job::Status,
    lane::{ClassCounts, HeadState, Lane, State},
    session::{SessionBounds, TokenMeasure},
    store::{
        Commit, DeferredChange, EndedJob, NewJob, RepairedJob, SessionWrite, StoreError, Topic,
    },
    time::TimeMs,
};
use serde::Serialize;

use crate::rejection::broken_data;

/// Everything that a commit writes.
#[derive(Debug)]
pub(crate) struct CommitRows {
    /// The lane after the commit; `None` deletes its document.
    pub(crate) lane: Option<LaneRow>,
    /// Records of new jobs.
    pub(crate) jobs: Vec<JobRow>,
    /// Jobs that had ended and are live again. Their outcomes are deleted.
    pub(crate) repaired: Vec<RepairedRow>,
    /// The timers to set. Each belongs to a live job.
    pub(crate) timers: Vec<TimerRow>,
    /// Outcomes of the jobs that end. Their timers are deleted.
    pub(crate) outcomes: Vec<OutcomeRow>,
    /// The session of the lane, if the commit changes it.
    pub(crate) session: Option<SessionRow>,
    /// What changes in the index of deferred heads.
    pub(crate) deferred: DeferredChange,
    /// Changes of the counts, one row for each class whose counts change.
    pub(crate) counts: Vec<CountRow>,
    /// Notices to send once the commit is durable, each with the job that it names.
    pub(crate) notices: Vec<(Topic, JobId)>,
}

/// A lane that is not empty.
#[derive(Debug)]
pub(crate) struct LaneRow {
    /// How many live jobs the lane has.
    pub(crate) entry_count: usize,
    /// The head; `None` for a lane that only has a hold.
    pub(crate) head: Option<HeadRow>,
    /// The lane as JSON.
    pub(crate) json: String,
}

/// The head of a lane, for the index of heads.
#[derive(Debug)]
pub(crate) struct HeadRow {
    /// The job.
    pub(crate) job: JobId,
    /// The class of the job.
    pub(crate) class: Class,
    /// Whether the head is ready, waits, is deferred or runs.
    pub(crate) state: HeadState,
    /// Whether a worker has claimed the job since its admission.
    pub(crate) claimed: bool,
    /// When the job entered the lane.
    pub(crate) admitted_at: TimeMs,
    /// When the job expires.
    pub(crate) deadline: TimeMs,
}

/// The record of a new job.
#[derive(Debug)]
pub(crate) struct JobRow {
    /// The job.
    pub(crate) job: JobId,
    /// When the job was created.
    pub(crate) created_at: TimeMs,
    /// The record must not be deleted before this time. 0 sets no such limit.
    pub(crate) keep_until: TimeMs,
    /// The job's [`JobMeta`](forebay_shared::job::JobMeta) as JSON.
    pub(crate) meta: String,
    /// The job's request as JSON.
    pub(crate) request: String,
}

/// The record of a job that is live again.
#[derive(Debug)]
pub(crate) struct RepairedRow {
    /// The job.
    pub(crate) job: JobId,
    /// When the job was created.
    pub(crate) created_at: TimeMs,
    /// The fence of the outcome to delete.
    pub(crate) fence: u64,
    /// The job's new [`JobMeta`](forebay_shared::job::JobMeta) as JSON.
    pub(crate) meta: String,
}

/// The timer of a live job.
#[derive(Debug)]
pub(crate) struct TimerRow {
    /// The job.
    pub(crate) job: JobId,
    /// When the timer is due.
    pub(crate) at: TimeMs,
    /// The class of the job.
    pub(crate) class: Class,
    /// Whether the job is queued: no worker runs it.
    pub(crate) is_queued: bool,
    /// When the job entered the lane.
    pub(crate) admitted_at: TimeMs,
}

/// How a job ended.
#[derive(Debug)]
pub(crate) struct OutcomeRow {
    /// The job.
    pub(crate) job: JobId,
    /// The class of the job.
    pub(crate) class: Class,
    /// From this time on, the record may be deleted, unless its `keep_until` is later.
    pub(crate) deletable_at: TimeMs,
    /// The final status.
    pub(crate) status: Status,
    /// The newest fence that the job had.
    pub(crate) fence: u64,
    /// The fence that settled the job; 0 for none.
    pub(crate) settled_fence: u64,
    /// The outcome as JSON.
    pub(crate) json: String,
}

/// The change of a session.
#[derive(Debug)]
pub(crate) struct SessionRow {
    /// The number of the first turn to remove, with all later ones.
    pub(crate) replace_from_turn: Option<u64>,
    /// Turns to append, each as JSON.
    pub(crate) append: Vec<String>,
    /// The newest token measure of the session; `None` keeps the stored one.
    pub(crate) token_measure: Option<TokenMeasure>,
    /// The bounds to trim the turns to.
    pub(crate) bounds: SessionBounds,
    /// When the session expires if nobody uses it before; `None` while it has live jobs.
    pub(crate) expires_at: Option<TimeMs>,
}

/// What a commit adds to the counts of its tenant in one class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountRow {
    /// The class.
    pub(crate) class: Class,
    /// The change of each count of live jobs.
    pub(crate) live: ClassCounts,
    /// How many jobs end.
    pub(crate) ended: u64,
}

/// The commit sets a timer for a job without an entry. The code that built the commit has a bug.
#[derive(Debug, thiserror::Error)]
#[error("a commit sets a timer for {0}, which is not in the lane")]
struct TimerWithoutEntry(JobId);

/// The commit would store a job both as live and as ended. No worker could then run or end the job.
#[derive(Debug, thiserror::Error)]
#[error("the commit stores {0} both as live and as ended")]
struct LiveAndEnded(JobId);

impl CommitRows {
    /// Derives the rows of a commit.
    ///
    /// # Errors
    /// [`StoreError::Broken`] if a document cannot be written as JSON, if a timer belongs to no live job, or if a job is both live
    /// and ended.
    pub(crate) fn of(commit: &Commit) -> Result<Self, StoreError> {
        let is_also_live = |ended: &&EndedJob| commit.next.find(ended.job).is_some();
        if let Some(ended) = commit.ended.iter().find(is_also_live) {
            return Err(broken_data(LiveAndEnded(ended.job)));
        }
        // The lane of a job without a session has no session row.
        let session = commit.session.as_ref();
        let session = session.filter(|_| commit.lane.session().is_some());
        Ok(Self {
            lane: LaneRow::of(&commit.next)?,
            jobs: collect(&commit.admitted, |new| JobRow::of(new))?,
            repaired: collect(&commit.repaired, RepairedRow::of)?,
            timers: timers(commit)?,
            outcomes: collect(&commit.ended, |ended| OutcomeRow::of(ended, commit.at))?,
            session: session
                .map(|write| SessionRow::of(write, commit))
                .transpose()?,
            deferred: commit.deferred.clone(),
            counts: counts(commit),
            notices: notices(commit),
        })
    }
}

impl LaneRow {
    pub(crate) fn of(lane: &Lane) -> Result<Option<Self>, StoreError> {
        if lane.is_empty() {
            return Ok(None);
        }
        let head = lane.head().zip(lane.head_state());
        Ok(Some(Self {
            entry_count: lane.entries.len(),
            head: head.map(|(head, state)| HeadRow {
                job: head.job,
                class: head.class,
                state,
                claimed: head.claimed,
                admitted_at: head.admitted_at,
                deadline: head.deadline,
            }),
            json: json(lane)?,
        }))
    }
}

impl JobRow {
    fn of(new: &NewJob) -> Result<Self, StoreError> {
        Ok(Self {
            job: new.meta.id,
            created_at: new.meta.created_at,
            keep_until: new.meta.keep_until.unwrap_or_default(),
            meta: json(&new.meta)?,
            request: json(&new.request)?,
        })
    }
}

impl RepairedRow {
    fn of(repaired: &RepairedJob) -> Result<Self, StoreError> {
        Ok(Self {
            job: repaired.meta.id,
            created_at: repaired.meta.created_at,
            fence: repaired.fence,
            meta: json(&*repaired.meta)?,
        })
    }
}

impl OutcomeRow {
    fn of(ended: &EndedJob, at: TimeMs) -> Result<Self, StoreError> {
        Ok(Self {
            job: ended.job,
            class: ended.class,
            deletable_at: at.plus_ms(ended.keep_ms),
            status: ended.outcome.status,
            fence: ended.outcome.fence,
            settled_fence: ended.outcome.settled_fence,
            json: json(&ended.outcome)?,
        })
    }
}

impl SessionRow {
    fn of(write: &SessionWrite, commit: &Commit) -> Result<Self, StoreError> {
        let is_idle = commit.next.entries.is_empty();
        Ok(Self {
            replace_from_turn: write.replace_from_turn,
            append: collect(&write.append, json)?,
            token_measure: write.token_measure,
            bounds: write.bounds,
            expires_at: is_idle.then(|| commit.at.plus_ms(write.bounds.ttl_ms)),
        })
    }
}

/// Returns the timers to set. A job loses its timer only when it ends, so the timers to delete belong to the jobs in
/// `outcomes`.
fn timers(commit: &Commit) -> Result<Vec<TimerRow>, StoreError> {
    let timers = commit.timers.iter();
    timers
        .filter_map(|(job, at)| at.map(|at| (*job, at)))
        .map(|(job, at)| {
            let entry = commit.next.find(job);
            let (_, entry) = entry.ok_or_else(|| broken_data(TimerWithoutEntry(job)))?;
            Ok(TimerRow {
                job,
                at,
                class: entry.class,
                is_queued: !matches!(entry.state, State::Running { .. }),
                admitted_at: entry.admitted_at,
            })
        })
        .collect()
}

fn counts(commit: &Commit) -> Vec<CountRow> {
    let rows = Class::ALL.map(|class| {
        let ended = commit.ended.iter().filter(|ended| ended.class == class);
        CountRow {
            class,
            live: commit.counts[class],
            ended: u64::try_from(ended.count()).unwrap_or(u64::MAX),
        }
    });
    let is_change = |row: &CountRow| row.ended > 0 || row.live != ClassCounts::default();
    rows.into_iter().filter(is_change).collect()
}

fn notices(commit: &Commit) -> Vec<(Topic, JobId)> {
    let ended = commit.ended.iter();
    let ended = ended.map(|ended| (Topic::Job(ended.job), ended.job));
    let dropped = commit.dropped_calls.iter();
    let dropped = dropped.map(|(process, job)| (Topic::Calls(process.clone()), *job));
    ended.chain(dropped).collect()
}

fn collect<T, R>(
    items: &[T],
    row: impl Fn(&T) -> Result<R, StoreError>,
) -> Result<Vec<R>, StoreError> {
    items.iter().map(row).collect()
}

/// Most documents have at most this many bytes. A buffer that begins smaller would grow several times.
const DOCUMENT_BYTES: usize = 512;

fn json<T: Serialize>(document: &T) -> Result<String, StoreError> {
    let mut bytes = Vec::with_capacity(DOCUMENT_BYTES);
    serde_json::to_writer(&mut bytes, document).map_err(broken_data)?;
    String::from_utf8(bytes).map_err(broken_data)
}

#[cfg(test)]
pub(crate) mod tests;
