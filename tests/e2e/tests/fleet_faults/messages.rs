//! What lies in a queue this very moment. Of a quorum queue the management API's counts are some seconds
//! old, which is too long for what is tried here; looking at the messages is not.

use std::{collections::BTreeSet, time::Duration};

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

/// Takes so many messages out of a queue, as if they had been lost; returns whose they were.
pub(crate) async fn lose(fleet: &Fleet, queue: &str, count: u32) -> BTreeSet<String> {
    let lost = fleet.vhost.get_messages(queue, count, true).await;
    let lost = jobs_of(&lost.expect("messages"));
    assert_eq!(lost.len(), count as usize, "{lost:?}");
    lost
}

/// The jobs that messages ask for.
pub(crate) fn jobs_of(messages: &[Value]) -> BTreeSet<String> {
    let job_of = |message: &Value| {
        let wake = message["payload"].as_str().expect("a payload");
        let wake: Value = serde_json::from_str(wake).expect("a wake");
        wake["job"].as_str().expect("a job").to_owned()
    };
    messages.iter().map(job_of).collect()
}
