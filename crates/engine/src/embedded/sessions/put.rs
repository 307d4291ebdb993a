//! Writes sessions for clients: creates or replaces whole sessions, and changes their settings.

use forebay_shared::{
    session::SessionInfo,
    session_settings::StoredSettings,
    store::{SessionPut, SessionPutResult, SettingsSwap, SettingsSwapResult},
    time::TimeMs,
};
use rusqlite::{Connection, OptionalExtension as _};

use super::{SessionKey, delete, read, settings};
use crate::embedded::columns::{TimeColumn, size};

/// The results of a write of a whole session, as the column `written_by` stores them.
const CREATED: &str = "created";
const REPLACED: &str = "replaced";

/// The stored session, as far as a write of the whole session needs it.
struct Found {
    row_number: i64,
    lane: Option<i64>,
    /// `None` while the session has live jobs.
    expires_at: Option<TimeMs>,
    next_seq: i64,
    written_by: Option<String>,
}

/// Creates a session, or replaces one that has no live jobs. `None` if the session has
/// expired at `now`: its time to live is 0, or an earlier request of this write created it and it has expired since.
pub(in crate::embedded) fn put(
    db: &Connection,
    put: &SessionPut,
    now: TimeMs,
) -> rusqlite::Result<Option<SessionPutResult>> {
    let key = SessionKey::new(&put.tenant, &put.session);
    let mut found = find(db, &key)?;
    if let Some(session) = &found {
        let written_by = session.written_by.as_deref();
        if written_by == Some(&written_text(put, CREATED)) {
            return result(db, &key, now, SessionPutResult::Created);
        }
        if written_by == Some(&written_text(put, REPLACED)) {
            return result(db, &key, now, SessionPutResult::Replaced);
        }
        let has_expired = session.expires_at.is_some_and(|at| at <= now);
        if put.only_create && !has_expired {
            return Ok(Some(SessionPutResult::Exists));
        }
        if session.expires_at.is_none() {
            return Ok(Some(SessionPutResult::HasLiveJobs));
        }
        delete_hold(db, session.lane)?;
        if has_expired {
            delete::delete_rows(db, session.row_number)?;
            found = None;
        }
    }
    let is_new = found.is_none();
    let (row_number, first_seq) = match found {
        Some(session) => {
            db.prepare_cached("DELETE FROM turns WHERE session = ?1")?
                .execute([session.row_number])?;
            (session.row_number, session.next_seq)
        }
        None => (insert(db, &key, now)?, 0),
    };
    let mut next_seq = first_seq;
    for doc in &put.turns {
        db.prepare_cached("INSERT INTO turns (session, seq, bytes, doc) VALUES (?1, ?2, ?3, ?4)")?
            .execute((row_number, next_seq, size(doc.len()), doc))?;
        next_seq += 1;
    }
    let turns_bytes: usize = put.turns.iter().map(String::len).sum();
    db.prepare_cached(
        "UPDATE sessions SET
             lane = NULL, updated_at = max(updated_at, ?2), used_at = max(used_at, ?2), expires_at = ?3,
             turns = ?4, turns_bytes = ?5, next_seq = ?6, sent_bytes = NULL, input_tokens = NULL
         WHERE n = ?1",
    )?
    .execute((
        row_number,
        TimeColumn(now),
        TimeColumn(now.plus_ms(put.ttl_ms)),
        size(put.turns.len()),
        size(turns_bytes),
        next_seq,
    ))?;
    db.prepare_cached("INSERT OR REPLACE INTO session_settings VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute((
            row_number,
            &put.settings.attributes,
            &put.settings.model,
            &put.settings.defaults,
            written_text(put, if is_new { CREATED } else { REPLACED }),
        ))?;
    let kind = if is_new {
        SessionPutResult::Created
    } else {
        SessionPutResult::Replaced
    };
    result(db, &key, now, kind)
}

/// The text of the column `written_by`: the result of a write of the whole session, and the write's id.
fn written_text(put: &SessionPut, result: &str) -> String {
    format!("{result} {}", put.id.simple())
}

fn find(db: &Connection, key: &SessionKey) -> rusqlite::Result<Option<Found>> {
    db.prepare_cached(
        "SELECT n, lane, expires_at, next_seq, written_by
         FROM sessions LEFT JOIN session_settings ON session_settings.session = sessions.n
         WHERE sessions.tenant = ?1 AND sessions.session = ?2",
    )?
    .query_row((&key.tenant, &key.session), |row| {
        let expires_at: Option<TimeColumn> = row.get(2)?;
        Ok(Found {
            row_number: row.get(0)?,
            lane: row.get(1)?,
            expires_at: expires_at.map(|TimeColumn(at)| at),
            next_seq: row.get(3)?,
            written_by: row.get(4)?,
        })
    })
    .optional()
}

/// Deletes the lane of a session without live jobs, which may have a hold.
fn delete_hold(db: &Connection, lane: Option<i64>) -> rusqlite::Result<()> {
    if let Some(lane) = lane {
        db.prepare_cached("DELETE FROM lanes WHERE n = ?1 AND entries = 0")?
            .execute([lane])?;
    }
    Ok(())
}

/// Inserts a session without turns. Returns its column `n`.
fn insert(db: &Connection, key: &SessionKey, now: TimeMs) -> rusqlite::Result<i64> {
    db.prepare_cached(
        "INSERT INTO sessions
             (tenant, session, lane, created_at, updated_at, used_at, expires_at, turns, turns_bytes, next_seq)
         VALUES (?1, ?2, NULL, ?3, ?3, ?3, ?3, 0, 0, 0)",
    )?
    .execute((&key.tenant, &key.session, TimeColumn(now)))?;
    Ok(db.last_insert_rowid())
}

fn result(
    db: &Connection,
    key: &SessionKey,
    now: TimeMs,
    kind: impl FnOnce(SessionInfo) -> SessionPutResult,
) -> rusqlite::Result<Option<SessionPutResult>> {
    let found = read::without_turns(db, key, now)?;
    Ok(found.map(|(_, info)| kind(info)))
}

/// Replaces the settings of a session, if they are as expected.
pub(in crate::embedded) fn swap_settings(
    db: &Connection,
    swap: &SettingsSwap,
    now: TimeMs,
) -> rusqlite::Result<SettingsSwapResult> {
    let key = SessionKey::new(&swap.tenant, &swap.session);
    let Some((row_number, _)) = read::without_turns(db, &key, now)? else {
        return Ok(SettingsSwapResult::NotFound);
    };
    let stored = settings::of_session(db, row_number)?;
    if stored != swap.expected && stored != swap.next {
        return Ok(SettingsSwapResult::Changed);
    }
    let StoredSettings {
        attributes,
        model,
        defaults,
    } = &swap.next;
    db.prepare_cached(
        "INSERT INTO session_settings (session, attributes, model, defaults) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (session) DO UPDATE SET
             attributes = excluded.attributes, model = excluded.model, defaults = excluded.defaults",
    )?
    .execute((row_number, attributes, model, defaults))?;
    read::touch(db, &key, now, swap.ttl_ms)?;
    db.prepare_cached("UPDATE sessions SET updated_at = max(updated_at, ?2) WHERE n = ?1")?
        .execute((row_number, TimeColumn(now)))?;
    let changed = read::without_turns(db, &key, now)?;
    Ok(match changed {
        Some((_, info)) => SettingsSwapResult::Done(info),
        None => SettingsSwapResult::NotFound,
    })
}
