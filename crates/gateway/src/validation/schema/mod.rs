//! The JSON Schemas of bodies. Each schema is derived from a type and published in the OpenAPI document, and bodies are validated
//! against it.
//!
//! - `body_schema`: the schema of a body.
//! - `compile`: turns the published schema into a form that is fast to check.
//! - `check`: checks a body, and names each fault.
//! - `kinds`: sets of JSON types.
//! - `move_opaque`: moves out of a body the values that Forebay does not read.
//! - `sentence`: what a value must be, in words.
//!
//! Libraries for JSON Schema are not used, because they collect all faults before they return, and a body of 10 MiB can have millions of
//! faults. They also name a fault by keyword, and not by what the field accepts. A test compares this code with such a library.

mod body_schema;
mod check;
mod compile;
mod kinds;
mod move_opaque;
mod sentence;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub(crate) use self::body_schema::BodySchema;
pub(super) use self::body_schema::unreadable;
use super::{
    new_key_body::NewKeyBody,
    session_body::{ForkBody, SessionBody, SessionPatchBody},
    submit_body::SubmitBody,
};

/// The schema of a submit.
pub(crate) static SUBMIT: LazyLock<BodySchema> =
    LazyLock::new(|| BodySchema::of::<SubmitBody>(r#"{"input": "Hello"}"#));
/// The schema of the body that makes an API key.
pub(crate) static NEW_KEY: LazyLock<BodySchema> =
    LazyLock::new(|| BodySchema::of::<NewKeyBody>(r#"{"tenant": "shop"}"#));
/// The schema of a session to write.
pub(crate) static SESSION: LazyLock<BodySchema> =
    LazyLock::new(|| BodySchema::of::<SessionBody>("{}"));
/// The schema of a change of a session's settings.
pub(crate) static SESSION_PATCH: LazyLock<BodySchema> =
    LazyLock::new(|| BodySchema::of::<SessionPatchBody>("{}"));
/// The schema of a fork of a session.
pub(crate) static SESSION_FORK: LazyLock<BodySchema> =
    LazyLock::new(|| BodySchema::of::<ForkBody>("{}"));
