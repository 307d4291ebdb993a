//! How many of these tests run at the same time. Each starts half a dozen processes.

use tokio::sync::{Semaphore, SemaphorePermit};

static TESTS: Semaphore = Semaphore::const_new(2);
static LOADS: Semaphore = Semaphore::const_new(1);

/// A test holds this permit while it runs.
pub(crate) async fn permit() -> SemaphorePermit<'static> {
    acquired(&TESTS).await
}

/// A test holds this permit while it submits its load. One load keeps two cores busy. Two at the same time would take
/// several times as long, and gateways would refuse submits that wait too long for the store.
pub(crate) async fn load() -> SemaphorePermit<'static> {
    acquired(&LOADS).await
}

async fn acquired(semaphore: &'static Semaphore) -> SemaphorePermit<'static> {
    let permit = semaphore.acquire().await;
    permit.expect("the semaphore is never closed")
}
