//! What lies in a queue this very moment. Of a quorum queue the management API's counts are some seconds
//! old, which is too long for what is tried here; looking at the messages is not.

use std::time::Duration;

use e2e::fleet::{Fleet, until};
use serde_json::Value;

/// More than any of these tests has in a queue.
const MOST: u32 = 1_000;

/// The ready messages of a queue. They stay there.
pub(crate) async fn ready(fleet: &Fleet, queue: &str) -> Vec<Value> {
    let messages = fleet.vhost.get_messages(queue, MOST, false).await;
    messages.expect("the messages of a queue")
}

/// Waits until a queue has so many ready messages.
pub(crate) async fn become_ready(fleet: &Fleet, queue: &str, count: usize, limit: Duration) {
    let mut last = 0;
    let so = async || {
        last = ready(fleet, queue).await.len();
        last == count
    };
    let became = until(limit, so).await;
    assert!(became, "{queue} has {last} ready messages, not {count}");
}
