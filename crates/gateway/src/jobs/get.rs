//! `GET /v1/jobs/{id}`: shows a job, at once or after a wait for its end.

use std::sync::Arc;

use axum::{
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{view, wait};
use crate::{
    auth::{self, Caller},
    path_ids::job_id,
    problem::Problem,
    query_parameters::Query,
    state::ApiState,
};

/// Shows a job.
pub(crate) async fn get(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = job_id(path)?;
    let wait_time = wait::parse(Query(query.as_deref()), &headers);
    let wait_permit = wait_time.permit(&state);
    let (job, has_waited_fully) = if wait_permit.is_some() {
        let waited = wait::until_ended(&state, caller.tenant(), id, wait_time.seconds).await?;
        let waited = waited.ok_or_else(Problem::job_not_found)?;
        if !state.is_valid(&caller) {
            return Ok(auth::unknown_key());
        }
        (waited.job, waited.has_waited_fully)
    } else {
        let job = state.read_job(caller.tenant(), id).await?;
        (
            job.ok_or_else(Problem::job_not_found)?,
            wait_time.seconds == 0,
        )
    };
    let mut response = view::respond_job(&state, &caller, StatusCode::OK, job)?;
    if has_waited_fully {
        wait_time.confirm_wait(&mut response);
    }
    Ok(response)
}
