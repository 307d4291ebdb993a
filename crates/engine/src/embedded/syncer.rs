//! The thread that makes committed transactions durable: it syncs SQLite's write-ahead log, once for all
//! transactions that were committed since it began the last time, and only then answers their writes.
//!
//! SQLite could sync at each commit itself (`synchronous = FULL`), but then the writing thread stands still
//! meanwhile. With `NORMAL` it leaves the log to us, and still syncs all that its own safety needs: the log before
//! a checkpoint copies from it, and the database before the log is used anew.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{Arc, mpsc},
};

use super::{durable::Durable, failure::Failure, writer::Write};

/// Transactions that wait for the sync that is under way; then the writing thread waits too, and its next group
/// gets larger.
const WAITING_MAX: usize = 2;

/// A transaction that was committed, or of which nothing came.
pub(super) struct Committed {
    pub(super) number: u64,
    /// What to answer once it is on the disk.
    pub(super) writes: Vec<Box<dyn Write>>,
}

/// Where the writing thread hands transactions over.
pub(super) type Handover = mpsc::SyncSender<Committed>;

/// A way to put on the disk what was committed.
pub(super) type Sync = Box<dyn FnMut() -> io::Result<()> + Send>;

/// What the thread runs.
pub(super) struct Syncer {
    waiting: mpsc::Receiver<Committed>,
    durable: Arc<Durable>,
    sync: Sync,
}

impl Syncer {
    /// A way in, and the loop to run on a thread of its own. `sync` puts on the disk what was committed.
    pub(super) fn new(durable: Arc<Durable>, sync: Sync) -> (Handover, Self) {
        let (handover, waiting) = mpsc::sync_channel(WAITING_MAX);
        let syncer = Self {
            waiting,
            durable,
            sync,
        };
        (handover, syncer)
    }

    /// Syncs until the writing thread has ended.
    pub(super) fn run(mut self) {
        let mut committed = Vec::new();
        while let Ok(first) = self.waiting.recv() {
            committed.push(first);
            committed.extend(self.waiting.try_iter());
            self.settle(&mut committed);
        }
    }

    fn settle(&mut self, committed: &mut Vec<Committed>) {
        let has_writes = committed.iter().any(|one| !one.writes.is_empty());
        if has_writes
            && !self.durable.has_failed()
            && let Err(error) = (self.sync)()
        {
            // What the system does with pages that it could not write is not known, so a later sync that goes
            // well would say nothing of them.
            tracing::error!(%error, "the database's log cannot be synced: nothing is written any more");
            self.durable.fail();
        }
        let has_failed = self.durable.has_failed();
        for Committed { number, writes } in committed.drain(..) {
            if !has_failed {
                self.durable.reach(number);
            }
            for write in writes {
                write.settle(if has_failed {
                    Err(Failure::Unsynced)
                } else {
                    Ok(())
                });
            }
        }
    }
}

/// Syncs the write-ahead log of a database that is open. It is one file for as long as a connection is open.
pub(super) fn log_of(
    database: &Path,
) -> io::Result<impl FnMut() -> io::Result<()> + Send + 'static> {
    // SQLite puts its log beside the file that it finds at the end of all links.
    let mut path = database.canonicalize()?.into_os_string();
    path.push("-wal");
    let log = File::open(path)?;
    Ok(move || log.sync_data())
}

#[cfg(test)]
mod tests {
    use std::{
        thread::{self, JoinHandle},
        time::Duration,
    };

    use futures_util::FutureExt as _;
    use rusqlite::Connection;
    use tokio::task::JoinSet;

    use super::*;
    use crate::embedded::{
        copier,
        readers::{ReaderLoop, Readers},
        writer::{Transaction, Writer},
    };

    /// A disk that syncs when the test says how that goes.
    struct Disk {
        /// One for each sync that has begun.
        begun: mpsc::Receiver<()>,
        go_on: mpsc::Sender<io::Result<()>>,
        durable: Arc<Durable>,
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
            let (tell, begun) = mpsc::channel();
            let (go_on, told) = mpsc::channel::<io::Result<()>>();
            // A test that is over lets all syncs fail.
            let sync = move || match tell.send(()) {
                Ok(()) => told.recv().unwrap_or(Err(io::ErrorKind::Other.into())),
                Err(_) => Err(io::ErrorKind::Other.into()),
            };
            let durable = Arc::<Durable>::default();
            let (committed, syncer) = Syncer::new(Arc::clone(&durable), Box::new(sync));
            let copies = Connection::open(&path).unwrap();
            let (log, _) = copier::new(&mut db, copies, &durable, || Ok(())).unwrap();
            let (writer, run) = Writer::new(db, Arc::clone(&durable), committed, log);
            let reader = Connection::open(&path).unwrap();
            let (readers, loops) = Readers::new(vec![reader], Arc::clone(&durable));
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
                go_on,
                durable,
                writer: Arc::new(writer),
                readers,
                _folder: folder,
                _threads: threads,
            }
        }

        fn insert(&self, writes: &mut JoinSet<Result<(), Failure>>, x: i64) {
            let writer = Arc::clone(&self.writer);
            writes.spawn(async move {
                let insert = move |to: &mut Transaction<'_>| {
                    to.db.execute("INSERT INTO t VALUES (?1)", [x]).map(drop)
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
            (seen.value, seen.newest)
        }
    }

    #[tokio::test]
    async fn nothing_is_answered_and_nothing_told_before_it_is_on_the_disk() {
        let disk = Disk::start();
        let mut writes = JoinSet::new();
        disk.insert(&mut writes, 1);
        disk.syncing().await;
        // It is committed, so it can be read; but not told yet.
        let (count, newest) = disk.count().await;
        assert_eq!(count, 1);
        let mut told = std::pin::pin!(disk.durable.wait(newest));
        assert!(told.as_mut().now_or_never().is_none());
        assert!(writes.join_next().now_or_never().is_none());

        disk.go_on.send(Ok(())).unwrap();
        writes.join_next().await.unwrap().unwrap().unwrap();
        told.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_committed_during_a_sync_shares_the_next() {
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
        disk.go_on.send(Ok(())).unwrap();
        disk.syncing().await;
        writes.join_next().await.unwrap().unwrap().unwrap();
        assert!(writes.join_next().now_or_never().is_none());
        disk.go_on.send(Ok(())).unwrap();
        for _ in 0..2 {
            writes.join_next().await.unwrap().unwrap().unwrap();
        }
        assert!(disk.begun.try_recv().is_err(), "two syncs for three writes");
    }

    #[tokio::test]
    async fn after_a_sync_that_failed_nothing_is_ever_said_to_be_written() {
        let disk = Disk::start();
        let mut writes = JoinSet::new();
        disk.insert(&mut writes, 1);
        disk.syncing().await;
        let (_, newest) = disk.count().await;
        disk.go_on.send(Err(io::ErrorKind::Other.into())).unwrap();
        let failed = writes.join_next().await.unwrap().unwrap();
        assert!(matches!(failed, Err(Failure::Unsynced)), "{failed:?}");
        let told = disk.durable.wait(newest).await;
        assert!(matches!(told, Err(Failure::Unsynced)), "{told:?}");

        disk.insert(&mut writes, 2);
        let failed = writes.join_next().await.unwrap().unwrap();
        assert!(matches!(failed, Err(Failure::Unsynced)), "{failed:?}");
        assert!(disk.begun.try_recv().is_err(), "no further sync is tried");
        assert_eq!(disk.count().await.0, 1, "nothing more is written");
    }

    #[test]
    fn the_log_of_a_database_is_synced_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(log_of(&path).is_err(), "there is no log yet");
        let db = Connection::open(&link).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
            .unwrap();
        let mut sync = log_of(&link).unwrap();
        sync().unwrap();
        // Emptied, it is the same file still.
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES (1)")
            .unwrap();
        sync().unwrap();
        let log = std::fs::metadata(folder.path().join("test.db-wal")).unwrap();
        assert!(log.len() > 0);
    }
}
