//! The store in Redis, and its start. `store_impl` implements the trait `Store`.

use std::{
    sync::{Arc, atomic::AtomicU8},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use super::{
    connections::RedisConnections,
    dial::{DialError, Dialer, RECONNECT, RedisServer},
    keys::Keys,
    memory_gauge::MemoryGauge,
    redis_clock::RedisClock,
    scripts::LuaScripts,
    settings::{ConnectError, RedisSettings},
    subscriber::Subscriber,
};

/// For how long a start tries to reach a server, and then how long it waits for a connection to open.
const START_TIMEOUT: Duration = Duration::from_secs(3);

/// The store in Redis.
pub struct RedisStore {
    pub(super) keys: Keys,
    pub(super) scripts: Arc<LuaScripts>,
    pub(super) clock: RedisClock,
    pub(super) memory: MemoryGauge,
    pub(super) connections: Arc<RedisConnections>,
    pub(super) subscriber: Subscriber,
    /// The partition whose list of jobs is checked next.
    pub(super) pruned_partition: AtomicU8,
    /// The partition whose list of sessions is checked next.
    pub(super) pruned_sessions_partition: AtomicU8,
}

impl RedisStore {
    /// Connects to Redis. Must be called within a tokio runtime.
    ///
    /// If no server answers for about three seconds, this still returns a store, so that a fleet and its servers can
    /// start in any order. The store's calls return `Unavailable` until a connection is open. If an unsuitable
    /// server answers later, the store logs a warning and does not use the server.
    ///
    /// # Errors
    /// [`ConnectError`]. Its message contains what the operator has to change.
    pub async fn connect(settings: &RedisSettings) -> Result<Self, ConnectError> {
        let dialer = Arc::new(Dialer::new(settings)?);
        let server = probe_until_timeout(&dialer).await?;
        let has_answered = server.is_some();
        let keys = Keys::new(&settings.prefix);
        let store = Self {
            scripts: Arc::new(LuaScripts::new()),
            clock: RedisClock::new(),
            memory: MemoryGauge::default(),
            connections: Arc::new(RedisConnections::start(Arc::clone(&dialer), server)),
            subscriber: Subscriber::start(dialer, keys.clone()),
            keys,
            pruned_partition: AtomicU8::new(0),
            pruned_sessions_partition: AtomicU8::new(0),
        };
        if has_answered
            && timeout(START_TIMEOUT, store.connections.until_open())
                .await
                .is_ok()
            && let Err(error) = store.set_clock().await
        {
            tracing::debug!(%error, "the clock of Redis could not be read at the start; the first renewal of the presence reads it");
        }
        Ok(store)
    }

    /// How many connections for commands broke since the start.
    #[must_use]
    pub fn connections_lost(&self) -> u64 {
        self.connections.lost()
    }
}

/// Finds out whether Redis is one server or a cluster. Returns `None` if no server answers in time.
async fn probe_until_timeout(dialer: &Dialer) -> Result<Option<RedisServer>, ConnectError> {
    let deadline = Instant::now() + START_TIMEOUT;
    let mut failures = 0;
    loop {
        match dialer.probe().await {
            Ok(server) => return Ok(Some(server)),
            Err(DialError::Denied(error)) => return Err(ConnectError::Denied(error)),
            Err(DialError::Unsuitable(error)) => return Err(ConnectError::Unsuitable(error)),
            Err(DialError::Unavailable(_)) if Instant::now() < deadline => {
                sleep(RECONNECT.delay(failures, rand::random())).await;
                failures += 1;
            }
            Err(DialError::Unavailable(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "cannot connect to Redis; the store is unavailable and keeps trying to connect; \
                     it checks the server's settings once it is connected"
                );
                return Ok(None);
            }
        }
    }
}
