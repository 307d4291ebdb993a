//! A worker is killed with SIGKILL while other workers are idle. Its jobs run again within seconds.

use std::time::Duration;

use e2e::{
    client::id_of,
    fleet::{Fleet, TIMEOUT, poll_until},
    slowdown,
};
use scripted_provider::{Recorded, ScriptedLlm};
use serde_json::json;

use crate::test_lock;

const JOBS: usize = 100;
/// The longest time from the kill to the second call of a job on an idle machine, where it takes about 4 s. Without the
/// takeover, the timers would run the jobs again after a minute.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test]
async fn the_jobs_of_a_killed_worker_run_again_within_seconds() {
    let victim_is_sweeper = false;
    assert_taken_over(victim_is_sweeper).await;
}

#[tokio::test]
async fn the_jobs_of_a_killed_worker_that_was_the_sweeper_run_again_within_seconds() {
    let victim_is_sweeper = true;
    assert_taken_over(victim_is_sweeper).await;
}

async fn assert_taken_over(victim_is_sweeper: bool) {
    // The test measures a time, so no other test may run.
    let _guard = test_lock::exclusive().await;
    let llm = ScriptedLlm::start().await;
    let gate = llm.gate_all_requests();
    let mut fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let mut ids = Vec::new();
    for number in 0..JOBS {
        let job = json!({ "session_id": format!("s-{number}"), "input": format!("job {number};") });
        ids.push(id_of(&fleet.client.submit_until_ok(&job, TIMEOUT).await).to_owned());
    }
    llm.wait_for_requests(JOBS).await;
    fleet.add_worker().await;
    fleet.add_worker().await;
    let name = fleet.workers[0].name().to_owned();
    elect(
        &fleet,
        if victim_is_sweeper {
            &name
        } else {
            fleet.gateways[0].name()
        },
    )
    .await;

    let unfinished = llm.stats().in_flight;
    let killed_at = slowdown::measure();
    fleet.workers[0].kill9().await;
    assert_eq!(unfinished, JOBS, "some jobs ended before the kill");
    let all_called_again = |records: &[Recorded]| records.len() >= 2 * JOBS;
    llm.wait_for_within(TIMEOUT, "a second call for every job", all_called_again)
        .await;
    let mut delays: Vec<Duration> = llm.recorded()[JOBS..]
        .iter()
        .map(|record| record.request.arrived_at.duration_since(killed_at))
        .collect();
    delays.sort_unstable();
    let (first, median, last) = (delays[0], delays[JOBS / 2], delays[JOBS - 1]);
    println!(
        "second calls after {first:?} (first), {median:?} (median), {last:?} (last); the killed worker was the sweeper: {victim_is_sweeper}"
    );
    let what = "the second call of the last job after the kill";
    slowdown::assert_within(TAKEN_OVER_WITHIN, killed_at, last, what);

    gate.open();
    for id in &ids {
        let job = fleet.client.wait(id, TIMEOUT).await;
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
    /// Shorter than the TTL that the elected process sets, so that a longer TTL proves a renewal.
    const TERM_MS: i64 = 1_500;
    let term_ms = TERM_MS.to_string();
    let set = ["SET", ELECTION, name, "PX", &term_ms];
    let elect = async || {
        let set = fleet.redis.cli(&set).await;
        set.expect("Redis stores the election");
    };
    elect().await;
    let renewed = async || {
        let ttl_ms = fleet.redis.cli(&["PTTL", ELECTION]).await;
        let ttl_ms: i64 = ttl_ms
            .expect("Redis returns the election")
            .parse()
            .expect("the TTL is a number");
        // The elected process renews its election every 250 ms, with a TTL of 2 s.
        let sweeper = fleet.redis.cli(&["GET", ELECTION]).await;
        let is_elected = sweeper.expect("Redis returns the election") == name;
        if !is_elected {
            // On a busy machine, the term can end before the process renews it, and then another process is elected.
            elect().await;
        }
        is_elected && ttl_ms > TERM_MS
    };
    assert!(
        poll_until(TIMEOUT, renewed).await,
        "{name} did not renew its election as the sweeper"
    );
}
