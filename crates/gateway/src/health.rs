//! `GET /healthz`: the process works. `GET /readyz`: requests should be sent to the process.
//! `GET /readyz/submits`: the process would also accept a submit.

use std::sync::Arc;

use axum::{
    extract::State, http::header::CONTENT_TYPE, response::IntoResponse, response::Response,
};

use crate::{
    problem::Problem,
    readiness::{self, Requirements},
    state::ApiState,
};

const OK: &str = r#"{"status":"ok"}"#;

/// The gateway is ready even without its queue, because reads do not need it.
const REQUIREMENTS: Requirements = Requirements { queue: false };

/// Answers 200 unless the process runs a worker that takes no jobs although it could. An unavailable store does not count, because
/// a restart of this process would not help.
pub(crate) async fn healthz(State(state): State<Arc<ApiState>>) -> Result<Response, Problem> {
    readiness::healthy(&state.member)
}

/// Answers 200 if reads are served and the process does not stop, even if submits are refused. So a load balancer still sends the
/// requests of clients that wait for their jobs.
pub(crate) async fn readyz(State(state): State<Arc<ApiState>>) -> Result<Response, Problem> {
    readiness::ready(&state.member, REQUIREMENTS)
}

/// Answers 200 if `/readyz` does and a submit would be accepted now, apart from the limits of its provider, tenant and session.
/// Otherwise answers with the problem.
pub(crate) async fn readyz_submits(
    State(state): State<Arc<ApiState>>,
) -> Result<impl IntoResponse, Problem> {
    readiness::ready(&state.member, REQUIREMENTS)?;
    state.admission.ready(&state.member)?;
    Ok(([(CONTENT_TYPE, "application/json")], OK))
}
