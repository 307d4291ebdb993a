//! The tables of jobs and outcomes: a row in `jobs` from admission on, and one in `outcomes` once the job ends. Both
//! rows have the same row number, `n`. The rows of a removed job stay for a while, without its tenant and its documents.

use forebay_shared::{
    document,
    ids::JobId,
    job::Status,
    store::{FoundJob, JobRemoval, ListPosition, ListQuery, REMOVED_JOB_MS, StoreError},
    time::TimeMs,
};
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    columns::{EndedStatusColumn, JobIdColumn, TimeColumn, int, size, u64_or_zero},
    deletion_budget::DeletionBudget,
};
use crate::{
    record,
    rows::{JobRow, OutcomeRow, RepairedRow},
};

/// Whether the job has a record that has not expired.
pub(super) fn exists(db: &Connection, id: JobId, now: TimeMs) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT 1 FROM jobs LEFT JOIN outcomes USING (n)
         WHERE id = ?1 AND (forget_at IS NULL OR forget_at > ?2)",
    )?
    .exists((JobIdColumn(id), TimeColumn(now)))
}

/// Writes a new record. If the table still has an expired record of the same job, the new record replaces it.
pub(super) fn insert(db: &Connection, tenant: &str, job: &JobRow) -> rusqlite::Result<()> {
    let written = db
        .prepare_cached(
            "INSERT INTO jobs (id, tenant, keep_until, meta, request)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO NOTHING",
        )?
        .execute((
            JobIdColumn(job.job),
            tenant,
            TimeColumn(job.keep_until),
            &job.meta,
            &job.request,
        ))?;
    if written > 0 {
        return Ok(());
    }
    delete_outcome(db, job.job)?;
    db.prepare_cached("DELETE FROM jobs WHERE id = ?1")?
        .execute([JobIdColumn(job.job)])?;
    insert(db, tenant, job)
}

/// Writes the outcome of a job. The column `forget_at` holds the time from which on the record may be deleted.
pub(super) fn write_outcome(db: &Connection, outcome: &OutcomeRow) -> rusqlite::Result<()> {
    let found = db
        .prepare_cached("SELECT n, keep_until FROM jobs WHERE id = ?1")?
        .query_row([JobIdColumn(outcome.job)], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?))
        })
        .optional()?;
    // Every live job has a record. Without one, no read could find the outcome, so no outcome is written.
    let Some((row_number, TimeColumn(keep_until))) = found else {
        return Ok(());
    };
    // A single `INSERT ... SELECT` would do the same. But SQLite can undo a statement that may change several rows, so it
    // first copies each page that the statement changes (the statement journal). An `INSERT` of one row needs no copies.
    db.prepare_cached(
        "INSERT INTO outcomes (n, forget_at, status, fence, settled, doc)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (n) DO UPDATE SET forget_at = excluded.forget_at, status = excluded.status,
             fence = excluded.fence, settled = excluded.settled, doc = excluded.doc",
    )?
    .execute((
        row_number,
        TimeColumn(outcome.deletable_at.max(keep_until)),
        outcome.status.as_str(),
        int(outcome.fence),
        int(outcome.settled_fence),
        &outcome.json,
    ))
    .map(drop)
}

/// Whether the job has ended with this fence, and its record has neither expired nor been removed.
pub(super) fn has_outcome(
    db: &Connection,
    id: JobId,
    fence: u64,
    now: TimeMs,
) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT 1 FROM jobs JOIN outcomes USING (n)
         WHERE id = ?1 AND tenant <> '' AND fence = ?2 AND forget_at > ?3",
    )?
    .exists((JobIdColumn(id), int(fence), TimeColumn(now)))
}

/// Deletes the outcome of a job, and replaces its metadata.
pub(super) fn repair(db: &Connection, job: &RepairedRow) -> rusqlite::Result<()> {
    delete_outcome(db, job.job)?;
    db.prepare_cached("UPDATE jobs SET meta = ?1 WHERE id = ?2")?
        .execute((&job.meta, JobIdColumn(job.job)))
        .map(drop)
}

/// Deletes the outcome of a job.
fn delete_outcome(db: &Connection, id: JobId) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM outcomes WHERE n = (SELECT n FROM jobs WHERE id = ?1)")?
        .execute([JobIdColumn(id)])
        .map(drop)
}

/// Removes a job of the tenant that has ended. Its rows keep the id and the summary of the outcome.
pub(super) fn remove(
    db: &Connection,
    tenant: &str,
    id: JobId,
    now: TimeMs,
) -> rusqlite::Result<JobRemoval> {
    let found = db
        .prepare_cached(
            "SELECT n, keep_until, outcomes.n IS NULL FROM jobs LEFT JOIN outcomes USING (n)
             WHERE id = ?1 AND tenant = ?2 AND (forget_at IS NULL OR forget_at > ?3)",
        )?
        .query_row((JobIdColumn(id), tenant, TimeColumn(now)), |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, bool>(2)?))
        })
        .optional()?;
    let (row_number, keep_until) = match found {
        None => return Ok(JobRemoval::NotFound),
        Some((_, _, true)) => return Ok(JobRemoval::IsLive),
        Some((row_number, TimeColumn(keep_until), false)) => (row_number, keep_until),
    };
    // No tenant has an empty name, so no read finds the row.
    db.prepare_cached("UPDATE jobs SET tenant = '', meta = '', request = '' WHERE n = ?1")?
        .execute([row_number])?;
    db.prepare_cached(
        "UPDATE outcomes SET forget_at = ?1, fence = fence + 1, doc = '' WHERE n = ?2",
    )?
    .execute((
        TimeColumn(now.plus_ms(REMOVED_JOB_MS).max(keep_until)),
        row_number,
    ))?;
    Ok(JobRemoval::Removed)
}

/// Whether the job was removed and its rows are still kept.
pub(super) fn is_removed(db: &Connection, id: JobId, now: TimeMs) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT 1 FROM jobs JOIN outcomes USING (n)
         WHERE id = ?1 AND tenant = '' AND forget_at > ?2",
    )?
    .exists((JobIdColumn(id), TimeColumn(now)))
}

/// The documents of a job, not parsed yet.
#[derive(Debug)]
pub(super) struct RawJob {
    meta: String,
    outcome: Option<String>,
    /// The document of the job's lane, which contains the job's entry; `None` if the job has ended.
    lane: Option<String>,
    /// The size and the status of an outcome that is too large to be read.
    large_outcome: Option<(u64, Status)>,
}

/// Reads the job if it belongs to the tenant. An outcome of more than `outcome_bytes_max` bytes is not read.
pub(super) fn read(
    db: &Connection,
    tenant: &str,
    id: JobId,
    outcome_bytes_max: u64,
    now: TimeMs,
) -> rusqlite::Result<Option<RawJob>> {
    db.prepare_cached(
        "SELECT jobs.meta, octet_length(outcomes.doc), outcomes.status,
             CASE WHEN octet_length(outcomes.doc) <= ?4 THEN outcomes.doc END,
             (SELECT lanes.doc FROM timers CROSS JOIN lanes
              ON lanes.n = timers.lane AND lanes.key = timers.lane_key
              WHERE timers.job = jobs.id)
         FROM jobs LEFT JOIN outcomes USING (n)
         WHERE id = ?1 AND tenant = ?2 AND (forget_at IS NULL OR forget_at > ?3)",
    )?
    .query_row(
        (
            JobIdColumn(id),
            tenant,
            TimeColumn(now),
            int(outcome_bytes_max),
        ),
        |row| {
            let outcome: Option<String> = row.get(3)?;
            let large_outcome = match row.get::<_, Option<i64>>(1)? {
                Some(bytes) if outcome.is_none() => {
                    let EndedStatusColumn(status) = row.get(2)?;
                    Some((u64_or_zero(bytes), status))
                }
                _ => None,
            };
            Ok(RawJob {
                meta: row.get(0)?,
                large_outcome,
                outcome,
                lane: row.get(4)?,
            })
        },
    )
    .optional()
}

impl RawJob {
    /// Parses the documents.
    pub(super) fn parse(self) -> Result<FoundJob, StoreError> {
        if let Some((bytes, status)) = self.large_outcome {
            return Ok(FoundJob::LargeOutcome {
                meta: Box::new(document::read(self.meta.as_bytes())?),
                bytes,
                status,
            });
        }
        let lane = self.lane.map(|doc| document::read(doc.as_bytes()));
        let lane = lane.transpose()?;
        let outcome = self.outcome.as_deref().map(str::as_bytes);
        let record = record::read(self.meta.as_bytes(), outcome, lane)?;
        Ok(FoundJob::Record(Box::new(record)))
    }
}

/// Returns positions of the list of a tenant's jobs. Reads only the index `jobs_listed`.
pub(super) fn list(db: &Connection, query: &ListQuery) -> rusqlite::Result<Vec<ListPosition>> {
    let Some(bounds) = query.bounds() else {
        return Ok(Vec::new());
    };
    let order = if query.is_oldest_first { "ASC" } else { "DESC" };
    let mut select = db.prepare_cached(&select_listed(order))?;
    let (first, last) = bounds.into_inner();
    let partition = query.partition();
    let mut rows = select.query((query.tenant.as_str(), TimeColumn(first), TimeColumn(last)))?;
    let mut positions = Vec::new();
    while let Some(row) = rows.next()? {
        let (TimeColumn(created_at), JobIdColumn(job)) = (row.get(0)?, row.get(1)?);
        let position = ListPosition { created_at, job };
        let may_belong = partition.is_none_or(|partition| job.partition() == partition);
        if may_belong && query.is_behind(position) {
            positions.push(position);
            if positions.len() >= query.limit {
                break;
            }
        }
    }
    Ok(positions)
}

/// The statement of [`list`].
fn select_listed(order: &str) -> String {
    format!(
        "SELECT json_extract(meta, '$.created_at'), id FROM jobs INDEXED BY jobs_listed
         WHERE tenant = ?1 AND tenant <> '' AND json_extract(meta, '$.created_at') BETWEEN ?2 AND ?3
         ORDER BY json_extract(meta, '$.created_at') {order}, substr(id, 17) {order}, id {order}"
    )
}

/// Reads the request of a job, as JSON.
pub(super) fn request(db: &Connection, id: JobId, now: TimeMs) -> rusqlite::Result<Option<String>> {
    db.prepare_cached(
        "SELECT request FROM jobs LEFT JOIN outcomes USING (n)
         WHERE id = ?1 AND tenant <> '' AND (forget_at IS NULL OR forget_at > ?2)",
    )?
    .query_row((JobIdColumn(id), TimeColumn(now)), |row| row.get(0))
    .optional()
}

/// The size of each job's request, in bytes; 0 without a record.
pub(super) fn request_bytes(db: &Connection, jobs: &[JobId]) -> rusqlite::Result<Vec<u64>> {
    let mut select = db.prepare_cached("SELECT octet_length(request) FROM jobs WHERE id = ?1")?;
    let sizes = jobs.iter().map(|job| {
        let bytes = select.query_row([JobIdColumn(*job)], |row| row.get(0));
        Ok(u64_or_zero(bytes.optional()?.unwrap_or(0)))
    });
    sizes.collect()
}

/// Deletes at most `limit` expired records. Stops when the time budget of the write is spent, but deletes at least one
/// record.
pub(super) fn delete_expired(db: &Connection, limit: usize, now: TimeMs) -> rusqlite::Result<u64> {
    let expired = db
        .prepare_cached("SELECT n FROM outcomes WHERE forget_at <= ?1 LIMIT ?2")?
        .query_map((TimeColumn(now), size(limit)), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let (mut deleted, budget) = (0, DeletionBudget::start());
    for row_number in expired {
        db.prepare_cached("DELETE FROM jobs WHERE n = ?1")?
            .execute([row_number])?;
        db.prepare_cached("DELETE FROM outcomes WHERE n = ?1")?
            .execute([row_number])?;
        deleted += 1;
        if budget.is_spent() {
            break;
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use crate::embedded::schema;

    /// A query that had to sort, or to read the table, would read all jobs of the tenant.
    #[test]
    fn a_list_reads_only_its_index() {
        let folder = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&folder.path().join("forebay.db")).unwrap();
        for order in ["ASC", "DESC"] {
            let plan: Vec<String> = db
                .prepare(&format!(
                    "EXPLAIN QUERY PLAN {}",
                    super::select_listed(order)
                ))
                .unwrap()
                .query_map(("default", 0, 1), |row| row.get("detail"))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            let [step] = &plan[..] else {
                panic!("the list has several steps: {plan:?}");
            };
            assert!(step.contains("COVERING INDEX jobs_listed"), "{step}");
        }
    }
}
