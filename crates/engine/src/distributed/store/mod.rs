//! The store in Redis (7 or newer), Valkey or Redis Cluster.
//!
//! A commit is one script and one round trip; whatever it touches lies in one slot (`keys`). Sums and
//! passes over all lanes ask the 256 partitions at once. The script copies what the caller has written
//! down (`change`) and holds no rule.
//!
//! A process has two connections for commands, or one to each node of a cluster (`link`), and one for
//! notices (`subscriber`). All are made again when they fail, for as long as the store lives.
//!
//! In reading order: `settings` and `checks`, `dial`, `link`; `keys`, `document`, `scripts` and the Lua
//! files, `change`, `loaded`; then a file for each part of the port, and `port`.

mod arguments;
mod change;
mod checks;
mod clock;
mod counts;
mod dial;
mod document;
mod failure;
mod fleet;
mod heads;
mod keys;
mod link;
mod loaded;
mod memory;
mod pause;
mod port;
mod reply;
mod scripts;
mod sessions;
mod settings;
mod slot;
mod subscriber;
mod timers;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

pub use settings::{ConnectError, RedisSettings, Unfit};

/// How long a start waits for a server that is away.
const START_PATIENCE: Duration = Duration::from_secs(3);

/// The store in Redis.
pub struct RedisStore {
    keys: keys::Keys,
    scripts: scripts::Scripts,
    clock: clock::Clock,
    memory: memory::Memory,
    link: link::Link,
    subscriber: subscriber::Subscriber,
}

impl RedisStore {
    /// Connects. Must be called within a tokio runtime.
    ///
    /// A server that is away is no error, so that a fleet and its servers can start in any order: after
    /// three seconds the store is returned all the same, answers `Unavailable`, and goes on trying. What
    /// would have been an error is then logged, again and again, until somebody mends it.
    ///
    /// # Errors
    /// [`ConnectError`], which says what to change.
    pub async fn connect(settings: &RedisSettings) -> Result<Self, ConnectError> {
        let dialer = Arc::new(dial::Dialer::new(settings)?);
        let server = first_contact(&dialer).await?;
        let found = server.is_some();
        let keys = keys::Keys::new(&settings.prefix);
        let store = Self {
            scripts: scripts::Scripts::new(),
            clock: clock::Clock::new(),
            memory: memory::Memory::default(),
            link: link::Link::start(Arc::clone(&dialer), server),
            subscriber: subscriber::Subscriber::start(dialer, keys.clone()),
            keys,
        };
        if found
            && timeout(START_PATIENCE, store.link.up()).await.is_ok()
            && let Err(error) = store.set_clock().await
        {
            tracing::debug!(%error, "the clock of Redis was not read at the start");
        }
        Ok(store)
    }
}

/// What the server is; `None` if it is away.
async fn first_contact(dialer: &dial::Dialer) -> Result<Option<dial::Server>, ConnectError> {
    let until = Instant::now() + START_PATIENCE;
    let mut pause = pause::Pause::default();
    loop {
        match dialer.probe().await {
            Ok(server) => return Ok(Some(server)),
            Err(dial::DialError::Denied(error)) => return Err(ConnectError::Denied(error)),
            Err(dial::DialError::Unfit(unfit)) => return Err(ConnectError::Unfit(unfit)),
            Err(dial::DialError::Away(_)) if Instant::now() < until => sleep(pause.next()).await,
            Err(dial::DialError::Away(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "Redis is away; its settings are looked at when it answers"
                );
                return Ok(None);
            }
        }
    }
}
