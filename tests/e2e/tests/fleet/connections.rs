//! A process has few connections to its servers, no matter how many clients wait and how many calls run.

use e2e::{
    client::{id_of, is_terminal},
    fleet::{Fleet, Member, TIMEOUT, connections, poll_until},
};
use scripted_provider::{Recorded, ScriptedLlm};
use serde_json::json;
use tokio::task::JoinSet;

use crate::test_lock;

/// The number of calls in flight, of waiting clients, and of concurrent submits.
const MANY: usize = 1_000;
/// The most connections of a process to Redis.
const REDIS_MAX: usize = 16;
/// The most connections of a process to RabbitMQ.
const RABBIT_MAX: usize = 2;

/// The most connections that one process had at a time.
struct Peak {
    /// The number of connections to Redis.
    to_redis: usize,
    /// The names of the connections to RabbitMQ.
    to_rabbit: Vec<String>,
}

impl Peak {
    const fn new() -> Self {
        Self {
            to_redis: 0,
            to_rabbit: Vec::new(),
        }
    }

    /// Reads the connections of the process from both servers.
    async fn update(&mut self, fleet: &Fleet, member: &Member) {
        let to_redis = connections::to_redis(&fleet.redis, member).await;
        let to_rabbit = connections::to_rabbit(&fleet.rabbit, member).await;
        self.to_redis = self
            .to_redis
            .max(to_redis.expect("Redis lists its connections").len());
        let to_rabbit = to_rabbit.expect("RabbitMQ lists its connections");
        if to_rabbit.len() > self.to_rabbit.len() {
            self.to_rabbit = to_rabbit;
        }
    }

    /// Asserts that the process had few connections to Redis, and exactly `to_rabbit` connections to RabbitMQ, whose names
    /// contain the name of the process.
    fn assert_few(&self, member: &Member, to_rabbit: usize) {
        let (redis, rabbit) = (self.to_redis, &self.to_rabbit);
        println!(
            "{} had {redis} connections to Redis; to RabbitMQ: {rabbit:?}",
            member.name()
        );
        assert!(
            (2..=REDIS_MAX).contains(&redis),
            "the process had {redis} connections to Redis"
        );
        assert!(
            rabbit.len() <= RABBIT_MAX,
            "the process had too many connections to RabbitMQ: {rabbit:?}"
        );
        assert_eq!(rabbit.len(), to_rabbit, "{rabbit:?}");
        let has_process_name = |name: &String| name.contains(member.name());
        assert!(
            rabbit.iter().all(has_process_name),
            "a connection's name lacks the process's name: {rabbit:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_waiting_clients_and_submits_need_few_connections() {
    let _guard = test_lock::exclusive().await;
    let llm = ScriptedLlm::start().await;
    let gate = llm.gate_all_requests();
    let fleet = Fleet::builder().gateways(1).workers(1).openai(&llm);
    let fleet = fleet.env("FOREBAY_CONCURRENCY", MANY.to_string());
    let fleet = fleet.start().await;
    let (gateway, worker) = (&fleet.gateways[0], &fleet.workers[0]);
    let running = submit_concurrently(&fleet, "running").join_all().await;
    let in_flight = |records: &[Recorded]| records.len() == MANY;
    llm.wait_for_within(TIMEOUT, "a thousand calls in flight", in_flight)
        .await;

    let mut waiting = JoinSet::new();
    for id in &running {
        let (client, id) = (fleet.client.clone(), id.clone());
        // On a busy machine some waits get 503, because the store does not answer in time, and are repeated.
        waiting.spawn(async move { client.wait(&id, TIMEOUT).await });
    }
    let mut submits = submit_concurrently(&fleet, "queued");
    let (mut gateway_peak, mut worker_peak) = (Peak::new(), Peak::new());
    let mut submitted = Vec::new();
    while !submits.is_empty() {
        gateway_peak.update(&fleet, gateway).await;
        worker_peak.update(&fleet, worker).await;
        while let Some(done) = submits.try_join_next() {
            submitted.push(done.expect("the submit does not panic"));
        }
    }
    assert_eq!(submitted.len(), MANY);
    assert_eq!(waiting.len(), MANY);
    let early = waiting.try_join_next();
    assert!(
        early.is_none(),
        "a client got an answer while the jobs were running: {early:?}"
    );
    let all_wait = poll_until(TIMEOUT, async || {
        let channels = fleet.redis.cli(&["PUBSUB", "CHANNELS", "fb:n:j:*"]).await;
        channels.expect("Redis lists its channels").lines().count() == MANY
    });
    assert!(all_wait.await, "some clients do not wait");
    assert_eq!(llm.stats().in_flight, MANY);
    // RabbitMQ lists a new connection only after some seconds.
    let listed = poll_until(TIMEOUT, async || {
        gateway_peak.update(&fleet, gateway).await;
        worker_peak.update(&fleet, worker).await;
        !gateway_peak.to_rabbit.is_empty() && worker_peak.to_rabbit.len() >= RABBIT_MAX
    });
    assert!(listed.await, "RabbitMQ lists too few connections");
    gateway_peak.assert_few(gateway, 1);
    worker_peak.assert_few(worker, 2);

    gate.open();
    for job in waiting.join_all().await {
        assert!(is_terminal(&job), "the wait returned a live job: {job}");
    }
    fleet.wait_for_live_jobs(0, TIMEOUT).await;
}

/// Starts a thousand submits. Each returns its job's id. On a busy machine some are refused, because the store does not answer in
/// time, and are repeated.
fn submit_concurrently(fleet: &Fleet, name: &'static str) -> JoinSet<String> {
    let mut submits = JoinSet::new();
    for number in 0..MANY {
        let client = fleet.client.clone();
        submits.spawn(async move {
            let (job, key) = (json!({ "input": "hello" }), format!("{name}-{number}"));
            let job = client.submit_until_accepted(&job, &key, TIMEOUT).await;
            id_of(&job).to_owned()
        });
    }
    submits
}
