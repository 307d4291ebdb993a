//! Waits for what a test expects, with a generous timeout.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Longer than anything in these tests takes. It ends a test that waits in vain.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Waits until `future` completes.
pub(crate) async fn wait_for<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(WAIT_MAX, future)
        .await
        .unwrap_or_else(|_| panic!("it did not happen: {what}"))
}

/// Checks `condition` again and again until it holds. For conditions that no event announces.
pub(crate) async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) {
    wait_for(what, async {
        while !condition().await {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
