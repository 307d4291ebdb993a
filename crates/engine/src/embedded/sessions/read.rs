//! Reads sessions, and records their use.

use forebay_shared::{document, session::Session, store::StoreError, time::TimeMs, turn::Turn};
use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::SessionKey;
use crate::embedded::columns::{TimeColumn, u64_or_zero};

/// Records a use of a session. Restarts its time to live if it has no live jobs. Returns whether the session exists.
pub(in crate::embedded) fn touch(
    db: &Connection,
    key: &SessionKey,
    now: TimeMs,
    ttl_ms: u64,
) -> rusqlite::Result<bool> {
    let touched = db
        .prepare_cached(
            "UPDATE sessions SET used_at = max(used_at, :now),
                 expires_at = CASE WHEN expires_at IS NULL THEN NULL ELSE :until END
             WHERE tenant = :tenant AND session = :session
               AND (expires_at IS NULL OR expires_at > :now)",
        )?
        .execute(named_params! {
            ":now": TimeColumn(now), ":until": TimeColumn(now.plus_ms(ttl_ms)),
            ":tenant": key.tenant, ":session": key.session,
        })?;
    Ok(touched > 0)
}

/// A session whose turns are not parsed yet.
#[derive(Debug)]
pub(in crate::embedded) struct RawSession {
    turns: Vec<String>,
    created_at: TimeMs,
    updated_at: TimeMs,
    expires_at: Option<TimeMs>,
    live_jobs: u64,
}

/// Reads a session with all its turns.
pub(in crate::embedded) fn read(
    db: &Connection,
    lane: &str,
    key: &SessionKey,
    now: TimeMs,
) -> rusqlite::Result<Option<RawSession>> {
    let found = db
        .prepare_cached(
            "SELECT n, created_at, updated_at, expires_at,
                 coalesce((SELECT entries FROM lanes WHERE key = :lane), 0)
             FROM sessions WHERE tenant = :tenant AND session = :session
               AND (expires_at IS NULL OR expires_at > :now)",
        )?
        .query_row(
            named_params! {
                ":lane": lane, ":tenant": key.tenant, ":session": key.session, ":now": TimeColumn(now),
            },
            |row| {
                let (TimeColumn(created_at), TimeColumn(updated_at)) = (row.get(1)?, row.get(2)?);
                let expires_at: Option<TimeColumn> = row.get(3)?;
                let raw = RawSession {
                    turns: Vec::new(),
                    created_at,
                    updated_at,
                    expires_at: expires_at.map(|TimeColumn(at)| at),
                    live_jobs: u64_or_zero(row.get(4)?),
                };
                Ok((row.get::<_, i64>(0)?, raw))
            },
        )
        .optional()?;
    let Some((row_number, mut raw)) = found else {
        return Ok(None);
    };
    raw.turns = turns(db, row_number)?;
    Ok(Some(raw))
}

impl RawSession {
    /// Parses the turns.
    pub(in crate::embedded) fn parse(self) -> Result<Session, StoreError> {
        Ok(Session {
            turns: parse_turns(&self.turns)?,
            created_at: self.created_at,
            updated_at: self.updated_at,
            expires_at: self.expires_at,
            live_jobs: usize::try_from(self.live_jobs).unwrap_or(usize::MAX),
        })
    }
}

/// Reads the turns of a session as JSON, oldest first. `row_number` is the session's column `n`.
pub(in crate::embedded) fn turns(
    db: &Connection,
    row_number: i64,
) -> rusqlite::Result<Vec<String>> {
    db.prepare_cached("SELECT doc FROM turns WHERE session = ?1 ORDER BY seq")?
        .query_map([row_number], |row| row.get(0))?
        .collect()
}

/// Parses turns.
pub(in crate::embedded) fn parse_turns(docs: &[String]) -> Result<Vec<Turn>, StoreError> {
    docs.iter()
        .map(|doc| Ok(document::read(doc.as_bytes())?))
        .collect()
}
