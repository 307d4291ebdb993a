//! Tests of the migrations, and of the files that are refused.

use forebay_shared::ids::{JobId, LaneKey, SessionId, TenantId};
use rusqlite::{ToSql, params};

use super::*;
use crate::embedded::columns::{JobIdColumn, size};

fn newest_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap()
}

#[test]
fn a_database_of_a_newer_release_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forebay.db");
    let db = open_writer(&path).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let error = open_writer(&path).unwrap_err();
    let OpenError::Newer { found, known, .. } = error else {
        panic!("the error should be `Newer`: {error:?}");
    };
    assert_eq!((found, known), (99, newest_version()));
}

#[test]
fn a_second_open_migrates_nothing_and_syncs_each_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forebay.db");
    for _ in 0..2 {
        let db = open_writer(&path).unwrap();
        let synchronous: i64 = db
            .pragma_query_value(None, "synchronous", |row| row.get(0))
            .unwrap();
        assert_eq!(synchronous, 2, "`synchronous` is not FULL, which is 2");
        let version: i64 = db
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(version, newest_version());
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
        panic!(
            "the first of two lanes should have a head: {} lanes",
            lanes.len()
        );
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
    fs::write(&text, "no database at all, whatever its name ".repeat(100)).unwrap();
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

/// Creates a database of the schema version 6 with these lanes. Each lane has a number of live jobs. Returns the ids of the jobs, by
/// lane.
fn database_of_version_6(path: &Path, lanes: &[(LaneKey, usize)]) -> Vec<Vec<JobId>> {
    let mut db = Connection::open(path).unwrap();
    db.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    let transaction = db.transaction().unwrap();
    for migration in &MIGRATIONS[..6] {
        transaction.execute_batch(migration).unwrap();
    }
    let pragmas = [("application_id", APPLICATION_ID), ("user_version", 6)];
    for (name, value) in pragmas {
        transaction.pragma_update(None, name, value).unwrap();
    }
    let insert = |sql: &str, params: &[&dyn ToSql]| {
        let mut statement = transaction.prepare_cached(sql).unwrap();
        statement.execute(params).unwrap();
    };
    let all_jobs = lanes.iter().map(|(lane, job_count)| {
        let key = lane.to_string();
        let jobs: Vec<JobId> = match lane {
            LaneKey::Session { tenant, session } => (0..*job_count)
                .map(|_| JobId::fresh(tenant, Some(session)))
                .collect(),
            LaneKey::WithoutSession { job, .. } => vec![*job],
        };
        let head = jobs.first().map(|job| JobIdColumn(*job));
        let state = head.as_ref().map(|_| "ready");
        insert(
            "INSERT INTO lanes VALUES (?1, x'00', ?2, ?3, ?4, 'batch', NULL, 9, 'lane of ' || ?1)",
            params![key, size(jobs.len()), head, state],
        );
        for job in &jobs {
            let job = JobIdColumn(*job);
            insert(
                "INSERT INTO timers VALUES (?1, 5, ?2, 'default', 'batch', 1, 3)",
                params![job, key],
            );
        }
        if let LaneKey::Session { tenant, session } = lane {
            insert(
                "INSERT INTO sessions VALUES (NULL, ?1, ?2, 1, 2, 3, iif(?3, NULL, 4), 1, 6, 1, NULL, NULL)",
                params![tenant.as_str(), session.as_str(), !jobs.is_empty()],
            );
            insert(
                "INSERT INTO turns VALUES (last_insert_rowid(), 0, 6, 'a turn')",
                &[],
            );
        }
        if let Some(head) = head {
            insert(
                "INSERT INTO deferred VALUES (?1, ?2, 'acme', 'batch', 3, 1)",
                params![key, head],
            );
        }
        jobs
    });
    let all_jobs = all_jobs.collect();
    transaction.commit().unwrap();
    all_jobs
}

fn session_lane(session: &str) -> LaneKey {
    LaneKey::Session {
        tenant: TenantId::default(),
        session: SessionId::parse(session).unwrap(),
    }
}

fn lane_without_session() -> LaneKey {
    let tenant = TenantId::default();
    let job = JobId::fresh(&tenant, None);
    LaneKey::WithoutSession { tenant, job }
}

/// The key of the lane that a row points to.
fn lane_of(db: &Connection, table_and_filter: &str, filter_value: impl ToSql) -> Option<String> {
    let sql = format!("SELECT (SELECT key FROM lanes WHERE n = lane) FROM {table_and_filter} = ?1");
    db.query_row(&sql, [filter_value], |row| row.get(0))
        .unwrap()
}

fn count(db: &Connection, table: &str) -> i64 {
    db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
        row.get(0)
    })
    .unwrap()
}

#[test]
fn sessions_and_timers_of_version_6_get_the_numbers_of_their_lanes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forebay.db");
    let lanes = [
        (session_lane("chat"), 2),
        (lane_without_session(), 1),
        (session_lane("a/b"), 1),
        (session_lane("only a hold"), 0),
    ];
    let jobs = database_of_version_6(&path, &lanes);
    let db = Connection::open(&path).unwrap();
    let idle =
        "INSERT INTO sessions VALUES (NULL, 'default', 'idle', 1, 2, 3, 4, 0, 0, 0, NULL, NULL)";
    db.execute_batch(idle).unwrap();
    db.execute_batch("INSERT INTO keys VALUES ('default', 'k', 7, 'an entry')")
        .unwrap();
    drop(db);

    let db = open_writer(&path).unwrap();
    for ((lane, _), jobs) in lanes.iter().zip(&jobs) {
        let key = lane.to_string();
        let doc: String = db
            .query_row("SELECT doc FROM lanes WHERE key = ?1", [&key], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(doc, format!("lane of {key}"));
        for job in jobs {
            let found = lane_of(&db, "timers WHERE job", JobIdColumn(*job));
            assert_eq!(found.as_ref(), Some(&key));
        }
        if let Some(session) = lane.session() {
            let found = lane_of(&db, "sessions WHERE session", session.as_str());
            assert_eq!(found.as_ref(), Some(&key));
        }
        if !jobs.is_empty() {
            let found = lane_of(&db, "deferred WHERE lane_key", &key);
            assert_eq!(found.as_ref(), Some(&key));
        }
    }
    assert_eq!(lane_of(&db, "sessions WHERE session", "idle"), None);
    let key: (i64, String) = db
        .query_row(
            "SELECT expires_at, entry FROM keys WHERE tenant = 'default' AND key = 'k'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(key, (7, String::from("an entry")));
    let counts =
        ["lanes", "timers", "sessions", "turns", "deferred"].map(|table| count(&db, table));
    assert_eq!(counts, [4, 4, 4, 3, 3]);
    // The triggers count sessions as before.
    let sessions = || -> i64 {
        db.query_row("SELECT sessions FROM totals", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(sessions(), 4);
    db.execute_batch("DELETE FROM sessions WHERE session = 'idle'")
        .unwrap();
    assert_eq!(sessions(), 3);
}

/// The files are copied before the migration's commit. So the copy equals the files that a killed process leaves behind.
#[test]
fn a_migration_that_was_interrupted_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forebay.db");
    let lanes: Vec<_> = (0..2_000)
        .map(|number| (session_lane(&format!("{number}")), 1))
        .collect();
    database_of_version_6(&path, &lanes);
    let mut db = Connection::open(&path).unwrap();
    // With this cache, SQLite writes most pages into the log before the commit.
    db.execute_batch("PRAGMA cache_size = 10").unwrap();
    let copies: Vec<_> = MIGRATIONS[6]
        .match_indices("DROP TABLE")
        .map(|(position, _)| {
            let transaction = db.transaction().unwrap();
            transaction
                .execute_batch(&MIGRATIONS[6][..position])
                .unwrap();
            let copy = tempfile::tempdir().unwrap();
            for name in ["forebay.db", "forebay.db-wal"] {
                fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
            }
            copy
        })
        .collect();
    assert!(copies.len() >= 4, "{} copies", copies.len());
    for copy in copies {
        let path = copy.path().join("forebay.db");
        let db = open_writer(&path).unwrap();
        let version: i64 = db
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(version, newest_version());
        let counts = ["lanes", "timers", "sessions", "deferred"].map(|table| count(&db, table));
        assert_eq!(counts, [2_000; 4]);
    }
}

#[test]
fn a_lane_whose_session_has_no_row_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forebay.db");
    let lanes = [(session_lane("a/b"), 2), (session_lane("kept"), 1)];
    database_of_version_6(&path, &lanes);
    let db = Connection::open(&path).unwrap();
    db.execute_batch("DELETE FROM turns; DELETE FROM sessions WHERE session = 'a/b'")
        .unwrap();
    drop(db);

    let db = open_writer(&path).unwrap();
    for (lane, _) in &lanes {
        let session = lane.session().unwrap();
        let found = lane_of(&db, "sessions WHERE session", session.as_str());
        assert_eq!(found, Some(lane.to_string()));
    }
    assert_eq!(count(&db, "sessions"), 2);
}

#[test]
fn without_free_space_a_migration_does_not_begin() {
    let path = Path::new("forebay.db");
    assert!(require_space(path, 2_000, 2_000).is_ok());
    let error = require_space(path, 2_000, 1_999).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("needs 2000 free bytes") && message.contains("has 1999"),
        "{message}"
    );
}
