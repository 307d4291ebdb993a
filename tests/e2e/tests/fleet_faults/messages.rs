//! The ready messages of a queue. The management API counts a quorum queue's messages with a delay of some
//! seconds, so these functions fetch the messages instead.

use std::{collections::BTreeSet, time::Duration};

use e2e::fleet::{Fleet, until};
use serde_json::Value;

/// More messages than any of these tests has in a queue.
const FETCH_MAX: u32 = 1_000;

/// The ready messages of a queue. They stay in the queue.
pub(crate) async fn ready(fleet: &Fleet, queue: &str) -> Vec<Value> {
    let messages = fleet.vhost.get_messages(queue, FETCH_MAX, false).await;
    messages.expect("the messages of a queue")
}

/// Waits until a queue has `count` ready messages.
pub(crate) async fn wait_for_ready(fleet: &Fleet, queue: &str, count: usize, limit: Duration) {
    let mut last = 0;
    let has_count = async || {
        last = ready(fleet, queue).await.len();
        last == count
    };
    let in_time = until(limit, has_count).await;
    assert!(in_time, "{queue} has {last} ready messages, not {count}");
}

/// Waits until a queue has more than `count` ready messages; returns them. They stay in the queue.
pub(crate) async fn wait_for_more_than(
    fleet: &Fleet,
    queue: &str,
    count: usize,
    limit: Duration,
) -> Vec<Value> {
    let mut last = Vec::new();
    let has_more = async || {
        last = ready(fleet, queue).await;
        last.len() > count
    };
    let in_time = until(limit, has_more).await;
    let ready = last.len();
    assert!(
        in_time,
        "{queue} has {ready} ready messages, not more than {count}"
    );
    last
}

/// Removes `count` messages from a queue, as if RabbitMQ had lost them; returns the ids of their jobs.
pub(crate) async fn remove(fleet: &Fleet, queue: &str, count: u32) -> BTreeSet<String> {
    let removed = fleet.vhost.get_messages(queue, count, true).await;
    let removed = job_ids(&removed.expect("messages"));
    assert_eq!(removed.len(), count as usize, "{removed:?}");
    removed
}

/// The ids of the jobs that the messages name.
pub(crate) fn job_ids(messages: &[Value]) -> BTreeSet<String> {
    let job_id = |message: &Value| {
        let wake = message["payload"].as_str().expect("a payload");
        let wake: Value = serde_json::from_str(wake).expect("a wake");
        wake["job"].as_str().expect("a job").to_owned()
    };
    messages.iter().map(job_id).collect()
}
