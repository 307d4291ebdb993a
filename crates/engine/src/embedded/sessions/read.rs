//! Reads sessions, and records their use.

use forebay_shared::{
    document,
    session::{Conversation, SessionInfo, StoredTurn, TokenMeasure},
    store::{INLINE_BYTES_MAX, StoreError, TurnRange},
    time::TimeMs,
};
use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::{SessionKey, settings};
use crate::embedded::columns::{TimeColumn, int, u64_or_zero};

/// Records a use of a session. If the session has no live jobs, its time to live begins anew. Returns whether the session exists.
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

/// Reads a session, with its turns and its settings if they are small.
pub(in crate::embedded) fn info(
    db: &Connection,
    key: &SessionKey,
    now: TimeMs,
) -> rusqlite::Result<Option<SessionInfo>> {
    let Some((row_number, mut info)) = without_turns(db, key, now)? else {
        return Ok(None);
    };
    if info.turns_bytes <= INLINE_BYTES_MAX {
        let all = TurnRange {
            from: 0,
            turns_max: usize::MAX,
            bytes_max: u64::MAX,
        };
        info.turns = Some(stored_turns(db, row_number, all)?);
    }
    if settings::bytes(db, row_number)? <= INLINE_BYTES_MAX {
        info.settings = Some(settings::of_session(db, row_number)?);
    }
    Ok(Some(info))
}

/// Reads a session without its turns and its settings. Returns its column `n` too.
pub(super) fn without_turns(
    db: &Connection,
    key: &SessionKey,
    now: TimeMs,
) -> rusqlite::Result<Option<(i64, SessionInfo)>> {
    db.prepare_cached(
            "SELECT n, created_at, updated_at, expires_at,
                 coalesce((SELECT entries FROM lanes WHERE lanes.n = sessions.lane), 0), turns, turns_bytes,
                 (SELECT min(seq) FROM turns WHERE turns.session = sessions.n), next_seq
             FROM sessions WHERE tenant = :tenant AND session = :session
               AND (expires_at IS NULL OR expires_at > :now)",
        )?
        .query_row(
            named_params! {
                ":tenant": key.tenant, ":session": key.session, ":now": TimeColumn(now),
            },
            |row| {
                let (TimeColumn(created_at), TimeColumn(updated_at)) = (row.get(1)?, row.get(2)?);
                let expires_at: Option<TimeColumn> = row.get(3)?;
                let live_jobs = u64_or_zero(row.get(4)?);
                let (oldest, next): (Option<i64>, i64) = (row.get(7)?, row.get(8)?);
                let info = SessionInfo {
                    turn_count: u64_or_zero(row.get(5)?),
                    first_turn: u64_or_zero(oldest.unwrap_or(next)),
                    next_turn: u64_or_zero(next),
                    turns_bytes: u64_or_zero(row.get(6)?),
                    turns: None,
                    settings: None,
                    created_at,
                    updated_at,
                    expires_at: expires_at.map(|TimeColumn(at)| at),
                    live_jobs: usize::try_from(live_jobs).unwrap_or(usize::MAX),
                };
                Ok((row.get::<_, i64>(0)?, info))
            },
        )
        .optional()
}

/// Reads a range of the turns of a session.
pub(in crate::embedded) fn turns_from(
    db: &Connection,
    key: &SessionKey,
    now: TimeMs,
    range: TurnRange,
) -> rusqlite::Result<Vec<StoredTurn>> {
    let row_number = db
        .prepare_cached(
            "SELECT n FROM sessions WHERE tenant = ?1 AND session = ?2
               AND (expires_at IS NULL OR expires_at > ?3)",
        )?
        .query_row((&key.tenant, &key.session, TimeColumn(now)), |row| {
            row.get::<_, i64>(0)
        })
        .optional()?;
    match row_number {
        Some(row_number) => stored_turns(db, row_number, range),
        None => Ok(Vec::new()),
    }
}

fn stored_turns(
    db: &Connection,
    row_number: i64,
    range: TurnRange,
) -> rusqlite::Result<Vec<StoredTurn>> {
    let mut select = db.prepare_cached(
        "SELECT seq, bytes, doc FROM turns WHERE session = ?1 AND seq >= ?2 ORDER BY seq",
    )?;
    let mut rows = select.query((row_number, int(range.from)))?;
    let mut turns = Vec::new();
    let mut bytes = 0_u64;
    while turns.len() < range.turns_max
        && let Some(row) = rows.next()?
    {
        bytes = bytes.saturating_add(u64_or_zero(row.get(1)?));
        if bytes > range.bytes_max && !turns.is_empty() {
            break;
        }
        turns.push(StoredTurn {
            number: u64_or_zero(row.get(0)?),
            json: row.get::<_, String>(2)?.into_bytes(),
        });
    }
    Ok(turns)
}

/// Reads the turns of a session as JSON with their numbers, oldest first. `row_number` is the session's column `n`.
pub(in crate::embedded) fn turns(
    db: &Connection,
    row_number: i64,
) -> rusqlite::Result<Vec<(u64, String)>> {
    db.prepare_cached("SELECT seq, doc FROM turns WHERE session = ?1 ORDER BY seq")?
        .query_map([row_number], |row| {
            Ok((u64_or_zero(row.get(0)?), row.get(1)?))
        })?
        .collect()
}

/// Parses turns. The text of each turn is dropped as soon as it is parsed.
pub(in crate::embedded) fn conversation(
    docs: Vec<(u64, String)>,
    token_measure: Option<TokenMeasure>,
) -> Result<Conversation, StoreError> {
    let mut conversation = Conversation {
        turns: Vec::with_capacity(docs.len()),
        numbers: Vec::with_capacity(docs.len()),
        token_measure,
        ..Conversation::default()
    };
    for (number, doc) in docs {
        conversation.turns.push(document::read(doc.as_bytes())?);
        conversation.numbers.push(number);
    }
    Ok(conversation)
}
