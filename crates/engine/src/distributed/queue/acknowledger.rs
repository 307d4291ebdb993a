//! Settles the deliveries of one channel. One task sends the frames. Acks and requeues that arrive during a send form
//! the next batch.
//!
//! RabbitMQ closes a channel when a delivery stays unsettled for 30 minutes. So the settings allow at most 25 minutes for
//! a provider call.

use std::{collections::BTreeMap, sync::Arc};

use forebay_shared::queue::Disposition;
use futures_util::future::try_join_all;
use lapin::{
    Channel,
    options::{BasicAckOptions, BasicNackOptions},
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{
    ack_batch::{AckBatcher, SettleFrame},
    connection::{BrokerConnection, ConnectionError, with_timeout},
};

/// The most deliveries in a batch.
const BATCH_MAX: usize = 1024;

/// The handle to the task that settles the deliveries of a channel.
#[derive(Clone, Debug)]
pub(super) struct Acknowledger(mpsc::UnboundedSender<(u64, Disposition)>);

impl Acknowledger {
    /// Spawns the task. The task closes the channel once all handles are dropped. If the connection ends first, the
    /// task drops the acks and requeues that it has not sent, because the broker delivers those messages again.
    pub(super) fn start(
        channel: Channel,
        connection: Arc<BrokerConnection>,
        tasks: &TaskTracker,
    ) -> Self {
        // The queue to the task is unbounded, so that `settle` never waits. The prefetch limits its length.
        let (sender, receiver) = mpsc::unbounded_channel();
        tasks.spawn(async move {
            if let Err(error) = send_batches(&channel, &connection, receiver).await {
                connection.fail(&error);
            }
        });
        Self(sender)
    }

    /// Settles the delivery with this tag.
    pub(super) fn settle(&self, tag: u64, disposition: Disposition) {
        // The send fails only when the connection has ended.
        let _dropped = self.0.send((tag, disposition));
    }
}

async fn send_batches(
    channel: &Channel,
    connection: &BrokerConnection,
    mut receiver: mpsc::UnboundedReceiver<(u64, Disposition)>,
) -> Result<(), ConnectionError> {
    let mut batcher = AckBatcher::default();
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = connection.ended() => return Ok(()),
            count = receiver.recv_many(&mut batch, BATCH_MAX) => if count == 0 { break },
        }
        let dispositions = BTreeMap::from_iter(batch.drain(..));
        let frames = batcher.frames(&dispositions);
        let sent = try_join_all(frames.iter().map(|frame| send(channel, *frame)));
        with_timeout("basic.ack", sent).await?;
    }
    with_timeout("channel.close", channel.close(200, "OK".into())).await
}

/// Sends a frame over the channel. lapin's `Acker` is not used: on a closed channel it returns `Ok(false)`
/// instead of an error.
async fn send(channel: &Channel, frame: SettleFrame) -> lapin::Result<()> {
    match frame {
        SettleFrame::Ack { tag, multiple } => {
            channel.basic_ack(tag, BasicAckOptions { multiple }).await
        }
        SettleFrame::Requeue { tag } => {
            let options = BasicNackOptions {
                multiple: false,
                requeue: true,
            };
            channel.basic_nack(tag, options).await
        }
    }
}
