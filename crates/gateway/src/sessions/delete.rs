//! `DELETE /v1/sessions/{id}`: forgets a session that has no live jobs.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use forebay_shared::store::Removed;

use super::get::id;
use crate::{
    api::Api,
    patience,
    problem::{Code, Problem},
};

/// Forgets a session.
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let id = id(path)?;
    match patience::within(api.member.store.remove_session(&api.tenant, &id)).await? {
        Removed::Yes => Ok(StatusCode::NO_CONTENT),
        Removed::Busy => Err(Problem::new(
            Code::SessionBusy,
            "wait for its jobs to end, or cancel them",
        )),
        Removed::Absent => Err(Problem::session_not_found()),
    }
}
