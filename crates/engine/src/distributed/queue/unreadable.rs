//! Moves an unreadable message to a separate queue, with the reason. An operator can inspect the message
//! there, and the subscription continues with the next one.

use std::{error::Error as _, sync::Arc, time::Duration};

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

/// The pause before an unconfirmed publish is repeated.
const REPUBLISH_DELAY: Duration = Duration::from_secs(1);

/// The longest reason in a header. A reason may quote the message, so its length has no other bound.
const REASON_BYTES_MAX: usize = 512;

/// A received message that cannot be decoded as a wake.
pub(super) struct UnreadableMessage {
    pub(super) message: Message,
    pub(super) reason: Unreadable,
    pub(super) connection: Arc<BrokerConnection>,
    pub(super) acknowledger: Acknowledger,
}

impl UnreadableMessage {
    /// Publishes a copy of the message to `queue`, and acks the message once the copy is confirmed. Until then
    /// the message stays unsettled and counts towards the prefetch. The copy is sent over the publisher's connection,
    /// because an alarm blocks every connection that publishes and must not block the consuming connection.
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
                () = tokio::time::sleep(REPUBLISH_DELAY) => {}
            }
        }
    }

    fn headers(&self) -> FieldTable {
        let mut reason = self.reason.to_string();
        if let Some(source) = self.reason.source() {
            reason.push_str(&format!(": {source}"));
        }
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        let queue = self.message.routing_key.as_str();
        // This is the original length. `move_to` truncates the body later.
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
