//! What a submit may contain. Every field that is not as it must be is named, with what is allowed.
//!
//! The body is parsed once, into a JSON value, and taken apart from there: the values move into the
//! job's documents, nothing is copied, and a message can say more than a type's name. One file for each
//! concern:
//! - `path`, `faults`, `fields`: where something stands, what is wrong, and the plain kinds of values.
//! - `body`: JSON or not, and the fields of a submit. `messages` and `content`: the input.
//!   `tools`: tools and the choice among them. `sampling`: how the model is to answer.
//!   `metadata`: the client's notes.

mod body;
mod content;
mod faults;
mod fields;
mod messages;
mod metadata;
mod path;
mod sampling;
#[cfg(test)]
mod tests;
mod tools;

pub(crate) use body::{Submission, submission};
