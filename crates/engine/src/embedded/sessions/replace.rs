//! Removes the last turns of a session, which a job replaces.

use forebay_shared::time::TimeMs;
use rusqlite::Connection;

use super::StoredSession;
use crate::embedded::columns::int;

/// Whether a session that has not expired has a turn of this number.
pub(in crate::embedded) fn has_turn(
    db: &Connection,
    session: Option<StoredSession>,
    number: u64,
    at: TimeMs,
) -> rusqlite::Result<bool> {
    let Some(session) = session.filter(|session| !session.has_expired(at)) else {
        return Ok(false);
    };
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM turns WHERE session = ?1 AND seq = ?2)")?
        .query_row((session.row_number, int(number)), |row| row.get(0))
}

/// Deletes the turn of this number and all later ones. Their numbers are not used again.
pub(super) fn remove_from(
    db: &Connection,
    session: &mut StoredSession,
    number: u64,
) -> rusqlite::Result<()> {
    let key = (session.row_number, int(number));
    let (turns, bytes): (i64, i64) = db
        .prepare_cached(
            "SELECT count(*), coalesce(sum(bytes), 0) FROM turns WHERE session = ?1 AND seq >= ?2",
        )?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))?;
    db.prepare_cached("DELETE FROM turns WHERE session = ?1 AND seq >= ?2")?
        .execute(key)?;
    session.turns -= turns;
    session.bytes -= bytes;
    Ok(())
}
