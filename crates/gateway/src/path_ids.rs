//! The ids in a request's path. Text that is not a valid id gets 404.

use axum::extract::{Path, rejection::PathRejection};
use forebay_shared::ids::{JobId, SessionId};

use crate::problem::Problem;

/// The job id in a path.
pub(crate) fn job_id(path: Result<Path<String>, PathRejection>) -> Result<JobId, Problem> {
    let Path(text) = path.map_err(|_| Problem::job_not_found())?;
    JobId::parse(&text).map_err(|_| Problem::job_not_found())
}

/// The session id in a path.
pub(crate) fn session_id(path: Result<Path<String>, PathRejection>) -> Result<SessionId, Problem> {
    let Path(text) = path.map_err(|_| Problem::session_not_found())?;
    SessionId::parse(&text).map_err(|_| Problem::session_not_found())
}
