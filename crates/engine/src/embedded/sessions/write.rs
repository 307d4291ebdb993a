//! Writes a commit's change of a session.

use forebay_shared::{session::SessionBounds, time::TimeMs};
use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::{SessionKey, forget};
use crate::{
    embedded::columns::{TimeColumn, int, size},
    rows::SessionRow,
};

/// The columns of a session that are needed to change it.
#[derive(Clone, Copy)]
struct StoredSession {
    n: i64,
    turns: i64,
    bytes: i64,
    next_seq: i64,
}

/// Writes the change at the time `at`. It creates the session if there is none, and replaces an expired one.
pub(in crate::embedded) fn write(
    db: &Connection,
    key: &SessionKey,
    change: &SessionRow,
    at: TimeMs,
) -> rusqlite::Result<()> {
    let mut row = match find_unexpired(db, key, at)? {
        Some(row) => row,
        None => insert(db, key, at)?,
    };
    for doc in &change.append {
        db.prepare_cached("INSERT INTO turns (session, seq, bytes, doc) VALUES (?1, ?2, ?3, ?4)")?
            .execute((row.n, row.next_seq, size(doc.len()), doc))?;
        row.next_seq += 1;
        row.turns += 1;
        row.bytes += size(doc.len());
    }
    trim(db, &mut row, &change.bounds)?;
    db.prepare_cached(
        "UPDATE sessions SET
             updated_at = max(updated_at, :at), used_at = max(used_at, :at),
             expires_at = :expires_at, turns = :turns, turns_bytes = :bytes, next_seq = :next_seq,
             sent_bytes = coalesce(:sent_bytes, sent_bytes),
             input_tokens = coalesce(:input_tokens, input_tokens)
         WHERE n = :n",
    )?
    .execute(named_params! {
        ":at": TimeColumn(at),
        ":expires_at": change.expires_at.map(TimeColumn),
        ":turns": row.turns,
        ":bytes": row.bytes,
        ":next_seq": row.next_seq,
        ":sent_bytes": change.measure.map(|measure| int(measure.sent_bytes)),
        ":input_tokens": change.measure.map(|measure| int(measure.input_tokens)),
        ":n": row.n,
    })?;
    Ok(())
}

/// Finds the session. An expired one is deleted first.
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
                n: row.get(0)?,
                turns: row.get(1)?,
                bytes: row.get(2)?,
                next_seq: row.get(3)?,
            };
            let expires_at: Option<TimeColumn> = row.get(4)?;
            Ok((stored, expires_at))
        })
        .optional()?;
    let Some((row, expires_at)) = found else {
        return Ok(None);
    };
    if expires_at.is_some_and(|TimeColumn(expires_at)| expires_at <= at) {
        // `delete_rows` keeps the session's lane, because this commit has just written it.
        forget::delete_rows(db, row.n)?;
        return Ok(None);
    }
    Ok(Some(row))
}

fn insert(db: &Connection, key: &SessionKey, at: TimeMs) -> rusqlite::Result<StoredSession> {
    db.prepare_cached(
        "INSERT INTO sessions
             (tenant, session, created_at, updated_at, used_at, turns, turns_bytes, next_seq)
         VALUES (?1, ?2, ?3, ?3, ?3, 0, 0, 0)",
    )?
    .execute((&key.tenant, &key.session, TimeColumn(at)))?;
    Ok(StoredSession {
        n: db.last_insert_rowid(),
        turns: 0,
        bytes: 0,
        next_seq: 0,
    })
}

/// Deletes the oldest turns until the bounds hold. The newest turn stays, whatever its size.
fn trim(db: &Connection, row: &mut StoredSession, bounds: &SessionBounds) -> rusqlite::Result<()> {
    let (turns_max, bytes_max) = (size(bounds.turns_max), size(bounds.turns_bytes_max));
    let mut last_dropped = None;
    if row.turns > turns_max || row.bytes > bytes_max {
        let mut oldest =
            db.prepare_cached("SELECT seq, bytes FROM turns WHERE session = ?1 ORDER BY seq")?;
        let mut oldest = oldest.query([row.n])?;
        while row.turns > 1 && (row.turns > turns_max || row.bytes > bytes_max) {
            let Some(turn) = oldest.next()? else { break };
            last_dropped = Some(turn.get::<_, i64>(0)?);
            row.bytes -= turn.get::<_, i64>(1)?;
            row.turns -= 1;
        }
    }
    if let Some(seq) = last_dropped {
        db.prepare_cached("DELETE FROM turns WHERE session = ?1 AND seq <= ?2")?
            .execute((row.n, seq))?;
    }
    Ok(())
}
