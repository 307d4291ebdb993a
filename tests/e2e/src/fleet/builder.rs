//! The settings of a fleet, and its start. The servers start first, then the processes.

use std::path::{Path, PathBuf};

use servers::{
    rabbit::{self, Rabbit, RabbitOptions},
    redis::{Redis, RedisOptions},
};
use tokio::task::JoinSet;

use super::{Broker, Fleet, Member};
use crate::{client::Client, open_files, process, process::Forebay};
use scripted_provider::ScriptedLlm;

/// The default model of jobs, if there is a scripted provider.
const MODEL: &str = "gpt-test";

/// A fleet that is not started yet.
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    gateways: usize,
    workers: usize,
    process: process::Builder,
    redis: RedisOptions,
    rabbit: Option<RabbitOptions>,
    /// The text that a worker logs when it is ready.
    worker_ready: &'static str,
}

impl Fleet {
    /// Two gateways and four workers with default settings.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl Builder {
    fn new() -> Self {
        Self {
            gateways: 2,
            workers: 4,
            process: Forebay::builder().env("FOREBAY_MODEL", "simulated"),
            redis: RedisOptions::default(),
            rabbit: None,
            worker_ready: "worker started",
        }
    }

    /// Sets the number of gateways at the start.
    pub fn gateways(mut self, count: usize) -> Self {
        self.gateways = count;
        self
    }

    /// Sets the number of workers at the start.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// Runs a program of another release instead of `forebay`. Its workers log the text `worker_ready` when they are
    /// ready.
    pub fn program(mut self, path: impl Into<PathBuf>, worker_ready: &'static str) -> Self {
        self.process = self.process.program(path);
        self.worker_ready = worker_ready;
        self
    }

    /// Sets an environment variable of every process.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.process = self.process.env(name, value);
        self
    }

    /// Makes this server the OpenAI-compatible provider of every process. The default model is then a model of this server.
    /// Without this call, the default model is the simulated one.
    pub fn openai(mut self, server: &ScriptedLlm) -> Self {
        self.process = self.process.openai(server).env("FOREBAY_MODEL", MODEL);
        self
    }

    /// Sets the options of the Redis server.
    pub fn redis(mut self, options: RedisOptions) -> Self {
        self.redis = options;
        self
    }

    /// Starts a RabbitMQ node for this fleet only. For tests that stop the node or raise its alarms.
    pub fn own_rabbit(self) -> Self {
        self.rabbit(RabbitOptions::default())
    }

    /// Starts a RabbitMQ node with these options for this fleet only.
    pub fn rabbit(mut self, options: RabbitOptions) -> Self {
        self.rabbit = Some(options);
        self
    }

    /// Starts the servers and all processes, and waits until the gateways accept submits.
    ///
    /// # Panics
    /// If a server or a process does not start. The message contains its log.
    pub async fn start(self) -> Fleet {
        open_files::raise_limit();
        let tls = [
            self.redis.tls.clone().map(|tls| ("REDIS_CA_FILE", tls)),
            self.rabbit
                .as_ref()
                .and_then(|options| options.tls.clone())
                .map(|tls| ("AMQP_CA_FILE", tls)),
        ];
        let redis = Redis::start(self.redis).await.expect("Redis starts");
        let rabbit = match self.rabbit {
            None => rabbit::shared().await.map(Broker::Shared),
            Some(options) => Rabbit::start(options)
                .await
                .map(|rabbit| Broker::Own(Box::new(rabbit))),
        };
        let rabbit = rabbit.expect("RabbitMQ starts");
        let vhost = rabbit.vhost().await.expect("RabbitMQ makes a virtual host");
        let mut process = self
            .process
            .env("REDIS_URL", redis.url())
            .env("AMQP_URL", vhost.url());
        for (name, tls) in tls.into_iter().flatten() {
            process = process.env(name, utf8_path(&tls.ca_file()));
        }
        let gateway = process.clone().arg("gateway");
        let worker = process.arg("worker").ready_when_it_logs(self.worker_ready);
        let mut fleet = Fleet {
            gateways: start_members(&gateway, self.gateways).await,
            workers: start_members(&worker, self.workers).await,
            client: Client::any_of(Vec::new()),
            vhost,
            rabbit,
            redis,
            gateway,
            worker,
        };
        fleet.point_client_at_running_gateways();
        fleet.wait_until_gateways_are_ready().await;
        fleet
    }
}

/// Starts this many processes concurrently.
async fn start_members(builder: &process::Builder, count: usize) -> Vec<Member> {
    let mut members = JoinSet::new();
    for _ in 0..count {
        members.spawn(Member::start(builder.clone()));
    }
    members.join_all().await
}

fn utf8_path(path: &Path) -> String {
    let path = path.to_str();
    path.expect("the path is UTF-8").to_owned()
}
