//! The embedded engine: a SQLite file in the data folder, and wakes in memory.
//!
//! One process works on the folder at a time, and its lock says which. All writes go through one
//! thread (`writer`) that groups what waits into one transaction; another (`syncer`) answers once that is
//! on the disk (`durable` says which are), a third (`copier`) copies it from SQLite's log into the database. Reads go
//! to a few threads of their own (`readers`). A file for each table says how it is read and written. Presence, the
//! election and the queue are in memory and die with the process.
//!
//! What it leaves to others: every rule about jobs. A commit says what the lane is afterwards.

mod change;
mod clock;
mod columns;
mod copier;
mod counts;
mod durable;
mod failure;
mod fleet;
mod folder;
mod intake;
mod jobs;
mod keys;
mod lanes;
mod moment;
mod open_error;
mod packed;
mod queue;
mod readers;
mod schema;
mod sessions;
mod store;
mod syncer;
mod timers;
mod watchers;
mod writer;

use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use forebay_shared::{queue::Queue, store::Store};

pub use open_error::OpenError;
pub use queue::QUEUE_CAPACITY;

/// Threads that read. Two, so that one long read does not hold up all others.
const READERS: usize = 2;

/// The embedded engine, open on its data folder.
///
/// When this and all that [`store`](Self::store) and [`queue`](Self::queue) gave are dropped, the
/// engine ends by itself; [`close`](Self::close) ends it at once and waits until the folder is free.
pub struct Embedded {
    store: Arc<store::SqliteStore>,
    queue: Arc<queue::Wakes>,
    threads: Vec<JoinHandle<()>>,
}

impl Embedded {
    /// Opens the data folder, which is made if there is none, and brings its tables up to date. Blocks
    /// for as long as that takes.
    ///
    /// # Errors
    /// [`OpenError`], which says what to change; above all [`OpenError::Held`] when another process
    /// works on the folder.
    pub fn open(data_dir: &Path) -> Result<Self, OpenError> {
        Self::open_through(data_dir, |sync| sync)
    }

    /// The same, with what `through` makes of the way to sync the log.
    fn open_through(
        data_dir: &Path,
        through: impl FnOnce(syncer::Sync) -> syncer::Sync,
    ) -> Result<Self, OpenError> {
        // Held by every thread, so that the folder is free only when the last one has let go.
        let folder = Arc::new(folder::Folder::hold(data_dir)?);
        let database = folder.database();
        let durable = Arc::<durable::Durable>::default();
        let mut db = schema::open_writer(&database)?;
        let copies = schema::open_copier(&database)?;
        let unusable = |source| OpenError::Folder {
            path: data_dir.to_owned(),
            source,
        };
        let mut sync = syncer::log_of(&database).map_err(unusable)?;
        sync().map_err(unusable)?;
        let sync = through(Box::new(sync));
        let (committed, run_syncer) = syncer::Syncer::new(Arc::clone(&durable), sync);
        let copied = Arc::clone(&folder);
        let (log, run_copier) =
            copier::new(&mut db, copies, &durable, move || copied.sync_database()).map_err(
                |source| OpenError::Database {
                    path: database.clone(),
                    source,
                },
            )?;
        let (writer, run_writer) = writer::Writer::new(db, Arc::clone(&durable), committed, log);
        let connections = (0..READERS)
            .map(|_| schema::open_reader(&database))
            .collect::<Result<_, _>>()?;
        let (readers, run_readers) = readers::Readers::new(connections, Arc::clone(&durable));

        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let held = Arc::clone(&folder);
            let alarm = durable::FailsOnPanic(Arc::clone(&durable));
            let body = move || {
                let _alarm = alarm;
                run();
                drop(held);
            };
            let thread = thread::Builder::new().name(name.to_owned()).spawn(body);
            thread.map_err(|source| OpenError::Thread { source })
        };
        let mut threads = vec![
            start("forebay-write", Box::new(move || run_writer.run()))?,
            start("forebay-sync", Box::new(move || run_syncer.run()))?,
            start("forebay-copy", Box::new(move || run_copier.run()))?,
        ];
        for run in run_readers {
            threads.push(start("forebay-read", Box::new(move || run.run()))?);
        }
        tracing::debug!(data_dir = %folder.path().display(), "data folder opened");
        Ok(Self {
            store: Arc::new(store::SqliteStore {
                writer,
                readers,
                durable,
                clock: clock::Clock::default(),
                fleet: fleet::Fleet::default(),
                watchers: Arc::default(),
            }),
            queue: Arc::default(),
            threads,
        })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> Arc<dyn Queue> {
        Arc::clone(&self.queue) as Arc<dyn Queue>
    }

    /// How many transactions were written since the folder was opened: fewer than commits, when
    /// commits came in bursts.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.store.writer.transactions()
    }

    /// Waits until the disk has failed. From then on nothing is read or written; another process may find the disk well
    /// again, and all that was answered for on it.
    pub async fn failed(&self) {
        self.store.durable.failed().await;
    }

    /// Ends the engine: what waits is still written, later calls find it unavailable, and the folder
    /// is free when this returns.
    pub async fn close(self) {
        self.queue.stop();
        self.store.stop();
        let threads = self.threads;
        let ended = tokio::task::spawn_blocking(move || {
            threads
                .into_iter()
                .map(JoinHandle::join)
                .filter(Result::is_err)
                .count()
        });
        if !matches!(ended.await, Ok(0)) {
            tracing::error!("a thread of the database did not end well");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use forebay_shared::{
        class::Class,
        ids::{JobId, TenantId},
        queue::QueueError,
        store::{KeyEntry, KeyOutcome, StoreError},
        time::TimeMs,
    };

    use futures_util::FutureExt as _;

    use super::*;

    async fn claim(store: &dyn Store, key: &str) -> Result<KeyOutcome, StoreError> {
        let tenant = TenantId::default();
        let entry = KeyEntry {
            job: JobId::fresh(&tenant, None),
            body_sha256: "00".repeat(32),
            created_at: TimeMs(1),
        };
        store.claim_key(&tenant, key, &entry, 3_600_000).await
    }

    #[tokio::test]
    async fn a_folder_is_held_until_its_engine_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Embedded::open(folder.path()).unwrap();
        let (store, queue) = (engine.store(), engine.queue());
        let mut consumer = queue.consume(Class::Batch, 1).await.unwrap();
        let waits = tokio::spawn(async move { consumer.next().await.is_none() });
        tokio::task::yield_now().await;
        let second = Embedded::open(folder.path());
        assert!(matches!(second, Err(OpenError::Held { .. })));

        engine.close().await;
        assert!(waits.await.unwrap(), "a closed queue ends its consumers");
        assert!(claim(store.as_ref(), "k").await.unwrap_err().is_transient());
        assert!(store.counts().await.unwrap_err().is_transient());
        let closed = queue.consume(Class::Batch, 1).await;
        assert!(matches!(closed, Err(QueueError::Closed)));
        Embedded::open(folder.path()).unwrap().close().await;
    }

    #[tokio::test]
    async fn writes_at_one_time_share_transactions() {
        const WRITES: usize = 64;
        let folder = tempfile::tempdir().unwrap();
        let engine = Embedded::open(folder.path()).unwrap();
        let mut writes = tokio::task::JoinSet::new();
        for n in 0..WRITES {
            let store = engine.store();
            writes.spawn(async move { claim(store.as_ref(), &n.to_string()).await });
        }
        for written in writes.join_all().await {
            assert_eq!(written.unwrap(), KeyOutcome::Set);
        }
        assert!(engine.transactions() < WRITES as u64 / 2);
        engine.close().await;
    }

    /// What a process that is killed leaves behind is what its files hold at that moment.
    #[tokio::test]
    async fn what_was_answered_is_in_the_files_already() {
        let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let engine = Embedded::open(folder.path()).unwrap();
        let set = claim(engine.store().as_ref(), "k").await;
        assert_eq!(set.unwrap(), KeyOutcome::Set);
        for file in fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let after = Embedded::open(copy.path()).unwrap();
        let found = claim(after.store().as_ref(), "k").await;
        assert!(matches!(found, Ok(KeyOutcome::Found(_))), "{found:?}");
        after.close().await;
        engine.close().await;
    }

    #[tokio::test]
    async fn what_is_not_on_the_disk_yet_is_told_to_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let (go_on, told) = std::sync::mpsc::channel();
        let engine = Embedded::open_through(folder.path(), |mut sync| {
            Box::new(move || {
                // Its end lets all go on.
                let _ = told.recv();
                sync()
            })
        })
        .unwrap();
        let store = engine.store();
        let tenant = TenantId::default();
        let job = JobId::fresh(&tenant, None);
        let mut claimed = Box::pin(claim(store.as_ref(), "a"));
        // Read ahead, so it waits for no sync; once the write is committed, everything else does.
        while engine.transactions() == 0 {
            assert!(claimed.as_mut().now_or_never().is_none());
            store.counts().await.unwrap();
        }
        let mut read = Box::pin(store.job(&tenant, job));
        for _ in 0..20 {
            assert!(claimed.as_mut().now_or_never().is_none());
            assert!(read.as_mut().now_or_never().is_none());
            store.counts().await.unwrap();
        }
        go_on.send(()).unwrap();
        assert!(matches!(claimed.await, Ok(KeyOutcome::Set)));
        assert!(read.await.unwrap().is_none());
        drop((go_on, store));
        engine.close().await;
    }
}
