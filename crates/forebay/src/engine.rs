//! Picks the engine: the only place that names a concrete one.

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

/// How long the queue may take to hand over what is on its way when the process stops. Short, so that it can still
/// say goodbye before the process goes; timers see to what is lost with it.
const QUEUE_CLOSE: Duration = Duration::from_millis(500);

/// Which engine a process runs on.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// SQLite in this folder.
    Embedded(PathBuf),
    /// RabbitMQ and Redis.
    Distributed(Servers),
}

/// Where the servers are.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    amqp_url: Secret,
    amqp_ca_file: Option<PathBuf>,
    redis_url: Secret,
    redis_ca_file: Option<PathBuf>,
}

impl Choice {
    /// What the settings ask for.
    pub(crate) fn of(role: Option<Role>, settings: &Settings) -> anyhow::Result<Self> {
        let amqp = settings.amqp_url.as_ref().filter(|url| !url.is_empty());
        let redis = settings.redis_url.as_ref().filter(|url| !url.is_empty());
        match (amqp, redis, role) {
            (Some(_), None, _) => {
                bail!("AMQP_URL is set and REDIS_URL is not: set both, or neither")
            }
            (None, Some(_), _) => {
                bail!("REDIS_URL is set and AMQP_URL is not: set both, or neither")
            }
            (None, None, Some(role)) => {
                bail!(
                    "forebay {role} needs AMQP_URL and REDIS_URL: over the embedded engine, gateway \
                     and worker run in one process, as plain `forebay`"
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

    /// Whether it needs no other server.
    pub(crate) const fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// Opens it for the process `me`. Servers that are away now are waited for in the background.
    pub(crate) async fn open(&self, me: &ProcessId) -> anyhow::Result<Engine> {
        match self {
            Self::Embedded(folder) => {
                let engine = Embedded::open(folder).context("the embedded engine did not open")?;
                let (store, queue) = (engine.store(), engine.queue());
                Ok(Engine {
                    store,
                    queue,
                    open: Open::Embedded(engine),
                })
            }
            Self::Distributed(servers) => servers.open(me).await,
        }
    }
}

impl Servers {
    async fn open(&self, me: &ProcessId) -> anyhow::Result<Engine> {
        let queue = QueueSettings {
            ca_file: self.amqp_ca_file.clone(),
            ..QueueSettings::new(me.as_str())
        };
        RabbitQueue::check(self.amqp_url.expose(), &queue)?;
        let store = RedisSettings {
            ca_file: self.redis_ca_file.clone(),
            client_name: me.to_string(),
            ..RedisSettings::new(self.redis_url.expose())
        };
        // Before the queue, which begins to connect at once: what lapin's threads have begun must not find
        // the runtime gone because Redis was refused.
        let store = RedisStore::connect(&store).await.map_err(|error| {
            let variable = match &error {
                ConnectError::CaFile { .. } => "REDIS_CA_FILE",
                _ => "REDIS_URL",
            };
            anyhow::Error::new(error).context(format!("{variable} cannot be used"))
        })?;
        let queue = Arc::new(RabbitQueue::new(self.amqp_url.expose(), &queue)?);
        Ok(Engine {
            store: Arc::new(store),
            queue: Arc::clone(&queue) as Arc<dyn Queue>,
            open: Open::Distributed(queue),
        })
    }
}

/// An open engine.
pub(crate) struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<dyn Queue>,
    open: Open,
}

enum Open {
    Embedded(Embedded),
    Distributed(Arc<RabbitQueue>),
}

impl Engine {
    /// Waits until it can do no more; for ever, if it can recover by itself from whatever happens.
    pub(crate) async fn failed(&self) {
        match &self.open {
            Open::Embedded(engine) => engine.failed().await,
            Open::Distributed(_) => std::future::pending().await,
        }
    }

    /// Closes it; everything that was answered for is on disk before and after.
    pub(crate) async fn close(self) {
        match self.open {
            Open::Embedded(engine) => engine.close().await,
            Open::Distributed(queue) => queue.close(QUEUE_CLOSE).await,
        }
    }
}
