//! The throughput grows with the number of workers: 1, 2 and 4 workers with 50 concurrent calls of 500 ms each.
//!
//! Each number of workers is measured once. The number of concurrent calls limits the throughput, and other load on the
//! machine can only reduce it. So no measurement is too high by chance.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use e2e::{client::id_of, fleet::Fleet};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::test_lock;

/// The number of concurrent calls of one worker.
const SLOTS: usize = 50;
/// How long each call takes, in milliseconds.
const CALL_MS: u64 = 500;
/// How long each number of workers is measured, in seconds. A short load of other programs then does not change the
/// median.
const MEASURED_S: usize = 20;
/// How many seconds are left out at the start, while workers start, and again at the end, while the last jobs end.
const RAMP_S: usize = 3;
const TIMEOUT: Duration = Duration::from_secs(120);
/// The number of concurrent submits.
const CLIENTS: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: runs in .ci/full"]
async fn the_throughput_is_proportional_to_the_number_of_workers() {
    let _guard = test_lock::exclusive().await;
    let fleet = Fleet::builder().gateways(1).workers(0);
    let fleet = fleet
        .env("FOREBAY_CONCURRENCY", SLOTS.to_string())
        .env("FOREBAY_SIMULATED_LATENCY_MS", CALL_MS.to_string());
    let mut fleet = fleet.start().await;
    for workers in [1, 2, 4] {
        let expected = (workers * SLOTS) as u64 * 1_000 / CALL_MS;
        let median = measure(&mut fleet, workers, expected).await;
        let accepted_range = expected * 85 / 100..=expected * 115 / 100;
        assert!(
            accepted_range.contains(&median),
            "{workers} workers end {median} jobs/s, not about {expected}"
        );
    }
}

/// The median number of jobs that `workers` workers end in a second.
async fn measure(fleet: &mut Fleet, workers: usize, expected: u64) -> u64 {
    // The jobs are submitted before the workers start, so that only the workers are measured.
    let ids = submit(fleet, expected as usize * MEASURED_S).await;
    fleet.wait_for_live_jobs(ids.len() as u64, TIMEOUT).await;
    let began = Instant::now();
    for _ in 0..workers {
        fleet.add_worker().await;
    }
    fleet.wait_for_live_jobs(0, TIMEOUT).await;
    let took = began.elapsed();
    let by_second = ended_by_second(fleet, ids).await;
    let median = median(&by_second);
    println!(
        "{workers} workers: {median} jobs/s (expected {expected}); jobs in each second: {by_second:?}, in {took:?}"
    );
    for mut worker in fleet.workers.drain(..) {
        worker.sigterm();
        worker.wait_exit(TIMEOUT).await;
    }
    median
}

/// Submits `count` jobs concurrently, and returns their ids.
async fn submit(fleet: &Fleet, count: usize) -> Vec<String> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let share = count / CLIENTS + usize::from(client < count % CLIENTS);
        let client = fleet.client.clone();
        clients.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..share {
                let job = client.submit_ok(&json!({ "input": "hello" })).await;
                ids.push(id_of(&job).to_owned());
            }
            ids
        });
    }
    clients.join_all().await.concat()
}

/// The number of these jobs that ended in each second, from the first to the last, by the store's clock.
async fn ended_by_second(fleet: &Fleet, ids: Vec<String>) -> Vec<u64> {
    let mut clients = JoinSet::new();
    for ids in ids.chunks(ids.len().div_ceil(CLIENTS)) {
        let (client, ids) = (fleet.client.clone(), ids.to_vec());
        clients.spawn(async move {
            let mut ended = Vec::new();
            for id in ids {
                ended.push(second_of(&client.job(&id).await.expect(200)));
            }
            ended
        });
    }
    let mut seconds = BTreeMap::new();
    for second in clients.join_all().await.concat() {
        *seconds.entry(second).or_insert(0) += 1;
    }
    let first = seconds.keys().next().copied().expect("a job has ended");
    let last = seconds
        .keys()
        .next_back()
        .copied()
        .expect("a job has ended");
    // A second in which no job ended counts as zero.
    let ended_in = |second| seconds.get(&second).copied().unwrap_or(0);
    (first..=last).map(ended_in).collect()
}

/// The Unix time at which a job ended, in seconds.
fn second_of(job: &Value) -> i64 {
    assert_eq!(job["status"], "completed", "{job}");
    let ended_at = job["ended_at"].as_str().expect("the job has an end");
    let ended_at: Timestamp = ended_at
        .parse()
        .expect("the time has the format of RFC 3339");
    ended_at.as_second()
}

/// The median without the seconds at the start and at the end.
fn median(by_second: &[u64]) -> u64 {
    let steady = by_second.get(RAMP_S..by_second.len().saturating_sub(RAMP_S));
    let mut steady = steady.unwrap_or_default().to_vec();
    assert!(
        steady.len() >= MEASURED_S / 2,
        "jobs ended in too few seconds: {by_second:?}"
    );
    steady.sort_unstable();
    steady[steady.len() / 2]
}
