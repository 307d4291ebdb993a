//! One connection to the broker, which several tasks use. The first failure of any task ends the connection for
//! all tasks. A failed connection is never repaired: the supervisor opens a new one.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, AtomicUsize},
    time::Duration,
};

use forebay_shared::class::Class;
use futures_util::StreamExt as _;
use lapin::{
    AsyncTcpStream, Channel, Connection, ConnectionProperties, Event,
    options::QueueDeclareOptions,
    types::{FieldTable, ShortString},
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    endpoint::Endpoint,
    socket_guard::SocketGuard,
    topology::{self, QueueNames},
};

/// The timeout of a call over an open connection. While a memory or disk alarm of the broker blocks the connection, lapin writes
/// nothing. A call without a timeout would then wait until the alarm ends.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the connection's status is polled. lapin sends no event for some failures of a connection.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The timeout of the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The settings and the counters that all connections of a process share.
#[derive(Debug)]
pub(super) struct BrokerConfig {
    pub(super) endpoint: Endpoint,
    pub(super) queues: QueueNames,
    /// The name of this process in the management UI.
    pub(super) process_name: String,
    /// How many connections were lost since the start.
    pub(super) connections_lost: AtomicU64,
    /// How many consumers of each class are registered at the broker, in the order of [`Class::ALL`].
    pub(super) registered: [AtomicUsize; Class::ALL.len()],
}

impl BrokerConfig {
    /// How many consumers of the class are registered.
    pub(super) const fn count_of(&self, class: Class) -> &AtomicUsize {
        let [interactive, batch] = &self.registered;
        match class {
            Class::Interactive => interactive,
            Class::Batch => batch,
        }
    }
}

/// What a connection is for. Publishing and consuming never share a connection, because an alarm blocks every
/// connection that publishes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Publish,
    Consume,
}

impl Purpose {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Consume => "consume",
        }
    }
}

/// Why a call over a connection failed, or why the connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error("RabbitMQ or the connection to it failed")]
    Amqp(#[from] lapin::Error),
    #[error("RabbitMQ did not answer {0} in time")]
    Timeout(&'static str),
    #[error("RabbitMQ blocks this connection because of a memory or disk alarm")]
    Blocked,
    #[error("RabbitMQ cancelled the consumer of a queue; the queue may have been deleted")]
    ConsumerCancelled,
    #[error("the connection to RabbitMQ was lost")]
    Lost,
}

/// A connection whose queues are declared.
#[derive(Debug)]
pub(super) struct BrokerConnection {
    connection: Connection,
    purpose: Purpose,
    blocked: watch::Sender<bool>,
    ended: CancellationToken,
    socket: SocketGuard,
}

impl BrokerConnection {
    /// Connects and declares the queues.
    pub(super) async fn open(
        config: &BrokerConfig,
        purpose: Purpose,
    ) -> Result<Self, ConnectionError> {
        let socket = SocketGuard::default();
        let connect_timeout = config.endpoint.connect_timeout;
        // lapin sets no timeout for the handshake.
        let connection = timeout(connect_timeout, connect(config, purpose, &socket))
            .await
            .map_err(|_| ConnectionError::Timeout("the connection attempt"))??;
        let opened = Self {
            connection,
            purpose,
            blocked: watch::Sender::new(false),
            ended: CancellationToken::new(),
            socket,
        };
        let channel = opened.channel().await?;
        let declare = topology::declare(&channel, &config.queues);
        with_timeout("queue.declare", declare).await?;
        with_timeout("channel.close", channel.close(200, "OK".into())).await?;
        Ok(opened)
    }

    /// Opens a channel.
    pub(super) async fn channel(&self) -> Result<Channel, ConnectionError> {
        with_timeout("channel.open", self.connection.create_channel()).await
    }

    /// Returns the number of ready messages in a queue. Uses a channel of its own, because RabbitMQ closes
    /// the channel when the queue does not exist.
    pub(super) async fn depth(&self, queue: &ShortString) -> Result<u64, ConnectionError> {
        if self.is_blocked() {
            return Err(ConnectionError::Blocked);
        }
        let channel = self.channel().await?;
        let options = QueueDeclareOptions::durable().passive();
        let declare = channel.queue_declare(queue.clone(), options, FieldTable::default());
        let declared = with_timeout("queue.declare", declare).await?;
        let depth = u64::from(declared.message_count());
        with_timeout("channel.close", channel.close(200, "OK".into())).await?;
        Ok(depth)
    }

    /// Ends this connection for all tasks. Only the first error is logged.
    pub(super) fn fail(&self, error: &(dyn std::error::Error + 'static)) {
        if !self.ended.is_cancelled() {
            self.ended.cancel();
            let purpose = self.purpose.as_str();
            tracing::warn!(
                purpose,
                error,
                "the connection to RabbitMQ failed; opening a new one"
            );
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits until this connection has ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// A token that is cancelled when this connection ends.
    pub(super) fn ended_token(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Whether an alarm of the broker blocks this connection.
    pub(super) fn is_blocked(&self) -> bool {
        *self.blocked.borrow()
    }

    /// Waits until an alarm of the broker blocks this connection.
    pub(super) async fn wait_until_blocked(&self) {
        self.wait_for_state(true).await;
    }

    /// Waits until no alarm of the broker blocks this connection.
    pub(super) async fn wait_until_unblocked(&self) {
        self.wait_for_state(false).await;
    }

    async fn wait_for_state(&self, blocked: bool) {
        let mut receiver = self.blocked.subscribe();
        let changed = receiver.wait_for(|current| *current == blocked).await;
        changed.expect("this connection holds the sender");
    }

    /// Monitors the connection until it has ended.
    pub(super) async fn monitor(&self) {
        let mut events = Box::pin(self.connection.events_listener());
        let mut poll = tokio::time::interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut error = ConnectionError::Lost;
        loop {
            tokio::select! {
                () = self.ended() => return,
                // The error may concern a single channel, so the status below shows whether the connection failed.
                Some(event) = events.next() => if let Event::Error(cause) = event {
                    error = ConnectionError::Amqp(cause);
                },
                _ = poll.tick() => {}
            }
            let status = self.connection.status();
            if !status.connected() {
                self.fail(&error);
                return;
            }
            self.set_blocked(status.blocked());
        }
    }

    fn set_blocked(&self, blocked: bool) {
        let changed = self
            .blocked
            .send_if_modified(|current| std::mem::replace(current, blocked) != blocked);
        if changed && blocked {
            tracing::warn!(
                "RabbitMQ blocks publishing because of a memory or disk alarm; \
                 jobs stay queued in the store and are published again after the alarm; \
                 free memory or disk space on the broker"
            );
        } else if changed {
            tracing::info!("the memory or disk alarm of RabbitMQ has ended; publishing again");
        }
    }

    /// Closes the connection and its socket. Waits at most [`CLOSE_TIMEOUT`] for the closing handshake.
    pub(super) async fn close(&self) {
        self.ended.cancel();
        let close = self.connection.close(200, "OK".into());
        // The socket is closed even if the handshake fails or times out.
        let _ = timeout(CLOSE_TIMEOUT, close).await;
        self.socket.shut_down();
    }
}

/// Connects, and registers the socket with its guard. lapin's automatic recovery stays off (its default), because the
/// supervisor replaces a failed connection.
async fn connect(
    config: &BrokerConfig,
    purpose: Purpose,
    socket: &SocketGuard,
) -> lapin::Result<Connection> {
    let name = format!("{} {}", config.process_name, purpose.as_str());
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let registration = socket.registration();
    let endpoint = config.endpoint.clone();
    let connecting = Connection::connector(
        config.endpoint.uri.clone(),
        lapin::runtime::default_runtime()?,
        async move |uri, runtime| {
            let opening = async {
                let host = uri.authority.host.as_str();
                let addresses = tokio::net::lookup_host((host, uri.authority.port)).await?;
                let addresses: Vec<_> = addresses.collect();
                let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
                if let AsyncTcpStream::Plain(stream) = &stream {
                    registration.register(stream.get_ref())?;
                }
                if endpoint.is_encrypted() {
                    stream.into_tls(host, endpoint.tls.as_ref()).await
                } else {
                    Ok(stream)
                }
            };
            // lapin runs this future on lapin's own thread, so the timeout in `open` does not cancel the future. The
            // future needs a timeout of its own.
            let opened = timeout(endpoint.connect_timeout, opening).await;
            let timed_out = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
            Ok(opened.map_err(timed_out)??)
        },
        properties,
    );
    connecting.await
}

/// Waits at most [`CALL_TIMEOUT`] for a call to the broker. `method` names the call in the error.
pub(super) async fn with_timeout<T>(
    method: &'static str,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, ConnectionError> {
    match timeout(CALL_TIMEOUT, call).await {
        Ok(result) => Ok(result?),
        Err(_elapsed) => Err(ConnectionError::Timeout(method)),
    }
}
