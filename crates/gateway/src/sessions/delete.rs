//! `DELETE /v1/sessions/{id}`: deletes a session that has no live jobs.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use forebay_shared::store::SessionRemoval;

use crate::{
    auth::Caller, path_ids::session_id, problem::Problem, problem_code::ProblemCode,
    state::ApiState, store_call,
};

/// Deletes a session.
pub(crate) async fn delete(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let id = session_id(path)?;
    let removal = state.member.store.remove_session(caller.tenant(), &id);
    match store_call::with_timeout(removal).await? {
        SessionRemoval::Removed => Ok(StatusCode::NO_CONTENT),
        SessionRemoval::HasLiveJobs => Err(Problem::new(
            ProblemCode::SessionBusy,
            "cancel its live jobs, or wait until they have ended",
        )),
        SessionRemoval::NotFound => Err(Problem::session_not_found()),
    }
}
