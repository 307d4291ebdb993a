//! A fleet: gateway and worker processes over real RabbitMQ and Redis servers. Dropping it ends all of them.
//!
//! A [`Fleet`] has its own Redis server, which syncs at every write. In RabbitMQ it has its own virtual host, on the node
//! that all tests of this test binary share. Tests that break the node start their own ([`Builder::own_rabbit`]). A
//! single process can get other environment variables, such as the URL of a proxy in front of a server
//! ([`Fleet::add_worker_with`]).
//!
//! Assertions about fleets are in the tests.

mod broker;
mod builder;
pub mod connections;
mod contexts;
mod load;
mod member;
mod open_files;

use std::time::Duration;

use serde_json::Value;
use servers::{rabbit::Vhost, redis::Redis};
use tokio::time::Instant;

pub use self::{
    broker::Broker,
    builder::Builder,
    load::{Accepted, Load},
    member::Member,
};
use crate::{client::Client, process};

/// The queue of interactive jobs.
pub const INTERACTIVE: &str = "forebay.jobs.interactive";
/// The queue of batch jobs.
pub const BATCH: &str = "forebay.jobs.batch";
/// The queue of messages that cannot be read.
pub const UNREADABLE: &str = "forebay.unreadable";

/// The limit of every wait that is not itself measured. Only failing tests reach it.
pub const LIMIT: Duration = Duration::from_secs(120);
/// The pause between two polls.
const PAUSE: Duration = Duration::from_millis(20);

/// Running gateways and workers, with their servers.
pub struct Fleet {
    // Fields are dropped in this order: the processes before the servers that they use.
    /// The gateways. A killed one keeps its index, for [`Fleet::restart_gateway`].
    pub gateways: Vec<Member>,
    /// The workers. A killed one keeps its index, for [`Fleet::restart_worker`].
    pub workers: Vec<Member>,
    /// A client that sends each request to a random gateway.
    pub client: Client,
    /// The virtual host of the queues.
    pub vhost: Vhost,
    /// The node of the virtual host.
    pub rabbit: Broker,
    /// The store.
    pub redis: Redis,
    gateway: process::Builder,
    worker: process::Builder,
}

impl Fleet {
    /// Starts one more gateway.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn add_gateway(&mut self) -> &mut Member {
        self.add_gateway_with(&[]).await
    }

    /// Starts one more gateway, with these environment variables in addition to the fleet's. They override the
    /// fleet's.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn add_gateway_with(&mut self, env: &[(&str, &str)]) -> &mut Member {
        let member = Member::start(with(&self.gateway, env)).await;
        self.gateways.push(member);
        self.point_client_at_running_gateways();
        let n = self.gateways.len() - 1;
        &mut self.gateways[n]
    }

    /// Starts one more worker.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn add_worker(&mut self) -> &mut Member {
        self.add_worker_with(&[]).await
    }

    /// Starts one more worker, with these environment variables in addition to the fleet's. They override the
    /// fleet's.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn add_worker_with(&mut self, env: &[(&str, &str)]) -> &mut Member {
        let member = Member::start(with(&self.worker, env)).await;
        self.workers.push(member);
        let n = self.workers.len() - 1;
        &mut self.workers[n]
    }

    /// Starts a gateway that has ended again, with the same settings on another port. For the fleet it is a new
    /// process with a new name.
    ///
    /// # Panics
    /// If it still runs, or does not start.
    pub async fn restart_gateway(&mut self, n: usize) {
        self.gateways[n].restart().await;
        self.point_client_at_running_gateways();
    }

    /// Starts a worker that has ended again, with the same settings. For the fleet it is a new process with a new
    /// name.
    ///
    /// # Panics
    /// If it still runs, or does not start.
    pub async fn restart_worker(&mut self, n: usize) {
        self.workers[n].restart().await;
    }

    /// Points [`Fleet::client`] at the running gateways. Until this call, or a restart, the client also sends requests
    /// to killed gateways, as real clients do.
    ///
    /// # Panics
    /// If the state of a process cannot be read.
    pub fn point_client_at_running_gateways(&mut self) {
        let running = self
            .gateways
            .iter_mut()
            .filter_map(|gateway| gateway.is_running().then(|| gateway.url().to_owned()));
        self.client.set_urls(running.collect());
    }

    /// A client of one gateway. It does not follow restarts.
    #[must_use]
    pub fn client_of(&self, gateway: usize) -> Client {
        Client::new(self.gateways[gateway].url())
    }

    /// Waits until all gateways are ready to accept submits.
    ///
    /// # Panics
    /// If one is not ready after [`LIMIT`], with its last answer.
    pub async fn gateways_become_ready(&self) {
        for n in 0..self.gateways.len() {
            let client = self.client_of(n);
            let mut last = String::from("nothing");
            let ready = async || {
                let answer = client.try_get("/readyz").await;
                let ready = answer.as_ref().is_ok_and(|answer| answer.status == 200);
                last = format!("{answer:?}");
                ready
            };
            if !until(LIMIT, ready).await {
                panic!("gateway {n} is not ready; the last answer: {last}");
            }
        }
    }

    /// Waits until `condition` holds for the counts of interactive jobs in `/v1/queues` of any gateway. Gateways read
    /// the counts once a second.
    ///
    /// # Panics
    /// After `limit`, with the last counts.
    pub async fn counts_become(
        &self,
        what: &str,
        limit: Duration,
        condition: impl Fn(&Value) -> bool,
    ) {
        let mut last = Value::Null;
        let holds = async || {
            if let Ok(answer) = self.client.try_get("/v1/queues").await {
                last = answer.body["classes"]["interactive"].clone();
            }
            last.is_object() && condition(&last)
        };
        if !until(limit, holds).await {
            panic!("the counts did not become {what} within {limit:?}: {last}");
        }
    }

    /// Waits until `/v1/queues` shows `count` live jobs of both classes together. The counts can be a second old: right
    /// after submits, a 0 can be from before them.
    ///
    /// # Panics
    /// After `limit`, with the last counts.
    pub async fn live_jobs_become(&self, count: u64, limit: Duration) {
        let mut last = Value::Null;
        let holds = async || {
            if let Ok(answer) = self.client.try_get("/v1/queues").await {
                last = answer.body;
            }
            let of = |class: &str| last["classes"][class]["live"].as_u64();
            of("interactive").zip(of("batch")).map(|(a, b)| a + b) == Some(count)
        };
        if !until(limit, holds).await {
            panic!("the number of live jobs did not become {count} within {limit:?}: {last}");
        }
    }

    /// Whether a message of the queue is ready now. The message is fetched and put back, so there must be no consumer.
    ///
    /// # Panics
    /// If the node does not answer.
    pub async fn has_ready(&self, queue: &str) -> bool {
        let messages = self.vhost.get_messages(queue, 1, false).await;
        !messages.expect("the first message").is_empty()
    }

    /// Waits until RabbitMQ's management API shows `count` ready messages in a queue. A quorum queue reports its counts
    /// every five seconds, so they lag behind; see [`Fleet::has_ready`].
    ///
    /// # Panics
    /// After `limit`, with the last count.
    pub async fn ready_becomes(&self, queue: &str, count: u64, limit: Duration) {
        let mut last = String::from("nothing");
        let holds = async || {
            let counts = self.vhost.queue_counts(queue).await;
            last = format!("{counts:?}");
            counts.is_ok_and(|counts| counts.ready == count)
        };
        if !until(limit, holds).await {
            panic!("{queue} did not have {count} ready messages within {limit:?}: {last}");
        }
    }
}

/// Polls `condition` until it is true, for at most `limit`. Returns whether it became true. For conditions without an
/// event to wait for.
pub async fn until(limit: Duration, mut condition: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition().await {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn with(builder: &process::Builder, env: &[(&str, &str)]) -> process::Builder {
    let builder = builder.clone();
    env.iter()
        .fold(builder, |builder, (name, value)| builder.env(name, *value))
}
