//! `GET /v1/jobs/{id}`: shows a job, at once or after a wait for its end.

use std::sync::Arc;

use axum::{
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::Response,
};
use forebay_shared::store::JobState;

use super::{view, wait};
use crate::{
    auth::Caller, path_ids::job_id, problem::Problem, retry_after::set_retry_after, state::ApiState,
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
    let wait_time = wait::parse(query.as_deref(), &headers)?;
    // Without a free permit the request is answered at once, as if it had not asked to wait.
    let wait_permit = match wait_time.seconds {
        0 => None,
        _ => state.wait_permits.try_acquire().ok(),
    };
    let job = if wait_permit.is_some() {
        wait::until_ended(&state, caller.tenant(), id, wait_time.seconds).await?
    } else {
        state.read_job(caller.tenant(), id).await?
    };
    let job = job.ok_or_else(Problem::job_not_found)?;

    let is_live = matches!(job.state, JobState::Live(_));
    let class = job.meta.class;
    let mut response = view::respond_job(&state, StatusCode::OK, job)?;
    let headers = response.headers_mut();
    if is_live {
        set_retry_after(headers, state.poll_after_s(class));
    }
    let waited_as_asked = wait_permit.is_some() || wait_time.seconds == 0;
    if wait_time.from_prefer_header
        && waited_as_asked
        && let Ok(applied) = HeaderValue::try_from(format!("wait={}", wait_time.seconds))
    {
        headers.insert("preference-applied", applied);
    }
    Ok(response)
}
