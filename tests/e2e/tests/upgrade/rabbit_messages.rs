//! The messages of RabbitMQ's queues as JSON: one message a line.

use e2e::fleet::{BATCH, INTERACTIVE};
use serde_json::{Value, json};
use servers::rabbit::Vhost;

const MESSAGES_MAX: u32 = 100;

/// Writes all ready messages down, and leaves them.
pub(crate) async fn dump(vhost: &Vhost) -> String {
    let mut lines = String::new();
    for queue in [INTERACTIVE, BATCH] {
        let messages = vhost.get_messages(queue, MESSAGES_MAX, false).await;
        for message in messages.expect("messages") {
            let line = json!({"queue": queue, "payload": message["payload"]});
            lines.push_str(&format!("{line}\n"));
        }
    }
    lines
}

/// Publishes the messages of the lines.
pub(crate) async fn load(vhost: &Vhost, lines: &str) {
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| line[name].as_str().expect("text");
        let published = vhost.publish_raw(text("queue"), text("payload").as_bytes());
        published.await.expect("a message");
    }
}
