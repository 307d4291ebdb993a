//! Validates the bodies of requests: of submits, of sessions that clients write, and of new API keys. The error response names each
//! invalid field and the values that it accepts.
//!
//! What a body may hold is defined once, as types with their bounds, such as those of `submit_body`. Their JSON Schema validates each
//! body, and the OpenAPI document publishes the same schema. The body is parsed once into a JSON value, whose parts move into the
//! job's documents without a copy. The types are not the stored ones, so the API does not depend on how documents are
//! stored.
//!
//! - `json_text`: parses the body. `field_hints`: what to write instead of fields of other APIs.
//! - `submit_body`: the fields of a body and their bounds.
//! - `schema`: derives the schema of these types, and checks bodies against it.
//! - `rules`, `message_rules`: what a schema cannot express.
//! - `field_path`, `field_errors`: the path of a field, and the invalid fields found so far.
//! - `submission`: validates a submit in these steps, and makes the job's request.
//! - `session_body`, `session_write`: the fields and the validation of sessions that clients write.
//! - `new_key_body`, `new_key`: the fields and the validation of the body that makes an API key.

mod field_errors;
mod field_hints;
mod field_path;
mod json_text;
mod message_rules;
mod new_key;
mod new_key_body;
mod rules;
pub(crate) mod schema;
mod session_body;
mod session_write;
mod submission;
mod submit_body;
#[cfg(test)]
mod tests;

pub(crate) use new_key::new_key;
pub(crate) use schema::BodySchema;
pub(crate) use session_body::{ATTRIBUTES_BYTES_MAX, DEFAULTS_BYTES_MAX};
pub(crate) use session_write::{Fork, fork, session_write, settings_patch};
pub(crate) use submission::{Submission, submission};
