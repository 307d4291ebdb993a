//! Limits on how many tests of this binary run at a time. Each test starts about six processes.

use e2e::slowdown;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The permits of tests.
static TESTS: Semaphore = Semaphore::const_new(2);
/// The permits of loads.
static LOADS: Semaphore = Semaphore::const_new(1);

/// Waits for a permit that a test keeps until its end. Also starts the measurement of the machine's slowdown.
pub(crate) async fn for_test() -> SemaphorePermit<'static> {
    slowdown::measure();
    acquire(&TESTS).await
}

/// Waits for a permit that a test keeps while it submits a whole load. One load uses two cores fully. Two loads at the
/// same time would take several times as long, and gateways would refuse submits that wait too long for the store.
pub(crate) async fn for_load() -> SemaphorePermit<'static> {
    acquire(&LOADS).await
}

async fn acquire(semaphore: &'static Semaphore) -> SemaphorePermit<'static> {
    let permit = semaphore.acquire().await;
    permit.expect("the semaphore is never closed")
}
