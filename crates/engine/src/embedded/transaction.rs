//! A transaction, and the writes that wait for one.

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
    /// Runs the statements. If the transaction is rolled back, this may be called again in another transaction.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()>;

    /// Which work the write belongs to.
    fn kind(&self) -> WriteKind;

    /// Answers the caller, once the write is on the disk or has failed.
    fn answer(self: Box<Self>, result: Result<(), Rejection>);
}

/// Answers all writes with the same result.
pub(super) fn answer_all(writes: Vec<Box<dyn QueuedWrite>>, result: &Result<(), Rejection>) {
    for write in writes {
        write.answer(result.clone());
    }
}
