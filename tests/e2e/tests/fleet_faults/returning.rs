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

/// How long a worker may take to work again.
const BACK_WITHIN: Duration = Duration::from_secs(120);

/// Submits new jobs until this worker has done one of them.
pub(crate) async fn wait_until_working(fleet: &Fleet, worker: &str) {
    let mut tried = 0;
    let did_one = async || {
        tried += 1;
        let job = fleet.client.submit_ok(&fresh()).await;
        let job = fleet.client.wait(id_of(&job), LIMIT).await;
        assert_eq!(job["status"], "completed", "{job}");
        attempted_by(&job, worker)
    };
    let back = until(BACK_WITHIN, did_one).await;
    assert!(back, "{worker} did none of {tried} jobs");
    println!("{worker} did one of {tried} jobs");
}

/// A job with a unique input, so that a second call for it is visible at the provider.
fn fresh() -> Value {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    json!({ "input": format!("do you work? {n}") })
}

/// Whether this worker attempted the job.
pub(crate) fn attempted_by(job: &Value, worker: &str) -> bool {
    let attempts = job["attempts"].as_array().expect("attempts");
    attempts.iter().any(|attempt| attempt["worker"] == worker)
}

/// Waits until a gateway accepts a submit.
pub(crate) async fn wait_until_accepting(client: &Client, limit: Duration) {
    let mut last = String::from("nothing");
    let accepted = async || {
        let answer = client.try_submit(&fresh(), None).await;
        let accepted = answer.as_ref().is_ok_and(|answer| answer.status == 202);
        last = format!("{answer:?}");
        accepted
    };
    assert!(until(limit, accepted).await, "not within {limit:?}: {last}");
}
