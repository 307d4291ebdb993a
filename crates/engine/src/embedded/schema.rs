//! Connections to the database, and the version of its tables.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, config::DbConfig};

use super::open_error::OpenError;

/// The migrations, one for each version of the tables. `PRAGMA user_version` is the number of migrations that a file
/// has. Only append to this list.
const MIGRATIONS: [&str; 2] = [include_str!("schema/1.sql"), include_str!("schema/2.sql")];
/// "FBAY": marks a SQLite file as one of Forebay.
const APPLICATION_ID: i64 = 0x4642_4159;
/// No other process should use the file. This timeout is for a backup that reads it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More than the number of different statements, so that each is compiled once.
const STATEMENTS_MAX: usize = 128;

/// The connection that writes. It migrates the tables first.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let failed = |source| failed(path, source);
    let mut db = connect(path)?;
    let mode: String = db
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(failed)?;
    if mode != "wal" {
        return Err(OpenError::NoWal {
            path: path.to_owned(),
        });
    }
    // During the migration each commit is synced. A negative cache size is in KiB.
    db.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA cache_size = -4096;
         PRAGMA journal_size_limit = 67108864;",
    )
    .map_err(failed)?;
    migrate(&mut db, path)?;
    // An earlier process may have left transactions in the log that were never synced. They must be on the disk before
    // any response shows them. If another program reads the file now, a part stays in the log; the syncer syncs it
    // before anything is served.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(failed)?;
    // From now on the syncer does that.
    db.execute_batch("PRAGMA synchronous = NORMAL;")
        .map_err(failed)?;
    Ok(db)
}

/// The connection that copies the write-ahead log into the database.
pub(super) fn open_copier(path: &Path) -> Result<Connection, OpenError> {
    let db = connect(path)?;
    // The log is synced before it is copied, and the database before the log is used anew.
    db.execute_batch("PRAGMA synchronous = NORMAL;")
        .map_err(|source| failed(path, source))?;
    Ok(db)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let db = connect(path)?;
    db.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -1024;")
        .map_err(|source| failed(path, source))?;
    Ok(db)
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    let failed = |source| failed(path, source);
    let db = Connection::open(path).map_err(failed)?;
    db.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    db.execute_batch("PRAGMA temp_store = MEMORY;")
        .map_err(failed)?;
    // Query plans do not depend on bound values. Otherwise SQLite compiles a statement again for each new value of some
    // parameters, which cost a quarter of the CPU time. The plans stay the same, because the tables are never analysed.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(failed)?;
    // The writer thread copies the log at a clean end. After a disk failure the log must not be copied.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(failed)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(db)
}

fn migrate(db: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| failed(path, source);
    let pragma = |db: &Connection, name: &str| -> Result<i64, OpenError> {
        db.pragma_query_value(None, name, |row| row.get(0))
            .map_err(failed)
    };
    let found = pragma(db, "user_version")?;
    let ours = pragma(db, "application_id")? == APPLICATION_ID;
    // A new file has neither number. Any other file without the mark belongs to another program.
    if !ours && (found != 0 || pragma(db, "schema_version")? != 0) {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    let newer = || OpenError::Newer {
        path: path.to_owned(),
        found,
        known: super::columns::size(MIGRATIONS.len()),
    };
    let applied = usize::try_from(found).map_err(|_| newer())?;
    let missing = MIGRATIONS.get(applied..).ok_or_else(newer)?;
    for (version, migration) in (found + 1..).zip(missing) {
        let transaction = db.transaction().map_err(failed)?;
        transaction.execute_batch(migration).map_err(failed)?;
        transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(failed)?;
        transaction
            .pragma_update(None, "user_version", version)
            .map_err(failed)?;
        transaction.commit().map_err(failed)?;
        tracing::info!(
            schema_version = version,
            "the database tables were migrated"
        );
    }
    Ok(())
}

fn failed(path: &Path, source: rusqlite::Error) -> OpenError {
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
    use crate::embedded::columns::Id;

    #[test]
    fn a_database_of_a_newer_release_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forebay.db");
        let db = open_writer(&path).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        drop(db);
        let refused = open_writer(&path).unwrap_err();
        let OpenError::Newer { found, known, .. } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((found, known), (99, 2));
    }

    #[test]
    fn tables_are_made_once_and_syncs_are_left_to_the_syncer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forebay.db");
        for _ in 0..2 {
            let db = open_writer(&path).unwrap();
            let normal: i64 = db
                .pragma_query_value(None, "synchronous", |row| row.get(0))
                .unwrap();
            assert_eq!(normal, 1);
            let version: i64 = db
                .pragma_query_value(None, "user_version", |row| row.get(0))
                .unwrap();
            assert_eq!(version, 2);
        }
    }

    #[test]
    fn a_database_of_an_older_release_is_brought_up_to_date() {
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
        let lanes: Vec<(Option<Id>, Option<i64>)> = db
            .prepare("SELECT head, deadline FROM lanes ORDER BY key")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let [(Some(Id(head)), Some(17)), (None, None)] = lanes[..] else {
            panic!("{} lanes", lanes.len());
        };
        assert_eq!(head, job);
        for table in ["jobs WHERE id", "timers WHERE job"] {
            let sql = format!("SELECT count(*) FROM {table} = ?1");
            let found: i64 = db.query_row(&sql, [Id(job)], |row| row.get(0)).unwrap();
            assert_eq!(found, 1, "{table}");
        }
    }

    #[test]
    fn files_of_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        std::fs::write(&text, "no database at all, whatever its name ".repeat(100)).unwrap();
        let refused = open_writer(&text).unwrap_err();
        assert!(matches!(refused, OpenError::Foreign { .. }), "{refused:?}");

        let other = folder.path().join("other.db");
        let db = Connection::open(&other).unwrap();
        db.execute_batch("CREATE TABLE theirs (x)").unwrap();
        drop(db);
        let refused = open_writer(&other).unwrap_err();
        assert!(matches!(refused, OpenError::Foreign { .. }), "{refused:?}");
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
