//! A whole fleet: gateways and workers as processes of their own, over a RabbitMQ and a Redis of the
//! test's own. Everything is gone when it is dropped.
//!
//! A [`Fleet`] has a Redis server to itself, which syncs at every write. Of RabbitMQ it has a virtual
//! host: on the node that all tests of this test binary share, or, for tests that break the node, on
//! one of its own ([`Builder::own_rabbit`]). A single process can be given other variables, such as
//! the address of a proxy before one of its servers ([`Fleet::add_worker_with`]).
//!
//! What must be true of a fleet is for the tests to say.

mod broker;
mod builder;
pub mod connections;
mod contexts;
mod descriptors;
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
/// Where messages that cannot be read are set aside.
pub const UNREADABLE: &str = "forebay.unreadable";

/// How long anything may take that is not itself measured. Generous: it only passes when a test fails.
pub const LIMIT: Duration = Duration::from_secs(60);
/// A client's pause between two looks at what no event tells.
const PAUSE: Duration = Duration::from_millis(20);

/// Gateways and workers that run, and what they run over.
pub struct Fleet {
    // In the order in which they are dropped: processes before the servers that they use.
    /// The gateways. A killed one keeps its place, for [`Fleet::restart_gateway`].
    pub gateways: Vec<Member>,
    /// The workers. A killed one keeps its place, for [`Fleet::restart_worker`].
    pub workers: Vec<Member>,
    /// A client that sends each request to any of the gateways, at random.
    pub client: Client,
    /// The queues' place.
    pub vhost: Vhost,
    /// The node that the virtual host is on.
    pub rabbit: Broker,
    /// The store.
    pub redis: Redis,
    gateway: process::Builder,
    worker: process::Builder,
}

impl Fleet {
    /// Two gateways and four workers with nothing set but where their servers are.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Starts one more gateway.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn add_gateway(&mut self) -> &mut Member {
        self.add_gateway_with(&[]).await
    }

    /// Starts one more gateway, with these variables beside the fleet's, which they win over.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn add_gateway_with(&mut self, env: &[(&str, &str)]) -> &mut Member {
        let member = Member::start(with(&self.gateway, env)).await;
        self.gateways.push(member);
        self.point_client_at_the_living();
        let n = self.gateways.len() - 1;
        &mut self.gateways[n]
    }

    /// Starts one more worker.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn add_worker(&mut self) -> &mut Member {
        self.add_worker_with(&[]).await
    }

    /// Starts one more worker, with these variables beside the fleet's, which they win over.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn add_worker_with(&mut self, env: &[(&str, &str)]) -> &mut Member {
        let member = Member::start(with(&self.worker, env)).await;
        self.workers.push(member);
        let n = self.workers.len() - 1;
        &mut self.workers[n]
    }

    /// Starts a gateway again that has ended, with the settings that it had, on another port. It is
    /// another process to the fleet, with a name of its own.
    ///
    /// # Panics
    /// When it still runs, or does not start.
    pub async fn restart_gateway(&mut self, n: usize) {
        self.gateways[n].start_again().await;
        self.point_client_at_the_living();
    }

    /// Starts a worker again that has ended, with the settings that it had. It is another process to
    /// the fleet, with a name of its own.
    ///
    /// # Panics
    /// When it still runs, or does not start.
    pub async fn restart_worker(&mut self, n: usize) {
        self.workers[n].start_again().await;
    }

    /// Makes [`Fleet::client`] ask only the gateways that run. Until this, or a restart, it goes on
    /// asking one that was killed, as clients in the world do that have not heard of it.
    ///
    /// # Panics
    /// When the system refuses to tell.
    pub fn point_client_at_the_living(&mut self) {
        let living = self
            .gateways
            .iter_mut()
            .filter_map(|gateway| gateway.is_running().then(|| gateway.url().to_owned()));
        self.client.set_urls(living.collect());
    }

    /// A client of one gateway. It does not follow a restart.
    #[must_use]
    pub fn client_of(&self, gateway: usize) -> Client {
        Client::new(self.gateways[gateway].url())
    }

    /// Waits until all gateways would accept submits.
    ///
    /// # Panics
    /// When one would not after a minute, with what it answered.
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

    /// Waits until `/v1/queues` of some gateway shows counts of interactive jobs for which this holds.
    /// They are read once a second.
    ///
    /// # Panics
    /// After `limit`, with the last counts.
    pub async fn counts_become(&self, what: &str, limit: Duration, so: impl Fn(&Value) -> bool) {
        let mut last = Value::Null;
        let holds = async || {
            if let Ok(answer) = self.client.try_get("/v1/queues").await {
                last = answer.body["classes"]["interactive"].clone();
            }
            last.is_object() && so(&last)
        };
        if !until(limit, holds).await {
            panic!("the counts have not become {what} within {limit:?}: {last}");
        }
    }

    /// Waits until `/v1/queues` shows so many live jobs of both classes together. The counts may be a
    /// second old: right after submits, 0 may still be from before them.
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
            panic!("the live jobs have not become {count} within {limit:?}: {last}");
        }
    }

    /// Whether a message of the queue is ready this moment. It is fetched and put back, which no
    /// consumer may race with.
    ///
    /// # Panics
    /// When the node cannot be asked.
    pub async fn has_ready(&self, queue: &str) -> bool {
        let messages = self.vhost.get_messages(queue, 1, false).await;
        !messages.expect("the first message").is_empty()
    }

    /// Waits until RabbitMQ's management API counts so many ready messages of a queue. A quorum queue
    /// tells its numbers every five seconds, so this lags behind; see [`Fleet::has_ready`].
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
            panic!("{queue} has not come to {count} ready messages within {limit:?}: {last}");
        }
    }
}

/// Asks again and again until the answer is yes, at most for `limit`; says whether it was. For what no
/// event tells.
pub async fn until(limit: Duration, mut so: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if so().await {
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
