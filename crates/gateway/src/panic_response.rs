//! The answer to a request whose handler panicked.

use std::any::Any;

use axum::response::{IntoResponse, Response};

use crate::{problem::Problem, problem_code::ProblemCode};

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
