//! The table of idempotency keys.

use forebay_shared::time::TimeMs;
use rusqlite::{Connection, OptionalExtension as _};

use super::columns::{TimeColumn, size};

/// An idempotency key to set.
pub(super) struct NewKey {
    pub(super) tenant: String,
    pub(super) key: String,
    /// The entry as JSON.
    pub(super) entry: String,
    /// How long the key is kept, in milliseconds.
    pub(super) ttl_ms: u64,
}

/// Reads the entry of a key, as JSON.
pub(super) fn read(
    db: &Connection,
    tenant: &str,
    key: &str,
    now: TimeMs,
) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT entry FROM keys WHERE tenant = ?1 AND key = ?2 AND expires_at > ?3")?
        .query_row((tenant, key, TimeColumn(now)), |row| row.get(0))
        .optional()
}

/// Replaces a key whose entry is `expected`, or is the new entry already. Returns whether it has the new entry now.
pub(super) fn swap(
    db: &Connection,
    expected: &str,
    new: &NewKey,
    now: TimeMs,
) -> rusqlite::Result<bool> {
    let replaced = db
        .prepare_cached(
            "UPDATE keys SET entry = ?1, expires_at = ?2
                 WHERE tenant = ?3 AND key = ?4 AND expires_at > ?5 AND entry IN (?6, ?1)",
        )?
        .execute((
            &new.entry,
            TimeColumn(now.plus_ms(new.ttl_ms)),
            &new.tenant,
            &new.key,
            TimeColumn(now),
            expected,
        ))?;
    Ok(replaced > 0)
}

/// Sets a key if it is not set. Otherwise returns the stored entry, as JSON.
pub(super) fn set(db: &Connection, new: &NewKey, now: TimeMs) -> rusqlite::Result<Option<String>> {
    let found = read(db, &new.tenant, &new.key, now)?;
    if found.is_none() {
        db.prepare_cached(
            "INSERT OR REPLACE INTO keys (tenant, key, expires_at, entry) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((
            &new.tenant,
            &new.key,
            TimeColumn(now.plus_ms(new.ttl_ms)),
            &new.entry,
        ))?;
    }
    Ok(found)
}

/// Deletes at most `limit` expired keys.
pub(super) fn delete_expired(db: &Connection, limit: usize, now: TimeMs) -> rusqlite::Result<u64> {
    let deleted = db
        .prepare_cached(
            "DELETE FROM keys WHERE n IN (SELECT n FROM keys WHERE expires_at <= ?1 LIMIT ?2)",
        )?
        .execute((TimeColumn(now), size(limit)))?;
    Ok(u64::try_from(deleted).unwrap_or(u64::MAX))
}
