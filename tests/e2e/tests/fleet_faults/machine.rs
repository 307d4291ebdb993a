//! How many of these tests have the machine at a time. Each has half a dozen processes.

use tokio::sync::{Semaphore, SemaphorePermit};

static PLACES: Semaphore = Semaphore::const_new(2);

/// Held by a test for as long as it runs.
pub(crate) async fn place() -> SemaphorePermit<'static> {
    let place = PLACES.acquire().await;
    place.expect("a semaphore that is never closed")
}
