//! What the suite needs of an engine.

use std::{sync::Arc, time::Duration};

use forebay_shared::{queue::Queue, store::Store, time::TimeMs};

/// Longer than anything here takes; whatever is awaited so long does not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An engine under test, empty at its start and shared with no other test.
pub(crate) trait Harness: Sized + Send {
    /// How many wakes of a class fit in the queue; `None` where only the disk bounds them.
    const QUEUE_CAPACITY: Option<usize>;

    /// A new, empty engine.
    async fn start() -> Self;

    /// Its store.
    fn store(&self) -> Arc<dyn Store>;

    /// Its queue.
    fn queue(&self) -> Arc<dyn Queue>;

    /// Restarts the engine, servers and all, and keeps what it had on disk. What `store` and `queue`
    /// gave before is of no more use.
    async fn restart(&mut self);
}

/// Waits until the store's clock has passed `at`.
pub(crate) async fn passed(store: &dyn Store, at: TimeMs) {
    while store.now() <= at {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
