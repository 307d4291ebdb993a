//! The ready messages of a queue. The counts of a quorum queue in the management API are some seconds old, so these
//! functions fetch the messages instead.

use std::{collections::BTreeSet, time::Duration};

use e2e::fleet::{Fleet, poll_until};
use serde_json::Value;

/// More messages than any of these tests has in a queue.
const FETCH_MAX: u32 = 1_000;

/// The ready messages of a queue. They stay in the queue.
pub(crate) async fn ready(fleet: &Fleet, queue: &str) -> Vec<Value> {
    let remove = false;
    let messages = fleet.vhost.get_messages(queue, FETCH_MAX, remove).await;
    messages.expect("RabbitMQ returns the messages")
}

/// Waits until a queue has `count` ready messages.
pub(crate) async fn wait_for_ready(fleet: &Fleet, queue: &str, count: usize, timeout: Duration) {
    let mut last_count = 0;
    let has_count = async || {
        last_count = ready(fleet, queue).await.len();
        last_count == count
    };
    let in_time = poll_until(timeout, has_count).await;
    assert!(
        in_time,
        "{queue} has {last_count} ready messages after {timeout:?}, not {count}"
    );
}

/// Waits until a queue has more than `count` ready messages, and returns them. They stay in the queue.
pub(crate) async fn wait_for_more_than(
    fleet: &Fleet,
    queue: &str,
    count: usize,
    timeout: Duration,
) -> Vec<Value> {
    let mut messages = Vec::new();
    let has_more = async || {
        messages = ready(fleet, queue).await;
        messages.len() > count
    };
    let in_time = poll_until(timeout, has_more).await;
    let ready = messages.len();
    assert!(
        in_time,
        "{queue} has {ready} ready messages after {timeout:?}, not more than {count}"
    );
    messages
}

/// Removes `count` messages from a queue, as if RabbitMQ had lost them. Returns the ids of their jobs.
pub(crate) async fn remove(fleet: &Fleet, queue: &str, count: u32) -> BTreeSet<String> {
    let remove = true;
    let removed = fleet.vhost.get_messages(queue, count, remove).await;
    let removed = job_ids(&removed.expect("RabbitMQ returns the messages"));
    assert_eq!(
        removed.len(),
        count as usize,
        "the removed messages do not belong to {count} different jobs: {removed:?}"
    );
    removed
}

/// The ids of the jobs that the messages name.
pub(crate) fn job_ids(messages: &[Value]) -> BTreeSet<String> {
    let job_id = |message: &Value| {
        let wake = message["payload"]
            .as_str()
            .expect("the message has a payload");
        let wake: Value = serde_json::from_str(wake).expect("the payload is JSON");
        wake["job"]
            .as_str()
            .expect("the wake names a job")
            .to_owned()
    };
    messages.iter().map(job_id).collect()
}
