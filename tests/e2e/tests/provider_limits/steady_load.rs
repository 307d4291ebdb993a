//! A steady load for measurements: some clients submit a job, wait for its end, and submit the next.

use std::time::{Duration, Instant};

use e2e::{
    client::{Client, id_of},
    fleet::TIMEOUT,
    slowdown,
};
use serde_json::json;
use tokio::task::JoinSet;

const CLIENTS: usize = 32;
/// How many jobs each client submits in one round.
const JOBS_OF_CLIENT: usize = 25;
/// How many rounds are measured without other jobs.
const ROUNDS_ALONE: usize = 3;
/// The most rounds that are measured for a comparison.
const ROUNDS_MAX: usize = 10;
/// The fraction by which the compared speeds may differ.
const TOLERANCE: f64 = 0.1;

/// How fast the jobs of a load ended. Of several rounds the best counts, because other programs can only slow a round down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speed {
    pub(crate) jobs_per_s: f64,
    /// 99 % of the jobs ended within this time after their submit.
    pub(crate) p99: Duration,
    /// The lowest slowdown of the machine in a round.
    slowdown: f64,
}

impl Speed {
    fn best(self, other: Self) -> Self {
        Self {
            jobs_per_s: self.jobs_per_s.max(other.jobs_per_s),
            p99: self.p99.min(other.p99),
            slowdown: self.slowdown.min(other.slowdown),
        }
    }

    /// Whether this speed is at most 10 % below the other one, apart from a higher slowdown of the machine.
    fn is_as_fast_as(self, other: Self) -> bool {
        let slowdown = (self.slowdown / other.slowdown).max(1.0);
        self.jobs_per_s * slowdown >= other.jobs_per_s * (1.0 - TOLERANCE)
            && self.p99 <= other.p99.mul_f64((1.0 + TOLERANCE) * slowdown)
    }
}

/// Measures the load with this model.
pub(crate) async fn measure(client: &Client, model: &str) -> Speed {
    let mut best = measure_round(client, model).await;
    for _ in 1..ROUNDS_ALONE {
        best = best.best(measure_round(client, model).await);
    }
    println!("alone: {best:?}");
    best
}

/// Measures the load again, and asserts that it is as fast as before, within 10 %. On a busy machine this takes more rounds.
///
/// # Panics
/// If the best values of 10 rounds are not fast enough.
pub(crate) async fn assert_as_fast_as(before: Speed, client: &Client, model: &str) {
    let mut best = measure_round(client, model).await;
    for _ in 1..ROUNDS_MAX {
        if best.is_as_fast_as(before) {
            break;
        }
        best = best.best(measure_round(client, model).await);
    }
    println!("beside the waiting jobs: {best:?}");
    assert!(
        best.is_as_fast_as(before),
        "the load is slower beside the waiting jobs: {best:?}, and alone {before:?}"
    );
}

async fn measure_round(client: &Client, model: &str) -> Speed {
    let began = slowdown::measure();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(run_jobs(client.clone(), model.to_owned()));
    }
    let mut times = clients.join_all().await.concat();
    let took = began.elapsed();
    times.sort_unstable();
    Speed {
        jobs_per_s: times.len() as f64 / took.as_secs_f64(),
        p99: times[times.len() * 99 / 100],
        slowdown: slowdown::between(began, Instant::now()),
    }
}

/// Runs one client. Returns how long each of its jobs took.
async fn run_jobs(client: Client, model: String) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..JOBS_OF_CLIENT {
        let submitted_at = Instant::now();
        let job = json!({ "input": "hello", "model": model });
        let id = id_of(&client.submit_ok(&job).await).to_owned();
        let job = client.wait(&id, TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
        times.push(submitted_at.elapsed());
    }
    times
}
