//! The routes, and what surrounds all of them.

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
    access_log,
    api::Api,
    body, health, jobs,
    problem::{Code, Problem},
    queues, sessions,
};

/// The API as a service.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let body_bytes_max = api.settings.body_bytes_max;
    Router::new()
        .route("/v1/jobs", post(jobs::submit::post))
        .route("/v1/jobs/{id}", get(jobs::get::get))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel::post))
        .route(
            "/v1/sessions/{id}",
            get(sessions::get::get).delete(sessions::delete::delete),
        )
        .route("/v1/queues", get(queues::get))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(api)
        .layer(middleware::from_fn(move |request, next| {
            body::refuse_announced(body_bytes_max, request, next)
        }))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(access_log::note))
}

async fn no_route(uri: Uri) -> Problem {
    let shown: String = uri.path().chars().take(100).collect();
    Problem::new(Code::NotFound, format!("nothing answers at {shown}"))
}

/// axum adds the header `Allow` to this.
async fn no_method(method: Method) -> Problem {
    let shown: String = method.as_str().chars().take(20).collect();
    let detail = format!("{shown} is not among the methods of the header Allow");
    Problem::new(Code::MethodNotAllowed, detail)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that the layer wants"
)]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(message, "a handler panicked");
    Problem::new(Code::Internal, "an error of the gateway itself").into_response()
}
