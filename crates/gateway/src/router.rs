//! The routes, and the layers around all of them.

use std::{any::Any, sync::Arc};

use axum::{
    Router,
    http::{Method, Uri},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    health, jobs,
    problem::Problem,
    problem_code::ProblemCode,
    providers, query_parameters, queues, request_body, request_context, sessions,
    state::ApiState,
    unread_body,
    web_guard::{self, WebGuard},
    welcome,
};

/// The API as an axum router.
pub(crate) fn router(state: Arc<ApiState>, web_guard: WebGuard) -> Router {
    let body_bytes_max = state.settings.body_bytes_max;
    let metrics = state.member.metrics.gateway.clone();
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
        .route_layer(middleware::from_fn(query_parameters::refuse_unknown))
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
        .layer(middleware::from_fn(move |request, next| {
            request_body::refuse_too_large(body_bytes_max, request, next)
        }))
        .layer(middleware::from_fn_with_state(
            Arc::new(web_guard),
            web_guard::guard,
        ))
        .layer(middleware::from_fn(unread_body::discard_unread))
        .layer(CatchPanicLayer::custom(panic_response))
        .layer(middleware::from_fn_with_state(
            metrics,
            request_context::with_context,
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

#[expect(
    clippy::needless_pass_by_value,
    reason = "CatchPanicLayer requires this signature"
)]
pub(crate) fn panic_response(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(message, "a request handler panicked; the client got 500");
    Problem::new(
        ProblemCode::Internal,
        "the gateway could not handle the request",
    )
    .into_response()
}
