//! The ids in a request's path. Text that is not a valid id gets 404. The log lines of the request name a valid id of a job or a
//! session.

use axum::extract::{Path, rejection::PathRejection};
use forebay_shared::{
    api_key::ApiKeyId,
    ids::{JobId, SessionId},
};
use forebay_telemetry::task_context;

use crate::problem::Problem;

/// The job id in a path.
pub(crate) fn job_id(path: Result<Path<String>, PathRejection>) -> Result<JobId, Problem> {
    let Path(text) = path.map_err(|_| Problem::job_not_found())?;
    let job = JobId::parse(&text).map_err(|_| Problem::job_not_found())?;
    task_context::update(|context| context.job = Some(job));
    Ok(job)
}

/// The session id in a path.
pub(crate) fn session_id(path: Result<Path<String>, PathRejection>) -> Result<SessionId, Problem> {
    let Path(text) = path.map_err(|_| Problem::session_not_found())?;
    let session = SessionId::parse(&text).map_err(|_| Problem::session_not_found())?;
    task_context::update(|context| context.session = Some(session.clone()));
    Ok(session)
}

/// The id of an API key in a path. The log lines of the request do not name it: their `key_id` is the id of the caller's own key.
pub(crate) fn api_key_id(path: Result<Path<String>, PathRejection>) -> Result<ApiKeyId, Problem> {
    let Path(text) = path.map_err(|_| Problem::api_key_not_found())?;
    ApiKeyId::parse(&text).map_err(|_| Problem::api_key_not_found())
}
