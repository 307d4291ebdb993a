//! Ends a worker: running calls may finish within the drain time. Then the remaining jobs are released.

use std::time::Duration;

use tokio::time::timeout;

use crate::{settings::RELEASING_MS_MAX, worker_context::WorkerContext};

/// Waits for the running attempts to end. The intake must have ended, so that no new attempts start.
pub(crate) async fn drain(worker: &WorkerContext) {
    worker.attempts.close();
    let attempts = worker.attempts.len();
    if attempts > 0 {
        tracing::info!(
            attempts,
            drain_ms = worker.settings.drain_ms,
            "the worker stops; running calls may finish within the drain time"
        );
    }
    let drain_time = Duration::from_millis(worker.settings.drain_ms);
    if timeout(drain_time, worker.attempts.wait()).await.is_ok() {
        return;
    }
    worker.release_jobs.cancel();
    let release_time = Duration::from_millis(RELEASING_MS_MAX);
    if timeout(release_time, worker.attempts.wait()).await.is_ok() {
        return;
    }
    tracing::warn!(
        attempts = worker.attempts.len(),
        "some jobs could not be released in time; the sweeper queues them again for other workers"
    );
    worker.abort_attempts.cancel();
    worker.attempts.wait().await;
}
