//! Connections to the database, and the version of its tables.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, config::DbConfig};

use super::open_error::OpenError;

/// The migrations, in order. Each migration leads to the next version of the schema. `PRAGMA user_version` is the number
/// of migrations that were applied to a file. Never change or remove a migration; only append.
const MIGRATIONS: [&str; 12] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
    include_str!("schema/10.sql"),
    include_str!("schema/11.sql"),
    include_str!("schema/12.sql"),
];
/// The free space that a migration needs, as a multiple of the size of the file. A file of 924 MB with a million jobs needed 1.6
/// times its size.
const MIGRATION_SPACE_FACTOR: u64 = 2;
/// "FBAY" in ASCII. It marks a SQLite file as a database of Forebay.
const APPLICATION_ID: i64 = 0x4642_4159;
/// How long a call waits for a lock that another program holds, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The capacity of a connection's statement cache. The engine has fewer statements, so a connection compiles each only
/// once.
const STATEMENTS_MAX: usize = 128;

/// Opens the connection that writes, and migrates the tables to the newest version.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let to_open_error = |source| open_error(path, source);
    let mut db = connect(path)?;
    let mode: String = db
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(to_open_error)?;
    if mode != "wal" {
        return Err(OpenError::NoWal {
            path: path.to_owned(),
        });
    }
    // Each commit is synced. Only then do the readers see it. A negative cache_size is in KiB.
    db.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA cache_size = -32768;
         PRAGMA journal_size_limit = 67108864;",
    )
    .map_err(to_open_error)?;
    migrate(&mut db, path)?;
    // A migration writes its rows in the order of another table, so it needs a larger cache than the commits.
    db.execute_batch("PRAGMA cache_size = -4096; PRAGMA shrink_memory;")
        .map_err(to_open_error)?;
    // The log may hold transactions of an earlier process that were never synced. They must be on the disk before a call
    // can return them, so the whole log is copied and synced here. If another program reads the file at this moment, a
    // part of the log cannot be copied. `Embedded::open` syncs the log before it serves the first call.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(to_open_error)?;
    Ok(db)
}

/// Opens the connection that copies the write-ahead log into the database.
pub(super) fn open_checkpointer(path: &Path) -> Result<Connection, OpenError> {
    let db = connect(path)?;
    // With NORMAL, SQLite syncs the log before it copies the log, and syncs the database before it overwrites the log.
    db.execute_batch("PRAGMA synchronous = NORMAL;")
        .map_err(|source| open_error(path, source))?;
    Ok(db)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let db = connect(path)?;
    db.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -1024;")
        .map_err(|source| open_error(path, source))?;
    Ok(db)
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    let to_open_error = |source| open_error(path, source);
    let db = Connection::open(path).map_err(to_open_error)?;
    db.busy_timeout(BUSY_TIMEOUT).map_err(to_open_error)?;
    db.execute_batch("PRAGMA temp_store = MEMORY;")
        .map_err(to_open_error)?;
    // The query planner must not depend on bound values (query planner stability guarantee). Without this option, SQLite
    // compiles a statement again when some parameters change. That would take a quarter of the process's CPU time and
    // gain nothing, because the tables are never analysed.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(to_open_error)?;
    // SQLite must not copy the log when a connection closes, because the disk may have failed. The writing thread copies
    // the log before it ends, unless the disk has failed.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(to_open_error)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(db)
}

fn migrate(db: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let to_open_error = |source| open_error(path, source);
    let pragma = |db: &Connection, name: &str| -> Result<i64, OpenError> {
        db.pragma_query_value(None, name, |row| row.get(0))
            .map_err(to_open_error)
    };
    let found = pragma(db, "user_version")?;
    let is_from_forebay = pragma(db, "application_id")? == APPLICATION_ID;
    // A new file has no user version and no tables. Any other file without the application id is not from Forebay.
    if !is_from_forebay && (found != 0 || pragma(db, "schema_version")? != 0) {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    let newer = || OpenError::Newer {
        path: path.to_owned(),
        found,
        known: super::columns::size(MIGRATIONS.len()),
    };
    let applied_count = usize::try_from(found).map_err(|_| newer())?;
    let missing = MIGRATIONS.get(applied_count..).ok_or_else(newer)?;
    if found > 0 && !missing.is_empty() {
        check_space(path)?;
    }
    for (version, migration) in (found + 1..).zip(missing) {
        let began = Instant::now();
        if found > 0 {
            tracing::info!(
                schema_version = version,
                "migrating the database; with many jobs this takes minutes"
            );
        }
        // If the process is killed before the commit, the next start begins this migration again.
        let transaction = db.transaction().map_err(to_open_error)?;
        transaction
            .execute_batch(migration)
            .map_err(to_open_error)?;
        transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(to_open_error)?;
        transaction
            .pragma_update(None, "user_version", version)
            .map_err(to_open_error)?;
        transaction.commit().map_err(to_open_error)?;
        tracing::info!(
            schema_version = version,
            elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "database migrated to this schema version"
        );
    }
    Ok(())
}

/// Checks that the disk has space for a migration. A migration writes tables anew, into the log and then into the file, before
/// the space of the old tables is free. A migration that failed half way would have used up the reserve for nothing.
fn check_space(path: &Path) -> Result<(), OpenError> {
    let log = path.with_extension("db-wal");
    let bytes = |file: &Path| fs::metadata(file).map_or(0, |metadata| metadata.len());
    let needed_bytes = (bytes(path) + bytes(&log)).saturating_mul(MIGRATION_SPACE_FACTOR);
    let Ok(disk) = rustix::fs::statvfs(path) else {
        return Ok(());
    };
    let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    require_space(path, needed_bytes, free_bytes)
}

fn require_space(path: &Path, needed_bytes: u64, free_bytes: u64) -> Result<(), OpenError> {
    if free_bytes < needed_bytes {
        return Err(OpenError::NoSpace {
            path: path.to_owned(),
            needed_bytes,
            free_bytes,
        });
    }
    Ok(())
}

fn open_error(path: &Path, source: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign { path },
        _ => OpenError::Database { path, source },
    }
}

#[cfg(test)]
mod tests;
