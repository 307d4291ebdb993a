//! The consuming end of a line, as its user has it.

use async_trait::async_trait;
use forebay_shared::queue::{Consumer, Delivery};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A delivery, and the end of the generation that it belongs to.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) delivery: Delivery,
    pub(super) generation: CancellationToken,
}

/// Wakes of one class, from whichever generation.
#[derive(Debug)]
pub(super) struct RabbitConsumer {
    deliveries: mpsc::Receiver<Incoming>,
    closing: CancellationToken,
}

impl RabbitConsumer {
    pub(super) fn new(deliveries: mpsc::Receiver<Incoming>, closing: CancellationToken) -> Self {
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
            let incoming = tokio::select! {
                biased;
                () = self.closing.cancelled() => return None,
                incoming = self.deliveries.recv() => incoming?,
            };
            // The broker has given those of an ended generation to somebody again.
            if !incoming.generation.is_cancelled() {
                return Some(incoming.delivery);
            }
        }
    }
}
