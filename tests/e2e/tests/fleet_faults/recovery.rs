//! Waits until a process works again after a fault.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use e2e::{
    client::{Client, id_of},
    fleet::{Fleet, LIMIT, until},
};
use serde_json::{Value, json};

/// How long a worker may take to run jobs again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(120);

/// Submits jobs without a session until this worker has run one of them.
pub(crate) async fn wait_for_work_by(fleet: &Fleet, worker: &str) {
    let mut submitted = 0;
    let ran_one = async || {
        submitted += 1;
        let job = fleet.client.submit_ok(&new_job()).await;
        let job = fleet.client.wait(id_of(&job), LIMIT).await;
        assert_eq!(job["status"], "completed", "{job}");
        attempted_by(&job, worker)
    };
    let in_time = until(RECOVERED_WITHIN, ran_one).await;
    assert!(in_time, "{worker} ran none of {submitted} jobs");
    println!("{worker} ran one of {submitted} jobs");
}

/// A job with a text of its own, so that the provider's record shows whether it was called twice.
fn new_job() -> Value {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    json!({ "input": format!("are you back? {n}") })
}

/// Whether one of the job's attempts was made by this worker.
pub(crate) fn attempted_by(job: &Value, worker: &str) -> bool {
    let attempts = job["attempts"].as_array().expect("attempts");
    attempts.iter().any(|attempt| attempt["worker"] == worker)
}

/// Waits at most `limit` until the gateway accepts a submit.
pub(crate) async fn wait_for_accept(client: &Client, limit: Duration) {
    let mut last = String::from("nothing");
    let accepted = async || {
        let answer = client.try_submit(&new_job(), None).await;
        let accepted = answer.as_ref().is_ok_and(|answer| answer.status == 202);
        last = format!("{answer:?}");
        accepted
    };
    assert!(
        until(limit, accepted).await,
        "no submit accepted within {limit:?}; last answer: {last}"
    );
}
