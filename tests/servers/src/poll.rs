//! Waits for a condition by polling, always with a timeout.

use std::time::{Duration, Instant};

/// The pause between two polls.
pub(crate) const INTERVAL: Duration = Duration::from_millis(20);

/// Polls `condition` until it is true, for at most `timeout`. Returns whether it became true.
pub(crate) async fn until<A: Future<Output = bool>>(
    timeout: Duration,
    mut condition: impl FnMut() -> A,
) -> bool {
    let started = Instant::now();
    loop {
        if condition().await {
            return true;
        }
        if started.elapsed() >= timeout {
            return false;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Does the same as [`until`], but blocks the thread. For code outside of an async runtime, such as a `drop`.
pub(crate) fn until_blocking(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if started.elapsed() >= timeout {
            return false;
        }
        // Most callers wait for a killed process, which ends within a few milliseconds.
        std::thread::sleep(INTERVAL / 4);
    }
}
