//! Waiting for a server, always with a bound.

use std::time::{Duration, Instant};

/// The pause between two tries.
pub(crate) const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Asks until the answer is yes, at most for `limit`; says whether it was.
pub(crate) async fn until<A: Future<Output = bool>>(
    limit: Duration,
    mut answer: impl FnMut() -> A,
) -> bool {
    let started = Instant::now();
    loop {
        if answer().await {
            return true;
        }
        if started.elapsed() >= limit {
            return false;
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

/// The same where there is no runtime, such as in a drop.
pub(crate) fn until_blocking(limit: Duration, mut answer: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if answer() {
            return true;
        }
        if started.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(BETWEEN_TRIES / 4);
    }
}
