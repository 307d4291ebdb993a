//! The store in SQLite: runs reads and writes on the engine's threads, and maps their errors.

use std::sync::Arc;

use forebay_shared::store::StoreError;
use rusqlite::Connection;

use super::{
    durability::Durability, fleet::MemoryFleet, readers::Readers, sqlite_error::DiskFailed,
    system_clock::SystemClock, watchers::Watchers, writer::Writer,
};
use crate::rejection::{OnStoreFull, Rejection};

/// The store in SQLite.
pub(super) struct SqliteStore {
    pub(super) writer: Writer,
    pub(super) readers: Readers,
    pub(super) durability: Arc<Durability>,
    pub(super) clock: SystemClock,
    pub(super) fleet: MemoryFleet,
    pub(super) watchers: Arc<Watchers>,
}

impl SqliteStore {
    /// Reads, and waits until everything that the read saw is on the disk.
    pub(super) async fn read<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let answer = async {
            let seen = self.readers.run(work).await?;
            self.durability
                .until_synced(seen.newest_transaction)
                .await?;
            Ok(seen.value)
        };
        answer
            .await
            .map_err(|rejection: Rejection| rejection.into_store_error(OnStoreFull::Retry))
    }

    /// Reads without waiting for the disk. The result may contain a transaction that a crash can still undo, so no client
    /// may see it. Use it only for later commits of this process: the sync of such a commit also covers all earlier
    /// transactions.
    pub(super) async fn read_unsynced<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let answer = async {
            let seen = self.readers.run(work).await?;
            // After a failure, the transactions that the read saw may never reach the disk.
            if self.durability.has_failed() {
                return Err(Rejection::unavailable(DiskFailed));
            }
            Ok(seen.value)
        };
        answer
            .await
            .map_err(|rejection| rejection.into_store_error(OnStoreFull::Retry))
    }

    /// Deletes up to `limit` records, sessions or keys in several writes. Each write stops after a short time, so that other
    /// writes can run before the next one.
    pub(super) async fn delete_in_steps<W>(
        &self,
        limit: usize,
        delete: W,
    ) -> Result<u64, StoreError>
    where
        W: Fn(&Connection, usize) -> rusqlite::Result<u64> + Copy + Send + 'static,
    {
        let limit_all = u64::try_from(limit).unwrap_or(u64::MAX);
        let mut deleted = 0;
        while deleted < limit_all {
            let left = usize::try_from(limit_all - deleted).unwrap_or(limit);
            let step = self
                .write(OnStoreFull::Retry, move |db| delete(db, left))
                .await?;
            if step == 0 {
                break;
            }
            deleted += step;
        }
        Ok(deleted)
    }

    /// Runs `work` in a transaction, and waits until the transaction is on the disk.
    pub(super) async fn write<T, W>(
        &self,
        on_store_full: OnStoreFull,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let answer = self
            .writer
            .run(move |transaction| work(transaction.db), |_| {});
        let answer = answer.await;
        answer.map_err(|rejection| rejection.into_store_error(on_store_full))
    }

    /// Refuses new calls. Calls that wait already are still run.
    pub(super) fn stop(&self) {
        self.writer.stop();
        self.readers.stop();
        self.watchers.stop();
    }
}
