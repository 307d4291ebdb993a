//! Commits the outcome of an attempt: a reply, tool results, an error, another try, a deferral or a release.

use std::{sync::Arc, time::Duration};

use forebay_metrics::worker::AttemptOutcome;
use forebay_runtime::lanes::{
    Applied, AttemptOutput, LaneChange, LaneError, ProviderWait, RetryOptions,
};
use forebay_shared::{
    document::UnknownFields,
    job::{FinishReason, JobError, Reply},
    lane::ReleaseReason,
    store::StoreError,
    turn::Turn,
};
use tokio::time::sleep;

use super::{
    attempt_end::{self, AttemptEnd},
    attempt_spans::{self, CommitSpan},
    call_outcome::{CallOutcome, CallResult},
    claimed_job::ClaimedJob,
    replaced_turns,
};
use crate::{
    provider::{Failure, Retry},
    retry_delay::retry_delay_ms,
    worker_context::WorkerContext,
};

/// The timeout of one commit. It is longer than most outages of the store, because a reply is expensive.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);
/// The timeout of a release while the worker stops. It is shorter than
/// [`RELEASING_MS_MAX`](crate::RELEASING_MS_MAX).
const RELEASE_TIMEOUT: Duration = Duration::from_millis(1_800);
/// The delay before a commit that failed is tried again.
const COMMIT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Commits the outcome of an attempt and logs it. Returns whether the job is known to have ended.
pub(super) async fn settle(worker: &WorkerContext, job: &ClaimedJob, outcome: CallOutcome) -> bool {
    let ends_job = match &outcome {
        CallOutcome::Answered(_) | CallOutcome::ResultsStored { .. } => true,
        CallOutcome::Failed { failure, .. } => is_final(&failure.retry),
        _ => false,
    };
    let span = CommitSpan::start(job, &outcome);
    let end = match outcome {
        CallOutcome::Answered(result) => complete(worker, job, *result).await,
        CallOutcome::Deferred(wait) => defer(worker, job, *wait).await,
        CallOutcome::Failed { failure, provider } => fail(worker, job, *failure, provider).await,
        CallOutcome::ResultsStored {
            results,
            hold_ms,
            read_permit: _read_permit,
        } => store_results(worker, job, results, hold_ms).await,
        CallOutcome::Interrupted => release(worker, job).await,
        CallOutcome::WaitEnded => release_after_wait(worker, job).await,
        CallOutcome::Dropped { reason } => {
            tracing::debug!(job_id = %job.job, attempt = job.attempt, reason, "a call was dropped");
            None
        }
    };
    span.end(job, end.as_ref());
    let has_ended = ends_job && end.is_some();
    attempt_end::count(worker, end.as_ref());
    if let Some(AttemptEnd { code, .. }) = end {
        let elapsed_ms = u64::try_from(job.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(job_id = %job.job, attempt = job.attempt, elapsed_ms, code, "an attempt ended");
    }
    has_ended
}

/// Whether a failure ends its job. [`PreparedCall`](super::prepared_call) has already tried the call with less context, if the
/// context could be shortened.
const fn is_final(retry: &Retry) -> bool {
    matches!(retry, Retry::Never | Retry::LessContext)
}

/// Completes the job with the provider's answer.
async fn complete(
    worker: &WorkerContext,
    job: &ClaimedJob,
    result: CallResult,
) -> Option<AttemptEnd> {
    let token_measure = result.token_measure();
    let answer = result.answer;
    // Reserved until the reply is stored.
    let _memory = answer.memory.clone();
    let reply = Reply {
        text: answer.text(),
        reasoning: answer.reasoning,
        tool_calls: answer.turn.tool_calls.clone(),
        finish_reason: answer.finish_reason,
        usage: answer.usage,
        turns_sent: result.turns_sent,
        turns_dropped: result.turns_dropped,
        unknown: UnknownFields::NONE,
    };
    let holds_session = !reply.tool_calls.is_empty() && result.tool_wait_s > 0;
    let hold_ms = holds_session.then(|| u64::from(result.tool_wait_s) * 1_000);
    let mut turns = result.turns_before_reply;
    turns.push(answer.turn);
    let output = Arc::new(AttemptOutput {
        reply,
        provider: Some(result.provider),
        replace_from_turn: result.replace_from_turn,
        turns,
        token_measure,
    });
    let complete = || LaneChange::complete(job.claim_key(), hold_ms, Arc::clone(&output));
    match try_commit(worker, job, complete).await {
        Ok(committed) => committed.map(|_| AttemptEnd::completed("completed")),
        Err(not_stored) => {
            let error = match (not_stored, output.replace_from_turn) {
                (NotStored::TurnGone, Some(number)) => replaced_turns::turn_gone(number).error,
                _ => {
                    let message = "the reply and the input are larger than the store accepts";
                    JobError::new("result_too_large", message)
                }
            };
            let provider = output.provider.clone();
            let fail = || LaneChange::fail(job.claim_key(), error.clone(), provider.clone());
            let committed = commit(worker, job, fail).await;
            committed.map(|_| AttemptEnd::failed(error.code))
        }
    }
}

/// Completes the job without a reply and stores its tool results in the session.
async fn store_results(
    worker: &WorkerContext,
    job: &ClaimedJob,
    results: Vec<Turn>,
    hold_ms: u64,
) -> Option<AttemptEnd> {
    let output = Arc::new(AttemptOutput {
        reply: Reply {
            text: None,
            reasoning: None,
            tool_calls: Vec::new(),
            finish_reason: FinishReason::PartialResults,
            usage: None,
            turns_sent: 0,
            turns_dropped: 0,
            unknown: UnknownFields::NONE,
        },
        provider: None,
        replace_from_turn: None,
        turns: results,
        token_measure: None,
    });
    let complete = || LaneChange::complete(job.claim_key(), Some(hold_ms), Arc::clone(&output));
    let committed = commit(worker, job, complete).await;
    committed.map(|_| AttemptEnd::completed("partial_results"))
}

/// Lets the job wait for its provider.
async fn defer(worker: &WorkerContext, job: &ClaimedJob, wait: ProviderWait) -> Option<AttemptEnd> {
    let defer = || LaneChange::defer_claimed(job.claim_key(), wait.clone());
    let committed = commit(worker, job, defer).await;
    committed.map(|_| AttemptEnd::new(AttemptOutcome::Deferred, wait.error.code))
}

/// Fails the job, or queues it for another try.
async fn fail(
    worker: &WorkerContext,
    job: &ClaimedJob,
    failure: Failure,
    provider: Option<String>,
) -> Option<AttemptEnd> {
    let Failure { error, retry, .. } = failure;
    match retry {
        // `PreparedCall` has already tried the call with less context, if the context could be shortened.
        Retry::Never | Retry::LessContext => {
            let fail = || LaneChange::fail(job.claim_key(), error.clone(), provider.clone());
            let committed = commit(worker, job, fail).await;
            committed.map(|_| AttemptEnd::failed(error.code))
        }
        Retry::Backoff => try_again(worker, job, None, error, provider).await,
        Retry::AfterMs(ms) => try_again(worker, job, Some(ms), error, provider).await,
    }
}

/// Queues the job again for another try after a delay. If its tries are used up, the job fails. A job that has expired needs no
/// commit: the sweeper ends it.
async fn try_again(
    worker: &WorkerContext,
    job: &ClaimedJob,
    provider_delay_ms: Option<u64>,
    error: JobError,
    provider: Option<String>,
) -> Option<AttemptEnd> {
    let now = worker.member.store.now();
    if now >= job.expires_at {
        return Some(AttemptEnd::failed(error.code));
    }
    let delay_ms = retry_delay_ms(
        job.tries,
        provider_delay_ms,
        rand::random(),
        &worker.settings,
    );
    let options = RetryOptions {
        not_before: now.plus_ms(delay_ms),
        tries_max: worker.settings.tries_max,
        error: error.clone(),
        provider,
    };
    let retry = || LaneChange::retry(job.claim_key(), options.clone());
    commit(worker, job, retry)
        .await
        .map(|applied| match applied {
            Applied::NotTriedAgain => AttemptEnd::failed(error.code),
            _ => AttemptEnd::new(AttemptOutcome::Retried, error.code),
        })
}

/// Why the store never accepts a change.
enum NotStored {
    /// The change is too large.
    TooLarge,
    /// The session no longer has the turn from which the change replaces turns.
    TurnGone,
}

/// Commits a change, and repeats it while the store does not respond, until the time limit of the claim has passed.
/// Returns `None` if the change was not committed.
async fn commit(
    worker: &WorkerContext,
    job: &ClaimedJob,
    change: impl Fn() -> LaneChange,
) -> Option<Applied> {
    try_commit(worker, job, change).await.unwrap_or(None)
}

/// Like [`commit`], but returns an error if the store can never accept the change.
async fn try_commit(
    worker: &WorkerContext,
    job: &ClaimedJob,
    change: impl Fn() -> LaneChange,
) -> Result<Option<Applied>, NotStored> {
    let (job_id, attempt) = (job.job, job.attempt);
    loop {
        let error = match worker.member.lanes.apply(change(), COMMIT_TIMEOUT).await {
            Ok(applied) => return Ok(Some(applied)),
            Err(LaneError::Store(StoreError::TooLarge)) => return Err(NotStored::TooLarge),
            Err(LaneError::Store(StoreError::TurnGone)) => return Err(NotStored::TurnGone),
            Err(LaneError::Refused(refused)) => {
                tracing::debug!(
                    %job_id,
                    attempt,
                    %refused,
                    "the outcome of an attempt is dropped, because the job has ended or another worker has claimed it"
                );
                return Ok(None);
            }
            Err(error) => error,
        };
        let is_permanent = matches!(
            error,
            LaneError::Store(StoreError::Broken(_) | StoreError::Newer(_))
        );
        if is_permanent || worker.member.store.now() >= job.claimed_until {
            attempt_spans::fail_uncommitted(job);
            tracing::error!(
                %job_id,
                attempt,
                %error,
                "the outcome of an attempt could not be committed and is lost; the job's timer leads to another attempt"
            );
            return Ok(None);
        }
        tracing::warn!(%job_id, attempt, %error, "the outcome of an attempt is not committed yet; trying again");
        sleep(COMMIT_RETRY_DELAY).await;
    }
}

/// Releases a job whose wait for tool results has ended. Unlike [`release`], it repeats a failed commit: this worker stays
/// present, so the sweeper would queue the job again only at the time limit of the claim.
async fn release_after_wait(worker: &WorkerContext, job: &ClaimedJob) -> Option<AttemptEnd> {
    let release = || LaneChange::release(job.claim_key(), ReleaseReason::ToolWaitEnded);
    let committed = commit(worker, job, release).await;
    committed.map(|_| AttemptEnd::released("tool_wait_ended"))
}

/// Releases a job whose call was interrupted, without counting a try. If this fails, the sweeper queues the job again after this
/// worker is gone, or at the time limit of the claim.
async fn release(worker: &WorkerContext, job: &ClaimedJob) -> Option<AttemptEnd> {
    let release = LaneChange::release(job.claim_key(), ReleaseReason::WorkerStops);
    match worker.member.lanes.apply(release, RELEASE_TIMEOUT).await {
        Ok(_) => Some(AttemptEnd::released("released")),
        Err(error) => {
            tracing::debug!(
                job_id = %job.job,
                attempt = job.attempt,
                %error,
                "a job could not be released; the sweeper queues it again"
            );
            None
        }
    }
}
