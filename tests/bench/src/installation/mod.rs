//! Forebay as it is installed: a fleet over RabbitMQ and Redis, or one process over the embedded engine. Each has an LLM
//! server of its own.

mod fleet;
mod one_process;
mod part;
mod redis_counters;
mod setup;

use std::collections::BTreeMap;

use crate::{load::queues, process::subject::Subject};

pub(crate) use fleet::{Fleet, Servers};
pub(crate) use one_process::OneProcess;
pub(crate) use part::{Kind, Part, PartUsage};
pub(crate) use redis_counters::RedisCounters;
pub(crate) use setup::{MODEL, Setup};

/// A running installation. Dropping it kills its processes.
pub(crate) enum Installation {
    Fleet(Box<Fleet>),
    OneProcess(Box<OneProcess>),
}

impl Installation {
    /// Starts an installation whose workers do not run jobs before [`release_workers`](Self::release_workers): a fleet
    /// without a worker, or a process whose calls get no reply, so that all its slots stay taken.
    ///
    /// # Errors
    /// If a process does not start.
    pub(crate) async fn start(
        kind: Kind,
        setup: &Setup,
        servers: &Servers,
    ) -> anyhow::Result<Self> {
        Ok(match kind {
            Kind::Fleet => Self::Fleet(Box::new(Fleet::start(setup, servers).await?)),
            Kind::OneProcess => Self::OneProcess(Box::new(OneProcess::start(setup).await?)),
        })
    }

    /// Makes jobs run: starts this many workers of a fleet, or lets the LLM server answer the calls of the one process.
    ///
    /// # Errors
    /// If a worker does not start, or the LLM server cannot be reached.
    pub(crate) async fn release_workers(&mut self, workers: u32) -> anyhow::Result<()> {
        match self {
            Self::Fleet(fleet) => fleet.start_workers(workers).await,
            Self::OneProcess(process) => process.release().await,
        }
    }

    /// The URL of the gateway.
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Fleet(fleet) => &fleet.gateway.url,
            Self::OneProcess(process) => &process.forebay.url,
        }
    }

    /// What each part has used so far.
    ///
    /// # Errors
    /// If a process has ended.
    pub(crate) fn usage(&self) -> anyhow::Result<PartUsage> {
        match self {
            Self::Fleet(fleet) => fleet.usage(),
            Self::OneProcess(process) => Ok(BTreeMap::from([(
                Part::OneProcess,
                process.forebay.usage()?,
            )])),
        }
    }

    /// How many calls the LLM server has answered so far.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub(crate) async fn calls_answered(&self, client: &reqwest::Client) -> anyhow::Result<u64> {
        let stats = queues::get(client, &format!("{}/stats", self.provider().url)).await?;
        Ok(stats["done"].as_u64().unwrap_or(0))
    }

    /// The counters of a fleet's Redis.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub(crate) async fn redis_counters(&self) -> anyhow::Result<Option<RedisCounters>> {
        match self {
            Self::Fleet(fleet) => fleet.redis_counters().await.map(Some),
            Self::OneProcess(_) => Ok(None),
        }
    }

    /// The bytes on disk: Redis's append-only file, or the data folder of the one process.
    ///
    /// # Errors
    /// If Redis does not answer, or the folder cannot be read.
    pub(crate) async fn disk_bytes(&self) -> anyhow::Result<u64> {
        match self {
            Self::Fleet(fleet) => Ok(fleet.redis_counters().await?.append_only_file_bytes),
            Self::OneProcess(process) => process.disk_bytes(),
        }
    }

    fn provider(&self) -> &Subject {
        match self {
            Self::Fleet(fleet) => &fleet.provider,
            Self::OneProcess(process) => &process.provider,
        }
    }

    /// How many live jobs the gateway counts. The count is up to a second old.
    ///
    /// # Errors
    /// If the gateway does not answer.
    pub(crate) async fn live_jobs(&self, client: &reqwest::Client) -> anyhow::Result<u64> {
        queues::count(client, self.url(), "live").await
    }
}
