//! `GET /v1/jobs/{id}`: a job as it stands, or once it has ended.

use std::sync::Arc;

use axum::{
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::Response,
};
use forebay_shared::{ids::JobId, store::JobState};

use super::{view, wait};
use crate::{
    api::{Api, set_retry_after},
    problem::Problem,
};

/// Shows a job.
pub(crate) async fn get(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = id(path)?;
    let wait = wait::asked(query.as_deref(), &headers)?;
    // Without room for one more that waits, the answer is the one to a plain poll.
    let room = match wait.seconds {
        0 => None,
        _ => api.waits.try_acquire().ok(),
    };
    let record = if room.is_some() {
        wait::for_end(&api, id, wait.seconds).await?
    } else {
        api.read_job(id).await?
    };
    let record = record.ok_or_else(Problem::job_not_found)?;

    let mut response = view::respond(StatusCode::OK, view::stored(&record)?);
    let headers = response.headers_mut();
    if matches!(record.state, JobState::Live(_)) {
        set_retry_after(headers, api.poll_after_s(record.meta.class));
    }
    if wait.preferred && (room.is_some() || wait.seconds == 0) {
        let applied = HeaderValue::try_from(format!("wait={}", wait.seconds));
        if let Ok(applied) = applied {
            headers.insert("preference-applied", applied);
        }
    }
    Ok(response)
}

/// The id in a path. What is no id at all is the id of no job.
pub(super) fn id(path: Result<Path<String>, PathRejection>) -> Result<JobId, Problem> {
    let Path(text) = path.map_err(|_| Problem::job_not_found())?;
    JobId::parse(&text).map_err(|_| Problem::job_not_found())
}
