//! The end of a worker: what still runs may finish within a grace, the rest is released, then it is over.

use std::time::Duration;

use tokio::time::timeout;

use crate::{attempt::Desk, settings::RELEASING_MS_MAX};

/// Waits for the attempts under way. Nothing new may be claimed any more.
pub(crate) async fn drain(desk: &Desk) {
    desk.attempts.close();
    let running = desk.attempts.len();
    if running > 0 {
        tracing::info!(
            running,
            grace_ms = desk.settings.drain_ms,
            "the worker drains"
        );
    }
    let grace = Duration::from_millis(desk.settings.drain_ms);
    if timeout(grace, desk.attempts.wait()).await.is_ok() {
        return;
    }
    desk.give_up.cancel();
    let releasing = Duration::from_millis(RELEASING_MS_MAX);
    if timeout(releasing, desk.attempts.wait()).await.is_ok() {
        return;
    }
    // The sweeper finds that their worker is gone.
    tracing::warn!(
        running = desk.attempts.len(),
        "attempts are left as they are"
    );
    desk.kill.cancel();
    desk.attempts.wait().await;
}
