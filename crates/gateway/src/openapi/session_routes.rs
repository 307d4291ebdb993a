//! The descriptions of the routes of sessions.

use axum::http::StatusCode;
use forebay_shared::ids::SESSION_ID_BYTES_MAX;
use schemars::SchemaGenerator;
use serde_json::json;

use super::operation::Operation;
use crate::{
    problem::MERGE_PATCH,
    problem_code::ProblemCode as P,
    sessions::{SessionList, SessionSummary, SessionView},
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
    .json::<SessionView<'_>>(generator, StatusCode::OK, "The session.", &["X-Request-Id"])
    .problems(&[
        P::UnknownParameter,
        P::SessionNotFound,
        P::InvalidRequest,
        P::SessionTooLarge,
        P::StoreUnavailable,
    ])
}

pub(crate) fn list_sessions(generator: &mut SchemaGenerator) -> Operation {
    let description = "Lists the sessions in the order of their creation. Their time to live does not restart. A page may have fewer \
                       sessions than `limit`, even none, although others follow: `next_cursor` is null only after the last \
                       session. Pages show no session twice, and miss none that was created before the \
                       first page was read.";
    Operation::new("listSessions", "sessions", "List sessions", description)
        .json::<SessionList<'_>>(
            generator,
            StatusCode::OK,
            "A page of sessions.",
            &["X-Request-Id"],
        )
        .problems(&[P::UnknownParameter, P::InvalidRequest, P::StoreUnavailable])
}

pub(crate) fn put_session(generator: &mut SchemaGenerator) -> Operation {
    let description = "Creates the session, or replaces its turns, attributes and defaults: what is left out becomes empty. A \
                       session with live jobs is not replaced. The numbers of the turns follow the highest number that the \
                       session has ever used. This restarts the session's time to live.";
    id(Operation::new(
        "putSession",
        "sessions",
        "Create or replace a session",
        description,
    ))
    .body(
        "The session, as JSON in UTF-8 without compression.",
        &json!({"$ref": "#/components/schemas/SessionPut"}),
    )
    .json::<SessionSummary<'_>>(
        generator,
        StatusCode::CREATED,
        "The session is created.",
        &["X-Request-Id", "Location"],
    )
    .json::<SessionSummary<'_>>(
        generator,
        StatusCode::OK,
        "The session is replaced.",
        &["X-Request-Id"],
    )
    .problems(&WRITE_PROBLEMS)
    .problems(&[P::SessionBusy])
}

pub(crate) fn patch_session(generator: &mut SchemaGenerator) -> Operation {
    let description = "Changes the attributes and the defaults of a session, also while it has live jobs. Changes of several \
                       requests are made one after the other, and none is lost. This restarts the session's time to live.";
    id(Operation::new(
        "patchSession",
        "sessions",
        "Change the settings of a session",
        description,
    ))
    .body_of_type(
        MERGE_PATCH,
        "A JSON Merge Patch (RFC 7396), in UTF-8 without compression.",
        &json!({"$ref": "#/components/schemas/SessionPatch"}),
    )
    .json::<SessionSummary<'_>>(
        generator,
        StatusCode::OK,
        "The session after the change.",
        &["X-Request-Id"],
    )
    .problems(&WRITE_PROBLEMS)
}

pub(crate) fn fork_session(generator: &mut SchemaGenerator) -> Operation {
    let description = "Makes a new session with the turns, the attributes and the defaults of this one. This one may have live \
                       jobs: their messages are not copied, because they are not turns yet. The turns of the new session are \
                       numbered from 0.";
    id(Operation::new(
        "forkSession",
        "sessions",
        "Copy a session",
        description,
    ))
    .body(
        "Which turns to take, as JSON in UTF-8 without compression. Without a body, all turns are taken.",
        &json!({"$ref": "#/components/schemas/SessionFork"}),
    )
    .with_optional_body()
    .json::<SessionSummary<'_>>(
        generator,
        StatusCode::CREATED,
        "The new session.",
        &["X-Request-Id", "Location"],
    )
    .problems(&WRITE_PROBLEMS)
    .problems(&[P::SessionBusy, P::SessionExists, P::SessionTooLarge])
}

/// The problems of each route that creates or changes a session.
const WRITE_PROBLEMS: [P; 7] = [
    P::InvalidJson,
    P::UnknownParameter,
    P::SessionNotFound,
    P::UnsupportedMediaType,
    P::InvalidRequest,
    P::StoreFull,
    P::StoreUnavailable,
];

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
    let description = "The session's id: 1 to 200 bytes of UTF-8 without control characters, and not `.` or `..`. Any \
                       other text gets 404.";
    let schema = json!({"type": "string", "minLength": 1, "maxLength": SESSION_ID_BYTES_MAX});
    operation.parameter("id", "path", description, &schema)
}
