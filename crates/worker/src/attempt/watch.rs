//! Ends a call whose result is no longer needed, or that exceeds its time limit.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{
    call_outcome::{CallOutcome, EXPIRED},
    claimed_job::ClaimedJob,
};
use crate::{
    in_flight::InFlightGuard,
    provider::{Failure, Retry},
    worker_context::WorkerContext,
};

/// How often a call checks its job without a notice, because notices may be lost.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// How long a call may exceed its deadline before it is dropped.
const OVERRUN_MAX: Duration = Duration::from_secs(1);

/// The time limits of a call.
#[derive(Clone, Copy)]
pub(super) struct CallLimits {
    /// When the provider must have answered.
    pub(super) deadline: Instant,
    /// The time limit of the call, in milliseconds. The job's expiry can make `deadline` earlier.
    pub(super) timeout_ms: u64,
    /// The deadline of the job. After it, the sweeper ends the job as expired.
    pub(super) job_expiry: Instant,
}

/// Waits until the call must end, and returns the outcome.
///
/// The future checks the job at each notice and at intervals. A store that does not respond does not end the call.
///
/// There is one such future for each call. So it has a single timeout for all its conditions, which saves memory.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would store each of its arguments twice"
)]
pub(super) fn watch(
    worker: &WorkerContext,
    job: &ClaimedJob,
    in_flight: &InFlightGuard,
    limits: CallLimits,
    provider: String,
) -> impl Future<Output = CallOutcome> + Send {
    async move {
        let mut check_at = Instant::now() + CHECK_INTERVAL;
        loop {
            let wait_until = check_at
                .min(limits.job_expiry)
                .min(limits.deadline + OVERRUN_MAX);
            let is_requested = timeout_at(wait_until, in_flight.check_requested())
                .await
                .is_ok();
            let now = Instant::now();
            if now >= limits.job_expiry {
                return CallOutcome::Dropped { reason: EXPIRED };
            }
            if now >= limits.deadline + OVERRUN_MAX {
                return timed_out(limits.timeout_ms, provider);
            }
            if is_requested || now >= check_at {
                check_at = now + CHECK_INTERVAL;
                // Boxed, because the memory is seldom needed.
                if Box::pin(has_lost_claim(worker, job)).await {
                    return CallOutcome::Dropped {
                        reason: "the job has ended, or another worker has claimed it",
                    };
                }
            }
        }
    }
}

fn timed_out(timeout_ms: u64, provider: String) -> CallOutcome {
    CallOutcome::Failed {
        failure: Box::new(Failure::new(
            "provider_timeout",
            format!("the provider did not answer within {timeout_ms} ms"),
            Retry::Backoff,
        )),
        provider: Some(provider),
    }
}

/// Whether the attempt can no longer settle the job.
async fn has_lost_claim(worker: &WorkerContext, job: &ClaimedJob) -> bool {
    match worker.member.store.load(&job.lane, &[], None).await {
        Ok(loaded) => {
            // The attempt can still settle a job that was queued again but not yet claimed.
            let entry = loaded.lane.find(job.job);
            entry.is_none_or(|(_, entry)| entry.fence != job.fence)
        }
        Err(error) => {
            tracing::debug!(job_id = %job.job, %error, "could not check the job of a call; checking later");
            false
        }
    }
}
