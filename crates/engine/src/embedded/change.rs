//! A commit on its way into the tables: written down in full by whoever asks for it, so that the
//! writing thread only compares tokens and fills columns.

use forebay_shared::{
    class::Class,
    ids::JobId,
    lane::{HeadState, LaneCounts, State},
    store::{Commit, StoreError, Token, Topic},
    time::TimeMs,
};
use rusqlite::{Connection, ToSql, named_params};

use super::{
    columns::{At, Id, Version, size},
    failure::{Accepts, unreadable},
    jobs::{self, JobRow, OutcomeRow},
    lanes::{self, LaneQuery, RawLane},
    sessions::{self, SessionChange},
    timers::{self, TimerRow},
    writer::Transaction,
};

/// A commit, ready for its columns.
#[derive(Debug)]
pub(super) struct Change {
    query: LaneQuery,
    tenant: String,
    expect: Option<Token>,
    token: Token,
    next: Option<LaneRow>,
    set: Vec<TimerRow>,
    clear: Vec<JobId>,
    admitted: Vec<JobRow>,
    reopened: Vec<JobId>,
    ended: Vec<OutcomeRow>,
    session: Option<SessionChange>,
    counts: LaneCounts,
    /// How many jobs of each class end, in the order of [`Class::ALL`].
    ended_by_class: [u64; 2],
}

/// A lane's document, with what is searched for.
#[derive(Debug)]
struct LaneRow {
    entries: usize,
    head: Option<JobId>,
    head_state: Option<&'static str>,
    class: Option<&'static str>,
    worker: Option<String>,
    deadline: Option<TimeMs>,
    doc: String,
}

/// A commit that contradicts itself; whoever made it has a fault.
#[derive(Debug, thiserror::Error)]
#[error("a commit sets a timer for {0}, which is not in the lane")]
struct NotLive(JobId);

impl Change {
    /// Writes a commit down.
    pub(super) fn of(commit: &Commit) -> Result<Self, StoreError> {
        let tenant = commit.lane.tenant().to_string();
        let session_name = commit.lane.session().map(ToString::to_string);
        let session = match (&session_name, &commit.session) {
            (Some(name), Some(write)) => Some(SessionChange {
                tenant: tenant.clone(),
                session: name.clone(),
                append: write.append.iter().map(json).collect::<Result<_, _>>()?,
                measure: write.measure,
                bounds: write.bounds,
                at: commit.at,
                live: !commit.next.entries.is_empty(),
            }),
            _ => None,
        };
        let mut ended_by_class = [0; 2];
        for (count, class) in ended_by_class.iter_mut().zip(Class::ALL) {
            let ended = commit.ended.iter().filter(|ended| ended.class == class);
            *count = u64::try_from(ended.count()).unwrap_or(u64::MAX);
        }
        Ok(Self {
            query: LaneQuery {
                lane: commit.lane.to_string(),
                session: session_name.map(|name| (tenant.clone(), name)),
                about: commit.about.clone(),
                work: commit.work,
            },
            tenant,
            expect: commit.expect,
            token: commit.token,
            next: LaneRow::of(commit)?,
            set: timers_to_set(commit)?,
            clear: timers_to_clear(commit),
            admitted: jobs_to_write(commit)?,
            reopened: commit.reopened.clone(),
            ended: outcomes(commit)?,
            session,
            counts: commit.counts,
            ended_by_class,
        })
    }

    /// Whether it accepts a job.
    pub(super) fn accepts(&self) -> Accepts {
        if self.admitted.is_empty() {
            Accepts::No
        } else {
            Accepts::Yes
        }
    }

    /// Writes all of it; or nothing, and brings the lane as it is now.
    pub(super) fn write(
        &self,
        transaction: &mut Transaction<'_>,
        now: TimeMs,
    ) -> rusqlite::Result<Option<RawLane>> {
        let db = transaction.db;
        // All that can stand against it comes first, the lane's token last of it, so there is nothing to undo.
        let mut conflict = false;
        for job in &self.admitted {
            conflict = conflict || jobs::exists(db, job.id, now)?;
        }
        if conflict || !self.write_lane(db)? {
            return lanes::read(db, &self.query, now).map(Some);
        }
        for job in &self.admitted {
            jobs::insert(db, &self.tenant, job)?;
        }
        for job in &self.reopened {
            jobs::reopen(db, *job)?;
        }
        for timer in &self.set {
            timers::set(db, &self.query.lane, &self.tenant, timer)?;
        }
        for job in &self.clear {
            timers::clear(db, *job)?;
        }
        for outcome in &self.ended {
            jobs::end(db, outcome)?;
        }
        if let Some(session) = &self.session {
            sessions::write(db, session)?;
        }
        for (class, ended) in Class::ALL.into_iter().zip(self.ended_by_class) {
            let tally = &mut transaction.tally;
            tally.add(&self.tenant, class, self.counts[class], ended);
        }
        Ok(None)
    }

    /// Writes the lane's document if its token is the expected one; whether it was.
    fn write_lane(&self, db: &Connection) -> rusqlite::Result<bool> {
        let key = &self.query.lane;
        let rows = match (&self.next, self.expect) {
            (None, None) => return Ok(lanes::token(db, key)?.is_none()),
            (None, Some(expect)) => db
                .prepare_cached("DELETE FROM lanes WHERE key = ?1 AND token = ?2")?
                .execute((key, Version(expect)))?,
            (Some(next), None) => self.write_row(
                db,
                "INSERT INTO lanes
                     (key, token, entries, head, head_state, class, worker, deadline, doc)
                 VALUES
                     (:key, :token, :entries, :head, :head_state, :class, :worker, :deadline, :doc)
                 ON CONFLICT (key) DO NOTHING",
                next,
                named_params! {},
            )?,
            (Some(next), Some(expect)) => self.write_row(
                db,
                "UPDATE lanes SET token = :token, entries = :entries, head = :head,
                     head_state = :head_state, class = :class, worker = :worker,
                     deadline = :deadline, doc = :doc
                 WHERE key = :key AND token = :expect",
                next,
                named_params! {":expect": Version(expect)},
            )?,
        };
        Ok(rows > 0)
    }

    fn write_row(
        &self,
        db: &Connection,
        sql: &str,
        next: &LaneRow,
        more: &[(&str, &dyn ToSql)],
    ) -> rusqlite::Result<usize> {
        let row = named_params! {
            ":key": self.query.lane, ":token": Version(self.token),
            ":entries": size(next.entries), ":head": next.head.map(Id), ":head_state": next.head_state,
            ":class": next.class, ":worker": next.worker, ":deadline": next.deadline.map(At),
            ":doc": next.doc,
        };
        db.prepare_cached(sql)?.execute(&*[row, more].concat())
    }
}

impl LaneRow {
    fn of(commit: &Commit) -> Result<Option<Self>, StoreError> {
        let lane = &commit.next;
        if lane.is_empty() {
            return Ok(None);
        }
        let head_state = lane.head_state();
        Ok(Some(Self {
            entries: lane.entries.len(),
            head: lane.head().map(|head| head.job),
            head_state: head_state.as_ref().map(|state| match state {
                HeadState::Ready(_) => "ready",
                HeadState::Waiting => "waiting",
                HeadState::Running(_) => "running",
            }),
            class: lane.head().map(|head| head.class.as_str()),
            worker: match head_state {
                Some(HeadState::Running(worker)) => Some(worker.into()),
                _ => None,
            },
            deadline: lane.head().map(|head| head.deadline),
            doc: json(lane)?,
        }))
    }
}

/// Whom a commit has news for.
pub(super) fn notices(commit: &Commit) -> Vec<(Topic, JobId)> {
    let ended = commit
        .ended
        .iter()
        .map(|ended| (Topic::Job(ended.job), ended.job));
    let dropped = commit.dropped_calls.iter();
    let dropped = dropped.map(|(worker, job)| (Topic::Calls(worker.clone()), *job));
    ended.chain(dropped).collect()
}

fn timers_to_set(commit: &Commit) -> Result<Vec<TimerRow>, StoreError> {
    let set = commit.timers.iter();
    set.filter_map(|(job, at)| at.map(|at| (*job, at)))
        .map(|(job, at)| {
            let (_, entry) = commit
                .next
                .find(job)
                .ok_or_else(|| unreadable(NotLive(job)))?;
            Ok(TimerRow {
                job,
                at,
                class: entry.class.as_str(),
                waiting: !matches!(entry.state, State::Running { .. }),
                admitted_at: entry.admitted_at,
            })
        })
        .collect()
}

/// Those that the commit takes away, and those of the jobs that end in it.
fn timers_to_clear(commit: &Commit) -> Vec<JobId> {
    let cleared = commit.timers.iter().filter(|(_, at)| at.is_none());
    let mut jobs: Vec<JobId> = cleared.map(|(job, _)| *job).collect();
    let ended = commit.ended.iter().map(|ended| ended.job);
    jobs.extend(ended.filter(|job| commit.next.find(*job).is_none()));
    jobs.sort_unstable();
    jobs.dedup();
    jobs
}

fn jobs_to_write(commit: &Commit) -> Result<Vec<JobRow>, StoreError> {
    let admitted = commit.admitted.iter();
    admitted
        .map(|job| {
            Ok(JobRow {
                id: job.meta.id,
                keep_until: job.meta.keep_until.unwrap_or_default(),
                meta: json(&job.meta)?,
                request: json(job.request.as_ref())?,
            })
        })
        .collect()
}

fn outcomes(commit: &Commit) -> Result<Vec<OutcomeRow>, StoreError> {
    let ended = commit.ended.iter();
    ended
        .map(|ended| {
            Ok(OutcomeRow {
                job: ended.job,
                forget_at: commit.at.plus_ms(ended.keep_ms),
                status: ended.outcome.status.as_str(),
                fence: ended.outcome.fence,
                settled: ended.outcome.settled,
                doc: json(&ended.outcome)?,
            })
        })
        .collect()
}

fn json<T: serde::Serialize>(document: &T) -> Result<String, StoreError> {
    serde_json::to_string(document).map_err(unreadable)
}
