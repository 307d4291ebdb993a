//! Claims the job of a wake for this worker.

use std::time::Duration;

use forebay_metrics::worker::ClaimOutcome;
use forebay_runtime::lanes::{Applied, ClaimKey, LaneChange, LaneError};
use forebay_shared::{
    ids::{JobId, LaneKey},
    lane::{Refused, ReleaseReason, State},
    queue::Delivery,
    store::{INLINE_BYTES_MAX, RunInputs, StoreError},
};
use forebay_telemetry::Span;
use tokio::time::{Instant, sleep};

use super::{
    claimed_job::ClaimedJob,
    input_memory::{self, InputMemory},
    wake_end::WakeEnd,
};
use crate::{settings::COMMIT_MARGIN_MS, worker_context::WorkerContext};

/// The timeout of one claim, and of the release of a claim whose response was lost.
const APPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// The delay before the requeue of a message whose job only a worker of a newer release can run.
const NEWER_RELEASE_REQUEUE_DELAY: Duration = Duration::from_secs(1);
/// The delay before a claim that was not confirmed is repeated.
const CLAIM_RETRY_DELAY: Duration = Duration::from_millis(500);

/// How the claim of a wake's job ended.
pub(super) enum ClaimEnd {
    /// The job is claimed.
    Claimed(Claimed),
    /// The job is not claimed. `None` if the worker stops, or if there was no delivery: then nothing is counted.
    NotClaimed(Option<WakeEnd>),
    /// The job has inputs of this many bytes, as stored, and there is no memory for them now. It is not claimed.
    NeedsMemory(u64),
}

/// A claimed job and its inputs.
pub(super) struct Claimed {
    pub(super) job: Box<ClaimedJob>,
    /// `None` if the inputs are large. They are not read yet.
    pub(super) run_inputs: Option<Box<RunInputs>>,
    /// The memory for large inputs.
    pub(super) memory: Option<InputMemory>,
}

/// Claims the job of a wake if there is memory for its inputs. `memory` has been reserved for them, if they are known to be large.
///
/// A message that is not requeued stays in `delivery`. The caller acknowledges it after the attempt.
///
/// The message is requeued when the store does not respond, when there is no memory for the lane, or when the lane has too many
/// other changes: another worker may be able to claim the job. The claim may still have succeeded, with only its response
/// lost. Then no other worker can run the job. So this function repeats the claim until it gets a final answer, the worker
/// stops, or the time limit of the claim has passed.
pub(super) async fn claim(
    worker: &WorkerContext,
    delivery: &mut Option<Delivery>,
    mut memory: Option<InputMemory>,
) -> ClaimEnd {
    let Some(wake) = delivery.as_mut().map(|delivery| &mut delivery.wake) else {
        return ClaimEnd::NotClaimed(None);
    };
    let (lane, job) = (wake.lane(), wake.job);
    // Only the first claim uses the copy. It is taken out of the wake, so that it uses no memory during the call.
    let mut lane_copy = wake.lane_copy.take().and_then(|copy| copy.read());
    let limit_ms = worker
        .settings
        .call_timeout_ms
        .saturating_add(COMMIT_MARGIN_MS);
    // No claim is sent after the time limit of the first claim. If that claim succeeded and its response was lost, the
    // sweeper queues the job again.
    let deadline = Instant::now() + Duration::from_millis(limit_ms);
    let mut may_have_claimed = false;
    // While this is `Some`, the health check counts the claim as one that waits for memory of lanes, or for other changes of
    // its lane.
    let mut wait = None;
    while !worker.stop.is_cancelled() && Instant::now() < deadline {
        let began = Instant::now();
        let inputs_bytes_max = memory
            .as_ref()
            .map_or(INLINE_BYTES_MAX, |memory| memory.input_bytes);
        let claim = LaneChange::claim(
            lane.clone(),
            job,
            worker.member.id.clone(),
            limit_ms,
            inputs_bytes_max,
        )
        .with_lane_copy(lane_copy.take());
        match worker.member.lanes.apply(claim, APPLY_TIMEOUT).await {
            Ok(Applied::Claimed {
                fence,
                until,
                attempt,
                tries,
                expires_at,
                run_inputs,
            }) => {
                let claimed = ClaimedJob {
                    lane,
                    job,
                    fence,
                    claimed_until: until,
                    expires_at,
                    attempt,
                    tries,
                    began,
                    span: Span::NONE,
                };
                return ClaimEnd::Claimed(Claimed {
                    job: Box::new(claimed),
                    run_inputs,
                    memory,
                });
            }
            Ok(Applied::NeedsBytes(bytes)) => {
                drop(memory.take());
                memory = input_memory::try_reserve(worker, bytes);
                if memory.is_none() {
                    return ClaimEnd::NeedsMemory(bytes);
                }
                continue;
            }
            Ok(
                Applied::Done | Applied::Admitted { .. } | Applied::NotTriedAgain | Applied::NotDue,
            ) => return not_due(),
            Err(LaneError::Refused(Refused::Running)) if may_have_claimed => {
                match release_unanswered_claim(worker, &lane, job).await {
                    Ok(()) => {
                        // The claim itself got no answer, and the job did not run. So the wake does not count as handled.
                        let end = WakeEnd::unanswered(ClaimOutcome::Failed);
                        return ClaimEnd::NotClaimed(Some(end));
                    }
                    Err(error) => {
                        tracing::debug!(job_id = %job, %error, "a claim whose response was lost could not be released; trying again");
                    }
                }
            }
            Err(LaneError::Refused(refused)) => {
                tracing::debug!(job_id = %job, %refused, "a wake was dropped: the job cannot run now");
                return not_due();
            }
            Err(LaneError::Store(StoreError::Newer(document))) => {
                tracing::debug!(job_id = %job, %document, "the message of a job is requeued: only a worker of a newer release can run the job");
                worker
                    .stop
                    .run_until_cancelled(sleep(NEWER_RELEASE_REQUEUE_DELAY))
                    .await;
                requeue(delivery);
                return cannot_claim();
            }
            Err(LaneError::Store(error)) if !error.is_transient() => {
                tracing::error!(
                    job_id = %job,
                    %error,
                    "a job could not be claimed; its timer leads to another attempt"
                );
                return cannot_claim();
            }
            Err(error @ (LaneError::Store(_) | LaneError::NoMemory | LaneError::Contended)) => {
                // The job may be claimed after `NoMemory` and `Contended` too, because an earlier commit of this claim may have
                // been made without a response.
                may_have_claimed = true;
                // A wait for memory or for other changes is no sign of a wedged worker. A store that does not respond may be
                // one.
                wait = (!matches!(error, LaneError::Store(_)))
                    .then(|| worker.member.worker_health.record_wait());
                tracing::debug!(job_id = %job, %error, "a claim was not confirmed; its message is requeued and the claim is repeated");
                requeue(delivery);
            }
        }
        worker
            .stop
            .run_until_cancelled(sleep(CLAIM_RETRY_DELAY))
            .await;
    }
    requeue(delivery);
    drop(wait);
    let end = WakeEnd::unanswered(ClaimOutcome::Failed);
    ClaimEnd::NotClaimed((!worker.stop.is_cancelled()).then_some(end))
}

/// The job has ended, runs already, or is not due.
const fn not_due() -> ClaimEnd {
    ClaimEnd::NotClaimed(Some(WakeEnd::answered(ClaimOutcome::NotDue)))
}

/// The store has answered, but this worker cannot claim the job: it cannot read the job's documents.
const fn cannot_claim() -> ClaimEnd {
    ClaimEnd::NotClaimed(Some(WakeEnd::answered(ClaimOutcome::Failed)))
}

fn requeue(delivery: &mut Option<Delivery>) {
    if let Some(delivery) = delivery.take() {
        delivery.requeue();
    }
}

/// Releases the job if its lane shows that this process runs it. The caller has the job's in-flight guard, so no
/// attempt of this process runs the job. Then the running entry comes from a claim whose response was lost.
///
/// # Errors
/// The job may still be claimed, because the store did not confirm the release.
async fn release_unanswered_claim(
    worker: &WorkerContext,
    lane: &LaneKey,
    job: JobId,
) -> Result<(), LaneError> {
    let store = &worker.member.store;
    let loaded = store
        .load(lane, &[], None)
        .await
        .map_err(LaneError::Store)?;
    if let Some(head) = loaded.lane.head()
        && head.job == job
        && matches!(&head.state, State::Running { worker: claimant, .. } if *claimant == worker.member.id)
    {
        let claim = ClaimKey {
            lane: lane.clone(),
            job,
            fence: head.fence,
        };
        let release = LaneChange::release(claim, ReleaseReason::WorkerStops);
        match worker.member.lanes.apply(release, APPLY_TIMEOUT).await {
            Ok(_) | Err(LaneError::Refused(_)) => {
                tracing::debug!(job_id = %job, "a claim whose response was lost is released");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
