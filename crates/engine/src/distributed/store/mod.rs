//! The store in Redis (7 or newer), Valkey or Redis Cluster.
//!
//! A commit is one script and one round trip. All keys that it touches are on one node (`keys`). Sums and
//! searches over all lanes query the 256 partitions at once. The scripts hold no rules: they compare versions
//! and write what the caller derived (`commit`).
//!
//! A process has two connections for commands, or one to each node of a cluster (`connections`), and one for
//! notices (`subscriber`). Background tasks replace them when they fail, for as long as the store lives.
//!
//! In reading order: `settings`, `server_setup`, `dial`, `shared_connection`, `connections`; `keys`,
//! `document`, `scripts` and the Lua files, `commit`, `load`; then `redis_store`, the port, and a file for each
//! part of it.

mod arguments;
mod commit;
mod connections;
mod counts;
mod dial;
mod document;
mod fleet;
mod heads;
mod keys;
mod load;
mod mark;
mod memory_gauge;
mod redis_clock;
mod redis_error;
mod redis_reply;
mod redis_store;
mod scripts;
mod server_setup;
mod sessions;
mod settings;
mod shared_connection;
mod subscriber;
mod timers;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

pub use settings::{ConnectError, RedisSettings, UnsuitableServer};

/// How long a start waits for a server that does not answer.
const START_TIMEOUT: Duration = Duration::from_secs(3);

/// The store in Redis.
pub struct RedisStore {
    keys: keys::Keys,
    scripts: scripts::Scripts,
    clock: redis_clock::RedisClock,
    memory: memory_gauge::MemoryGauge,
    connections: connections::Connections,
    subscriber: subscriber::Subscriber,
}

impl RedisStore {
    /// Connects. Must be called within a tokio runtime.
    ///
    /// A server that does not answer is no error, so that a fleet and its servers can start in any order. After
    /// three seconds the store is returned anyway. It returns `Unavailable` and keeps trying to connect. An
    /// unsuitable server that answers later is logged.
    ///
    /// # Errors
    /// [`ConnectError`], whose message says what to change.
    pub async fn connect(settings: &RedisSettings) -> Result<Self, ConnectError> {
        let dialer = Arc::new(dial::Dialer::new(settings)?);
        let server = first_contact(&dialer).await?;
        let found = server.is_some();
        let keys = keys::Keys::new(&settings.prefix);
        let store = Self {
            scripts: scripts::Scripts::new(),
            clock: redis_clock::RedisClock::new(),
            memory: memory_gauge::MemoryGauge::default(),
            connections: connections::Connections::start(Arc::clone(&dialer), server),
            subscriber: subscriber::Subscriber::start(dialer, keys.clone()),
            keys,
        };
        if found
            && timeout(START_TIMEOUT, store.connections.until_open())
                .await
                .is_ok()
            && let Err(error) = store.set_clock().await
        {
            tracing::debug!(%error, "the clock of Redis could not be read at the start; the first announcement reads it");
        }
        Ok(store)
    }
}

/// Finds out what the server is; `None` if it does not answer.
async fn first_contact(dialer: &dial::Dialer) -> Result<Option<dial::Server>, ConnectError> {
    let until = Instant::now() + START_TIMEOUT;
    let mut failures = 0;
    loop {
        match dialer.probe().await {
            Ok(server) => return Ok(Some(server)),
            Err(dial::DialError::Denied(error)) => return Err(ConnectError::Denied(error)),
            Err(dial::DialError::Unsuitable(error)) => return Err(ConnectError::Unsuitable(error)),
            Err(dial::DialError::Unavailable(_)) if Instant::now() < until => {
                sleep(dial::RECONNECT.delay(failures, rand::random())).await;
                failures += 1;
            }
            Err(dial::DialError::Unavailable(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "Redis does not answer; the store is unavailable, keeps trying to connect, and checks \
                     the server's settings then"
                );
                return Ok(None);
            }
        }
    }
}
