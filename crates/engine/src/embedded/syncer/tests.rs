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
    readers::{ReaderLoop, Readers},
    transaction::Transaction,
    writer::Writer,
};

/// An engine's threads. The test sets the result of each sync.
struct Disk {
    /// Gets a message when a sync begins.
    begun: mpsc::Receiver<()>,
    /// Takes the result of the sync that has begun.
    results: mpsc::Sender<io::Result<()>>,
    durability: Arc<Durability>,
    writer: Arc<Writer>,
    readers: Readers,
    _folder: tempfile::TempDir,
    _threads: Vec<JoinHandle<()>>,
}

impl Disk {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let mut db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x INTEGER)")
            .unwrap();
        let (begins, begun) = mpsc::channel();
        let (results, result) = mpsc::channel::<io::Result<()>>();
        // After the test has ended, all syncs fail.
        let sync = move || match begins.send(()) {
            Ok(()) => result.recv().unwrap_or(Err(io::ErrorKind::Other.into())),
            Err(_) => Err(io::ErrorKind::Other.into()),
        };
        let durability = Arc::<Durability>::default();
        let (committed, syncer) = Syncer::new(Arc::clone(&durability), Box::new(sync));
        let other = Connection::open(&path).unwrap();
        let (trigger, _) = checkpointer::new(&mut db, other, &durability, || Ok(())).unwrap();
        let (writer, run) = Writer::new(db, Arc::clone(&durability), committed, trigger);
        let reader = Connection::open(&path).unwrap();
        let (readers, loops) = Readers::new(vec![reader], Arc::clone(&durability));
        let mut threads = vec![
            thread::spawn(move || syncer.run()),
            thread::spawn(move || run.run()),
        ];
        threads.extend(
            loops
                .into_iter()
                .map(|run: ReaderLoop| thread::spawn(|| run.run())),
        );
        Self {
            begun,
            results,
            durability,
            writer: Arc::new(writer),
            readers,
            _folder: folder,
            _threads: threads,
        }
    }

    fn insert(&self, writes: &mut JoinSet<Result<(), Rejection>>, x: i64) {
        let writer = Arc::clone(&self.writer);
        writes.spawn(async move {
            let insert = move |transaction: &mut Transaction<'_>| {
                transaction
                    .db
                    .execute("INSERT INTO t VALUES (?1)", [x])
                    .map(drop)
            };
            writer.run(insert, |()| {}).await
        });
    }

    /// Waits until a sync has begun.
    async fn syncing(&self) {
        while self.begun.try_recv().is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// How many rows a read sees, and the newest transaction that it can have seen.
    async fn count(&self) -> (i64, u64) {
        let count = |db: &Connection| {
            db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
        };
        let seen = self.readers.run(count).await.unwrap();
        (seen.value, seen.newest_transaction)
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
    let disk = Disk::start();
    let mut writes = JoinSet::new();
    disk.insert(&mut writes, 1);
    disk.syncing().await;
    // The row can be read, since it is committed. No caller may learn of it yet.
    let (count, newest) = disk.count().await;
    assert_eq!(count, 1);
    let mut synced = std::pin::pin!(disk.durability.until_synced(newest));
    assert!(synced.as_mut().now_or_never().is_none());
    assert!(writes.join_next().now_or_never().is_none());

    disk.results.send(Ok(())).unwrap();
    writes.join_next().await.unwrap().unwrap().unwrap();
    synced.await.unwrap();
}

#[tokio::test]
async fn transactions_that_are_committed_during_a_sync_share_the_next() {
    let disk = Disk::start();
    let mut writes = JoinSet::new();
    disk.insert(&mut writes, 1);
    disk.syncing().await;
    for x in 2..=3 {
        disk.insert(&mut writes, x);
        while disk.count().await.0 < x {
            tokio::task::yield_now().await;
        }
    }
    disk.results.send(Ok(())).unwrap();
    disk.syncing().await;
    writes.join_next().await.unwrap().unwrap().unwrap();
    assert!(writes.join_next().now_or_never().is_none());
    disk.results.send(Ok(())).unwrap();
    for _ in 0..2 {
        writes.join_next().await.unwrap().unwrap().unwrap();
    }
    assert!(disk.begun.try_recv().is_err(), "two syncs for three writes");
}

#[tokio::test]
async fn after_a_failed_sync_no_write_is_ever_confirmed() {
    let disk = Disk::start();
    let mut writes = JoinSet::new();
    disk.insert(&mut writes, 1);
    disk.syncing().await;
    let (_, newest) = disk.count().await;
    disk.results.send(Err(io::ErrorKind::Other.into())).unwrap();
    let failed = writes.join_next().await.unwrap().unwrap();
    assert!(is_disk_failure(&failed), "{failed:?}");
    let synced = disk.durability.until_synced(newest).await;
    assert!(is_disk_failure(&synced), "{synced:?}");

    disk.insert(&mut writes, 2);
    let failed = writes.join_next().await.unwrap().unwrap();
    assert!(is_disk_failure(&failed), "{failed:?}");
    assert!(disk.begun.try_recv().is_err(), "no further sync is tried");
    assert_eq!(disk.count().await.0, 1, "nothing more is written");
}

#[test]
fn the_log_is_found_through_a_symbolic_link() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(sync_log_of(&path).is_err(), "there is no log yet");
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
