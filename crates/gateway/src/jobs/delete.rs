//! `DELETE /v1/jobs/{id}`: erases a job that has ended, with its request and its result. The session keeps its turns.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use forebay_shared::store::JobRemoval;

use crate::{
    auth::Caller, path_ids::job_id, problem::Problem, problem_code::ProblemCode, state::ApiState,
    store_call,
};

/// Erases a job.
pub(crate) async fn delete(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let id = job_id(path)?;
    // If a newer release wrote the record and this process cannot read it, this call fails and nothing is removed.
    let found = state.find_job(caller.tenant(), id).await?;
    found.ok_or_else(Problem::job_not_found)?;
    let removal = state.member.store.remove_job(caller.tenant(), id);
    match store_call::with_timeout(removal).await? {
        JobRemoval::Removed => {
            tracing::debug!(job_id = %id, "job deleted");
            Ok(StatusCode::NO_CONTENT)
        }
        JobRemoval::IsLive => Err(Problem::new(
            ProblemCode::JobLive,
            "cancel the job first, or wait until it has ended",
        )),
        JobRemoval::NotFound => Err(Problem::job_not_found()),
    }
}
