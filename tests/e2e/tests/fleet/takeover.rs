//! A worker is killed with SIGKILL while other workers are idle: its jobs run again within seconds.

use std::time::{Duration, Instant};

use e2e::{
    client::id_of,
    fleet::{Fleet, LIMIT, until},
};
use scripted_provider::{Recorded, ScriptedLlm};
use serde_json::json;

use crate::machine;

const JOBS: usize = 100;
/// The longest time from the kill to the second call of a job. It is about 4 s on an idle machine. Without the
/// takeover, the timers would run the jobs again after a minute.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_jobs_of_a_killed_worker_run_again_within_seconds() {
    assert_taken_over(false).await;
}

#[tokio::test]
async fn the_jobs_of_a_killed_worker_that_was_the_sweeper_run_again_within_seconds() {
    assert_taken_over(true).await;
}

async fn assert_taken_over(is_sweeper: bool) {
    // Alone, because the test measures a time.
    let _machine = machine::alone().await;
    let llm = ScriptedLlm::start().await;
    let gate = llm.gate_all_requests();
    let mut fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let mut ids = Vec::new();
    for n in 0..JOBS {
        let job = json!({ "session_id": format!("s-{n}"), "input": format!("job {n};") });
        ids.push(id_of(&fleet.client.submit_ok(&job).await).to_owned());
    }
    llm.wait_for_requests(JOBS).await;
    fleet.add_worker().await;
    fleet.add_worker().await;
    let name = fleet.workers[0].name().to_owned();
    elect(
        &fleet,
        if is_sweeper {
            &name
        } else {
            fleet.gateways[0].name()
        },
    )
    .await;

    let unfinished = llm.stats().in_flight;
    let killed = Instant::now();
    fleet.workers[0].kill9().await;
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
    println!(
        "second calls after {first:?} (first), {median:?} (median), {last:?} (last); the killed worker was the sweeper: {is_sweeper}"
    );
    assert!(last <= TAKEN_OVER_WITHIN, "{last:?}");

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
    const TERM_MS: &str = "3000";
    let set = ["SET", ELECTION, name, "PX", TERM_MS];
    fleet.redis.cli(&set).await.expect("an election");
    let renewed = async || {
        let left = fleet.redis.cli(&["PTTL", ELECTION]).await;
        let left: i64 = left.expect("the election").parse().expect("milliseconds");
        // The process itself renews its election every quarter of a second, for two seconds.
        let holder = fleet.redis.cli(&["GET", ELECTION]).await;
        left <= 2_000 && holder.expect("the election") == name
    };
    assert!(
        until(LIMIT, renewed).await,
        "{name} did not renew its election as the sweeper"
    );
}
