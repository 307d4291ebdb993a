//! Chooses and opens the engine. Outside `crates/engine`, no other product code names a concrete engine.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use forebay_engine::{
    distributed::{
        queue::{QueueSettings, RabbitQueue},
        store::{ConnectError, RedisSettings, RedisStore},
    },
    embedded::Embedded,
};
use forebay_shared::{ids::ProcessId, queue::Queue, secret::Secret, store::Store};

use crate::settings::{Role, Settings};

/// How long the queue may take to send pending messages and acks when the process stops. The timeout is short, so that
/// time is left to close the connections. Lost wakes are published again when the timers of their jobs are due.
const QUEUE_CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The engine that the settings choose.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// SQLite in this folder, and in-process channels.
    Embedded(PathBuf),
    /// RabbitMQ and Redis at these addresses.
    Distributed(Servers),
}

/// The addresses of RabbitMQ and Redis.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    amqp_url: Secret,
    amqp_ca_file: Option<PathBuf>,
    redis_url: Secret,
    redis_ca_file: Option<PathBuf>,
}

impl Choice {
    /// Reads the choice from the settings.
    pub(crate) fn of(role: Option<Role>, settings: &Settings) -> anyhow::Result<Self> {
        let amqp = settings.amqp_url.as_ref().filter(|url| !url.is_empty());
        let redis = settings.redis_url.as_ref().filter(|url| !url.is_empty());
        match (amqp, redis, role) {
            (Some(_), None, _) => {
                bail!("AMQP_URL is set but REDIS_URL is not; set both or neither")
            }
            (None, Some(_), _) => {
                bail!("REDIS_URL is set but AMQP_URL is not; set both or neither")
            }
            (None, None, Some(role)) => {
                bail!(
                    "forebay {role} needs AMQP_URL and REDIS_URL; without them, run `forebay`, \
                     which is gateway and worker in one process"
                )
            }
            (None, None, None) => Ok(Self::Embedded(settings.data_dir.clone())),
            (Some(amqp), Some(redis), _) => Ok(Self::Distributed(Servers {
                amqp_url: amqp.clone(),
                amqp_ca_file: settings.amqp_ca_file.clone(),
                redis_url: redis.clone(),
                redis_ca_file: settings.redis_ca_file.clone(),
            })),
        }
    }

    /// Returns whether the engine is embedded.
    pub(crate) const fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// Opens the engine for a process. If Redis or RabbitMQ is unavailable, the engine connects in the background.
    pub(crate) async fn open(&self, process: &ProcessId) -> anyhow::Result<Engine> {
        match self {
            Self::Embedded(folder) => {
                let engine =
                    Embedded::open(folder).context("the embedded database could not be opened")?;
                let (store, queue) = (engine.store(), engine.queue());
                Ok(Engine {
                    store,
                    queue,
                    handle: EngineHandle::Embedded(engine),
                })
            }
            Self::Distributed(servers) => servers.open(process).await,
        }
    }
}

impl Servers {
    async fn open(&self, process: &ProcessId) -> anyhow::Result<Engine> {
        let queue_settings = QueueSettings {
            ca_file: self.amqp_ca_file.clone(),
            ..QueueSettings::new(process.as_str())
        };
        RabbitQueue::check(self.amqp_url.expose(), &queue_settings)?;
        let store_settings = RedisSettings {
            ca_file: self.redis_ca_file.clone(),
            client_name: process.to_string(),
            ..RedisSettings::new(self.redis_url.expose())
        };
        // Redis comes first, because the process exits if it cannot connect to Redis. If the queue existed already, its lapin threads
        // would outlive the runtime.
        let store = RedisStore::connect(&store_settings)
            .await
            .map_err(|error| {
                let variable = match &error {
                    ConnectError::CaFile { .. } => "REDIS_CA_FILE",
                    _ => "REDIS_URL",
                };
                anyhow::Error::new(error).context(format!("{variable} cannot be used"))
            })?;
        let store = Arc::new(store);
        let queue = Arc::new(RabbitQueue::new(self.amqp_url.expose(), &queue_settings)?);
        Ok(Engine {
            store: Arc::clone(&store) as Arc<dyn Store>,
            queue: Arc::clone(&queue) as Arc<dyn Queue>,
            handle: EngineHandle::Distributed(store, queue),
        })
    }
}

/// An open engine.
pub(crate) struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<dyn Queue>,
    handle: EngineHandle,
}

enum EngineHandle {
    Embedded(Embedded),
    Distributed(Arc<RedisStore>, Arc<RabbitQueue>),
}

/// What is known of the connections to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerConnections {
    pub(crate) server: &'static str,
    /// How many connections were lost since the start.
    pub(crate) lost: u64,
}

impl Engine {
    /// Waits until the engine has failed for good. The distributed engine reconnects instead, so it never fails.
    pub(crate) async fn failed(&self) {
        match &self.handle {
            EngineHandle::Embedded(engine) => engine.failed().await,
            EngineHandle::Distributed(..) => std::future::pending().await,
        }
    }

    /// The name of the engine: `embedded` or `distributed`.
    pub(crate) const fn name(&self) -> &'static str {
        match self.handle {
            EngineHandle::Embedded(_) => "embedded",
            EngineHandle::Distributed(..) => "distributed",
        }
    }

    /// Returns a function that reads how many connections to each server were lost. The embedded engine has no server.
    pub(crate) fn connections(&self) -> Box<dyn Fn() -> Vec<ServerConnections> + Send + Sync> {
        match &self.handle {
            EngineHandle::Embedded(_) => Box::new(Vec::new),
            EngineHandle::Distributed(store, queue) => {
                let (store, queue) = (Arc::clone(store), Arc::clone(queue));
                let of = |server, lost| ServerConnections { server, lost };
                Box::new(move || {
                    vec![
                        of("redis", store.connections_lost()),
                        of("rabbitmq", queue.connections_lost()),
                    ]
                })
            }
        }
    }

    /// Closes the engine. Everything confirmed is already on disk.
    pub(crate) async fn close(self) {
        match self.handle {
            EngineHandle::Embedded(engine) => engine.close().await,
            EngineHandle::Distributed(_, queue) => queue.close(QUEUE_CLOSE_TIMEOUT).await,
        }
    }
}
