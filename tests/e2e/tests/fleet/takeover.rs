//! A worker is killed with SIGKILL while other workers are free: its jobs run again within seconds.

use std::time::{Duration, Instant};

use e2e::{
    client::id_of,
    fleet::{Fleet, LIMIT},
};
use scripted_provider::{Recorded, ScriptedLlm};
use serde_json::json;

use crate::machine;

const JOBS: usize = 100;
/// From the kill to the second call of a job: about 4 s on an idle machine, and far less than the minute after which
/// timers would run the jobs again.
const AGAIN_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_jobs_of_a_killed_worker_run_again_within_seconds() {
    taken_over_from(0, false).await;
}

#[tokio::test]
async fn the_same_if_the_killed_worker_was_the_sweeper() {
    taken_over_from(0, true).await;
}

async fn taken_over_from(victim: usize, sweeps: bool) {
    // The test measures times.
    let _machine = machine::alone().await;
    let llm = ScriptedLlm::start().await;
    let gate = llm.hold();
    let mut fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let mut ids = Vec::new();
    for n in 0..JOBS {
        let job = json!({ "session_id": format!("s-{n}"), "input": format!("job {n};") });
        ids.push(id_of(&fleet.client.submit_ok(&job).await).to_owned());
    }
    llm.wait_for_requests(JOBS).await;
    fleet.add_worker().await;
    fleet.add_worker().await;
    let name = fleet.workers[victim].name().to_owned();
    elect(
        &fleet,
        if sweeps {
            &name
        } else {
            fleet.gateways[0].name()
        },
    )
    .await;

    let unfinished = llm.stats().in_flight;
    let killed = Instant::now();
    fleet.workers[victim].kill9().await;
    assert_eq!(unfinished, JOBS, "some jobs had ended before the kill");
    let all_again = |records: &[Recorded]| records.len() >= 2 * JOBS;
    llm.wait_for_within(LIMIT, "a second call of every job", all_again)
        .await;
    let mut after: Vec<Duration> = llm.recorded()[JOBS..]
        .iter()
        .map(|record| record.request.arrived_at.duration_since(killed))
        .collect();
    after.sort_unstable();
    let (first, median, last) = (after[0], after[JOBS / 2], after[JOBS - 1]);
    println!("run again after {first:?}, {median:?} (median), {last:?} (last); it swept: {sweeps}");
    assert!(last <= AGAIN_WITHIN, "{last:?}");

    gate.open();
    for id in &ids {
        let job = fleet.client.wait(id, LIMIT).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["attempts"].as_array().map(Vec::len), Some(2), "{job}");
        assert_eq!(job["attempts"][0]["worker"], name, "{job}");
        assert_eq!(job["attempts"][0]["error"]["code"], "worker_lost", "{job}");
        assert_ne!(job["attempts"][1]["worker"], name, "{job}");
    }
    assert_eq!(llm.stats().requests, 2 * JOBS);
}

/// Elects a process as the sweeper and waits until it has renewed its election.
async fn elect(fleet: &Fleet, name: &str) {
    const ELECTION: &str = "fb:fleet:sweeper";
    const HOLD_MS: &str = "3000";
    let set = ["SET", ELECTION, name, "PX", HOLD_MS];
    fleet.redis.cli(&set).await.expect("an election");
    let renewed = async || {
        let left = fleet.redis.cli(&["PTTL", ELECTION]).await;
        let left: i64 = left.expect("the election").parse().expect("milliseconds");
        // The process renews its election for two seconds, every quarter of a second.
        let holder = fleet.redis.cli(&["GET", ELECTION]).await;
        left <= 2_000 && holder.expect("the election") == name
    };
    assert!(
        e2e::fleet::until(LIMIT, renewed).await,
        "{name} does not sweep"
    );
}
