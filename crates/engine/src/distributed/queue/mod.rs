//! The queue in RabbitMQ: one quorum queue for each class, confirmed publishes, and consumers that
//! survive the loss of a connection.
//!
//! In reading order: `settings` and `endpoint` check what the operator configures, `topology` declares the
//! queues, `connection` is one connection, `socket_guard` closes its socket, and `supervisor` opens a new
//! connection when one has ended. `publisher` publishes. `subscription`, `permits`, `consumer`, `decode` and
//! `unreadable` receive; `acknowledger` and `ack_batch` settle the received deliveries.
//!
//! The queue does not repeat the unconfirmed publish of a wake. The sweeper publishes another wake when the job's timer is
//! due. The queue does not interpret wakes. The worker compares each wake with the data of the store.
//!
//! A process has at most two connections: one to publish, and one to consume, which the first consumer opens.
//! When the broker runs out of memory or disk, it stops reading from connections that publish. Acks still
//! reach it over the consuming connection.
//!
//! lapin logs whole returned messages at WARN (target `lapin::returned_messages`) and every lost
//! connection at ERROR (`lapin::channels`, `lapin::io_loop`). This module logs what an operator needs, so
//! the log filter of a process should contain `lapin=off`.

mod ack_batch;
mod acknowledger;
mod connection;
mod consumer;
mod decode;
mod endpoint;
mod permits;
mod publisher;
mod settings;
mod socket_guard;
mod subscription;
mod supervisor;
mod topology;
mod unreadable;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use forebay_shared::{
    class::Class,
    queue::{Consumer, Queue, QueueError},
    wake::Wake,
};
use lapin::types::FieldTable;
use tokio::sync::{mpsc, oneshot};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

pub use self::settings::{QueueSettings, QueueSettingsError};
use self::{
    connection::{BrokerConfig, CALL_TIMEOUT, Purpose},
    consumer::RabbitConsumer,
    decode::BODY_BYTES_MAX,
    endpoint::Endpoint,
    permits::DeliveryPermits,
    publisher::Publisher,
    subscription::Subscription,
    supervisor::{CurrentConnection, supervise},
    topology::QueueNames,
};

/// The timeout for closing both connections. It is longer than the timeout of a single close, so it is reached only if
/// lapin hangs.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// The queue in RabbitMQ.
pub struct RabbitQueue {
    config: Arc<BrokerConfig>,
    publisher: Publisher,
    publishing: CurrentConnection,
    /// Opened for the first consumer, so a process that only publishes has one connection.
    consuming: OnceLock<CurrentConnection>,
    /// Stops new publishes and new deliveries.
    closing: CancellationToken,
    /// Ends the connections and their supervisors.
    closed: CancellationToken,
    /// All tasks that use the connections. `close` waits for them after it cancels `closing` and before it cancels `closed`.
    tasks: TaskTracker,
    /// The tasks that keep the connections open.
    supervisors: TaskTracker,
    /// Guards that cancel `closing` and `closed` if the queue is dropped without `close`.
    _on_drop: [DropGuard; 2],
}

impl RabbitQueue {
    /// Checks the settings without connecting.
    ///
    /// # Errors
    /// [`QueueSettingsError`] for settings that cannot work.
    pub fn check(url: &str, settings: &QueueSettings) -> Result<(), QueueSettingsError> {
        settings.check()?;
        Endpoint::parse(url, settings.ca_file.as_deref()).map(drop)
    }

    /// Checks the settings and starts to connect in the background. The broker may be down at this time.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`QueueSettingsError`] for settings that cannot work.
    pub fn new(url: &str, settings: &QueueSettings) -> Result<Self, QueueSettingsError> {
        settings.check()?;
        let config = Arc::new(BrokerConfig {
            endpoint: Endpoint::parse(url, settings.ca_file.as_deref())?,
            queues: QueueNames::with_prefix(&settings.prefix),
            process_name: settings.process_name.clone(),
            connections_lost: AtomicU64::new(0),
            registered: Default::default(),
        });
        let closing = CancellationToken::new();
        let closed = CancellationToken::new();
        let tasks = TaskTracker::new();
        let supervisors = TaskTracker::new();
        let publishing = supervise(&config, Purpose::Publish, &closed, &supervisors);
        let publisher = publisher::start(&publishing, &config.process_name, &closing, &tasks);
        let _on_drop = [closing.clone().drop_guard(), closed.clone().drop_guard()];
        Ok(Self {
            config,
            publisher,
            publishing,
            consuming: OnceLock::new(),
            closing,
            closed,
            tasks,
            supervisors,
            _on_drop,
        })
    }

    /// How many connections to the broker were lost since the start. Connections that the process closed itself do not count.
    #[must_use]
    pub fn connections_lost(&self) -> u64 {
        self.config.connections_lost.load(Ordering::Relaxed)
    }

    /// Closes the queue: refuses new publishes, ends the consumers and disconnects. Before it disconnects, it waits
    /// at most `drain` until all publishes are confirmed and all deliveries are settled. RabbitMQ delivers
    /// unsettled messages again.
    ///
    /// A worker first drops its consumers, which returns prefetched messages to the queue. It calls this once it has nothing more to
    /// publish.
    pub async fn close(&self, drain: Duration) {
        self.closing.cancel();
        self.tasks.close();
        if tokio::time::timeout(drain, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                tasks = self.tasks.len(),
                "disconnecting from RabbitMQ before all messages are settled and all publishes are confirmed; RabbitMQ \
                 delivers unsettled messages again, and the sweeper publishes unconfirmed wakes again"
            );
        }
        self.closed.cancel();
        self.supervisors.close();
        // Connections that are not closed in time end with the process.
        let _ = tokio::time::timeout(DISCONNECT_TIMEOUT, self.supervisors.wait()).await;
    }

    fn consuming(&self) -> &CurrentConnection {
        self.consuming.get_or_init(|| {
            supervise(
                &self.config,
                Purpose::Consume,
                &self.closed,
                &self.supervisors,
            )
        })
    }
}

#[async_trait]
impl Queue for RabbitQueue {
    async fn publish(&self, wake: &Wake) -> Result<(), QueueError> {
        let body = serde_json::to_vec(wake).map_err(unavailable)?;
        if body.len() > BODY_BYTES_MAX {
            // `decode_wake` would refuse this body. The fields of a wake are bounded, so a longer wake is a bug.
            let error = format!(
                "a wake has {} bytes; at most {BODY_BYTES_MAX} are allowed",
                body.len()
            );
            return Err(unavailable(error));
        }
        let queue = self.config.queues.jobs(wake.class).clone();
        self.publisher
            .publish(queue, body, FieldTable::default())
            .await
    }

    async fn consume(
        &self,
        class: Class,
        unacked_max: usize,
    ) -> Result<Box<dyn Consumer>, QueueError> {
        if self.closing.is_cancelled() {
            return Err(QueueError::Closed);
        }
        let (deliveries, received) = mpsc::channel(1);
        let (started, has_started) = oneshot::channel();
        let subscription = Subscription {
            class,
            config: Arc::clone(&self.config),
            permits: DeliveryPermits::new(unacked_max),
            connection: self.consuming().clone(),
            publisher: self.publisher.clone(),
            closing: self.closing.clone(),
            tasks: self.tasks.clone(),
            deliveries,
            started: Some(started),
        };
        self.tasks.spawn(subscription.run());
        // This time is enough to connect and make a few calls. After a timeout `received` is dropped, which ends
        // the subscription.
        let timeout = self.config.endpoint.connect_timeout + CALL_TIMEOUT;
        match tokio::time::timeout(timeout, has_started).await {
            Ok(Ok(())) => Ok(Box::new(RabbitConsumer::new(
                received,
                self.closing.clone(),
            ))),
            Ok(Err(_dropped)) => Err(QueueError::Closed),
            Err(elapsed) => Err(unavailable(elapsed)),
        }
    }

    async fn depth(&self, class: Class) -> Result<u64, QueueError> {
        if self.closing.is_cancelled() {
            return Err(QueueError::Closed);
        }
        // The consuming connection is preferred, because no alarm blocks it.
        let consuming = self.consuming.get().and_then(CurrentConnection::get);
        let Some(connection) = consuming.or_else(|| self.publishing.get()) else {
            return Err(QueueError::Unavailable(None));
        };
        let queue = self.config.queues.jobs(class);
        connection.depth(queue).await.map_err(unavailable)
    }

    fn is_connected(&self) -> bool {
        let publishing = self.publishing.get();
        let can_publish = publishing.is_some_and(|connection| !connection.is_blocked());
        let consuming = self.consuming.get();
        can_publish && consuming.is_none_or(|consuming| consuming.get().is_some())
    }

    fn is_consuming(&self) -> bool {
        let registered = self.config.registered.iter();
        registered
            .map(|count| count.load(Ordering::Relaxed))
            .all(|count| count > 0)
    }

    fn survives_restart(&self) -> bool {
        true
    }
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> QueueError {
    QueueError::Unavailable(Some(error.into()))
}

impl std::fmt::Debug for RabbitQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RabbitQueue")
            .field("broker", &self.config.endpoint)
            .field("process_name", &self.config.process_name)
            .finish_non_exhaustive()
    }
}
