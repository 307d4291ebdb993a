//! Which transactions are on the disk for sure, so that nothing is told before.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::failure::Failure;

/// Fails everything, should the thread that holds it panic: whoever waits for that thread would wait for ever.
pub(super) struct FailsOnPanic(pub(super) std::sync::Arc<Durable>);

impl Drop for FailsOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail();
        }
    }
}

/// The numbers of transactions: those that may have been committed, and those that are on the disk.
pub(super) struct Durable {
    begun: AtomicU64,
    synced: watch::Sender<Synced>,
}

#[derive(Clone, Copy)]
struct Synced {
    /// This transaction and all before it are on the disk.
    number: u64,
    /// The disk failed: no later one will ever be known to be.
    has_failed: bool,
}

impl Default for Durable {
    fn default() -> Self {
        Self {
            begun: AtomicU64::new(0),
            synced: watch::Sender::new(Synced {
                number: 0,
                has_failed: false,
            }),
        }
    }
}

impl Durable {
    /// The number of a transaction that is about to be committed. Every number that is given out must be reached,
    /// also if nothing came of the transaction.
    pub(super) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The newest transaction that a read which is over now can have seen.
    pub(super) fn seen(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// This transaction and all before it are on the disk.
    pub(super) fn reach(&self, number: u64) {
        self.synced.send_modify(|synced| synced.number = number);
    }

    /// The disk failed.
    pub(super) fn fail(&self) {
        self.synced.send_modify(|synced| synced.has_failed = true);
    }

    /// Waits until the disk has failed.
    pub(super) async fn failed(&self) {
        // Never an error: the sender is ours.
        let mut synced = self.synced.subscribe();
        let _ = synced.wait_for(|synced| synced.has_failed).await;
    }

    pub(super) fn has_failed(&self) -> bool {
        self.synced.borrow().has_failed
    }

    /// Waits until this transaction is on the disk.
    pub(super) async fn wait(&self, number: u64) -> Result<(), Failure> {
        let is_known = |synced: &Synced| synced.number >= number || synced.has_failed;
        let mut synced = self.synced.subscribe();
        // Never an error: the sender is ours.
        match synced.wait_for(is_known).await.map(|synced| *synced) {
            Ok(synced) if synced.number >= number => Ok(()),
            _ => Err(Failure::Unsynced),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_a_thread_that_panicked() {
        let durable = Arc::<Durable>::default();
        let number = durable.begin();
        let alarm = FailsOnPanic(Arc::clone(&durable));
        let thread = std::thread::spawn(move || {
            let _alarm = alarm;
            panic!("as the test wants it");
        });
        let told = durable.wait(number).await;
        assert!(matches!(told, Err(Failure::Unsynced)), "{told:?}");
        durable.failed().await;
        assert!(thread.join().is_err());
    }
}
