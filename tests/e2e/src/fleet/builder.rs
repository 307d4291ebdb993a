//! How a fleet is set up: its servers first, then its processes.

use std::path::Path;

use servers::{
    rabbit::{self, Rabbit, RabbitOptions},
    redis::{Redis, RedisOptions},
};
use tokio::task::JoinSet;

use super::{Broker, Fleet, Member, descriptors};
use crate::{client::Client, process, process::Forebay, scripted::ScriptedLlm};

/// The model of jobs that name none, where there is a scripted provider.
const MODEL: &str = "gpt-test";

/// A fleet that is not yet started.
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    gateways: usize,
    workers: usize,
    process: process::Builder,
    redis: RedisOptions,
    rabbit: Option<RabbitOptions>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            gateways: 2,
            workers: 4,
            process: Forebay::builder().env("FOREBAY_MODEL", "simulated"),
            redis: RedisOptions::default(),
            rabbit: None,
        }
    }

    /// How many gateways run at first.
    pub fn gateways(mut self, count: usize) -> Self {
        self.gateways = count;
        self
    }

    /// How many workers run at first.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// Sets a variable of every process.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.process = self.process.env(name, value);
        self
    }

    /// Makes this server the OpenAI-compatible provider of every process, and of jobs that name no
    /// model. Without it such jobs are simulated.
    pub fn openai(mut self, server: &ScriptedLlm) -> Self {
        self.process = self.process.openai(server).env("FOREBAY_MODEL", MODEL);
        self
    }

    /// How its Redis server is started.
    pub fn redis(mut self, options: RedisOptions) -> Self {
        self.redis = options;
        self
    }

    /// A RabbitMQ node of its own, for a test that breaks it.
    pub fn own_rabbit(self) -> Self {
        self.rabbit(RabbitOptions::default())
    }

    /// A RabbitMQ node of its own, started so.
    pub fn rabbit(mut self, options: RabbitOptions) -> Self {
        self.rabbit = Some(options);
        self
    }

    /// Starts the servers and all processes, and waits until the gateways accept submits.
    ///
    /// # Panics
    /// When anything does not start, with its log.
    pub async fn start(self) -> Fleet {
        descriptors::raise_limit();
        let tls = [
            self.redis.tls.clone().map(|tls| ("REDIS_CA_FILE", tls)),
            self.rabbit
                .as_ref()
                .and_then(|options| options.tls.clone())
                .map(|tls| ("AMQP_CA_FILE", tls)),
        ];
        let redis = Redis::start(self.redis).await.expect("a Redis server");
        let rabbit = match self.rabbit {
            None => rabbit::shared().await.map(Broker::Shared),
            Some(options) => Rabbit::start(options)
                .await
                .map(|rabbit| Broker::Own(Box::new(rabbit))),
        };
        let rabbit = rabbit.expect("a RabbitMQ node");
        let vhost = rabbit.vhost().await.expect("a virtual host");
        let mut process = self
            .process
            .env("REDIS_URL", redis.url())
            .env("AMQP_URL", vhost.url());
        for (name, tls) in tls.into_iter().flatten() {
            process = process.env(name, text(&tls.ca_file()));
        }
        let gateway = process.clone().arg("gateway");
        let worker = process.arg("worker").ready_when_it_says("worker started");
        let mut fleet = Fleet {
            gateways: start(&gateway, self.gateways).await,
            workers: start(&worker, self.workers).await,
            client: Client::any_of(Vec::new()),
            vhost,
            rabbit,
            redis,
            gateway,
            worker,
        };
        fleet.point_client_at_the_living();
        fleet.gateways_become_ready().await;
        fleet
    }
}

async fn start(builder: &process::Builder, count: usize) -> Vec<Member> {
    let mut members = JoinSet::new();
    for _ in 0..count {
        members.spawn(Member::start(builder.clone()));
    }
    members.join_all().await
}

fn text(path: &Path) -> String {
    let path = path.to_str();
    path.expect("a path of ours is text").to_owned()
}
