//! Sets aside what nobody could read, with the reason, so that people can look at it and the consumer
//! goes on.

use std::{sync::Arc, time::Duration};

use forebay_shared::queue::{QueueError, Settle};
use lapin::{
    message::Delivery,
    types::{AMQPValue, FieldTable},
};

use super::{
    acker::Notes,
    link::{Link, Site},
    publisher::Publisher,
    reading::{BODY_BYTES_MAX, Unreadable},
    runs::Note,
};

/// Between two tries, while the broker takes nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// A reason may quote the message, which can hold anything.
const REASON_BYTES_MAX: usize = 512;

/// Moves a message over: first there, then gone here. Until then it stays unsettled and takes part in
/// the bound on what is. Over the publishing connection, as a connection that publishes can be blocked,
/// and this one must not be.
pub(super) async fn set_aside(
    delivery: Delivery,
    reason: Unreadable,
    site: Arc<Site>,
    publisher: Publisher,
    link: Arc<Link>,
    notes: Notes,
) {
    tracing::warn!(
        queue = delivery.routing_key.as_str(),
        bytes = delivery.data.len(),
        "a message cannot be read and is set aside"
    );
    let tag = delivery.delivery_tag;
    let headers = headers(&delivery, &reason);
    let mut body = delivery.data;
    body.truncate(BODY_BYTES_MAX);
    loop {
        let to = site.names.unreadable.clone();
        match publisher.publish(to, body.clone(), headers.clone()).await {
            Ok(()) => {
                notes.take(Note::Settled(tag, Settle::Ack));
                return;
            }
            // It comes again, to somebody else.
            Err(QueueError::Closed) => return,
            Err(QueueError::Full | QueueError::Unavailable(_)) => {}
        }
        tokio::select! {
            () = link.ended() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

fn headers(delivery: &Delivery, reason: &Unreadable) -> FieldTable {
    let mut reason = reason.to_string();
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    let bytes = i64::try_from(delivery.data.len()).unwrap_or(i64::MAX);
    let queue = delivery.routing_key.as_str();
    let mut headers = FieldTable::default();
    for (name, value) in [
        ("x-forebay-reason", AMQPValue::LongString(reason.into())),
        ("x-forebay-queue", AMQPValue::LongString(queue.into())),
        // As it came: what is longer than a wake may be is cut.
        ("x-forebay-bytes", AMQPValue::LongLongInt(bytes)),
    ] {
        headers.insert(name.into(), value);
    }
    headers
}
