//! Deletes sessions: on request, when there are too many, and when they have expired.

use forebay_shared::{
    ids::{SessionId, TenantId},
    store::SessionRemoval,
    time::TimeMs,
};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::embedded::{
    columns::{TimeColumn, int, size, u64_or_zero},
    deletion_budget::DeletionBudget,
};

/// Deletes a session, unless it has live jobs. An expired session is deleted too, but counts as not found.
pub(in crate::embedded) fn remove(
    db: &Connection,
    tenant: &TenantId,
    session: &SessionId,
    now: TimeMs,
) -> rusqlite::Result<SessionRemoval> {
    let found = db
        .prepare_cached(
            "SELECT n, expires_at, lane FROM sessions WHERE tenant = ?1 AND session = ?2",
        )?
        .query_row((tenant.as_str(), session.as_str()), |row| {
            let expires_at: Option<TimeColumn> = row.get(1)?;
            let found = FoundSession {
                row_number: row.get(0)?,
                lane: row.get(2)?,
            };
            Ok((found, expires_at))
        })
        .optional()?;
    let Some((found, expires_at)) = found else {
        return Ok(SessionRemoval::NotFound);
    };
    let Some(TimeColumn(expires_at)) = expires_at else {
        return Ok(SessionRemoval::HasLiveJobs);
    };
    delete_with_hold(db, &found)?;
    Ok(if expires_at > now {
        SessionRemoval::Removed
    } else {
        SessionRemoval::NotFound
    })
}

/// Counts the sessions that have not expired.
pub(in crate::embedded) fn count(db: &Connection, now: TimeMs) -> rusqlite::Result<u64> {
    // The second SELECT is cheap: there are few expired sessions, because the sweeper deletes them.
    db.prepare_cached(
        "SELECT (SELECT sessions FROM totals)
              - (SELECT count(*) FROM sessions WHERE expires_at <= ?1)",
    )?
    .query_row([TimeColumn(now)], |row| row.get(0).map(u64_or_zero))
}

/// Deletes the least recently used sessions without live jobs, until at most `sessions_max` are left,
/// `limit` are deleted, or the time budget of the write is spent.
pub(in crate::embedded) fn evict(
    db: &Connection,
    sessions_max: u64,
    limit: usize,
    now: TimeMs,
) -> rusqlite::Result<u64> {
    let excess = count(db, now)?.saturating_sub(sessions_max);
    let least_recently_used = db
        .prepare_cached(
            "SELECT n, lane FROM sessions
             WHERE expires_at IS NOT NULL AND expires_at > ?1 ORDER BY used_at, n LIMIT ?2",
        )?
        .query_map(
            (TimeColumn(now), int(excess).min(size(limit))),
            found_session,
        )?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    delete_all(db, least_recently_used)
}

/// Deletes at most `limit` expired sessions.
pub(in crate::embedded) fn delete_expired(
    db: &Connection,
    limit: usize,
    now: TimeMs,
) -> rusqlite::Result<u64> {
    let expired = db
        .prepare_cached("SELECT n, lane FROM sessions WHERE expires_at <= ?1 LIMIT ?2")?
        .query_map((TimeColumn(now), size(limit)), found_session)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    delete_all(db, expired)
}

/// A session to delete.
struct FoundSession {
    /// The column `n`.
    row_number: i64,
    /// The number of the lane's row.
    lane: Option<i64>,
}

/// Reads the columns `n` and `lane`.
fn found_session(row: &Row<'_>) -> rusqlite::Result<FoundSession> {
    Ok(FoundSession {
        row_number: row.get(0)?,
        lane: row.get(1)?,
    })
}

/// Deletes sessions. Stops when the time budget of the write is spent, but deletes at least one session.
fn delete_all(db: &Connection, sessions: Vec<FoundSession>) -> rusqlite::Result<u64> {
    let (mut deleted, budget) = (0, DeletionBudget::start());
    for session in sessions {
        delete_with_hold(db, &session)?;
        deleted += 1;
        if budget.is_spent() {
            break;
        }
    }
    Ok(deleted)
}

/// Deletes a session without live jobs. If its lane still has a hold, this deletes the lane too.
fn delete_with_hold(db: &Connection, session: &FoundSession) -> rusqlite::Result<()> {
    if let Some(lane) = session.lane {
        db.prepare_cached("DELETE FROM lanes WHERE n = ?1 AND entries = 0")?
            .execute([lane])?;
    }
    delete_rows(db, session.row_number)
}

/// Deletes a session, its turns and its settings, but not its lane.
pub(super) fn delete_rows(db: &Connection, row_number: i64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM turns WHERE session = ?1")?
        .execute([row_number])?;
    db.prepare_cached("DELETE FROM session_settings WHERE session = ?1")?
        .execute([row_number])?;
    db.prepare_cached("DELETE FROM sessions WHERE n = ?1")?
        .execute([row_number])
        .map(drop)
}
