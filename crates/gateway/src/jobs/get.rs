//! `GET /v1/jobs/{id}`: shows a job, at once or after a wait for its end.

use std::sync::Arc;

use axum::{
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{view, wait};
use crate::{auth::Caller, path_ids::job_id, problem::Problem, state::ApiState};

/// Shows a job.
pub(crate) async fn get(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = job_id(path)?;
    let wait_time = wait::parse(query.as_deref(), &headers)?;
    let wait_permit = wait_time.permit(&state);
    let job = if wait_permit.is_some() {
        wait::until_ended(&state, caller.tenant(), id, wait_time.seconds).await?
    } else {
        state.read_job(caller.tenant(), id).await?
    };
    let job = job.ok_or_else(Problem::job_not_found)?;

    let mut response = view::respond_job(&state, StatusCode::OK, job)?;
    wait_time.confirm(wait_permit.is_some(), &mut response);
    Ok(response)
}
