//! Moves a message that cannot be read to a queue of its own, with the reason. An operator can look at it
//! there, and the consumer continues.

use std::{sync::Arc, time::Duration};

use forebay_shared::queue::{Disposition, QueueError};
use lapin::{
    message::Delivery as Message,
    types::{AMQPValue, FieldTable, ShortString},
};

use super::{
    acknowledger::Acknowledger,
    connection::BrokerConnection,
    decode::{BODY_BYTES_MAX, Unreadable},
    publisher::Publisher,
};

/// The delay between two tries while the broker does not confirm.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The reason may quote the message, so it needs a bound.
const REASON_BYTES_MAX: usize = 512;

/// A message that is not a wake, as it was received.
pub(super) struct UnreadableMessage {
    pub(super) message: Message,
    pub(super) reason: Unreadable,
    pub(super) connection: Arc<BrokerConnection>,
    pub(super) acknowledger: Acknowledger,
}

impl UnreadableMessage {
    /// Publishes the message to another queue, and acks it once that is confirmed. Until then it stays
    /// unsettled and counts towards the prefetch. The publisher has a connection of its own: an alarm blocks a
    /// connection that publishes, and must not block one that consumes.
    pub(super) async fn move_to(self, queue: ShortString, publisher: Publisher) {
        tracing::warn!(
            from = self.message.routing_key.as_str(),
            to = queue.as_str(),
            body_bytes = self.message.data.len(),
            "a message cannot be read; moving it to another queue for inspection"
        );
        let headers = self.headers();
        let tag = self.message.delivery_tag;
        let mut body = self.message.data;
        body.truncate(BODY_BYTES_MAX);
        loop {
            let published = publisher.publish(queue.clone(), body.clone(), headers.clone());
            match published.await {
                Ok(()) => return self.acknowledger.settle(tag, Disposition::Ack),
                // The broker delivers the message again, to another process.
                Err(QueueError::Closed) => return,
                Err(QueueError::Full | QueueError::Unavailable(_)) => {}
            }
            tokio::select! {
                () = self.connection.ended() => return,
                () = tokio::time::sleep(RETRY_DELAY) => {}
            }
        }
    }

    fn headers(&self) -> FieldTable {
        let mut reason = self.reason.to_string();
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        let queue = self.message.routing_key.as_str();
        // The length before the body is cut.
        let body_bytes = i64::try_from(self.message.data.len()).unwrap_or(i64::MAX);
        let mut headers = FieldTable::default();
        for (name, value) in [
            ("x-forebay-reason", AMQPValue::LongString(reason.into())),
            ("x-forebay-queue", AMQPValue::LongString(queue.into())),
            ("x-forebay-bytes", AMQPValue::LongLongInt(body_bytes)),
        ] {
            headers.insert(name.into(), value);
        }
        headers
    }
}
