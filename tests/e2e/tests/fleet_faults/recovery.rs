//! Waits until a process works again after a fault.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use e2e::{
    client::{Client, id_of},
    fleet::{Fleet, TIMEOUT, poll_until},
    slowdown,
};
use serde_json::{Value, json};

/// How long a worker may take to run jobs again, on an idle machine.
const RECOVERED_WITHIN: Duration = Duration::from_secs(20);

/// Submits jobs without a session until this worker has run one of the jobs.
pub(crate) async fn wait_for_work_by(fleet: &Fleet, worker: &str) {
    let mut submitted = 0;
    let has_run_one = async || {
        submitted += 1;
        let job = fleet.client.submit_until_ok(&new_job(), TIMEOUT).await;
        let job = fleet.client.wait(id_of(&job), TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
        attempted_by(&job, worker)
    };
    let began = Instant::now();
    assert!(
        poll_until(TIMEOUT, has_run_one).await,
        "{worker} ran none of {submitted} jobs within {TIMEOUT:?}"
    );
    let what = format!("the first of {submitted} jobs that {worker} ran");
    slowdown::assert_within(RECOVERED_WITHIN, began, began.elapsed(), &what);
}

/// A job with a unique text, so that the provider's requests show whether a job had two calls.
fn new_job() -> Value {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    json!({ "input": format!("are you back? {number}") })
}

/// Whether one of the job's attempts was made by this worker.
pub(crate) fn attempted_by(job: &Value, worker: &str) -> bool {
    let attempts = job["attempts"].as_array().expect("the job has attempts");
    attempts.iter().any(|attempt| attempt["worker"] == worker)
}

/// Waits until the gateway accepts a submit. This may take at most `limit` on an idle machine.
pub(crate) async fn wait_for_accept(client: &Client, limit: Duration) {
    let mut last_answer = String::from("none");
    let accepted = async || {
        let answer = client.try_submit(&new_job(), None).await;
        let accepted = answer.as_ref().is_ok_and(|answer| answer.status == 202);
        last_answer = format!("{answer:?}");
        accepted
    };
    let began = Instant::now();
    assert!(
        poll_until(TIMEOUT, accepted).await,
        "the gateway accepted no submit within {TIMEOUT:?}; the last answer: {last_answer}"
    );
    slowdown::assert_within(limit, began, began.elapsed(), "the first accepted submit");
}
