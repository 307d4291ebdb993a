//! The table of timers: one row for each live job.

use forebay_shared::{
    ids::JobId,
    store::{Timer, TimerMove},
    time::TimeMs,
};
use rusqlite::Connection;

use super::columns::{JobIdColumn, LaneKeyColumn, TimeColumn, first_readable};
use crate::rows::TimerRow;

/// Sets a job's timer. Creates it if there is none. `lane` is the number of the lane's row.
pub(super) fn set(
    db: &Connection,
    lane: i64,
    lane_key: &str,
    tenant: &str,
    timer: &TimerRow,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO timers (job, at, lane, lane_key, tenant, class, waiting, admitted_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (job) DO UPDATE SET at = excluded.at, lane = excluded.lane,
             waiting = excluded.waiting, admitted_at = excluded.admitted_at",
    )?
    .execute((
        JobIdColumn(timer.job),
        TimeColumn(timer.at),
        lane,
        lane_key,
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
    let mut select =
        db.prepare_cached("SELECT job, lane_key, at FROM timers WHERE at <= ?1 ORDER BY at")?;
    let timers = select.query_map([TimeColumn(now)], |row| {
        let (JobIdColumn(job), LaneKeyColumn(lane), TimeColumn(at)) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(lane.map(|lane| Timer { job, lane, at }))
    })?;
    first_readable(timers, limit)
}

/// Deletes each timer that still has the time that was read, if the document of its lane does not contain the job's id. Returns
/// for each timer whether it was deleted.
pub(super) fn remove_orphans(db: &Connection, timers: &[Timer]) -> rusqlite::Result<Vec<bool>> {
    let mut delete = db.prepare_cached(
        "DELETE FROM timers WHERE job = ?1 AND at = ?2 AND lane_key = ?3
         AND NOT EXISTS (SELECT 1 FROM lanes
             WHERE n = timers.lane AND key = ?3 AND instr(doc, ?4) > 0)",
    )?;
    timers
        .iter()
        .map(|timer| {
            let params = (
                JobIdColumn(timer.job),
                TimeColumn(timer.at),
                timer.lane.to_string(),
                timer.job.to_string(),
            );
            Ok(delete.execute(params)? > 0)
        })
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

#[cfg(test)]
mod tests {
    use forebay_shared::{
        class::Class,
        ids::{LaneKey, TenantId},
    };

    use super::*;
    use crate::embedded::schema;

    #[test]
    fn timers_with_unreadable_lanes_hide_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&folder.path().join("forebay.db")).unwrap();
        let new_job = || JobId::fresh(&TenantId::default(), None);
        let set_timer = |job, lane: &str, at| {
            let timer = TimerRow {
                job,
                at: TimeMs(at),
                class: Class::Batch,
                is_queued: true,
                admitted_at: TimeMs(1),
            };
            set(&db, 1, lane, "default", &timer).unwrap();
        };
        (0..20).for_each(|at| set_timer(new_job(), "newer", at));
        let job = new_job();
        let lane = LaneKey::of(&TenantId::default(), None, job);
        set_timer(job, &lane.to_string(), 30);
        let found = due(&db, TimeMs(30), 2).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].job, job);
    }
}
