//! Validates the body of a submit. The error response names each invalid field and the values that it accepts.
//!
//! The body is parsed once into a JSON value, whose parts move into the job's documents without a copy. These
//! files read each object field by field and refuse unknown fields. So the API does not depend on how the stored
//! types are deserialised.
//!
//! - `field_path`, `field_errors`: the path of a field, and the invalid fields found so far.
//! - `json_text`: parses the body. `field_hints`: what to write instead of fields of other APIs.
//! - `values`: reads basic kinds of values, such as strings and numbers.
//! - `submission`: the body and its top-level fields.
//! - `messages`, `content`: the input.
//! - `tools`: the fields `tools` and `tool_choice`.
//! - `sampling`: the format, length and randomness of the reply.
//! - `metadata`: the client's own data about the job.

mod content;
mod field_errors;
mod field_hints;
mod field_path;
mod json_text;
mod messages;
mod metadata;
mod sampling;
mod submission;
#[cfg(test)]
mod tests;
mod tools;
mod values;

pub(crate) use json_text::empty_body;
pub(crate) use submission::{Submission, submission};
