//! Prepares the call of a claimed job and runs it until it ends or is no longer needed.

use std::{sync::Arc, time::Duration};

use forebay_shared::store::RunInputs;
use tokio::time::Instant;

use super::{
    call_outcome::{CallOutcome, EXPIRED},
    claimed_job::ClaimedJob,
    prepared_call::PreparedCall,
    watch::{CallLimits, watch},
};
use crate::{
    context,
    in_flight::InFlightGuard,
    provider::{Failure, Retry},
    settings::COMMIT_MARGIN_MS,
    worker_context::WorkerContext,
};

/// Calls the provider of a claimed job. A call that is no longer needed is dropped, which closes its HTTP/1.1 connection or
/// resets its HTTP/2 stream.
pub(super) async fn call(
    worker: &WorkerContext,
    job: &ClaimedJob,
    run_inputs: Box<RunInputs>,
    in_flight: &InFlightGuard,
) -> CallOutcome {
    let (call, limits) = match prepare(worker, job, run_inputs) {
        Ok(prepared) => prepared,
        Err(outcome) => return outcome,
    };
    let watch = watch(worker, job, in_flight, limits, call.provider().to_owned());
    tokio::select! {
        biased;
        outcome = call.run(limits.deadline) => outcome,
        () = worker.release_jobs.cancelled() => CallOutcome::Interrupted,
        outcome = watch => outcome,
    }
}

/// Selects the turns to send, the provider and the limits of the call.
///
/// # Errors
/// The outcome of the call when it cannot be made.
fn prepare(
    worker: &WorkerContext,
    job: &ClaimedJob,
    run_inputs: Box<RunInputs>,
) -> Result<(Box<PreparedCall>, CallLimits), CallOutcome> {
    let RunInputs {
        meta,
        mut request,
        conversation,
    } = *run_inputs;
    let input = std::mem::take(&mut request.input);
    let (provider, model) = match worker.providers.resolve(&meta.model) {
        Ok(found) => found,
        Err(error) => {
            return Err(CallOutcome::Failed {
                failure: Box::new(Failure::of_error(error, Retry::Never)),
                provider: None,
            });
        }
    };
    conversation.defaults.apply_to(&mut request);
    let token_measure = conversation.token_measure;
    let bounds = context::turn_bounds(&request, token_measure);
    let selected = context::select(conversation.turns, input, &bounds, token_measure);
    let now = worker.member.store.now();
    // The claim lasts for the call and the margin. One half of the margin is for a slow claim, the other half for the
    // commit.
    let limit_ms = job
        .claimed_until
        .since_ms(now)
        .saturating_sub(COMMIT_MARGIN_MS / 2)
        .min(worker.settings.call_timeout_ms);
    let expires_in_ms = job.expires_at.since_ms(now);
    if worker.release_jobs.is_cancelled() {
        return Err(CallOutcome::Interrupted);
    }
    if expires_in_ms == 0 {
        return Err(CallOutcome::Dropped { reason: EXPIRED });
    }
    let began = Instant::now();
    let limits = CallLimits {
        deadline: began + Duration::from_millis(limit_ms.min(expires_in_ms)),
        timeout_ms: limit_ms,
        job_expiry: began + Duration::from_millis(expires_in_ms),
    };
    let mut call = PreparedCall {
        job: job.job,
        request: Box::new(request),
        context: selected,
        provider,
        model,
        context_limits: Arc::clone(&worker.context_limits),
        recorder: Arc::clone(&worker.call_recorder),
    };
    call.fit_known_limit();
    Ok((Box::new(call), limits))
}
