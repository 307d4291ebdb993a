//! `/healthz`: the process is there. `/readyz`: a submit would be accepted.

use std::sync::Arc;

use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse};

use crate::{api::Api, problem::Problem};

const OK: &str = r#"{"status":"ok"}"#;

/// Always answers: whoever restarts processes must not do so because a store is away.
pub(crate) async fn live() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OK)
}

/// Answers as the admission of a submit would be decided now.
pub(crate) async fn ready(State(api): State<Arc<Api>>) -> Result<impl IntoResponse, Problem> {
    api.admission.ready(&api.member)?;
    Ok(([(CONTENT_TYPE, "application/json")], OK))
}
