//! `GET /healthz`: the process runs. `GET /readyz`: requests should be sent to it. `GET /readyz/submits`: submits are accepted too.

use std::sync::Arc;

use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse};

use crate::{problem::Problem, problem_code::ProblemCode, state::ApiState};

const OK: &str = r#"{"status":"ok"}"#;

/// Always answers 200. An unavailable store does not count, because a restart of this process would not help.
pub(crate) async fn healthz() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OK)
}

/// Answers 200 if reads are served and the process does not stop. It also does if submits are refused, so that a load balancer still
/// sends the clients that wait for their jobs.
pub(crate) async fn readyz(
    State(state): State<Arc<ApiState>>,
) -> Result<impl IntoResponse, Problem> {
    check_reads(&state)?;
    Ok(([(CONTENT_TYPE, "application/json")], OK))
}

/// Answers 200 if `/readyz` does and a submit would be accepted now. Otherwise answers with the problem that a submit would get.
pub(crate) async fn readyz_submits(
    State(state): State<Arc<ApiState>>,
) -> Result<impl IntoResponse, Problem> {
    check_reads(&state)?;
    state.admission.ready(&state.member)?;
    Ok(([(CONTENT_TYPE, "application/json")], OK))
}

fn check_reads(state: &ApiState) -> Result<(), Problem> {
    if state.member.is_stopping() {
        let detail = "the process was told to stop";
        return Err(Problem::new(ProblemCode::Stopping, detail).retry_after(1));
    }
    state.admission.reads_are_served(&state.member)
}
