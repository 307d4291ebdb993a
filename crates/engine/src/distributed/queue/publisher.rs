//! Publishes messages and reports to each caller whether the broker has confirmed its message.
//!
//! Several tasks take the waiting requests in batches. Each task owns a channel, and at most one batch is on the
//! channel. The task publishes the batch, waits for all its confirms, and answers the callers. A channel carries only one
//! batch for two reasons:
//!
//! - Each caller gets the confirm of its own message. lapin takes the delivery tag of a publish under one lock and
//!   queues its frames under another. So two tasks that publish on one channel could get each other's confirms.
//! - A returned message fails only its own batch. lapin attaches a returned message to the next confirm. This confirm may
//!   belong to another message, but to one of the same batch, because no other batch is on the channel.
//!
//! Without a connection, or while an alarm blocks publishing, requests fail at once, so they do not accumulate.
//! The sweeper publishes the wakes again when the jobs' timers are due.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use forebay_shared::queue::QueueError;
use futures_util::future::try_join_all;
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{FieldTable, ShortString},
};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connection::{BrokerConnection, ConnectionError, with_timeout},
    supervisor::CurrentConnection,
};

/// The number of publishing tasks. While one batch waits for its confirms, the broker receives the next.
const BATCHES_IN_FLIGHT: usize = 2;

/// The most messages in a batch.
const BATCH_MAX: usize = 1024;

/// The most requests that wait until a task takes them.
const WAITING_MAX: usize = 1024;

/// The timeout of a publish, from the caller's request to its answer.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a message was not confirmed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum PublishError {
    #[error("there is no connection to RabbitMQ")]
    NotConnected,
    #[error("RabbitMQ blocks publishing because of a memory or disk alarm")]
    Blocked,
    #[error("RabbitMQ did not confirm the message in time")]
    Timeout,
    #[error("RabbitMQ refused the message")]
    Refused,
    #[error("the queue of a message in the batch does not exist")]
    Unroutable,
}

impl From<PublishError> for QueueError {
    fn from(error: PublishError) -> Self {
        Self::Unavailable(Some(Box::new(error)))
    }
}

/// The handle to the publishing tasks.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    requests: mpsc::Sender<PublishRequest>,
    closing: CancellationToken,
}

#[derive(Debug)]
struct PublishRequest {
    queue: ShortString,
    body: Vec<u8>,
    headers: FieldTable,
    answer: oneshot::Sender<Result<(), PublishError>>,
}

impl Publisher {
    /// Publishes a message to a queue. Returns once the broker has confirmed it.
    pub(super) async fn publish(
        &self,
        queue: ShortString,
        body: Vec<u8>,
        headers: FieldTable,
    ) -> Result<(), QueueError> {
        let (answer, answered) = oneshot::channel();
        let request = PublishRequest {
            queue,
            body,
            headers,
            answer,
        };
        let published = async {
            if self.closing.is_cancelled() || self.requests.send(request).await.is_err() {
                return Err(QueueError::Closed);
            }
            match answered.await {
                Ok(answer) => Ok(answer?),
                // The connection ended or failed while the batch was in flight.
                Err(_dropped) => Err(PublishError::NotConnected.into()),
            }
        };
        tokio::time::timeout(PUBLISH_TIMEOUT, published)
            .await
            .unwrap_or_else(|_elapsed| Err(PublishError::Timeout.into()))
    }
}

/// Spawns the publishing tasks. They end once `closing` is cancelled and the last request is answered.
pub(super) fn start(
    connection: &CurrentConnection,
    process_name: &str,
    closing: &CancellationToken,
    tasks: &TaskTracker,
) -> Publisher {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..BATCHES_IN_FLIGHT {
        let publishing = PublishingTask {
            requests: WaitingRequests {
                receiver: Arc::clone(&receiver),
                closing: closing.clone(),
            },
            connection: connection.clone(),
            process_name: process_name.into(),
        };
        tasks.spawn(publishing.run());
    }
    Publisher {
        requests: sender,
        closing: closing.clone(),
    }
}

/// The requests that no task has taken yet. All tasks take from the same queue.
struct WaitingRequests {
    receiver: Arc<Mutex<mpsc::Receiver<PublishRequest>>>,
    closing: CancellationToken,
}

impl WaitingRequests {
    /// Waits for requests and takes them. Returns an empty batch when the queue closes and no request is left.
    async fn next_batch(&self) -> Vec<PublishRequest> {
        let mut batch = Vec::new();
        let mut receiver = self.receiver.lock().await;
        tokio::select! {
            _ = receiver.recv_many(&mut batch, BATCH_MAX) => return batch,
            () = self.closing.cancelled() => {}
        }
        receiver.close();
        receiver.recv_many(&mut batch, BATCH_MAX).await;
        batch
    }
}

/// Takes batches of requests and publishes them, one batch at a time.
struct PublishingTask {
    requests: WaitingRequests,
    connection: CurrentConnection,
    process_name: ShortString,
}

impl PublishingTask {
    async fn run(mut self) {
        loop {
            let connection = tokio::select! {
                biased;
                connection = self.connection.wait() => connection,
                batch = self.requests.next_batch() => {
                    if batch.is_empty() {
                        return;
                    }
                    fail_batch(batch, PublishError::NotConnected);
                    continue;
                }
            };
            let Some(connection) = connection else { return };
            match self.publish_over(&connection).await {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return,
                Err(error) => connection.fail(&error),
            }
        }
    }

    /// Publishes over this connection. Returns `Continue` when the connection ends or an alarm blocks it, and `Break` when
    /// the queue closes and no request is left.
    async fn publish_over(
        &self,
        connection: &BrokerConnection,
    ) -> Result<ControlFlow<()>, ConnectionError> {
        while connection.is_blocked() {
            tokio::select! {
                biased;
                () = connection.ended() => return Ok(ControlFlow::Continue(())),
                () = connection.wait_until_unblocked() => {}
                batch = self.requests.next_batch() => {
                    if batch.is_empty() {
                        return Ok(ControlFlow::Break(()));
                    }
                    fail_batch(batch, PublishError::Blocked);
                }
            }
        }
        let channel = connection.channel().await?;
        let options = ConfirmSelectOptions::default();
        with_timeout("confirm.select", channel.confirm_select(options)).await?;
        loop {
            let batch = tokio::select! {
                biased;
                () = connection.ended() => return Ok(ControlFlow::Continue(())),
                () = connection.wait_until_blocked() => return Ok(ControlFlow::Continue(())),
                batch = self.requests.next_batch() => batch,
            };
            if batch.is_empty() {
                return Ok(ControlFlow::Break(()));
            }
            let published = self.publish_batch(&channel, &batch);
            let confirms = tokio::select! {
                biased;
                () = connection.ended() => return Ok(ControlFlow::Continue(())),
                confirms = with_timeout("basic.publish", published) => confirms?,
                () = connection.wait_until_blocked() => {
                    // lapin may send these messages after the alarm. So this channel is not used again. Otherwise a
                    // late confirm or returned message could reach the next batch.
                    fail_batch(batch, PublishError::Blocked);
                    return Ok(ControlFlow::Continue(()));
                }
            };
            if confirms.iter().any(has_returned_message) {
                // The next connection declares the queues again.
                connection.fail(&PublishError::Unroutable);
                fail_batch(batch, PublishError::Unroutable);
                return Ok(ControlFlow::Continue(()));
            }
            for (request, confirm) in batch.into_iter().zip(confirms) {
                let result = if confirm.is_ack() {
                    Ok(())
                } else {
                    Err(PublishError::Refused)
                };
                answer(request, result);
            }
        }
    }

    /// Publishes a batch. Returns its confirms, in the same order.
    async fn publish_batch(
        &self,
        channel: &Channel,
        batch: &[PublishRequest],
    ) -> lapin::Result<Vec<Confirmation>> {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let publish = async |request: &PublishRequest| {
            let properties = BasicProperties::default()
                .with_delivery_mode(2)
                .with_content_type("application/json".into())
                .with_app_id(self.process_name.clone())
                .with_headers(request.headers.clone());
            let queue = request.queue.clone();
            let sent = channel.basic_publish("".into(), queue, options, &request.body, properties);
            sent.await?.await
        };
        try_join_all(batch.iter().map(publish)).await
    }
}

fn has_returned_message(confirm: &Confirmation) -> bool {
    matches!(
        confirm,
        Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_))
    )
}

fn fail_batch(batch: Vec<PublishRequest>, error: PublishError) {
    for request in batch {
        answer(request, Err(error));
    }
}

fn answer(request: PublishRequest, result: Result<(), PublishError>) {
    // The caller may have stopped waiting.
    let _dropped = request.answer.send(result);
}
