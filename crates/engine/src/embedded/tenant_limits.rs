//! The table of the limits of tenants.

use forebay_shared::store::LIMITED_TENANTS_MAX;
use rusqlite::{Connection, OptionalExtension as _};
use uuid::Uuid;

use super::columns::{VersionColumn, size};

/// The limits of all tenants as JSON, if they have another version than `known`.
pub(super) struct RawLimits {
    pub(super) version: Option<Uuid>,
    /// The tenants and their limits.
    pub(super) rows: Vec<(String, String)>,
}

/// Reads all limits. `None` if they still have the version `known`.
pub(super) fn read_all(
    db: &Connection,
    known: Option<Uuid>,
) -> rusqlite::Result<Option<RawLimits>> {
    let version = db
        .prepare_cached("SELECT version FROM tenant_limits_version")?
        .query_row([], |row| row.get(0))
        .optional()?
        .map(|VersionColumn(version)| version);
    if version == known {
        return Ok(None);
    }
    let rows = db
        .prepare_cached("SELECT tenant, limits FROM tenant_limits")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(RawLimits { version, rows }))
}

/// Reads the limits of a tenant, as JSON.
pub(super) fn read(db: &Connection, tenant: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT limits FROM tenant_limits WHERE tenant = ?1")?
        .query_row([tenant], |row| row.get(0))
        .optional()
}

/// Stores or removes the limits of a tenant. Returns whether they are stored, or were removed.
pub(super) fn set(
    db: &Connection,
    tenant: &str,
    limits: Option<&str>,
    version: Uuid,
) -> rusqlite::Result<bool> {
    let changed = match limits {
        Some(limits) => db
            .prepare_cached(
                "INSERT INTO tenant_limits (tenant, limits)
                 SELECT ?1, ?2
                 WHERE EXISTS (SELECT 1 FROM tenant_limits WHERE tenant = ?1)
                    OR (SELECT count(*) FROM tenant_limits) < ?3
                 ON CONFLICT (tenant) DO UPDATE SET limits = excluded.limits",
            )?
            .execute((tenant, limits, size(LIMITED_TENANTS_MAX)))?,
        None => db
            .prepare_cached("DELETE FROM tenant_limits WHERE tenant = ?1")?
            .execute([tenant])?,
    };
    if changed > 0 {
        db.prepare_cached("INSERT OR REPLACE INTO tenant_limits_version VALUES (1, ?1)")?
            .execute([VersionColumn(version)])?;
    }
    Ok(changed > 0)
}
