//! Lists the sessions of a tenant.

use forebay_shared::{
    session::SessionInfo,
    session_settings::StoredSettings,
    store::{ListedSession, SessionListQuery, SessionPosition},
    time::TimeMs,
};
use rusqlite::{Connection, Row};

use crate::embedded::columns::{NameColumn, TimeColumn, size, u64_or_zero};

/// Returns a part of the list of a tenant's sessions.
pub(in crate::embedded) fn list(
    db: &Connection,
    query: &SessionListQuery,
    now: TimeMs,
) -> rusqlite::Result<Vec<ListedSession>> {
    let (order, comparison, start) = if query.is_oldest_first {
        ("ASC", ">", TimeMs(0))
    } else {
        ("DESC", "<", TimeMs(u64::MAX))
    };
    let (created_at, session) = match &query.after {
        Some(after) => (after.created_at, after.session.as_str()),
        None => (start, ""),
    };
    db.prepare_cached(&format!(
        "SELECT created_at, sessions.session, updated_at, expires_at, turns, turns_bytes,
             (SELECT min(seq) FROM turns WHERE turns.session = sessions.n),
             coalesce((SELECT entries FROM lanes WHERE lanes.n = sessions.lane), 0), attributes, model, next_seq
         FROM sessions INDEXED BY sessions_listed LEFT JOIN session_settings ON session_settings.session = sessions.n
         WHERE sessions.tenant = ?1 AND (created_at, sessions.session) {comparison} (?2, ?3)
           AND (expires_at IS NULL OR expires_at > ?4)
         ORDER BY created_at {order}, sessions.session {order} LIMIT ?5"
    ))?
    .query_map(
        (
            query.tenant.as_str(),
            TimeColumn(created_at),
            session,
            TimeColumn(now),
            size(query.limit),
        ),
        listed,
    )?
    .collect()
}

fn listed(row: &Row<'_>) -> rusqlite::Result<ListedSession> {
    let (TimeColumn(created_at), NameColumn(session)) = (row.get(0)?, row.get(1)?);
    let TimeColumn(updated_at) = row.get(2)?;
    let expires_at: Option<TimeColumn> = row.get(3)?;
    let live_jobs = u64_or_zero(row.get(7)?);
    let (oldest, next): (Option<i64>, i64) = (row.get(6)?, row.get(10)?);
    let info = SessionInfo {
        turn_count: u64_or_zero(row.get(4)?),
        first_turn: u64_or_zero(oldest.unwrap_or(next)),
        next_turn: u64_or_zero(next),
        turns_bytes: u64_or_zero(row.get(5)?),
        turns: None,
        settings: Some(StoredSettings {
            attributes: row.get(8)?,
            model: row.get(9)?,
            defaults: None,
        }),
        created_at,
        updated_at,
        expires_at: expires_at.map(|TimeColumn(at)| at),
        live_jobs: usize::try_from(live_jobs).unwrap_or(usize::MAX),
    };
    Ok(ListedSession {
        position: SessionPosition {
            created_at,
            session,
        },
        info: Some(info),
    })
}
