//! Counts what an installation uses in 10 seconds: store commands, deliveries and CPU time.

use std::{fs, time::Duration};

use e2e::fleet::{Fleet, TIMEOUT};
use scripted_provider::ScriptedLlm;
use serde_json::{Value, json};

use crate::{
    installation::{Engine, Installation},
    jobs, test_lock,
};

/// The time in which the cost is counted.
const COUNTED: Duration = Duration::from_secs(10);
/// RabbitMQ's management API reports statistics that are at most this old.
const STATISTICS_LAG: Duration = Duration::from_secs(7);

/// What an installation used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// The commands of Redis; 0 over the embedded engine.
    pub(crate) store_commands: u64,
    /// The messages that RabbitMQ delivered to workers; 0 over the embedded engine.
    pub(crate) deliveries: u64,
    /// The CPU time of all processes of the installation.
    pub(crate) cpu: Duration,
}

impl Cost {
    /// Counts the costs of the next 10 seconds.
    pub(crate) async fn count(installation: &Installation) -> Self {
        // The first statistics must include all earlier deliveries.
        tokio::time::sleep(STATISTICS_LAG).await;
        let before = Self::so_far(installation).await;
        tokio::time::sleep(COUNTED).await;
        let after = Self::so_far(installation).await;
        Self {
            store_commands: after.store_commands - before.store_commands,
            deliveries: after.deliveries - before.deliveries,
            cpu: after.cpu - before.cpu,
        }
    }

    async fn so_far(installation: &Installation) -> Self {
        let (store_commands, deliveries) = match installation.fleet() {
            None => (0, 0),
            Some(fleet) => (store_commands(fleet).await, deliveries(fleet).await),
        };
        Self {
            store_commands,
            deliveries,
            cpu: installation.pids().into_iter().map(cpu_time).sum(),
        }
    }
}

/// The commands that Redis has processed, including those within scripts.
async fn store_commands(fleet: &Fleet) -> u64 {
    let stats = fleet.redis.cli(&["INFO", "commandstats"]).await;
    let stats = stats.expect("Redis returns its statistics");
    let calls = stats.lines().filter_map(|line| {
        let (_, fields) = line.split_once(":calls=")?;
        fields.split(',').next()?.parse::<u64>().ok()
    });
    calls.sum()
}

/// The messages that RabbitMQ has delivered to consumers of the fleet's queues.
async fn deliveries(fleet: &Fleet) -> u64 {
    let management = fleet.rabbit.management();
    let management = management.expect("the node has a management API");
    let path = format!("/api/queues/{}", fleet.vhost.name());
    let queues = management.get(&path).await;
    let queues = queues.expect("RabbitMQ returns the queues");
    let queues = queues.as_array().into_iter().flatten();
    let delivered = |queue: &Value| queue["message_stats"]["deliver_get"].as_u64();
    queues.filter_map(delivered).sum()
}

/// The CPU time that a process has used, from `/proc`.
fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let (_, fields) = stat.rsplit_once(") ").expect("the name ends with `)`");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // The user time and the system time are the fields 14 and 15 (proc(5)). Two fields precede this list.
    let ticks =
        [fields[11], fields[12]].map(|ticks| ticks.parse::<u64>().expect("the ticks are a number"));
    let ticks_per_s = rustix::param::clock_ticks_per_second();
    Duration::from_millis(ticks.iter().sum::<u64>() * 1_000 / ticks_per_s)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cost_of_running_jobs_is_counted() {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let installation = Installation::start(Engine::Distributed, &llm, &[]).await;
    let client = &installation.client;
    let run_jobs = async {
        for round in 0.. {
            let ids = jobs::submit(client, &format!("round {round}, job"), 10, &json!({})).await;
            jobs::wait_for_all(client, &ids, TIMEOUT).await;
        }
    };
    let cost = tokio::select! {
        cost = Cost::count(&installation) => cost,
        () = run_jobs => unreachable!("the jobs never end"),
    };
    println!("{cost:?}");
    assert!(cost.store_commands > 0, "{cost:?}");
    assert!(cost.deliveries > 0, "{cost:?}");
    assert!(!cost.cpu.is_zero(), "{cost:?}");
}
