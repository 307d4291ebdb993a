//! The store in SQLite: runs reads and writes on the engine's threads, and maps their errors. `store_impl`
//! implements the trait `Store`.

use std::sync::Arc;

use forebay_shared::store::StoreError;
use rusqlite::Connection;

use super::{
    accounts::MemoryAccounts,
    disk_space::{DiskSpace, WriteKind},
    durability::Durability,
    fleet::MemoryFleet,
    readers::Readers,
    sqlite_error::DiskFailed,
    system_clock::SystemClock,
    watchers::Watchers,
    writer::Writer,
};
use crate::rejection::{OnStoreFull, Rejection};

/// The store in SQLite.
pub(super) struct SqliteStore {
    pub(super) writer: Writer,
    pub(super) readers: Readers,
    pub(super) durability: Arc<Durability>,
    pub(super) space: Arc<DiskSpace>,
    pub(super) clock: Arc<SystemClock>,
    pub(super) fleet: MemoryFleet,
    pub(super) accounts: MemoryAccounts,
    pub(super) watchers: Arc<Watchers>,
}

impl SqliteStore {
    /// Runs `query`, and waits until everything that it saw is on the disk.
    pub(super) async fn read<T, Q>(&self, query: Q) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let result = async {
            let snapshot = self.readers.run(query).await?;
            self.durability
                .until_synced(snapshot.newest_transaction)
                .await?;
            Ok(snapshot.value)
        };
        result
            .await
            .map_err(|rejection: Rejection| rejection.into_store_error(OnStoreFull::Retry))
    }

    /// Runs `query` without waiting for the disk. The result may contain a transaction that a crash can still undo, so no
    /// client may see the result. It may only lead to commits of this process, because the sync of a commit also covers
    /// all earlier transactions.
    pub(super) async fn read_unsynced<T, Q>(&self, query: Q) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let result = async {
            let snapshot = self.readers.run(query).await?;
            // After a failure, the transactions that the read saw may never reach the disk.
            if self.durability.has_failed() {
                return Err(Rejection::unavailable(DiskFailed));
            }
            Ok(snapshot.value)
        };
        result
            .await
            .map_err(|rejection| rejection.into_store_error(OnStoreFull::Retry))
    }

    /// Deletes up to `limit` records, sessions or keys in several writes. `delete` should stop after a short time, so that
    /// other writes can run in between. It returns how many it deleted, and 0 when nothing is left.
    pub(super) async fn delete_in_steps<D>(
        &self,
        limit: usize,
        delete: D,
    ) -> Result<u64, StoreError>
    where
        D: Fn(&Connection, usize) -> rusqlite::Result<u64> + Copy + Send + 'static,
    {
        let deleted_max = u64::try_from(limit).unwrap_or(u64::MAX);
        let mut deleted = 0;
        while deleted < deleted_max {
            let step_limit = usize::try_from(deleted_max - deleted).unwrap_or(limit);
            let deleted_in_step = self
                .write(OnStoreFull::Retry, move |db| delete(db, step_limit))
                .await?;
            if deleted_in_step == 0 {
                break;
            }
            deleted += deleted_in_step;
        }
        Ok(deleted)
    }

    /// Runs `statements` in a transaction, and waits until the transaction is on the disk.
    pub(super) async fn write<T, S>(
        &self,
        on_store_full: OnStoreFull,
        statements: S,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        S: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let kind = match on_store_full {
            OnStoreFull::Refuse => WriteKind::NewJob,
            OnStoreFull::Retry => WriteKind::Other,
        };
        let result = self
            .writer
            .run(kind, move |transaction| statements(transaction.db), |_| {})
            .await;
        result.map_err(|rejection| rejection.into_store_error(on_store_full))
    }

    /// Refuses new calls. Waiting calls are still run.
    pub(super) fn stop(&self) {
        self.writer.stop();
        self.readers.stop();
        self.watchers.stop();
    }
}
