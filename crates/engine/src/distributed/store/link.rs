//! The connections that commands go over. Each carries many commands at once, so callers share them:
//! a command clones a handle, and no checkout and no PING come before it.
//!
//! A connection that fails is replaced in the background, with jittered pauses; meanwhile commands go
//! over the other one, or fail at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use forebay_shared::store::StoreError;
use futures_util::future::join_all;
use redis::{
    Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
    aio::ConnectionLike as _,
    cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo},
};
use tokio::{
    sync::OnceCell,
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    arguments::Arguments,
    dial::{CONNECTIONS, Dialer, Server},
    failure::{Accepts, NoConnection, breaks_connection, store_error},
    pause::Pause,
    reply::Reply,
    scripts::Script,
    slot::{Connection, Handle, Slot},
};

/// At least this long passes before a cluster's connections are made anew once more.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// A connection that served for so long is replaced at once when it fails.
const LASTED: Duration = Duration::from_secs(2);

/// The connections, and the tasks that keep them.
pub(super) struct Link {
    inner: Arc<Inner>,
    keepers: Vec<JoinHandle<()>>,
}

struct Inner {
    dialer: Arc<Dialer>,
    /// What is behind the URL; empty until somebody has answered there.
    server: OnceCell<Server>,
    slots: [Slot; CONNECTIONS],
    turn: AtomicUsize,
    ids: AtomicU64,
}

/// Why a command has no answer.
enum Failed {
    NoConnection,
    Redis(RedisError),
}

impl Failed {
    fn into_store_error(self, accepts: Accepts) -> StoreError {
        match self {
            Self::NoConnection => StoreError::Unavailable(Some(Box::new(NoConnection))),
            Self::Redis(error) => store_error(error, accepts),
        }
    }
}

impl Link {
    /// Starts to keep connections to the server, if somebody has found out already what it is, or to
    /// find out.
    pub(super) fn start(dialer: Arc<Dialer>, server: Option<Server>) -> Self {
        let inner = Arc::new(Inner {
            dialer,
            server: OnceCell::new_with(server),
            slots: std::array::from_fn(|_| Slot::default()),
            turn: AtomicUsize::new(0),
            ids: AtomicU64::new(0),
        });
        let keepers = (0..CONNECTIONS)
            .map(|slot| tokio::spawn(Arc::clone(&inner).keep(slot)))
            .collect();
        Self { inner, keepers }
    }

    /// Waits until there is a connection.
    pub(super) async fn up(&self) {
        self.inner.slots[0].until_filled().await;
    }

    /// Runs a command.
    pub(super) async fn run(&self, command: &Cmd, accepts: Accepts) -> Result<Value, StoreError> {
        self.inner
            .send(command)
            .await
            .map_err(|failed| failed.into_store_error(accepts))
    }

    /// Runs a script on a key, by its digest, or with its source if the server does not know it.
    pub(super) async fn eval(
        &self,
        script: &Script,
        key: &str,
        args: &Arguments,
        accepts: Accepts,
    ) -> Result<Reply, StoreError> {
        let mut answer = self.inner.send(&by_digest(script, key, args)).await;
        if matches!(&answer, Err(Failed::Redis(error)) if is_unknown_script(error)) {
            answer = self.inner.send(&by_source(script, key, args)).await;
        }
        match answer {
            Ok(value) => Ok(Reply::new(script.name, value)),
            Err(failed) => Err(failed.into_store_error(accepts)),
        }
    }

    /// Runs a script on many keys at once, in one trip for each server.
    pub(super) async fn eval_each(
        &self,
        script: &Script,
        calls: &[(String, Arguments)],
    ) -> Result<Vec<Reply>, StoreError> {
        let commands = calls.iter().map(|(key, args)| by_digest(script, key, args));
        let answers = self.inner.send_all(commands.collect()).await;
        let answers = answers.map_err(|failed| failed.into_store_error(Accepts::No))?;
        let mut replies = Vec::with_capacity(calls.len());
        for (answer, (key, args)) in answers.into_iter().zip(calls) {
            replies.push(match answer {
                Ok(value) => Reply::new(script.name, value),
                Err(error) if is_unknown_script(&error) => {
                    self.eval(script, key, args, Accepts::No).await?
                }
                Err(error) => return Err(store_error(error, Accepts::No)),
            });
        }
        Ok(replies)
    }

    /// Runs many commands at once, in one trip for each server.
    pub(super) async fn run_each(
        &self,
        name: &'static str,
        commands: Vec<Cmd>,
    ) -> Result<Vec<Reply>, StoreError> {
        let answers = self.inner.send_all(commands).await;
        answers
            .map_err(|failed| failed.into_store_error(Accepts::No))?
            .into_iter()
            .map(|answer| match answer {
                Ok(value) => Ok(Reply::new(name, value)),
                Err(error) => Err(store_error(error, Accepts::No)),
            })
            .collect()
    }

    /// Runs a command on the server, or on each node that takes writes; then the answer is a map.
    pub(super) async fn run_everywhere(&self, command: &Cmd) -> Result<Value, StoreError> {
        let answer = match self.inner.pick() {
            Some((
                _,
                Handle {
                    connection: Connection::Cluster(mut cluster),
                    ..
                },
            )) => {
                let nodes = MultipleNodeRoutingInfo::AllMasters;
                let route = RoutingInfo::MultiNode((nodes, None::<ResponsePolicy>));
                let answer = cluster.route_command(command.clone(), route).await;
                answer.map_err(Failed::Redis)
            }
            _ => self.inner.send(command).await,
        };
        answer.map_err(|failed| failed.into_store_error(Accepts::No))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for keeper in &self.keepers {
            keeper.abort();
        }
    }
}

impl Inner {
    /// A connection, in turn.
    fn pick(&self) -> Option<(&Slot, Handle)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..CONNECTIONS).find_map(|n| {
            let slot = &self.slots[(turn + n) % CONNECTIONS];
            slot.handle().map(|handle| (slot, handle))
        })
    }

    async fn send(&self, command: &Cmd) -> Result<Value, Failed> {
        let (slot, mut handle) = self.pick().ok_or(Failed::NoConnection)?;
        let answer = match &mut handle.connection {
            Connection::Single(connection) => connection.send_packed_command(command).await,
            Connection::Cluster(cluster) => cluster.req_packed_command(command).await,
        };
        self.judge(slot, &handle, answer.and_then(Value::extract_error))
    }

    /// Sends commands together. The answer of each is its own, unless the connection fails.
    async fn send_all(&self, commands: Vec<Cmd>) -> Result<Vec<RedisResult<Value>>, Failed> {
        let (slot, mut handle) = self.pick().ok_or(Failed::NoConnection)?;
        let answers = match &mut handle.connection {
            Connection::Single(connection) => {
                let count = commands.len();
                let mut pipeline = Pipeline::with_capacity(count);
                for command in commands {
                    pipeline.add_command(command);
                }
                connection.send_packed_commands(&pipeline, 0, count).await
            }
            // A pipeline leads to one node; commands that are sent at the same time lead to each at once.
            Connection::Cluster(cluster) => {
                let answers = commands.iter().map(|command| {
                    let mut cluster = cluster.clone();
                    async move { cluster.req_packed_command(command).await }
                });
                join_all(answers).await.into_iter().collect()
            }
        };
        let answers = self.judge(slot, &handle, answers)?;
        Ok(answers.into_iter().map(Value::extract_error).collect())
    }

    /// Has the connection replaced if the answer says that it had better be.
    fn judge<T>(&self, slot: &Slot, handle: &Handle, answer: RedisResult<T>) -> Result<T, Failed> {
        answer.map_err(|error| {
            if breaks_connection(&error) {
                slot.mark_broken(handle);
            }
            Failed::Redis(error)
        })
    }

    /// Keeps a connection in a slot, for as long as the task runs.
    async fn keep(self: Arc<Self>, n: usize) {
        let slot = &self.slots[n];
        let mut pause = Pause::default();
        let mut was_up = true;
        loop {
            let opened = match self.open(n).await {
                Ok(Some(opened)) => opened,
                // A cluster needs one slot only.
                Ok(None) => return,
                Err(error) => {
                    if was_up && n == 0 {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "no connection to Redis; trying again until there is one"
                        );
                    }
                    was_up = false;
                    sleep(pause.next()).await;
                    continue;
                }
            };
            if !was_up && n == 0 {
                tracing::info!("connected to Redis");
            }
            was_up = true;
            let since = Instant::now();
            slot.fill(&opened.handle);
            slot.until_broken(opened.handle.id).await;
            if let Some(pooled) = opened.pooled {
                // Taken out of the pool for good, which makes a new one next time.
                drop(deadpool_redis::Connection::take(pooled));
            } else {
                sleep(RENEW_EVERY).await;
            }
            // A server that takes connections only to fail on them is not to be flooded with them.
            if since.elapsed() >= LASTED {
                pause.reset();
            } else {
                sleep(pause.next()).await;
            }
        }
    }

    async fn open(&self, n: usize) -> Result<Option<Opened>, super::dial::DialError> {
        let server = self.server.get_or_try_init(|| self.dialer.probe()).await?;
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        match server {
            Server::Single(pool) => {
                let pooled = self.dialer.single(pool).await?;
                let connection = Connection::Single((*pooled).clone());
                Ok(Some(Opened {
                    handle: Handle { id, connection },
                    pooled: Some(pooled),
                }))
            }
            Server::Cluster(client) if n == 0 => {
                let connection = Connection::Cluster(self.dialer.clustered(client).await?);
                Ok(Some(Opened {
                    handle: Handle { id, connection },
                    pooled: None,
                }))
            }
            Server::Cluster(_) => Ok(None),
        }
    }
}

/// A connection that was just made, and its place in the pool if it is out of one.
struct Opened {
    handle: Handle,
    pooled: Option<deadpool_redis::Connection>,
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn by_digest(script: &Script, key: &str, args: &Arguments) -> Cmd {
    call("EVALSHA", script.digest(), key, args)
}

/// With the source, which the server keeps from then on.
fn by_source(script: &Script, key: &str, args: &Arguments) -> Cmd {
    call("EVAL", script.source(), key, args)
}

fn call(name: &str, script: &str, key: &str, args: &Arguments) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(1).arg(key).arg(args.as_slice());
    command
}
