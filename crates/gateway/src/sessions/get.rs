//! `GET /v1/sessions/{id}`: the turns of a session. To read it is to use it: its time to live begins
//! anew.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use forebay_shared::{ids::SessionId, time::TimeMs, turn::Turn};
use serde::Serialize;

use crate::{api::Api, patience, problem::Problem};

#[derive(Serialize)]
pub(crate) struct SessionView {
    id: SessionId,
    object: &'static str,
    turns: Vec<Turn>,
    turn_count: usize,
    created_at: String,
    updated_at: String,
    /// Null while it has live jobs: until then it does not expire.
    expires_at: Option<String>,
    live_jobs: usize,
}

/// Shows a session.
pub(crate) async fn get(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<SessionView>, Problem> {
    let id = id(path)?;
    let ttl_ms = api.settings.session_ttl_ms;
    let session = patience::within(api.member.store.session(&api.tenant, &id, ttl_ms)).await?;
    let session = session.ok_or_else(Problem::session_not_found)?;
    Ok(Json(SessionView {
        id,
        object: "session",
        turn_count: session.turns.len(),
        turns: session.turns,
        created_at: session.created_at.rfc3339(),
        updated_at: session.updated_at.rfc3339(),
        expires_at: session.expires_at.map(TimeMs::rfc3339),
        live_jobs: session.live_jobs,
    }))
}

/// The id in a path. What is no id at all is the id of no session.
pub(super) fn id(path: Result<Path<String>, PathRejection>) -> Result<SessionId, Problem> {
    let Path(text) = path.map_err(|_| Problem::session_not_found())?;
    SessionId::parse(&text).map_err(|_| Problem::session_not_found())
}
