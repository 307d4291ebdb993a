//! The records of jobs.

use forebay_shared::{
    ids::JobId,
    job::{JobMeta, Outcome},
    lane::Lane,
    store::{JobRecord, JobState, StoreError},
    time::TimeMs,
};
use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::{
    columns::{At, Id, int, size},
    failure::unreadable,
    moment::Moment,
};

/// A record to write, ready for its columns.
#[derive(Debug)]
pub(super) struct JobRow {
    pub(super) id: JobId,
    pub(super) keep_until: TimeMs,
    pub(super) meta: String,
    pub(super) request: String,
}

/// An outcome to write, ready for its columns.
#[derive(Debug)]
pub(super) struct OutcomeRow {
    pub(super) job: JobId,
    pub(super) forget_at: TimeMs,
    pub(super) status: &'static str,
    pub(super) fence: u64,
    pub(super) settled: u64,
    pub(super) doc: String,
}

/// Whether there is a record of the job whose time is not over.
pub(super) fn exists(db: &Connection, id: JobId, now: TimeMs) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT 1 FROM jobs LEFT JOIN outcomes USING (n)
         WHERE id = ?1 AND (forget_at IS NULL OR forget_at > ?2)",
    )?
    .exists((Id(id), At(now)))
}

/// Writes a new record, over one whose time is over if need be.
pub(super) fn insert(db: &Connection, tenant: &str, job: &JobRow) -> rusqlite::Result<()> {
    let written = db
        .prepare_cached(
            "INSERT INTO jobs (id, tenant, keep_until, meta, request)
             VALUES (:id, :tenant, :keep_until, :meta, :request) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(named_params! {
            ":id": Id(job.id), ":tenant": tenant, ":keep_until": At(job.keep_until),
            ":meta": job.meta, ":request": job.request,
        })?;
    if written > 0 {
        return Ok(());
    }
    reopen(db, job.id)?;
    db.prepare_cached("DELETE FROM jobs WHERE id = ?1")?
        .execute([Id(job.id)])?;
    insert(db, tenant, job)
}

/// Writes how a job ended.
pub(super) fn end(db: &Connection, outcome: &OutcomeRow) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO outcomes (n, forget_at, status, fence, settled, doc)
         SELECT n, max(:forget_at, keep_until), :status, :fence, :settled, :doc
         FROM jobs WHERE id = :id
         ON CONFLICT (n) DO UPDATE SET forget_at = excluded.forget_at, status = excluded.status,
             fence = excluded.fence, settled = excluded.settled, doc = excluded.doc",
    )?
    .execute(named_params! {
        ":id": Id(outcome.job), ":forget_at": At(outcome.forget_at), ":status": outcome.status,
        ":fence": int(outcome.fence), ":settled": int(outcome.settled), ":doc": outcome.doc,
    })
    .map(drop)
}

/// Takes the outcome of a job away.
pub(super) fn reopen(db: &Connection, id: JobId) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM outcomes WHERE n = (SELECT n FROM jobs WHERE id = ?1)")?
        .execute([Id(id)])
        .map(drop)
}

/// A job as it was read, its documents not yet parsed.
#[derive(Debug)]
pub(super) struct RawJob {
    meta: String,
    outcome: Option<String>,
    lane: Option<String>,
}

/// Reads a job of a tenant.
pub(super) fn read(
    db: &Connection,
    tenant: &str,
    id: JobId,
    now: TimeMs,
) -> rusqlite::Result<Option<RawJob>> {
    db.prepare_cached(
        "SELECT jobs.meta, outcomes.doc,
             (SELECT lanes.doc FROM timers JOIN lanes ON lanes.key = timers.lane
              WHERE timers.job = jobs.id)
         FROM jobs LEFT JOIN outcomes USING (n)
         WHERE id = ?1 AND tenant = ?2 AND (forget_at IS NULL OR forget_at > ?3)",
    )?
    .query_row((Id(id), tenant, At(now)), |row| {
        Ok(RawJob {
            meta: row.get(0)?,
            outcome: row.get(1)?,
            lane: row.get(2)?,
        })
    })
    .optional()
}

/// A record that is neither in a lane nor has an outcome: the file was changed by somebody else.
#[derive(Debug, thiserror::Error)]
#[error("the record of {0} has neither a place in a lane nor an outcome")]
struct Stray(JobId);

impl RawJob {
    /// The answer of the port.
    pub(super) fn parse(self) -> Result<JobRecord, StoreError> {
        let meta: JobMeta = serde_json::from_str(&self.meta).map_err(unreadable)?;
        if let Some(doc) = &self.outcome {
            let outcome: Outcome = serde_json::from_str(doc).map_err(unreadable)?;
            let state = JobState::Ended(outcome);
            return Ok(JobRecord { meta, state });
        }
        let lane: Lane = match &self.lane {
            Some(doc) => serde_json::from_str(doc).map_err(unreadable)?,
            None => Lane::default(),
        };
        let entry = lane.entries.into_iter().find(|entry| entry.job == meta.id);
        let entry = entry.ok_or_else(|| unreadable(Stray(meta.id)))?;
        let state = JobState::Live(entry);
        Ok(JobRecord { meta, state })
    }
}

/// Reads what a job asked, as JSON.
pub(super) fn request(db: &Connection, id: JobId, now: TimeMs) -> rusqlite::Result<Option<String>> {
    db.prepare_cached(
        "SELECT request FROM jobs LEFT JOIN outcomes USING (n)
         WHERE id = ?1 AND (forget_at IS NULL OR forget_at > ?2)",
    )?
    .query_row((Id(id), At(now)), |row| row.get(0))
    .optional()
}

/// Forgets records whose time is over; one at least, if there is one, and more while the moment lasts.
pub(super) fn prune(db: &Connection, limit: usize, now: TimeMs) -> rusqlite::Result<u64> {
    let over = db
        .prepare_cached("SELECT n FROM outcomes WHERE forget_at <= ?1 LIMIT ?2")?
        .query_map((At(now), size(limit)), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let (mut gone, moment) = (0, Moment::begin());
    for n in over {
        db.prepare_cached("DELETE FROM jobs WHERE n = ?1")?
            .execute([n])?;
        db.prepare_cached("DELETE FROM outcomes WHERE n = ?1")?
            .execute([n])?;
        gone += 1;
        if moment.is_over() {
            break;
        }
    }
    Ok(gone)
}
