//! Writes the limits of the providers file into the accounts.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::worker_context::WorkerContext;

/// How often the configured limits are compared with those in the accounts. They may differ after a start, and after the
/// store has lost the accounts.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the limits in the accounts equal to the configured ones. Never returns. If a worker that
/// started later has other limits, those are kept.
pub(crate) async fn keep_limits_configured(worker: Arc<WorkerContext>) {
    let mut interval = interval(COMPARE_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let limits = worker.providers.limits();
        let is_known = |provider: &str| worker.providers.has_provider(provider);
        let configured = worker.member.accounts.configure(limits, is_known).await;
        if let Err(error) = configured {
            tracing::debug!(%error, "the limits of the providers file are not in effect yet; trying again in 1 s");
        }
    }
}
