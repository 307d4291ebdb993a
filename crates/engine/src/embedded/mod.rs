//! The embedded engine: the store in one SQLite file in the data folder, and the queue in memory.
//!
//! Only one process at a time can use the folder: a lock file enforces this (`data_folder`).
//!
//! The store has these threads:
//! - `writer` runs the waiting writes together in one transaction, commits it to the disk and answers them,
//! - `checkpointer` copies SQLite's write-ahead log into the database,
//! - `readers` run reads.
//!
//! `disk_space` keeps space on the disk, so that accepted jobs can finish when the disk is full.
//!
//! ARCHITECTURE.md, "The threads around SQLite", explains why each thread exists.
//!
//! `store_impl` implements the trait `Store`, `limit_store_impl` the trait `LimitStore`, and `api_keys` the trait `ApiKeyStore`.
//! `commit` writes the rows of a commit. `lane_row`, `lanes`, `heads`, `jobs`, `timers`, `sessions`, `idempotency_keys`,
//! `deferred`, `tenant_limits` and `counts` each contain the statements of one part of the schema. Presence and the election
//! (`fleet`), the accounts of providers (`accounts`), the usage of tenants (`tenant_usage`), notices (`watchers`) and the queue
//! are in memory and end with the process.

mod accounts;
mod api_keys;
mod checkpointer;
mod closeable_sender;
mod columns;
mod commit;
mod counts;
mod data_folder;
mod deferred;
mod deletion_budget;
mod disk_health;
mod disk_space;
mod fleet;
mod heads;
mod idempotency_keys;
mod jobs;
mod lane_row;
mod lanes;
mod limit_store_impl;
mod open_error;
mod packed_wake;
mod queue;
mod readers;
mod schema;
mod sessions;
mod sqlite_error;
mod sqlite_store;
mod store_clock;
mod store_impl;
mod tenant_limits;
mod tenant_usage;
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

/// How many threads read. With two, one long read does not delay all others.
const READERS: usize = 2;

/// The embedded engine, open on its data folder.
///
/// [`close`](Self::close) ends the engine and waits until the folder is free. Without a call of `close`, the engine ends
/// when this value and everything that [`store`](Self::store) and [`queue`](Self::queue) returned are dropped.
pub struct Embedded {
    store: Arc<sqlite_store::SqliteStore>,
    queue: Arc<queue::MemoryQueue>,
    threads: Vec<JoinHandle<()>>,
}

impl Embedded {
    /// Opens the data folder and migrates its tables. Creates the folder if it does not exist. Blocks the thread
    /// until the folder is open.
    ///
    /// # Errors
    /// [`OpenError`]. Its message contains what to change. [`OpenError::InUse`] if another process uses the
    /// folder.
    pub fn open(data_dir: &Path) -> Result<Self, OpenError> {
        // Every thread keeps the folder locked until the thread ends.
        let folder = Arc::new(data_folder::DataFolder::lock(data_dir)?);
        let database = folder.database();
        let disk = Arc::<disk_health::DiskHealth>::default();
        let unusable = |source| OpenError::Folder {
            path: data_dir.to_owned(),
            source,
        };
        let space = Arc::new(disk_space::DiskSpace::open(data_dir).map_err(unusable)?);
        let mut db = open_writer(&database, &space)?;
        folder.sync_log().map_err(unusable)?;
        let synced_folder = Arc::clone(&folder);
        let (checkpoints, checkpointer_loop) = checkpointer::new(
            &mut db,
            schema::open_checkpointer(&database)?,
            &disk,
            &space,
            move || synced_folder.sync_database(),
        )
        .map_err(|source| OpenError::Database {
            path: database.clone(),
            source,
        })?;
        let clock = store_clock::StoreClock::start(&db);
        let clock = Arc::new(clock.map_err(|source| OpenError::Database {
            path: database.clone(),
            source,
        })?);
        let (writer, writer_loop) = writer::Writer::new(
            db,
            Arc::clone(&disk),
            checkpoints,
            Arc::clone(&space),
            Arc::clone(&clock),
        );
        let connections = (0..READERS)
            .map(|_| schema::open_reader(&database))
            .collect::<Result<_, _>>()?;
        let (readers, reader_loops) = readers::Readers::new(connections);

        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let locked_folder = Arc::clone(&folder);
            let guard = disk_health::FailOnPanic(Arc::clone(&disk));
            let thread_body = move || {
                let _guard = guard;
                run();
                drop(locked_folder);
            };
            let thread = thread::Builder::new()
                .name(name.to_owned())
                .spawn(thread_body);
            thread.map_err(|source| OpenError::Thread { source })
        };
        let mut threads = vec![
            start("forebay-write", Box::new(move || writer_loop.run()))?,
            start(
                "forebay-checkpoint",
                Box::new(move || checkpointer_loop.run()),
            )?,
        ];
        for reader_loop in reader_loops {
            threads.push(start("forebay-read", Box::new(move || reader_loop.run()))?);
        }
        tracing::debug!(data_dir = %folder.path().display(), "data folder opened");
        Ok(Self {
            store: Arc::new(sqlite_store::SqliteStore {
                writer,
                readers,
                disk,
                space,
                clock,
                fleet: fleet::MemoryFleet::default(),
                accounts: accounts::MemoryAccounts::default(),
                tenant_usage: tenant_usage::MemoryUsage::default(),
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

    /// How many transactions were begun since the folder was opened. Concurrent commits share a transaction.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.store.writer.transactions()
    }

    /// Waits until the disk has failed. From then on the engine writes nothing more. Everything that the engine confirmed
    /// is on the disk, so a later process finds it if the disk works again.
    pub async fn failed(&self) {
        self.store.disk.until_failed().await;
    }

    /// Ends the engine. Waiting calls are still run. Later calls return
    /// [`StoreError::Unavailable`](forebay_shared::store::StoreError::Unavailable). When this returns, another process
    /// can use the folder.
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

/// Opens the connection that writes. If the disk is full, releases the reserve until the log of an earlier process is copied.
fn open_writer(
    database: &Path,
    space: &disk_space::DiskSpace,
) -> Result<rusqlite::Connection, OpenError> {
    loop {
        match schema::open_writer(database) {
            Err(OpenError::Database { source, .. })
                if disk_space::is_disk_full(&source) && space.release_step() =>
            {
                space.set_full();
            }
            opened => return opened,
        }
    }
}

#[cfg(test)]
mod tests;
