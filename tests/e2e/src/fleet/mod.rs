//! A fleet: gateway and worker processes over real RabbitMQ and Redis servers. Dropping the fleet ends all processes
//! and servers that belong to it.
//!
//! A [`Fleet`] has its own Redis server, which syncs at every write. It also has its own virtual host, on the RabbitMQ node
//! that the tests of this binary share. A test that stops the node, or raises its alarms, starts a node for its fleet only
//! ([`Builder::own_rabbit`]). A single process can get other environment variables, such as the URL of a proxy in front
//! of a server ([`Fleet::add_worker_with`]).

mod broker;
mod builder;
pub mod connections;
mod contexts;
mod load;
mod member;

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

/// The timeout of every wait whose time is not measured. Only failing tests reach it.
pub const TIMEOUT: Duration = Duration::from_secs(120);
/// The pause between two polls.
const PAUSE: Duration = Duration::from_millis(20);

/// Running gateways and workers, with their servers.
pub struct Fleet {
    // Fields are dropped in their order, so the processes end before the servers that they use.
    /// The gateways. A killed gateway keeps its index, for [`Fleet::restart_gateway`].
    pub gateways: Vec<Member>,
    /// The workers. A killed worker keeps its index, for [`Fleet::restart_worker`].
    pub workers: Vec<Member>,
    /// A client that sends each request to a random gateway.
    pub client: Client,
    /// The virtual host of the queues.
    pub vhost: Vhost,
    /// The node of the virtual host.
    pub rabbit: Broker,
    /// The Redis server of the store.
    pub redis: Redis,
    gateway: process::Builder,
    worker: process::Builder,
}

impl Fleet {
    /// Starts one more gateway.
    ///
    /// # Panics
    /// If the process does not start.
    pub async fn add_gateway(&mut self) -> &mut Member {
        self.add_gateway_with(&[]).await
    }

    /// Starts one more gateway. Its environment is the fleet's, and these variables override or extend it.
    ///
    /// # Panics
    /// If the process does not start.
    pub async fn add_gateway_with(&mut self, env: &[(&str, &str)]) -> &mut Member {
        let member = Member::start(with_env(&self.gateway, env)).await;
        self.gateways.push(member);
        self.point_client_at_running_gateways();
        let index = self.gateways.len() - 1;
        &mut self.gateways[index]
    }

    /// Starts one more worker.
    ///
    /// # Panics
    /// If the process does not start.
    pub async fn add_worker(&mut self) -> &mut Member {
        self.add_worker_with(&[]).await
    }

    /// Starts one more worker. Its environment is the fleet's, and these variables override or extend it.
    ///
    /// # Panics
    /// If the process does not start.
    pub async fn add_worker_with(&mut self, env: &[(&str, &str)]) -> &mut Member {
        let member = Member::start(with_env(&self.worker, env)).await;
        self.workers.push(member);
        let index = self.workers.len() - 1;
        &mut self.workers[index]
    }

    /// Limits the memory of each gateway and worker that is added later.
    pub fn set_memory_max_bytes(&mut self, bytes: u64) {
        self.gateway = self.gateway.clone().memory_max_bytes(bytes);
        self.worker = self.worker.clone().memory_max_bytes(bytes);
    }

    /// Restarts a gateway that has ended, with the same settings on another port. For the fleet it is a new process with a
    /// new name.
    ///
    /// # Panics
    /// If the process still runs, or does not start.
    pub async fn restart_gateway(&mut self, index: usize) {
        self.gateways[index].restart().await;
        self.point_client_at_running_gateways();
    }

    /// Restarts a worker that has ended, with the same settings. For the fleet it is a new process with a new name.
    ///
    /// # Panics
    /// If the process still runs, or does not start.
    pub async fn restart_worker(&mut self, index: usize) {
        self.workers[index].restart().await;
    }

    /// Points [`Fleet::client`] at the running gateways. Without this call, the client also sends requests to killed gateways,
    /// as real clients do. The start or restart of a gateway includes this call.
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

    /// A client of one gateway. After a restart of the gateway, the client still uses the old port.
    #[must_use]
    pub fn client_of(&self, gateway: usize) -> Client {
        Client::new(self.gateways[gateway].url())
    }

    /// Waits until all gateways are ready to accept submits.
    ///
    /// # Panics
    /// If a gateway is not ready after [`TIMEOUT`]. The message contains its last answer.
    pub async fn wait_until_gateways_are_ready(&self) {
        for gateway in 0..self.gateways.len() {
            let client = self.client_of(gateway);
            let mut last_answer = String::from("none");
            let ready = async || {
                let answer = client.try_get("/readyz/submits").await;
                let ready = answer.as_ref().is_ok_and(|answer| answer.status == 200);
                last_answer = format!("{answer:?}");
                ready
            };
            if !poll_until(TIMEOUT, ready).await {
                panic!(
                    "gateway {gateway} is not ready after {TIMEOUT:?}; its last answer: {last_answer}"
                );
            }
        }
    }

    /// Waits until `condition` is true for the counts of interactive jobs in `/v1/queues`. Gateways read the counts
    /// once a second. The error message contains `description`.
    ///
    /// # Panics
    /// After `timeout`, with the last counts.
    pub async fn wait_for_counts(
        &self,
        description: &str,
        timeout: Duration,
        condition: impl Fn(&Value) -> bool,
    ) {
        let mut last = Value::Null;
        let is_reached = async || {
            if let Ok(answer) = self.client.try_get("/v1/queues").await {
                last = answer.body["classes"]["interactive"].clone();
            }
            last.is_object() && condition(&last)
        };
        if !poll_until(timeout, is_reached).await {
            panic!(
                "timed out after {timeout:?} waiting for {description}; the last counts: {last}"
            );
        }
    }

    /// The number of live jobs in `/v1/queues`, of both classes together. `None` if the gateway does not show it.
    pub async fn live_jobs(&self) -> Option<u64> {
        let answer = self.client.try_get("/v1/queues").await.ok()?;
        live_jobs(&answer.body)
    }

    /// Waits until `/v1/queues` shows `count` live jobs of both classes together. The counts can be a second old, so they may
    /// not include a job that was just submitted.
    ///
    /// # Panics
    /// After `timeout`, with the last counts.
    pub async fn wait_for_live_jobs(&self, count: u64, timeout: Duration) {
        let mut last = Value::Null;
        let is_reached = async || {
            if let Ok(answer) = self.client.try_get("/v1/queues").await {
                last = answer.body;
            }
            live_jobs(&last) == Some(count)
        };
        if !poll_until(timeout, is_reached).await {
            panic!(
                "timed out after {timeout:?} waiting for {count} live jobs; the last counts: {last}"
            );
        }
    }

    /// Whether the queue has a ready message now. This call fetches the message and requeues it, so the queue must have no
    /// consumer.
    ///
    /// # Panics
    /// If the node does not answer.
    pub async fn has_ready_message(&self, queue: &str) -> bool {
        let remove = false;
        let messages = self.vhost.get_messages(queue, 1, remove).await;
        !messages.expect("RabbitMQ returns the messages").is_empty()
    }

    /// Waits until RabbitMQ's management API shows `count` ready messages in a queue. A quorum queue reports its counts
    /// every five seconds, so they lag behind; see [`Fleet::has_ready_message`].
    ///
    /// # Panics
    /// After `timeout`, with the last count.
    pub async fn wait_for_ready_messages(&self, queue: &str, count: u64, timeout: Duration) {
        let mut last = String::from("none");
        let is_reached = async || {
            let counts = self.vhost.queue_counts(queue).await;
            last = format!("{counts:?}");
            counts.is_ok_and(|counts| counts.ready == count)
        };
        if !poll_until(timeout, is_reached).await {
            panic!(
                "timed out after {timeout:?} waiting for {count} ready messages in {queue}; the last counts: {last}"
            );
        }
    }
}

/// The number of live jobs of both classes together in an answer of `/v1/queues`.
fn live_jobs(queues: &Value) -> Option<u64> {
    let live_jobs = |class: &str| queues["classes"][class]["live"].as_u64();
    let (interactive, batch) = live_jobs("interactive").zip(live_jobs("batch"))?;
    Some(interactive + batch)
}

/// Polls `condition` until it is true, for at most `timeout`. Returns whether it became true. Use this only if
/// nothing notifies the test when the condition becomes true.
pub async fn poll_until(timeout: Duration, mut condition: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
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

/// The same process with these environment variables.
fn with_env(builder: &process::Builder, env: &[(&str, &str)]) -> process::Builder {
    let builder = builder.clone();
    env.iter()
        .fold(builder, |builder, (name, value)| builder.env(name, *value))
}
