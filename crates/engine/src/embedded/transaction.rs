//! A transaction and its writes, which the writing thread passes to the syncing thread.

use std::sync::mpsc;

use rusqlite::Connection;

use super::{counts::CountDeltas, disk_space::WriteKind};
use crate::rejection::Rejection;

/// An open transaction. Each write runs its statements in it.
pub(super) struct Transaction<'a> {
    pub(super) db: &'a Connection,
    /// The sum of what the writes add to the counts. The writer writes this sum once, before the commit.
    pub(super) counts: CountDeltas,
}

/// A write whose caller waits for the answer.
pub(super) trait QueuedWrite: Send {
    /// Runs the statements. If the transaction is rolled back, this is called again in another transaction.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()>;

    /// Which work the write belongs to.
    fn kind(&self) -> WriteKind;

    /// Answers the caller, once the write is durable or has failed.
    fn answer(self: Box<Self>, result: Result<(), Rejection>);
}

/// A transaction that SQLite has committed but that may not be on the disk yet.
pub(super) struct CommittedTransaction {
    /// The number that [`Durability`](super::durability::Durability) has given to the transaction.
    pub(super) number: u64,
    /// The writes to answer once the transaction is on the disk; none if the commit failed.
    pub(super) writes: Vec<Box<dyn QueuedWrite>>,
}

/// Sends committed transactions to the syncing thread.
pub(super) type CommittedSender = mpsc::SyncSender<CommittedTransaction>;

/// Answers all writes with the same rejection.
pub(super) fn reject_all(writes: Vec<Box<dyn QueuedWrite>>, rejection: &Rejection) {
    for write in writes {
        write.answer(Err(rejection.clone()));
    }
}
