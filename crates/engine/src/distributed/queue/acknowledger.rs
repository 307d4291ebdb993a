//! Settles the deliveries of one channel. One task sends the frames. It waits a short time ([`BATCH_DELAY`]) for further acks
//! and requeues. Jobs that end at about the same time often have consecutive deliveries, and one frame can ack all of these.
//!
//! RabbitMQ closes a channel when a delivery stays unsettled for 30 minutes. So the settings allow at most 25 minutes for
//! a provider call.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use forebay_shared::queue::Disposition;
use futures_util::future::try_join_all;
use lapin::{
    Channel,
    options::{BasicAckOptions, BasicNackOptions},
};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::task::TaskTracker;

use super::{
    ack_batch::{AckBatcher, SettleFrame},
    connection::{BrokerConnection, ConnectionError, with_timeout},
};

/// The most deliveries in a batch.
const BATCH_MAX: usize = 1024;
/// How long a delivery waits for others of its batch. While all slots of the worker run, the broker sends the next message only after
/// an ack. So each slot is idle for this time after each job.
const BATCH_DELAY: Duration = Duration::from_millis(2);
/// With a smaller prefetch, deliveries do not wait: such a worker runs too few jobs for large batches.
const PREFETCH_MIN_FOR_DELAY: u16 = 128;

/// The handle to the task that settles the deliveries of a channel.
#[derive(Clone, Debug)]
pub(super) struct Acknowledger(mpsc::UnboundedSender<(u64, Disposition)>);

impl Acknowledger {
    /// Spawns the task. `prefetch` is the prefetch of the channel. The task closes the channel once all handles are dropped. If the
    /// connection ends first, the task drops the acks and requeues that it has not sent, because the broker delivers those
    /// messages again.
    pub(super) fn start(
        channel: Channel,
        prefetch: u16,
        connection: Arc<BrokerConnection>,
        tasks: &TaskTracker,
    ) -> Self {
        let delay = (prefetch >= PREFETCH_MIN_FOR_DELAY).then_some(BATCH_DELAY);
        // The queue to the task is unbounded, so that `settle` never waits. The prefetch limits its length.
        let (sender, receiver) = mpsc::unbounded_channel();
        tasks.spawn(async move {
            if let Err(error) = send_batches(&channel, delay, &connection, receiver).await {
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
    delay: Option<Duration>,
    connection: &BrokerConnection,
    mut receiver: mpsc::UnboundedReceiver<(u64, Disposition)>,
) -> Result<(), ConnectionError> {
    let mut batcher = AckBatcher::default();
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = connection.ended() => return Ok(()),
            () = fill(&mut batch, delay, &mut receiver) => if batch.is_empty() { break },
        }
        let dispositions = BTreeMap::from_iter(batch.drain(..));
        let frames = batcher.frames(&dispositions);
        let sent = try_join_all(frames.iter().map(|frame| send(channel, *frame)));
        with_timeout("basic.ack", sent).await?;
    }
    with_timeout("channel.close", channel.close(200, "OK".into())).await
}

/// Waits for a delivery to settle, and then for others of its batch. The batch stays empty once all handles are dropped.
async fn fill(
    batch: &mut Vec<(u64, Disposition)>,
    delay: Option<Duration>,
    receiver: &mut mpsc::UnboundedReceiver<(u64, Disposition)>,
) {
    let received = receiver.recv_many(batch, BATCH_MAX).await;
    let Some(delay) = delay.filter(|_| (1..BATCH_MAX).contains(&received)) else {
        return;
    };
    // One sleep, because this task would otherwise wake for each delivery.
    sleep(delay).await;
    while batch.len() < BATCH_MAX
        && let Ok(delivery) = receiver.try_recv()
    {
        batch.push(delivery);
    }
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
