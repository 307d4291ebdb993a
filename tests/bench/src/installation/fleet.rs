//! A fleet: a gateway and workers, with a Redis of their own and a virtual host of the shared RabbitMQ.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context;
use servers::{
    rabbit::{Rabbit, RabbitOptions},
    redis::{Redis, RedisOptions},
};
use tokio::sync::OnceCell;

use super::{
    part::{Part, PartUsage},
    redis_counters::RedisCounters,
    setup::Setup,
};
use crate::process::{subject::Subject, usage::Usage};

/// The servers that installations share. RabbitMQ takes some seconds to start, so it is started once, when the first
/// fleet needs it.
#[derive(Default)]
pub(crate) struct Servers {
    rabbit: OnceCell<Rabbit>,
}

impl Servers {
    /// The RabbitMQ node, started on the first call. It has no management API, whose statistics would take CPU time.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) async fn rabbit(&self) -> anyhow::Result<&Rabbit> {
        self.rabbit
            .get_or_try_init(|| {
                Rabbit::start(RabbitOptions {
                    management: false,
                    ..RabbitOptions::default()
                })
            })
            .await
    }
}

/// A running fleet.
pub(crate) struct Fleet {
    pub(super) gateway: Subject,
    workers: Vec<Subject>,
    pub(super) provider: Subject,
    redis: Redis,
    rabbit_group: u32,
    binary: PathBuf,
    variables: Vec<(&'static str, String)>,
}

/// The settings that docker-compose.yml has for the memory of Redis.
const REDIS_MEMORY_ARGS: [&str; 4] = [
    "--zset-max-listpack-entries",
    "256",
    "--hash-max-listpack-value",
    "1024",
];

fn redis_args(setup: &Setup) -> Vec<String> {
    let mut args = REDIS_MEMORY_ARGS.map(String::from).to_vec();
    if !setup.rewrites_append_only_file {
        args.extend(["--auto-aof-rewrite-percentage", "0"].map(String::from));
    }
    args
}

impl Fleet {
    pub(super) async fn start(setup: &Setup, servers: &Servers) -> anyhow::Result<Self> {
        let rabbit = servers.rabbit().await?;
        let vhost = rabbit.vhost().await?;
        let redis = Redis::start(RedisOptions {
            args: redis_args(setup),
            ..RedisOptions::default()
        })
        .await?;
        let provider = Subject::mock(&setup.provider.arguments()).await?;
        let mut variables = vec![
            ("AMQP_URL", vhost.url().to_owned()),
            ("REDIS_URL", redis.url()),
            ("OPENAI_BASE_URL", format!("{}/v1", provider.url)),
            ("OPENAI_API_KEY", String::from("bench")),
        ];
        variables.extend(setup.variables.iter().cloned());
        let gateway = Subject::forebay(&setup.binary, &["gateway"], &variables, None).await?;
        Ok(Self {
            gateway,
            workers: Vec::new(),
            provider,
            redis,
            rabbit_group: rabbit.group_id().context("RabbitMQ has ended")?,
            binary: setup.binary.clone(),
            variables,
        })
    }

    /// Starts this many workers.
    ///
    /// # Errors
    /// If one does not start.
    pub(super) async fn start_workers(&mut self, workers: u32) -> anyhow::Result<()> {
        for _ in 0..workers {
            let worker = Subject::forebay(&self.binary, &["worker"], &self.variables, None).await?;
            self.workers.push(worker);
        }
        Ok(())
    }

    pub(super) fn usage(&self) -> anyhow::Result<PartUsage> {
        let redis_group = self.redis.group_id().context("Redis has ended")?;
        let mut workers = Usage::default();
        for worker in &self.workers {
            workers += worker.usage()?;
        }
        Ok(BTreeMap::from([
            (Part::Gateway, self.gateway.usage()?),
            (Part::Worker, workers),
            (Part::Redis, Usage::of_group(redis_group)?),
            (Part::RabbitMq, Usage::of_group(self.rabbit_group)?),
        ]))
    }

    pub(super) async fn redis_counters(&self) -> anyhow::Result<RedisCounters> {
        RedisCounters::read(&self.redis).await
    }
}

#[cfg(test)]
mod tests {
    use super::REDIS_MEMORY_ARGS;

    #[test]
    fn redis_has_the_memory_settings_of_the_deployments() {
        let compose = include_str!("../../../../docker-compose.yml");
        let demo = include_str!("../../../../deploy/kubernetes/overlays/demo/redis/redis.conf");
        for setting in REDIS_MEMORY_ARGS.chunks(2) {
            let (name, value) = (setting[0], setting[1]);
            let in_compose = format!("- {name}\n      - \"{value}\"\n");
            assert!(
                compose.contains(&in_compose),
                "docker-compose.yml lacks {name} {value}"
            );
            let in_demo = format!("{} {value}\n", name.trim_start_matches('-'));
            assert!(demo.contains(&in_demo), "redis.conf lacks {name} {value}");
        }
    }
}
