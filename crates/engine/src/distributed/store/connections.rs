//! The connections for commands.
//!
//! Each connection carries many commands at once, so callers share the connections. A command needs only a clone of a
//! handle: no checkout from a pool and no PING. When a connection breaks, its background task opens a new one. Until
//! then, commands use the other connection, or fail at once.

mod run_scripts;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use forebay_shared::store::StoreError;
use futures_util::future::join_all;
use redis::{
    Cmd, Pipeline, RedisError, RedisResult, Value,
    aio::ConnectionLike as _,
    cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo},
};
use tokio::{
    sync::OnceCell,
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    bulk_connections::BulkConnections,
    dial::{CONNECTIONS, DialError, Dialer, RECONNECT, RedisServer},
    redis_error::{NoConnection, breaks_connection},
    reply_part::ReplyPart,
    shared_connection::{ConnectionHandle, RedisConnection, SharedRedisConnection},
};
use crate::rejection::{OnStoreFull, Rejection};

/// The shortest time between two replacements of the connections to a cluster.
const CLUSTER_REPLACE_DELAY: Duration = Duration::from_secs(1);

/// A connection that stayed open at least this long is replaced without a backoff delay.
const STABLE_AFTER: Duration = Duration::from_secs(2);

pub(super) use run_scripts::is_cross_slot;

/// The connections and the tasks that replace them.
pub(super) struct RedisConnections {
    inner: Arc<ConnectionsInner>,
    tasks: Vec<JoinHandle<()>>,
}

struct ConnectionsInner {
    dialer: Arc<Dialer>,
    /// Empty until a server has answered for the first time.
    server: OnceCell<RedisServer>,
    shared: [SharedRedisConnection; CONNECTIONS],
    bulk: BulkConnections,
    /// Rises with every command. It selects the connection that the command tries first.
    next: AtomicUsize,
    /// The id of the next connection.
    next_id: AtomicU64,
    /// How many shared connections broke.
    lost: AtomicU64,
    /// Whether the server has refused a script because its keys are in several partitions.
    separates_partitions: AtomicBool,
}

impl RedisConnections {
    /// Starts the tasks. `server` is the server that the start of the store has found; `None` if no server answered.
    pub(super) fn start(dialer: Arc<Dialer>, server: Option<RedisServer>) -> Self {
        let inner = Arc::new(ConnectionsInner {
            bulk: BulkConnections::new(Arc::clone(&dialer)),
            dialer,
            server: OnceCell::new_with(server),
            shared: std::array::from_fn(|_| SharedRedisConnection::default()),
            next: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            separates_partitions: AtomicBool::new(false),
        });
        let tasks = (0..CONNECTIONS)
            .map(|index| tokio::spawn(Arc::clone(&inner).keep_open(index)))
            .collect();
        Self { inner, tasks }
    }

    /// Waits until there is a connection.
    pub(super) async fn until_open(&self) {
        self.inner.shared[0].until_open().await;
    }

    /// Whether Redis is one server and not a cluster. `false` until a server has answered.
    pub(super) fn is_one_server(&self) -> bool {
        matches!(self.inner.server.get(), Some(RedisServer::Single(_)))
    }

    /// Whether a script may use keys of several partitions.
    pub(super) fn joins_partitions(&self) -> bool {
        self.is_one_server() && !self.inner.separates_partitions.load(Ordering::Relaxed)
    }

    /// From now on, scripts use keys of one partition each.
    pub(super) fn separate_partitions(&self) {
        if !self
            .inner
            .separates_partitions
            .swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                "Redis refuses scripts on keys of several hash slots, as a proxy in front of several servers does; from now on each \
                 script that moves timers uses one slot"
            );
        }
    }

    /// How many shared connections broke since the start.
    pub(super) fn lost(&self) -> u64 {
        self.inner.lost.load(Ordering::Relaxed)
    }

    /// Runs a command.
    pub(super) async fn run(
        &self,
        command: &Cmd,
        on_store_full: OnStoreFull,
    ) -> Result<Value, StoreError> {
        let result = self.inner.send(command).await;
        result.map_err(|error| Rejection::from(error).into_store_error(on_store_full))
    }

    /// Runs a command whose reply may be large.
    pub(super) async fn run_for_large_reply(&self, command: &Cmd) -> Result<Value, StoreError> {
        let result = self.inner.send_in_bulk(|| command.clone()).await;
        result.map_err(into_retryable_error)
    }

    /// Runs many commands, in one round trip to each server. `name` is for error messages.
    pub(super) async fn run_each(
        &self,
        name: &'static str,
        commands: Vec<Cmd>,
    ) -> Result<Vec<ReplyPart>, StoreError> {
        let results = self.inner.send_all(commands).await;
        results
            .map_err(into_retryable_error)?
            .into_iter()
            .map(|result| match result {
                Ok(value) => Ok(ReplyPart::new(name, value)),
                Err(error) => Err(into_retryable_error(error)),
            })
            .collect()
    }

    /// Runs a command on the server, or on every primary of a cluster. A cluster returns a map of replies by node.
    pub(super) async fn run_on_all_nodes(&self, command: &Cmd) -> Result<Value, StoreError> {
        let result = match self.inner.pick() {
            Some((
                _,
                ConnectionHandle {
                    connection: RedisConnection::Cluster(mut cluster),
                    ..
                },
            )) => {
                let nodes = MultipleNodeRoutingInfo::AllMasters;
                let route = RoutingInfo::MultiNode((nodes, None::<ResponsePolicy>));
                cluster.route_command(command.clone(), route).await
            }
            _ => self.inner.send(command).await,
        };
        result.map_err(into_retryable_error)
    }
}

impl Drop for RedisConnections {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl ConnectionsInner {
    /// Picks the next open connection, round robin.
    fn pick(&self) -> Option<(&SharedRedisConnection, ConnectionHandle)> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        (0..CONNECTIONS).find_map(|offset| {
            let shared = &self.shared[(first + offset) % CONNECTIONS];
            shared.handle().map(|handle| (shared, handle))
        })
    }

    async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let (shared, mut handle) = self.pick().ok_or_else(no_connection)?;
        let result = match &mut handle.connection {
            RedisConnection::Single(connection) => connection.send_packed_command(command).await,
            RedisConnection::Cluster(cluster) => cluster.req_packed_command(command).await,
        };
        let result = result.and_then(Value::extract_error);
        result.inspect_err(|error| replace_if_broken(shared, &handle, error))
    }

    /// Sends a command over a connection for large commands and large replies.
    async fn send_in_bulk(&self, build: impl Fn() -> Cmd) -> RedisResult<Value> {
        // The tasks of the shared connections find the server.
        let server = self.server.get().ok_or_else(no_connection)?;
        self.bulk.send(server, build).await
    }

    /// Sends commands together. Returns a result for each command, or one error if the connection fails.
    async fn send_all(&self, commands: Vec<Cmd>) -> RedisResult<Vec<RedisResult<Value>>> {
        let (shared, mut handle) = self.pick().ok_or_else(no_connection)?;
        let results = match &mut handle.connection {
            RedisConnection::Single(connection) => {
                let count = commands.len();
                let mut pipeline = Pipeline::with_capacity(count);
                for command in commands {
                    pipeline.add_command(command);
                }
                connection.send_packed_commands(&pipeline, 0, count).await
            }
            // A pipeline goes to one node only, so the commands to a cluster are sent concurrently.
            RedisConnection::Cluster(cluster) => {
                let results = commands.iter().map(|command| {
                    let mut cluster = cluster.clone();
                    async move { cluster.req_packed_command(command).await }
                });
                join_all(results).await.into_iter().collect()
            }
        };
        let results = results.inspect_err(|error| replace_if_broken(shared, &handle, error))?;
        Ok(results.into_iter().map(Value::extract_error).collect())
    }

    /// Opens the connection at `index`, and opens a new one each time the connection breaks.
    async fn keep_open(self: Arc<Self>, index: usize) {
        let shared = &self.shared[index];
        let mut failures = 0;
        let mut last_attempt_failed = false;
        loop {
            let opened = match self.open(index).await {
                Ok(Some(opened)) => opened,
                // The client of a cluster has its own connections to the nodes, so only index 0 is used.
                Ok(None) => return,
                Err(error) => {
                    if !last_attempt_failed && index == 0 {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "no connection to Redis; the store is unavailable and keeps trying to connect"
                        );
                    }
                    last_attempt_failed = true;
                    sleep(RECONNECT.delay(failures, rand::random())).await;
                    failures = failures.saturating_add(1);
                    continue;
                }
            };
            if last_attempt_failed && index == 0 {
                tracing::info!("connected to Redis");
            }
            last_attempt_failed = false;
            let opened_at = Instant::now();
            shared.replace(&opened.handle);
            shared.until_broken(opened.handle.id).await;
            self.lost.fetch_add(1, Ordering::Relaxed);
            if let Some(pooled) = opened.pooled {
                // The pool opens a new connection only after the broken connection was taken out of the pool.
                drop(deadpool_redis::Connection::take(pooled));
            } else {
                sleep(CLUSTER_REPLACE_DELAY).await;
            }
            // A server may accept a connection and fail right after. The delay limits how often a new connection is opened.
            if opened_at.elapsed() >= STABLE_AFTER {
                failures = 0;
            } else {
                sleep(RECONNECT.delay(failures, rand::random())).await;
                failures = failures.saturating_add(1);
            }
        }
    }

    /// Opens a connection. Returns `None` for an index that is not used with a cluster.
    async fn open(&self, index: usize) -> Result<Option<OpenedConnection>, DialError> {
        let server = self.server.get_or_try_init(|| self.dialer.probe()).await?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        match server {
            RedisServer::Single(pool) => {
                let pooled = self.dialer.connect_single(pool).await?;
                let connection = RedisConnection::Single((*pooled).clone());
                Ok(Some(OpenedConnection {
                    handle: ConnectionHandle { id, connection },
                    pooled: Some(pooled),
                }))
            }
            RedisServer::Cluster(client) if index == 0 => {
                let connection =
                    RedisConnection::Cluster(self.dialer.connect_cluster(client).await?);
                Ok(Some(OpenedConnection {
                    handle: ConnectionHandle { id, connection },
                    pooled: None,
                }))
            }
            RedisServer::Cluster(_) => Ok(None),
        }
    }
}

/// A new connection.
struct OpenedConnection {
    handle: ConnectionHandle,
    /// The pool's object for the same connection; `None` for a cluster, which has no pool.
    pooled: Option<deadpool_redis::Connection>,
}

fn no_connection() -> RedisError {
    io::Error::new(io::ErrorKind::NotConnected, NoConnection).into()
}

fn replace_if_broken(
    shared: &SharedRedisConnection,
    handle: &ConnectionHandle,
    error: &RedisError,
) {
    if breaks_connection(error) {
        shared.mark_broken(handle);
    }
}

pub(super) fn into_retryable_error(error: RedisError) -> StoreError {
    Rejection::from(error).into_store_error(OnStoreFull::Retry)
}
