//! `GET /healthz`: the process runs. `GET /readyz`: a submit would be accepted now.

use std::sync::Arc;

use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse};

use crate::{problem::Problem, state::ApiState};

const OK: &str = r#"{"status":"ok"}"#;

/// Answers 200 always: a restart of this process would not bring an unavailable store back.
pub(crate) async fn live() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OK)
}

/// Answers 200, or the problem that a submit would get now.
pub(crate) async fn ready(
    State(state): State<Arc<ApiState>>,
) -> Result<impl IntoResponse, Problem> {
    state.admission.ready(&state.member)?;
    Ok(([(CONTENT_TYPE, "application/json")], OK))
}
