//! One connection to the broker for as long as it works: a *generation*, with its channels and its
//! topology. Whoever sees it fail ends it, for all its users; nothing in it is mended. The next one is
//! the [`supervisor`]'s work.
//!
//! [`supervisor`]: super::supervisor

use std::{future::Future, sync::Arc, time::Duration};

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

use super::{endpoint::Endpoint, plug::Plug, topology, topology::Names};

/// For anything that is asked of the broker. While it blocks the connection lapin writes nothing, so
/// that every call would wait for the end of the alarm.
pub(super) const RPC_TIMEOUT: Duration = Duration::from_secs(5);

/// lapin's events do not tell of every end of a connection, so its state is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// For the goodbye of a connection that ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What all connections of a process share.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) endpoint: Endpoint,
    pub(super) names: Names,
    /// What the management UI shows this process as.
    pub(super) name: String,
}

/// What a connection is for. Never for both: alarms block only connections that publish.
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

/// Why something did not work over a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("the broker or its connection failed")]
    Amqp(#[from] lapin::Error),
    #[error("no answer to {0} in time")]
    Late(&'static str),
    #[error("the broker takes nothing now: an alarm blocks the connection")]
    Blocked,
    #[error("the broker ended the consumer")]
    Gone,
    #[error("the connection was lost")]
    Lost,
}

/// The connection that works now, if one does.
#[derive(Clone, Debug)]
pub(super) struct Links(pub(super) watch::Receiver<Option<Arc<Link>>>);

impl Links {
    pub(super) fn now(&self) -> Option<Arc<Link>> {
        let link = self.0.borrow().clone();
        // One that has ended stands here for a moment until its supervisor has seen it.
        link.filter(|link| !link.ended.is_cancelled())
    }

    /// Waits until another one works, or none does. `false` when there will be no further.
    pub(super) async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }

    /// The next one that works; `None` when there will be no further.
    pub(super) async fn next(&mut self) -> Option<Arc<Link>> {
        loop {
            // In this order, so that a change between the two is not missed.
            self.0.mark_unchanged();
            if let Some(link) = self.now() {
                return Some(link);
            }
            if !self.changed().await {
                return None;
            }
        }
    }
}

/// A connection that works until [`Link::ended`].
#[derive(Debug)]
pub(super) struct Link {
    connection: Connection,
    purpose: Purpose,
    blocked: watch::Sender<bool>,
    ended: CancellationToken,
    plug: Plug,
}

impl Link {
    /// Connects and declares the queues.
    pub(super) async fn open(site: &Site, purpose: Purpose) -> Result<Self, LinkError> {
        let plug = Plug::default();
        // lapin's own recovery stays off, as it is by default: it knows nothing of what must not be
        // done again.
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("{} {}", site.name, purpose.as_str()).into());
        let socket = plug.socket();
        let endpoint = site.endpoint.clone();
        let connecting = Connection::connector(
            site.endpoint.uri.clone(),
            lapin::runtime::default_runtime()?,
            async move |uri, runtime| {
                // Runs in the thread of the connection, where nothing else would bound it.
                let connecting = async {
                    let at = (uri.authority.host.as_str(), uri.authority.port);
                    let addresses: Vec<_> = tokio::net::lookup_host(at).await?.collect();
                    let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
                    if let AsyncTcpStream::Plain(stream) = &stream {
                        socket.plug(stream.get_ref())?;
                    }
                    if endpoint.is_encrypted() {
                        let tls = endpoint.tls.as_ref();
                        stream.into_tls(&uri.authority.host, tls).await
                    } else {
                        Ok(stream)
                    }
                };
                let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
                let connected = timeout(endpoint.connect_timeout, connecting).await;
                Ok(connected.map_err(late)??)
            },
            properties,
        );
        // Around all of it, for the handshake of AMQP has no limit of its own either.
        let connection = timeout(site.endpoint.connect_timeout, connecting)
            .await
            .map_err(|_| LinkError::Late("connect"))??;
        let link = Self {
            connection,
            purpose,
            blocked: watch::Sender::new(false),
            ended: CancellationToken::new(),
            plug,
        };
        let channel = link.channel().await?;
        within("queue.declare", topology::declare(&channel, &site.names)).await?;
        within("channel.close", channel.close(200, "OK".into())).await?;
        Ok(link)
    }

    /// A new channel.
    pub(super) async fn channel(&self) -> Result<Channel, LinkError> {
        within("channel.open", self.connection.create_channel()).await
    }

    /// How many messages of a queue are ready. On a channel of its own: the answer to a queue that is
    /// not there is the end of the channel.
    pub(super) async fn depth(&self, queue: &ShortString) -> Result<u64, LinkError> {
        if *self.blocked.borrow() {
            return Err(LinkError::Blocked);
        }
        let channel = self.channel().await?;
        let options = QueueDeclareOptions::durable().passive();
        let asked = channel.queue_declare(queue.clone(), options, FieldTable::default());
        let found = within("queue.declare", asked).await?;
        let depth = u64::from(found.message_count());
        within("channel.close", channel.close(200, "OK".into())).await?;
        Ok(depth)
    }

    /// Ends this generation, for all its users. The first cause is the one that is logged.
    pub(super) fn end(&self, cause: &(dyn std::error::Error + 'static)) {
        if !self.ended.is_cancelled() {
            self.ended.cancel();
            let purpose = self.purpose.as_str();
            tracing::warn!(
                purpose,
                error = cause,
                "the connection to RabbitMQ is given up"
            );
        }
    }

    /// Returns once this generation has ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// The end of this generation, to be asked for later.
    pub(super) fn end_token(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Whether the broker refuses to read from this connection now.
    pub(super) fn blocked(&self) -> watch::Receiver<bool> {
        self.blocked.subscribe()
    }

    /// Watches over the connection until it has ended.
    pub(super) async fn watch(&self) {
        let mut events = Box::pin(self.connection.events_listener());
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut cause = LinkError::Lost;
        loop {
            tokio::select! {
                () = self.ended() => return,
                // Otherwise only an occasion to look. An error may be that of a single channel.
                Some(event) = events.next() => if let Event::Error(error) = event {
                    cause = LinkError::Amqp(error);
                },
                _ = look.tick() => {}
            }
            let status = self.connection.status();
            if !status.connected() {
                self.end(&cause);
                return;
            }
            let blocked = status.blocked();
            let changed = self.blocked.send_if_modified(|b| {
                let changed = *b != blocked;
                *b = blocked;
                changed
            });
            if changed && blocked {
                tracing::warn!("RabbitMQ blocks publishing: a memory or disk alarm");
            } else if changed {
                tracing::info!("RabbitMQ takes messages again");
            }
        }
    }

    /// Says goodbye if that is possible, and disconnects in any case.
    pub(super) async fn close(&self) {
        self.ended.cancel();
        let _unsaid = timeout(CLOSE_TIMEOUT, self.connection.close(200, "OK".into())).await;
        self.plug.pull();
    }
}

/// A call to the broker with a time limit.
pub(super) async fn within<T>(
    what: &'static str,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, LinkError> {
    match timeout(RPC_TIMEOUT, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(LinkError::Late(what)),
    }
}
