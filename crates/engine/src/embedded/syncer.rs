//! The thread that makes committed transactions durable, and then answers their writes.
//!
//! One sync of SQLite's write-ahead log covers all transactions that were committed during the previous sync.
//! ARCHITECTURE.md, "The threads around SQLite", explains why this thread exists.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{Arc, mpsc},
};

use super::{
    durability::Durability,
    sqlite_error::DiskFailed,
    transaction::{CommittedSender, CommittedTransaction},
};
use crate::rejection::Rejection;

/// How many transactions may wait for the current sync. When more would wait, the writing thread waits, and its next
/// group gets larger.
const CAPACITY: usize = 2;

/// Syncs the write-ahead log to the disk.
pub(super) type SyncFn = Box<dyn FnMut() -> io::Result<()> + Send>;

/// The loop of the thread.
pub(super) struct Syncer {
    committed: mpsc::Receiver<CommittedTransaction>,
    durability: Arc<Durability>,
    sync: SyncFn,
}

impl Syncer {
    /// Returns the sender for committed transactions, and the loop to run on a thread of its own.
    pub(super) fn new(durability: Arc<Durability>, sync: SyncFn) -> (CommittedSender, Self) {
        let (sender, committed) = mpsc::sync_channel(CAPACITY);
        let syncer = Self {
            committed,
            durability,
            sync,
        };
        (sender, syncer)
    }

    /// Runs until the writing thread has ended.
    pub(super) fn run(mut self) {
        let mut batch = Vec::new();
        while let Ok(first) = self.committed.recv() {
            batch.push(first);
            batch.extend(self.committed.try_iter());
            self.sync_and_answer(&mut batch);
        }
    }

    fn sync_and_answer(&mut self, batch: &mut Vec<CommittedTransaction>) {
        // A transaction without writes comes from a failed commit, and needs no sync.
        let has_writes = batch
            .iter()
            .any(|transaction| !transaction.writes.is_empty());
        if has_writes
            && !self.durability.has_failed()
            && let Err(error) = (self.sync)()
        {
            // A later sync that succeeds would prove nothing: the system may have dropped the pages that it
            // could not write.
            tracing::error!(
                %error,
                "the write-ahead log cannot be synced: nothing is written any more, and the process ends; \
                 check the disk of the data folder"
            );
            self.durability.mark_failed();
        }
        let has_failed = self.durability.has_failed();
        for CommittedTransaction { number, writes } in batch.drain(..) {
            if !has_failed {
                self.durability.mark_synced(number);
            }
            for write in writes {
                write.answer(if has_failed {
                    Err(Rejection::unavailable(DiskFailed))
                } else {
                    Ok(())
                });
            }
        }
    }
}

/// Returns a function that syncs the write-ahead log of an open database. The log stays the same file for as
/// long as a connection is open.
pub(super) fn sync_log_of(
    database: &Path,
) -> io::Result<impl FnMut() -> io::Result<()> + Send + 'static> {
    // SQLite resolves all symbolic links and puts its log beside the real file.
    let mut path = database.canonicalize()?.into_os_string();
    path.push("-wal");
    let log = File::open(path)?;
    Ok(move || log.sync_data())
}

#[cfg(test)]
mod tests;
