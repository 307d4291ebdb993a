//! Tests of syncs, with the writing and reading threads around them.

use std::{
    thread::{self, JoinHandle},
    time::Duration,
};

use futures_util::FutureExt as _;
use rusqlite::Connection;
use tokio::task::JoinSet;

use super::*;
use crate::embedded::{
    checkpointer,
    disk_space::{DiskSpace, WriteKind},
    readers::{ReaderLoop, Readers},
    system_clock::SystemClock,
    transaction::Transaction,
    writer::Writer,
};

/// An engine's threads. The test decides when each sync ends, and its result.
struct Engine {
    /// Receives a message when a sync begins.
    sync_begun: mpsc::Receiver<()>,
    /// Ends the sync that has begun, with this result.
    sync_results: mpsc::Sender<io::Result<()>>,
    durability: Arc<Durability>,
    writer: Arc<Writer>,
    readers: Readers,
    _folder: tempfile::TempDir,
    _threads: Vec<JoinHandle<()>>,
}

impl Engine {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let mut db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x INTEGER)")
            .unwrap();
        let (begun_sender, sync_begun) = mpsc::channel();
        let (sync_results, result) = mpsc::channel::<io::Result<()>>();
        // When the test has dropped its ends of the channels, all syncs fail.
        let sync = move || match begun_sender.send(()) {
            Ok(()) => result.recv().unwrap_or(Err(io::ErrorKind::Other.into())),
            Err(_) => Err(io::ErrorKind::Other.into()),
        };
        let durability = Arc::<Durability>::default();
        let (committed, syncer) = Syncer::new(Arc::clone(&durability), Box::new(sync));
        let checkpointer_db = Connection::open(&path).unwrap();
        let space = Arc::new(DiskSpace::open(folder.path()).unwrap());
        let (trigger, _) =
            checkpointer::new(&mut db, checkpointer_db, &durability, &space, || Ok(())).unwrap();
        let clock = Arc::new(SystemClock::start_in_test(&db));
        let (writer, writer_loop) = Writer::new(
            db,
            Arc::clone(&durability),
            committed,
            trigger,
            space,
            clock,
        );
        let reader = Connection::open(&path).unwrap();
        let (readers, reader_loops) = Readers::new(vec![reader], Arc::clone(&durability));
        let mut threads = vec![
            thread::spawn(move || syncer.run()),
            thread::spawn(move || writer_loop.run()),
        ];
        threads.extend(
            reader_loops
                .into_iter()
                .map(|reader_loop: ReaderLoop| thread::spawn(|| reader_loop.run())),
        );
        Self {
            sync_begun,
            sync_results,
            durability,
            writer: Arc::new(writer),
            readers,
            _folder: folder,
            _threads: threads,
        }
    }

    /// Starts a write that inserts a row.
    fn insert(&self, writes: &mut JoinSet<Result<(), Rejection>>, value: i64) {
        let writer = Arc::clone(&self.writer);
        writes.spawn(async move {
            let statements = move |transaction: &mut Transaction<'_>| {
                transaction
                    .db
                    .execute("INSERT INTO t VALUES (?1)", [value])
                    .map(drop)
            };
            writer.run(WriteKind::NewJob, statements, |()| {}).await
        });
    }

    /// Waits until a sync has begun.
    async fn wait_for_sync(&self) {
        while self.sync_begun.try_recv().is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Returns how many rows a read sees, and the number of the newest transaction that the read can have seen.
    async fn count_rows(&self) -> (i64, u64) {
        let count = |db: &Connection| {
            db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
        };
        let snapshot = self.readers.run(count).await.unwrap();
        (snapshot.value, snapshot.newest_transaction)
    }
}

fn is_disk_failure<T>(result: &Result<T, Rejection>) -> bool {
    match result {
        Err(Rejection::Unavailable(error)) => error.is::<DiskFailed>(),
        _ => false,
    }
}

#[tokio::test]
async fn nothing_is_answered_or_shown_before_it_is_on_the_disk() {
    let engine = Engine::start();
    let mut writes = JoinSet::new();
    engine.insert(&mut writes, 1);
    engine.wait_for_sync().await;
    // The row is committed, so a read sees it. No caller may learn of the row yet.
    let (count, newest) = engine.count_rows().await;
    assert_eq!(count, 1);
    let mut synced = std::pin::pin!(engine.durability.until_synced(newest));
    assert!(synced.as_mut().now_or_never().is_none());
    assert!(writes.join_next().now_or_never().is_none());

    engine.sync_results.send(Ok(())).unwrap();
    writes.join_next().await.unwrap().unwrap().unwrap();
    synced.await.unwrap();
}

#[tokio::test]
async fn transactions_that_are_committed_during_a_sync_share_the_next_sync() {
    let engine = Engine::start();
    let mut writes = JoinSet::new();
    engine.insert(&mut writes, 1);
    engine.wait_for_sync().await;
    for value in 2..=3 {
        engine.insert(&mut writes, value);
        while engine.count_rows().await.0 < value {
            tokio::task::yield_now().await;
        }
    }
    engine.sync_results.send(Ok(())).unwrap();
    engine.wait_for_sync().await;
    writes.join_next().await.unwrap().unwrap().unwrap();
    assert!(writes.join_next().now_or_never().is_none());
    engine.sync_results.send(Ok(())).unwrap();
    for _ in 0..2 {
        writes.join_next().await.unwrap().unwrap().unwrap();
    }
    assert!(
        engine.sync_begun.try_recv().is_err(),
        "three writes must not cause a third sync"
    );
}

#[tokio::test]
async fn after_a_failed_sync_no_write_is_ever_confirmed() {
    let engine = Engine::start();
    let mut writes = JoinSet::new();
    engine.insert(&mut writes, 1);
    engine.wait_for_sync().await;
    let (_, newest) = engine.count_rows().await;
    engine
        .sync_results
        .send(Err(io::ErrorKind::Other.into()))
        .unwrap();
    let failed = writes.join_next().await.unwrap().unwrap();
    assert!(is_disk_failure(&failed), "{failed:?}");
    let synced = engine.durability.until_synced(newest).await;
    assert!(is_disk_failure(&synced), "{synced:?}");

    engine.insert(&mut writes, 2);
    let failed = writes.join_next().await.unwrap().unwrap();
    assert!(is_disk_failure(&failed), "{failed:?}");
    assert!(
        engine.sync_begun.try_recv().is_err(),
        "after a failed sync, no other sync must be tried"
    );
    assert_eq!(
        engine.count_rows().await.0,
        1,
        "the write after the failed sync must not be in the table"
    );
}

#[test]
fn the_log_is_found_through_a_symbolic_link() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(
        sync_log_of(&path).is_err(),
        "the log must not exist before the first connection"
    );
    let db = Connection::open(&link).unwrap();
    db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
        .unwrap();
    let mut sync = sync_log_of(&link).unwrap();
    sync().unwrap();
    // An emptied log is still the same file.
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES (1)")
        .unwrap();
    sync().unwrap();
    let log = std::fs::metadata(folder.path().join("test.db-wal")).unwrap();
    assert!(log.len() > 0);
}
