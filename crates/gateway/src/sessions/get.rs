//! `GET /v1/sessions/{id}`: shows a session with its turns. This restarts the session's TTL.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use forebay_shared::{ids::SessionId, time::TimeMs, turn::Turn};
use serde::Serialize;

use crate::{path_ids::session_id, problem::Problem, state::ApiState, store_call};

/// A session as the API shows it.
#[derive(Serialize)]
pub(crate) struct SessionView {
    id: SessionId,
    object: &'static str,
    turns: Vec<Turn>,
    turn_count: usize,
    created_at: String,
    updated_at: String,
    /// Null while the session has live jobs, because such a session does not expire.
    expires_at: Option<String>,
    live_jobs: usize,
}

/// Shows a session.
pub(crate) async fn get(
    State(state): State<Arc<ApiState>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<SessionView>, Problem> {
    let id = session_id(path)?;
    let ttl_ms = state.settings.session_ttl_ms;
    let read_session = state.member.store.session(&state.tenant, &id, ttl_ms);
    let session = store_call::with_timeout(read_session)
        .await?
        .ok_or_else(Problem::session_not_found)?;
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
