//! The one thread that writes.
//!
//! This thread runs the waiting writes together in one transaction and commits it. SQLite syncs its log in the commit
//! (`synchronous = FULL`), so each write is on the disk when it is answered.
//!
//! If one write of a group fails, the group is rolled back, and each write gets a transaction of its own. A
//! savepoint around each write would avoid the rollback, but it would always cost a copy of every page that a write
//! changes.
//!
//! If the disk is full, the writes that are not of the kind `WriteKind::NewJob` are tried again with space of the reserve
//! (`disk_space`).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    checkpointer::CheckpointTrigger,
    closeable_sender::CloseableSender,
    counts::CountDeltas,
    disk_health::DiskHealth,
    disk_space::{DiskSpace, WriteKind, is_disk_full},
    sqlite_error::{DiskFailed, EngineClosed, is_failed_sync},
    store_clock::StoreClock,
    transaction::{QueuedWrite, Transaction, answer_all},
};
use crate::rejection::Rejection;

/// How many writes may wait for the thread. Further callers wait until there is space.
const CAPACITY: usize = 1_024;
/// The most writes in one transaction.
const GROUP_MAX: usize = 128;

/// A handle to the writing thread.
pub(super) struct Writer {
    writes: CloseableSender<Box<dyn QueuedWrite>>,
    transactions: Arc<AtomicU64>,
}

/// The loop of the thread.
pub(super) struct WriterLoop {
    db: Connection,
    writes: mpsc::Receiver<Box<dyn QueuedWrite>>,
    transactions: Arc<AtomicU64>,
    disk: Arc<DiskHealth>,
    checkpoints: CheckpointTrigger,
    space: Arc<DiskSpace>,
    clock: Arc<StoreClock>,
}

impl Writer {
    /// Returns a handle, and the loop to run on a thread of its own.
    pub(super) fn new(
        db: Connection,
        disk: Arc<DiskHealth>,
        checkpoints: CheckpointTrigger,
        space: Arc<DiskSpace>,
        clock: Arc<StoreClock>,
    ) -> (Self, WriterLoop) {
        let (sender, writes) = CloseableSender::channel(CAPACITY);
        let transactions = Arc::<AtomicU64>::default();
        let writer = Self {
            writes: sender,
            transactions: Arc::clone(&transactions),
        };
        let writer_loop = WriterLoop {
            db,
            writes,
            transactions,
            disk,
            checkpoints,
            space,
            clock,
        };
        (writer, writer_loop)
    }

    /// Runs `statements` in a transaction. When this returns, either all or none of their changes are on the disk.
    /// `statements` may run several times; then the changes of all runs but the last are rolled back. `on_committed` runs once the
    /// transaction is on the disk, even if the caller is gone.
    pub(super) async fn run<T, S, A>(
        &self,
        kind: WriteKind,
        statements: S,
        on_committed: A,
    ) -> Result<T, Rejection>
    where
        T: Send + 'static,
        S: Fn(&mut Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        A: FnOnce(&T) + Send + 'static,
    {
        let (answer_sender, answer) = oneshot::channel();
        let write = PendingWrite {
            kind,
            statements,
            on_committed,
            output: None,
            answer_sender,
        };
        self.writes.send(Box::new(write)).await?;
        let closed = |_| Err(Rejection::unavailable(EngineClosed));
        answer.await.unwrap_or_else(closed)
    }

    /// Refuses new writes. The thread ends after the waiting writes.
    pub(super) fn stop(&self) {
        self.writes.close();
    }

    /// How many transactions the thread has begun.
    pub(super) fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }
}

impl WriterLoop {
    /// Writes until the handle is closed or dropped. Then copies the complete write-ahead log into the database.
    pub(super) fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while let Some(first) = self.writes.blocking_recv() {
            group.push(first);
            while group.len() < GROUP_MAX
                && let Ok(next) = self.writes.try_recv()
            {
                group.push(next);
            }
            self.write(std::mem::take(&mut group));
            self.checkpoints.request_or_complete(&self.db);
        }
        self.checkpoints.until_idle();
        if !self.disk.has_failed()
            && let Err(error) = self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);")
        {
            tracing::warn!(
                %error,
                "the write-ahead log was not copied into the database; the next start copies it"
            );
        }
    }

    /// Runs a group of writes in one transaction. If one of them fails, each write gets a transaction of its own.
    fn write(&mut self, mut group: Vec<Box<dyn QueuedWrite>>) {
        let mut is_log_copied = false;
        loop {
            if self.disk.has_failed() {
                return answer_all(group, &Err(Rejection::unavailable(DiskFailed)));
            }
            self.transactions.fetch_add(1, Ordering::Relaxed);
            let (error, is_in_write) = match self.execute("BEGIN IMMEDIATE") {
                Ok(()) => match self.run_and_commit(&mut group) {
                    Ok(()) => return answer_all(group, &Ok(())),
                    Err(error) if is_failed_sync(&error) => {
                        self.fail(&error);
                        continue;
                    }
                    Err(error) => (error, true),
                },
                Err(error) => (error, false),
            };
            if is_in_write && group.len() > 1 {
                return group.into_iter().for_each(|write| self.write(vec![write]));
            }
            // An error of BEGIN has nothing to do with one of the writes, so they are not repeated one by one.
            if !self.make_space(&error, &group, &mut is_log_copied) {
                return answer_all(group, &Err(error.into()));
            }
        }
    }

    /// Makes space for a write that found the disk full. Returns whether the write can be tried again.
    fn make_space(
        &mut self,
        error: &rusqlite::Error,
        group: &[Box<dyn QueuedWrite>],
        is_log_copied: &mut bool,
    ) -> bool {
        if !is_disk_full(error) {
            return false;
        }
        self.space.set_full();
        let mut kinds = group.iter().map(|write| write.kind());
        if kinds.all(|kind| kind == WriteKind::NewJob) {
            return false;
        }
        // After the first copy, the transaction overwrites the log. If the transaction is longer than the log, only the
        // reserve helps.
        let can_overwrite = !*is_log_copied && self.checkpoints.copy_all(&self.db);
        *is_log_copied = true;
        can_overwrite || self.space.release_step()
    }

    /// Records that a sync failed. Nothing is written any more, because a later sync that succeeds would prove nothing: the system
    /// may have dropped the pages that it could not write.
    fn fail(&self, error: &rusqlite::Error) {
        tracing::error!(
            %error,
            "the write-ahead log cannot be synced: nothing is written any more, and the process ends; \
             check the disk of the data folder"
        );
        self.disk.mark_failed();
    }

    /// Runs the writes in the open transaction and ends it.
    fn run_and_commit(&self, writes: &mut [Box<dyn QueuedWrite>]) -> rusqlite::Result<()> {
        let committed = self.run_all(writes).and_then(|()| self.execute("COMMIT"));
        // After some errors, such as a full disk, SQLite itself has ended the transaction.
        if committed.is_err()
            && !self.db.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "a failed transaction could not be rolled back: all later writes fail; restart the process");
        }
        committed
    }

    fn run_all(&self, writes: &mut [Box<dyn QueuedWrite>]) -> rusqlite::Result<()> {
        let changes_before = self.db.total_changes();
        let mut transaction = Transaction {
            db: &self.db,
            counts: CountDeltas::default(),
        };
        for write in writes {
            write.run(&mut transaction)?;
        }
        transaction.counts.write(&self.db)?;
        if self.db.total_changes() > changes_before {
            self.clock.save_with_data(&self.db)?;
        }
        Ok(())
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.db.prepare_cached(sql)?.execute([]).map(drop)
    }
}

/// A write, and the channel to answer its caller.
struct PendingWrite<T, S, A> {
    kind: WriteKind,
    statements: S,
    on_committed: A,
    /// What the statements returned, once they have run.
    output: Option<T>,
    answer_sender: oneshot::Sender<Result<T, Rejection>>,
}

impl<T, S, A> QueuedWrite for PendingWrite<T, S, A>
where
    T: Send,
    S: Fn(&mut Transaction<'_>) -> rusqlite::Result<T> + Send,
    A: FnOnce(&T) + Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.output = Some((self.statements)(transaction)?);
        Ok(())
    }

    fn kind(&self) -> WriteKind {
        self.kind
    }

    fn answer(self: Box<Self>, result: Result<(), Rejection>) {
        let answer = match (result, self.output) {
            (Ok(()), Some(output)) => {
                (self.on_committed)(&output);
                Ok(output)
            }
            (Ok(()), None) => Err(Rejection::unavailable(EngineClosed)),
            (Err(rejection), _) => Err(rejection),
        };
        // The caller may be gone. The write is valid anyway.
        let _ = self.answer_sender.send(answer);
    }
}

#[cfg(test)]
mod tests;
