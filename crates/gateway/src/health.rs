//! `GET /healthz`: the process runs. `GET /readyz`: a submit would be accepted now.

use std::sync::Arc;

use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse};

use crate::{problem::Problem, state::ApiState};

const OK: &str = r#"{"status":"ok"}"#;

/// Always answers 200. An unavailable store does not count, because a restart of this process would not help.
pub(crate) async fn healthz() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OK)
}

/// Answers 200, or the problem that a submit would get now.
pub(crate) async fn readyz(
    State(state): State<Arc<ApiState>>,
) -> Result<impl IntoResponse, Problem> {
    state.admission.ready(&state.member)?;
    Ok(([(CONTENT_TYPE, "application/json")], OK))
}
