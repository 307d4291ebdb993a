//! Implements the trait [`Consumer`] for one class. Its deliveries come from a `Subscription`.

use async_trait::async_trait;
use forebay_shared::queue::{Consumer, Delivery};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A delivery, and the token of the connection that it came over.
#[derive(Debug)]
pub(super) struct ReceivedDelivery {
    pub(super) delivery: Delivery,
    /// Cancelled when the connection ends.
    pub(super) connection_ended: CancellationToken,
}

/// Receives the wakes of one class, across connections.
#[derive(Debug)]
pub(super) struct RabbitConsumer {
    deliveries: mpsc::Receiver<ReceivedDelivery>,
    /// Cancelled when the queue closes.
    closing: CancellationToken,
}

impl RabbitConsumer {
    pub(super) fn new(
        deliveries: mpsc::Receiver<ReceivedDelivery>,
        closing: CancellationToken,
    ) -> Self {
        Self {
            deliveries,
            closing,
        }
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            let received = tokio::select! {
                biased;
                () = self.closing.cancelled() => return None,
                received = self.deliveries.recv() => received?,
            };
            // A delivery of an ended connection is skipped: the broker delivers its message again.
            if !received.connection_ended.is_cancelled() {
                return Some(received.delivery);
            }
        }
    }
}
