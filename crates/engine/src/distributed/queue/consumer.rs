//! The consumer that the queue's user holds: receives the deliveries of one class from its subscription.

use async_trait::async_trait;
use forebay_shared::queue::{Consumer, Delivery};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A delivery, and whether its connection has ended.
#[derive(Debug)]
pub(super) struct ReceivedDelivery {
    pub(super) delivery: Delivery,
    pub(super) connection_ended: CancellationToken,
}

/// The wakes of one class, across connections.
#[derive(Debug)]
pub(super) struct RabbitConsumer {
    deliveries: mpsc::Receiver<ReceivedDelivery>,
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
            // The broker delivers those of an ended connection again.
            if !received.connection_ended.is_cancelled() {
                return Some(received.delivery);
            }
        }
    }
}
