//! `GET /`: what this is, and where to look.

use axum::response::IntoResponse;
use serde_json::json;

use crate::json_response::Json;

/// Shows the name of the program and its routes.
pub(crate) async fn get() -> impl IntoResponse {
    Json(json!({
        "name": "Forebay",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "A durable queue between applications and LLM APIs. Submit a job, then poll it or wait for its reply.",
        "routes": {
            "submit a job": "POST /v1/jobs",
            "show a job, or wait for its reply": "GET /v1/jobs/{id}?wait_s=30",
            "cancel a job": "POST /v1/jobs/{id}/cancel",
            "show a session": "GET /v1/sessions/{id}",
            "delete a session": "DELETE /v1/sessions/{id}",
            "show the queues": "GET /v1/queues",
            "show the providers": "GET /v1/providers",
            "check the process": "GET /healthz",
            "check whether it serves requests": "GET /readyz",
            "check whether it accepts jobs": "GET /readyz/submits",
        },
        "example": "curl --json '{\"input\": \"Hello\"}' http://localhost:8080/v1/jobs",
        "documentation": "README.md of Forebay",
    }))
}
