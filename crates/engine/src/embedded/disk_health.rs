//! Tracks which transactions are on the disk. No caller may learn of a transaction that a crash can still undo.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::watch;

use super::sqlite_error::DiskFailed;
use crate::rejection::Rejection;

/// The newest transaction, and the newest transaction on the disk. Transactions are numbered in the order of their
/// commits.
pub(super) struct Durability {
    /// The number of the newest transaction that may have been committed.
    newest: AtomicU64,
    synced: watch::Sender<Synced>,
}

#[derive(Clone, Copy)]
struct Synced {
    /// This transaction and all before it are on the disk.
    number: u64,
    /// Whether the disk failed. Then no later transaction counts as durable.
    has_failed: bool,
}

impl Default for Durability {
    fn default() -> Self {
        Self {
            newest: AtomicU64::new(0),
            synced: watch::Sender::new(Synced {
                number: 0,
                has_failed: false,
            }),
        }
    }
}

impl Durability {
    /// Numbers a transaction that is about to be committed. Each number must be passed to
    /// [`mark_synced`](Self::mark_synced) later, even if the commit fails.
    pub(super) fn next_number(&self) -> u64 {
        self.newest.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The number of the newest transaction. A read that has ended before this call has seen no newer transaction.
    pub(super) fn newest_number(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Reports that this transaction and all before it are on the disk.
    pub(super) fn mark_synced(&self, number: u64) {
        self.synced.send_modify(|synced| synced.number = number);
    }

    /// Reports that the disk failed.
    pub(super) fn mark_failed(&self) {
        self.synced.send_modify(|synced| synced.has_failed = true);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.synced.borrow().has_failed
    }

    /// Waits until the disk has failed.
    pub(super) async fn until_failed(&self) {
        // `wait_for` cannot fail, because this struct owns the sender.
        let mut synced = self.synced.subscribe();
        let _ = synced.wait_for(|synced| synced.has_failed).await;
    }

    /// Waits until this transaction is on the disk.
    pub(super) async fn until_synced(&self, number: u64) -> Result<(), Rejection> {
        let can_answer = |synced: &Synced| synced.number >= number || synced.has_failed;
        let mut synced = self.synced.subscribe();
        match synced.wait_for(can_answer).await.map(|synced| *synced) {
            Ok(synced) if synced.number >= number => Ok(()),
            _ => Err(Rejection::unavailable(DiskFailed)),
        }
    }
}

/// A guard for a thread. If the thread panics, the guard marks the disk as failed, so that callers do not wait forever.
pub(super) struct FailOnPanic(pub(super) Arc<Durability>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.mark_failed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn callers_do_not_wait_for_a_thread_that_panicked() {
        let durability = Arc::<Durability>::default();
        let number = durability.next_number();
        let guard = FailOnPanic(Arc::clone(&durability));
        let thread = std::thread::spawn(move || {
            let _guard = guard;
            panic!("this panic is a part of the test");
        });
        let synced = durability.until_synced(number).await;
        assert!(
            matches!(synced, Err(Rejection::Unavailable(_))),
            "{synced:?}"
        );
        durability.until_failed().await;
        assert!(thread.join().is_err());
    }
}
