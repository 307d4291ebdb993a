//! Receives the wakes of one class and forwards them to the class's `RabbitConsumer`. When a connection ends, the
//! subscription continues over the next connection.
//!
//! Each channel has one lapin consumer, which is a stream of messages. If this stream ends before the subscription has
//! cancelled the consumer, the connection counts as failed, whatever lapin reports.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
};

use forebay_shared::{
    class::Class,
    queue::{Delivery, Disposition},
};
use futures_util::StreamExt as _;
use lapin::{
    Channel,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::{FieldTable, ShortString},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    acknowledger::Acknowledger,
    connection::{BrokerConfig, BrokerConnection, ConnectionError, with_timeout},
    consumer::ReceivedDelivery,
    decode::decode_wake,
    permits::{ChannelPermits, ConnectionPermits, DeliveryPermits},
    publisher::Publisher,
    supervisor::CurrentConnection,
    unreadable::UnreadableMessage,
};

/// A subscription to the wakes of one class.
pub(super) struct Subscription {
    pub(super) class: Class,
    pub(super) config: Arc<BrokerConfig>,
    pub(super) permits: DeliveryPermits,
    pub(super) connection: CurrentConnection,
    /// Publishes unreadable messages to their own queue.
    pub(super) publisher: Publisher,
    /// Ends the subscription.
    pub(super) closing: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// Sends the deliveries to the `RabbitConsumer`. The subscription ends when the `RabbitConsumer` is dropped.
    pub(super) deliveries: mpsc::Sender<ReceivedDelivery>,
    /// Notified once the broker has registered the first lapin consumer.
    pub(super) started: Option<oneshot::Sender<()>>,
}

/// A channel with its lapin consumer.
struct ConsumingChannel {
    channel: Channel,
    connection: Arc<BrokerConnection>,
    permits: ChannelPermits,
    /// The lapin consumer: a stream of messages.
    messages: lapin::Consumer,
    acknowledger: Acknowledger,
}

/// Why a subscription stops receiving from a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StopReason {
    /// The queue closes, or the `RabbitConsumer` was dropped.
    Unsubscribed,
    /// A new channel can prefetch more.
    PrefetchCanGrow,
    /// The connection has ended.
    Disconnected,
}

/// Counts a consumer that is registered at the broker, until this value is dropped.
struct Registered {
    config: Arc<BrokerConfig>,
    class: Class,
}

impl Registered {
    fn new(config: &Arc<BrokerConfig>, class: Class) -> Self {
        config.count_of(class).fetch_add(1, Ordering::Relaxed);
        Self {
            config: Arc::clone(config),
            class,
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let count = self.config.count_of(self.class);
        count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Subscription {
    pub(super) async fn run(mut self) {
        loop {
            let connection = tokio::select! {
                () = self.closing.cancelled() => return,
                () = self.deliveries.closed() => return,
                connection = self.connection.wait() => connection,
            };
            let Some(connection) = connection else { return };
            let permits = self.permits.for_connection();
            loop {
                match self.receive(&connection, &permits).await {
                    Ok(StopReason::Unsubscribed) => return,
                    Ok(StopReason::PrefetchCanGrow) => continue,
                    Ok(StopReason::Disconnected) => {}
                    Err(error) => connection.fail(&error),
                }
                break;
            }
        }
    }

    /// Opens a channel and receives over it until there is a reason to stop.
    async fn receive(
        &mut self,
        connection: &Arc<BrokerConnection>,
        permits: &ConnectionPermits,
    ) -> Result<StopReason, ConnectionError> {
        let mut consuming = self.consume(connection, permits).await?;
        if let Some(started) = self.started.take() {
            // The send fails only if `RabbitQueue::consume` has stopped waiting. Then `deliveries` is closed, which ends this
            // subscription.
            let _dropped = started.send(());
        }
        let registered = Registered::new(&self.config, self.class);
        let reason = self.forward(&mut consuming).await?;
        drop(registered);
        if reason != StopReason::Disconnected {
            // Prefetched messages go back to the queue at once. The channel stays open until all forwarded
            // deliveries are settled.
            let cancel = consuming
                .channel
                .basic_cancel(self.consumer_tag(), BasicCancelOptions::default());
            with_timeout("basic.cancel", cancel).await?;
            while let Some(Ok(message)) = consuming.messages.next().await {
                consuming
                    .acknowledger
                    .settle(message.delivery_tag, Disposition::Requeue);
            }
        }
        Ok(reason)
    }

    /// Opens a channel and starts a lapin consumer on it.
    async fn consume(
        &self,
        connection: &Arc<BrokerConnection>,
        permits: &ConnectionPermits,
    ) -> Result<ConsumingChannel, ConnectionError> {
        let permits = permits.for_channel();
        let channel = connection.channel().await?;
        // The prefetch is set before the lapin consumer starts, because lapin buffers deliveries without a bound.
        let qos = channel.basic_qos(permits.prefetch(), BasicQosOptions::default());
        with_timeout("basic.qos", qos).await?;
        let consume = channel.basic_consume(
            self.config.queues.jobs(self.class).clone(),
            self.consumer_tag(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let messages = with_timeout("basic.consume", consume).await?;
        let connection = Arc::clone(connection);
        Ok(ConsumingChannel {
            acknowledger: Acknowledger::start(
                channel.clone(),
                permits.prefetch(),
                Arc::clone(&connection),
                &self.tasks,
            ),
            channel,
            connection,
            permits,
            messages,
        })
    }

    /// The name of the lapin consumer in the management UI.
    fn consumer_tag(&self) -> ShortString {
        format!("{} {}", self.config.process_name, self.class).into()
    }

    /// Forwards messages until there is a reason to stop.
    async fn forward(
        &self,
        consuming: &mut ConsumingChannel,
    ) -> Result<StopReason, ConnectionError> {
        let ConsumingChannel {
            connection,
            permits,
            messages,
            acknowledger,
            ..
        } = consuming;
        let mut stop = pin!(self.wait_for_stop_reason(connection, permits));
        loop {
            // A message is taken from `messages` only when it can be forwarded. So all other messages are still in
            // `messages`, and `receive` can requeue them after a cancel.
            let next = async {
                let reserved = self.deliveries.reserve().await.ok()?;
                let permit = permits.acquire().await;
                Some((messages.next().await, permit, reserved))
            };
            let (message, permit, reserved) = tokio::select! {
                biased;
                reason = &mut stop => return Ok(reason),
                next = next => match next {
                    Some(next) => next,
                    None => return Ok(StopReason::Unsubscribed),
                },
            };
            let message = message.ok_or(ConnectionError::ConsumerCancelled)??;
            match decode_wake(&message.data) {
                Ok(wake) => {
                    let (tag, acknowledger) = (message.delivery_tag, acknowledger.clone());
                    reserved.send(ReceivedDelivery {
                        delivery: Delivery::new(wake, move |_, disposition| {
                            acknowledger.settle(tag, disposition);
                            permit.release();
                        }),
                        connection_ended: connection.ended_token(),
                    });
                }
                Err(reason) => {
                    let unreadable = UnreadableMessage {
                        message,
                        reason,
                        connection: Arc::clone(connection),
                        acknowledger: acknowledger.clone(),
                    };
                    let queue = self.config.queues.unreadable.clone();
                    let publisher = self.publisher.clone();
                    // The permits bound the number of these tasks.
                    self.tasks.spawn(async move {
                        unreadable.move_to(queue, publisher).await;
                        permit.release();
                    });
                }
            }
        }
    }

    /// Waits for a reason to stop.
    async fn wait_for_stop_reason(
        &self,
        connection: &BrokerConnection,
        permits: &ChannelPermits,
    ) -> StopReason {
        tokio::select! {
            biased;
            () = connection.ended() => StopReason::Disconnected,
            () = self.closing.cancelled() => StopReason::Unsubscribed,
            () = self.deliveries.closed() => StopReason::Unsubscribed,
            () = permits.wait_until_prefetch_can_grow() => StopReason::PrefetchCanGrow,
        }
    }
}
