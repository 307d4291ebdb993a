//! The table of timers: one row for each live job.

use forebay_shared::{
    ids::JobId,
    store::{Timer, TimerMove},
    time::TimeMs,
};
use rusqlite::Connection;

use super::columns::{JobIdColumn, LaneKeyColumn, TimeColumn, size};
use crate::rows::TimerRow;

/// Sets a job's timer. Creates it if there is none.
pub(super) fn set(
    db: &Connection,
    lane: &str,
    tenant: &str,
    timer: &TimerRow,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO timers (job, at, lane, tenant, class, waiting, admitted_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (job) DO UPDATE SET at = excluded.at, waiting = excluded.waiting,
             admitted_at = excluded.admitted_at",
    )?
    .execute((
        JobIdColumn(timer.job),
        TimeColumn(timer.at),
        lane,
        tenant,
        timer.class.as_str(),
        timer.is_queued,
        TimeColumn(timer.admitted_at),
    ))
    .map(drop)
}

/// Deletes a job's timer.
pub(super) fn delete(db: &Connection, job: JobId) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM timers WHERE job = ?1")?
        .execute([JobIdColumn(job)])
        .map(drop)
}

/// Returns the timers that are due, earliest first.
pub(super) fn due(db: &Connection, now: TimeMs, limit: usize) -> rusqlite::Result<Vec<Timer>> {
    db.prepare_cached("SELECT job, lane, at FROM timers WHERE at <= ?1 ORDER BY at LIMIT ?2")?
        .query_map((TimeColumn(now), size(limit)), |row| {
            let (JobIdColumn(job), LaneKeyColumn(lane), TimeColumn(at)) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Timer { job, lane, at })
        })?
        .collect()
}

/// Moves each timer whose time still is `from`. Returns for each timer whether it was moved.
pub(super) fn move_each(db: &Connection, moves: &[TimerMove]) -> rusqlite::Result<Vec<bool>> {
    let mut update = db.prepare_cached("UPDATE timers SET at = ?1 WHERE job = ?2 AND at = ?3")?;
    moves
        .iter()
        .map(|timer_move| {
            let params = (
                TimeColumn(timer_move.to),
                JobIdColumn(timer_move.job),
                TimeColumn(timer_move.from),
            );
            Ok(update.execute(params)? > 0)
        })
        .collect()
}
