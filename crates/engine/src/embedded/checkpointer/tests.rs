//! Tests of the copies of the write-ahead log into the database.

use std::sync::atomic::AtomicBool;

use super::*;

const ROW_BYTES: i64 = 3_000;

struct Database {
    _folder: tempfile::TempDir,
    space: Arc<DiskSpace>,
    path: std::path::PathBuf,
    db: Connection,
}

impl Database {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE t (x)")
            .unwrap();
        Self {
            space: Arc::new(DiskSpace::open(folder.path()).unwrap()),
            _folder: folder,
            path,
            db,
        }
    }

    /// Writes about this many pages in one transaction.
    fn write(&self, pages: u32) {
        self.db.execute_batch("BEGIN").unwrap();
        let mut insert = self
            .db
            .prepare_cached("INSERT INTO t VALUES (zeroblob(?1))")
            .unwrap();
        for _ in 0..pages {
            insert.execute([ROW_BYTES]).unwrap();
        }
        self.db.execute_batch("COMMIT").unwrap();
    }
}

#[test]
fn the_log_stays_bounded_under_constant_writes() {
    let mut database = Database::new();
    let checkpointer_db = Connection::open(&database.path).unwrap();
    let disk = Arc::default();
    let (db, space) = (&mut database.db, &database.space);
    let (mut trigger, checkpointer) = new(db, checkpointer_db, &disk, space, || Ok(())).unwrap();
    let thread = thread::spawn(move || checkpointer.run());
    let mut longest = 0;
    let mut restarts = 0;
    let mut length_before = 0;
    for _ in 0..600 {
        database.write(100);
        trigger.request_or_complete(&database.db);
        let length = trigger.log_pages.load(Ordering::Relaxed);
        restarts += u32::from(length < length_before);
        length_before = length;
        longest = longest.max(length);
    }
    // The loop writes 60,000 pages, which is more than the log may hold.
    assert!(
        restarts > 0,
        "the log was never overwritten: it has {longest} pages"
    );
    assert!(
        longest < WAIT_FROM_PAGES + 1_000,
        "the log grew to {longest} pages"
    );
    trigger.until_idle();
    drop(trigger);
    thread.join().unwrap();
}

#[test]
fn the_writer_waits_for_the_copy_when_the_log_is_too_long() {
    let mut database = Database::new();
    let checkpointer_db = Connection::open(&database.path).unwrap();
    let disk = Arc::default();
    let (db, space) = (&mut database.db, &database.space);
    let (mut trigger, checkpointer) = new(db, checkpointer_db, &disk, space, || Ok(())).unwrap();
    database.write(COPY_FROM_PAGES);
    trigger.request_or_complete(&database.db);
    assert!(trigger.is_requested);
    database.write(COPY_FROM_PAGES);
    trigger.request_or_complete(&database.db);
    assert!(
        trigger.is_requested,
        "the writer waited although the log is still short"
    );
    database.write(2 * COPY_FROM_PAGES);
    let thread = thread::spawn(move || checkpointer.run());
    trigger.request_or_complete(&database.db);
    assert!(
        !trigger.is_requested,
        "the writer did not wait for the copy"
    );
    database.write(1);
    assert!(
        trigger.log_pages.load(Ordering::Relaxed) < 10,
        "the log was not overwritten from its start"
    );
    drop(trigger);
    thread.join().unwrap();
}

#[test]
fn after_a_failed_sync_nothing_is_copied() {
    let mut database = Database::new();
    let checkpointer_db = Connection::open(&database.path).unwrap();
    let disk = Arc::<DiskHealth>::default();
    let failing_sync = || Err(io::ErrorKind::Other.into());
    let (db, space) = (&mut database.db, &database.space);
    let (mut trigger, checkpointer) = new(db, checkpointer_db, &disk, space, failing_sync).unwrap();
    let thread = thread::spawn(move || checkpointer.run());
    database.write(COPY_FROM_PAGES);
    trigger.request_or_complete(&database.db);
    trigger.until_idle();
    assert!(disk.has_failed());
    let length_before = trigger.log_pages.load(Ordering::Relaxed);
    database.write(COPY_FROM_PAGES);
    trigger.request_or_complete(&database.db);
    assert!(!trigger.is_requested);
    database.write(1);
    assert!(
        trigger.log_pages.load(Ordering::Relaxed) > length_before,
        "the log was overwritten"
    );
    drop(trigger);
    thread.join().unwrap();
}

#[test]
fn a_copy_is_postponed_while_another_program_copies() {
    static IS_WAITING: AtomicBool = AtomicBool::new(false);
    let database = Database::new();
    database.write(10);
    // The open read blocks a RESTART checkpoint. This checkpoint keeps SQLite's checkpoint lock while it waits.
    let reader = Connection::open(&database.path).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM t;")
        .unwrap();
    database.write(10);
    let mut other = Connection::open(&database.path).unwrap();
    other
        .busy_handler(Some(|tries| {
            IS_WAITING.store(true, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
            tries < 20_000
        }))
        .unwrap();
    let copying = thread::spawn(move || {
        other.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| {
            row.get::<_, bool>(0)
        })
    });
    while !IS_WAITING.load(Ordering::Relaxed) {
        assert!(!copying.is_finished(), "the read did not block the copy");
        thread::yield_now();
    }
    let disk = DiskHealth::default();
    assert!(matches!(
        checkpoint(&database.db, &disk),
        Checkpoint::Postponed
    ));
    assert!(!disk.has_failed());
    assert!(
        !copying.is_finished(),
        "the other copy ended before this copy was tried"
    );
    drop(reader);
    let was_blocked = copying.join().unwrap().unwrap();
    assert!(!was_blocked, "the other copy was not completed");
    assert!(matches!(
        checkpoint(&database.db, &disk),
        Checkpoint::Copied(_)
    ));
}
