//! The messages of RabbitMQ's queues as JSON, with one message in each line.

use std::time::Duration;

use e2e::fleet::{BATCH, INTERACTIVE};
use serde_json::{Value, json};
use servers::rabbit::Vhost;
use tokio::time::{Instant, sleep};

/// The most messages that are read from a queue. Each queue of the fixture has fewer.
const MESSAGES_MAX: u32 = 100;

/// How long a gateway may take to declare the queues.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns all ready messages, and leaves them in their queues.
pub(crate) async fn dump(vhost: &Vhost) -> String {
    let mut lines = String::new();
    for queue in [INTERACTIVE, BATCH] {
        let remove = false;
        let messages = vhost.get_messages(queue, MESSAGES_MAX, remove).await;
        for message in messages.expect("RabbitMQ returns the messages") {
            let line = json!({"queue": queue, "payload": message["payload"]});
            lines.push_str(&format!("{line}\n"));
        }
    }
    lines
}

/// Publishes the message of each line. A gateway may be ready before it has declared the queues, so this function
/// waits until the queues exist.
pub(crate) async fn load(vhost: &Vhost, lines: &str) {
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).expect("the line is JSON");
        let text = |name: &str| line[name].as_str().expect("the field is text");
        let (queue, payload) = (text("queue"), text("payload").as_bytes());
        let started = Instant::now();
        while let Err(error) = vhost.publish_raw(queue, payload).await {
            assert!(
                started.elapsed() < QUEUE_TIMEOUT,
                "the queue {queue} does not exist after {QUEUE_TIMEOUT:?}: {error:#}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
}
