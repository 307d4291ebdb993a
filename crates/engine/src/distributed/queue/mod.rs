//! The queue in RabbitMQ: one quorum queue for each class, confirmed publishes, and consumers that
//! outlive the broker.
//!
//! What stands below this file, in reading order: where the broker is (`endpoint`), what is declared
//! there (`topology`), one connection for as long as it works (`link`, `plug`), its succession by
//! the next (`supervisor`), sending (`publisher`, `confirms`) and receiving
//! (`line`, `slots`, `consumer`, `reading`, `unreadable`, `acker`, `runs`).
//!
//! Nothing here repeats a wake that did not get through: its job's timer does. Nothing here judges what
//! a wake asks for: whoever receives it does, over the store.
//!
//! A process has at most two connections, one that publishes and, once it consumes, one that consumes:
//! when the broker runs short of memory or disk it stops reading from connections that publish, and the
//! acks of finished work must still get through.
//!
//! lapin logs whole returned messages at WARN (target `lapin::returned_messages`) and every lost
//! connection at ERROR (`lapin::channels`, `lapin::io_loop`). What matters of it is logged here, so a
//! process's filter should hold `lapin=off`.

mod acker;
mod confirms;
mod consumer;
mod endpoint;
mod line;
mod link;
mod plug;
mod publisher;
mod reading;
mod runs;
mod settings;
mod slots;
mod supervisor;
mod topology;
mod unreadable;

use std::{
    sync::{Arc, OnceLock},
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

pub use self::settings::{ConfigError, QueueSettings};
use self::{
    consumer::RabbitConsumer,
    endpoint::Endpoint,
    line::Line,
    link::{Links, RPC_TIMEOUT, Site},
    publisher::Publisher,
    reading::BODY_BYTES_MAX,
    topology::Names,
};

/// How long the connections are given to say goodbye, after everything else is settled.
const GOODBYE: Duration = Duration::from_secs(2);

/// Wakes in RabbitMQ.
pub struct RabbitQueue {
    site: Arc<Site>,
    publisher: Publisher,
    publishing: Links,
    /// There once something is consumed: a process that only publishes has one connection.
    consuming: OnceLock<Links>,
    /// Ends the taking of orders and of deliveries.
    closing: CancellationToken,
    /// Ends the connections.
    closed: CancellationToken,
    /// What has to come to its end between the two.
    work: TaskTracker,
    supervisors: TaskTracker,
    _on_drop: [DropGuard; 2],
}

impl RabbitQueue {
    /// Checks the settings and begins nothing.
    ///
    /// # Errors
    /// [`ConfigError`] for settings that can never work.
    pub fn check(url: &str, settings: &QueueSettings) -> Result<(), ConfigError> {
        settings.check()?;
        Endpoint::parse(url, settings.ca_file.as_deref()).map(drop)
    }

    /// Checks the settings and begins to connect, in the background: the broker may be away now. Must
    /// be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ConfigError`] for settings that can never work.
    pub fn new(url: &str, settings: &QueueSettings) -> Result<Self, ConfigError> {
        settings.check()?;
        let site = Arc::new(Site {
            endpoint: Endpoint::parse(url, settings.ca_file.as_deref())?,
            names: Names::with_prefix(&settings.prefix),
            name: settings.name.clone(),
        });
        let closing = CancellationToken::new();
        let closed = CancellationToken::new();
        let work = TaskTracker::new();
        let supervisors = TaskTracker::new();
        let publishing =
            supervisor::supervise(&site, link::Purpose::Publish, &closed, &supervisors);
        let (publisher, task) =
            publisher::start(publishing.clone(), site.name.clone(), closing.clone());
        work.spawn(task);
        let _on_drop = [closing.clone().drop_guard(), closed.clone().drop_guard()];
        Ok(Self {
            site,
            publisher,
            publishing,
            consuming: OnceLock::new(),
            closing,
            closed,
            work,
            supervisors,
            _on_drop,
        })
    }

    /// Stops taking and giving, waits for what is on its way (publishes for their confirms, deliveries
    /// for whoever has them to settle them), at most for so long, and disconnects. What is unsettled
    /// then is redelivered. A worker that drains drops its consumers first, which gives back what was
    /// prefetched, and comes here when it has nothing more to publish.
    pub async fn close(&self, drain: Duration) {
        self.closing.cancel();
        self.work.close();
        if tokio::time::timeout(drain, self.work.wait()).await.is_err() {
            tracing::warn!(
                tasks = self.work.len(),
                "the queue closes with work unsettled"
            );
        }
        self.closed.cancel();
        self.supervisors.close();
        // Each has a time limit of its own; this one is for the case that I am wrong about it.
        let _late = tokio::time::timeout(GOODBYE * 2, self.supervisors.wait()).await;
    }

    fn consuming(&self) -> &Links {
        self.consuming.get_or_init(|| {
            supervisor::supervise(
                &self.site,
                link::Purpose::Consume,
                &self.closed,
                &self.supervisors,
            )
        })
    }
}

#[async_trait]
impl Queue for RabbitQueue {
    async fn publish(&self, wake: &Wake) -> Result<(), QueueError> {
        let body =
            serde_json::to_vec(wake).map_err(|e| QueueError::Unavailable(Some(Box::new(e))))?;
        if body.len() > BODY_BYTES_MAX {
            // Its readers would set it aside. The fields of a wake are bounded, so this is a bug.
            let error = format!("a wake of {} bytes", body.len());
            return Err(QueueError::Unavailable(Some(error.into())));
        }
        let queue = self.site.names.jobs(wake.class).clone();
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
        let (out, deliveries) = mpsc::channel(1);
        let (begun, has_begun) = oneshot::channel();
        let line = Line::new(line::Order {
            class,
            site: Arc::clone(&self.site),
            unacked_max,
            links: self.consuming().clone(),
            publisher: self.publisher.clone(),
            closing: self.closing.clone(),
            work: self.work.clone(),
            out,
            begun: Some(begun),
        });
        self.work.spawn(line.run());
        // A connection and a few calls over it. If this gives up, the line sees its receiver go.
        let patience = self.site.endpoint.connect_timeout + RPC_TIMEOUT;
        match tokio::time::timeout(patience, has_begun).await {
            Ok(Ok(())) => Ok(Box::new(RabbitConsumer::new(
                deliveries,
                self.closing.clone(),
            ))),
            Ok(Err(_gone)) => Err(QueueError::Closed),
            Err(late) => Err(QueueError::Unavailable(Some(Box::new(late)))),
        }
    }

    async fn depth(&self, class: Class) -> Result<u64, QueueError> {
        if self.closing.is_cancelled() {
            return Err(QueueError::Closed);
        }
        // Rather the connection that alarms never block.
        let consuming = self.consuming.get().and_then(Links::now);
        let Some(link) = consuming.or_else(|| self.publishing.now()) else {
            return Err(QueueError::Unavailable(None));
        };
        link.depth(self.site.names.jobs(class))
            .await
            .map_err(|e| QueueError::Unavailable(Some(Box::new(e))))
    }

    fn survives_restart(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for RabbitQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RabbitQueue")
            .field("at", &self.site.endpoint)
            .field("name", &self.site.name)
            .finish_non_exhaustive()
    }
}
