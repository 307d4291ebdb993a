//! The embedded engine: the store in one SQLite file in the data folder, and the queue in memory.
//!
//! One process at a time works on the folder, and a lock file enforces that (`data_folder`).
//!
//! The store has these threads:
//! - `writer` groups all writes that wait into one transaction,
//! - `syncer` syncs committed transactions to the disk and then answers their writes (`durability` tracks
//!   which transactions are on the disk),
//! - `checkpointer` copies SQLite's write-ahead log into the database,
//! - `readers` run reads.
//!
//! ARCHITECTURE.md, "The threads around SQLite", explains what each one gains.
//!
//! `commit` writes the rows of a commit; `lanes`, `jobs`, `timers`, `sessions`, `keys` and `counts` each know
//! one part of the schema. Presence, the election (`fleet`), notices (`watchers`) and the queue are in memory and end with
//! the process.

mod checkpointer;
mod closeable_sender;
mod columns;
mod commit;
mod counts;
mod data_folder;
mod deletion_budget;
mod durability;
mod fleet;
mod jobs;
mod keys;
mod lanes;
mod open_error;
mod packed;
mod queue;
mod readers;
mod schema;
mod sessions;
mod sqlite_error;
mod store;
mod syncer;
mod system_clock;
mod timers;
mod transaction;
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

/// How many threads read. With two, one long read does not hold up all others.
const READERS: usize = 2;

/// The embedded engine, open on its data folder.
///
/// [`close`](Self::close) ends the engine and waits until the folder is free. Without it, the engine ends when
/// this value and everything that [`store`](Self::store) and [`queue`](Self::queue) returned are dropped.
pub struct Embedded {
    store: Arc<store::SqliteStore>,
    queue: Arc<queue::MemoryQueue>,
    threads: Vec<JoinHandle<()>>,
}

impl Embedded {
    /// Opens the data folder. Creates it if there is none, and migrates its tables. Blocks the thread for as
    /// long as that takes.
    ///
    /// # Errors
    /// [`OpenError`], whose message says what to change. [`OpenError::Held`] if another process works on the
    /// folder.
    pub fn open(data_dir: &Path) -> Result<Self, OpenError> {
        Self::open_with_sync(data_dir, |sync| sync)
    }

    /// Opens the folder with a sync function that `wrap` makes from the real one.
    fn open_with_sync(
        data_dir: &Path,
        wrap: impl FnOnce(syncer::SyncFn) -> syncer::SyncFn,
    ) -> Result<Self, OpenError> {
        // Every thread holds the folder, so it is free only when the last thread has ended.
        let folder = Arc::new(data_folder::DataFolder::lock(data_dir)?);
        let database = folder.database();
        let durability = Arc::<durability::Durability>::default();
        let mut db = schema::open_writer(&database)?;
        let unusable = |source| OpenError::Folder {
            path: data_dir.to_owned(),
            source,
        };
        let mut sync = syncer::sync_log_of(&database).map_err(unusable)?;
        sync().map_err(unusable)?;
        let sync = wrap(Box::new(sync));
        let (committed, run_syncer) = syncer::Syncer::new(Arc::clone(&durability), sync);
        let synced = Arc::clone(&folder);
        let (checkpoints, run_checkpointer) = checkpointer::new(
            &mut db,
            schema::open_copier(&database)?,
            &durability,
            move || synced.sync_database(),
        )
        .map_err(|source| OpenError::Database {
            path: database.clone(),
            source,
        })?;
        let (writer, run_writer) =
            writer::Writer::new(db, Arc::clone(&durability), committed, checkpoints);
        let connections = (0..READERS)
            .map(|_| schema::open_reader(&database))
            .collect::<Result<_, _>>()?;
        let (readers, run_readers) = readers::Readers::new(connections, Arc::clone(&durability));

        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let held = Arc::clone(&folder);
            let guard = durability::FailOnPanic(Arc::clone(&durability));
            let body = move || {
                let _guard = guard;
                run();
                drop(held);
            };
            let thread = thread::Builder::new().name(name.to_owned()).spawn(body);
            thread.map_err(|source| OpenError::Thread { source })
        };
        let mut threads = vec![
            start("forebay-write", Box::new(move || run_writer.run()))?,
            start("forebay-sync", Box::new(move || run_syncer.run()))?,
            start("forebay-copy", Box::new(move || run_checkpointer.run()))?,
        ];
        for run in run_readers {
            threads.push(start("forebay-read", Box::new(move || run.run()))?);
        }
        tracing::debug!(data_dir = %folder.path().display(), "data folder opened");
        Ok(Self {
            store: Arc::new(store::SqliteStore {
                writer,
                readers,
                durability,
                clock: system_clock::SystemClock::default(),
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

    /// How many transactions were written since the folder was opened. It is below the number of commits when
    /// commits came in bursts.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.store.writer.transactions()
    }

    /// Waits until the disk has failed. After that the engine neither reads nor writes. Another process may
    /// find the disk working again, with everything that this one confirmed.
    pub async fn failed(&self) {
        self.store.durability.until_failed().await;
    }

    /// Ends the engine. Calls that wait are still done, later calls return
    /// [`StoreError::Unavailable`](forebay_shared::store::StoreError::Unavailable), and the folder is free when
    /// this returns.
    pub async fn close(self) {
        self.queue.stop();
        self.store.stop();
        let threads = self.threads;
        let panicked = tokio::task::spawn_blocking(move || {
            threads
                .into_iter()
                .map(JoinHandle::join)
                .filter(Result::is_err)
                .count()
        });
        if !matches!(panicked.await, Ok(0)) {
            tracing::error!("a thread of the database panicked; the next start recovers the data");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use forebay_shared::{
        class::Class,
        document::{UnknownFields, Version},
        ids::{JobId, TenantId},
        queue::QueueError,
        store::{IdempotencyEntry, SetKeyResult, StoreError},
        time::TimeMs,
    };

    use futures_util::FutureExt as _;

    use super::*;

    async fn claim(store: &dyn Store, key: &str) -> Result<SetKeyResult, StoreError> {
        let tenant = TenantId::default();
        let entry = IdempotencyEntry {
            v: Version::FIRST,
            job: JobId::fresh(&tenant, None),
            body_sha256: "00".repeat(32),
            created_at: TimeMs(1),
            unknown: UnknownFields::NONE,
        };
        store
            .set_idempotency_key(&tenant, key, &entry, 3_600_000)
            .await
    }

    #[tokio::test]
    async fn a_folder_is_locked_until_its_engine_is_closed() {
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
    async fn concurrent_writes_share_transactions() {
        const WRITES: usize = 64;
        let folder = tempfile::tempdir().unwrap();
        let engine = Embedded::open(folder.path()).unwrap();
        let mut writes = tokio::task::JoinSet::new();
        for n in 0..WRITES {
            let store = engine.store();
            writes.spawn(async move { claim(store.as_ref(), &n.to_string()).await });
        }
        for written in writes.join_all().await {
            assert_eq!(written.unwrap(), SetKeyResult::Set);
        }
        assert!(engine.transactions() < WRITES as u64 / 2);
        engine.close().await;
    }

    /// A copy of the files is what a process that is killed now leaves behind.
    #[tokio::test]
    async fn a_confirmed_write_is_in_the_files() {
        let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let engine = Embedded::open(folder.path()).unwrap();
        let set = claim(engine.store().as_ref(), "k").await;
        assert_eq!(set.unwrap(), SetKeyResult::Set);
        for file in fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let after = Embedded::open(copy.path()).unwrap();
        let found = claim(after.store().as_ref(), "k").await;
        assert!(
            matches!(found, Ok(SetKeyResult::AlreadySet(_))),
            "{found:?}"
        );
        after.close().await;
        engine.close().await;
    }

    #[tokio::test]
    async fn a_write_is_not_shown_before_it_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let (permit, permits) = std::sync::mpsc::channel();
        let engine = Embedded::open_with_sync(folder.path(), |mut sync| {
            Box::new(move || {
                // Without a sender this returns at once.
                let _ = permits.recv();
                sync()
            })
        })
        .unwrap();
        let store = engine.store();
        let tenant = TenantId::default();
        let job = JobId::fresh(&tenant, None);
        let mut claimed = Box::pin(claim(store.as_ref(), "a"));
        // `counts` does not wait for the disk. `job` and the write do.
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
        permit.send(()).unwrap();
        assert!(matches!(claimed.await, Ok(SetKeyResult::Set)));
        assert!(read.await.unwrap().is_none());
        drop((permit, store));
        engine.close().await;
    }
}
