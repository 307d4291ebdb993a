//! A virtual host: the queues of one test, on a node that other tests may use too.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::management::{Management, segment};
use crate::poll;

/// How long a queue may take to report the expected counts.
const COUNTS_TIMEOUT: Duration = Duration::from_secs(60);

/// One virtual host of a node.
#[derive(Clone, Debug)]
pub struct Vhost {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) management: Option<Management>,
}

/// The numbers of messages in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages that are delivered and not acknowledged yet.
    pub unacked: u64,
}

impl Vhost {
    /// The virtual host's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL for clients, with user and password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Declares a durable classic queue. Does nothing if the queue exists with the same arguments.
    ///
    /// # Errors
    /// If the node has no management API, or refuses, for example because the queue exists with other arguments.
    pub async fn declare(&self, queue: &str) -> anyhow::Result<()> {
        let body = json!({"durable": true, "auto_delete": false, "arguments": {}});
        self.management()?.put(&self.queue_path(queue), &body).await
    }

    /// Deletes the queue's ready messages.
    ///
    /// # Errors
    /// If the node refuses, for example because there is no such queue.
    pub async fn purge(&self, queue: &str) -> anyhow::Result<()> {
        self.management()?
            .delete(&format!("{}/contents", self.queue_path(queue)))
            .await
    }

    /// Publishes a persistent message to a queue. The bytes need not be text.
    ///
    /// # Errors
    /// If the node refuses, or there is no such queue.
    pub async fn publish_raw(&self, queue: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = format!("/api/exchanges/{}/amq.default/publish", segment(&self.name));
        let body = json!({
            "properties": {"delivery_mode": 2},
            "routing_key": queue,
            "payload": base64(bytes),
            "payload_encoding": "base64",
        });
        let answer = self.management()?.post(&path, &body).await?;
        if answer["routed"] != true {
            bail!(
                "there is no queue {queue} in the virtual host {}",
                self.name
            );
        }
        Ok(())
    }

    /// Gets up to `count_max` messages from the front of a queue. With `remove` the queue loses these messages.
    /// Otherwise they are put back and marked as redelivered.
    ///
    /// The messages have the fields of the management API, such as `payload`, `properties` and `redelivered`. The field
    /// `payload_encoding` is `string` or `base64`.
    ///
    /// # Errors
    /// If the node refuses, for example because there is no such queue.
    pub async fn get_messages(
        &self,
        queue: &str,
        count_max: u32,
        remove: bool,
    ) -> anyhow::Result<Vec<Value>> {
        let mode = if remove {
            "ack_requeue_false"
        } else {
            "ack_requeue_true"
        };
        let body = json!({"count": count_max, "ackmode": mode, "encoding": "auto"});
        let path = format!("{}/get", self.queue_path(queue));
        match self.management()?.post(&path, &body).await? {
            Value::Array(messages) => Ok(messages),
            other => bail!("the answer is not a list of messages: {other}"),
        }
    }

    /// The counts that the queue reported last. They can be some seconds old: a quorum queue reports every five
    /// seconds, and in RabbitMQ 4 no queue reports right after its node was killed. The statistics of the management API are even
    /// older.
    ///
    /// # Errors
    /// If there is no such queue, or the node does not answer.
    pub async fn queue_counts(&self, queue: &str) -> anyhow::Result<QueueCounts> {
        let queues = self.all_queue_counts().await?;
        let counts = queues.get(queue).copied();
        counts.with_context(|| format!("there is no queue {queue}, only {:?}", queues.keys()))
    }

    /// The counts that each queue reported last; see [`queue_counts`](Self::queue_counts).
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn all_queue_counts(&self) -> anyhow::Result<BTreeMap<String, QueueCounts>> {
        let path = format!(
            "/api/queues/{}?disable_stats=true&enable_queue_totals=true",
            segment(&self.name)
        );
        let queues = self.management()?.get(&path).await?;
        let queues = queues
            .as_array()
            .context("the answer is not a list of queues")?;
        queues.iter().map(parse_counts).collect()
    }

    /// Waits until the queue reports these counts.
    ///
    /// # Errors
    /// If the queue does not report them within a minute. The error contains the last counts.
    pub async fn until_counts(&self, queue: &str, wanted: QueueCounts) -> anyhow::Result<()> {
        let reported = poll::until(COUNTS_TIMEOUT, || async {
            let counts = self.queue_counts(queue).await;
            counts.is_ok_and(|counts| counts == wanted)
        });
        if reported.await {
            return Ok(());
        }
        let counts = self.queue_counts(queue).await;
        bail!(
            "the queue {queue} did not report {wanted:?} within {COUNTS_TIMEOUT:?}, but {counts:?}"
        )
    }

    fn queue_path(&self, queue: &str) -> String {
        format!("/api/queues/{}/{}", segment(&self.name), segment(queue))
    }

    fn management(&self) -> anyhow::Result<&Management> {
        self.management
            .as_ref()
            .context("the node has no management API: start it with `management: true`")
    }
}

fn parse_counts(queue: &Value) -> anyhow::Result<(String, QueueCounts)> {
    let name = queue["name"]
        .as_str()
        .context("the list has a queue without a name")?;
    let number = |field: &str| {
        queue[field]
            .as_u64()
            .with_context(|| format!("the queue {name} has no {field}: {queue}"))
    };
    let counts = QueueCounts {
        ready: number("messages_ready")?,
        unacked: number("messages_unacknowledged")?,
    };
    Ok((name.to_owned(), counts))
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, index| {
            bits << 8 | u32::from(*group.get(index).unwrap_or(&0))
        });
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            text.push(if digit <= group.len() {
                char::from(DIGITS[value as usize])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_matches_the_examples_of_rfc_4648() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xff, 0xfe]), "//4=");
    }
}
