//! `POST /v1/jobs/{id}/retry`: runs a job again that failed, was cancelled or has expired. The job keeps its id, its request and
//! its idempotency key, and becomes the last job of its session.
//!
//! The record of an ended job contains its request as long as it is kept, so nothing else has to be stored for a retry.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use forebay_runtime::lanes::{LaneChange, LaneError};
use forebay_shared::{
    ids::{JobId, TenantId},
    job::{JobMeta, Status},
    lane::Refused,
    store::{FoundJob, JobRecord, JobState},
};

use super::{
    admission_permits::AdmissionPermits,
    admit::{accepted_job, accepted_new, admit_error},
    replaced_turn,
};
use crate::{
    auth::Caller, path_ids::job_id, problem::Problem, problem_code::ProblemCode, state::ApiState,
    store_call::STORE_TIMEOUT, tenant_limits::Limited,
};

/// Runs a job again.
pub(crate) async fn post(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    limited: Limited,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = job_id(path)?;
    let record = read_to_retry(&state, caller.tenant(), id).await?;
    let JobState::Ended(outcome) = &record.state else {
        let detail = "the job has not ended";
        return Err(Problem::new(ProblemCode::JobLive, detail));
    };
    if outcome.status == Status::Completed {
        return Err(completed());
    }
    replaced_turn::check_retry(&state, &record.meta).await?;
    let permits = AdmissionPermits::take(&state, &limited, &record.meta.model).await?;

    let (now, fence) = (state.member.store.now(), outcome.fence);
    let meta = JobMeta {
        expires_at: now.plus_ms(record.meta.lifetime_ms()),
        retried_at: Some(now),
        ..record.meta
    };
    let class = meta.class;
    let meta = Arc::new(meta);
    state.check_valid(&caller)?;
    let repair = LaneChange::repair(Arc::clone(&meta), fence);
    let applied = permits.apply(&state, repair, STORE_TIMEOUT).await;
    match applied {
        Ok(applied) => {
            tracing::debug!(job_id = %id, %class, "job accepted again");
            Ok(accepted_new(&state, &caller, &meta, &applied)?.response)
        }
        // Another request retried or deleted the job at the same moment, or `Lanes` repeated this commit because its
        // confirmation was lost.
        Err(LaneError::Refused(Refused::Exists)) => {
            let job = state.read_job(caller.tenant(), id).await?;
            let job = job.ok_or_else(Problem::job_not_found)?;
            Ok(accepted_job(&state, &caller, job)?.response)
        }
        Err(error) => Err(admit_error(&state, class, &error).problem),
    }
}

/// Reads a job. The large reply of a completed job is not read, because it would need memory.
async fn read_to_retry(
    state: &ApiState,
    tenant: &TenantId,
    id: JobId,
) -> Result<JobRecord, Problem> {
    let found = state.find_job(tenant, id).await?;
    match found.ok_or_else(Problem::job_not_found)? {
        FoundJob::Record(record) => Ok(*record),
        FoundJob::LargeOutcome {
            status: Status::Completed,
            ..
        } => Err(completed()),
        FoundJob::LargeOutcome { .. } => {
            let job = state.read_job(tenant, id).await?;
            Ok(job.ok_or_else(Problem::job_not_found)?.record)
        }
    }
}

fn completed() -> Problem {
    Problem::new(ProblemCode::JobFinished, "the job is completed")
}
