//! The descriptions of the routes of sessions.

use axum::http::StatusCode;
use forebay_shared::ids::SESSION_ID_BYTES_MAX;
use schemars::SchemaGenerator;
use serde_json::json;

use super::operation::Operation;
use crate::{
    problem_code::ProblemCode as P,
    sessions::{LIMIT_MAX, SessionView},
};

pub(crate) fn get_session(generator: &mut SchemaGenerator) -> Operation {
    let description = "Shows the session with all turns, or a page of them with `limit` or `after`. This restarts the \
                       session's time to live.";
    id(Operation::new(
        "getSession",
        "sessions",
        "Show a session",
        description,
    ))
    .parameter(
        "limit",
        "query",
        "The most turns of the page.",
        &json!({"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}),
    )
    .parameter(
        "after",
        "query",
        "The `next_after` of the page before.",
        &json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
    )
    .json::<SessionView<'_>>(generator, StatusCode::OK, "The session.", &["X-Request-Id"])
    .problems(&[
        P::UnknownParameter,
        P::SessionNotFound,
        P::InvalidRequest,
        P::SessionTooLarge,
        P::StoreUnavailable,
    ])
}

pub(crate) fn delete_session(_: &mut SchemaGenerator) -> Operation {
    let description = "Deletes a session that has no live jobs.";
    id(Operation::new(
        "deleteSession",
        "sessions",
        "Delete a session",
        description,
    ))
    .response(
        StatusCode::NO_CONTENT,
        "The session is deleted.",
        &["X-Request-Id"],
        None,
    )
    .problems(&[
        P::UnknownParameter,
        P::SessionNotFound,
        P::SessionBusy,
        P::StoreUnavailable,
    ])
}

fn id(operation: Operation) -> Operation {
    let description = "The session's id: 1 to 200 bytes of UTF-8 without control characters, and not `.` or `..`. No session \
                       has any other text as its id.";
    let schema = json!({"type": "string", "minLength": 1, "maxLength": SESSION_ID_BYTES_MAX});
    operation.parameter("id", "path", description, &schema)
}
