//! The one connection that waits for notices, for all watchers of the process.
//!
//! A task owns it, and subscribes to a topic while somebody watches it. When the connection is lost all
//! streams end, because notices may have been lost with it: whoever watches looks again and watches
//! again, which waits for the next connection.

use std::{
    collections::{HashMap, hash_map::Entry},
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
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    dial::{Dialer, RESPONSE_TIMEOUT},
    failure::NoConnection,
    keys::Keys,
    pause::Pause,
};

/// Topics that wait to be watched at most; whoever comes then waits for room.
const WAITING_MAX: usize = 1_024;
/// How many of them are subscribed to at once.
const BATCH: usize = 256;
/// How long a watcher waits for the connection to come back.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the connection is tried, and topics that nobody watches any more are left. A notice that
/// was lost with a dead connection so comes late by no more than this.
const TIDY_EVERY: Duration = Duration::from_secs(2);

/// A topic that somebody wants to watch.
struct Watch {
    topic: Topic,
    answer: oneshot::Sender<Notices>,
}

/// The handle to the task.
pub(super) struct Subscriber {
    watches: mpsc::Sender<Watch>,
    task: JoinHandle<()>,
}

impl Subscriber {
    /// Starts the task.
    pub(super) fn start(dialer: Arc<Dialer>, keys: Keys) -> Self {
        let (watches, waiting) = mpsc::channel(WAITING_MAX);
        let run = Loop {
            dialer,
            keys,
            waiting,
        };
        Self {
            watches,
            task: tokio::spawn(run.run()),
        }
    }

    /// Notices on a topic from now on.
    pub(super) async fn watch(&self, topic: Topic) -> Result<Notices, StoreError> {
        let away = || StoreError::Unavailable(Some(Box::new(NoConnection)));
        let (answer, answered) = oneshot::channel();
        let asks = async {
            self.watches.send(Watch { topic, answer }).await.ok()?;
            answered.await.ok()
        };
        match timeout(PATIENCE + RESPONSE_TIMEOUT, asks).await {
            Ok(Some(notices)) => Ok(notices),
            Ok(None) | Err(_) => Err(away()),
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Loop {
    dialer: Arc<Dialer>,
    keys: Keys,
    waiting: mpsc::Receiver<Watch>,
}

impl Loop {
    async fn run(mut self) {
        let mut pause = Pause::default();
        loop {
            match self.dialer.subscriber().await {
                Ok(connection) => {
                    pause.reset();
                    let (sink, stream) = connection.split();
                    let mut connected = Connected {
                        sink,
                        keys: &self.keys,
                        watchers: HashMap::new(),
                    };
                    let Err(error) = connected.serve(stream, &mut self.waiting).await else {
                        return;
                    };
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "the connection for notices was lost"
                    );
                }
                Err(error) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "no connection for notices"
                    );
                }
            }
            // Those who wait to watch meanwhile wait on, for as long as their own patience lasts.
            sleep(pause.next()).await;
        }
    }
}

/// The task while it has a connection.
struct Connected<'a> {
    sink: PubSubSink,
    keys: &'a Keys,
    /// By channel.
    watchers: HashMap<String, Vec<mpsc::Sender<JobId>>>,
}

impl Connected<'_> {
    /// Serves until the connection is lost, or nobody can watch any more.
    async fn serve(
        &mut self,
        mut stream: PubSubStream,
        waiting: &mut mpsc::Receiver<Watch>,
    ) -> Result<(), RedisError> {
        let mut tidy = interval(TIDY_EVERY);
        tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(message) => self.pass_on(&message),
                    None => return Err(closed()),
                },
                came = waiting.recv_many(&mut batch, BATCH) => {
                    if came == 0 {
                        return Ok(());
                    }
                    self.watch(batch.drain(..)).await?;
                }
                _ = tidy.tick() => self.tidy().await?,
            }
        }
    }

    fn pass_on(&mut self, message: &Msg) {
        let Some(watchers) = self.watchers.get_mut(message.get_channel_name()) else {
            return;
        };
        let text = std::str::from_utf8(message.get_payload_bytes()).ok();
        let Some(job) = text.and_then(|text| JobId::parse(text).ok()) else {
            return;
        };
        // A watcher that does not keep up loses notices, as it must expect.
        watchers.retain(|watcher| {
            !matches!(
                watcher.try_send(job),
                Err(mpsc::error::TrySendError::Closed(_))
            )
        });
    }

    /// Subscribes to the topics that are new, and answers when the server has confirmed it: what is
    /// published from then on is seen.
    async fn watch(&mut self, batch: impl Iterator<Item = Watch>) -> Result<(), RedisError> {
        let mut new = Vec::new();
        let mut answers = Vec::new();
        for Watch { topic, answer } in batch {
            if answer.is_closed() {
                continue;
            }
            let (sender, notices) = Notices::channel();
            let channel = self.keys.channel(&topic);
            match self.watchers.entry(channel) {
                Entry::Occupied(mut watchers) => watchers.get_mut().push(sender),
                Entry::Vacant(vacant) => {
                    new.push(vacant.key().clone());
                    vacant.insert(vec![sender]);
                }
            }
            answers.push((answer, notices));
        }
        if !new.is_empty() {
            within(self.sink.subscribe(&new)).await?;
        }
        for (answer, notices) in answers {
            // Who has given up meanwhile does not care, and is left at the next tidying.
            let _gone = answer.send(notices);
        }
        Ok(())
    }

    /// Leaves the topics that nobody watches any more, and makes sure that the server is there.
    async fn tidy(&mut self) -> Result<(), RedisError> {
        let mut left = Vec::new();
        self.watchers.retain(|channel, watchers| {
            watchers.retain(|watcher| !watcher.is_closed());
            if watchers.is_empty() {
                left.push(channel.clone());
            }
            !watchers.is_empty()
        });
        for channels in left.chunks(BATCH) {
            within(self.sink.unsubscribe(channels)).await?;
        }
        within(self.sink.ping::<redis::Value>()).await?;
        Ok(())
    }
}

async fn within<T>(answer: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    let late = || std::io::Error::from(std::io::ErrorKind::TimedOut).into();
    timeout(RESPONSE_TIMEOUT, answer)
        .await
        .unwrap_or_else(|_| Err(late()))
}

fn closed() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()
}
