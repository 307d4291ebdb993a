//! Ordinary load: small jobs, submitted one after the other while the large work runs.

use std::time::{Duration, Instant};

use e2e::client::{Client, id_of};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::work::{TIMEOUT, wait_until_completed};

/// The pause between two submits.
const PAUSE: Duration = Duration::from_millis(50);

/// The running load.
pub(crate) struct SmallJobs {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Starts submitting.
pub(crate) fn start(client: &Client) -> SmallJobs {
    let stop = CancellationToken::new();
    let task = tokio::spawn(submit_until(stop.clone(), client.clone()));
    SmallJobs { stop, task }
}

impl SmallJobs {
    /// Stops submitting, waits until all jobs have completed, and prints how long the submits took.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("all small jobs complete");
    }
}

async fn submit_until(stop: CancellationToken, client: Client) {
    let mut took = Vec::new();
    let mut ids = Vec::new();
    while !stop.is_cancelled() {
        let began = Instant::now();
        let key = format!("small-{}", ids.len());
        let job = client
            .submit_until_accepted(&json!({ "input": "small" }), &key, TIMEOUT)
            .await;
        took.push(began.elapsed());
        ids.push(id_of(&job).to_owned());
        stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
    }
    for id in &ids {
        wait_until_completed(&client, id).await;
    }
    took.sort_unstable();
    let quantile = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
    println!(
        "{} small submits: p50 {:?}, p99 {:?}, at most {:?}",
        took.len(),
        quantile(0.5),
        quantile(0.99),
        quantile(1.0)
    );
}
