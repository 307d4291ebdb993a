//! Forwards the store's notices about this worker's calls. A notice means that another process may have ended
//! the job of a call.
//!
//! A notice can be outdated or lost. So a notice only makes the call check its job, and each call also checks
//! its job at intervals (`attempt/watch.rs`). While there is no subscription, the calls check their jobs more often.

use std::{sync::Arc, time::Duration};

use forebay_runtime::member::Member;
use forebay_shared::store::Topic;
use tokio::time::sleep;

use crate::in_flight::InFlightJobs;

/// The delay before the next subscription after one has ended or failed.
const RESUBSCRIBE_DELAY: Duration = Duration::from_secs(1);
/// How many calls check their jobs in one batch after a new subscription. Batches limit the load on the store.
const CHECK_BATCH: usize = 200;
/// The delay between two batches of checks.
const CHECK_BATCH_INTERVAL: Duration = Duration::from_millis(20);

/// Forwards notices. Never returns.
pub(crate) async fn run(member: Arc<Member>, in_flight: Arc<InFlightJobs>) {
    // The jobs that are still to be checked in the current round, while there is no subscription.
    let mut unchecked = Vec::new();
    loop {
        match member.store.watch(Topic::Calls(member.id.clone())).await {
            Ok(mut notices) => {
                // Notices from before the subscription are lost, so every call checks its job.
                for jobs in in_flight.all().chunks(CHECK_BATCH) {
                    jobs.iter().for_each(|job| in_flight.request_check(*job));
                    sleep(CHECK_BATCH_INTERVAL).await;
                }
                while let Some(job) = notices.next().await {
                    in_flight.request_check(job);
                }
                tracing::debug!("the subscription to call notices ended; subscribing again");
            }
            Err(error) => {
                tracing::debug!(%error, "could not subscribe to call notices; a batch of calls checks its jobs; subscribing again in 1 s");
                // At most one batch for each attempt to subscribe, so that the checks do not overload the store.
                if unchecked.is_empty() {
                    unchecked = in_flight.all();
                }
                for job in unchecked.drain(..unchecked.len().min(CHECK_BATCH)) {
                    in_flight.request_check(job);
                }
            }
        }
        sleep(RESUBSCRIBE_DELAY).await;
    }
}
