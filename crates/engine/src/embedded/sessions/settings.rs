//! The table of what clients have set for sessions.

use forebay_shared::{session_settings::StoredSettings, time::TimeMs};
use rusqlite::{Connection, OptionalExtension as _};

use super::SessionKey;
use crate::embedded::columns::{TimeColumn, u64_or_zero};

/// Reads the settings of a session; `None` if there is no such session.
pub(in crate::embedded) fn settings(
    db: &Connection,
    key: &SessionKey,
    now: TimeMs,
) -> rusqlite::Result<Option<StoredSettings>> {
    let row_number: Option<i64> = db
        .prepare_cached(
            "SELECT n FROM sessions WHERE tenant = ?1 AND session = ?2
               AND (expires_at IS NULL OR expires_at > ?3)",
        )?
        .query_row((&key.tenant, &key.session, TimeColumn(now)), |row| {
            row.get(0)
        })
        .optional()?;
    row_number
        .map(|row_number| of_session(db, row_number))
        .transpose()
}

/// Reads the settings of a session. `row_number` is the session's column `n`.
pub(super) fn of_session(db: &Connection, row_number: i64) -> rusqlite::Result<StoredSettings> {
    let found = db
        .prepare_cached(
            "SELECT attributes, model, defaults FROM session_settings WHERE session = ?1",
        )?
        .query_row([row_number], |row| {
            Ok(StoredSettings {
                attributes: row.get(0)?,
                model: row.get(1)?,
                defaults: row.get(2)?,
            })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// The bytes of the settings of a session.
pub(super) fn bytes(db: &Connection, row_number: i64) -> rusqlite::Result<u64> {
    let bytes = db
        .prepare_cached(
            "SELECT coalesce(octet_length(attributes), 0) + coalesce(octet_length(model), 0)
                 + coalesce(octet_length(defaults), 0)
             FROM session_settings WHERE session = ?1",
        )?
        .query_row([row_number], |row| row.get(0).map(u64_or_zero))
        .optional()?;
    Ok(bytes.unwrap_or(0))
}

/// The bytes of the defaults of a session, without the model.
pub(in crate::embedded) fn defaults_bytes(
    db: &Connection,
    row_number: i64,
) -> rusqlite::Result<u64> {
    let bytes = db
        .prepare_cached(
            "SELECT coalesce(octet_length(defaults), 0) FROM session_settings WHERE session = ?1",
        )?
        .query_row([row_number], |row| row.get(0).map(u64_or_zero))
        .optional()?;
    Ok(bytes.unwrap_or(0))
}

/// The defaults of a session as JSON, without the model.
pub(in crate::embedded) fn defaults(
    db: &Connection,
    row_number: i64,
) -> rusqlite::Result<Option<String>> {
    let defaults = db
        .prepare_cached("SELECT defaults FROM session_settings WHERE session = ?1")?
        .query_row([row_number], |row| row.get(0))
        .optional()?;
    Ok(defaults.flatten())
}

/// The default model of a session.
pub(in crate::embedded) fn model(
    db: &Connection,
    key: &SessionKey,
    now: TimeMs,
) -> rusqlite::Result<Option<String>> {
    let model = db
        .prepare_cached(
            "SELECT model FROM sessions JOIN session_settings ON session_settings.session = sessions.n
             WHERE sessions.tenant = ?1 AND sessions.session = ?2
               AND (expires_at IS NULL OR expires_at > ?3)",
        )?
        .query_row((&key.tenant, &key.session, TimeColumn(now)), |row| {
            row.get(0)
        })
        .optional()?;
    Ok(model.flatten())
}
