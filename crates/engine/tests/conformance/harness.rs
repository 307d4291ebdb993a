//! What the suite needs from an engine.

use std::{sync::Arc, time::Duration};

use forebay_shared::{queue::Queue, store::Store, time::TimeMs};

/// Longer than any step of a test takes.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// An engine under test: empty at the start, and used by one test only.
pub(crate) trait Harness: Sized + Send {
    /// How many wakes of a class the queue holds; `None` if only the disk limits them.
    const QUEUE_CAPACITY: Option<usize>;

    /// Starts a new, empty engine.
    async fn start() -> Self;

    /// The engine's store.
    fn store(&self) -> Arc<dyn Store>;

    /// The engine's queue.
    fn queue(&self) -> Arc<dyn Queue>;

    /// Restarts the engine and its servers, which keep their data. The stores and queues from before the restart no
    /// longer work.
    async fn restart(&mut self);
}

/// Waits until `is_true` returns true. For things that a store removes by its server's own clock: this clock may be up to a
/// second behind the store's clock.
pub(crate) async fn wait_until(mut is_true: impl AsyncFnMut() -> bool) {
    let poll = async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let result = tokio::time::timeout(TIMEOUT, poll).await;
    assert!(result.is_ok(), "not true within {TIMEOUT:?}");
}

/// Waits until the store's clock has passed `time`.
pub(crate) async fn wait_until_passed(store: &dyn Store, time: TimeMs) {
    while store.now() <= time {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
