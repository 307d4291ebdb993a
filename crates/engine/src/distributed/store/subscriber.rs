//! The connection for notices, shared by all watchers of the process.
//!
//! A task owns the connection and subscribes to each topic that has watchers. When the connection is lost, every
//! watcher's stream of notices ends, because notices may have been missed. A watcher then reads the state from the store
//! and requests another stream. This request waits for the next connection. If the last attempts to connect have failed, the
//! request is refused at once, and the watcher reads the state at intervals.

use std::{
    collections::{HashMap, hash_map::Entry},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use forebay_shared::{
    ids::JobId,
    store::{Notices, StoreError, Topic},
};
use futures_util::StreamExt as _;
use redis::{
    Msg, RedisError,
    aio::{PubSubSink, PubSubStream},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    dial::{Dialer, RECONNECT, RESPONSE_TIMEOUT},
    keys::Keys,
    redis_error::NoConnection,
};

/// How many requests to watch may be queued. Further callers wait until there is space.
const WAITING_MAX: usize = 1_024;
/// The most topics in one command.
const BATCH_MAX: usize = 256;
/// How long a request to watch waits for a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that is lost earlier counts as a failure to connect. A server may accept the connection and refuse each
/// subscription.
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// After this many failures in a row, requests to watch are refused until the next connection.
const FAILURES_BEFORE_REFUSAL: u32 = 2;
/// How often the task tests the connection and unsubscribes from topics without watchers.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(2);

/// A request to watch a topic.
struct WatchRequest {
    topic: Topic,
    answer: oneshot::Sender<Notices>,
}

/// The handle to the task that owns the connection.
pub(super) struct Subscriber {
    requests: mpsc::Sender<WatchRequest>,
    task: JoinHandle<()>,
}

impl Subscriber {
    /// Starts the task.
    pub(super) fn start(dialer: Arc<Dialer>, keys: Keys) -> Self {
        let (sender, requests) = mpsc::channel(WAITING_MAX);
        let subscriber_loop = SubscriberLoop {
            dialer,
            keys,
            requests,
        };
        Self {
            requests: sender,
            task: tokio::spawn(subscriber_loop.run()),
        }
    }

    /// Starts a stream of notices on a topic.
    pub(super) async fn watch(&self, topic: Topic) -> Result<Notices, StoreError> {
        let (answer, notices) = oneshot::channel();
        let request = async {
            let request = WatchRequest { topic, answer };
            self.requests.send(request).await.ok()?;
            notices.await.ok()
        };
        match timeout(CONNECTION_TIMEOUT + RESPONSE_TIMEOUT, request).await {
            Ok(Some(notices)) => Ok(notices),
            Ok(None) | Err(_) => Err(StoreError::Unavailable(Some(Box::new(NoConnection)))),
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct SubscriberLoop {
    dialer: Arc<Dialer>,
    keys: Keys,
    requests: mpsc::Receiver<WatchRequest>,
}

impl SubscriberLoop {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            let connecting = self.dialer.connect_subscriber();
            match wait_while_disconnected(failures, &mut self.requests, connecting).await {
                Ok(connection) => {
                    let connected_at = Instant::now();
                    let (sink, stream) = connection.split();
                    let mut connected = Connected {
                        sink,
                        keys: &self.keys,
                        watchers: HashMap::new(),
                    };
                    let Err(error) = connected.serve(stream, &mut self.requests).await else {
                        return;
                    };
                    if connected_at.elapsed() >= STABLE_AFTER {
                        failures = 0;
                    }
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "the connection to Redis for notices was lost; connecting again"
                    );
                }
                Err(error) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "cannot open the connection to Redis for notices; trying again"
                    );
                }
            }
            let delay = sleep(RECONNECT.delay(failures, rand::random()));
            wait_while_disconnected(failures, &mut self.requests, delay).await;
            failures = failures.saturating_add(1);
        }
    }
}

/// Waits for `future` while there is no connection. Meanwhile, requests to watch wait too. After
/// [`FAILURES_BEFORE_REFUSAL`] failures, they are refused instead.
async fn wait_while_disconnected<T>(
    failures: u32,
    requests: &mut mpsc::Receiver<WatchRequest>,
    future: impl Future<Output = T>,
) -> T {
    if failures < FAILURES_BEFORE_REFUSAL {
        return future.await;
    }
    let mut future = pin!(future);
    loop {
        tokio::select! {
            output = &mut future => return output,
            // Dropping a request refuses it.
            request = requests.recv() => if request.is_none() {
                return future.await;
            },
        }
    }
}

/// The state of the task while it has a connection.
struct Connected<'a> {
    sink: PubSubSink,
    keys: &'a Keys,
    /// The watchers of each channel.
    watchers: HashMap<String, Vec<mpsc::Sender<JobId>>>,
}

impl Connected<'_> {
    /// Forwards notices and answers requests. Returns an error when the connection is lost, and `Ok` when the store is
    /// dropped.
    async fn serve(
        &mut self,
        mut stream: PubSubStream,
        requests: &mut mpsc::Receiver<WatchRequest>,
    ) -> Result<(), RedisError> {
        let mut cleanup = interval(CLEANUP_INTERVAL);
        cleanup.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(message) => self.forward(&message),
                    None => return Err(connection_closed()),
                },
                received = requests.recv_many(&mut batch, BATCH_MAX) => {
                    if received == 0 {
                        return Ok(());
                    }
                    self.watch(batch.drain(..)).await?;
                }
                _ = cleanup.tick() => self.clean_up().await?,
            }
        }
    }

    fn forward(&mut self, message: &Msg) {
        let Some(watchers) = self.watchers.get_mut(message.get_channel_name()) else {
            return;
        };
        let text = std::str::from_utf8(message.get_payload_bytes()).ok();
        let Some(job) = text.and_then(|text| JobId::parse(text).ok()) else {
            return;
        };
        // A watcher whose stream is full loses the notice.
        watchers.retain(|watcher| {
            !matches!(
                watcher.try_send(job),
                Err(mpsc::error::TrySendError::Closed(_))
            )
        });
    }

    /// Subscribes to the new topics. Answers the requests once the server has confirmed the subscriptions, because the server
    /// sends notices only from then on.
    async fn watch(&mut self, batch: impl Iterator<Item = WatchRequest>) -> Result<(), RedisError> {
        let mut new_channels = Vec::new();
        let mut answers = Vec::new();
        for WatchRequest { topic, answer } in batch {
            if answer.is_closed() {
                continue;
            }
            let (sender, notices) = Notices::channel();
            let channel = self.keys.channel(&topic);
            match self.watchers.entry(channel) {
                Entry::Occupied(mut watchers) => watchers.get_mut().push(sender),
                Entry::Vacant(vacant) => {
                    new_channels.push(vacant.key().clone());
                    vacant.insert(vec![sender]);
                }
            }
            answers.push((answer, notices));
        }
        if !new_channels.is_empty() {
            with_timeout(self.sink.subscribe(&new_channels)).await?;
        }
        for (answer, notices) in answers {
            // If the caller is gone, the next cleanup unsubscribes.
            let _ = answer.send(notices);
        }
        Ok(())
    }

    /// Unsubscribes from topics without watchers, and tests the connection.
    async fn clean_up(&mut self) -> Result<(), RedisError> {
        let mut abandoned = Vec::new();
        self.watchers.retain(|channel, watchers| {
            watchers.retain(|watcher| !watcher.is_closed());
            if watchers.is_empty() {
                abandoned.push(channel.clone());
            }
            !watchers.is_empty()
        });
        for channels in abandoned.chunks(BATCH_MAX) {
            with_timeout(self.sink.unsubscribe(channels)).await?;
        }
        with_timeout(self.sink.ping::<redis::Value>()).await?;
        Ok(())
    }
}

async fn with_timeout<T>(
    call: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    let timed_out = || std::io::Error::from(std::io::ErrorKind::TimedOut).into();
    timeout(RESPONSE_TIMEOUT, call)
        .await
        .unwrap_or_else(|_| Err(timed_out()))
}

fn connection_closed() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()
}
