//! Waits for the events that a test expects, with a generous timeout.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// The timeout of a wait. It is longer than any step of these tests, so only failing tests reach it.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Waits until `future` completes. Panics after [`WAIT_MAX`]; the message contains `event`.
pub(crate) async fn wait_for<T>(event: &str, future: impl Future<Output = T>) -> T {
    timeout(WAIT_MAX, future)
        .await
        .unwrap_or_else(|_| panic!("this did not happen within 60 s: {event}"))
}

/// Checks `condition` repeatedly until it is true. Use this only for conditions that cause no event.
pub(crate) async fn wait_until(event: &str, condition: impl AsyncFn() -> bool) {
    wait_for(event, async {
        while !condition().await {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
