//! Writes a commit's change of a session.

use forebay_shared::{session::SessionBounds, time::TimeMs};
use rusqlite::Connection;

use super::{SessionKey, StoredSession, delete, replace};
use crate::{
    embedded::columns::{TimeColumn, int, size},
    rows::SessionRow,
};

/// Writes the change at the time `at`. `found` is the stored session. Creates the session if there is none. If the session has
/// expired, a new one replaces it. `lane` is the number of the lane's row after the commit.
pub(in crate::embedded) fn write(
    db: &Connection,
    key: &SessionKey,
    found: Option<StoredSession>,
    change: &SessionRow,
    lane: Option<i64>,
    at: TimeMs,
) -> rusqlite::Result<()> {
    let mut session = match found {
        Some(session) if !session.has_expired(at) => session,
        _ => {
            if let Some(expired) = found {
                // `delete_rows` keeps the session's lane, because this commit has just written it.
                delete::delete_rows(db, expired.row_number)?;
            }
            let session = insert(db, key, change, lane, at)?;
            if change.append.is_empty() {
                return Ok(());
            }
            session
        }
    };
    if let Some(number) = change.replace_from_turn {
        replace::remove_from(db, &mut session, number)?;
    }
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
             sent_bytes = coalesce(?7, sent_bytes), input_tokens = coalesce(?8, input_tokens),
             lane = ?9
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
        lane,
    ))?;
    Ok(())
}

/// Stores the number of the lane's row, if it has changed.
pub(in crate::embedded) fn set_lane(
    db: &Connection,
    session: StoredSession,
    lane: Option<i64>,
) -> rusqlite::Result<()> {
    if session.lane == lane {
        return Ok(());
    }
    db.prepare_cached("UPDATE sessions SET lane = ?2 WHERE n = ?1")?
        .execute((session.row_number, lane))
        .map(drop)
}

/// Creates a session without turns.
fn insert(
    db: &Connection,
    key: &SessionKey,
    change: &SessionRow,
    lane: Option<i64>,
    at: TimeMs,
) -> rusqlite::Result<StoredSession> {
    db.prepare_cached(
        "INSERT INTO sessions
             (tenant, session, lane, created_at, updated_at, used_at, expires_at, turns, turns_bytes,
              next_seq, sent_bytes, input_tokens)
         VALUES (?1, ?2, ?3, ?4, ?4, ?4, ?5, 0, 0, 0, ?6, ?7)",
    )?
    .execute((
        &key.tenant,
        &key.session,
        lane,
        TimeColumn(at),
        change.expires_at.map(TimeColumn),
        change.token_measure.map(|measure| int(measure.sent_bytes)),
        change
            .token_measure
            .map(|measure| int(measure.input_tokens)),
    ))?;
    Ok(StoredSession::new(db.last_insert_rowid(), lane))
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
