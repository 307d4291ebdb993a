//! Connections to the database, and the version of its tables.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, config::DbConfig};

use super::open_error::OpenError;

/// The migrations, in order. Each migration leads to the next version of the schema. `PRAGMA user_version` is the number
/// of migrations that were applied to a file. Never change or remove a migration; only append.
const MIGRATIONS: [&str; 6] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
];
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
    // Each commit of a migration is synced. A negative cache_size is in KiB.
    db.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA cache_size = -4096;
         PRAGMA journal_size_limit = 67108864;",
    )
    .map_err(to_open_error)?;
    migrate(&mut db, path)?;
    // The log may hold transactions of an earlier process that were never synced. They must be on the disk before a call
    // can return them, so the whole log is copied and synced here. If another program reads the file at this moment, a
    // part of the log cannot be copied. `Embedded::open` syncs the log before it serves the first call.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(to_open_error)?;
    // From now on, the syncer syncs the commits, and SQLite does not.
    db.execute_batch("PRAGMA synchronous = NORMAL;")
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
    for (version, migration) in (found + 1..).zip(missing) {
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
            "database migrated to this schema version"
        );
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
mod tests {
    use forebay_shared::ids::JobId;

    use super::*;
    use crate::embedded::columns::JobIdColumn;

    #[test]
    fn a_database_of_a_newer_release_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forebay.db");
        let db = open_writer(&path).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        drop(db);
        let error = open_writer(&path).unwrap_err();
        let OpenError::Newer { found, known, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!((found, known), (99, 6));
    }

    #[test]
    fn a_second_open_migrates_nothing_and_sets_synchronous_normal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forebay.db");
        for _ in 0..2 {
            let db = open_writer(&path).unwrap();
            let synchronous: i64 = db
                .pragma_query_value(None, "synchronous", |row| row.get(0))
                .unwrap();
            assert_eq!(synchronous, 1, "`synchronous` is not NORMAL, which is 1");
            let version: i64 = db
                .pragma_query_value(None, "user_version", |row| row.get(0))
                .unwrap();
            assert_eq!(version, 6);
        }
    }

    #[test]
    fn a_database_of_an_older_release_is_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forebay.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(MIGRATIONS[0]).unwrap();
        db.pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        db.pragma_update(None, "user_version", 1).unwrap();
        let id = "job_fb01a2142e2ff7667a899ff9f941495845";
        let job = JobId::parse(id).unwrap();
        let lane = r#"{"entries": [{"deadline": 17}, {"deadline": 18}]}"#;
        for (key, head, doc) in [
            ("s/default/a", Some(id), lane),
            ("s/default/b", None, r#"{"entries": []}"#),
        ] {
            db.execute(
                "INSERT INTO lanes (key, token, entries, head, doc) VALUES (?1, x'00', 0, ?2, ?3)",
                (key, head, doc),
            )
            .unwrap();
        }
        db.execute(
            "INSERT INTO jobs VALUES (1, ?1, 'default', 0, 'm', 'r')",
            [id],
        )
        .unwrap();
        db.execute(
            "INSERT INTO timers VALUES (?1, 19, 's/default/a', 'default', 'batch', 1, 16)",
            [id],
        )
        .unwrap();
        drop(db);

        let db = open_writer(&path).unwrap();
        let lanes: Vec<(Option<JobIdColumn>, Option<i64>)> = db
            .prepare("SELECT head, deadline FROM lanes ORDER BY key")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let [(Some(JobIdColumn(head)), Some(17)), (None, None)] = lanes[..] else {
            panic!("{} lanes", lanes.len());
        };
        assert_eq!(head, job);
        for table_and_column in ["jobs WHERE id", "timers WHERE job"] {
            let sql = format!("SELECT count(*) FROM {table_and_column} = ?1");
            let found: i64 = db
                .query_row(&sql, [JobIdColumn(job)], |row| row.get(0))
                .unwrap();
            assert_eq!(found, 1, "{table_and_column}");
        }
    }

    #[test]
    fn deferred_heads_of_an_older_release_get_their_counts_and_flags() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forebay.db");
        let db = Connection::open(&path).unwrap();
        for migration in &MIGRATIONS[..3] {
            db.execute_batch(migration).unwrap();
        }
        db.pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        db.pragma_update(None, "user_version", 3).unwrap();
        for (lane, jobs, account, claimed) in [
            ("s/default/a", 3, Some("acme"), false),
            ("s/default/b", 1, Some("acme"), true),
            ("s/default/c", 5, Some("acme"), false),
            ("s/default/d", 9, Some("other"), true),
            ("s/default/e", 7, None, true),
        ] {
            let doc = format!(r#"{{"entries": [{{"claimed": {claimed}}}, {{"claimed": false}}]}}"#);
            let row = "INSERT INTO lanes (key, token, entries, doc) VALUES (?1, x'00', ?2, ?3)";
            db.execute(row, (lane, jobs, doc)).unwrap();
            let row = "INSERT INTO deferred VALUES (?1, x'00', ?2, 'batch', 1)";
            if account.is_some() {
                db.execute(row, (lane, account)).unwrap();
            }
        }
        db.execute_batch(
            "INSERT INTO deferred_counts VALUES ('acme', 'batch', 3), ('other', 'batch', 1)",
        )
        .unwrap();
        drop(db);

        let db = open_writer(&path).unwrap();
        let behind: Vec<(i64, i64)> = db
            .prepare("SELECT heads, behind FROM deferred_counts ORDER BY account")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(behind, [(3, 6), (1, 8)]);
        let claimed: Vec<bool> = db
            .prepare("SELECT claimed FROM deferred ORDER BY lane")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(claimed, [false, true, false, true]);
    }

    #[test]
    fn files_that_are_not_from_forebay_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        std::fs::write(&text, "no database at all, whatever its name ".repeat(100)).unwrap();
        let error = open_writer(&text).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");

        let other = folder.path().join("other.db");
        let db = Connection::open(&other).unwrap();
        db.execute_batch("CREATE TABLE foreign_table (x)").unwrap();
        drop(db);
        let error = open_writer(&other).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    }

    #[test]
    fn a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forebay.db");
        let _writer = open_writer(&path).unwrap();
        let reader = open_reader(&path).unwrap();
        assert!(reader.execute("DELETE FROM jobs", []).is_err());
    }
}
