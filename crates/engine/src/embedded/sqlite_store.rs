//! The store in SQLite: runs reads and writes on the engine's threads, and maps their errors. `store_impl`
//! implements the trait `Store`.

use std::sync::Arc;

use forebay_shared::store::StoreError;
use rusqlite::Connection;

use super::{
    accounts::MemoryAccounts,
    disk_health::DiskHealth,
    disk_space::{DiskSpace, WriteKind},
    fleet::MemoryFleet,
    readers::Readers,
    store_clock::StoreClock,
    tenant_usage::MemoryUsage,
    watchers::Watchers,
    writer::Writer,
};
use crate::rejection::OnStoreFull;

/// The store in SQLite.
pub(super) struct SqliteStore {
    pub(super) writer: Writer,
    pub(super) readers: Readers,
    pub(super) disk: Arc<DiskHealth>,
    pub(super) space: Arc<DiskSpace>,
    pub(super) clock: Arc<StoreClock>,
    pub(super) fleet: MemoryFleet,
    pub(super) accounts: MemoryAccounts,
    pub(super) tenant_usage: MemoryUsage,
    pub(super) watchers: Arc<Watchers>,
}

impl SqliteStore {
    /// Runs `query` on a snapshot. Everything in the snapshot is on the disk.
    pub(super) async fn read<T, Q>(&self, query: Q) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let read = self.readers.run(query).await;
        read.map_err(|rejection| rejection.into_store_error(OnStoreFull::Retry))
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
