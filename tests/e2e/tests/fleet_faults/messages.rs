//! The messages in a queue at this moment. The management API's counts of a quorum queue are some seconds old, which is
//! too old for these tests; reading the messages is exact.

use std::{collections::BTreeSet, time::Duration};

use e2e::fleet::{Fleet, until};
use serde_json::Value;

/// More messages than any of these tests has in a queue.
const MOST: u32 = 1_000;

/// The ready messages of a queue, which stay there.
pub(crate) async fn ready(fleet: &Fleet, queue: &str) -> Vec<Value> {
    let messages = fleet.vhost.get_messages(queue, MOST, false).await;
    messages.expect("the messages of a queue")
}

/// Waits until a queue has `count` ready messages.
pub(crate) async fn wait_until_ready(fleet: &Fleet, queue: &str, count: usize, limit: Duration) {
    let mut last = 0;
    let condition = async || {
        last = ready(fleet, queue).await.len();
        last == count
    };
    let became = until(limit, condition).await;
    assert!(became, "{queue} has {last} ready messages, not {count}");
}

/// Removes `count` messages from a queue, as if they were lost; returns their jobs.
pub(crate) async fn lose(fleet: &Fleet, queue: &str, count: u32) -> BTreeSet<String> {
    let lost = fleet.vhost.get_messages(queue, count, true).await;
    let lost = jobs_of(&lost.expect("messages"));
    assert_eq!(lost.len(), count as usize, "{lost:?}");
    lost
}

/// The jobs of these messages.
pub(crate) fn jobs_of(messages: &[Value]) -> BTreeSet<String> {
    let job_of = |message: &Value| {
        let wake = message["payload"].as_str().expect("a payload");
        let wake: Value = serde_json::from_str(wake).expect("a wake");
        wake["job"].as_str().expect("a job").to_owned()
    };
    messages.iter().map(job_of).collect()
}
