//! The routes, and the answers for unknown routes.

use std::sync::Arc;

use axum::{
    Router,
    http::{Method, Uri},
    middleware,
    routing::{get, post},
};

use crate::{
    around_handlers::{AroundHandlers, around_handlers},
    health, jobs,
    problem::Problem,
    problem_code::ProblemCode,
    providers, queues, sessions,
    state::ApiState,
    web_guard::WebGuard,
    welcome,
};

/// The API as an axum router.
pub(crate) fn router(state: Arc<ApiState>, web_guard: WebGuard) -> Router {
    let around = AroundHandlers {
        metrics: state.member.metrics.gateway.clone(),
        web_guard,
        api_keys: state.settings.api_keys.clone(),
        body_bytes_max: state.settings.body_bytes_max,
    };
    Router::new()
        .route("/v1/jobs", post(jobs::submit::post))
        .route("/v1/jobs/{id}", get(jobs::get::get))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel::post))
        .route(
            "/v1/sessions/{id}",
            get(sessions::get::get).delete(sessions::delete::delete),
        )
        .route("/v1/queues", get(queues::get))
        .route("/v1/providers", get(providers::get))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/readyz/submits", get(health::readyz_submits))
        .route("/", get(welcome::get))
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
        .layer(middleware::from_fn_with_state(
            Arc::new(around),
            around_handlers,
        ))
}

async fn unknown_route(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(100).collect();
    let detail = format!("no route has the path {path}; GET / lists the routes");
    Problem::new(ProblemCode::NotFound, detail)
}

/// axum adds the header `Allow` to this response.
pub(crate) async fn method_not_allowed(method: Method) -> Problem {
    let method: String = method.as_str().chars().take(20).collect();
    let detail = format!("{method} is not allowed; the Allow header lists the allowed methods");
    Problem::new(ProblemCode::MethodNotAllowed, detail)
}
