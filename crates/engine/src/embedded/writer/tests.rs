//! Tests of the writing thread: which writes share a transaction, and what happens to writes that fail.

use rusqlite::ffi;

use super::*;
use crate::embedded::checkpointer;

/// Creates a writer whose loop is not running yet.
fn new_writer() -> (Arc<Writer>, WriterLoop) {
    let mut db = Connection::open_in_memory().unwrap();
    db.execute_batch("CREATE TABLE t (x INTEGER PRIMARY KEY)")
        .unwrap();
    let disk = Arc::<DiskHealth>::default();
    let checkpointer_db = Connection::open_in_memory().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let space = Arc::new(DiskSpace::open(folder.path()).unwrap());
    let (trigger, _) =
        checkpointer::new(&mut db, checkpointer_db, &disk, &space, || Ok(())).unwrap();
    let clock = Arc::new(StoreClock::start_in_test(&db));
    let (writer, writer_loop) = Writer::new(db, disk, trigger, space, clock);
    (Arc::new(writer), writer_loop)
}

async fn insert(writer: Arc<Writer>, value: i64) -> Result<(), Rejection> {
    let statements = move |Transaction { db, .. }: &mut Transaction<'_>| {
        // If the second statement fails, the first must be rolled back.
        db.execute("INSERT INTO t VALUES (?1)", [value + 1_000])?;
        db.execute("INSERT INTO t VALUES (?1)", [value]).map(drop)
    };
    writer.run(WriteKind::NewJob, statements, |()| {}).await
}

#[tokio::test]
async fn writes_that_wait_share_a_transaction() {
    let (writer, writer_loop) = new_writer();
    let mut writes = tokio::task::JoinSet::new();
    for value in 0..64 {
        writes.spawn(insert(writer.clone(), value));
    }
    // All 64 writes wait before the loop starts.
    writer.writes.until_holding(64).await;
    std::thread::spawn(move || writer_loop.run());
    for written in writes.join_all().await {
        written.unwrap();
    }
    assert_eq!(writer.transactions(), 1);
}

#[tokio::test]
async fn a_failed_write_is_rolled_back_and_the_others_are_stored() {
    let (writer, writer_loop) = new_writer();
    let mut writes = tokio::task::JoinSet::new();
    for value in [1, 2, 2, 3] {
        writes.spawn(insert(writer.clone(), value));
    }
    // The second statement of this write fails, because the first write has inserted 1,001.
    writes.spawn(insert(writer.clone(), 1_001));
    writer.writes.until_holding(5).await;
    std::thread::spawn(move || writer_loop.run());
    let failed = writes
        .join_all()
        .await
        .iter()
        .filter(|written| written.is_err())
        .count();
    assert_eq!(failed, 2);
    let count = |Transaction { db, .. }: &mut Transaction<'_>| {
        db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
    };
    assert_eq!(
        writer.run(WriteKind::Other, count, |_| {}).await.unwrap(),
        6
    );
    // One transaction for the group, one for each of its five writes, and one for the count.
    assert_eq!(writer.transactions(), 7);
}

#[tokio::test]
async fn on_a_full_disk_exactly_the_confirmed_writes_are_stored() {
    let (writer, writer_loop) = new_writer();
    writer_loop
        .db
        .execute_batch("CREATE TABLE blobs (x BLOB); PRAGMA max_page_count = 64;")
        .unwrap();
    let mut writes = tokio::task::JoinSet::new();
    for bytes in [10, 1_000_000, 10] {
        let statements = move |Transaction { db, .. }: &mut Transaction<'_>| {
            db.execute("INSERT INTO blobs VALUES (zeroblob(?1))", [bytes])
                .map(drop)
        };
        let writer = writer.clone();
        writes.spawn(async move { writer.run(WriteKind::NewJob, statements, |()| {}).await });
    }
    writer.writes.until_holding(3).await;
    std::thread::spawn(move || writer_loop.run());
    let answers = writes.join_all().await;
    let written = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(written < 3);
    let count = |Transaction { db, .. }: &mut Transaction<'_>| {
        db.query_row("SELECT count(*) FROM blobs", [], |row| row.get::<_, i64>(0))
    };
    let found = writer.run(WriteKind::Other, count, |_| {}).await.unwrap();
    assert_eq!(usize::try_from(found).unwrap(), written);
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_written() {
    let (writer, writer_loop) = new_writer();
    let disk = Arc::clone(&writer_loop.disk);
    let is_disk_failure = |result: &Result<(), Rejection>| match result {
        Err(Rejection::Unavailable(error)) => error.is::<DiskFailed>(),
        _ => false,
    };
    std::thread::spawn(move || writer_loop.run());
    insert(writer.clone(), 1).await.unwrap();
    // The error that SQLite returns when a sync fails.
    let failing = |_: &mut Transaction<'_>| {
        let code = ffi::Error::new(ffi::SQLITE_IOERR_FSYNC);
        Err(rusqlite::Error::SqliteFailure(code, None))
    };
    let failed = writer.run(WriteKind::NewJob, failing, |()| {}).await;
    assert!(is_disk_failure(&failed), "{failed:?}");
    disk.until_failed().await;
    let transactions = writer.transactions();
    let later = insert(writer.clone(), 2).await;
    assert!(is_disk_failure(&later), "{later:?}");
    assert_eq!(
        writer.transactions(),
        transactions,
        "a transaction began after the failure"
    );
}

#[tokio::test]
async fn a_stopped_writer_runs_the_waiting_writes_and_refuses_new_writes() {
    let (writer, writer_loop) = new_writer();
    let waiting = tokio::spawn(insert(writer.clone(), 1));
    writer.writes.until_holding(1).await;
    writer.stop();
    let thread = std::thread::spawn(move || writer_loop.run());
    waiting.await.unwrap().unwrap();
    let late = insert(writer, 2).await;
    assert!(matches!(late, Err(Rejection::Unavailable(_))), "{late:?}");
    thread.join().unwrap();
}
