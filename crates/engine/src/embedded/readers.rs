//! The threads that read, each on its own connection, so that reads do not wait for writes.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{closeable_sender::CloseableSender, sqlite_error::EngineClosed};
use crate::rejection::Rejection;

/// How many reads may wait. Further callers wait until there is space.
const CAPACITY: usize = 1_024;

type QueuedRead = Box<dyn FnOnce(&Connection) + Send>;

/// A handle to the reading threads.
pub(super) struct Readers {
    reads: CloseableSender<QueuedRead>,
}

/// The loop of each thread.
pub(super) struct ReaderLoop {
    db: Connection,
    reads: Arc<Mutex<mpsc::Receiver<QueuedRead>>>,
}

impl Readers {
    /// Returns a handle, and for each connection a loop to run on a thread of its own.
    pub(super) fn new(connections: Vec<Connection>) -> (Self, Vec<ReaderLoop>) {
        let (sender, receiver) = CloseableSender::channel(CAPACITY);
        let reads = Arc::new(Mutex::new(receiver));
        let loops = connections
            .into_iter()
            .map(|db| ReaderLoop {
                db,
                reads: Arc::clone(&reads),
            })
            .collect();
        (Self { reads: sender }, loops)
    }

    /// Runs `query` on a snapshot of the database. Everything in the snapshot is on the disk, because SQLite syncs a commit
    /// before it shows the commit to readers (`synchronous = FULL`).
    pub(super) async fn run<T, Q>(&self, query: Q) -> Result<T, Rejection>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let read: QueuedRead = Box::new(move |db| {
            // If the caller is gone, nobody needs the result.
            if !sender.is_closed() {
                let _ = sender.send(read_snapshot(db, query));
            }
        });
        self.reads.send(read).await?;
        match answer.await {
            Ok(result) => result.map_err(Rejection::from),
            Err(_) => Err(Rejection::unavailable(EngineClosed)),
        }
    }

    /// Refuses new reads. The threads end after the waiting reads.
    pub(super) fn stop(&self) {
        self.reads.close();
    }
}

impl ReaderLoop {
    /// Reads until the handle is closed or dropped.
    pub(super) fn run(self) {
        loop {
            // One thread holds the lock and waits for a read. The others wait for the lock.
            let next = self
                .reads
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .blocking_recv();
            match next {
                Some(read) => read(&self.db),
                None => return,
            }
        }
    }
}

/// Runs `query` in one transaction, so that all its statements see the same snapshot.
fn read_snapshot<T>(
    db: &Connection,
    query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    db.prepare_cached("BEGIN")?.execute([])?;
    let result = query(db);
    // This releases the snapshot. Nothing was written.
    db.prepare_cached("ROLLBACK")?.execute([])?;
    result
}
