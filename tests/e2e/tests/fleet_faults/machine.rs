//! How many of these tests have the machine at a time. Each has half a dozen processes.

use tokio::sync::{Semaphore, SemaphorePermit};

static PLACES: Semaphore = Semaphore::const_new(2);
static LOADS: Semaphore = Semaphore::const_new(1);

/// Held by a test for as long as it runs.
pub(crate) async fn place() -> SemaphorePermit<'static> {
    acquired(&PLACES).await
}

/// Held while a whole load is submitted. One takes all that two cores have: with a second beside it both
/// would take several times as long, and refuse submits that wait too long for the store.
pub(crate) async fn load() -> SemaphorePermit<'static> {
    acquired(&LOADS).await
}

async fn acquired(semaphore: &'static Semaphore) -> SemaphorePermit<'static> {
    let permit = semaphore.acquire().await;
    permit.expect("a semaphore that is never closed")
}
