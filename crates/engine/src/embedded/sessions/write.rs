//! Writes a commit's change of a session.

use forebay_shared::{session::SessionBounds, time::TimeMs};
use rusqlite::{Connection, OptionalExtension as _};

use super::{SessionKey, delete};
use crate::{
    embedded::columns::{TimeColumn, int, size},
    rows::SessionRow,
};

/// The columns of a session that are needed to change it.
#[derive(Clone, Copy)]
struct StoredSession {
    /// The column `n`.
    row_number: i64,
    turns: i64,
    bytes: i64,
    /// The `seq` of the next turn.
    next_seq: i64,
}

/// Writes the change at the time `at`. Creates the session if there is none. If the session has expired, a new one
/// replaces it.
pub(in crate::embedded) fn write(
    db: &Connection,
    key: &SessionKey,
    change: &SessionRow,
    at: TimeMs,
) -> rusqlite::Result<()> {
    let mut session = match find_unexpired(db, key, at)? {
        Some(session) => session,
        None => insert(db, key, at)?,
    };
    for doc in &change.append {
        db.prepare_cached("INSERT INTO turns (session, seq, bytes, doc) VALUES (?1, ?2, ?3, ?4)")?
            .execute((session.row_number, session.next_seq, size(doc.len()), doc))?;
        session.next_seq += 1;
        session.turns += 1;
        session.bytes += size(doc.len());
    }
    trim(db, &mut session, &change.bounds)?;
    db.prepare_cached(
        "UPDATE sessions SET
             updated_at = max(updated_at, ?2), used_at = max(used_at, ?2), expires_at = ?3,
             turns = ?4, turns_bytes = ?5, next_seq = ?6,
             sent_bytes = coalesce(?7, sent_bytes), input_tokens = coalesce(?8, input_tokens)
         WHERE n = ?1",
    )?
    .execute((
        session.row_number,
        TimeColumn(at),
        change.expires_at.map(TimeColumn),
        session.turns,
        session.bytes,
        session.next_seq,
        change.token_measure.map(|measure| int(measure.sent_bytes)),
        change
            .token_measure
            .map(|measure| int(measure.input_tokens)),
    ))?;
    Ok(())
}

/// Finds the session. Deletes an expired session and returns `None`.
fn find_unexpired(
    db: &Connection,
    key: &SessionKey,
    at: TimeMs,
) -> rusqlite::Result<Option<StoredSession>> {
    let found = db
        .prepare_cached(
            "SELECT n, turns, turns_bytes, next_seq, expires_at FROM sessions
             WHERE tenant = ?1 AND session = ?2",
        )?
        .query_row((&key.tenant, &key.session), |row| {
            let stored = StoredSession {
                row_number: row.get(0)?,
                turns: row.get(1)?,
                bytes: row.get(2)?,
                next_seq: row.get(3)?,
            };
            let expires_at: Option<TimeColumn> = row.get(4)?;
            Ok((stored, expires_at))
        })
        .optional()?;
    let Some((session, expires_at)) = found else {
        return Ok(None);
    };
    if expires_at.is_some_and(|TimeColumn(expires_at)| expires_at <= at) {
        // `delete_rows` keeps the session's lane, because this commit has just written it.
        delete::delete_rows(db, session.row_number)?;
        return Ok(None);
    }
    Ok(Some(session))
}

fn insert(db: &Connection, key: &SessionKey, at: TimeMs) -> rusqlite::Result<StoredSession> {
    db.prepare_cached(
        "INSERT INTO sessions
             (tenant, session, created_at, updated_at, used_at, turns, turns_bytes, next_seq)
         VALUES (?1, ?2, ?3, ?3, ?3, 0, 0, 0)",
    )?
    .execute((&key.tenant, &key.session, TimeColumn(at)))?;
    Ok(StoredSession {
        row_number: db.last_insert_rowid(),
        turns: 0,
        bytes: 0,
        next_seq: 0,
    })
}

/// Deletes the oldest turns until the session is within its bounds. The newest turn stays, whatever its size.
fn trim(
    db: &Connection,
    session: &mut StoredSession,
    bounds: &SessionBounds,
) -> rusqlite::Result<()> {
    let (turns_max, bytes_max) = (size(bounds.turns_max), size(bounds.turns_bytes_max));
    let mut last_deleted = None;
    if session.turns > turns_max || session.bytes > bytes_max {
        let mut oldest =
            db.prepare_cached("SELECT seq, bytes FROM turns WHERE session = ?1 ORDER BY seq")?;
        let mut oldest = oldest.query([session.row_number])?;
        while session.turns > 1 && (session.turns > turns_max || session.bytes > bytes_max) {
            let Some(turn) = oldest.next()? else { break };
            last_deleted = Some(turn.get::<_, i64>(0)?);
            session.bytes -= turn.get::<_, i64>(1)?;
            session.turns -= 1;
        }
    }
    if let Some(seq) = last_deleted {
        db.prepare_cached("DELETE FROM turns WHERE session = ?1 AND seq <= ?2")?
            .execute((session.row_number, seq))?;
    }
    Ok(())
}
